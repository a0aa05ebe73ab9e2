"""Recovery points -> text: by machine, by day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

import msgspec

from reconciler.model import PointKind, RecoveryPoint, format_size
from reconciler.model.names import fold
from reconciler.report.escape import safe
from reconciler.report.words import Paint, called_apart, count, table

#: What a run that made a point is called.
KINDS = {
    PointKind.INITIAL_REPLICA: "initial replica",
    PointKind.SYNCHRONIZATION: "synchronization",
    PointKind.EXPRESS_FULL: "express full",
}


def made_by(kind: str) -> str:
    """A point's kind as a record has it, in words; one of a version to come is shown as it is."""
    return KINDS[PointKind(kind)] if kind in set(PointKind) else kind


class PointRow(msgspec.Struct, frozen=True, rename="camel"):
    """A recovery point with the name of its machine and its server."""

    machine: str
    server: str
    point: RecoveryPoint


class PointsView(msgspec.Struct, frozen=True):
    """The recovery points of a site, or of one virtual machine of it, as seen at `at` (UTC). `unseen`: a server, or
    points on it, could not be read."""

    site: str
    at: datetime
    points: tuple[PointRow, ...]
    unseen: bool = False


def points_text(rows: Sequence[PointRow], zone: tzinfo, paint: Paint) -> str:
    """By machine and day, newest first."""
    if not rows:
        return "There is no recovery point.\n"
    lines: list[str] = []
    names = called_apart((row.point.source, row.machine) for row in rows)
    for source, name in sorted(names.items(), key=lambda named: (fold(named[1]), named[0])):
        mine = [row for row in rows if row.point.source == source]
        lines.append(paint(f"{safe(name)}: {count(len(mine), 'point')}", "strong"))
        cells = [_cells(row, zone) for row in sorted(mine, key=_newest, reverse=True)]
        day = ""
        for place, cell in enumerate(cells):
            if cell[0] == day:
                cells[place] = ("", *cell[1:])
            day = cell[0]
        lines += [*table(("DAY", "TIME", "POINT", "MADE BY", "CONSISTENT", "SIZE", "ADDED"), cells, paint, "  "), ""]
    return "\n".join(lines)


def _newest(row: PointRow) -> tuple[datetime, str]:
    return row.point.time, row.point.id


def consistency_of(point: RecoveryPoint) -> str:
    """What state a point holds, for people; of a virtual machine that was off also why that is."""
    return f"{point.consistency} (was off)" if point.cold else str(point.consistency)


def _cells(row: PointRow, zone: tzinfo) -> tuple[str, ...]:
    point = row.point
    local = point.time.astimezone(zone)
    return (
        f"{local:%Y-%m-%d}",
        f"{local:%H:%M}",
        point.id,
        KINDS[point.kind],
        consistency_of(point),
        format_size(point.source_bytes),
        format_size(point.stored_bytes),
    )
