"""Building: everything that was read -> the plan, sealed with a hash. The one place that knows all the steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from reconciler.errors import Diagnostic, Severity, sort_key
from reconciler.model import (
    Approved,
    Change,
    Plan,
    Remembrance,
)
from reconciler.model.documents import PolicySet
from reconciler.model.preflight import Check
from reconciler.plan.approval.change_hashes import approve, groups_awaiting_approval, within_ceilings
from reconciler.plan.approval.change_hashes import with_change_hashes as hashed_changes
from reconciler.plan.approval.guardrails import guard, guard_documents, last_applied, planned, wants_approval
from reconciler.plan.approval.unapproved_documents import (
    Unstepped,
    all_as_applied,
    as_applied,
    gone,
    unstepped,
    with_them,
)
from reconciler.plan.approval.unapproved_documents import findings as waiting_findings
from reconciler.plan.checks.backup_refusals import refused_members
from reconciler.plan.checks.engine_limits import fit
from reconciler.plan.checks.lint import lint
from reconciler.plan.checks.prerequisites import prerequisites, unmet
from reconciler.plan.checks.unreadable_machines import UNREAD
from reconciler.plan.checks.vanished_policies import without_removals
from reconciler.plan.desired.placement import place, room_of
from reconciler.plan.desired.resolve import Sight, resolve
from reconciler.plan.desired.state import DesiredState, Scope
from reconciler.plan.difference.diff import Held, diff
from reconciler.plan.difference.leaving_servers import possible
from reconciler.plan.difference.narrow import drop_members_protected_elsewhere, unattended_changes
from reconciler.plan.difference.owned_groups import lasting
from reconciler.plan.difference.unowned_groups import NOT_OURS, NOT_OWNED
from reconciler.plan.inputs import PlanInputs
from reconciler.plan.review.settled_guard import without_kept
from reconciler.plan.rollout.assess import impacts, spec_of, weigh
from reconciler.plan.rollout.budgets import MINIMUM_POPULATION
from reconciler.plan.rollout.order import order
from reconciler.plan.sealing import seal
from reconciler.schedule.change_windows import working_hours


class Proposal(msgspec.Struct, frozen=True):
    """The plan; the part of it that needs nobody's consent; and the desired state that it was made for. `waiting` is
    what weakens in documents without a step and nobody agreed to, `taken` what of it was agreed to, by group."""

    plan: Plan
    permitted: Plan
    desired: DesiredState
    waiting: tuple[Unstepped, ...] = ()
    taken: tuple[Unstepped, ...] = ()


def propose(policies: PolicySet, situation: PlanInputs) -> Proposal:
    """What should be done. Pure: the same input gives the same plan, in whatever order it came. A group in whose
    document something weakens without a step goes on by its document as it was last applied until that is agreed to.
    """
    situation = msgspec.structs.replace(situation, ledger=lasting(situation.ledger, policies.sites))
    whole = _propose(policies, situation)
    if _claimed_twice(whole) and (fewer := without_kept(policies)) is not None:
        policies, whole = fewer, _propose(fewer, situation)
    steps = whole.plan.steps
    if situation.scope != Scope():  # what lies outside of the scope has its steps, which others ask for
        steps = _propose(policies, msgspec.structs.replace(situation, scope=Scope())).plan.steps
    spec = spec_of(policies, situation.site)
    approvers = spec is not None and spec.approvals is not None
    removed = _unagreed(gone(policies, situation.ledger, steps), situation) if approvers else ()
    found = unstepped(policies, whole.desired, situation.ledger, steps)
    held = _unagreed(found, situation)
    names = {each.change.name for each in held}
    taken = tuple(each for each in found if each.change.name not in names)
    more = waiting_findings((*held, *removed), approvers=approvers, since=situation.since)
    if not held:
        return _taking(_waiting(whole, more, removed), taken, situation)
    kept = _propose(as_applied(policies, situation.ledger, held), situation)
    if _claimed_twice(kept) and not _claimed_twice(whole):
        policies, besides = all_as_applied(policies, situation.site, situation.ledger)
        kept, taken = _propose(policies, situation), ()
        more += with_them(besides, held)
    more += tuple(  # a yes alone would not help those
        msgspec.structs.replace(each, severity=Severity.WARNING)
        for each in whole.plan.findings
        if each.code in (NOT_OWNED, NOT_OURS)
    )
    return _taking(_waiting(kept, more, (*held, *removed)), taken, situation)


def _unagreed(found: Iterable[Unstepped], situation: PlanInputs) -> tuple[Unstepped, ...]:
    """What of it nobody said yes to."""
    said = situation.agreed | {each for approval in situation.approvals for each in approval.changes}
    return tuple(each for each in found if not situation.glass and each.field.change_hash not in said)


def _waiting(proposal: Proposal, found: tuple[Diagnostic, ...], waiting: tuple[Unstepped, ...]) -> Proposal:
    """The proposal with what waits besides its steps."""
    if not found:
        return proposal
    plan, permitted = _with(proposal.plan, found), _with(proposal.permitted, found)
    return msgspec.structs.replace(proposal, plan=plan, permitted=permitted, waiting=waiting)


def _taking(proposal: Proposal, taken: tuple[Unstepped, ...], situation: PlanInputs) -> Proposal:
    """The proposal with what was agreed to, and the approvals that say so."""
    hashes = {each.field.change_hash for each in taken}

    def told(plan: Plan) -> Plan:
        more = (each for each in situation.approvals if each not in plan.approvals and hashes & set(each.changes))
        return msgspec.structs.replace(plan, approvals=(*plan.approvals, *more))

    if not taken:
        return proposal
    return msgspec.structs.replace(proposal, plan=told(proposal.plan), permitted=told(proposal.permitted), taken=taken)


def _claimed_twice(proposal: Proposal) -> bool:
    """Whether a virtual machine is in two groups, or in a group and excluded."""
    return any(each.code in ("RCL3003", "RCL3004") for each in proposal.plan.findings)


def _with(plan: Plan, found: tuple[Diagnostic, ...]) -> Plan:
    return msgspec.structs.replace(plan, findings=tuple(sorted({*plan.findings, *found}, key=sort_key)))


def _propose(policies: PolicySet, situation: PlanInputs) -> Proposal:
    """The plan of the policies as they are given."""
    desired = desired_state(policies, situation)
    unreadable = {name: able.unreadable for name, able in situation.capabilities.items()}
    held = Held(
        situation.catalogs, unreadable, tuple(situation.ledger), situation.prune, situation.adopt, situation.clusters
    )
    difference = diff(desired, held)
    spec = spec_of(policies, situation.site)
    there, nowhere = possible(difference.changes, spec, situation.spared, situation.since)
    within = _within(there, situation.scope)
    judged, approvals, excess = _approved(hashed_changes(within, policies, situation.ledger), situation)
    believed, shrunk = _believed(judged, policies, situation, desired)
    hashed, held_back = drop_members_protected_elsewhere(believed, situation.catalogs, desired.names)
    findings = [
        *lint(policies, situation.today),
        *desired.findings,
        *fit(desired, situation.capabilities),
        *difference.findings,
        *nowhere,
        *held_back,
        *excess,
        *shrunk,
        *refused_members(desired, situation.clusters),
        *_unmet(policies, situation, desired),
        *_in_working_hours(situation, hashed),
        *guard_documents(policies, situation.evaluate, last_applied(situation.ledger if policies.guardrails else ())),
        *guard(policies.guardrails, planned(hashed, policies, desired.names, situation.ledger), situation.evaluate),
    ]
    waiting = groups_awaiting_approval(hashed, wants_approval(findings))
    asks = waiting or any(change.needs_consent for change in hashed)
    known = {
        (each.server, each.group.name): Remembrance(each.known, each.selectors, each.labels, each.document)
        for each in desired.groups
    }
    covering = {field.approved_by for change in hashed for field in change.fields}
    head = Plan(
        situation.site,
        situation.now,
        (),
        tuple(sorted(set(findings), key=sort_key)),
        desired.names,
        scope=situation.scope.told,
        approvals=tuple(each for each in approvals if each.name in covering),
    )
    ends = {(change.server, change.group, change.verb): change.after for change in hashed}
    plan = seal(head, weigh(order(hashed), situation, spec), known, ends)
    if not asks:
        return Proposal(plan, plan, desired)
    mild = unattended_changes(change for change in hashed if change.group not in waiting)
    return Proposal(plan, seal(head, weigh(order(mild), situation, spec), known, ends), desired)


def _approved(
    changes: tuple[Change, ...], situation: PlanInputs
) -> tuple[tuple[Change, ...], tuple[Approved, ...], tuple[Diagnostic, ...]]:
    """The changes with the approvals that cover them, as far as those allow the loss."""
    covered = approve(changes, situation.approvals)
    if not any(field.approved_by for change in covered for field in change.fields):
        return covered, situation.approvals, ()
    kept, excess = within_ceilings(impacts(covered, situation), situation.approvals)
    return (approve(changes, kept) if excess else covered), kept, excess


def _believed(
    changes: tuple[Change, ...], policies: PolicySet, situation: PlanInputs, desired: DesiredState
) -> tuple[tuple[Change, ...], tuple[Diagnostic, ...]]:
    """The changes, without stopping what a lost or half-copied policy folder seems to stop; unless somebody who broke
    the glass says that it is so."""
    if situation.glass:
        return changes, ()
    written = [each.document for each in policies.groups if each.document.spec.site == situation.site]
    spec = spec_of(policies, situation.site)
    budgets = spec.budgets if spec is not None else None
    least = budgets.minimum_population if budgets is not None else None
    return without_removals(
        changes,
        {entry.group for entry in situation.ledger if entry.group not in desired.elsewhere},
        {document.metadata.name for document in written},
        {name for document in written for name in document.spec.renamed_from},
        least if least is not None else MINIMUM_POPULATION,
    )


def _within(changes: Sequence[Change], scope: Scope) -> tuple[Change, ...]:
    """The changes that the plan is limited to."""
    return tuple(
        change
        for change in changes
        if scope.holds(change.server, change.group, *(each.name for each in (change.before, change.after) if each))
    )


def desired_state(policies: PolicySet, situation: PlanInputs) -> DesiredState:
    """What should be: the members of every group, and its server."""
    ledger = lasting(situation.ledger, policies.sites)
    desired = resolve(policies, situation.site, Sight(situation.clusters, ledger, situation.today))
    for placed in policies.sites:
        if placed.document.metadata.name == situation.site:
            return place(
                desired,
                room_of(placed.document, situation.clusters, situation.capabilities, ledger),
            )
    return desired


def _in_working_hours(situation: PlanInputs, changes: Sequence[Change]) -> list[Diagnostic]:
    """First copies that would be made now, while people work."""
    if not working_hours(situation.now.astimezone(situation.zone)):
        return []
    found = []
    for change in changes:
        before = change.before.sources if change.before is not None else frozenset()
        gained = len(change.after.sources - before) if change.after is not None else 0
        if gained:
            what = f"{change.group} gets {gained} first copies now, in working hours"
            remedy = "Apply it off-peak, if the line is narrow."
            found.append(Diagnostic("RCL3028", Severity.ADVICE, what, remedy, change.location))
    return found


def check_all(policies: PolicySet, situation: PlanInputs, desired: DesiredState) -> tuple[Check, ...]:
    """Every prerequisite of what is desired."""
    for placed in policies.sites:
        if placed.document.metadata.name == situation.site:
            seen = (situation.clusters, situation.catalogs)
            checks = prerequisites(policies, placed.document, desired, seen, situation.ledger)
            unread = (each for each in desired.findings if each.code == UNREAD)
            return (*checks, *(Check.unknown(each) for each in unread))
    return ()


def _unmet(policies: PolicySet, situation: PlanInputs, desired: DesiredState) -> list[Diagnostic]:
    """The prerequisites that fail; and in one line how many could not be checked."""
    for placed in policies.sites:
        if placed.document.metadata.name == situation.site:
            seen = (situation.clusters, situation.catalogs)
            return unmet(policies, placed.document, desired, seen, situation.ledger)
    return []
