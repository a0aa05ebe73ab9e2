"""Narrowing: changes -> the part of them that needs nobody's consent.

A change that does both is cut: what strengthens it is done, what weakens it waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from reconciler.errors import Diagnostic, Severity
from reconciler.model import CatalogSnapshot, Change, DataSource, Direction, FieldChange, Member, ProtectionGroup, Verb
from reconciler.plan.fields import FIELDS, worst


def unattended_changes(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The mild part of the changes. A machine is not taken into a group while another one still holds it."""
    asked = tuple(changes)
    adopted = tuple(change for change in asked if change.verb is Verb.ADOPT)
    everything = _joined(change for change in asked if change.verb is not Verb.ADOPT)
    parts = [part for change in everything if (part := mild_part(change)) is not None]
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


def mild_part(change: Change) -> Change | None:
    """The change without the fields that somebody still has to say yes to; None if nothing is left."""
    if not change.needs_consent:
        return change
    if change.before is None or change.after is None:
        return None
    harsh = [field for field in change.fields if field.needs_consent]
    after = change.after
    for field in FIELDS:
        if any(each.path == field.path for each in harsh):
            after = field.put(after, field.get(change.before))
    lost = {str(each.before) for each in harsh if each.path == "members"}
    after = _with_members(after, [*after.members, *(m for m in change.before.members if str(m.source) in lost)])
    mild = tuple(field for field in change.fields if not field.needs_consent)
    return msgspec.structs.replace(change, after=after, fields=mild, direction=_worst(mild)) if mild else None


def released_part(change: Change, sources: frozenset[DataSource]) -> Change:
    """The part of an update that only lets go of some members, so that other groups can take them."""
    before = change.before
    assert before is not None
    after = _with_members(before, [member for member in before.members if member.source not in sources])
    names = {str(source) for source in sources}
    fields = tuple(each for each in change.fields if each.path == "members" and each.before in names)
    return msgspec.structs.replace(change, verb=Verb.UPDATE, after=after, fields=fields, direction=_worst(fields))


def remaining_part(change: Change, done: Change) -> Change:
    """What is left of a change once a part of it was done."""
    fields = tuple(field for field in change.fields if field not in done.fields)
    return msgspec.structs.replace(change, before=done.after, fields=fields, direction=_worst(fields))


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


def _with_members(group: ProtectionGroup, members: Iterable[Member]) -> ProtectionGroup:
    return msgspec.structs.replace(group, members=tuple(sorted(members)))


def _worst(fields: Iterable[FieldChange]) -> Direction:
    return worst([field.direction for field in fields])
