"""Agreeing: a plan as it was saved, the approvals that count now -> which of its steps may be done."""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from reconciler import gitrepo
from reconciler.control.apply import Mandate
from reconciler.control.judging import bench_of, judge
from reconciler.control.policies import FOLDER
from reconciler.control.saved import ci_identity
from reconciler.control.site import Site
from reconciler.model import Approved, Plan
from reconciler.model.documents import PolicySet
from reconciler.plan.consent import approve, within_ceilings


class Agreement(msgspec.Struct, frozen=True):
    """The steps, and the ids of those that wait for somebody's yes."""

    plan: Plan
    withheld: frozenset[str] = frozenset()


def agree_saved(site: Site, policies: PolicySet, plan: Plan, authors: tuple[str, ...]) -> Agreement:
    """The saved plan with the approvals that count now. What the file itself says of approvals is not believed."""
    verdict = judge(bench_of(site), policies, authors)
    covered = _approved(plan, verdict.approvals)
    counting, excess = within_ceilings(((step.change, step.impact) for step in covered.steps), verdict.approvals)
    judged = _approved(plan, counting)
    found = tuple(dict.fromkeys((*judged.findings, *verdict.findings, *excess)))
    covering = {field.approved_by for step in judged.steps for field in step.change.fields}
    told = tuple(each for each in counting if each.name in covering)
    judged = msgspec.structs.replace(judged, findings=found, approvals=told)
    return Agreement(judged, frozenset(step.id for step in judged.weakening))


def mandate_of(
    site: Site, command: str, consent: str, *, glass: str = "", withheld: frozenset[str] = frozenset()
) -> Mandate:
    """On whose word a plan of the policies as they are now is applied."""
    commit, dirty = gitrepo.state(site.folder, FOLDER)
    return Mandate(command, consent, commit, dirty, ci_identity(os.environ), glass, withheld)


def _approved(plan: Plan, approvals: Iterable[Approved]) -> Plan:
    changes = approve((step.change for step in plan.steps), tuple(approvals))
    steps = tuple(
        msgspec.structs.replace(step, change=change) for step, change in zip(plan.steps, changes, strict=True)
    )
    return msgspec.structs.replace(plan, steps=steps)
