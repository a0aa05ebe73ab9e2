"""WHAT SHOULD RUN NOW. Pure: applied groups, what ran last, the time -> jobs that are due, points that expire."""

from reconciler.schedule.calendar import (
    express_fulls,
    interval_slots,
    last_interval_slot,
    last_occurrence,
    longest_gap,
    next_interval_slot,
    next_occurrence,
    occurrences,
    point_slots,
)
from reconciler.schedule.due import View, backoff, due, next_job
from reconciler.schedule.retain import LEAST_POINTS, Kept, Range, Retention, retain

__all__ = [
    "LEAST_POINTS",
    "Kept",
    "Range",
    "Retention",
    "View",
    "backoff",
    "due",
    "express_fulls",
    "interval_slots",
    "last_interval_slot",
    "last_occurrence",
    "longest_gap",
    "next_interval_slot",
    "next_job",
    "next_occurrence",
    "occurrences",
    "point_slots",
    "retain",
]
