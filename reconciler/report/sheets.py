"""Reports -> CSV for a spreadsheet: RFC 4180, UTF-8, a header; times in UTC, sizes in bytes; formulas stay text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from reconciler.plan import CoverageState, MachineCoverage
from reconciler.report.coverage import CoverageView
from reconciler.report.escape import csv_cell
from reconciler.report.points import PointRow, PointsView
from reconciler.report.status import GroupStatus, Status

#: What a row of a report is.
R = TypeVar("R")

#: What a cell may be: text, a number, a truth, a time (aware), or nothing.
Value = str | int | bool | datetime | None

#: The columns of a sheet in their order: the name of each, which never changes, and how its cell is told of a row.
Columns = Mapping[str, Callable[[R], Value]]


def sheet(columns: Columns[R], rows: Iterable[R]) -> str:
    """The header, then a line for each row; lines end with CR and LF."""
    lines = [",".join(columns)]
    tell = list(columns.values())
    lines += [",".join([_cell(of(row)) for of in tell]) for row in rows]
    return "".join(f"{line}\r\n" for line in lines)


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return csv_cell(value) if value else ""


# --- Coverage --------------------------------------------------------------------------------------------------


def coverage_csv(view: CoverageView) -> str:
    """A line for each virtual machine, the protected ones too."""
    columns: Columns[MachineCoverage] = {
        "as_of": lambda row: view.at,
        "site": lambda row: view.site,
        "virtual_machine": lambda row: row.name,
        "cluster": lambda row: row.source.cluster,
        "virtual_machine_id": lambda row: row.source.machine,
        "levels": lambda row: " ".join(row.levels or (row.level,)),
        "state": lambda row: row.standing,
        "reason": lambda row: row.why,
        "group": lambda row: row.group,
        "server": lambda row: row.server,
        "node": lambda row: row.node,
        "newest_point": lambda row: row.newest,
        "late": lambda row: row.late,
        "points_in_the_future": lambda row: row.ahead,
    }
    return sheet(columns, view.machines)


# --- Recovery points -------------------------------------------------------------------------------------------


def points_csv(view: PointsView) -> str:
    """A line for each recovery point."""
    columns: Columns[PointRow] = {
        "as_of": lambda row: view.at,
        "site": lambda row: view.site,
        "virtual_machine": lambda row: row.machine,
        "cluster": lambda row: row.point.source.cluster,
        "virtual_machine_id": lambda row: row.point.source.machine,
        "level": lambda row: row.point.source.level,
        "server": lambda row: row.server,
        "point": lambda row: row.point.id,
        "time": lambda row: row.point.time,
        "made_by": lambda row: row.point.kind,
        "consistency": lambda row: row.point.consistency,
        "verified_at": lambda row: row.point.verified_at,
        "source_bytes": lambda row: row.point.source_bytes,
        "stored_bytes": lambda row: row.point.stored_bytes,
    }
    return sheet(columns, view.points)


# --- Groups ----------------------------------------------------------------------------------------------------


def groups_csv(status: Status) -> str:
    """A line for each applied protection group, with how many of its virtual machines are in each state."""
    states = Counter((row.server, row.group, row.standing) for row in status.machines)
    columns: dict[str, Callable[[GroupStatus], Value]] = {
        "as_of": lambda row: status.at,
        "site": lambda row: status.site,
        "server": lambda row: row.server,
        "group": lambda row: row.name,
        "display_name": lambda row: row.display_name,
        "members": lambda row: row.members,
        "retention": lambda row: row.retention,
        "synchronization": lambda row: row.synchronization,
    }
    for state in (each for each in CoverageState if each not in _WITHOUT_GROUP):
        columns[state] = partial(_in_state, states, state)
    columns["paused_until"] = lambda row: str(row.paused.until) if row.paused is not None else None
    columns["paused_by"] = lambda row: row.paused.owner if row.paused is not None else None
    columns["paused_because"] = lambda row: row.paused.reason if row.paused is not None else None
    return sheet(columns, status.groups)


#: No virtual machine of a group is in one of these.
_WITHOUT_GROUP = (CoverageState.EXCLUDED, CoverageState.UNPROTECTED)


def _in_state(states: Counter[tuple[str, str, CoverageState]], state: CoverageState, group: GroupStatus) -> int:
    return states[group.server, group.name, state]
