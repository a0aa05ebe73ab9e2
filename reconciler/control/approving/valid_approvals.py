"""Judging: the approvals in the policy folder, and the site as it was last applied -> those that count for a plan.

As in `compare`, the older state judges (ADR 6): approvers and signers are those of the site that was last applied, so
that a change cannot bring its own judge. Whoever wrote the policies since then does not approve them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from reconciler import files, gitrepo
from reconciler.control.approving.authors_by_field import Blame, blame, onward, taken_back, unbrought
from reconciler.control.approving.authorship import EMPTY, Side, wrote
from reconciler.control.approving.rules import (
    ApprovalRules,
    ValidApprovals,
    approved,
    as_noted,
    besides,
    removals,
)
from reconciler.control.policy_folder import checked_out, names_of, policy_files, tree_of
from reconciler.control.policy_states import State, read_commit, side_of
from reconciler.control.site import Site
from reconciler.errors import ConsentNeeded, Diagnostic, PolicyError, ReconcilerError, Severity
from reconciler.model import LedgerEntry
from reconciler.model.comparison import DocumentChange
from reconciler.model.documents import (
    ApprovalDocument,
    Approvals,
    ExclusionDocument,
    GuardrailDocument,
    Placed,
    PolicySet,
    SiteDocument,
)
from reconciler.model.encode import decode
from reconciler.parse import FolderTree, read_one
from reconciler.parse.load import LARGEST_FILE
from reconciler.plan import compare as plan_compare
from reconciler.plan.approval.change_hashes import written_since
from reconciler.plan.review.settled_guard import Guard, guardrails_now
from reconciler.plan.review.settled_guard import changes as guard_changes
from reconciler.plan.review.signers import in_use
from reconciler.protocols import ApprovalUse


class LastAppliedSite(msgspec.Struct, frozen=True, rename="camel"):
    """The site as it was last applied, the commit of its policies, and the text of its allowed signers."""

    document: SiteDocument
    commit: str
    signers: str | None


class ApprovalContext(msgspec.Struct, frozen=True):
    """What is judged from: the root, the site as it is written now, what the ledger has of the site as it was last
    applied, the day in its zone, what became of approvals, by id, and what gives the ledger's groups. `commit` is that
    of the policies, "" where they are those of the work tree."""

    root: Path
    document: SiteDocument
    told: dict[str, Any] | None
    today: date
    uses: Mapping[str, ApprovalUse] = {}
    entries: Callable[[], Iterable[LedgerEntry]] = tuple
    commit: str = ""


def judge(bench: ApprovalContext, policies: PolicySet, authors: tuple[str, ...] = ()) -> ValidApprovals:
    """Which approvals count now. `authors` are named as having written the change too: besides those that Git tells,
    in their stead only where there is no Git."""
    if not policies.approvals:
        return ValidApprovals((), ())
    court = court_of(bench, policies, authors)
    others = {each.document.metadata.name for each in policies.sites} - {court.site}  # judged where they are run
    return approved((each for each in policies.approvals if each.document.spec.site not in others), court)


def court_of(bench: ApprovalContext, policies: PolicySet, authors: tuple[str, ...] = ()) -> ApprovalRules:
    """What approvals are judged by now."""
    known = _known(bench.told)
    rules = known.document.spec.approvals if known is not None else bench.document.spec.approvals
    signers = known.signers if known is not None else signers_text(bench, rules)
    blind = None
    try:
        changed = _uncommitted(bench, (rules, bench.document.spec.approvals))
    except ReconcilerError as error:
        changed, blind = frozenset(), error.diagnostic
    since = known.commit if known is not None else ""
    named = frozenset(authors)
    told = named if named and changed is None else _authors(bench, policies, since, changed)
    wrote, unknown = (None, told) if isinstance(told, Diagnostic) else (told | named, None)
    signing = in_use(signers)
    name = bench.document.metadata.name
    changes = _changes(bench, policies)
    return ApprovalRules(
        name,
        rules,
        signing.encode() if signing is not None else None,
        wrote,
        bench.today,
        changed or frozenset(),
        bench.uses,
        wrote=besides(_wrote(bench, policies, since, changed, changes), named),
        removals=removals(_of_the_guard(bench, policies)),
        unbrought=_unbrought(bench, changed),
        taken_back=_taken_back(bench, since, changed),
        since=_since(bench, policies, since, changes),
        blind=blind,
        unknown=unknown,
        counted=as_noted((bench.told or {}).get("counted", {}), policies.approvals),
    )


def open_hashes(bench: ApprovalContext, policies: PolicySet) -> frozenset[str]:
    """The hashes of what is written otherwise than it was last applied."""
    return frozenset(field.change_hash for change in _changes(bench, policies)() for field in change.fields)


def _changes(bench: ApprovalContext, policies: PolicySet) -> Callable[[], tuple[DocumentChange, ...]]:
    """How the documents differ from those that were last applied, with the hashes that approvals name."""

    @lru_cache(maxsize=1)
    def look() -> tuple[DocumentChange, ...]:
        told = _of_the_guard(bench, policies)
        usable = msgspec.structs.replace(policies, guardrails=guardrails_now(settled_guard(bench.told), policies))
        return (*told, *(change for each in (policies, usable) for change in written_since(each, bench.entries())))

    return look


def _of_the_guard(bench: ApprovalContext, policies: PolicySet) -> tuple[DocumentChange, ...]:
    settled = settled_guard(bench.told)
    return guard_changes(settled, written_guard(bench, policies)) if settled is not None else ()


def _wrote(
    bench: ApprovalContext,
    policies: PolicySet,
    since: str,
    uncommitted: frozenset[str] | None,
    changes: Callable[[], tuple[DocumentChange, ...]],
) -> Callable[[str], frozenset[str] | None]:
    """Who wrote a change, by its hash; None where that cannot be told."""
    root = bench.root

    @lru_cache(maxsize=1)
    def look() -> Blame | None:
        head = _head(bench) if uncommitted is not None else ""
        found = blame(root, since, head) if head else None
        if found is None or bench.commit:
            return found
        work = State("", policy_files(root), policies, partial(read_one, FolderTree(root), largest=LARGEST_FILE))
        return onward(found, root, work, frozenset({gitrepo.identity(root)} if uncommitted else ()) - {""})

    def of(digest: str) -> frozenset[str] | None:
        own = [(each, field.field) for each in changes() for field in each.fields if field.change_hash == digest]
        found = look() if own else None
        told = [found.wrote(*each) if found is not None else None for each in own]
        return frozenset().union(*(each for each in told if each)) if told and all(told) else None

    return of


def _head(bench: ApprovalContext) -> str:
    """The commit that is judged, with its past: the one that the policies were read from, else what is checked out."""
    return bench.commit or gitrepo.head(bench.root)


def _unbrought(bench: ApprovalContext, uncommitted: frozenset[str] | None) -> Callable[[Placed[ApprovalDocument]], str]:
    """Why an approval was not brought by its approver; outside of a repository that cannot be asked."""

    def why(placed: Placed[ApprovalDocument]) -> str:
        if uncommitted is None:
            return ""
        return unbrought(bench.root, bench.commit, placed.document.spec, _paths(bench, placed), uncommitted)

    return why


def _taken_back(
    bench: ApprovalContext, since: str, uncommitted: frozenset[str] | None
) -> Callable[[Placed[ApprovalDocument]], str]:
    """Why an approval counts no more: it was removed in the past of what is checked out, or of what was applied."""

    def why(placed: Placed[ApprovalDocument]) -> str:
        if uncommitted is None:
            return ""
        older = since if since and gitrepo.is_revision(bench.root, since) else ""
        return taken_back(bench.root, older, _head(bench), placed.document.spec, _paths(bench, placed))

    return why


def _since(
    bench: ApprovalContext, policies: PolicySet, commit: str, changes: Callable[[], tuple[DocumentChange, ...]]
) -> Callable[[str], frozenset[str]]:
    """What was written only after the site was settled at the commit, for an approval that stood in it: nothing waited
    then, so that what the approval was for had been done, or taken back."""

    @lru_cache(maxsize=1)
    def look() -> tuple[frozenset[str], frozenset[str]]:
        try:
            older = _then(bench.root, commit).policies if commit and policies.approvals else None
        except ReconcilerError:
            older = None
        if older is None:
            return frozenset(), frozenset()
        ids = frozenset(each.document.spec.id for each in older.approvals)
        return ids, _hashes_since(older, policies, changes()) if ids else frozenset()

    def later(approval: str) -> frozenset[str]:
        ids, hashes = look()
        return hashes if approval in ids else frozenset()

    return later


def _hashes_since(older: PolicySet, newer: PolicySet, changes: Iterable[DocumentChange]) -> frozenset[str]:
    """The hashes of what differs from what was last applied, without the fields of groups that are as they were in the
    older state: these were agreed to and could not be done yet. All else of an older state was settled with it."""
    then, now = ({each.document.metadata.name for each in side.groups} for side in (older, newer))
    since = {(each.name, field.field) for each in plan_compare(older, newer) for field in each.fields}
    return frozenset(
        field.change_hash
        for change in changes
        for field in change.fields
        if change.kind != "ProtectionGroup"
        or (change.name in then) != (change.name in now)
        or (change.name, field.field) in since
    )


def _paths(bench: ApprovalContext, placed: Placed[ApprovalDocument]) -> frozenset[str]:
    """The file of an approval, and the links that lead to it."""
    name = placed.positions.at().file
    return names_of(each for each in policy_files(bench.root, bench.commit) if each.name == name) or frozenset({name})


def bench_of(site: Site) -> ApprovalContext:
    """Where approvals are judged for a site that is open."""
    ledger, document = site.memory.ledger, site.written or site.document
    told = ledger.site_document()
    today = site.now().astimezone(zone_of(told, document)).date()
    uses = site.memory.approvals.all()
    return ApprovalContext(site.folder, document, told, today, uses, ledger.entries, site.commit)


def zone_of(told: dict[str, Any] | None, document: SiteDocument) -> ZoneInfo:
    """The zone whose days count: that of the site as it was last applied, before that of the one that is written."""
    known = _known(told)
    return ZoneInfo((known.document if known is not None else document).spec.time_zone)


def wants_approvers(site: Site) -> bool:
    """Whether what weakens needs an Approval: the site named approvers when it was last applied, or does where it never
    was. Approvers whom nobody agreed to yet approve nothing."""
    known = last_applied(site)
    return (known.document if known is not None else site.document).spec.approvals is not None


def settled_commit(site: Site) -> str:
    """The commit whose policies were last applied; "" for none."""
    known = last_applied(site)
    return known.commit if known is not None else ""


def last_applied(site: Site) -> LastAppliedSite | None:
    """The site as it was last applied; None before the first apply."""
    return _known(site.memory.ledger.site_document())


def _known(told: dict[str, Any] | None) -> LastAppliedSite | None:
    if told is None:
        return None
    return LastAppliedSite(site_as_told(told["document"]), told["commit"], told["signers"])


def site_as_told(told: dict[str, Any]) -> SiteDocument:
    """The Site that the state has. A list of approvers on which nobody stands, which could be settled once and nobody
    could change, counts as none: then a person in a terminal is asked."""
    spec = told["spec"]
    rules = spec.get("approvals")
    if rules is not None and not all([rules["approvers"], *rules["approvers"]]):
        kept = [each for each in rules["approvers"] if each]
        spec = spec | {"approvals": rules | {"approvers": kept} if kept else None}
    return decode(told | {"spec": spec}, SiteDocument)


def settled_guard(told: dict[str, Any] | None) -> Guard | None:
    """What was in force when the site was last settled; None before."""
    if told is None:
        return None
    rules = told.get("guardrails")
    guardrails = None if rules is None else tuple(decode(each, GuardrailDocument) for each in rules)
    spared = told.get("exclusions")
    exclusions = None if spared is None else tuple(decode(each, ExclusionDocument) for each in spared)
    return Guard(site_as_told(told["document"]), guardrails, told["signers"], exclusions)


def written_guard(bench: ApprovalContext, policies: PolicySet) -> Guard:
    """What the guard depends on, as it is written now."""
    rules = tuple(placed.document for placed in policies.guardrails)
    name = bench.document.metadata.name
    spared = tuple(each.document for each in policies.exclusions if each.document.spec.site == name)
    return Guard(bench.document, rules, signers_text(bench, bench.document.spec.approvals), spared)


def signers_text(bench: ApprovalContext, rules: Approvals | None) -> str | None:
    """The file of allowed signers that the rules name; None where there is none, or it cannot be read."""
    if rules is None or rules.allowed_signers is None:
        return None
    try:
        if bench.commit:
            data = read_one(tree_of(bench.root, bench.commit), rules.allowed_signers, largest=LARGEST_FILE)
            return data.decode() if data is not None else None
        return files.read_text(bench.root / rules.allowed_signers)
    except (OSError, UnicodeDecodeError):
        return None


def _uncommitted(bench: ApprovalContext, rules: Iterable[Approvals | None]) -> frozenset[str] | None:
    """The policy files that Git does not have as they are; None outside of every repository. Raises where one is there
    and cannot be asked."""
    return checked_out(bench.root, rules, bench.commit)[1] if gitrepo.is_repository(bench.root) else None


def _authors(
    bench: ApprovalContext, policies: PolicySet, since: str, changed: frozenset[str] | None
) -> frozenset[str] | Diagnostic:
    """Who wrote the policies since they were last applied, but for commits that only bring approvals; "" among them
    where one does not say whose it is. Where Git cannot tell: why, and what to do."""
    root = bench.root
    if changed is None:
        return Diagnostic(
            "RCL3035", Severity.WARNING, f"{str(root)!r} is in no Git repository, which tells that", _IN_A_CLONE
        )
    found = {gitrepo.identity(root)} if changed else set()
    try:
        _check_history(bench, since)
        older = _then(root, since) if since else Side("", EMPTY)
        newer = Side(bench.commit, policies, names_of(policy_files(root, bench.commit)))
        return frozenset(found | wrote(root, older, newer))
    except ReconcilerError as error:
        return error.diagnostic


_IN_A_CLONE = (
    "Run it in a clone of the policies' repository that has the whole history. By hand `reconciler apply --author "
    "EMAIL` says who wrote them."
)


def _check_history(bench: ApprovalContext, since: str) -> None:
    """Raises where the commit whose policies were last applied is not here, or not in the past of what is judged: then
    no commit says who took its work back."""
    root = bench.root
    if not since or gitrepo.is_shallow(root):
        return
    if gitrepo.is_revision(root, since):
        if not gitrepo.is_ancestor(root, since, _head(bench)):
            raise ConsentNeeded(
                "RCL0016",
                f"the commit {since[:12]}, whose policies were last applied, is not in the history of what is checked "
                "out: the branch was reset or rewritten, so who wrote the differences is unknown",
                f"Merge it (`git merge {since[:12]}`), and make what weakens by a commit of its own.",
                subject=str(root),
            )
        return
    raise ConsentNeeded(
        "RCL0016",
        f"the commit {since[:12]}, whose policies were last applied, is not in this repository, so who wrote what came "
        "since cannot be told",
        f"Fetch it: `git fetch origin {since}`; if its branch was rewritten, from a clone that has it.",
        subject=str(root),
    )


@lru_cache(maxsize=4)
def _then(root: Path, commit: str) -> Side:
    """The policies of a commit, by its id: they never change."""
    try:
        return side_of(read_commit(root, gitrepo.resolve(root, commit)))
    except PolicyError:
        return Side(commit, None)
