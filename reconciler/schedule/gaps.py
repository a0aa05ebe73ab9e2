"""Gaps: when recovery points are scheduled, in a zone -> the longest time between two of them, exactly.

Not by walking: by what the days and the clocks can do. The days are one number with a bit for each, so that the days
of a schedule are a few operations, and a change of the clocks is looked at only where one is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from reconciler.model import Recurrence, ShortTerm
from reconciler.schedule.calendar import clock_times, weeks_of

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_SECONDS = 86_400

#: The twenty years that are looked at, 2021 to 2040, with five leap days.
_FIRST = date(2021, 1, 1)
_DAYS = 20 * 365 + 5
_EPOCH = datetime(2021, 1, 1, tzinfo=UTC)

#: Of a schedule that never comes, and of one that says nothing: a year, so that nothing is late by a guess.
_NEVER = timedelta(days=366)


def longest_gap(term: ShortTerm, zone: ZoneInfo) -> timedelta:
    """The longest time between two scheduled recovery points, by the clocks of the zone, from 2021 to 2040.

    Where the clocks are set back, a step of the calendar takes an hour more. Express fulls beside an interval are not
    counted on.
    """
    interval = term.synchronization
    if interval is not None:
        return interval if interval <= _HOUR else _longest(Recurrence(clock_times(interval)), zone)
    recurrence = term.recovery_points or term.express_full
    return _longest(recurrence, zone) if recurrence is not None else _DAY


@lru_cache(maxsize=8192)
def _longest(recurrence: Recurrence, zone: ZoneInfo) -> timedelta:
    runs, clocks = _Runs(recurrence), _clocks(zone)
    if not runs.days:
        return _NEVER
    # Setting the clocks forward makes a wait shorter, never longer; so the longest is one over which they are set
    # back, or as long as the clocks on the wall say.
    back = max((clocks.between(*pair) for at in clocks.set_back for pair in runs.around(at)), default=0)
    most = runs.longest
    if back < most:
        for pair in runs.pairs():
            back = max(back, clocks.between(*pair))
            if back >= most:
                break
    return timedelta(seconds=back) if back else _NEVER


# --- Runs by the clock on the wall ---------------------------------------------------------------------------------


class _Runs:
    """The runs of a recurrence in seconds since the first day, as the clocks on the wall show them."""

    def __init__(self, recurrence: Recurrence) -> None:
        self.days = _days(recurrence)
        self.times = [each.hour * 3600 + each.minute * 60 + each.second for each in recurrence.times]

    @cached_property
    def longest(self) -> int:
        """The longest time between two runs, where the clocks are never changed."""
        within = max((later - earlier for earlier, later in pairwise(self.times)), default=0)
        return max(within, _longest_wait(self.days) * _SECONDS + self.times[0] - self.times[-1])

    def around(self, at: int) -> Iterator[tuple[int, int]]:
        """The last run before `at` and the first one that is not."""
        day, second = divmod(at, _SECONDS)
        place, today = bisect_left(self.times, second), self.days >> day & 1
        if today and place > 0:
            before: int | None = day * _SECONDS + self.times[place - 1]
        else:
            earlier = (self.days & ((1 << day) - 1)).bit_length() - 1
            before = earlier * _SECONDS + self.times[-1] if earlier >= 0 else None
        if today and place < len(self.times):
            after: int | None = day * _SECONDS + self.times[place]
        else:
            rest = self.days >> (day + 1)
            later = day + (rest & -rest).bit_length()
            after = later * _SECONDS + self.times[0] if rest else None
        if before is not None and after is not None:
            yield before, after

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Each run with the next one."""
        return pairwise(day * _SECONDS + second for day in _bits(self.days) for second in self.times)


@lru_cache(maxsize=1024)
def _longest_wait(days: int) -> int:
    """The most days from one to the next one."""
    first = (days & -days).bit_length() - 1
    empty = ~days & ((1 << days.bit_length()) - 1) & -(1 << first)
    wait = 1
    while empty:
        empty &= empty >> 1
        wait += 1
    return wait


def _bits(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


# --- Days ----------------------------------------------------------------------------------------------------------


def _days(recurrence: Recurrence) -> int:
    """The days on which it runs: the bit n is the day n after the first."""
    days = (1 << _DAYS) - 1
    if recurrence.months:
        days &= _any(_month(each.number) for each in recurrence.months)
    if recurrence.days_of_month:
        return days & _any(_number(each) for each in recurrence.days_of_month)
    if recurrence.days:
        days &= _any(_weekday(each.number) for each in recurrence.days)
    if recurrence.weeks:
        days &= _any(_nth(str(each)) for each in recurrence.weeks)
    return days


def _any(masks: Iterable[int]) -> int:
    found = 0
    for each in masks:
        found |= each
    return found


def _where(holds: Callable[[date], bool]) -> int:
    bits = ("1" if holds(_FIRST + place * _DAY) else "0" for place in reversed(range(_DAYS)))
    return int("".join(bits), 2)


@lru_cache
def _month(number: int) -> int:
    return _where(lambda day: day.month == number)


@lru_cache
def _number(number: int) -> int:
    return _where(lambda day: day.day == number)


@lru_cache
def _weekday(number: int) -> int:
    return _where(lambda day: day.weekday() == number)


@lru_cache
def _nth(week: str) -> int:
    return _where(lambda day: week in weeks_of(day))


# --- Clocks --------------------------------------------------------------------------------------------------------


class _Clocks:
    """What the clocks of a zone do, in seconds since the first day: `offsets` from UTC, each from a moment that the
    clocks show (`begins`) up to one of UTC (`ends`). `set_back` are the moments on the wall at which an hour, or what
    it is, has been shown twice."""

    def __init__(self, offsets: list[int], changes: list[int]) -> None:
        self.offsets = offsets
        self.ends = [*changes, _DAYS * 2 * _SECONDS]
        steps = list(zip(changes, pairwise(offsets), strict=True))
        self.begins = [-_DAYS * _SECONDS, *(at + max(both) for at, both in steps)]
        self.set_back = [at + before for at, (before, after) in steps if after < before]

    def between(self, earlier: int, later: int) -> int:
        """How long it takes from one moment on the wall to another one."""
        return self._moment(later) - self._moment(earlier)

    def _moment(self, shown: int) -> int:
        """As `calendar.instant`: the first time that it is shown; in a gap the gap's end."""
        place = bisect_right(self.begins, shown) - 1
        return min(shown - self.offsets[place], self.ends[place])


@lru_cache(maxsize=64)
def _clocks(zone: ZoneInfo) -> _Clocks:
    offsets, changes = [_offset(zone, -2 * _SECONDS)], []
    for day in range(-2, _DAYS + 2):
        start, end = day * _SECONDS, (day + 1) * _SECONDS
        if _offset(zone, end) == offsets[-1]:
            continue
        while end - start > 1:
            middle = (start + end) // 2
            start, end = (middle, end) if _offset(zone, middle) == offsets[-1] else (start, middle)
        changes.append(end)
        offsets.append(_offset(zone, end))
    return _Clocks(offsets, changes)


def _offset(zone: ZoneInfo, second: int) -> int:
    offset = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())
