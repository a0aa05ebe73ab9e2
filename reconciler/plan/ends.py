"""Ends: the points of one replica, the rule that they live under -> when each of them expires.

This is retention (`schedule.retain`) told ahead, without the time and the newer points that are still to come: a test
holds the one against the other, and both against what the embedded engine really drops.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from reconciler.model import (
    ExistingPoints,
    ProtectionGroup,
    RecoveryPoint,
    Recurrence,
    Replica,
    ReplicaState,
    ShortTerm,
)
from reconciler.schedule import (
    LEAST_POINTS,
    express_fulls,
    last_interval_slot,
    last_occurrence,
    next_occurrence,
    point_slots,
)

#: A schedule that makes no point for so long makes none.
_FAR = timedelta(days=366 * 20)


class End(NamedTuple):
    """When a point expires: at the first pruning after `by_age`, once `needs` newer points were made. `at` is when
    that is by the calendar (UTC). `by_age` None: never by age; `at` None: not as long as nothing else changes."""

    by_age: datetime | None
    needs: int
    at: datetime | None


class Rule(msgspec.Struct, frozen=True):
    """What the points of a replica live under.

    `age` None keeps them for ever, `destroyed` lets all of them go whatever their age. The newest `floor` stay, and
    with `keeps_verified` the last verified one. `prunes_from` (UTC) is when pruning begins to run, None if it does
    not. `made` are the next moments at which points are made, ascending, `floor` of them unless no more will be.
    """

    age: timedelta | None
    prunes_from: datetime | None
    floor: int = LEAST_POINTS
    keeps_verified: bool = True
    destroyed: bool = False
    made: tuple[datetime, ...] = ()


#: Nothing prunes the points of a data source that has no replica.
UNTOUCHED = Rule(None, None)

_NEVER = End(None, 0, None)


def ends(points: Sequence[RecoveryPoint], rule: Rule) -> list[End]:
    """The end of each point; `points` are from new to old, and so are the ends."""
    start, age, floor, made = rule.prunes_from, rule.age, rule.floor, rule.made
    if rule.destroyed:
        return [End(point.time, 0, start) for point in points]
    if age is None:
        return [_NEVER] * len(points)
    verified = next((p.id for p in points if p.verified_at is not None), None) if rule.keeps_verified else None
    found = []
    for place, point in enumerate(points):
        if point.id == verified:
            found.append(_NEVER)
            continue
        by_age = point.time + age
        needs = max(0, floor - place)
        if start is None or needs > len(made):
            found.append(End(by_age, needs, None))
            continue
        found.append(End(by_age, needs, max(start, by_age, made[needs - 1]) if needs else max(start, by_age)))
    return found


def newest_first(points: Sequence[RecoveryPoint]) -> list[RecoveryPoint]:
    """In the order in which retention looks at them."""
    return sorted(points, key=lambda point: (point.time, point.id), reverse=True)


# --- Rules -----------------------------------------------------------------------------------------------------


def of_inactive(replica: Replica, existing: ExistingPoints, now: datetime) -> Rule:
    """The rule of a replica that no group protects. It gets no new points, so what the floor holds it holds for
    good."""
    floor = max(LEAST_POINTS, replica.minimum_points)
    match existing:
        case ExistingPoints.KEEP_FOREVER:
            return Rule(None, now, floor)
        case ExistingPoints.EXPIRE_NOW:
            return Rule(None, now, floor, destroyed=True)
        case ExistingPoints.RETAIN:
            return Rule(replica.retention, now, floor)


def of_member(group: ProtectionGroup, replica: Replica, oldest: datetime, now: datetime, zone: ZoneInfo) -> Rule:
    """The rule of a member's replica. `oldest` is the time of its oldest point.

    An inconsistent replica gets no points, and none of it are pruned, until a consistency check repairs it.
    """
    term = group.short_term
    floor = max(LEAST_POINTS, term.minimum_points)
    if replica.state is not ReplicaState.INCONSISTENT:
        made = _made(term, zone, now, floor, owed=_owed(term, replica, zone, now))
        return Rule(term.retention, now, floor, made=made)
    repaired = _repaired_at(group, replica, oldest, now, zone)
    if repaired is None:
        return Rule(term.retention, None, floor)
    made = _made(term, zone, repaired, floor, owed=_full_owed(term, replica, zone, repaired))
    return Rule(term.retention, repaired, floor, made=made)


def by_age_alone(rule: Rule) -> Rule:
    """The rule of a server that prunes by itself and knows no floors."""
    return msgspec.structs.replace(rule, floor=0, keeps_verified=False)


def _made(term: ShortTerm, zone: ZoneInfo, start: datetime, count: int, *, owed: bool) -> tuple[datetime, ...]:
    slots = _slots(term, zone, start, count)
    return (start, *slots[: count - 1]) if owed else slots


@lru_cache(maxsize=1024)
def _slots(term: ShortTerm, zone: ZoneInfo, start: datetime, count: int) -> tuple[datetime, ...]:
    return tuple(islice(point_slots(term, zone, start, start + _FAR), count))


def _owed(term: ShortTerm, replica: Replica, zone: ZoneInfo, now: datetime) -> bool:
    """Whether a run is due already, so that a point is made at once."""
    if replica.state is ReplicaState.PENDING or _full_owed(term, replica, zone, now):
        return True
    if term.synchronization is None:
        return False
    slot = _last_slot(term.synchronization, zone, now)
    return replica.synchronized_at is None or replica.synchronized_at < slot


def _full_owed(term: ShortTerm, replica: Replica, zone: ZoneInfo, now: datetime) -> bool:
    fulls = express_fulls(term)
    slot = _last_full(fulls, zone, now) if fulls is not None else None
    return slot is not None and (replica.express_full_at is None or replica.express_full_at < slot)


_last_slot = lru_cache(maxsize=256)(last_interval_slot)
_last_full = lru_cache(maxsize=256)(last_occurrence)


def _repaired_at(
    group: ProtectionGroup, replica: Replica, oldest: datetime, now: datetime, zone: ZoneInfo
) -> datetime | None:
    """When a consistency check runs, supposing that it succeeds."""
    check = group.consistency_check
    if check.when_inconsistent:
        return now
    if check.time is None:
        return None
    daily = Recurrence((check.time,))
    last = last_occurrence(daily, zone, now)
    if last is not None and (replica.checked_at or oldest) < last:
        return now
    return next_occurrence(daily, zone, now)
