"""WHAT SHOULD RUN NOW. Pure: applied groups, what ran last, the time -> jobs that are due, points that expire."""

from reconciler.schedule.calendar import (
    express_fulls,
    interval_slots,
    last_interval_slot,
    last_occurrence,
    next_interval_slot,
    next_occurrence,
    occurrences,
    point_slots,
)
from reconciler.schedule.due import ANSWERS, Made, View, answered, backoff, due, next_job
from reconciler.schedule.gaps import longest_gap
from reconciler.schedule.retain import LEAST_POINTS, Kept, Range, Retention, retain
from reconciler.schedule.trust import SKEW, Doubt, ahead, believable, believed, newest, until

__all__ = [
    "ANSWERS",
    "Doubt",
    "LEAST_POINTS",
    "Kept",
    "Made",
    "Range",
    "Retention",
    "SKEW",
    "View",
    "ahead",
    "answered",
    "backoff",
    "believable",
    "believed",
    "due",
    "express_fulls",
    "interval_slots",
    "last_interval_slot",
    "last_occurrence",
    "longest_gap",
    "newest",
    "next_interval_slot",
    "next_job",
    "next_occurrence",
    "occurrences",
    "point_slots",
    "retain",
    "until",
]
