"""Agreeing: a plan as it was saved, the approvals that count now -> which of its steps may be done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import msgspec

from reconciler.control.applying.apply import Authority
from reconciler.control.approving.budget_gate import spent_today
from reconciler.control.approving.site_guard import as_secured, secure
from reconciler.control.approving.valid_approvals import bench_of, judge
from reconciler.control.observe import observe_whole
from reconciler.control.planning.plan_file import ci_identity
from reconciler.control.planning.propose import break_glass_history, situation_now
from reconciler.control.policy_folder import noted_commit
from reconciler.control.site import Site
from reconciler.errors import Diagnostic, GuardrailDenied, Refused, Severity
from reconciler.expressions import evaluate
from reconciler.model import Approved, Plan, Step, StopProtection
from reconciler.model.audit import Confirmation
from reconciler.model.documents import PolicySet
from reconciler.plan import DesiredState
from reconciler.plan import propose as plan_propose
from reconciler.plan.approval.change_hashes import (
    approve,
    groups_awaiting_approval,
    hashes_of,
    within_ceilings,
)
from reconciler.plan.approval.guardrails import denied, guard, planned, wants_approval
from reconciler.plan.approval.recompute import Unsound, anew, asked_for, told_otherwise, unasked


class Agreement(msgspec.Struct, frozen=True):
    """The steps, and the ids of those that wait for somebody's yes; of these, `never` names those that nobody's yes
    lets pass. `odd` are steps that do otherwise than their file tells, or what no policy asks for: a person has to look
    at them. `as_written`: the policies as they are ask for just these steps."""

    plan: Plan
    withheld: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    as_written: bool = False
    odd: frozenset[str] = frozenset()


def agree_saved(site: Site, policies: PolicySet, plan: Plan, authors: tuple[str, ...]) -> Agreement:
    """The steps of a saved plan, told anew by their objects, before and after, with the approvals that count now.

    Nothing else of the file is believed: what a step does, costs and is called is worked out from what is seen now.
    Raises `Refused`, RCL3101, for steps that cannot be those of one plan of this site; `GuardrailDenied`.
    """
    strangers = sorted({step.action.server for step in plan.steps} - set(site.engines))
    if strangers:
        raise _unsound(site, f"the site has no server {strangers[0]}")
    observation = observe_whole(site)
    verdict = judge(bench_of(site), policies, authors)
    situation = situation_now(site, observation)
    named = frozenset(each for approval in verdict.approvals for each in approval.changes)
    situation = msgspec.structs.replace(situation, spent=spent_today(site), agreed=named)
    secured = secure(bench_of(site), policies)
    usable = as_secured(secured, policies, observation.ledger)
    live = plan_propose(usable, situation)
    try:
        told = anew(plan, live.plan, live.desired, observation.ledger, situation)
    except Unsound as error:
        raise _unsound(site, str(error)) from None
    covered = _approved(told, verdict.approvals)
    counting, excess = within_ceilings(((step.change, step.impact) for step in covered.steps), verdict.approvals)
    judged = _approved(told, counting)
    changes = tuple(step.change for step in judged.steps)
    subjects = planned(changes, usable, live.desired.names, observation.ledger)
    guarding = guard(usable.guardrails, subjects, evaluate)
    if forbidden := denied(guarding):
        raise GuardrailDenied(list(forbidden))
    held = groups_awaiting_approval(changes, wants_approval(guarding))
    shielded = {step.id for step in judged.steps if _shielded(step)}
    strange = _strange(judged, live.plan, live.desired)
    otherwise = told_otherwise(plan)
    found = tuple(
        dict.fromkeys(
            (
                *otherwise,
                *strange,
                *verdict.said(hashes_of(told)),
                *excess,
                *guarding,
                *_deletions(judged.steps),
                *break_glass_history(site),
            )
        )
    )
    covering = {field.approved_by for step in judged.steps for field in step.change.fields}
    said = tuple(each for each in counting if each.name in covering)
    judged = msgspec.structs.replace(judged, findings=found, approvals=said)
    waiting = {step.id for step in judged.weakening} | {step.id for step in judged.steps if step.change.group in held}
    asked = all(asked_for(step.change, live.plan) for step in judged.steps)
    unclear = {each.subject for each in otherwise} - {step.id for step in judged.steps if _looked_at(step)}
    odd = frozenset(unclear | {each.subject for each in strange})
    return Agreement(judged, frozenset(waiting | shielded), frozenset(shielded), asked, odd)


def _strange(plan: Plan, live: Plan, desired: DesiredState) -> tuple[Diagnostic, ...]:
    """The steps that no policy asks for."""
    return tuple(
        Diagnostic(
            "RCL3107",
            Severity.WARNING,
            f"step {step.id} is asked for by no policy: {why}",
            "Make a new plan. Or confirm it in a terminal: `reconciler apply FILE` without --yes.",
            subject=step.id,
        )
        for step in plan.steps
        if (why := unasked(step.change, live, desired))
    )


def _looked_at(step: Step) -> bool:
    """Whether an approver said yes to all that weakens in it, as it was shown to him: as its action tells it."""
    harsh = [field for field in step.change.fields if field.direction.needs_consent]
    return bool(harsh) and all(field.approved_by for field in harsh)


def agree_again(site: Site, policies: PolicySet, left: Plan) -> Agreement:
    """The steps that a run of ours left, judged as those of a saved plan. What is to be remembered of them was worked
    out when the run was agreed to and stands in our own journal: it is kept, whatever the policies say by now."""
    agreement = agree_saved(site, policies, left, ())
    agreed = {step.id: step.remember for step in left.steps}
    steps = tuple(msgspec.structs.replace(step, remember=agreed[step.id]) for step in agreement.plan.steps)
    plan = msgspec.structs.replace(agreement.plan, steps=steps)
    return msgspec.structs.replace(agreement, plan=plan, withheld=agreement.withheld | agreement.odd)


def _unsound(site: Site, what: str) -> Refused:
    return Refused(
        "RCL3101", f"this is not a plan of the site {site.name}: {what}", "Make a new plan.", subject=site.name
    )


def _shielded(step: Step) -> bool:
    """Whether it would stop a group that is protected from deletion."""
    action = step.action
    return isinstance(action, StopProtection) and action.before.deletion_protection


def _deletions(steps: Iterable[Step]) -> Iterator[Diagnostic]:
    for step in steps:
        if _shielded(step):
            what = (
                f"the group {step.change.group} on {step.action.server} is protected from deletion, so "
                "it is not stopped"
            )
            remedy = "To stop it, apply its policy with `deletionProtection: false` first, then remove it."
            yield Diagnostic("RCL3043", Severity.WARNING, what, remedy, subject=step.change.group)


def mandate_of(
    site: Site,
    command: str,
    confirmation: Confirmation,
    *,
    glass: str = "",
    withheld: frozenset[str] = frozenset(),
    authors: tuple[str, ...] = (),
) -> Authority:
    """On whose word a plan of the policies as they are now is applied."""
    commit, differing = noted_commit(site.folder, (site.document.spec.approvals,), site.commit)
    return Authority(command, confirmation, commit, bool(differing), ci_identity(os.environ), glass, withheld, authors)


def _approved(plan: Plan, approvals: Iterable[Approved]) -> Plan:
    changes = approve((step.change for step in plan.steps), tuple(approvals))
    steps = tuple(
        msgspec.structs.replace(step, change=change) for step, change in zip(plan.steps, changes, strict=True)
    )
    return msgspec.structs.replace(plan, steps=steps)
