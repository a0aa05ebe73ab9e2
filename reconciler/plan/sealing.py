"""Sealing: parts of changes in their order -> the steps of a plan, and the hash by which a later plan is compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from reconciler.errors import sort_key
from reconciler.model import (
    Action,
    Adopt,
    Change,
    CreateGroup,
    Plan,
    ProtectionGroup,
    Remembrance,
    RenameGroup,
    Step,
    StopProtection,
    UpdateGroup,
    Verb,
)
from reconciler.plan.rollout.assess import Rollout, RolloutPart

Known = Mapping[tuple[str, str], Remembrance]
Ends = Mapping[tuple[str, str, Verb], ProtectionGroup | None]


def with_steps(plan: Plan, steps: Sequence[Step]) -> Plan:
    """The plan with these of its steps alone."""
    return msgspec.structs.replace(plan, steps=tuple(steps), plan_hash=_hash(steps))


def seal(plan: Plan, weighed: Rollout, known: Known, ends: Ends) -> Plan:
    """The plan with these parts as steps; the hash covers the steps' actions alone, so that a later plan can be
    compared. `ends` tells what each whole change leaves."""
    steps = tuple(_step(number, part, known, ends) for number, part in enumerate(weighed.parts, start=1))
    sources = {str(source) for step in steps for source in _sources(step.change)}
    return msgspec.structs.replace(
        plan,
        steps=steps,
        waves=weighed.waves,
        volumes=weighed.volumes,
        findings=tuple(sorted({*plan.findings, *weighed.findings}, key=sort_key)),
        names={source: plan.names[source] for source in sorted(sources) if source in plan.names},
        plan_hash=_hash(steps),
    )


def _hash(steps: Sequence[Step]) -> str:
    return hashlib.sha256(msgspec.json.encode([step.action for step in steps], order="sorted")).hexdigest()


def _step(number: int, part: RolloutPart, known: Known, ends: Ends) -> Step:
    change = part.change
    remember = known.get((change.server, change.group), Remembrance())
    whole = part.whole and ends.get((change.server, change.group, change.verb), change.after) == change.after
    return Step(
        f"{number}:{change.server}/{change.group}",
        _action(change),
        change,
        msgspec.structs.replace(remember, whole=whole),
        wave=part.wave,
        impact=part.impact,
        hazards=part.hazards,
        cost=part.cost,
        base_hash=group_hash(change.before),
        desired_hash=group_hash(change.after),
    )


def group_hash(group: ProtectionGroup | None) -> str:
    """SHA-256 of the group's canonical JSON; "" for none."""
    return hashlib.sha256(msgspec.json.encode(group, order="deterministic")).hexdigest() if group is not None else ""


def _action(change: Change) -> Action:
    before, after = change.before, change.after
    if change.verb is Verb.ADOPT and before is not None:
        return Adopt(change.server, change.ref, before)
    if change.verb is Verb.CREATE and after is not None:
        return CreateGroup(change.server, after)
    if before is not None and after is not None:
        make = RenameGroup if before.name != after.name else UpdateGroup
        return make(change.server, change.ref, before, after)
    assert before is not None
    return StopProtection(change.server, change.ref, before, before.existing_points)


def _sources(change: Change) -> set[object]:
    groups = (group for group in (change.before, change.after) if group is not None)
    return {member.source for group in groups for member in group.members}
