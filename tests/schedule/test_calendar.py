"""The calendar against a walk over every minute, across changes of the clocks."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import Recurrence
from reconciler.model.groups import Week, Weekday
from reconciler.schedule import (
    interval_slots,
    last_interval_slot,
    last_occurrence,
    next_interval_slot,
    next_occurrence,
    occurrences,
)

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
#: Around the changes of the clocks of these zones in 2026, and a quiet day.
DAYS = st.sampled_from([(3, 29), (10, 25), (3, 8), (11, 1), (4, 5), (10, 4), (7, 15)])
INTERVALS = st.sampled_from([timedelta(minutes=m) for m in (15, 30, 45, 60, 120, 240, 360, 720, 1440)])


def noon_before(day: tuple[int, int]) -> datetime:
    return datetime(2026, *day, 12, tzinfo=UTC) - timedelta(days=1)


@given(ZONES, DAYS, st.sets(st.integers(0, 95).map(lambda q: time(q // 4, q % 4 * 15)), min_size=1, max_size=4))
def test_clock_times_come_once_a_day_and_at_their_time(zone_name: str, day: tuple[int, int], at: set[time]) -> None:
    zone, start = ZoneInfo(zone_name), noon_before(day)
    end = start + timedelta(days=3)
    recurrence = Recurrence(tuple(sorted(at)))
    found = list(occurrences(recurrence, zone, start, end))
    assert found == sorted(set(found))
    walked: dict[tuple[int, time], datetime] = {}
    moment = start
    while moment <= end:
        local = moment.astimezone(zone)
        if local.time() in at:
            walked.setdefault((local.toordinal(), local.time()), moment)
        moment += timedelta(minutes=1)
    shown = {each for each in walked.values() if start < each <= end and each.astimezone(zone).fold == 0}
    assert shown <= set(found)
    for each in set(found) - shown:  # only what a gap swallowed runs at another time: at the gap's end
        before = (each - timedelta(seconds=1)).astimezone(zone)
        assert before.utcoffset() != each.astimezone(zone).utcoffset()


def test_a_time_in_the_gap_runs_at_the_first_instant_after_it() -> None:
    start = datetime(2026, 3, 28, 12, tzinfo=UTC)
    found = list(occurrences(Recurrence((time(2, 30),)), BERLIN, start, start + timedelta(days=1)))
    assert found == [datetime(2026, 3, 29, 1, 0, tzinfo=UTC)]


def test_a_time_in_the_fold_runs_once_the_first_time() -> None:
    start = datetime(2026, 10, 24, 12, tzinfo=UTC)
    found = list(occurrences(Recurrence((time(2, 30),)), BERLIN, start, start + timedelta(days=1)))
    assert found == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]


@given(ZONES, DAYS, INTERVALS)
def test_interval_slots_are_no_further_apart_than_their_interval_but_for_the_gap(
    zone_name: str, day: tuple[int, int], interval: timedelta
) -> None:
    zone, start = ZoneInfo(zone_name), noon_before(day)
    found = list(interval_slots(interval, zone, start, start + timedelta(days=3)))
    assert found == sorted(set(found))
    steps = {later - earlier for earlier, later in itertools.pairwise(found)}
    slack = timedelta(hours=1)
    assert max(steps) <= interval + slack
    if interval <= timedelta(hours=1):
        assert max(steps) <= interval


@given(ZONES, DAYS, INTERVALS, st.integers(0, 60 * 48))
def test_last_and_next_slot_enclose_the_moment(
    zone_name: str, day: tuple[int, int], interval: timedelta, minutes: int
) -> None:
    zone, now = ZoneInfo(zone_name), noon_before(day) + timedelta(minutes=minutes)
    last, coming = last_interval_slot(interval, zone, now), next_interval_slot(interval, zone, now)
    assert last <= now < coming
    assert not list(interval_slots(interval, zone, last, coming - timedelta(seconds=1)))


def test_the_last_saturday_and_the_second_tuesday() -> None:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    at = (time(12),)
    last = Recurrence(at, (Weekday.SATURDAY,), (Week.LAST,))
    assert [each.day for each in occurrences(last, BERLIN, start, end)] == [31, 28, 28]
    second = Recurrence(at, (Weekday.TUESDAY,), (Week.SECOND,))
    assert [each.day for each in occurrences(second, BERLIN, start, end)] == [13, 10, 10]


def test_a_leap_day_is_waited_for() -> None:
    recurrence = Recurrence((time(12),), days_of_month=(29,), months=())
    now = datetime(2026, 2, 1, tzinfo=UTC)
    coming = next_occurrence(recurrence, BERLIN, now)
    before = last_occurrence(recurrence, BERLIN, now)
    assert coming is not None
    assert before is not None
    assert (coming.month, coming.day, before.month) == (3, 29, 1)
