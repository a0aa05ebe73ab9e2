"""Units: what is written is what is meant, and comes back as it was."""

from __future__ import annotations

from datetime import time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import ClockTime, Duration, Size, format_duration, format_size
from reconciler.model.encode import exact_size


@given(st.integers(0, 9_999), st.sampled_from(["s", "min", "h", "d", "w"]))
def test_durations_come_back(count: int, unit: str) -> None:
    duration = Duration.parse(f"{count}{unit}")
    assert Duration.parse(str(duration)) == duration
    assert Duration.parse(format_duration(duration.delta)).delta == duration.delta


@pytest.mark.parametrize(("one", "other"), [("60min", "1h"), ("14d", "2w"), ("12mo", "1y"), ("24h", "1d")])
def test_the_same_length_in_other_words(one: str, other: str) -> None:
    assert Duration.parse(one) == Duration.parse(other)
    assert hash(Duration.parse(one)) == hash(Duration.parse(other))


@pytest.mark.parametrize("text", ["5m", "5", "h", "-5d", "1.5h", "5 d", "1h30min", "", "٣d", "5d\n"])
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        Duration.parse(text)


def test_a_month_is_no_number_of_days() -> None:
    assert Duration.parse("1mo") != Duration.parse("30d")
    assert Duration.parse("11mo") < Duration.parse("1y") < Duration.parse("366d")


@pytest.mark.parametrize(
    ("text", "count"), [("80 TB", 80 * 10**12), ("80TiB", 80 * 2**40), ("1.5 GB", 1_500_000_000), ("0 B", 0)]
)
def test_sizes_are_decimal_or_binary_as_written(text: str, count: int) -> None:
    assert Size.parse(text) == count


@pytest.mark.parametrize("text", ["80", "80 tb", "1,5 GB", "-1 GB", "GB", "1e3 GB"])
def test_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        Size.parse(text)


@given(st.integers(0, 2**60))
def test_sizes_for_people_are_near_the_truth(count: int) -> None:
    shown = format_size(count)
    if shown != f"{count} B":
        assert abs(Size.parse(shown.replace("e+03", "")) - count) <= count * 0.006 + 1


@given(st.integers(0, 23), st.integers(0, 59))
def test_clock_times_come_back(hour: int, minute: int) -> None:
    text = f"{hour:02}:{minute:02}"
    assert str(ClockTime.parse(text)) == text
    assert ClockTime.parse(text).value == time(hour, minute)


@pytest.mark.parametrize("text", ["24:00", "7:00", "12:60", "12", "12:00:00"])
def test_no_clock_time(text: str) -> None:
    with pytest.raises(ValueError, match="is not a clock time"):
        ClockTime.parse(text)


def test_values_do_not_change() -> None:
    with pytest.raises(AttributeError):
        Duration.parse("1d").seconds = 5
    assert format_duration(timedelta(hours=36)) == "36h"


@given(st.integers(0, 10**14))
def test_a_size_shows_itself_as_its_number_does(count: int) -> None:
    assert str(Size(count)) == format_size(count)
    assert exact_size(Size(count)) == exact_size(count)
    assert Size.parse(exact_size(Size(count))) >= count
