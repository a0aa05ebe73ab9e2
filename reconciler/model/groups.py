"""The protection group as it is compared: what a policy resolves to, and what an engine reads back.

Desired and observed groups are this one type, so that the difference is `==`. Engine references, health,
counters and places in files live beside it, never in it.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from enum import StrEnum

import msgspec

from reconciler.model.identity import DataSource


class Weekday(StrEnum):
    """Days as MABS names them; `number` is Python's, Monday 0."""

    MONDAY = "Mo"
    TUESDAY = "Tu"
    WEDNESDAY = "We"
    THURSDAY = "Th"
    FRIDAY = "Fr"
    SATURDAY = "Sa"
    SUNDAY = "Su"

    @property
    def number(self) -> int:
        return list(Weekday).index(self)


class Week(StrEnum):
    """Which one of the month a weekday is."""

    FIRST = "First"
    SECOND = "Second"
    THIRD = "Third"
    FOURTH = "Fourth"
    LAST = "Last"


class Month(StrEnum):
    """Months as MABS names them; `number` counts from 1."""

    JANUARY = "Jan"
    FEBRUARY = "Feb"
    MARCH = "Mar"
    APRIL = "Apr"
    MAY = "May"
    JUNE = "Jun"
    JULY = "Jul"
    AUGUST = "Aug"
    SEPTEMBER = "Sep"
    OCTOBER = "Oct"
    NOVEMBER = "Nov"
    DECEMBER = "Dec"

    @property
    def number(self) -> int:
        return list(Month).index(self) + 1


class ExistingPoints(StrEnum):
    """What stopping protection does with the recovery points there are."""

    RETAIN = "retain"
    KEEP_FOREVER = "keepForever"
    EXPIRE_NOW = "expireNow"


class Recurrence(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Clock times on days, in the site's zone. Every list is sorted and without repetition.

    The days are: each day; or `days` of the week; with `weeks`, only those that are the nth of their month;
    with `months`, only in those months; with `days_of_month`, those numbers instead of weekdays.
    """

    times: tuple[time, ...]
    days: tuple[Weekday, ...] = ()
    weeks: tuple[Week, ...] = ()
    months: tuple[Month, ...] = ()
    days_of_month: tuple[int, ...] = ()

    @property
    def runs_in_28_days(self) -> float:
        """How many runs there are in four weeks, on average."""
        if self.days_of_month:
            days: float = len(self.days_of_month)
        else:
            share = len(self.weeks) / 4 if self.weeks else 1
            days = 4 * (len(self.days) or 7) * share
        return len(self.times) * days * (len(self.months) / 12 if self.months else 1)


class ShortTerm(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Short-term protection on disk.

    `synchronization` None means just before a recovery point. `minimum_points` is the floor that age
    never breaks. `rpo` is the greatest age that the newest point may have.
    """

    retention: timedelta
    rpo: timedelta
    synchronization: timedelta | None
    minimum_points: int = 3
    express_full: Recurrence | None = None
    recovery_points: Recurrence | None = None


class ConsistencyCheck(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """When the replica is compared with its source: once inconsistent, and at `time` for `max_hours`."""

    when_inconsistent: bool = False
    time: time | None = None
    max_hours: int | None = None


class Member(msgspec.Struct, frozen=True, order=True, rename="camel", omit_defaults=True, gc=False):
    """A data source in a group; `volume` is the preferred volume, None the engine's choice."""

    source: DataSource
    volume: str | None = None


class Pause(msgspec.Struct, frozen=True, rename="camel"):
    """A time in which nothing is done for a group by itself. `until` is its last day as it is written, in the site's
    zone; `ends_at` (UTC) is the moment after that day, at which it ends."""

    reason: str
    owner: str
    until: date
    ends_at: datetime


class ProtectionGroup(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One protection group, resolved. `name` is its identity, `members` are sorted by data source.

    With `deletion_protection` the group is not stopped, even when its policy is gone: the ledger remembers it. While
    it is `paused` no job of it begins by itself and none of its points expire.
    """

    name: str
    display_name: str
    members: tuple[Member, ...]
    short_term: ShortTerm
    consistency_check: ConsistencyCheck = ConsistencyCheck()
    existing_points: ExistingPoints = ExistingPoints.RETAIN
    colocate: bool = False
    deletion_protection: bool = False
    paused: Pause | None = None

    def pause_at(self, now: datetime) -> Pause | None:
        """The pause that counts at that moment (UTC); None where there is none, or it has ended."""
        return self.paused if self.paused is not None and now < self.paused.ends_at else None

    @property
    def sources(self) -> frozenset[DataSource]:
        return frozenset(member.source for member in self.members)
