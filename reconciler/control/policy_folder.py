"""The policy folder over time: what it says now, and the last time it was right."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from reconciler import files, gitrepo
from reconciler.control.error_boundary import Bounds
from reconciler.errors import Diagnostic, PolicyError, ReconcilerError
from reconciler.model.documents import Approvals, PolicySet
from reconciler.parse import (
    FolderTree,
    PolicyFile,
    Reading,
    find_policy_files,
    read_policies,
    read_policy_files,
    read_texts,
)
from reconciler.parse.load import LARGEST_FILE
from reconciler.protocols import Tree

FOLDER = "policies"
KEPT_IN = ".reconciler"


class Policies(msgspec.Struct, frozen=True):
    """What was read. `current` is False when the folder is wrong now and these are the last good ones:
    enough to go on with jobs, never to change anything. `texts` is what was read of each file, `seen` what the
    diagnostics are about; `kept` is False where they could not be kept for a day on which the folder is wrong.
    `commit` is where they come from, "" for the folder."""

    policies: PolicySet
    current: bool
    diagnostics: tuple[Diagnostic, ...]
    texts: Mapping[str, bytes]
    kept: bool = True
    commit: str = ""
    seen: Mapping[str, bytes] = {}


def read_good(root: Path) -> Policies:
    """The policies of the root; raises `PolicyError` with every mistake."""
    reading = read_policies(root, FOLDER)
    if reading.policies is None:
        raise PolicyError(reading.diagnostics, reading.texts)
    return Policies(reading.policies, True, reading.diagnostics, reading.texts, seen=reading.texts)


def read_or_last_good(root: Path, *, reading: bool = False) -> Policies:
    """The policies, kept for later; or, where they are wrong now, the last good ones with what is wrong. Who is only
    `reading` keeps them where that can be.

    Raises `PolicyError` when they are wrong and no good ones were ever kept.
    """
    good = look_at_policies(root)
    if not good.current:
        return good
    bounds = Bounds(root)
    with bounds.about("keeping the policies for a day on which they are wrong"):
        _keep(root, good.texts)
    found = () if reading else bounds.findings
    return msgspec.structs.replace(good, diagnostics=(*good.diagnostics, *found), kept=not found)


def look_at_policies(root: Path) -> Policies:
    """The same, and nothing is kept, so that nothing is written."""
    good = None
    bounds = Bounds(root)
    with bounds.about("the policies"):
        good = read_good(root)
    if good is not None:
        return good
    kept = _kept(root)
    if kept is None or kept.policies is None:
        raise bounds.troubles[0]
    wrong = bounds.troubles[0]
    seen = wrong.texts if isinstance(wrong, PolicyError) else {}
    return Policies(kept.policies, False, bounds.findings, kept.texts, seen=seen)


def tree_of(root: Path, commit: str = "") -> Tree:
    """The folder as it is; of a `commit` what it has there."""
    return gitrepo.CommitTree(root, commit) if commit else FolderTree(root)


def policy_files(root: Path, commit: str = "") -> tuple[PolicyFile, ...]:
    """The files that are read as policies, each with the links that lead to it; () where that cannot be told."""
    try:
        return find_policy_files(tree_of(root, commit), FOLDER).files
    except PolicyError:
        return ()


def names_of(found: Iterable[PolicyFile]) -> frozenset[str]:
    """The names of files and of the links that lead to them, from the root. Whoever changes one of these changes the
    policies."""
    return frozenset(path for each in found for path in (each.name, *each.links))


def checked_out(root: Path, rules: Iterable[Approvals | None] = (), commit: str = "") -> tuple[str, frozenset[str]]:
    """The commit that is checked out ("" outside of a repository, and before its first commit), and the files of the
    policies that it does not have as they are, whatever Git was told to ignore; with those of the allowed signers that
    the `rules` name. Where the policies were read from a `commit`, that one, which has them all. Raises as
    `gitrepo.head` and `gitrepo.changed_files` do."""
    if commit:
        return commit, frozenset()
    commit = gitrepo.head(root)
    named = (each.allowed_signers for each in rules if each is not None and each.allowed_signers is not None)
    signers = {posixpath.normpath(path) for path in named}
    read = names_of(policy_files(root)) | {path for path in signers if (root / path).exists()}
    if not commit:
        return "", read if gitrepo.is_repository(root) else frozenset()
    return commit, frozenset(gitrepo.changed_files(root, FOLDER, read))


def noted_commit(root: Path, rules: Iterable[Approvals | None] = (), commit: str = "") -> tuple[str, frozenset[str]]:
    """The same for the record alone: where Git cannot be asked no commit is noted, and the work goes on without. Who
    may approve is never told by this."""
    try:
        gitrepo.head(root)
    except ReconcilerError:
        return "", frozenset()
    return checked_out(root, rules, commit)


def fingerprint(root: Path) -> str:
    """A hash of what readers see of the folder: names and content of its policy files, and what is wrong with finding
    them; "" where it cannot be read."""
    tree = FolderTree(root)
    try:
        found = find_policy_files(tree, FOLDER)
    except PolicyError:
        return ""
    texts, unreadable = read_policy_files(tree, found, LARGEST_FILE + 1)
    return _digest(texts, "".join(f"{each}\n" for each in (*found.diagnostics, *unreadable)))


def _digest(texts: Mapping[str, bytes], told: str = "") -> str:
    digest = hashlib.sha256(told.encode("utf-8", "surrogateescape"))
    for name in sorted(texts):
        digest.update(os.fsencode(name) + b"\0")
        digest.update(hashlib.sha256(texts[name]).digest())
    return digest.hexdigest()[:16]


#: The list of a copy's files, by name, each ended by NUL: what was read may lie in hidden folders, or behind links,
#: and the copy is not searched again.
_LIST = "files"

_COPY = re.compile(r"last-good-[0-9a-f]{16}")


def _keep(root: Path, texts: Mapping[str, bytes]) -> None:
    """Copies what was read under a name of its content, then points at the copy."""
    pointer = root / KEPT_IN / "last-good"
    name = f"last-good-{_digest(texts)}"
    if _pointed(root) == name:
        return
    copy = root / KEPT_IN / name
    for path, data in texts.items():
        target = copy / FOLDER / path
        files.make_folder(target.parent)
        files.write_whole(target, data)
    files.write_whole(copy / _LIST, b"".join(os.fsencode(path) + b"\0" for path in sorted(texts)))
    files.write_whole(pointer, name.encode())
    for old in pointer.parent.glob("last-good-*"):
        if old.name != name:
            files.remove_folder(old)


def _pointed(root: Path) -> str:
    """The name of the copy that counts; "" where none is named, or what is there is no such name."""
    try:
        name = files.read_regular(root / KEPT_IN / "last-good", 64).decode("ascii").strip()
    except (OSError, ValueError):
        return ""
    return name if _COPY.fullmatch(name) else ""


def _kept(root: Path) -> Reading | None:
    """The last good policies, if they are as they were kept: a copy that does not have its own hash is none."""
    name = _pointed(root)
    if not name:
        return None
    copy = root / KEPT_IN / name
    try:
        if not (copy / _LIST).exists():  # of version 0.1
            return read_policies(copy, FOLDER)
        listed = [os.fsdecode(path) for path in files.read_regular(copy / _LIST).split(b"\0") if path]
        texts = {path: files.read_regular(copy / FOLDER / path) for path in listed}
        return read_texts(texts, FOLDER) if name == f"last-good-{_digest(texts)}" else None
    except (OSError, ValueError, PolicyError):
        return None
