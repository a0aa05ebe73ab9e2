"""Waiting: a proposal, the part of it that was agreed to -> what waits, why, and until when. `run` says it and `status`
shows it, from here both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from reconciler.control.applying.apply import DeferredStep
from reconciler.control.approving.budget_gate import blocked_until, spent_today
from reconciler.control.approving.valid_approvals import settled_commit, wants_approvers
from reconciler.control.site import Site
from reconciler.model import FieldChange, Plan, Step, Verb
from reconciler.model.encode import inline
from reconciler.model.waiting import Waiting, WaitKind
from reconciler.plan.approval.unapproved_documents import APPROVERS_WAIT, WAITS, waits, whose_yes


def waiting_now(
    site: Site, plan: Plan, permitted: Plan, deferred: Sequence[DeferredStep] | None = None
) -> tuple[Waiting, ...]:
    """What of the plan is not done: what needs a person, and what waits for its time. `deferred` are the steps of the
    permitted part that an apply left for later; None where nothing was applied, so that it is worked out."""
    help_text = whose_yes(approvers=wants_approvers(site), since=settled_commit(site))
    found = [_by_finding(each.code, each.subject, each.message, each.remedy) for each in plan.findings if waits([each])]
    found += [_for_approval(step, plan, help_text) for step in unapproved(plan, permitted)]
    if deferred is None:
        spent = spent_today(site)
        later = [(step, *blocked_until(site, permitted, step, spent)) for step in permitted.steps]
    else:
        later = [(each.step, each.because, each.opens_at) for each in deferred]
    found += [_for_time(step, plan, because, opens_at) for step, because, opens_at in later if because]
    return tuple({each.key: each for each in found}.values())


def unapproved(plan: Plan, permitted: Plan) -> tuple[Step, ...]:
    """The steps of a plan that are not permitted as they are."""
    actions = {step.action for step in permitted.steps}
    return tuple(step for step in plan.steps if step.action not in actions)


def _by_finding(code: str, subject: str, because: str, remedy: str) -> Waiting:
    kind = WaitKind.APPROVAL if code in (WAITS, APPROVERS_WAIT) else WaitKind.DECISION
    return Waiting(kind, subject, because, remedy, code)


def _for_approval(step: Step, plan: Plan, help_text: str) -> Waiting:
    """Only what needs the approval counts as waiting: what else the step has is done without."""
    change = step.change
    fields = tuple(each for each in change.fields if each.needs_consent) or change.fields
    what = describe_change(change.verb, fields, plan.names)
    place = _place(step)
    because = f"{place} waits for an approval: {what}"
    return Waiting(WaitKind.APPROVAL, place, because, help_text, "", change.server, change.group, fields)


def _for_time(step: Step, plan: Plan, because: str, opens_at: datetime | None) -> Waiting:
    change = step.change
    place = _place(step)
    what = f"{place} waits ({describe_change(change.verb, change.fields, plan.names)}): {because}"
    return Waiting(WaitKind.TIME, place, what, "", "", change.server, change.group, change.fields, opens_at)


def _place(step: Step) -> str:
    return f"{step.change.group} on {step.change.server}"


def describe_change(verb: Verb, fields: Sequence[FieldChange], names: dict[str, str]) -> str:
    """What is to be different, in one clause: fields with their values, members by their names."""
    told = [_field(each, names) for each in fields if each.path]
    return ", ".join(told) or f"{verb} the group"


def _field(field: FieldChange, names: dict[str, str]) -> str:
    if field.path != "members":
        return f"{field.path} {inline(field.before)} -> {inline(field.after)}"
    source = str(field.after or field.before)
    return f"member {names.get(source, source)} {'joins' if field.before is None else 'leaves'}"
