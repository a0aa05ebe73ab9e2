"""The points of a step's machines -> a timeline: numbers in pixels that a template draws."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from reconciler.model import MachineImpact, Plan, PointFate, Step
from reconciler.report import plan_words as words
from reconciler.report.words import cut, moment

#: Pixels: where the axis begins and ends, the whole width, the height of a machine, and what is above the first.
LEFT, RIGHT, WIDTH, HEIGHT, TOP = 190, 850, 1000, 24, 8
#: How many machines are drawn, how long a name may be, how many marks the axis has at most.
_MACHINES, _NAME, _MARKS = 50, 24, 7
_STEPS = [timedelta(hours=hours) for hours in (1, 3, 6, 12)] + [
    timedelta(days=days) for days in (1, 2, 4, 7, 14, 30, 60, 120, 365, 730, 1825, 3650)
]


class Bar(NamedTuple):
    """From the oldest to the newest point, in pixels."""

    x: float
    width: float


class Line(NamedTuple):
    """One machine: its name, cut and whole, its middle, the points before and after as bars, the points that expire at
    once, sooner and later as paths ("" for none), and what is said of it, short and whole."""

    name: str
    whole: str
    y: float
    before: Bar | None
    after: Bar | None
    at_once: str
    sooner: str
    later: str
    said: str
    told: str


class Timeline(NamedTuple):
    """The machines, the gravest first; the axis' marks (pixel, text); now; the height; how many machines are left out.
    `exact` False: the server prunes by itself."""

    lines: tuple[Line, ...]
    marks: tuple[tuple[float, str], ...]
    now: float
    height: int
    more: int
    exact: bool


def timeline(step: Step, plan: Plan, zone: tzinfo) -> Timeline | None:
    """The timeline of a step, None where no point is touched."""
    if step.impact is None or not step.impact.machines:
        return None
    every = words.gravest_machines(step.impact, plan.names)
    machines = every[:_MACHINES]
    wanted = {machine.source for machine in machines}
    fates: dict[object, list[PointFate]] = {}
    for fate in step.impact.fates:
        if fate.source in wanted:
            fates.setdefault(fate.source, []).append(fate)
    times = [fate.time for mine in fates.values() for fate in mine]
    times += [at for machine in machines for at in _ends(machine) if at is not None]
    axis = _Axis(min([*times, plan.created_at]), max([*times, plan.created_at]), zone)
    lines = tuple(
        _line(machine, fates.get(machine.source, []), place, plan, axis) for place, machine in enumerate(machines)
    )
    height = TOP + HEIGHT * len(lines) + 30
    now = axis.at(plan.created_at)
    return Timeline(lines, axis.marks(), now, height, len(every) - len(machines), step.impact.exact)


def _ends(machine: MachineImpact) -> tuple[datetime | None, ...]:
    return (machine.oldest_before, machine.oldest_after, machine.newest_before, machine.newest_after)


class _Axis:
    """Times -> pixels."""

    def __init__(self, first: datetime, last: datetime, zone: tzinfo) -> None:
        self.first, self.last, self.zone = first, last, zone
        self.seconds = max((last - first).total_seconds(), 3600.0)

    def at(self, time: datetime) -> float:
        share = (time - self.first).total_seconds() / self.seconds
        return round(LEFT + (RIGHT - LEFT) * min(max(share, 0.0), 1.0), 1)

    def bar(self, first: datetime | None, last: datetime | None) -> Bar | None:
        if first is None or last is None:
            return None
        x = self.at(first)
        return Bar(x, round(max(self.at(last) - x, 2.0), 1))

    def path(self, times: Iterable[datetime], y: float) -> str:
        """A short upright line at each time; those that fall together are one."""
        places = sorted({self.at(time) for time in times})
        return " ".join(f"M{x} {y - 7}v14" for x in places)

    def marks(self) -> tuple[tuple[float, str], ...]:
        """Round times in the zone, with the day, the hour or the month as the axis is long."""
        span = timedelta(seconds=self.seconds)
        step = next((each for each in _STEPS if span / each <= _MARKS), _STEPS[-1])
        local = self.first.astimezone(self.zone)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        pattern = "%m-%d %H:%M" if step < timedelta(days=1) else "%m-%d" if span < timedelta(days=300) else "%Y-%m-%d"
        made = []
        for number in range(200):
            at = midnight + number * step
            if at > self.last:
                break
            if at >= self.first:
                made.append((self.at(at), at.strftime(pattern)))
        return tuple(made[-_MARKS - 1 :])


def _line(machine: MachineImpact, fates: list[PointFate], place: int, plan: Plan, axis: _Axis) -> Line:
    y = TOP + HEIGHT * place + HEIGHT / 2
    name = words.named(str(machine.source), plan.names)
    at = plan.created_at
    now = [fate.time for fate in fates if words.at_once(fate, at)]
    moved = [fate for fate in fates if not words.at_once(fate, at) and fate.after != fate.before]
    sooner = [fate.time for fate in moved if _sooner(fate)]
    later = [fate.time for fate in moved if not _sooner(fate)]
    if words.loses_all(machine):
        said = "none is left"
    elif machine.expires_now:
        said = f"{machine.expires_now} of {machine.points} at once"
    elif machine.expires_sooner:
        said = f"{machine.expires_sooner} of {machine.points} sooner"
    else:
        said = f"{machine.expires_later} of {machine.points} later" if machine.expires_later else "as before"
    return Line(
        name=cut(name, _NAME),
        whole=name,
        y=y,
        before=axis.bar(machine.oldest_before, machine.newest_before),
        after=axis.bar(machine.oldest_after, machine.newest_after),
        at_once=axis.path(now, y),
        sooner=axis.path(sooner, y),
        later=axis.path(later, y),
        said=said,
        told=f"{name}: {words.machine_line(machine, axis.zone)} (newest {moment(machine.newest_before, axis.zone)})",
    )


def _sooner(fate: PointFate) -> bool:
    return fate.after is not None and (fate.before is None or fate.after < fate.before)
