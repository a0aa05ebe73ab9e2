"""Windows, as written -> how long they are, whether a clock time is inside, and when changes may be made next.

Change windows go by what the clocks of the site show: an hour that comes twice is open, or closed, twice, and one
that is skipped is neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from reconciler.model.documents import ChangeWindow, Window, WindowRule

#: How far ahead a change window is looked for.
HORIZON = timedelta(days=400)

_DAY = timedelta(days=1)
_DAY_MINUTES = 1440

#: The clocks are changed at most once in so long a time.
_STEADY = timedelta(hours=6)


def length_of(window: Window) -> timedelta:
    """How long a window of a day is open; to before from runs over midnight."""
    start, end = _minutes(window.start.value), _minutes(window.end.value)
    return timedelta(minutes=(end - start) % _DAY_MINUTES or _DAY_MINUTES)


def minutes_of(window: Window) -> frozenset[int]:
    """The minutes of a day that are inside the window, counted from midnight."""
    start, length = _minutes(window.start.value), length_of(window) // timedelta(minutes=1)
    return frozenset((start + minute) % _DAY_MINUTES for minute in range(length))


def within(window: Window, at: time) -> bool:
    """Whether the clock time is inside the window."""
    start, length = _minutes(window.start.value), length_of(window)
    return timedelta(minutes=(_minutes(at) - start) % _DAY_MINUTES) < length


def working_hours(at: datetime) -> bool:
    """Monday to Friday, 08:00 to 18:00, by the clock that `at` is in."""
    return at.weekday() < 5 and time(8) <= at.time() < time(18)


# --- Change windows ------------------------------------------------------------------------------------------


def open_now(rules: Sequence[ChangeWindow], local: datetime) -> bool:
    """Whether changes may be made at `local`, a time as the clocks of the site show it.

    Without any `allow` they may, but for `deny`, which wins. A rule with `days` and `dates` wants both. `from` left
    out is the beginning of the day, `to` its end; to before from runs over midnight and belongs to the day on which
    it began.
    """
    allows = [rule.allow for rule in rules if rule.allow is not None]
    if any(rule.deny is not None and _covers(rule.deny, local) for rule in rules):
        return False
    return not allows or any(_covers(allow, local) for allow in allows)


def apart(before: Sequence[ChangeWindow], after: Sequence[ChangeWindow]) -> tuple[bool, bool]:
    """Whether there is a time at which changes may be made by the later rules alone, and one by the earlier alone.

    Between two turns of any rule nothing changes, and days that no rule names are alike by weekday: looked at are a
    week of such days, each day that is named and the one after it, at each turn.
    """
    rules = [each for rule in (*before, *after) for each in (rule.allow, rule.deny) if each is not None]
    named = {day + ahead * _DAY for rule in rules for day in rule.dates for ahead in (0, 1)}
    years = (date(year, 1, 1) for year in range(1900, 2200))
    weeks = ([first + ahead * _DAY for ahead in range(8)] for first in years)
    plain = next(week for week in weeks if named.isdisjoint(week))
    turns = {0} | {minute % _DAY_MINUTES for rule in rules for minute in _span(rule)}
    opened = closed = False
    for day in (*plain[1:], *named):
        for turn in turns:
            local = datetime.combine(day, time(turn // 60, turn % 60))
            was, now = open_now(before, local), open_now(after, local)
            opened, closed = opened or (now and not was), closed or (was and not now)
    return opened, closed


def next_open(rules: Sequence[ChangeWindow], now: datetime, zone: ZoneInfo) -> datetime | None:
    """The first moment (UTC), `now` or later, at which changes may be made; None: not within 400 days."""
    return next((moment for moment, local in _turns(rules, now, zone) if open_now(rules, local)), None)


def _covers(rule: WindowRule, local: datetime) -> bool:
    start, end = _span(rule)
    minute = _minutes(local.time())
    if start <= minute < end and _falls_on(rule, local.date()):
        return True
    return minute + _DAY_MINUTES < end and _falls_on(rule, local.date() - _DAY)


def _span(rule: WindowRule) -> tuple[int, int]:
    """First minute of the day and the one after the last, which may lie in the next day."""
    start = _minutes(rule.start.value) if rule.start is not None else 0
    end = _minutes(rule.end.value) if rule.end is not None else _DAY_MINUTES
    return start, end if end > start else end + _DAY_MINUTES


def _falls_on(rule: WindowRule, day: date) -> bool:
    if rule.days and day.weekday() not in {each.number for each in rule.days}:
        return False
    return not rule.dates or day in rule.dates


def _turns(rules: Sequence[ChangeWindow], now: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """`now`, then each moment up to the horizon at which the answer may change, ascending: in UTC, and as the clocks
    show it."""
    spans = [_span(each) for rule in rules for each in (rule.allow, rule.deny) if each is not None]
    marks = sorted({0} | {minute % _DAY_MINUTES for span in spans for minute in span})
    at, last = now, now + HORIZON
    while at < last:
        offset = _offset(at, zone)
        until = _steady_until(at, zone)
        local = (at + offset).replace(tzinfo=None)
        yield at, local
        for ahead in (0, 1):
            midnight = datetime.combine(local.date() + ahead * _DAY, time(0))
            for mark in marks:
                shown = midnight + timedelta(minutes=mark)
                moment = shown.replace(tzinfo=now.tzinfo) - offset
                if at < moment < until:
                    yield moment, shown
        at = until


def _steady_until(at: datetime, zone: ZoneInfo) -> datetime:
    """A moment up to which the clocks are not changed: six hours later, or when they are."""
    offset = _offset(at, zone)
    early, late = at.replace(microsecond=0), at.replace(microsecond=0) + _STEADY
    if _offset(late, zone) == offset:
        return late
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        early, late = (middle, late) if _offset(middle, zone) == offset else (early, middle)
    return late


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _minutes(at: time) -> int:
    return at.hour * 60 + at.minute
