"""Comparing: two states of the policies, from Git, folders or files -> what differs, and who approved it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from reconciler import files, gitrepo
from reconciler.control.approvals import Court, approved, covering
from reconciler.control.authorship import Side, wrote
from reconciler.control.offline import Sight, desired_offline
from reconciler.control.policies import FOLDER
from reconciler.errors import Diagnostic, PolicyError, Severity, UsageError
from reconciler.expressions import evaluate
from reconciler.model import ClusterSnapshot
from reconciler.model.comparison import Comparison, CoverageShift, DocumentChange
from reconciler.model.documents import Approvals, GuardrailDocument, Placed, PolicySet, SiteDocument
from reconciler.parse import FolderTree, PolicyFile, Reading, read_one, read_texts, read_tree
from reconciler.plan import compare as plan_compare
from reconciler.plan.compare import deletions, shifts
from reconciler.plan.guard import compared, guard, guard_documents
from reconciler.plan.signers import in_use, signer_changes
from reconciler.protocols.tree import Tree

_LARGEST = 8 * 1024 * 1024
_EMPTY = PolicySet((), (), ())


class State(msgspec.Struct, frozen=True):
    """One state of the policies: what it is called, its files with the links that lead to them, the commit if it is
    one. `read` gives another file of the same state, by its path from the root."""

    called: str
    sources: tuple[PolicyFile, ...]
    policies: PolicySet
    read: Callable[[str], bytes | None]
    commit: str = ""


class Asked(msgspec.Struct, frozen=True):
    """What a comparison looks at besides the two states."""

    authors: tuple[str, ...] = ()
    clusters: Mapping[str, ClusterSnapshot] | None = None
    today: date | None = None


def read_state(root: Path, what: str, *, may_be_empty: bool = False) -> State:
    """A folder, a file, or a revision. Raises `PolicyError` with every mistake of it; with `may_be_empty` a state
    without any policy document counts as an empty one, so that a first commit can be compared."""
    path = (root / what) if not Path(what).is_absolute() else Path(what)
    if path.exists() and not _is_path(what) and gitrepo.is_revision(root, what):
        raise UsageError(
            "RCL0018",
            f"{what!r} is a Git revision and a folder or file here",
            f"Write ./{what} for what lies here. A revision that is also a path is not compared: a change could bring "
            "a folder of that name.",
            subject=what,
        )
    if path.is_file():
        return _state(what, read_texts({path.name: _bytes(path)}, what), _no_others)
    tree: Tree
    folder, commit = FOLDER, ""
    if path.is_dir():
        within = path.name == FOLDER or not (path / FOLDER).is_dir()
        tree, folder = (FolderTree(path.parent), path.name) if within else (FolderTree(path), FOLDER)
    else:
        commit = gitrepo.resolve(root, what)
        tree = gitrepo.CommitTree(root, commit)
    others = partial(read_one, tree, largest=_LARGEST)
    try:
        return _state(what, read_tree(tree, folder, what), others, commit)
    except PolicyError as error:
        if not may_be_empty or error.diagnostics[0].code not in ("RCL1001", "RCL1003"):
            raise
        return State(what, (), _EMPTY, others, commit)


def _is_path(what: str) -> bool:
    """Whether it is written as no revision can be."""
    return what in (".", "..") or what.startswith(("./", "../", "/", ".\\", "..\\")) or Path(what).is_absolute()


def _state(called: str, reading: Reading, others: Callable[[str], bytes | None], commit: str = "") -> State:
    if reading.policies is None:
        raise PolicyError([each for each in reading.diagnostics if each.severity is Severity.ERROR])
    return State(called, reading.sources, reading.policies, others, commit)


def _no_others(path: str) -> bytes | None:
    return None


def compare(root: Path, older: State, newer: State, asked: Asked) -> Comparison:
    """Everything that differs."""
    changes = (*plan_compare(older.policies, newer.policies), *_signers(older, newer))
    judged = _judged(root, older, newer, asked)
    rules = (*newer.policies.guardrails, *_lost(older.policies, newer.policies))
    findings = [
        *deletions(changes, older.policies),
        *guard_documents(newer.policies, evaluate),
        *guard(rules, compared(changes, older.policies, newer.policies), evaluate),
        *judged.findings,
    ]
    return Comparison(
        older.called,
        newer.called,
        changes,
        _approved_by(changes, older.policies, newer.policies, judged),
        _shifts(older.policies, newer.policies, asked.clusters),
        tuple(findings),
    )


def _signers(older: State, newer: State) -> Iterator[DocumentChange]:
    """The files of allowed signers are documents of the guard: how each differs that the older state judges by."""
    now = {placed.document.metadata.name: placed.document.spec.approvals for placed in newer.policies.sites}
    seen = set()
    for site, rules in judges_of(older).items():
        later = now.get(site)
        if rules.allowed_signers is None or later is None or later.allowed_signers is None:
            continue
        pair = (rules.allowed_signers, later.allowed_signers)
        before, after = _text(older.read(pair[0])), _text(newer.read(pair[1]))
        change = signer_changes(pair[1], before, after) if pair not in seen else None
        seen.add(pair)
        if change is not None:
            yield change


def _text(data: bytes | None) -> str | None:
    return data.decode("utf-8", "replace") if data is not None else None


def _lost(older: PolicySet, newer: PolicySet) -> list[Placed[GuardrailDocument]]:
    """Rules over changes that the newer state no longer has still look at the change that removes them."""
    names = {placed.document.metadata.name for placed in newer.guardrails}
    return [
        placed
        for placed in older.guardrails
        if placed.document.metadata.name not in names and placed.document.spec.match.operations
    ]


# --- Approvals -------------------------------------------------------------------------------------------------


class _Judged(msgspec.Struct, frozen=True):
    """What counts for each site that judges: hash -> name of the approval; and what does not count."""

    covered: dict[str, dict[str, str]]
    findings: tuple[Diagnostic, ...]


def _judged(root: Path, older: State, newer: State, asked: Asked) -> _Judged:
    """Judged by the rules of the older state, of each site by its own: a change cannot bring its own judge. What stood
    in the older state approves nothing that was changed since."""
    today = asked.today or datetime.now(UTC).date()
    wrote_it = _authors(root, older, newer, asked)
    before = frozenset(placed.document.spec.id for placed in older.policies.approvals)
    covered: dict[str, dict[str, str]] = {}
    found: list[Diagnostic] = []
    judges = judges_of(older)
    for site, rules in judges.items() or {"": None}.items():
        signers = older.read(rules.allowed_signers) if rules is not None and rules.allowed_signers else None
        signing = in_use(_text(signers))
        court = Court(site, rules, signing.encode() if signing is not None else None, wrote_it, today, older=before)
        mine = [each for each in newer.policies.approvals if each.document.spec.site in (site, "") or len(judges) < 2]
        counting, wrong = approved(mine, court)
        covered[site] = covering(counting)
        found += [each for each in wrong if each not in found]
    return _Judged(covered, tuple(found))


def judged_by(change: DocumentChange, older: PolicySet, newer: PolicySet, judges: Iterable[str]) -> tuple[str, ...]:
    """The sites by whose approvals the change is judged: its own, or all where it concerns all of them."""
    own = _site_of(change, older) or _site_of(change, newer)
    every = tuple(judges)
    return (own,) if own in every else every


def _site_of(change: DocumentChange, policies: PolicySet) -> str:
    if change.kind == "Site":
        return change.formerly or change.name
    named = {change.name, change.formerly}
    groups = [(each.document.kind, each.document.metadata.name, each.document.spec.site) for each in policies.groups]
    others = [
        (each.document.kind, each.document.metadata.name, each.document.spec.site) for each in policies.exclusions
    ]
    return next((site for kind, name, site in (*groups, *others) if kind == change.kind and name in named), "")


def _approved_by(
    changes: Iterable[DocumentChange], older: PolicySet, newer: PolicySet, judged: _Judged
) -> dict[str, str]:
    """Hash of each change that is approved -> the approval; of what concerns several sites, by all of them."""
    found: dict[str, str] = {}
    for change in changes:
        sites = judged_by(change, older, newer, judged.covered)
        for field in change.fields:
            names = [judged.covered[site].get(field.change_hash, "") for site in sites]
            if names and all(names):
                found[field.change_hash] = names[0]
    return dict(sorted(found.items()))


def _authors(root: Path, older: State, newer: State, asked: Asked) -> frozenset[str] | None:
    """Who wrote the change: by its commits, else whom the command names, else whoever is at work."""
    if asked.authors:
        return frozenset(asked.authors)
    own = gitrepo.identity(root)
    if not older.commit:
        return frozenset({own}) if own else None
    found = frozenset() if newer.commit else frozenset({own})
    found |= wrote(root, side_of(older), side_of(newer))
    return found - {""} or None


def side_of(state: State) -> Side:
    """The state as authorship sees it: with all the files that it is made of."""
    files = {path for source in state.sources for path in (source.name, *source.links)}
    signers = {rules.allowed_signers for rules in judges_of(state).values() if rules.allowed_signers is not None}
    return Side(state.commit, state.policies, frozenset(files | signers))


def judges_of(older: State) -> dict[str, Approvals]:
    """The approval rules of each site of a state that has some."""
    every = (placed.document for placed in older.policies.sites)
    return {each.metadata.name: each.spec.approvals for each in every if each.spec.approvals is not None}


# --- Coverage --------------------------------------------------------------------------------------------------


def _shifts(
    older: PolicySet, newer: PolicySet, clusters: Mapping[str, ClusterSnapshot] | None
) -> tuple[CoverageShift, ...] | None:
    if clusters is None:
        return None
    machines = {str(machine.source(name)): machine.name for name, seen in clusters.items() for machine in seen.machines}
    found: list[CoverageShift] = []
    names = {placed.document.metadata.name for policies in (older, newer) for placed in policies.sites}
    for name in sorted(names):
        old, new = _site(older, name), _site(newer, name)
        base = new or old
        if base is None:
            continue
        mine = {each.name for site in (old, new) if site is not None for each in site.spec.clusters}
        seen = {cluster: snapshot for cluster, snapshot in clusters.items() if cluster in mine}
        here = {source: called for source, called in machines.items() if source.partition("/")[0] in mine}
        now = datetime.now(UTC)
        today = now.astimezone(ZoneInfo(base.spec.time_zone)).date()
        before = desired_offline(older, Sight(old or base, seen, now, today))
        after = desired_offline(newer, Sight(new or base, seen, now, today))
        found += shifts(before, after, here)
    return tuple(found)


def _site(policies: PolicySet, name: str) -> SiteDocument | None:
    return next((each.document for each in policies.sites if each.document.metadata.name == name), None)


# --- Files -----------------------------------------------------------------------------------------------------


def _bytes(path: Path) -> bytes:
    try:
        with files.open_regular(path) as file:
            return file.read(_LARGEST)
    except OSError as error:
        what = f"{path} cannot be read: {error.strerror or error}"
        raise UsageError("RCL0009", what, "Name a folder, a file or a revision.", subject=str(path)) from error
