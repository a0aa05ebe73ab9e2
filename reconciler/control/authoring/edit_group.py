"""Editing a group: its name, what is to be written in its document -> the policy file as it is and as it will be.

Nothing is done behind Git: only the policy file is written, for a person to look at, to commit and to have approved.
What is written is read again before it is: it says what was meant and nothing else, and the policies are as right as
before.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from reconciler import files, gitrepo
from reconciler.control.policy_folder import FOLDER, Policies, read_good
from reconciler.errors import Diagnostic, PolicyError, Refused, Severity, UsageError
from reconciler.model.documents import GroupDocument, Placed, PolicySet, SiteDocument
from reconciler.model.names import fold
from reconciler.model.similar_names import did_you_mean
from reconciler.parse import read_texts
from reconciler.parse.edit import CannotEdit, with_value, without_document, without_value
from reconciler.parse.load import load
from reconciler.plan.checks.lint import lint


class Edit(msgspec.Struct, frozen=True):
    """A policy file before and after. `after` None: nothing is left in it, so it is removed."""

    path: Path
    name: str
    before: bytes
    after: bytes | None

    @property
    def changed(self) -> bool:
        return self.before != self.after

    def diff(self) -> str:
        """The change as `diff -u` and Git show it."""
        after = (self.after or b"").decode("utf-8-sig").splitlines(keepends=True)
        told = f"b/{self.name}" if self.after is not None else "/dev/null"
        lines = difflib.unified_diff(
            self.before.decode("utf-8-sig").splitlines(keepends=True), after, f"a/{self.name}", told
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def write(self) -> None:
        """Puts it in the file's place, whole. Raises `Refused`, RCL6074, where the file was changed meanwhile."""
        if files.read_regular(self.path) != self.before:
            what = f"{self.name} was changed meanwhile"
            raise Refused("RCL6074", what, "Nothing was written; run the command again.", subject=self.name)
        if self.after is None:
            files.unlink(self.path)
        else:
            files.write_whole(self.path, self.after, self.path.stat().st_mode & 0o777)


class FoundGroup(msgspec.Struct, frozen=True):
    """A group's document, the policies that it is in, and its site."""

    root: Path
    policies: Policies
    placed: Placed[GroupDocument]
    site: SiteDocument

    @property
    def name(self) -> str:
        return self.placed.document.metadata.name

    @property
    def is_last(self) -> bool:
        """Whether its site has no other group."""
        sites = [placed.document.spec.site for placed in self.policies.policies.groups]
        return sites.count(self.site.metadata.name) == 1

    @property
    def file(self) -> str:
        return self.placed.positions.at().file


def find_group(root: Path, wanted: str) -> FoundGroup:
    """The group of that name, or display name. Raises `PolicyError` where the policies are wrong, `UsageError`,
    RCL0008, where there is no such group."""
    policies = read_good(root)
    groups = policies.policies.groups
    exact = [each for each in groups if each.document.metadata.name == wanted]
    called = [each for each in groups if fold(each.document.spec.display_name or "") == fold(wanted)]
    found = exact or called
    if len(found) != 1:
        names = sorted(each.document.metadata.name for each in groups)
        remedy = did_you_mean(wanted, names) or f"Known: {', '.join(names[:14]) or 'none'}."
        raise UsageError("RCL0008", f"there is no group {wanted!r}", remedy, subject=wanted)
    (placed,) = found
    sites = {each.document.metadata.name: each.document for each in policies.policies.sites}
    return FoundGroup(root, policies, placed, sites[placed.document.spec.site])


def write_fields(group: FoundGroup, fields: dict[str, Any], today: date) -> Edit:
    """The group's file with these fields of its `spec`, whatever a preset says of them."""

    def act(text: str, line: int) -> str:
        for name, value in fields.items():
            text = with_value(text, line, ("spec", name), value)
        return text

    return _edited(group, act, fields, today)


def remove_field(group: FoundGroup, name: str, today: date) -> Edit:
    """The group's file without this field of its `spec`. Raises `Refused`, RCL6071, where a preset gives it, and
    RCL6075 where it is not written at all."""
    place = group.placed.positions.at("spec", name)
    if getattr(group.placed.document.spec, name) is None:
        raise Refused("RCL6075", f"{group.name} is not {name}", "Nothing needs to be done.", subject=group.name)
    if name not in _own(group).get("spec", {}):
        what = f"`{name}` of {group.name} comes from a preset, {place}"
        remedy = "Change the preset, which others may extend, or remove it of `extends`."
        raise Refused("RCL6071", what, remedy, subject=group.name)
    return _edited(group, lambda text, line: without_value(text, line, ("spec", name)), {name: None}, today)


def remove_document(group: FoundGroup) -> Edit:
    """The group's file without its document. Raises `Refused`, RCL6073, where Git could not bring it back."""
    _check_committed(group)
    path, before = _file(group)
    after = _cut(group, before, without_document)
    plains = [document.root.plain() for document in load(group.file, before)[0]]
    wanted = [plain for plain in plains if not _is(plain, group)]
    if [document.root.plain() for document in load(group.file, after)[0]] != wanted:
        raise _by_hand(group, "something else would be changed")
    return Edit(path, group.file, before, after if wanted else None)


# --- Parts -----------------------------------------------------------------------------------------------------------


def _edited(group: FoundGroup, act: Callable[[str, int], str], wanted: dict[str, Any], today: date) -> Edit:
    """The edit, once its result was read: nothing but the fields is another, and no error is new."""
    path, before = _file(group)
    after = _cut(group, before, act)
    old, new = ([document.root.plain() for document in load(group.file, text)[0]] for text in (before, after))
    for plain in old:
        if _is(plain, group):
            plain["spec"] = _with(plain["spec"], wanted)
    if new != old:
        raise _by_hand(group, "something else would be changed")
    _check_right(group, after, today)
    return Edit(path, group.file, before, after)


def _with(spec: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    for name, value in wanted.items():
        if value is None:
            del spec[name]
        elif isinstance(value, dict):
            told = {key: each.isoformat() if isinstance(each, date) else each for key, each in value.items()}
            spec[name] = spec.get(name, {}) | told
        else:
            spec[name] = value
    return spec


def _is(plain: Any, group: FoundGroup) -> bool:
    return (plain["kind"], plain["metadata"]["name"]) == ("ProtectionGroup", group.name)


def _own(group: FoundGroup) -> dict[str, Any]:
    """The document as its file has it, without presets."""
    documents, _ = load(group.file, _file(group)[1])
    plain: dict[str, Any] = next(each for each in (one.root.plain() for one in documents) if _is(each, group))
    return plain


def _file(group: FoundGroup) -> tuple[Path, bytes]:
    """The file itself, wherever a link leads, and what was read of it."""
    return (group.root / group.file).resolve(), group.policies.texts[group.file]


def _cut(group: FoundGroup, before: bytes, act: Callable[[str, int], str]) -> bytes:
    line = group.placed.positions.at().line
    mark = b"\xef\xbb\xbf" if before.startswith(b"\xef\xbb\xbf") else b""
    try:
        return mark + act(before.decode("utf-8-sig"), line).encode()
    except CannotEdit as why:
        raise _by_hand(group, str(why)) from None


def _by_hand(group: FoundGroup, why: str) -> Refused:
    place = group.placed.positions.at()
    what = f"the document of {group.name} cannot be changed automatically: {why}"
    remedy = f"Nothing was written. Change it by hand at {place}."
    return Refused("RCL6072", what, remedy, subject=group.name)


def _check_right(group: FoundGroup, after: bytes, today: date) -> None:
    """Raises `PolicyError` with what would be wrong that is not wrong now."""
    reading = read_texts({**group.policies.texts, group.file: after}, FOLDER)
    if reading.policies is None:
        raise PolicyError(reading.diagnostics)
    known = {(each.code, each.message) for each in _errors(group.policies.policies, today)}
    new = [each for each in _errors(reading.policies, today) if (each.code, each.message) not in known]
    if new:
        raise PolicyError(new)


def _errors(policies: PolicySet, today: date) -> list[Diagnostic]:
    return [each for each in lint(policies, today) if each.severity is Severity.ERROR]


def _check_committed(group: FoundGroup) -> None:
    why = ""
    if not gitrepo.head(group.root):
        why = "it is in no commit"
    elif group.file in gitrepo.changed_files(group.root, FOLDER, {group.file}):
        why = f"{group.file} has changes that are not committed"
    if why:
        what = f"the document of {group.name} is not removed: {why}, so Git could not bring it back"
        raise Refused("RCL6073", what, "Commit the file first, or remove the document by hand.", subject=group.name)
