"""Comparing: two states of the policies, from Git, folders or files -> what differs, and who approved it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from reconciler import gitrepo
from reconciler.control.approving.authors_by_field import Blame, blame, lazily, onward, taken_back, unbrought
from reconciler.control.approving.authorship import wrote
from reconciler.control.approving.rules import (
    ApprovalRules,
    approved,
    besides,
    covering,
    removals,
)
from reconciler.control.planning.without_servers import Sight, desired_offline
from reconciler.control.policy_folder import checked_out, names_of
from reconciler.control.policy_states import State, changed, judges_of, side_of, text_of
from reconciler.control.state.committed_files import check_not_brought
from reconciler.errors import Diagnostic, Severity
from reconciler.expressions import evaluate
from reconciler.model import ClusterSnapshot
from reconciler.model.comparison import Comparison, CoverageShift, DocumentChange
from reconciler.model.documents import ApprovalDocument, GuardrailDocument, Placed, PolicySet, SiteDocument
from reconciler.plan import renamed_groups
from reconciler.plan.approval.guardrails import compared, guard, guard_documents
from reconciler.plan.review.compare import coverage_shifts, deletions
from reconciler.plan.review.signers import KIND, in_use


class ComparisonOptions(msgspec.Struct, frozen=True):
    """What a comparison looks at besides the two states."""

    authors: tuple[str, ...] = ()
    clusters: Mapping[str, ClusterSnapshot] | None = None
    today: date | None = None


def compare(root: Path, older: State, newer: State, asked: ComparisonOptions) -> Comparison:
    """Everything that differs. Raises `Refused`, RCL3110, where the newer commit, or the one that is
    checked out, brings what is kept, not written."""
    for placed in (*older.policies.sites, *newer.policies.sites):
        check_not_brought(root, placed.document, newer.commit or None)
    changes = changed(older, newer)
    judged = _judged(root, older, newer, asked, changes)
    rules = (*newer.policies.guardrails, *_lost(older.policies, newer.policies))
    findings = [
        *deletions(changes, older.policies),
        *renamed_groups.in_comparison(changes, older.policies, newer.policies),
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


def _judged(
    root: Path, older: State, newer: State, asked: ComparisonOptions, changes: Sequence[DocumentChange]
) -> _Judged:
    covered: dict[str, dict[str, str]] = {}
    found: list[Diagnostic] = []
    hashes = frozenset(field.change_hash for change in changes for field in change.fields)
    courts = courts_of(root, older, newer, asked, changes)
    for site, court in courts.items():
        mine = [each for each in newer.policies.approvals if each.document.spec.site in (site, "") or len(courts) < 2]
        judged = approved(mine, court)
        covered[site] = covering(judged.approvals)
        found += [each for each in judged.said(hashes) if each not in found]
    return _Judged(covered, tuple(found))


def courts_of(
    root: Path, older: State, newer: State, asked: ComparisonOptions, changes: Sequence[DocumentChange]
) -> dict[str, ApprovalRules]:
    """What judges approvals of the changes, by site. By the rules of the older state, of each site by its own: a change
    cannot bring its own judge. What stood in the older state approves nothing that was changed since."""
    wrote_it = _authors(root, older, newer, asked)
    judges = {name: judges_of(older).get(name) for name in _sites(older.policies)} or {"": None}
    wrote_each = _wrote(root, older, newer, asked, changes)
    courts = {}
    for site, rules in judges.items():
        signers = older.read(rules.allowed_signers) if rules is not None and rules.allowed_signers else None
        signing = in_use(text_of(signers))
        courts[site] = ApprovalRules(
            site,
            rules,
            signing.encode() if signing is not None else None,
            wrote_it,
            asked.today or datetime.now(UTC).date(),
            older=frozenset(placed.document.spec.id for placed in older.policies.approvals),
            wrote=wrote_each,
            removals=removals(changes),
            unbrought=_unbrought(root, older, newer),
            taken_back=_taken_back(root, older, newer),
            unknown=_UNKNOWN if wrote_it is None else None,
        )
    return courts


def judged_by(change: DocumentChange, older: PolicySet, newer: PolicySet) -> tuple[str, ...]:
    """The sites of the older state by whose approvals the change is judged: its own, or all where it concerns all of
    them. One of them that names no approvers says no: nobody speaks for it but who is at its terminal."""
    there = _sites(older)
    own = [each for each in there if each in _sites_of(change, older, newer)]
    return tuple(own or there)


def _sites(policies: PolicySet) -> list[str]:
    return [placed.document.metadata.name for placed in policies.sites]


def _sites_of(change: DocumentChange, older: PolicySet, newer: PolicySet) -> set[str]:
    """Whose a document is. A group is its old site's, which loses it; an exclusion takes machines from each of its
    sites; a file of signers lets people sign in every site that names it."""
    if change.kind == "Site":
        return {change.formerly or change.name}
    if change.kind == KIND:
        every = (each.document for each in (*older.sites, *newer.sites))
        judging = ((each.metadata.name, each.spec.approvals) for each in every)
        return {site for site, rules in judging if rules is not None and rules.allowed_signers == change.name}
    named = {change.name, change.formerly}

    def of(policies: PolicySet) -> set[str]:
        groups = [
            (each.document.kind, each.document.metadata.name, each.document.spec.site) for each in policies.groups
        ]
        others = [
            (each.document.kind, each.document.metadata.name, each.document.spec.site) for each in policies.exclusions
        ]
        return {site for kind, name, site in (*groups, *others) if kind == change.kind and name in named}

    return of(older) | of(newer) if change.kind == "Exclusion" else of(older) or of(newer)


def _approved_by(
    changes: Iterable[DocumentChange], older: PolicySet, newer: PolicySet, judged: _Judged
) -> dict[str, str]:
    """Hash of each change that is approved -> the approval; of what concerns several sites, by all of them."""
    found: dict[str, str] = {}
    for change in changes:
        sites = judged_by(change, older, newer)
        for field in change.fields:
            names = [judged.covered[site].get(field.change_hash, "") for site in sites]
            if names and all(names):
                found[field.change_hash] = names[0]
    return dict(sorted(found.items()))


#: Why nobody knows who wrote what is compared: two folders have no commits, and a commit need not have an address.
_UNKNOWN = Diagnostic(
    "RCL3035",
    Severity.WARNING,
    "no commit of it has an address of its author, and Git has none of whoever is at work (`user.email`)",
    "Compare commits that have an address. Of two folders name who wrote what differs: `--author EMAIL`.",
)


def _authors(root: Path, older: State, newer: State, asked: ComparisonOptions) -> frozenset[str] | None:
    """Who wrote the change: by its commits, and whom the command names; without commits whom it names, else whoever is
    at work."""
    own = gitrepo.identity(root)
    if not older.commit:
        return frozenset(asked.authors or ({own} if own else ())) or None
    found = frozenset(asked.authors) | (frozenset() if newer.commit else {own})
    found |= wrote(root, side_of(older), side_of(newer))
    return found if found - {""} else None


def _wrote(
    root: Path, older: State, newer: State, asked: ComparisonOptions, changes: Iterable[DocumentChange]
) -> Callable[[str], frozenset[str] | None]:
    """Who wrote a change, by its hash; None where that cannot be told."""
    by_hash = {field.change_hash: (change, field.field) for change in changes for field in change.fields}

    def look() -> Blame | None:
        if not older.commit:
            return None
        found = blame(root, older.commit, newer.commit or gitrepo.head(root))
        if found is None or newer.commit:
            return found
        return onward(found, root, newer, frozenset({gitrepo.identity(root)}) - {""})

    found = lazily(look)

    def of(digest: str) -> frozenset[str] | None:
        own = by_hash.get(digest)
        told = found() if own is not None else None
        return told.wrote(*own) if told is not None and own is not None else None

    return besides(of, frozenset(asked.authors))


def _unbrought(root: Path, older: State, newer: State) -> Callable[[Placed[ApprovalDocument]], str]:
    """Why an approval was not brought by its approver. Two folders have no commits: then that cannot be asked."""

    def why(placed: Placed[ApprovalDocument]) -> str:
        if not older.commit and not newer.commit:
            return ""
        at_work = checked_out(root)[1] if not newer.commit else frozenset()
        return unbrought(root, newer.commit, placed.document.spec, _paths(newer, placed), at_work)

    return why


def _taken_back(root: Path, older: State, newer: State) -> Callable[[Placed[ApprovalDocument]], str]:
    """Why an approval counts no more: it was removed in the past of one side or the other."""

    def why(placed: Placed[ApprovalDocument]) -> str:
        if not older.commit and not newer.commit:
            return ""
        return taken_back(root, older.commit, newer.commit, placed.document.spec, _paths(newer, placed))

    return why


def _paths(state: State, placed: Placed[ApprovalDocument]) -> frozenset[str]:
    """The file of an approval, and the links that lead to it."""
    name = placed.positions.at().file
    return names_of(each for each in state.sources if each.name == name) or frozenset({name})


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
        found += coverage_shifts(before, after, here)
    return tuple(found)


def _site(policies: PolicySet, name: str) -> SiteDocument | None:
    return next((each.document for each in policies.sites if each.document.metadata.name == name), None)
