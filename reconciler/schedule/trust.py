"""Trust: a time that was stored, this moment -> whether it can be believed, and as what.

A clock that was wrong once leaves times behind that have not come yet: points, marks of what was done, jobs. They are
kept and told, and nothing is decided by them. A clock that went back comes to times that it has shown before: what was
done then is not done for now. Which of two came later is told by the replica's own mark, the last of which it wrote,
never by their times.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from reconciler.model import RecoveryPoint, Replica


class Doubt(msgspec.Struct, frozen=True):
    """A time in which the clock was back by more than a day and showed `start` to `end`; it was right again at
    `returned`. A point that says it is of that time may be as young as that."""

    start: datetime
    end: datetime
    returned: datetime

    def youngest(self, point: RecoveryPoint) -> RecoveryPoint:
        """The point with the latest time at which it can have been made."""
        if not self.start <= point.time <= self.end:
            return point
        return msgspec.structs.replace(point, time=max(point.time, self.returned))


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


def until(replica: Replica | None, now: datetime) -> datetime:
    """No point that is later than this was made since the replica was renewed last; where that lies in the future,
    the points whose time has come are all that can be said."""
    mark = replica.synchronized_at if replica is not None else None
    return mark if mark is not None and not ahead(mark, now) else now + SKEW


def newest(points: Iterable[RecoveryPoint], replica: Replica | None, now: datetime) -> RecoveryPoint | None:
    """The newest point of the replica, as far as its time can be believed."""
    latest = until(replica, now)
    return max((each for each in points if each.time <= latest), key=lambda each: (each.time, each.id), default=None)
