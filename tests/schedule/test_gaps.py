"""Gaps against a walk over every scheduled point of twenty years, in fourteen zones."""

from __future__ import annotations

import os
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model import Month, Recurrence, ShortTerm, Week, Weekday
from reconciler.schedule import longest_gap, occurrences, point_slots

#: With an hour, half an hour and two hours of summer time, at night, at midnight and in the afternoon of UTC, around a
#: month of fasting, and none at all.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/Havana",
    "America/Santiago",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Pacific/Chatham",
    "Antarctica/Troll",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "Asia/Beirut",
)
BERLIN = ZoneInfo("Europe/Berlin")
PROVE = bool(os.environ.get("RECONCILER_PROVE"))
START, END = datetime(2021, 1, 1, tzinfo=UTC), datetime(2041, 1, 1, tzinfo=UTC)


def term(recurrence: Recurrence | None = None, interval: timedelta | None = None) -> ShortTerm:
    return ShortTerm(timedelta(5), timedelta(0), interval, recovery_points=recurrence)


def walked(asked: ShortTerm, zone: ZoneInfo, end: datetime = END) -> timedelta:
    moments = point_slots(asked, zone, START - timedelta(seconds=1), end)
    return max(later - earlier for earlier, later in pairwise(moments))


@st.composite
def recurrences(draw: st.DrawFn) -> Recurrence:
    minutes = draw(st.sets(st.integers(0, 47).map(lambda half: half * 30), min_size=1, max_size=3))
    times = tuple(time(each // 60, each % 60) for each in sorted(minutes))
    months = tuple(sorted(draw(st.sets(st.sampled_from(Month), max_size=3)), key=lambda each: each.number))
    if draw(st.booleans()):
        numbers = draw(st.sets(st.integers(1, 31), min_size=1, max_size=3))
        if any(day > 29 for day in numbers) and [each.number for each in months] == [2]:
            numbers = {29}
        return Recurrence(times, months=months, days_of_month=tuple(sorted(numbers)))
    days = tuple(sorted(draw(st.sets(st.sampled_from(Weekday), max_size=4)), key=lambda each: each.number))
    weeks = tuple(sorted(draw(st.sets(st.sampled_from(Week), max_size=2)), key=list(Week).index))
    return Recurrence(times, days, weeks, months)


@settings(max_examples=1_000 if PROVE else 8)
@given(recurrences(), st.sampled_from(ZONES))
def test_a_recurrence_has_the_longest_gap_that_a_walk_finds(recurrence: Recurrence, zone: str) -> None:
    assert longest_gap(term(recurrence), ZoneInfo(zone)) == walked(term(recurrence), ZoneInfo(zone))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("minutes", [15, 45, 60, 120, 240, 360, 720, 1440])
def test_an_interval_has_the_longest_gap_that_a_walk_finds(minutes: int, zone: str) -> None:
    asked = term(interval=timedelta(minutes=minutes))
    end = START + timedelta(days=366) if minutes < 120 else datetime(2023, 1, 1, tzinfo=UTC)
    assert longest_gap(asked, ZoneInfo(zone)) == walked(asked, ZoneInfo(zone), end)


@pytest.mark.parametrize(
    ("asked", "hours"),
    [
        (term(interval=timedelta(hours=1)), 1),
        (term(interval=timedelta(hours=6)), 7),
        (term(interval=timedelta(hours=24)), 25),
        (term(Recurrence((time(8), time(20)))), 13),
        (term(Recurrence((time(20),), (Weekday.SATURDAY,))), 7 * 24 + 1),
        (term(Recurrence((time(8),), months=(Month.FEBRUARY,), days_of_month=(29,))), 1461 * 24),
        (term(Recurrence((time(8),), months=(Month.JUNE,), days_of_month=(1,))), 366 * 24),
        (term(Recurrence((time(8),), days_of_month=(31,))), 61 * 24 + 1),
    ],
)
def test_gaps_in_the_night_of_25_hours_and_of_rare_days(asked: ShortTerm, hours: int) -> None:
    assert longest_gap(asked, BERLIN) == timedelta(hours=hours)


def test_days_that_never_come_have_no_gap_to_measure() -> None:
    never = Recurrence((time(8),), months=(Month.FEBRUARY,), days_of_month=(30,))
    assert not list(occurrences(never, BERLIN, START, END))
    assert longest_gap(term(never), BERLIN) == timedelta(days=366)
