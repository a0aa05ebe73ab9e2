"""Trust: a time that was stored, this moment -> whether it can be believed, and as what.

A clock that was wrong once leaves times behind that have not come yet: points, marks of what was done, jobs. They are
kept and told, and nothing is decided by them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from reconciler.model import RecoveryPoint

#: Clocks of two hosts differ by so much without one of them being wrong.
SKEW = timedelta(seconds=5)


def ahead(at: datetime, now: datetime) -> bool:
    """Whether the time lies in the future, beyond what clocks differ by."""
    return at > now + SKEW


def believed(at: datetime | None, now: datetime) -> datetime | None:
    """The time as far as it can be believed: never later than now, and None where it lies in the future."""
    return None if at is None or ahead(at, now) else min(at, now)


def believable(points: Iterable[RecoveryPoint], now: datetime) -> list[RecoveryPoint]:
    """The points whose time has come."""
    latest = now + SKEW
    return [point for point in points if point.time <= latest]


def newest_time(points: Iterable[RecoveryPoint], now: datetime) -> datetime | None:
    """The time of the newest point whose time has come."""
    latest = now + SKEW
    return max((point.time for point in points if point.time <= latest), default=None)
