"""Recovery points -> HTML in one file: for each virtual machine a calendar by month, and the times below it."""

from __future__ import annotations

from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from reconciler.model import DataSource, PointKind, format_size
from reconciler.model.names import fold
from reconciler.report.pages import Column, Grid, Toned, page
from reconciler.report.points import KINDS, PointRow, PointsView, consistency_of
from reconciler.report.words import called_apart, count, moment
from reconciler.schedule import SKEW

#: So many calendars are drawn, and so many times listed in all, so that a page can be read and sent.
_CALENDARS, _TIMES = 50, 5_000

#: What a kind is called where there is little room.
_SHORT: Mapping[PointKind, str] = {
    PointKind.INITIAL_REPLICA: "initial",
    PointKind.EXPRESS_FULL: "full",
    PointKind.SYNCHRONIZATION: "sync",
}
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_COLUMNS = (
    Column("time", "moment"),
    Column("point", "code"),
    Column("made by"),
    Column("consistency"),
    Column("verified"),
    Column("size", "number"),
    Column("added", "number"),
)


class Day(NamedTuple):
    """A cell of a calendar; `number` "" is a day of another month."""

    number: str = ""
    points: int = 0
    kinds: tuple[str, ...] = ()
    verified: int = 0
    ahead: bool = False


class Month(NamedTuple):
    """A month with points: its weeks, and its points one by one, where they are listed."""

    title: str
    weeks: tuple[tuple[Day, ...], ...]
    times: Grid | None


class Calendar(NamedTuple):
    """A virtual machine: the name that a link leads to, what is said of its points, and its months, newest first."""

    anchor: str
    name: str
    told: str
    months: tuple[Month, ...]


class Line(NamedTuple):
    """A virtual machine in the overview; `anchor` "" where its calendar is not drawn."""

    anchor: str
    name: str
    server: str
    points: int
    verified: int
    oldest: str
    newest: str


def points_html(view: PointsView, zone: tzinfo) -> str:
    """The whole page."""
    mine: dict[DataSource, list[PointRow]] = defaultdict(list)
    for row in view.points:
        mine[row.point.source].append(row)
    names = called_apart((row.point.source, row.machine) for row in view.points)
    order = sorted(mine, key=lambda source: (fold(names[source]), source))
    for source in order:
        mine[source].sort(key=lambda row: (row.point.time, row.point.id), reverse=True)
    room = _TIMES
    calendars = []
    for number, source in enumerate(order[:_CALENDARS], 1):
        listed = len(mine[source]) <= room
        room -= len(mine[source]) if listed else 0
        calendars.append(_calendar(f"vm-{number}", names[source], mine[source], view.at, zone, listed=listed))
    anchors = {source: each.anchor for source, each in zip(order, calendars, strict=False)}
    return page(
        "points.html",
        title=f"Recovery points of {view.site}",
        seen=moment(view.at, zone),
        zone=str(zone),
        lead=f"{count(len(view.points), 'recovery point')} of {count(len(order), 'virtual machine')}."
        if view.points
        else "There is no recovery point.",
        unseen=view.unseen,
        weekdays=WEEKDAYS,
        lines=[_line(anchors.get(source, ""), names[source], mine[source], zone) for source in order],
        calendars=calendars,
        undrawn=len(order) - len(calendars),
    )


def _line(anchor: str, name: str, rows: Sequence[PointRow], zone: tzinfo) -> Line:
    verified = sum(row.point.verified_at is not None for row in rows)
    servers = ", ".join(sorted({row.server for row in rows}))
    oldest, newest = moment(rows[-1].point.time, zone), moment(rows[0].point.time, zone)
    return Line(anchor, name, servers, len(rows), verified, oldest, newest)


def _calendar(
    anchor: str, name: str, rows: Sequence[PointRow], now: datetime, zone: tzinfo, *, listed: bool
) -> Calendar:
    months: dict[tuple[int, int], list[PointRow]] = defaultdict(list)
    for row in rows:
        local = row.point.time.astimezone(zone)
        months[local.year, local.month].append(row)
    kinds = Counter(row.point.kind for row in rows)
    told = ", ".join(f"{kinds[kind]} by {KINDS[kind]}" for kind in _SHORT if kinds[kind])
    verified = sum(row.point.verified_at is not None for row in rows)
    said = f"{count(len(rows), 'recovery point')}: {told}; {verified or 'none'} verified."
    if not listed:
        said += " Their times are not listed here: there are too many on this page."
    drawn = tuple(_month(at, months[at], now, zone, listed=listed) for at in sorted(months, reverse=True))
    return Calendar(anchor, name, said, drawn)


def _month(at: tuple[int, int], rows: Sequence[PointRow], now: datetime, zone: tzinfo, *, listed: bool) -> Month:
    days: dict[int, list[PointRow]] = defaultdict(list)
    for row in rows:
        days[row.point.time.astimezone(zone).day].append(row)
    year, month = at
    first, number = monthrange(year, month)
    cells = [Day()] * first + [_day(day, days[day], now) for day in range(1, number + 1)]
    cells += [Day()] * (-len(cells) % 7)
    weeks = tuple(tuple(cells[start : start + 7]) for start in range(0, len(cells), 7))
    title = f"{_MONTHS[month - 1]} {year}"
    times = Grid(f"Recovery points of {title}, newest first", _COLUMNS, [_time(row, now, zone) for row in rows])
    return Month(title, weeks, times if listed else None)


def _day(number: int, rows: Sequence[PointRow], now: datetime) -> Day:
    kinds = Counter(row.point.kind for row in rows)
    return Day(
        str(number),
        len(rows),
        tuple(f"{kinds[kind]} {short}" for kind, short in _SHORT.items() if kinds[kind]),
        sum(row.point.verified_at is not None for row in rows),
        any(row.point.time > now + SKEW for row in rows),
    )


def _time(row: PointRow, now: datetime, zone: tzinfo) -> tuple[str | Toned, ...]:
    point = row.point
    when = f" {moment(point.verified_at, zone)}" if point.verified_at is not None else ""
    verified = Toned(f"yes,{when}", "good") if when else "no"
    return (
        moment(point.time, zone) + (" (in the future)" if point.time > now + SKEW else ""),
        point.id,
        KINDS[point.kind],
        consistency_of(point),
        verified,
        format_size(point.source_bytes),
        format_size(point.stored_bytes),
    )
