"""Retention: the recovery points of one replica, the range they live under, the time -> which stay, and why.

A point expires when it is older than the range, unless a floor holds it: the newest never expires, nor the last
verified one, nor the newest few that the group wants at least. A point whose time lies in the future stays until that
time has come, and counts for none of these: nothing good goes because of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from reconciler.model import RecoveryPoint
from reconciler.schedule.trust import ahead

#: The least number of points that retention ever leaves, whatever a group says.
LEAST_POINTS = 3


class Kept(msgspec.Struct, frozen=True):
    """A point that stays, with every reason for it."""

    point: RecoveryPoint
    reasons: tuple[str, ...]


class Retention(msgspec.Struct, frozen=True):
    """Every point is in exactly one of the two; both are sorted from new to old."""

    keep: tuple[Kept, ...]
    expire: tuple[RecoveryPoint, ...]


class Range(msgspec.Struct, frozen=True):
    """What the points live under. `age` None keeps all of them for ever."""

    age: timedelta | None
    minimum_points: int = LEAST_POINTS


def retain(points: Sequence[RecoveryPoint], under: Range, now: datetime) -> Retention:
    """Decides for every point."""
    ordered = sorted(points, key=lambda point: (point.time, point.id), reverse=True)
    future = [point for point in ordered if ahead(point.time, now)]
    ordered = ordered[len(future) :]
    verified = next((point.id for point in ordered if point.verified_at is not None), None)
    floor = max(LEAST_POINTS, under.minimum_points)
    keep, expire = [Kept(point, ("its time lies in the future",)) for point in future], []
    for place, point in enumerate(ordered):
        reasons = []
        if under.age is None:
            reasons.append("kept forever")
        elif now - point.time <= under.age:
            reasons.append("within the retention range")
        if place == 0:
            reasons.append("the newest point")
        if point.id == verified:
            reasons.append("the last verified point")
        if place < floor:
            reasons.append(f"one of the newest {floor}")
        if reasons:
            keep.append(Kept(point, tuple(reasons)))
        else:
            expire.append(point)
    return Retention(tuple(keep), tuple(expire))
