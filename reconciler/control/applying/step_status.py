"""Standing: a step, the groups that a server shows -> whether the step is still to be done, is done, or is stale."""

from __future__ import annotations

from enum import Enum

import msgspec

from reconciler.control.site import Site
from reconciler.model import (
    Adopt,
    CreateGroup,
    ObservedGroup,
    ProtectionGroup,
    RenameGroup,
    Step,
    StopProtection,
    UpdateGroup,
)
from reconciler.plan.difference.split import with_ref
from reconciler.plan.fields import differing_fields, taking
from reconciler.protocols import ReadsGroups


class StepStatus(Enum):
    """How the object of a step is now: as the plan saw it, as the step would leave it, or neither."""

    BEFORE = "before"
    AFTER = "after"
    NEITHER = "neither"


def groups_on(site: Site, server: str) -> tuple[ObservedGroup, ...]:
    """The server's groups now: those alone where its engine can show them, else by observing it."""
    engine = site.engines[server]
    return engine.groups() if isinstance(engine, ReadsGroups) else engine.observe().groups


def object_of(step: Step) -> tuple[str, str]:
    """What the step is about: the server and the group's reference, or its name where it has none yet."""
    action = step.action
    if isinstance(action, CreateGroup):
        return (action.server, action.group.name)
    return (action.server, action.ref or _before(action).name)


def resolved(site: Site, step: Step, groups: tuple[ObservedGroup, ...]) -> Step:
    """The step with the reference of its group, where an earlier step of its plan has made it."""
    action = step.action
    if isinstance(action, CreateGroup) or action.ref:
        return step
    owned = {each.ref for each in site.memory.ledger.entries() if each.server == action.server}
    name = _before(action).name
    ref = next((each.ref for each in groups if each.group.name == name and each.ref in owned), "")
    return msgspec.structs.replace(step, action=with_ref(action, ref))


def _before(action: UpdateGroup | RenameGroup | StopProtection | Adopt) -> ProtectionGroup:
    return action.group if isinstance(action, Adopt) else action.before


def stands(site: Site, step: Step, groups: tuple[ObservedGroup, ...]) -> StepStatus:
    """How the step's object is among these groups. Fields that the engine cannot show are taken to be right."""
    action = step.action
    seen = _object(step, groups)
    match action:
        case CreateGroup(group=group):
            return StepStatus.BEFORE if seen is None else _is(site, step, seen, group, StepStatus.AFTER)
        case StopProtection(before=before):
            return StepStatus.AFTER if seen is None else _is(site, step, seen, before, StepStatus.BEFORE)
        case Adopt(group=group):
            if seen is None or _is(site, step, seen, group, StepStatus.BEFORE) is StepStatus.NEITHER:
                return StepStatus.NEITHER
            owned = any((each.server, each.ref) == (action.server, action.ref) for each in site.memory.ledger.entries())
            return StepStatus.AFTER if owned else StepStatus.BEFORE
        case UpdateGroup(before=before, after=after) | RenameGroup(before=before, after=after):
            if seen is None:
                return StepStatus.NEITHER
            done = _is(site, step, seen, after, StepStatus.AFTER)
            return done if done is StepStatus.AFTER else _is(site, step, seen, before, StepStatus.BEFORE)


def shown_by(step: Step, groups: tuple[ObservedGroup, ...]) -> str:
    """The reference of the step's group as it is after the step."""
    seen = _object(step, groups)
    return seen.ref if seen is not None else "" if isinstance(step.action, CreateGroup) else step.action.ref


def shown_after(site: Site, step: Step, ref: str) -> ProtectionGroup | None:
    """The group as the server shows it now, with what it cannot show as it was applied; None where it is gone."""
    after = step.change.after
    seen = next((each.group for each in groups_on(site, step.action.server) if each.ref == ref), None)
    return seen if seen is None or after is None else taking(seen, after, _unreadable(site, step))


def describe_stale(site: Site, step: Step, groups: tuple[ObservedGroup, ...]) -> str:
    """The object, and every value that is neither as it was seen nor as it would be left."""
    name, server = step.change.group, step.action.server
    seen = _object(step, groups)
    if seen is None:
        return f"the group {name} is not on {server} any more"
    before, after = step.change.before, step.change.after
    if before is None:
        assert after is not None
        told = [
            f"{path} is {now}, the plan would make it {then}" for path, now, then in differing_fields(seen.group, after)
        ]
        return f"a group {name} was made on {server} meanwhile: {'; '.join(told)}"
    shown = taking(seen.group, before, _unreadable(site, step))
    ends = {path: then for path, _, then in differing_fields(shown, after)} if after is not None else {}
    kept = {path for path, _, _ in differing_fields(before, after)} if after is not None else set()
    told = []
    for path, now, saw in differing_fields(shown, before):
        if path == "members":
            told.append(f"it has {len(shown.sources)} members, the plan saw {len(before.sources)}")
            continue
        leave = f" and would leave {ends.get(path, now)}" if path in kept else ""
        told.append(f"{path} is {now}, the plan saw {saw}{leave}")
    return f"the group {name} on {server} was changed meanwhile: {'; '.join(told)}"


def _object(step: Step, groups: tuple[ObservedGroup, ...]) -> ObservedGroup | None:
    action = step.action
    if isinstance(action, CreateGroup):
        return next((each for each in groups if each.group.name == action.group.name), None)
    return next((each for each in groups if each.ref == action.ref), None)


def _is(site: Site, step: Step, seen: ObservedGroup, wanted: ProtectionGroup, then: StepStatus) -> StepStatus:
    return then if taking(seen.group, wanted, _unreadable(site, step)) == wanted else StepStatus.NEITHER


def _unreadable(site: Site, step: Step) -> frozenset[str]:
    return site.engines[step.action.server].capabilities.unreadable
