"""Anew: the steps of a plan that came from a file -> the same steps, with all that before and after tell told again.

A saved plan is a proposal. Of each step its object, before and after are taken; what it does to protection, what it is
called, what it costs and who said yes to it is worked out here as for any other plan, whatever the file says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from reconciler.errors import Diagnostic, Severity
from reconciler.model import (
    Action,
    Adopt,
    Change,
    CreateGroup,
    Direction,
    FieldChange,
    LedgerEntry,
    Plan,
    ProtectionGroup,
    Reason,
    Remembrance,
    RenameGroup,
    Step,
    StopProtection,
    UpdateGroup,
    Verb,
)
from reconciler.plan.approval.change_hashes import own_hash
from reconciler.plan.approval.plan_bounds import wrong_group, wrong_value
from reconciler.plan.desired.state import DesiredGroup, DesiredState
from reconciler.plan.fields import FIELDS, of_release, worst
from reconciler.plan.inputs import PlanInputs
from reconciler.plan.rollout.assess import weigh_as_is
from reconciler.plan.sealing import group_hash, with_steps

#: What a step must not be believed about, and what it is called when it was told otherwise.
_TOLD = ("server", "group", "verb", "direction")


class Unsound(Exception):
    """The steps cannot be those of one plan; says why."""


def retold(plan: Plan) -> Plan:
    """The plan with every step told by its action alone, without what the file says of names, approvals and findings.
    Raises `Unsound` where steps contradict each other."""
    _check(plan)
    steps = tuple(_retold(step) for step in plan.steps)
    bare = msgspec.structs.replace(plan, names={}, approvals=(), findings=(), volumes=())
    return with_steps(bare, steps)


def told_otherwise(plan: Plan) -> tuple[Diagnostic, ...]:
    """What the file says otherwise than before and after do, a finding for each step."""
    found = []
    for step in plan.steps:
        again = _retold(step).change
        wrong = [
            f"{name} {getattr(step.change, name) or 'nothing'}, which is {getattr(again, name) or 'nothing'}"
            for name in _TOLD
            if getattr(step.change, name) != getattr(again, name)
        ]
        if _values(step.change) != _values(again) or (step.change.before, step.change.after) != (
            again.before,
            again.after,
        ):
            wrong.append("other values than those that would be changed")
        if (step.base_hash, step.desired_hash) != (group_hash(again.before), group_hash(again.after)):
            wrong.append("other hashes")
        if wrong:
            found.append(
                Diagnostic(
                    "RCL3102",
                    Severity.WARNING,
                    f"the file says of step {step.id}: {'; '.join(wrong)}",
                    "Shown and judged is what the step would do. Ask where the file comes from.",
                    subject=step.id,
                )
            )
    return tuple(found)


def anew(plan: Plan, live: Plan, desired: DesiredState, ledger: Sequence[LedgerEntry], inputs: PlanInputs) -> Plan:
    """The plan with the hashes, reasons and places that a plan of the policies as they are gives to the same changes,
    and with impact, cost and hazards as they are now. What no policy asks for has hashes of its own alone."""
    told = retold(plan)
    now = {(step.change.server, step.change.group): step.change for step in live.steps}
    wishes = {(each.server, each.group.name): each for each in desired.groups}
    entries = {(entry.server, entry.ref): entry for entry in ledger}
    changes = [_hashed(step.change, now.get((step.change.server, step.change.group))) for step in told.steps]
    weighed = weigh_as_is(changes, inputs)
    steps = tuple(
        msgspec.structs.replace(
            step,
            change=change,
            remember=_remember(change, wishes.get((change.server, change.group)), entries),
            impact=part.impact,
            hazards=part.hazards,
            cost=part.cost,
        )
        for step, change, part in zip(told.steps, changes, weighed.parts, strict=True)
    )
    groups = [group for change in changes for group in (change.before, change.after) if group is not None]
    sources = {str(source) for group in groups for source in group.sources}
    names = {source: desired.names[source] for source in sorted(sources) if source in desired.names}
    waves = tuple(
        msgspec.structs.replace(wave, because="it was planned for later" if wave.because else "") for wave in plan.waves
    )
    return msgspec.structs.replace(told, steps=steps, volumes=weighed.volumes, names=names, waves=waves)


def unasked(change: Change, live: Plan, desired: DesiredState) -> str:
    """Why no policy as they are asks for such a change of the group, "" where one does: of a value of its own that the
    policies have otherwise by now no account is taken, of its name and its members it is."""
    if asked_for(change, live) or change.verb is Verb.STOP:
        return ""
    assert change.after is not None
    name = change.after.name
    wish = next(
        (each for each in desired.groups if each.server == change.server and name in (each.group.name, *each.formerly)),
        None,
    )
    if wish is None:
        return f"no policy has a group {name} on {change.server}"
    if change.verb is Verb.ADOPT:
        return ""
    held = change.before.sources if change.before is not None else frozenset()
    more = sorted(str(each) for each in change.after.sources - held - wish.group.sources)
    return f"no policy has {more[0]} in the group {name}" if more else ""


def asked_for(change: Change, live: Plan) -> bool:
    """Whether the policies as they are ask for just this change."""
    return any(
        (step.change.server, step.change.before, step.change.after) == (change.server, change.before, change.after)
        for step in live.steps
    )


# --- Told by its action ----------------------------------------------------------------------------------------


def _retold(step: Step) -> Step:
    action = _sound(step.action)
    change = _change(action)
    return msgspec.structs.replace(
        step,
        action=action,
        change=change,
        remember=Remembrance(whole=False),
        impact=None,
        hazards=(),
        cost=type(step.cost)(),
        base_hash=group_hash(change.before),
        desired_hash=group_hash(change.after),
    )


def _sound(action: Action) -> Action:
    """The action, where what becomes of the points is what the group says that is stopped."""
    if isinstance(action, StopProtection):
        return msgspec.structs.replace(action, existing_points=action.before.existing_points)
    if isinstance(action, UpdateGroup | RenameGroup):
        make = RenameGroup if action.before.name != action.after.name else UpdateGroup
        return make(action.server, action.ref, action.before, action.after)
    return action


def _change(action: Action) -> Change:
    match action:
        case CreateGroup(server=server, group=group):
            field = FieldChange("", None, group.name, Direction.STRENGTHENS, Reason.NEW_POLICY)
            return _whole(server, group.name, Verb.CREATE, field, None, group)
        case Adopt(server=server, ref=ref, group=group):
            field = FieldChange("", None, group.name, Direction.NEUTRAL, Reason.ADOPTED)
            return _whole(server, group.name, Verb.ADOPT, field, group, group, ref)
        case StopProtection(server=server, ref=ref, before=before):
            direction = of_release(before.existing_points)
            note = f"no new points; existing points: {before.existing_points}"
            field = FieldChange("", before.name, None, direction, Reason.POLICY_REMOVED, note=note)
            return _whole(server, before.name, Verb.STOP, field, before, None, ref)
        case (
            UpdateGroup(server=server, ref=ref, before=before, after=after)
            | RenameGroup(server=server, ref=ref, before=before, after=after)
        ):
            fields = tuple(_fields(before, after))
            renamed = before.name != after.name
            return Change(
                server,
                after.name,
                Verb.RENAME if renamed else Verb.UPDATE,
                Reason.RENAMED if renamed else Reason.POLICY_CHANGED,
                worst([field.direction for field in fields]),
                fields,
                before,
                after,
                ref,
            )


def _whole(
    server: str,
    name: str,
    verb: Verb,
    field: FieldChange,
    before: ProtectionGroup | None,
    after: ProtectionGroup | None,
    ref: str = "",
) -> Change:
    return Change(server, name, verb, field.reason, field.direction, (field,), before, after, ref)


def _fields(before: ProtectionGroup, after: ProtectionGroup) -> Iterable[FieldChange]:
    """Every field that differs, as a plan has them."""
    if before.name != after.name:
        yield FieldChange("name", before.name, after.name, Direction.NEUTRAL)
    for field in FIELDS:
        old, new = field.get(before), field.get(after)
        if old != new:
            yield FieldChange(field.path, field.show(old), field.show(new), field.weigh(old, new), note=field.note)
    was = {member.source: member for member in before.members}
    now = {member.source: member for member in after.members}
    for source in sorted(set(now) - set(was)):
        yield FieldChange("members", None, str(source), Direction.STRENGTHENS)
    for source in sorted(set(was) - set(now)):
        note = f"no new points; existing points: {after.existing_points}"
        yield FieldChange("members", str(source), None, of_release(after.existing_points), note=note)
    for source in sorted(set(was) & set(now)):
        if was[source].volume != now[source].volume:
            yield FieldChange("members.volume", was[source].volume, now[source].volume, Direction.NEUTRAL)


def _values(change: Change) -> list[tuple[str, Any, Any, Direction]]:
    return sorted(
        ((field.path, field.before, field.after, field.direction) for field in change.fields if field.path),
        key=repr,
    )


# --- Sound -----------------------------------------------------------------------------------------------------


def _check(plan: Plan) -> None:
    """Each step has a name of its own, steps of one group follow each other, and every value is one that a policy can
    ask for, or a server can hold."""
    steps = plan.steps
    wrong = wrong_value(plan)
    for step in steps:
        change = _change(step.action)
        for group, before in ((change.before, change.before), (change.after, change.before)):
            wrong = wrong or (wrong_group(group, before) if group is not None else "")
        if wrong:
            raise Unsound(f"step {step.id}: {wrong}")
    if wrong:
        raise Unsound(wrong)
    ids = [step.id for step in steps]
    if len(set(ids)) != len(ids):
        raise Unsound("two of its steps have the same id")
    left: dict[tuple[str, str], ProtectionGroup | None] = {}
    for step in steps:
        change = _change(_sound(step.action))
        key = (change.server, (change.before or change.after or ProtectionGroup).name)
        if key in left and left[key] != change.before:
            raise Unsound(f"its steps of the group {change.group} do not follow each other")
        left[change.server, change.after.name if change.after is not None else change.group] = change.after


# --- As the policies ask for it ----------------------------------------------------------------------------------


def _hashed(change: Change, live: Change | None) -> Change:
    """With the hashes of the same fields of a live change: only they are of what a person wrote."""
    known: Mapping[tuple[str, bytes], FieldChange] = {}
    if live is not None and live.ref == change.ref:
        known = {_key(field): field for field in live.fields}
    whole = live is not None and (live.verb, live.before, live.after) == (change.verb, change.before, change.after)
    fields = []
    for field in change.fields:
        told = known.get(_key(field)) if field.path or whole else None
        same = told is not None and told.direction is field.direction
        fields.append(
            msgspec.structs.replace(field, change_hash=own_hash(change, field))
            if told is None or not same
            else msgspec.structs.replace(told, approved_by="")
        )
    return msgspec.structs.replace(
        change,
        fields=tuple(fields),
        reason=live.reason if whole and live is not None else change.reason,
        location=live.location if live is not None else None,
    )


def _key(field: FieldChange) -> tuple[str, bytes]:
    """The field and its values, which may be lists and mappings."""
    return field.path, msgspec.json.encode((field.before, field.after), order="deterministic")


def _remember(change: Change, wish: DesiredGroup | None, entries: Mapping[tuple[str, str], LedgerEntry]) -> Remembrance:
    """What the policies say of the group, where it is left as they want it; else what is known already."""
    sources = change.after.sources if change.after is not None else frozenset()
    entry = entries.get((change.server, change.ref))
    known = {each.source: each for each in (entry.members if entry is not None else ())}
    known |= {each.source: each for each in (wish.known if wish is not None else ())}
    members = tuple(known[source] for source in sorted(sources) if source in known)
    if wish is not None and wish.group == change.after:
        return Remembrance(members, wish.selectors, wish.labels, wish.document)
    if entry is not None:
        return Remembrance(members, entry.selectors, entry.labels, entry.document, whole=False)
    return Remembrance(members, labels=wish.labels if wish is not None else {}, whole=False)
