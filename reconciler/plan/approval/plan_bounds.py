"""Sound: the values of a plan that came from a file -> why no policy and no server has them, or "".

A file holds whatever somebody writes. What is beyond all that a policy can say or a server hold would end in a number
that no calendar has, or in a count without end.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

import msgspec

from reconciler.model import Pause, ProtectionGroup, Recurrence
from reconciler.plan.fields import FIELDS

#: Years in which something happens, and the largest number: bytes, at most.
_FIRST_YEAR, _LAST_YEAR = 1970, 2500
_LARGEST = 1 << 60

#: What a policy can say [documents.ShortTermPolicy, parse.decode].
LEAST_RETENTION, MOST_RETENTION = timedelta(days=1), timedelta(days=448)
LEAST_POINTS, MOST_POINTS = 3, 448
INTERVALS = tuple(timedelta(minutes=each) for each in (15, 30, 45, 60, 120, 240, 360, 720, 1440))
MOST_HOURS = 24
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DISPLAYED = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ]{0,63}")

#: What a server could hold that somebody else set up, with room to spare.
_LONGEST = timedelta(days=36_525)
_MOST_HELD = 10_000
_MOST_TIMES = 24 * 60
_LONGEST_NAME = 512
_FARTHEST_ZONE = timedelta(hours=15)


def wrong_value(value: Any) -> str:
    """Why something in the value is beyond everything; "" for nothing."""
    if isinstance(value, msgspec.Struct):
        return _first(getattr(value, name) for name in value.__struct_fields__)
    if isinstance(value, Mapping):
        return _first((*value, *value.values()))
    if isinstance(value, list | tuple | frozenset):
        return _first(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return f"the time {value.isoformat()} has no zone"
        return "" if _FIRST_YEAR <= value.year <= _LAST_YEAR else f"the year {value.year} is out of range"
    if isinstance(value, time):
        return _wrong_time(value)
    if isinstance(value, timedelta):
        return "" if abs(value) <= _LONGEST else f"{value} is too long"
    if isinstance(value, float):
        return "" if math.isfinite(value) and abs(value) <= _LARGEST else f"{value} is no such number"
    if isinstance(value, int):
        return "" if abs(value) <= _LARGEST else "a number is too large"
    return ""


def wrong_group(group: ProtectionGroup, before: ProtectionGroup | None) -> str:
    """Why the group is none that a policy can ask for, where it is otherwise than `before`; nor one that a server can
    hold."""
    held = _wrong_held(group)
    if held:
        return held
    term = group.short_term
    said = {
        "displayName": group.display_name == group.name or _DISPLAYED.fullmatch(group.display_name) is not None,
        "shortTerm.retention": LEAST_RETENTION <= term.retention <= MOST_RETENTION,
        "shortTerm.minimumPoints": LEAST_POINTS <= term.minimum_points <= MOST_POINTS,
        "shortTerm.synchronization": term.synchronization is None or term.synchronization in INTERVALS,
        "paused": group.paused is None or _is_pause(group.paused),
        "consistencyCheck.schedule": group.consistency_check.max_hours in (None, *range(1, MOST_HOURS + 1)),
    }
    for field in FIELDS:
        if not said.get(field.path, True) and (before is None or field.get(before) != field.get(group)):
            return f"{field.path} {field.show(field.get(group))!r} is none that a policy can ask for"
    if (before is None or before.name != group.name) and _NAME.fullmatch(group.name) is None:
        return f"the name {group.name!r} is none that a policy can have"
    return ""


def _is_pause(pause: Pause) -> bool:
    """Whether it ends as its last day does, in some zone: people read the day, and servers go by the moment."""
    midnight = datetime.combine(pause.until, time(), UTC) + timedelta(days=1)
    return abs(pause.ends_at - midnight) <= _FARTHEST_ZONE


def _wrong_held(group: ProtectionGroup) -> str:
    """Why no server holds such a group."""
    term, check = group.short_term, group.consistency_check
    for what, span in (("retention", term.retention), ("rpo", term.rpo), ("synchronization", term.synchronization)):
        if span is not None and (span < timedelta(seconds=1) or span > _LONGEST or span.microseconds):
            return f"{what} {span} is out of range"
    if not 0 <= term.minimum_points <= _MOST_HELD:
        return f"minimumPoints {term.minimum_points} is out of range"
    if check.max_hours is not None and not 0 <= check.max_hours <= _MOST_HELD:
        return f"maxHours {check.max_hours} is out of range"
    if (check.time is None) != (check.max_hours is None):
        return "a consistency check has a time and hours, or neither"
    wrong = _first(each for each in (check.time, term.express_full, term.recovery_points) if each is not None)
    for recurrence in (term.express_full, term.recovery_points):
        wrong = wrong or (_wrong_recurrence(recurrence) if recurrence is not None else "")
    if wrong:
        return wrong
    if list(group.members) != sorted(group.members) or len(group.sources) != len(group.members):
        return "its members are not in order, or one is there twice"
    names = [group.name, group.display_name, *(each.volume or "v" for each in group.members)]
    names += [part for each in group.sources for part in (each.cluster, each.machine)]
    return "" if all(0 < len(each) <= _LONGEST_NAME for each in names) else "a name is empty or too long"


def _wrong_recurrence(recurrence: Recurrence) -> str:
    for name in ("times", "days", "weeks", "months", "days_of_month"):
        values = getattr(recurrence, name)
        if len(set(values)) != len(values) or len(values) > _MOST_TIMES:
            return f"{name} has something twice"
    if not recurrence.times:
        return "a schedule has no time"
    if recurrence.days_of_month:
        most = max((_LAST_DAY[month.number - 1] for month in recurrence.months), default=31)
        if not all(1 <= day <= most for day in recurrence.days_of_month):
            return "a schedule has a day that never comes"
    return ""


_LAST_DAY = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _wrong_time(value: time) -> str:
    if value.tzinfo is not None or value.second or value.microsecond:
        return f"{value.isoformat()} is not a clock time of a policy"
    return ""


def _first(values: Any) -> str:
    return next((wrong for each in values if (wrong := wrong_value(each))), "")
