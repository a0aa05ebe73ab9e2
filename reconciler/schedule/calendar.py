"""The calendar: clock times on days, or an interval, in a zone -> the instants at which something runs.

A clock time that a change of the clocks skips runs at the first instant after the gap; one that comes twice runs
the first time only. Intervals up to an hour step in real time from local midnight, longer ones at the local clock
times 00:00, 02:00 and so on, so that no change of the clocks makes one run twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from heapq import merge
from itertools import groupby
from zoneinfo import ZoneInfo

from reconciler.model import Recurrence, ShortTerm, Week

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_WEEKS = list(Week)
_MIDNIGHT = datetime(2021, 1, 1, tzinfo=UTC)

#: A recurrence that has not come within so many days does not come: yearly ones do, with leap days.
_FAR = 366 * 8 + 2


def instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The moment, UTC, at which the clocks of the zone show that time on that day."""
    local = datetime.combine(day, at, zone)
    moment = local.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return moment
    return _after_gap(local, zone)


def _after_gap(local: datetime, zone: ZoneInfo) -> datetime:
    """The first instant after the gap that `local` lies in, to the second."""
    after = local.replace(fold=1).utcoffset()
    early = local.replace(fold=1).astimezone(UTC)
    late = local.replace(fold=0).astimezone(UTC)
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == after:
            late = middle
        else:
            early = middle
    return late


# --- Recurrences ---------------------------------------------------------------------------------------------


def occurrences(recurrence: Recurrence, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    """Every instant in (after, until], ascending, UTC."""
    day = after.astimezone(zone).date() - _DAY
    last = until.astimezone(zone).date() + _DAY
    while day <= last:
        for moment in _on(recurrence, day, zone):
            if after < moment <= until:
                yield moment
        day += _DAY


def last_occurrence(recurrence: Recurrence, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The newest instant that is not after `now`."""
    day = now.astimezone(zone).date() + _DAY
    for back in range(_FAR):
        moments = [moment for moment in _on(recurrence, day - back * _DAY, zone) if moment <= now]
        if moments:
            return max(moments)
    return None


def next_occurrence(recurrence: Recurrence, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The first instant after `now`."""
    day = now.astimezone(zone).date() - _DAY
    for ahead in range(_FAR):
        moments = [moment for moment in _on(recurrence, day + ahead * _DAY, zone) if moment > now]
        if moments:
            return min(moments)
    return None


def _on(recurrence: Recurrence, day: date, zone: ZoneInfo) -> list[datetime]:
    if not _falls_on(recurrence, day):
        return []
    return sorted({instant(day, at, zone) for at in recurrence.times})


def _falls_on(recurrence: Recurrence, day: date) -> bool:
    if recurrence.months and day.month not in {month.number for month in recurrence.months}:
        return False
    if recurrence.days_of_month:
        return day.day in recurrence.days_of_month
    if recurrence.days and day.weekday() not in {each.number for each in recurrence.days}:
        return False
    return not recurrence.weeks or bool(set(recurrence.weeks) & weeks_of(day))


def weeks_of(day: date) -> set[Week]:
    """Which ones of its month the day's weekday is: the fourth may be the last, too."""
    weeks = {_WEEKS[(day.day - 1) // 7]} if day.day <= 28 else set()
    return weeks | {Week.LAST} if (day + 7 * _DAY).month != day.month else weeks


# --- Intervals -----------------------------------------------------------------------------------------------


def interval_slots(interval: timedelta, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    """Every slot in (after, until], ascending, UTC."""
    day = after.astimezone(zone).date() - _DAY
    last = until.astimezone(zone).date() + _DAY
    while day <= last:
        for moment in _slots_of(interval, day, zone):
            if after < moment <= until:
                yield moment
        day += _DAY


def last_interval_slot(interval: timedelta, zone: ZoneInfo, now: datetime) -> datetime:
    """The newest slot that is not after `now`."""
    return max(interval_slots(interval, zone, now - 2 * _DAY, now))


def next_interval_slot(interval: timedelta, zone: ZoneInfo, now: datetime) -> datetime:
    """The first slot after `now`."""
    return min(interval_slots(interval, zone, now, now + 2 * _DAY))


def clock_times(interval: timedelta) -> tuple[time, ...]:
    """The clock times of a day at which an interval above an hour runs."""
    steps = range(_DAY // interval if interval < _DAY else 1)
    return tuple((_MIDNIGHT + step * interval).time() for step in steps)


def _slots_of(interval: timedelta, day: date, zone: ZoneInfo) -> list[datetime]:
    start = instant(day, time(0), zone)
    if interval > _HOUR:
        return sorted({instant(day, at, zone) for at in clock_times(interval)})
    end = instant(day + _DAY, time(0), zone)
    return [start + step * interval for step in range(-(-(end - start) // interval))]


# --- Recovery points -----------------------------------------------------------------------------------------


def express_fulls(term: ShortTerm) -> Recurrence | None:
    """When express fulls run: without an interval they are what makes the recovery points."""
    return term.express_full if term.synchronization is not None else term.recovery_points


def point_slots(term: ShortTerm, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    """Every instant in (after, until], ascending, UTC, at which a run makes a recovery point. Runs that fall together
    make one point."""
    runs = []
    if term.synchronization is not None:
        runs.append(interval_slots(term.synchronization, zone, after, until))
    fulls = express_fulls(term)
    if fulls is not None:
        runs.append(occurrences(fulls, zone, after, until))
    return (moment for moment, _ in groupby(merge(*runs)))
