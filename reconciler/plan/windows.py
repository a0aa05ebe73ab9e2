"""Windows of a day, as written -> how long they are, and whether a clock time is inside."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from reconciler.model.documents import Window


def length_of(window: Window) -> timedelta:
    """How long a window of a day is open; to before from runs over midnight."""
    start, end = _minutes(window.start.value), _minutes(window.end.value)
    return timedelta(minutes=(end - start) % 1440 or 1440)


def within(window: Window, at: time) -> bool:
    """Whether the clock time is inside the window."""
    start, length = _minutes(window.start.value), length_of(window)
    return timedelta(minutes=(_minutes(at) - start) % 1440) < length


def working_hours(at: datetime) -> bool:
    """Monday to Friday, 08:00 to 18:00, by the clock that `at` is in."""
    return at.weekday() < 5 and time(8) <= at.time() < time(18)


def _minutes(at: time) -> int:
    return at.hour * 60 + at.minute
