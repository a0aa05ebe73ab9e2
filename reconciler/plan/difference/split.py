"""Splitting: a change -> parts of it, which done in order come to the same: what fits one day, what needs no approval,
what lets go of virtual machines before another group takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from reconciler.errors import Diagnostic, Severity
from reconciler.model import (
    Action,
    CatalogSnapshot,
    Change,
    CreateGroup,
    DataSource,
    Direction,
    FieldChange,
    Member,
    ProtectionGroup,
    Reason,
    Verb,
)
from reconciler.plan.fields import FIELDS, worst

_FIELDS = {field.path: field for field in FIELDS}
_LOUDEST = (Reason.POLICY_CHANGED, Reason.CHANGED_OUTSIDE, Reason.MACHINES_CHANGED)

Sources = Iterable[DataSource]


def settings_before_weakening(change: Change) -> ProtectionGroup:
    """The group's settings once all is done that weakens none of them; its members are of no account."""
    if change.before is None or change.after is None:
        group = change.after or change.before
        assert group is not None
        return group
    settings = change.after
    for path in _weakened(change):
        settings = _FIELDS[path].put(settings, _FIELDS[path].get(change.before))
    return settings


def releasing_settings(change: Change) -> ProtectionGroup:
    """The settings under which the change lets go of virtual machines: those before anything is weakened, and what
    becomes of their recovery points."""
    settings = settings_before_weakening(change)
    if change.after is None:
        return settings
    return msgspec.structs.replace(settings, existing_points=change.after.existing_points)


def split(change: Change, settings: ProtectionGroup, lose: Sources = (), gain: Sources = ()) -> Change:
    """The part of a change that brings the group to these settings, lets go of some of the members that the change
    lets go of, and takes in some of those that it takes in."""
    before, after = change.before, change.after
    out, new = frozenset(lose), frozenset(gain)
    then = {member.source: member for member in after.members} if after is not None else {}
    stay = [then.get(each.source, each) for each in before.members if each.source not in out] if before else []
    group = _with_members(settings, [*stay, *(then[source] for source in new)])
    fields = _fields(change, group, out, new)
    if before is None:
        return msgspec.structs.replace(change, after=group)
    verb = Verb.RENAME if before.name != group.name else Verb.UPDATE
    reason = change.reason if verb is change.verb else _loudest(change, fields)
    return msgspec.structs.replace(
        change, verb=verb, reason=reason, direction=_worst(fields), fields=fields, after=group
    )


def remainder(change: Change, part: Change) -> Change | None:
    """What is left of a change once a part of it was done; None for nothing.

    The rest of a group that the part creates has no `ref` yet: the step before it gives the group one.
    """
    if part == change:
        return None
    done = part.after
    assert done is not None
    if change.after is None:
        return msgspec.structs.replace(change, before=done)
    if done == change.after:
        return None
    fields = _still_new(change, done) if change.before is None else _left(change, part, done)
    verb = Verb.RENAME if done.name != change.after.name else Verb.UPDATE
    reason = change.reason if verb is change.verb or not fields else _loudest(change, fields)
    return msgspec.structs.replace(
        change, verb=verb, reason=reason, direction=_worst(fields), fields=fields, before=done
    )


def joined(parts: Iterable[Change]) -> tuple[Change, ...]:
    """The changes that these are parts of, in the order of their first parts: one for each group."""
    found: dict[tuple[str, str], list[Change]] = {}
    made: dict[tuple[str, str], str] = {}
    for part in parts:
        name = part.before.name if part.before is not None else ""
        key = (part.server, part.ref or made.get((part.server, name), name or part.group))
        if part.before is None and part.after is not None:
            made[part.server, part.after.name] = part.group
        found.setdefault(key, []).append(part)
    return tuple(map(_join, found.values()))


def _join(parts: list[Change]) -> Change:
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return first
    if last.after is None:
        return msgspec.structs.replace(last, before=first.before)
    if first.before is None:
        return msgspec.structs.replace(first, after=last.after)
    fields: dict[tuple[str, ...], FieldChange] = {}
    for part in parts:
        for each in part.fields:
            one = each.path in _FIELDS
            key = (each.path,) if one else _key(each)
            fields[key] = msgspec.structs.replace(each, before=fields[key].before) if key in fields else each
    every = tuple(fields.values())
    renamed = next((part for part in parts if part.verb is Verb.RENAME), None)
    reason = renamed.reason if renamed is not None else _loudest(first, every)
    verb = Verb.RENAME if renamed is not None else Verb.UPDATE
    return msgspec.structs.replace(
        last, verb=verb, reason=reason, direction=_worst(every), fields=every, before=first.before
    )


def released(change: Change, sources: Sources) -> Change:
    """The change as if its group had only these members and let go of them: what that costs does not depend on the
    others."""
    assert change.before is not None
    chosen = frozenset(sources)
    settings = releasing_settings(change)
    before = _with_members(settings, [each for each in change.before.members if each.source in chosen])
    return split(msgspec.structs.replace(change, before=before), settings, lose=chosen)


def taken_in(change: Change, sources: Sources) -> Change:
    """The change as if its group were empty and took in just these machines."""
    assert change.after is not None
    settings = settings_before_weakening(change)
    if change.before is None:
        return split(change, settings, gain=sources)
    return split(msgspec.structs.replace(change, before=_with_members(settings, ())), settings, gain=sources)


def with_ref(action: Action, ref: str) -> Action:
    """The action on the group that an earlier step of its plan has made: with the reference that the group got."""
    if isinstance(action, CreateGroup) or action.ref:
        return action
    return msgspec.structs.replace(action, ref=ref)


# --- What needs no approval ------------------------------------------------------------------------------


def unattended_changes(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The part of the changes that needs no approval. A virtual machine is not taken into a group while another one
    still holds it."""
    asked = tuple(changes)
    adopted = tuple(change for change in asked if change.verb is Verb.ADOPT)
    everything = _joined(change for change in asked if change.verb is not Verb.ADOPT)
    parts = [part for change in everything if (part := unattended_part(change)) is not None]
    after = {(part.server, part.group): part for part in parts}
    held: set[tuple[str, DataSource]] = set()
    for change in everything:
        if change.before is None:
            continue
        part = after.get((change.server, change.group))
        remains = part.after if part is not None and part.after is not None else change.before
        held |= {(change.server, source) for source in remains.sources & change.before.sources}
    return (*adopted, *(free for part in parts if (free := _without(part, held)) is not None))


def _joined(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The changes with those put together again that were cut so that groups can swap machines."""
    whole: dict[tuple[str, str], Change] = {}
    for change in changes:
        key = (change.server, change.ref or change.group)
        first = whole.get(key)
        if first is None or first.before is None:
            whole[key] = change
            continue
        fields = (*first.fields, *change.fields)
        whole[key] = msgspec.structs.replace(change, before=first.before, fields=fields, direction=_worst(fields))
    return tuple(whole.values())


def drop_members_protected_elsewhere(
    changes: Iterable[Change], catalogs: Mapping[str, CatalogSnapshot], names: Mapping[str, str]
) -> tuple[tuple[Change, ...], tuple[Diagnostic, ...]]:
    """The changes without the machines that another group of the server keeps: one that is not ours, is not pruned,
    or must not be cut down now. Says so of each."""
    everything = tuple(changes)
    gaining = {change.server for change in everything if change.after is not None}
    holders: dict[tuple[str, DataSource], str] = {}
    for server in gaining & set(catalogs):
        catalog = catalogs[server]
        ends = {change.ref: change.after for change in everything if change.server == server and change.ref}
        for seen in catalog.groups:
            then = ends.get(seen.ref, seen.group)
            for source in (then.sources & seen.group.sources) if then is not None else ():
                holders[server, source] = seen.ref
    kept, findings = [], []
    for change in everything:
        gained = (
            change.after.sources - (change.before.sources if change.before else frozenset()) if change.after else ()
        )
        held = {(change.server, s) for s in gained if holders.get((change.server, s), change.ref) != change.ref}
        part = _without(change, held) if held else change
        kept += [part] if part is not None else []
        findings += [_still_held(change, names.get(str(source), str(source))) for _, source in sorted(held)]
    return tuple(kept), tuple(findings)


def _still_held(change: Change, name: str) -> Diagnostic:
    return Diagnostic(
        "RCL3017",
        Severity.WARNING,
        f"{name!r} is not taken into {change.group} while another group of {change.server} protects it",
        "It stays protected there. It moves once that group lets it go.",
        change.location,
        subject=name,
    )


def unattended_part(change: Change) -> Change | None:
    """The change without the fields that still need an approval; None if nothing is left."""
    if not change.needs_consent:
        return change
    if change.before is None or change.after is None:
        return None
    fields = tuple(field for field in change.fields if not field.needs_consent)
    if not fields:
        return None
    settings, kept = change.after, set()
    for field in change.fields:
        if field.needs_consent and field.path in _FIELDS:
            settings = _FIELDS[field.path].put(settings, _FIELDS[field.path].get(change.before))
        elif field.needs_consent and field.path == "members":
            kept.add(str(field.before))
    members = [*change.after.members, *(member for member in change.before.members if str(member.source) in kept)]
    after = _with_members(settings, members)
    return msgspec.structs.replace(change, after=after, fields=fields, direction=_worst(fields))


def _without(change: Change, held: set[tuple[str, DataSource]]) -> Change | None:
    """The change without the members that it would take while another group holds them."""
    assert change.after is not None
    before = change.before.sources if change.before else frozenset()
    waiting = {s for s in change.after.sources - before if (change.server, s) in held}
    if not waiting:
        return change
    after = _with_members(change.after, [each for each in change.after.members if each.source not in waiting])
    names = {str(source) for source in waiting}
    fields = tuple(each for each in change.fields if not (each.path == "members" and each.after in names))
    if change.before is not None and not fields:
        return None
    if change.before is None and not after.members:
        return None
    return msgspec.structs.replace(change, after=after, fields=fields)


# --- Fields --------------------------------------------------------------------------------------------------


def _weakened(change: Change) -> list[str]:
    return [each.path for each in change.fields if each.direction.needs_consent and each.path in _FIELDS]


def _fields(
    change: Change, group: ProtectionGroup, lose: frozenset[DataSource], gain: frozenset[DataSource]
) -> tuple[FieldChange, ...]:
    """The fields of the change that are different once its group is as given; those half-way, half-way."""
    if change.after is None:
        return tuple(_stopped(change, source) for source in sorted(lose))
    assert change.after is not None
    out, new = {str(source) for source in lose}, {str(source) for source in gain}
    found = []
    for each in change.fields:
        field = _FIELDS.get(each.path)
        if each.path == "members":
            found += [each] if each.before in out or each.after in new else []
        elif field is None or field.get(group) == field.get(change.after):
            found.append(each)
        elif change.before is not None and field.get(group) != field.get(change.before):
            found.append(msgspec.structs.replace(each, after=field.show(field.get(group))))
    return tuple(found)


def _left(change: Change, part: Change, done: ProtectionGroup) -> tuple[FieldChange, ...]:
    """The fields of the change that its part leaves to do."""
    assert change.after is not None
    finished = set(map(_key, part.fields))
    left = []
    for each in change.fields:
        field = _FIELDS.get(each.path)
        if field is None:
            left += [] if _key(each) in finished else [each]
        elif field.get(done) != field.get(change.after):
            left.append(msgspec.structs.replace(each, before=field.show(field.get(done))))
    return tuple(left)


def _key(field: FieldChange) -> tuple[str, str, str, str]:
    return (field.path, str(field.before), str(field.after), field.note)


def _still_new(change: Change, done: ProtectionGroup) -> tuple[FieldChange, ...]:
    """The members that a group is still to get which was made with a part of them."""
    assert change.after is not None
    return tuple(
        FieldChange("members", None, str(source), Direction.STRENGTHENS, change.reason, change.location)
        for source in sorted(change.after.sources - done.sources)
    )


def _stopped(change: Change, source: DataSource) -> FieldChange:
    """Letting go of one member of a group that is to be stopped: on the word of whoever approved the stop."""
    stop = change.fields[0] if change.fields else FieldChange("", change.group, None, change.direction, change.reason)
    return msgspec.structs.replace(stop, path="members", before=str(source), after=None)


def _loudest(change: Change, fields: Iterable[FieldChange]) -> Reason:
    reasons = [field.reason for field in fields]
    return next((reason for reason in _LOUDEST if reason in reasons), change.reason)


def _worst(fields: Iterable[FieldChange]) -> Direction:
    return worst([field.direction for field in fields])


def _with_members(group: ProtectionGroup, members: Iterable[Member]) -> ProtectionGroup:
    return msgspec.structs.replace(group, members=tuple(sorted(members)))
