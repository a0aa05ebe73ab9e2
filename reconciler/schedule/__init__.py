"""WHAT SHOULD RUN NOW. Pure: applied groups, what ran last, the time -> jobs that are due, points that expire."""

from reconciler.schedule.calendar import (
    interval_slots,
    last_interval_slot,
    last_occurrence,
    longest_gap,
    next_interval_slot,
    next_occurrence,
    occurrences,
)
from reconciler.schedule.due import View, backoff, due, next_job
from reconciler.schedule.retain import Kept, Range, Retention, retain

__all__ = [
    "Kept",
    "Range",
    "Retention",
    "View",
    "backoff",
    "due",
    "interval_slots",
    "last_interval_slot",
    "last_occurrence",
    "longest_gap",
    "next_interval_slot",
    "next_job",
    "next_occurrence",
    "occurrences",
    "retain",
]
