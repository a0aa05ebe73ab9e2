"""Retention: disjoint, complete, monotone, and never below its floors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model import Consistency, DataSource, PointKind, RecoveryPoint
from reconciler.schedule import Range, retain

NOW = datetime(2026, 3, 10, tzinfo=UTC)
SOURCE = DataSource("c", "m")


@st.composite
def points(draw: st.DrawFn) -> list[RecoveryPoint]:
    ages = draw(st.lists(st.integers(-10, 2000), unique=True, max_size=15))
    return [
        RecoveryPoint(
            id=str(age),
            source=SOURCE,
            time=NOW - timedelta(hours=age),
            kind=PointKind.SYNCHRONIZATION,
            consistency=Consistency.CRASH,
            source_bytes=1,
            stored_bytes=1,
            verified_at=NOW if draw(st.booleans()) else None,
        )
        for age in ages
    ]


ranges = st.builds(Range, st.integers(1, 60).map(lambda days: timedelta(days=days)) | st.none(), st.integers(0, 6))


@settings(max_examples=500)
@given(points(), ranges)
def test_every_point_is_kept_or_expires_and_keeps_a_reason(made: list[RecoveryPoint], under: Range) -> None:
    result = retain(made, under, NOW)
    kept = [each.point for each in result.keep]
    assert sorted([*kept, *result.expire], key=lambda point: point.time) == sorted(made, key=lambda p: p.time)
    assert all(each.reasons for each in result.keep)


@settings(max_examples=500)
@given(points(), ranges)
def test_the_floors_hold(made: list[RecoveryPoint], under: Range) -> None:
    result = retain(made, under, NOW)
    kept = [each.point for each in result.keep]
    assert len(kept) >= min(len(made), max(3, under.minimum_points))
    newest_first = sorted((p for p in made if p.time <= NOW), key=lambda point: point.time, reverse=True)
    assert {p.id for p in newest_first[:3]} <= {p.id for p in kept}
    verified = [point for point in newest_first if point.verified_at]
    assert not verified or verified[0] in kept
    if under.age is None:
        assert not result.expire


@settings(max_examples=500)
@given(points(), ranges, st.integers(0, 30))
def test_a_longer_range_never_expires_more(made: list[RecoveryPoint], under: Range, more: int) -> None:
    longer = Range(under.age + timedelta(days=more) if under.age else None, under.minimum_points + more % 3)
    assert set(retain(made, longer, NOW).expire) <= set(retain(made, under, NOW).expire)


@given(points(), ranges, st.integers(0, 500))
def test_what_expired_stays_expired_as_time_goes_on(made: list[RecoveryPoint], under: Range, hours: int) -> None:
    later = NOW + timedelta(hours=hours)
    assert set(retain(made, under, NOW).expire) <= set(retain(made, under, later).expire)


@given(points(), ranges, st.randoms())
def test_the_order_of_points_means_nothing(made: list[RecoveryPoint], under: Range, chance: object) -> None:
    assert retain(made, under, NOW) == retain(made[::-1], under, NOW)


@settings(max_examples=300)
@given(points(), ranges)
def test_what_lies_in_the_future_stays_and_lets_nothing_else_go(made: list[RecoveryPoint], under: Range) -> None:
    come = [point for point in made if point.time <= NOW]
    result = retain(made, under, NOW)
    assert result.expire == retain(come, under, NOW).expire
    assert all(point.time <= NOW for point in result.expire)
