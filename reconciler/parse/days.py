"""Days: a typed group -> the days it names that no calendar has."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.errors import Diagnostic, Severity
from reconciler.model.documents import GroupDocument, Later, Placed, Times

#: The last day that each month ever has.
_LAST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def days_that_never_come(placed: Placed[GroupDocument]) -> Iterator[Diagnostic]:
    """An error for each day that its months do not have, and for a date that does not exist."""
    spec = placed.document.spec
    term = spec.short_term
    for name, times in (("expressFull", term.express_full), ("recoveryPoints", term.recovery_points)):
        for index in _never(times) if times is not None else ():
            assert times is not None
            day, months = times.days_of_month[index], " or ".join(str(each) for each in times.months)
            place = placed.positions.at("spec", "shortTerm", name, "daysOfMonth", index)
            what = f"day {day} never comes in {months}"
            yield Diagnostic("RCL1019", Severity.ERROR, what, "Name a day that the months have.", place)
    creation = spec.replica_creation
    if isinstance(creation, Later) and creation.at is None:
        place = placed.positions.at("spec", "replicaCreation", "later")
        what = f"later is {creation.later!r}, a date that does not exist"
        yield Diagnostic(
            "RCL1019", Severity.ERROR, what, "Write a date of the calendar, for example 2027-02-28.", place
        )


def _never(times: Times) -> list[int]:
    most = max((_LAST[month.number - 1] for month in times.months), default=31)
    return [index for index, day in enumerate(times.days_of_month) if day > most]
