"""Using: what was done on an approval's word -> a note of how much of it is used, so that it is not used again.

An approval is used up when the last wave that it allowed is done; a change of it that is done counts no more from then
on, though others of it may wait.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from reconciler.control.applying.step_status import object_of
from reconciler.control.site import Site
from reconciler.model import Approved, Plan, Step
from reconciler.plan.approval.change_hashes import own_hash
from reconciler.protocols import ApprovalUse


def use_for_step(site: Site, run: str, plan: Plan, step: Step, commit: str) -> None:
    """Notes the approvals that the step was done by. Twice for the same step of a run is as good as once."""
    names = {field.approved_by for field in step.change.fields if field.approved_by}
    points = step.impact.lets_expire if step.impact is not None else 0
    place = plan.steps.index(step) if step in plan.steps else len(plan.steps)
    last = step.remember.whole or not any(object_of(later) == object_of(step) for later in plan.steps[place + 1 :])
    for approval in plan.approvals:
        if approval.name in names and approval.id:
            fields = [field for field in step.change.fields if field.approved_by == approval.name]
            hashes = [each for field in fields for each in (field.change_hash, own_hash(step.change, field))]
            done = _named(approval, hashes) if last else ()
            _use(site, approval, commit, done, {f"{run}/{step.id}": points})


def use_for_changes(site: Site, approvals: Iterable[Approved], hashes: frozenset[str], commit: str) -> None:
    """Notes the approvals by which changes of the site itself were taken over."""
    for approval in approvals:
        done = _named(approval, hashes)
        if done and approval.id:
            _use(site, approval, commit, done, {})


def _named(approval: Approved, hashes: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(approval.changes) & set(hashes)))


def _use(site: Site, approval: Approved, commit: str, done: tuple[str, ...], counted: dict[str, int]) -> None:
    before = site.memory.approvals.all().get(approval.id) or ApprovalUse(approval.id, commit)
    points = before.counted | counted
    finished = tuple(sorted({*before.done, *done}))
    over = set(approval.changes) <= set(finished)
    use = msgspec.structs.replace(
        before,
        spent=sum(points.values()),
        counted=points,
        done=finished,
        used_up_at=before.used_up_at or (site.now() if over else None),
    )
    if use != before or before.id not in site.memory.approvals.all():
        site.memory.approvals.record(use)
