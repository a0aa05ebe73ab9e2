"""Directions: one field of a group, before and after -> whether protection gets stronger or weaker by it.

The table `FIELDS` is the whole rule book: every field that is compared, how it is shown in the policy's own
units, and what a change of it does.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from reconciler.model import (
    Direction,
    ExistingPoints,
    Pause,
    ProtectionGroup,
    Recurrence,
    ShortTerm,
    format_duration,
)
from reconciler.schedule import longest_gap

Weigh = Callable[[Any, Any], Direction]

_DAY = timedelta(days=1)
_STEADY = ZoneInfo("UTC")


class ComparedField(msgspec.Struct, frozen=True):
    """A compared field: its path in the policy, how to read and replace it, how to show it, how to weigh it.

    `note` says what follows from a change, where that is not plain from the values.
    """

    path: str
    get: Callable[[ProtectionGroup], Any]
    put: Callable[[ProtectionGroup, Any], ProtectionGroup]
    show: Callable[[Any], Any]
    weigh: Weigh
    note: str = ""


def _neutral(before: Any, after: Any) -> Direction:
    return Direction.NEUTRAL


def _more_is_stronger(before: Any, after: Any) -> Direction:
    return Direction.STRENGTHENS if after > before else Direction.WEAKENS


def _less_is_stronger(before: Any, after: Any) -> Direction:
    return Direction.STRENGTHENS if after < before else Direction.WEAKENS


def _interval(before: timedelta | None, after: timedelta | None) -> Direction:
    """Without an interval the source is read only at recovery points, the rarest it can be."""
    if before is None or after is None:
        return Direction.STRENGTHENS if before is None else Direction.WEAKENS
    return _less_is_stronger(before, after)


def _recurrence(before: Recurrence | None, after: Recurrence | None) -> Direction:
    """By how many runs there are in 28 days, and by the longest time between two of them; as many at other times, no
    farther apart, is neutral."""
    old, new = _runs(before), _runs(after)
    if before is None or after is None or new < old:
        return _more_is_stronger(old, new)
    wait, now = _longest(before), _longest(after)
    if wait == now:
        return Direction.NEUTRAL if old == new else Direction.STRENGTHENS
    return _less_is_stronger(wait, now)


def _longest(recurrence: Recurrence) -> timedelta:
    """The longest time between two runs, as the clocks on the wall show it."""
    return longest_gap(ShortTerm(_DAY, _DAY, None, recovery_points=recurrence), _STEADY)


def _runs(recurrence: Recurrence | None) -> float:
    return recurrence.runs_in_28_days if recurrence is not None else 0


def _schedule(before: tuple[time | None, int | None], after: tuple[time | None, int | None]) -> Direction:
    """A check that is given fewer hours may end before it has seen all; when it begins does not matter."""
    if before[0] is None or after[0] is None:
        return Direction.STRENGTHENS if before[0] is None else Direction.WEAKENS
    old, new = before[1] or 0, after[1] or 0
    return Direction.NEUTRAL if old == new else _more_is_stronger(old, new)


_KEEPING = [ExistingPoints.EXPIRE_NOW, ExistingPoints.RETAIN, ExistingPoints.KEEP_FOREVER]


def _existing(before: ExistingPoints, after: ExistingPoints) -> Direction:
    return _more_is_stronger(_KEEPING.index(before), _KEEPING.index(after))


def _pause(before: Pause | None, after: Pause | None) -> Direction:
    """The later it ends, the weaker; for what reason, and who answers for it, does not matter."""
    if before is None or after is None:
        return Direction.WEAKENS if before is None else Direction.STRENGTHENS
    if before.ends_at == after.ends_at:
        return Direction.NEUTRAL
    return _less_is_stronger(before.ends_at, after.ends_at)


def _show_pause(pause: Pause | None) -> Any:
    if pause is None:
        return None
    return {"until": pause.until.isoformat(), "reason": pause.reason, "owner": pause.owner}


def _show_interval(interval: timedelta | None) -> str:
    return "beforeRecoveryPoint" if interval is None else format_duration(interval)


def _show_recurrence(recurrence: Recurrence | None) -> Any:
    if recurrence is None:
        return None
    shown: dict[str, Any] = {"times": [f"{each:%H:%M}" for each in recurrence.times]}
    for name, values in (("days", recurrence.days), ("weeks", recurrence.weeks), ("months", recurrence.months)):
        if values:
            shown[name] = [str(value) for value in values]
    if recurrence.days_of_month:
        shown["daysOfMonth"] = list(recurrence.days_of_month)
    return shown


def _show_schedule(schedule: tuple[time | None, int | None]) -> Any:
    at, hours = schedule
    return None if at is None else {"time": f"{at:%H:%M}", "maxHours": hours}


def _same(value: Any) -> Any:
    return value


def _short_term(name: str, show: Callable[[Any], Any], weigh: Weigh) -> ComparedField:
    path = "shortTerm." + msgspec.structs.fields(ShortTerm)[ShortTerm.__struct_fields__.index(name)].encode_name

    def get(group: ProtectionGroup) -> Any:
        return getattr(group.short_term, name)

    def put(group: ProtectionGroup, value: Any) -> ProtectionGroup:
        return msgspec.structs.replace(group, short_term=msgspec.structs.replace(group.short_term, **{name: value}))

    return ComparedField(path, get, put, show, weigh)


def _plain(path: str, name: str, show: Callable[[Any], Any], weigh: Weigh, note: str = "") -> ComparedField:
    def put(group: ProtectionGroup, value: Any) -> ProtectionGroup:
        return msgspec.structs.replace(group, **{name: value})

    return ComparedField(path, lambda group: getattr(group, name), put, show, weigh, note)


def _put_when_inconsistent(group: ProtectionGroup, value: Any) -> ProtectionGroup:
    check = msgspec.structs.replace(group.consistency_check, when_inconsistent=value)
    return msgspec.structs.replace(group, consistency_check=check)


def _put_schedule(group: ProtectionGroup, value: Any) -> ProtectionGroup:
    check = msgspec.structs.replace(group.consistency_check, time=value[0], max_hours=value[1])
    return msgspec.structs.replace(group, consistency_check=check)


FIELDS: tuple[ComparedField, ...] = (
    _plain("displayName", "display_name", _same, _neutral),
    _short_term("retention", format_duration, _more_is_stronger),
    _short_term("minimum_points", _same, _more_is_stronger),
    _short_term("rpo", format_duration, _less_is_stronger),
    _short_term("synchronization", _show_interval, _interval),
    _short_term("express_full", _show_recurrence, _recurrence),
    _short_term("recovery_points", _show_recurrence, _recurrence),
    ComparedField(
        "consistencyCheck.whenInconsistent",
        lambda group: group.consistency_check.when_inconsistent,
        _put_when_inconsistent,
        _same,
        _more_is_stronger,
    ),
    ComparedField(
        "consistencyCheck.schedule",
        lambda group: (group.consistency_check.time, group.consistency_check.max_hours),
        _put_schedule,
        _show_schedule,
        _schedule,
    ),
    _plain(
        "existingPoints",
        "existing_points",
        str,
        _existing,
        "this decides what happens to recovery points when protection is stopped; nothing happens to them now",
    ),
    _plain("colocate", "colocate", _same, _less_is_stronger, "members that are colocated share a replica volume"),
    _plain("deletionProtection", "deletion_protection", _same, _more_is_stronger),
    _plain(
        "paused",
        "paused",
        _show_pause,
        _pause,
        "during a pause no job starts automatically and no recovery point expires",
    ),
)


def differing_fields(one: ProtectionGroup, other: ProtectionGroup) -> list[tuple[str, Any, Any]]:
    """(field, value in the one, value in the other) of everything that differs, in the policy's units."""
    found = [
        (field.path, field.show(field.get(one)), field.show(field.get(other)))
        for field in FIELDS
        if field.get(one) != field.get(other)
    ]
    if one.name != other.name:
        found.insert(0, ("name", one.name, other.name))
    if one.sources != other.sources:
        lost, gained = sorted(one.sources - other.sources), sorted(other.sources - one.sources)
        found.append(("members", [str(each) for each in lost], [str(each) for each in gained]))
    elif one.members != other.members:
        volumes, others = ([each.volume for each in group.members] for group in (one, other))
        found.append(("members.volume", volumes, others))
    return found


def of_release(existing: ExistingPoints) -> Direction:
    """What letting go of a machine does, by what becomes of its points."""
    return Direction.DESTROYS if existing is ExistingPoints.EXPIRE_NOW else Direction.WEAKENS


def worst(directions: list[Direction]) -> Direction:
    """The direction that counts when several apply; neutral when none does."""
    return max(directions, key=lambda direction: direction.rank, default=Direction.NEUTRAL)


def taking(group: ProtectionGroup, other: ProtectionGroup, paths: frozenset[str]) -> ProtectionGroup:
    """The group, but for these fields: those as `other` has them; a member that it does not have gets no volume of
    choice."""
    for field in FIELDS if paths else ():
        if field.path in paths:
            group = field.put(group, field.get(other))
    if "members.volume" in paths:
        volumes = {member.source: member.volume for member in other.members}
        members = (msgspec.structs.replace(each, volume=volumes.get(each.source)) for each in group.members)
        group = msgspec.structs.replace(group, members=tuple(members))
    return group
