"""Changing groups: an action, the rows of the server's database -> groups and assignments, inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from reconciler import encoded
from reconciler.engines.embedded.records import ASSIGNMENT, Assignment, folder_name, source_key
from reconciler.engines.embedded.sealed import Rows
from reconciler.errors import Refused
from reconciler.model import (
    Action,
    Adopt,
    CreateGroup,
    DataSource,
    ExistingPoints,
    ProtectionGroup,
    RenameGroup,
    StopProtection,
    UpdateGroup,
)

#: Made here, by one thread: see `encoded.Reader`.
_GROUP = encoded.Reader(ProtectionGroup)


def change(rows: Rows, volumes: Mapping[str, int], action: Action) -> str:
    """Does the action; returns the group's reference. Raises `Refused`, RCL3010, where the group is neither as before
    nor as after; `Damaged` where a row that it depends on is damaged."""
    match action:
        case CreateGroup(group=group):
            return _create(rows, volumes, group)
        case UpdateGroup(ref=ref, before=before, after=after) | RenameGroup(ref=ref, before=before, after=after):
            return _update(rows, volumes, ref, before, after)
        case StopProtection(ref=ref, before=before, existing_points=existing):
            return _stop(rows, ref, before, existing)
        case Adopt(ref=ref, group=group):
            return _update(rows, volumes, ref, group, group)


def _create(rows: Rows, volumes: Mapping[str, int], group: ProtectionGroup) -> str:
    there = _all_groups(rows)
    for ref, other in there.items():
        if other.name == group.name:
            if other == group:
                return ref
            raise _stale(group.name, "already exists, and differs")
    ref = "pg-" + sha256(group.name.encode()).hexdigest()[:12]
    if ref in there:
        ref = "pg-" + sha256(f"{group.name} {len(there)}".encode()).hexdigest()[:12]
    _check_names(there, group, ref)
    rows.put("group", ref, msgspec.json.encode(group))
    _place(rows, volumes, None, group)
    return ref


def _update(rows: Rows, volumes: Mapping[str, int], ref: str, before: ProtectionGroup, after: ProtectionGroup) -> str:
    there = _all_groups(rows)
    now = there.get(ref)
    if now is None:
        raise _stale(before.name, "no longer exists")
    if now == after:
        return ref
    if now != before:
        raise _stale(before.name, "was changed meanwhile")
    _check_names(there, after, ref)
    rows.put("group", ref, msgspec.json.encode(after))
    _place(rows, volumes, before, after)
    return ref


def _stop(rows: Rows, ref: str, before: ProtectionGroup, existing: ExistingPoints) -> str:
    now = _all_groups(rows).get(ref)
    if now is None:
        return ref
    if now != before:
        raise _stale(before.name, "was changed meanwhile")
    rows.delete("group", ref)
    for member in before.members:
        _release(rows, member.source, existing)
    return ref


def _check_names(there: dict[str, ProtectionGroup], group: ProtectionGroup, ref: str) -> None:
    for other_ref, other in there.items():
        if other_ref == ref:
            continue
        if group.name == other.name or group.display_name == other.display_name:
            raise _stale(group.name, f"has a name that the group {other.display_name!r} has")
        both = group.sources & other.sources
        if both:
            raise _stale(group.name, f"would take {min(both)}, which the group {other.name} protects")


def _place(rows: Rows, volumes: Mapping[str, int], before: ProtectionGroup | None, after: ProtectionGroup) -> None:
    """Gives every member a replica; lets go of those that are no members any more."""
    for member in after.members:
        old = assignment_of(rows, member.source)
        volume = old.volume if old else member.volume or _roomiest(rows, volumes)
        if volume not in volumes:
            raise Refused(
                "RCL4009",
                f"the volume {volume!r} is not in the pool of this server",
                "Name one of its volumes: " + ", ".join(sorted(volumes)) + ".",
                subject=after.name,
            )
        assignment = Assignment(
            member.source,
            volume,
            old.folder if old else folder_name(member.source),
            after.name,
            after.existing_points,
            after.short_term.retention,
            after.short_term.minimum_points,
            after.paused.ends_at if after.paused else None,
        )
        _assign(rows, assignment)
    for source in sorted((before.sources if before else frozenset()) - after.sources):
        _release(rows, source, after.existing_points)


def _roomiest(rows: Rows, volumes: Mapping[str, int]) -> str:
    """The volume with the most capacity for each replica that it has."""
    count = dict.fromkeys(volumes, 1)
    for body in rows.all("replica").bodies.values():
        volume = ASSIGNMENT.decode(body).volume
        count[volume] = count.get(volume, 1) + 1
    return min(volumes, key=lambda volume: (-volumes[volume] / count[volume], volume))


def groups_of(rows: Rows) -> dict[str, ProtectionGroup]:
    return {ref: _GROUP.decode(body) for ref, body in rows.all("group").bodies.items()}


def assignment_of(rows: Rows, source: DataSource) -> Assignment | None:
    body = rows.get("replica", source_key(source))
    return ASSIGNMENT.decode(body) if body else None


def _assign(rows: Rows, assignment: Assignment) -> None:
    rows.put("replica", source_key(assignment.source), msgspec.json.encode(assignment))


def _release(rows: Rows, source: DataSource, existing: ExistingPoints) -> None:
    old = assignment_of(rows, source)
    if old is not None:
        _assign(rows, msgspec.structs.replace(old, group=None, existing_points=existing, paused_until=None))


def _all_groups(rows: Rows) -> dict[str, ProtectionGroup]:
    """The groups, when none of them and no assignment is damaged: else what is there cannot be told, and so not
    changed."""
    for kind in ("group", "replica"):
        for fault in rows.all(kind).faults:
            raise rows.fault(fault)
    return groups_of(rows)


def _stale(group: str, what: str) -> Refused:
    return Refused(
        "RCL3010",
        f"the group {group} {what}",
        "Make a new plan and review it; nothing was changed by this step.",
        subject=group,
    )
