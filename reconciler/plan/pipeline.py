"""The pipeline: policies, what was read of a site -> the plan, sealed with a hash. The one place that knows all steps.

`_propose` is one pass: desired, differing, possible, approved, believed, checked, rolled out, sealed. `propose` makes
such a pass, puts back what somebody has to agree to first, and makes another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

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
from reconciler.plan import renamed_groups
from reconciler.plan.approval.change_hashes import (
    approve,
    groups_awaiting_approval,
    with_change_hashes,
    within_ceilings,
)
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
from reconciler.plan.checks.backup_refusals import refusal_checks, refused_members
from reconciler.plan.checks.engine_limits import fit
from reconciler.plan.checks.lint import lint
from reconciler.plan.checks.prerequisites import prerequisites, unmet
from reconciler.plan.checks.unreadable_machines import MISSING, UNREAD
from reconciler.plan.checks.vanished_policies import without_removals
from reconciler.plan.desired.placement import place, room_of
from reconciler.plan.desired.resolve import resolve
from reconciler.plan.desired.state import DesiredState, Scope
from reconciler.plan.difference.diff import diff
from reconciler.plan.difference.leaving_servers import possible
from reconciler.plan.difference.owned_groups import lasting
from reconciler.plan.difference.split import drop_members_protected_elsewhere, unattended_changes
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


def propose(policies: PolicySet, inputs: PlanInputs) -> Proposal:
    """What should be done. Pure: the same input gives the same plan, in whatever order it came. A group in whose
    document something weakens without a step goes on by its document as it was last applied until that is agreed to.
    """
    inputs = msgspec.structs.replace(inputs, ledger=lasting(inputs.ledger, policies.sites))
    whole = _propose(policies, inputs)
    if _claimed_twice(whole) and (fewer := without_kept(policies)) is not None:
        policies, whole = fewer, _propose(fewer, inputs)
    steps = whole.plan.steps
    if inputs.scope != Scope():  # what lies outside of the scope has its steps, which others ask for
        steps = _propose(policies, msgspec.structs.replace(inputs, scope=Scope())).plan.steps
    spec = spec_of(policies, inputs.site)
    approvers = spec is not None and spec.approvals is not None
    removed = _unagreed(gone(policies, inputs.ledger, steps), inputs) if approvers else ()
    found = unstepped(policies, whole.desired, inputs.ledger, steps)
    held = _unagreed(found, inputs)
    names = {each.change.name for each in held}
    taken = tuple(each for each in found if each.change.name not in names)
    more = waiting_findings((*held, *removed), approvers=approvers, since=inputs.since)
    if not held:
        return _taking(_waiting(whole, more, removed), taken, inputs)
    kept = _propose(as_applied(policies, inputs.ledger, held), inputs)
    if _claimed_twice(kept) and not _claimed_twice(whole):
        policies, besides = all_as_applied(policies, inputs.site, inputs.ledger)
        kept, taken = _propose(policies, inputs), ()
        more += with_them(besides, held)
    more += tuple(  # a yes alone would not help those
        msgspec.structs.replace(each, severity=Severity.WARNING)
        for each in whole.plan.findings
        if each.code in (NOT_OWNED, NOT_OURS)
    )
    return _taking(_waiting(kept, more, (*held, *removed)), taken, inputs)


def _unagreed(found: Iterable[Unstepped], inputs: PlanInputs) -> tuple[Unstepped, ...]:
    """What of it nobody said yes to."""
    said = inputs.agreed | {each for approval in inputs.approvals for each in approval.changes}
    return tuple(each for each in found if not inputs.glass and each.field.change_hash not in said)


def _waiting(proposal: Proposal, found: tuple[Diagnostic, ...], waiting: tuple[Unstepped, ...]) -> Proposal:
    """The proposal with what waits besides its steps."""
    if not found:
        return proposal
    plan, permitted = _with(proposal.plan, found), _with(proposal.permitted, found)
    return msgspec.structs.replace(proposal, plan=plan, permitted=permitted, waiting=waiting)


def _taking(proposal: Proposal, taken: tuple[Unstepped, ...], inputs: PlanInputs) -> Proposal:
    """The proposal with what was agreed to, and the approvals that say so."""
    hashes = {each.field.change_hash for each in taken}

    def told(plan: Plan) -> Plan:
        more = (each for each in inputs.approvals if each not in plan.approvals and hashes & set(each.changes))
        return msgspec.structs.replace(plan, approvals=(*plan.approvals, *more))

    if not taken:
        return proposal
    return msgspec.structs.replace(proposal, plan=told(proposal.plan), permitted=told(proposal.permitted), taken=taken)


def _claimed_twice(proposal: Proposal) -> bool:
    """Whether a virtual machine is in two groups, or in a group and excluded."""
    return any(each.code in ("RCL3003", "RCL3004") for each in proposal.plan.findings)


def _with(plan: Plan, found: tuple[Diagnostic, ...]) -> Plan:
    return msgspec.structs.replace(plan, findings=tuple(sorted({*plan.findings, *found}, key=sort_key)))


def _propose(policies: PolicySet, inputs: PlanInputs) -> Proposal:
    """The plan of the policies as they are given, step by step."""
    spec = spec_of(policies, inputs.site)
    desired = desired_state(policies, inputs)
    difference = diff(desired, inputs)
    changes, impossible = possible(difference.changes, spec, inputs.spared, inputs.since)
    changes = with_change_hashes(_within(changes, inputs.scope), policies, inputs.ledger)
    changes, approvals, beyond_ceilings = _approved(changes, inputs)
    changes, unbelieved = _believed(changes, policies, inputs, desired)
    changes, protected_elsewhere = drop_members_protected_elsewhere(changes, inputs.catalogs, desired.names)
    findings = (
        *desired.findings,
        *difference.findings,
        *impossible,
        *beyond_ceilings,
        *unbelieved,
        *protected_elsewhere,
        *renamed_groups.in_plan(policies, desired, inputs.ledger),
        *_checked(policies, inputs, desired, changes),
        *_guarded(policies, inputs, desired, changes),
    )
    covering = {field.approved_by for change in changes for field in change.fields}
    empty = Plan(
        inputs.site,
        inputs.now,
        (),
        tuple(sorted(set(findings), key=sort_key)),
        desired.names,
        scope=inputs.scope.told,
        approvals=tuple(each for each in approvals if each.name in covering),
    )
    known = {
        (each.server, each.group.name): Remembrance(each.known, each.selectors, each.labels, each.document)
        for each in desired.groups
    }
    ends = {(change.server, change.group, change.verb): change.after for change in changes}
    plan = seal(empty, weigh(order(changes), inputs, spec), known, ends)
    waiting = groups_awaiting_approval(changes, wants_approval(findings))
    if not waiting and not any(change.needs_consent for change in changes):
        return Proposal(plan, plan, desired)
    unattended = unattended_changes(change for change in changes if change.group not in waiting)
    return Proposal(plan, seal(empty, weigh(order(unattended), inputs, spec), known, ends), desired)


def _checked(
    policies: PolicySet, inputs: PlanInputs, desired: DesiredState, changes: Sequence[Change]
) -> Iterator[Diagnostic]:
    """What contradicts, does not fit, or would be refused."""
    yield from lint(policies, inputs.today)
    yield from fit(desired, inputs.capabilities)
    yield from refused_members(desired, inputs.clusters)
    yield from _unmet(policies, inputs, desired)
    yield from _in_working_hours(inputs, changes)


def _guarded(
    policies: PolicySet, inputs: PlanInputs, desired: DesiredState, changes: tuple[Change, ...]
) -> Iterator[Diagnostic]:
    """What the guardrails say of the documents and of the changes."""
    applied = last_applied(inputs.ledger if policies.guardrails else ())
    yield from guard_documents(policies, inputs.evaluate, applied)
    yield from guard(policies.guardrails, planned(changes, policies, desired.names, inputs.ledger), inputs.evaluate)


def _approved(
    changes: tuple[Change, ...], inputs: PlanInputs
) -> tuple[tuple[Change, ...], tuple[Approved, ...], tuple[Diagnostic, ...]]:
    """The changes with the approvals that cover them, as far as those allow the loss."""
    covered = approve(changes, inputs.approvals)
    if not any(field.approved_by for change in covered for field in change.fields):
        return covered, inputs.approvals, ()
    kept, excess = within_ceilings(impacts(covered, inputs), inputs.approvals)
    return (approve(changes, kept) if excess else covered), kept, excess


def _believed(
    changes: tuple[Change, ...], policies: PolicySet, inputs: PlanInputs, desired: DesiredState
) -> tuple[tuple[Change, ...], tuple[Diagnostic, ...]]:
    """The changes, without stopping what a lost or half-copied policy folder seems to stop; unless somebody who broke
    the glass says that it is so."""
    if inputs.glass:
        return changes, ()
    written = [each.document for each in policies.groups if each.document.spec.site == inputs.site]
    spec = spec_of(policies, inputs.site)
    budgets = spec.budgets if spec is not None else None
    least = budgets.minimum_population if budgets is not None else None
    return without_removals(
        changes,
        {entry.group for entry in inputs.ledger if entry.group not in desired.elsewhere},
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


def desired_state(policies: PolicySet, inputs: PlanInputs) -> DesiredState:
    """What should be: the members of every group, and its server."""
    inputs = msgspec.structs.replace(inputs, ledger=lasting(inputs.ledger, policies.sites))
    desired = resolve(policies, inputs)
    for placed in policies.sites:
        if placed.document.metadata.name == inputs.site:
            return place(
                desired,
                room_of(placed.document, inputs.clusters, inputs.capabilities, inputs.ledger),
            )
    return desired


def _in_working_hours(inputs: PlanInputs, changes: Sequence[Change]) -> list[Diagnostic]:
    """First copies that would be made now, while people work."""
    if not working_hours(inputs.now.astimezone(inputs.zone)):
        return []
    found = []
    for change in changes:
        before = change.before.sources if change.before is not None else frozenset()
        gained = len(change.after.sources - before) if change.after is not None else 0
        if gained:
            what = f"{change.group} gets {gained} initial replicas now, in working hours"
            remedy = "Apply it off-peak if the network is slow."
            found.append(Diagnostic("RCL3028", Severity.ADVICE, what, remedy, change.location))
    return found


def check_all(policies: PolicySet, inputs: PlanInputs, desired: DesiredState) -> tuple[Check, ...]:
    """Every prerequisite of what is desired."""
    for placed in policies.sites:
        if placed.document.metadata.name == inputs.site:
            seen = (inputs.clusters, inputs.catalogs)
            checks = prerequisites(policies, placed.document, desired, seen, inputs.ledger)
            strangers = {server.name for server in placed.document.spec.servers if server.engine.mabs is not None}
            disks = refusal_checks(desired, inputs.clusters, strangers)
            unread = (each for each in desired.findings if each.code in (UNREAD, MISSING))
            return (*checks, *disks, *(Check.unknown(each) for each in unread))
    return ()


def _unmet(policies: PolicySet, inputs: PlanInputs, desired: DesiredState) -> list[Diagnostic]:
    """The prerequisites that fail; and in one line how many could not be checked."""
    for placed in policies.sites:
        if placed.document.metadata.name == inputs.site:
            seen = (inputs.clusters, inputs.catalogs)
            return unmet(policies, placed.document, desired, seen, inputs.ledger)
    return []
