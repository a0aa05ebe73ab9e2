"""A retention that is shortened -> the settings on the way, so that recovery points expire in small parts."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from reconciler.model import ProtectionGroup


class RetentionSteps:
    """Settings on the way from `start` to `goal` that let points expire in small parts: first the retention is
    shortened, by a `unit` at a time, then the least number of points. Whatever else the goal weakens is done
    with the first."""

    def __init__(self, start: ProtectionGroup, goal: ProtectionGroup, unit: timedelta) -> None:
        self._start, self._goal, self._unit = start, goal, unit
        high, self._low = start.short_term.retention, goal.short_term.retention
        self._top = -(-high // unit) * unit - unit
        self._lengths = 0 if high <= self._low else max(0, -(-(self._top - self._low) // unit)) + 1
        self._counts = max(0, start.short_term.minimum_points - goal.short_term.minimum_points)

    def __len__(self) -> int:
        return self._lengths + self._counts

    def at(self, step: int) -> ProtectionGroup:
        """The settings after so many steps, 1 to the number of steps; the last are the goal's."""
        if step <= self._lengths:
            retention = max(self._low, self._top - (step - 1) * self._unit)
            floor = self._start.short_term.minimum_points
        else:
            retention, floor = self._low, self._start.short_term.minimum_points - (step - self._lengths)
        term = self._goal.short_term
        floor = max(floor, term.minimum_points)
        term = msgspec.structs.replace(term, retention=max(retention, term.retention), minimum_points=floor)
        return msgspec.structs.replace(self._goal, short_term=term)
