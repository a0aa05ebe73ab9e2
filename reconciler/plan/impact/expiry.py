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
    JobKind,
    ProtectionGroup,
    RecoveryPoint,
    Recurrence,
    Replica,
    ReplicaState,
    ShortTerm,
)
from reconciler.schedule import (
    LEAST_POINTS,
    Made,
    ahead,
    answered,
    express_fulls,
    last_interval_slot,
    last_occurrence,
    next_occurrence,
    point_slots,
)

#: A schedule that makes no point for so long makes none.
_FAR = timedelta(days=366 * 20)


class Expiry(NamedTuple):
    """When a point expires: at the first pruning after `by_age`, once `needs` newer points were made. `at` is when
    that is by the calendar (UTC). `by_age` None: never by age; `at` None: not as long as nothing else changes."""

    by_age: datetime | None
    needs: int
    at: datetime | None


class ExpiryRule(msgspec.Struct, frozen=True):
    """What the points of a replica live under.

    `age` None keeps them for ever, `destroyed` lets all of them go whatever their age. The newest `floor` stay, and
    with `keeps_verified` the last verified one. `prunes_from` (UTC) is when pruning begins to run, None if it does
    not. `made` are the next moments at which points are made, ascending, `floor` of them unless no more will be.
    `now` is when that is looked at: points that lie beyond it are not believed, and stay. Before `paused_until` none
    expires.
    """

    age: timedelta | None
    prunes_from: datetime | None
    floor: int = LEAST_POINTS
    keeps_verified: bool = True
    destroyed: bool = False
    made: tuple[datetime, ...] = ()
    now: datetime | None = None
    paused_until: datetime | None = None


#: Nothing prunes the points of a data source that has no replica.
UNTOUCHED = ExpiryRule(None, None)

_NEVER = Expiry(None, 0, None)


def ends(points: Sequence[RecoveryPoint], rule: ExpiryRule) -> list[Expiry]:
    """The end of each point; `points` are from new to old, and so are the ends."""
    start, age, floor, made = rule.prunes_from, rule.age, rule.floor, rule.made
    if rule.destroyed:
        return [Expiry(point.time, 0, start) for point in points]
    if age is None:
        return [_NEVER] * len(points)
    early = _early(points, rule.now) if rule.now is not None else 0
    believed = points[early:]
    verified = next((p.id for p in believed if p.verified_at is not None), None) if rule.keeps_verified else None
    found = [_NEVER] * early
    for place, point in enumerate(believed):
        if point.id == verified:
            found.append(_NEVER)
            continue
        by_age = point.time + age
        if rule.paused_until is not None:
            by_age = max(by_age, rule.paused_until)
        needs = max(0, floor - place)
        if start is None or needs > len(made):
            found.append(Expiry(by_age, needs, None))
            continue
        found.append(Expiry(by_age, needs, max(start, by_age, made[needs - 1]) if needs else max(start, by_age)))
    return found


def _early(points: Sequence[RecoveryPoint], now: datetime) -> int:
    """How many of the points, which are from new to old, lie in the future."""
    return next((place for place, point in enumerate(points) if not ahead(point.time, now)), len(points))


def newest_first(points: Sequence[RecoveryPoint]) -> list[RecoveryPoint]:
    """In the order in which retention looks at them."""
    return sorted(points, key=lambda point: (point.time, point.id), reverse=True)


# --- Rules -----------------------------------------------------------------------------------------------------


def of_inactive(replica: Replica, existing: ExistingPoints, now: datetime) -> ExpiryRule:
    """The rule of a replica that no group protects. It gets no new points, so what the floor holds it holds for
    good."""
    floor = max(LEAST_POINTS, replica.minimum_points)
    match existing:
        case ExistingPoints.KEEP_FOREVER:
            return ExpiryRule(None, now, floor)
        case ExistingPoints.EXPIRE_NOW:
            return ExpiryRule(None, now, floor, destroyed=True)
        case ExistingPoints.RETAIN:
            return ExpiryRule(replica.retention, now, floor, now=now)


def of_member(
    group: ProtectionGroup, replica: Replica, points: Sequence[RecoveryPoint], now: datetime, zone: ZoneInfo
) -> ExpiryRule:
    """The rule of a member's replica, which has these points.

    An inconsistent replica gets no points, and none of it are pruned, until a consistency check repairs it; that of a
    group that is paused until the pause ends.
    """
    term = group.short_term
    floor = max(LEAST_POINTS, term.minimum_points)
    there = Made(replica, points, now)
    pause = group.pause_at(now)
    until = pause.ends_at if pause is not None else None
    begins = until or now
    if replica.state is not ReplicaState.INCONSISTENT:
        made = _made(term, zone, begins, floor, owed=_owed(term, there, zone, begins))
        return ExpiryRule(term.retention, begins, floor, made=made, now=now, paused_until=until)
    repaired = _repaired_at(group, there, zone, begins)
    if repaired is None:
        return ExpiryRule(term.retention, None, floor, now=now, paused_until=until)
    made = _made(term, zone, repaired, floor, owed=_owed(term, there, zone, repaired))
    return ExpiryRule(term.retention, repaired, floor, made=made, now=now, paused_until=until)


def by_age_alone(rule: ExpiryRule) -> ExpiryRule:
    """The rule of a server that prunes by itself and knows no floors."""
    return msgspec.structs.replace(rule, floor=0, keeps_verified=False)


def _made(term: ShortTerm, zone: ZoneInfo, start: datetime, count: int, *, owed: bool) -> tuple[datetime, ...]:
    slots = _slots(term, zone, start, count)
    return (start, *slots[: count - 1]) if owed else slots


@lru_cache(maxsize=1024)
def _slots(term: ShortTerm, zone: ZoneInfo, start: datetime, count: int) -> tuple[datetime, ...]:
    return tuple(islice(point_slots(term, zone, start, start + _FAR), count))


def _owed(term: ShortTerm, there: Made, zone: ZoneInfo, at: datetime) -> bool:
    """Whether a run is due already at that time, so that a point is made at once."""
    if there.replica.state is ReplicaState.PENDING:
        return True
    fulls = express_fulls(term)
    slot = _last_full(fulls, zone, at) if fulls is not None else None
    if slot is not None and not answered(JobKind.EXPRESS_FULL, there, slot):
        return True
    if term.synchronization is None:
        return False
    return not answered(JobKind.SYNCHRONIZATION, there, _last_slot(term.synchronization, zone, at))


_last_slot = lru_cache(maxsize=256)(last_interval_slot)
_last_full = lru_cache(maxsize=256)(last_occurrence)


def _repaired_at(group: ProtectionGroup, there: Made, zone: ZoneInfo, now: datetime) -> datetime | None:
    """When a consistency check runs, from `now` on, supposing that it succeeds."""
    check = group.consistency_check
    if check.when_inconsistent:
        return now
    if check.time is None:
        return None
    daily = Recurrence((check.time,))
    last = last_occurrence(daily, zone, now)
    if last is not None and not answered(JobKind.CONSISTENCY_CHECK, there, last):
        return now
    return next_occurrence(daily, zone, now)
