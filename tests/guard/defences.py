"""How a defence is taken out, one function each: what it keeps out then gets through, or the defence is not one."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from reconciler import gitrepo
from reconciler.cli.actions import apply
from reconciler.cli.actions import evidence as evidence_command
from reconciler.control import policy_states
from reconciler.control import review as comparing
from reconciler.control.approving import (
    agreement,
    authors_by_field,
    authorship,
    rules,
    site_guard,
    used_approvals,
    valid_approvals,
)
from reconciler.control.planning import propose as proposing
from reconciler.control.state import committed_files, restore
from reconciler.gitrepo import history
from reconciler.model import Direction, Plan
from reconciler.parse import policy_files, read, read_tree, text
from reconciler.parse.load import load
from reconciler.plan import pipeline
from reconciler.plan.approval import guardrails, recompute
from reconciler.plan.fields import FIELDS, of_release
from reconciler.plan.review import field_rules, settled_guard, signers
from reconciler.state import chain

#: Takes it out for as long as the stack is open.
Out = Callable[[ExitStack], None]


def both(*outs: Out) -> Out:
    """Where two defences cover each other."""

    def out(stack: ExitStack) -> None:
        for each in outs:
            each(stack)

    return out


def put(where: Any, name: str, value: Any) -> Out:
    return lambda stack: stack.enter_context(patch.object(where, name, value))


def everywhere(what: Any, instead: Any) -> Out:
    """In every module that has it under any name."""

    def out(stack: ExitStack) -> None:
        for called, module in list(sys.modules.items()):
            if called.startswith("reconciler"):
                for name, value in list(vars(module).items()):
                    if value is what:
                        stack.enter_context(patch.object(module, name, instead))

    return out


@contextmanager
def _forced(frozen: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(frozen, name)
    msgspec.structs.force_setattr(frozen, name, value)
    try:
        yield
    finally:
        msgspec.structs.force_setattr(frozen, name, before)


def _neutral(*words: Any) -> Direction:
    return Direction.NEUTRAL


#: Whose act an approval is: it stands behind many others, so it is taken out with them.
UNBROUGHT = both(*(put(door, "unbrought", lambda *words: "") for door in (comparing, valid_approvals)))


def unweighed(kind: str, path: str) -> Out:
    """The rule of one field: a change of it is neither stronger nor weaker."""

    def out(stack: ExitStack) -> None:
        found = [rule for rule in field_rules.RULES[kind] if rule.path == path]
        if kind == "ProtectionGroup":
            found += [field for field in FIELDS if f"spec.{field.path}" == path]  # type: ignore[misc]
        assert found
        for each in found:
            stack.enter_context(_forced(each, "weigh", _neutral))

    return out


#: That a virtual machine is let go of weakens.
RELEASES = everywhere(of_release, _neutral)
MEMBERS = both(RELEASES, unweighed("ProtectionGroup", "spec.members"))
RETENTION = unweighed("ProtectionGroup", "spec.shortTerm.retention")


def made(kind: str, table: Mapping[str, Direction]) -> Out:
    """What a document that is new, or gone, does."""
    return lambda stack: stack.enter_context(patch.dict(table, {kind: Direction.NEUTRAL}))


# --- Enumeration -----------------------------------------------------------------------------------------------


def review_alone(out: Out) -> Out:
    """For the reader of what is compared, while the loop reads as ever: what one sees and another does not."""
    real = read_tree

    def reading(*words: Any) -> Any:
        with ExitStack() as stack:
            out(stack)
            return real(*words)

    return put(policy_states, "read_tree", reading)


def _names(*endings: str) -> Out:
    return put(policy_files, "is_policy_name", lambda name: name.endswith(endings))


def _dot_files(stack: ExitStack) -> None:
    real = policy_files._Walk._entry

    def entry(self: Any, path: str, found: Any, depth: int) -> None:
        real(self, path, msgspec.structs.replace(found, name=found.name.lstrip(".")), depth)

    stack.enter_context(patch.object(policy_files._Walk, "_entry", entry))


def _beginnings(stack: ExitStack) -> None:
    real = policy_files.read_policy_files

    def cut(*words: Any) -> Any:
        texts, wrong = real(*words)
        return {name: data[:4096] for name, data in texts.items()}, wrong

    stack.enter_context(patch.object(read, "read_policy_files", cut))


CASE_OF_ENDINGS = review_alone(_names(".yaml", ".yml"))
LINKS = review_alone(put(policy_files._Walk, "_link", lambda *words: None))
DOT_FILES = review_alone(_dot_files)
OTHER_ENDINGS = review_alone(_names(".yaml", ".yml", ".yaml.txt"))
WHOLE_FILES = review_alone(_beginnings)


# --- Authorship and Git ----------------------------------------------------------------------------------------


def _commits(change: Callable[[list[gitrepo.Commit], Path], list[gitrepo.Commit]]) -> Out:
    real = gitrepo.commits
    return put(gitrepo, "commits", lambda folder, older, newer: change(real(folder, older, newer), folder))


def _without(**fields: Any) -> Out:
    return _commits(lambda found, folder: [msgspec.structs.replace(each, **fields) for each in found])


def _last_of_each(found: list[gitrepo.Commit], folder: Path) -> list[gitrepo.Commit]:
    """As `git log -1 -- FILE` has it."""
    last = {path: commit.id for commit in found for path in commit.paths}
    return [
        msgspec.structs.replace(each, paths=frozenset(path for path in each.paths if last[path] == each.id))
        for each in found
    ]


def _those_there(found: list[gitrepo.Commit], folder: Path) -> list[gitrepo.Commit]:
    there = [frozenset(path for path in each.paths if (folder / path).exists()) for each in found]
    return [msgspec.structs.replace(each, paths=paths) for each, paths in zip(found, there, strict=True)]


_ROBOT = frozenset({"robot@corp.example"})
_wrote = authorship.wrote
AUTHORS = put(comparing, "wrote", lambda *words: _ROBOT)
#: That an approval of what nobody wrote does not count.
SOMEBODY = put(comparing, "wrote", lambda *words: _wrote(*words) or _ROBOT)
#: Who brought an approval, and who changed just the document that it is about.
BROUGHT = everywhere(authors_by_field.unbrought, lambda *words: "")
#: That an approval which some commit removed counts no more.
TAKEN_BACK = everywhere(authors_by_field.taken_back, lambda *words: "")
#: That an approval which stood in the settled commit covers nothing that was written since.
SETTLED_COMMIT = put(valid_approvals, "_since", lambda *words: lambda approval: frozenset())
#: That a branch which was set back behind the settled commit has nobody for its author.
HISTORY = put(valid_approvals, "_check_history", lambda *words: None)
#: That those whom Git tells stay, whoever else is named.
TOLD_BY_GIT = put(valid_approvals, "_authors", lambda *words: frozenset())
#: That a repository which cannot be read is not taken for none.
THERE = put(valid_approvals, "_uncommitted", lambda *words: None)
BLAMED = everywhere(authors_by_field.blame, lambda *words: None)
_alone = authorship._approvals_alone
OLDER_SIDE = both(put(authorship, "_approvals_alone", lambda older, newer: _alone(authorship.EMPTY, newer)), UNBROUGHT)
MIXED_FILES = both(
    put(
        authorship,
        "_approvals_alone",
        lambda older, newer: frozenset(placed.positions.at().file for placed in newer.approvals),
    ),
    UNBROUGHT,
)
LETTER_CASE = put(rules, "fold", lambda name: name)
COMMITTERS = _commits(lambda found, folder: [msgspec.structs.replace(each, committer=each.author) for each in found])
CO_AUTHORS = _without(co_authors=())
EVERY_COMMIT = _commits(_last_of_each)
BOTH_NAMES = _commits(_those_there)
MERGES = put(history, "_merged", lambda *words: frozenset())


def _as_git_tells(folder: Path, older: str, newer: str) -> list[gitrepo.Commit]:
    """What `git log` shows with the repository's own settings: mailmap, replaced commits, grafts, attributes."""
    span = f"{older}..{newer}" if older else newer
    told = subprocess.run(
        ("git", "-C", str(folder), "log", "--use-mailmap", "--numstat", "--format=%x00%H%x01%aE%x01%cE%x01", span),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = []
    for part in told.split("\0")[1:]:
        name, author, committer, files = part.split("\x01")
        lines = [line.split("\t") for line in files.strip().splitlines()]
        paths = frozenset(path for added, _, path in lines if added != "-")
        found.append(gitrepo.Commit(name, author, committer, paths))
    return found


OWN_WORD = put(gitrepo, "commits", _as_git_tells)
#: That what lies beside a database is a part of it, and that file systems take other names for ours.
BESIDE = put(committed_files, "_means", lambda name, want: name == want.names[0])
#: And who brought an approval, who is asked about one that is not committed too.
WORK_TREE = both(put(gitrepo, "changed_files", lambda *words: set()), UNBROUGHT)


# --- Signers, replay -------------------------------------------------------------------------------------------

IN_FORCE = put(settled_guard, "in_force", lambda before, after, agreed, path: after)
_keys = signers.keys
#: A line is told apart by more than the person that it is of.
WHOLE_LINES = put(signers, "keys", lambda said: {line.split()[0]: line for line in _keys(said).values()})


def _older_is_unknown(stack: ExitStack) -> None:
    real = rules.ApprovalRules

    def court(*words: Any, **named: Any) -> Any:
        return real(*words, **named | {"older": frozenset()})

    stack.enter_context(patch.object(comparing, "ApprovalRules", court))


def _judging(older: Any) -> tuple[str, ...]:
    """The sites that name approvers."""
    return tuple(each.document.metadata.name for each in older.sites if each.document.spec.approvals is not None)


USE = both(put(used_approvals, "_use", lambda *words: None), SETTLED_COMMIT)
OLDER_APPROVALS = _older_is_unknown
ELSEWHERE = both(put(rules, "_elsewhere", lambda spec, court: ""), UNBROUGHT)
#: That a site whose own approvers say nothing of a change is not spoken for by those of another.
OWN_JUDGES = put(comparing, "judged_by", lambda change, older, newer: _judging(older))
LASTING_AGREEMENT = put(apply, "AGREED_FOR", timedelta(days=3650))


def _unused(stack: ExitStack) -> None:
    """What became of an approval is looked up by its id, whatever it is called."""
    real = rules.approved

    def approved(placed: Iterable[Any], court: Any) -> Any:
        return real(placed, msgspec.structs.replace(court, uses={}))

    stack.enter_context(patch.object(valid_approvals, "approved", approved))


def _each_by_itself(stack: ExitStack) -> None:
    """Two documents of one id are two approvals."""
    real = rules.approved

    def approved(placed: Iterable[Any], court: Any) -> Any:
        each = [real([one], court) for one in placed]
        return rules.ValidApprovals(
            tuple(one for judged in each for one in judged.approvals),
            tuple(one for judged in each for one in judged.findings),
        )

    stack.enter_context(patch.object(valid_approvals, "approved", approved))


def _never_over(stack: ExitStack) -> None:
    real = rules.ApprovalRules

    def court(*words: Any, **named: Any) -> Any:
        made = real(*words, **named)
        return msgspec.structs.replace(made, today=made.today.replace(year=2000))

    stack.enter_context(patch.object(valid_approvals, "ApprovalRules", court))


USES_BY_ID = both(_unused, UNBROUGHT)
ONE_ID_ONE_APPROVAL = _each_by_itself
LAST_DAY = _never_over


# --- Saved plans -----------------------------------------------------------------------------------------------


def _believing(stack: ExitStack) -> None:
    """That a step is told by its action, and that what the file tells is held against it: here no step weakens."""
    stack.enter_context(patch.object(agreement, "told_otherwise", lambda plan: ()))
    real = recompute._change

    def change(action: Any) -> Any:
        found = real(action)
        fields = tuple(msgspec.structs.replace(each, direction=Direction.NEUTRAL) for each in found.fields)
        return msgspec.structs.replace(found, fields=fields, direction=Direction.NEUTRAL)

    stack.enter_context(patch.object(recompute, "_change", change))


def _from_the_file(*names: str) -> Out:
    """The fields of a change are those of the file."""

    def out(stack: ExitStack) -> None:
        real = recompute.anew

        def told(plan: Plan, *words: Any) -> Plan:
            found = real(plan, *words)
            steps = []
            for step, written in zip(found.steps, plan.steps, strict=True):
                fields = tuple(
                    msgspec.structs.replace(field, **{name: getattr(said, name) for name in names})
                    for field, said in zip(step.change.fields, written.change.fields, strict=True)
                )
                steps.append(msgspec.structs.replace(step, change=msgspec.structs.replace(step.change, fields=fields)))
            return msgspec.structs.replace(found, steps=tuple(steps))

        stack.enter_context(patch.object(agreement, "anew", told))

    return out


def _remembered_from_the_file(stack: ExitStack) -> None:
    real = recompute.anew

    def told(plan: Plan, *words: Any) -> Plan:
        found = real(plan, *words)
        steps = tuple(
            msgspec.structs.replace(step, remember=written.remember)
            for step, written in zip(found.steps, plan.steps, strict=True)
        )
        return msgspec.structs.replace(found, steps=steps)

    stack.enter_context(patch.object(agreement, "anew", told))


def _named_by_the_file(stack: ExitStack) -> None:
    real = recompute.anew
    stack.enter_context(
        patch.object(
            agreement, "anew", lambda plan, *words: msgspec.structs.replace(real(plan, *words), names=plan.names)
        )
    )


BY_ITS_ACTION = _believing
OWN_HASHES = _from_the_file("change_hash")
APPROVED_ANEW = both(_from_the_file("approved_by"), put(agreement, "_approved", lambda plan, approvals: plan))
REMEMBERED_ANEW = _remembered_from_the_file
NAMED_ANEW = _named_by_the_file


# --- Look-alikes -----------------------------------------------------------------------------------------------

_NOTHING = re.compile("(?!)")
LETTERS = both(put(text, "_REFUSED", _NOTHING), put(text, "_BLANK", _NOTHING))


def _as_it_looks(stack: ExitStack) -> None:
    """Addresses are compared by what they look like."""
    real = rules.refusal

    def refusal(spec: Any, court: Any) -> str:
        return real(msgspec.structs.replace(spec, approved_by=spec.approved_by.replace("\u0441", "c")), court)

    stack.enter_context(patch.object(rules, "refusal", refusal))


def _unknown_fields_are_passed_over(stack: ExitStack) -> None:
    real = policy_files.read_policy_files

    def without(*words: Any) -> Any:
        texts, wrong = real(*words)
        return {name: data.replace("r\u0440o: 24h, ".encode(), b"") for name, data in texts.items()}, wrong

    stack.enter_context(patch.object(read, "read_policy_files", without))


ADDRESSES = both(_as_it_looks, UNBROUGHT)
UNKNOWN_FIELDS = _unknown_fields_are_passed_over


# --- Guardrails, presets, evidence ------------------------------------------------------------------------------

#: That what makes no step waits, and that a rule is asked by the labels that a group had.
UNSTEPPED = put(pipeline, "unstepped", lambda *words: ())
LABELS_OF_BOTH = everywhere(guardrails.last_applied, lambda ledger: {})
SETTLED_EXCLUSIONS = put(site_guard, "exclusions_now", lambda guard, policies, site: policies.exclusions)
#: That a state which is restored knows what was used since.
#: That approvals which come with a change of who may approve are judged by the rules from before it.
#: That a server stays while a group on it is as it was; that a group with another name is not taken for a removed one.
RESTORED = put(restore, "_note_uses", lambda *words: None)
COUNTED = put(site_guard, "still_counting", lambda *words: {})
NEEDED = put(site_guard, "still_needed", lambda *words: {})
LATER_NAMES = both(
    put(site_guard, "owned_as", lambda *words: ""),
    put(proposing, "spared", lambda *words: frozenset()),
)
SETTLED_GUARDRAILS = put(site_guard, "guardrails_now", lambda guard, policies: policies.guardrails)


def presets_as_they_were(preset: str) -> Out:
    """Every preset says what the first one said, for whoever compares."""

    def out(stack: ExitStack) -> None:
        (document,), _ = load("preset.yaml", preset.encode())
        spec = document.root.child("spec")
        assert spec is not None
        real = read._with_presets

        def merged(document: Any, extends: Any, presets: Any, found: Any) -> Any:
            return real(document, extends, dict.fromkeys((each.value for each in extends), spec), found)

        stack.enter_context(patch.object(read, "_with_presets", merged))

    return review_alone(out)


def _unjoined(stack: ExitStack) -> None:
    """That each record names the one before it by its hash, and has the number that is due."""

    def follow(self: Any, record: Any, line: Any) -> None:
        self._advance(line, record.seq + 1)

    stack.enter_context(patch.object(chain._Walk, "_follow", follow))


JOINED = _unjoined
#: That the state knows where the evidence ends.
HEAD = put(evidence_command, "_trouble", lambda database: None)
ANCHOR = put(evidence_command, "read_sums", lambda path: {})
