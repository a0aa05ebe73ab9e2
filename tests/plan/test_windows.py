"""Change windows, held against every minute of the days around a change of the clocks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import ClockTime, Weekday
from reconciler.model.documents import ChangeWindow, WindowRule
from reconciler.schedule.change_windows import next_open, open_now

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)

#: Zones and a day on which their clocks are changed: by an hour, by half an hour, at midnight, by a whole day.
TURNS = [
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("America/Sao_Paulo", date(2018, 2, 18)),
    ("Africa/Casablanca", date(2026, 3, 22)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("UTC", date(2026, 3, 29)),
]


Dates = tuple[date, ...]


def clock(text: str | None) -> ClockTime | None:
    return ClockTime.parse(text) if text else None


def allow(start: str | None = None, end: str | None = None, *, days: str = "", dates: Dates = ()) -> ChangeWindow:
    return ChangeWindow(allow=_rule(start, end, days, dates))


def deny(start: str | None = None, end: str | None = None, *, days: str = "", dates: Dates = ()) -> ChangeWindow:
    return ChangeWindow(deny=_rule(start, end, days, dates))


def _rule(start: str | None, end: str | None, days: str, dates: Dates) -> WindowRule:
    return WindowRule(tuple(Weekday(each) for each in days.split()), dates, clock(start), clock(end))


# --- What the words mean -----------------------------------------------------------------------------------------

MONDAY = datetime(2026, 3, 9, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("rules", "local", "is_open"),
    [
        ([], MONDAY, True),
        ([allow("08:00", "16:00")], MONDAY.replace(hour=8), True),
        ([allow("08:00", "16:00")], MONDAY.replace(hour=7, minute=59, second=59), False),
        ([allow("08:00", "16:00")], MONDAY.replace(hour=15, minute=59, second=59), True),
        ([allow("08:00", "16:00")], MONDAY.replace(hour=16), False),
        ([allow(days="Tu")], MONDAY, False),
        ([allow(days="Mo")], MONDAY.replace(hour=23, minute=59), True),
        ([allow(dates=(date(2026, 3, 9),))], MONDAY, True),
        ([allow(days="Tu", dates=(date(2026, 3, 9),))], MONDAY, False),
        ([allow("22:00", "06:00", days="Mo")], MONDAY.replace(hour=23), True),
        ([allow("22:00", "06:00", days="Mo")], MONDAY.replace(hour=5), False),
        ([allow("22:00", "06:00", days="Mo")], MONDAY.replace(day=10, hour=5), True),
        ([allow("22:00", "06:00", days="Mo")], MONDAY.replace(day=10, hour=6), False),
        ([allow("22:00")], MONDAY.replace(hour=22), True),
        ([allow("22:00", days="Su")], MONDAY, False),
        ([allow(end="06:00")], MONDAY.replace(hour=5), True),
        ([allow("06:00", "06:00", days="Mo")], MONDAY.replace(day=10, hour=5), True),
        ([deny("12:00", "13:00")], MONDAY.replace(hour=12), False),
        ([deny("12:00", "13:00")], MONDAY.replace(hour=13), True),
        ([allow(), deny(dates=(date(2026, 3, 9),))], MONDAY, False),
        ([allow("08:00", "09:00"), allow("10:00", "11:00")], MONDAY.replace(hour=10), True),
    ],
)
def test_what_is_open(rules: list[ChangeWindow], local: datetime, is_open: bool) -> None:
    assert open_now(rules, local) is is_open


def test_the_next_window() -> None:
    rules = [allow("08:00", "16:00", days="Mo Tu We Th"), deny(dates=(date(2026, 12, 24), date(2026, 12, 31)))]
    wednesday = datetime(2026, 12, 23, 17, 0, tzinfo=UTC)
    assert next_open(rules, wednesday, BERLIN) == datetime(2026, 12, 28, 7, 0, tzinfo=UTC)
    monday = datetime(2026, 12, 28, 9, 30, 5, tzinfo=UTC)
    assert next_open(rules, monday, BERLIN) == monday


def test_what_never_comes() -> None:
    now = datetime(2026, 3, 10, tzinfo=UTC)
    assert next_open([allow(dates=(date(2025, 1, 1),))], now, BERLIN) is None
    assert next_open([allow(), deny()], now, BERLIN) is None
    assert next_open([allow(dates=(date(2027, 4, 1),))], now, BERLIN) == datetime(2027, 3, 31, 22, tzinfo=UTC)


# --- Every minute ------------------------------------------------------------------------------------------------

_times = st.one_of(
    st.none(),
    st.sampled_from(["00:00", "00:30", "01:30", "02:00", "02:15", "02:30", "03:00", "23:30"]),
    st.times().map(lambda each: f"{each:%H:%M}"),
)


Situation = tuple[list[ChangeWindow], datetime, ZoneInfo]


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    name, day = draw(st.sampled_from(TURNS))
    near = [day + timedelta(days=ahead) for ahead in range(-2, 3)]
    rules = []
    for _ in range(draw(st.integers(0, 3))):
        days = " ".join(sorted(draw(st.sets(st.sampled_from(list(Weekday)), max_size=3))))
        dates = tuple(sorted(draw(st.sets(st.sampled_from(near), max_size=2))))
        make = draw(st.sampled_from([allow, deny]))
        rules.append(make(draw(_times), draw(_times), days=days, dates=dates))
    start = datetime.combine(day, time(0), UTC) - timedelta(days=1)
    return rules, start + draw(st.integers(0, 2 * 1440)) * MINUTE, ZoneInfo(name)


def _minutes_of(rule: WindowRule, day: date) -> set[tuple[date, int]]:
    """Every minute that a rule covers in the days around one, as the clocks show it."""
    first = rule.start.value.hour * 60 + rule.start.value.minute if rule.start else 0
    last = rule.end.value.hour * 60 + rule.end.value.minute if rule.end else 1440
    covered = set()
    for ahead in range(-3, 6):
        began = day + timedelta(days=ahead)
        wanted = not rule.days or list(Weekday)[began.weekday()] in rule.days
        if wanted and (not rule.dates or began in rule.dates):
            for minute in range(first, last if last > first else last + 1440):
                covered.add((began + timedelta(days=minute // 1440), minute % 1440))
    return covered


def _states(rules: list[ChangeWindow], now: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, bool]]:
    allowed = [_minutes_of(rule.allow, now.date()) for rule in rules if rule.allow]
    denied = [_minutes_of(rule.deny, now.date()) for rule in rules if rule.deny]
    for minute in range(2 * 1440):
        moment = now + minute * MINUTE
        shown = moment.astimezone(zone)
        key = (shown.date(), shown.hour * 60 + shown.minute)
        is_open = (not allowed or any(key in each for each in allowed)) and not any(key in each for each in denied)
        yield moment, is_open


@given(situations())
def test_what_is_open_and_the_next_opening_are_those_of_every_minute(
    situation: tuple[list[ChangeWindow], datetime, ZoneInfo],
) -> None:
    rules, now, zone = situation
    states = list(_states(rules, now, zone))
    for moment, is_open in states[::97]:
        assert open_now(rules, moment.astimezone(zone)) is is_open
    expected = next((moment for moment, is_open in states if is_open), None)
    found = next_open(rules, now, zone)
    if expected is not None:
        assert found == expected
    else:
        assert found is None or found > states[-1][0]
        assert found is None or open_now(rules, found.astimezone(zone))
