"""The clock: what a site remembers of time, this moment -> whether points may expire, and what lies in the future."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from reconciler.control.approving.valid_approvals import last_applied
from reconciler.control.observe import Observation
from reconciler.control.site import Site
from reconciler.errors import Diagnostic, Severity, UsageError
from reconciler.model import CatalogSnapshot, RecoveryPoint
from reconciler.schedule import Doubt, ahead, believable, newest

#: A clock that jumps further than this is not believed where points would expire by it.
TRUSTED_JUMP = timedelta(days=1)

SEEN, TRUSTED, HEARTBEAT = "seen", "trusted", "heartbeat"

#: What the clock showed while it was back, first and last; up to when it was believed before; when it was again.
DOUBT_START, DOUBT_END, DOUBTED, RETURNED = "doubtStart", "doubtEnd", "doubted", "returned"

#: The latest time in the future that somebody knew of when he confirmed the clock.
ACKNOWLEDGED = "acknowledged"

#: What `status --check` fails for.
ALARMS = frozenset({"RCL6018", "RCL6019"})

#: How many names a finding lists.
_SHOWN = 3


def trust_clock(site: Site, now: datetime, confirmed: bool) -> Diagnostic | None:
    """Moves the clock's marks forward. Where it jumped by more than a day, the finding that says pruning waits."""
    marks = site.memory.marks
    trusted = marks.read(TRUSTED)
    seen = marks.read(SEEN)
    if seen is None or now > seen:
        marks.write(SEEN, now)
    paused = pruning_paused(trusted, now)
    if paused is None or confirmed:
        if trusted is None or now > trusted or confirmed:
            marks.write(TRUSTED, now)
        _returned(site, now)
        return None
    assert trusted is not None
    if now < trusted:
        _doubted(site, now, trusted)
    return paused


def pruning_paused(trusted: datetime | None, now: datetime) -> Diagnostic | None:
    """The finding that pruning waits, where the clock is more than a day from the moment up to which it was `trusted`
    (None: never); UTC."""
    if trusted is None or abs(now - trusted) <= TRUSTED_JUMP:
        return None
    direction = "forward" if now > trusted else "back"
    return Diagnostic(
        "RCL6010",
        Severity.WARNING,
        f"the clock went {direction} from {trusted:%Y-%m-%d %H:%M} to {now:%Y-%m-%d %H:%M} UTC; nothing expires",
        "If the time is right, run once with --confirm-clock; backup jobs continue meanwhile.",
        subject="clock",
    )


def _doubted(site: Site, now: datetime, trusted: datetime) -> None:
    """Notes what the clock shows while it is back: points that are made now carry such times."""
    marks = site.memory.marks
    start, end = marks.read(DOUBT_START), marks.read(DOUBT_END)
    marks.write(DOUBT_START, min(now, start) if start is not None else now)
    marks.write(DOUBT_END, max(now, end) if end is not None else now)
    marks.write(DOUBTED, trusted)


def _returned(site: Site, now: datetime) -> None:
    """Notes, once for each time that the clock was back, when it was believed again."""
    marks = site.memory.marks
    doubted, returned = marks.read(DOUBTED), marks.read(RETURNED)
    if doubted is not None and (returned is None or returned <= doubted):
        marks.write(RETURNED, now)
        marks.write(DOUBTED, min(doubted, now - TRUSTED_JUMP))  # it may lie years ahead, where that was what was wrong


def doubt_of(site: Site) -> Doubt | None:
    """When the clock was back last, if ever. Points of that time do not expire by it."""
    marks = site.memory.marks
    start, end, returned = marks.read(DOUBT_START), marks.read(DOUBT_END), marks.read(RETURNED)
    if start is None or end is None or returned is None:
        return None
    return Doubt(start - TRUSTED_JUMP, end + TRUSTED_JUMP, returned)


def check_rehearsal(site: Site, now: datetime) -> None:
    """Refuses a rehearsed time that lies before one that the site has lived through, and any where the site as it was
    last applied allows none: whoever writes the policies would else choose the day on which things are judged."""
    known = last_applied(site)
    if known is not None and not known.document.spec.rehearsal:
        raise UsageError(
            "RCL6012",
            f"the site {site.name} allowed no --now when it was last applied",
            "Remove it. `rehearsal: true` takes effect once it is approved, or confirmed in a terminal, and applied.",
            subject=site.name,
        )
    seen = site.memory.marks.read(SEEN)
    if seen is not None and now < seen:
        raise UsageError(
            "RCL6011",
            f"--now {now:%Y-%m-%d %H:%M} UTC lies before {seen:%Y-%m-%d %H:%M} UTC, up to which this site has lived",
            "Rehearsed time only goes forward: give a later --now, or none.",
        )


# --- What lies in the future -----------------------------------------------------------------------------------


def future_times(site: Site, observation: Observation) -> tuple[Diagnostic, ...]:
    """A finding for each server with points or marks in the future, RCL6018, and one for our own memory, RCL6019.

    A warning where somebody confirmed the clock since (`run --confirm-clock`), else an error.
    """
    known = site.memory.marks.read(ACKNOWLEDGED)
    found = [_of_server(catalog, observation.at, known) for catalog in observation.catalogs.values()]
    found.append(_of_memory(site, observation.at, known))
    return tuple(each for each in found if each is not None)


def acknowledge(site: Site, observation: Observation) -> None:
    """Notes that somebody who confirmed the clock knows of all that lies in the future now. Needs the lease."""
    latest = [at for catalog in observation.catalogs.values() for _, at in _ahead(catalog, observation.at)]
    latest += _remembered_ahead(site, observation.at).values()
    if latest:
        site.memory.marks.write(ACKNOWLEDGED, max(latest))


def newest_of(
    observation: Observation, points: Iterable[tuple[str, RecoveryPoint]], now: datetime
) -> tuple[str, RecoveryPoint] | None:
    """The newest of one data source's points, with its server, as far as their times can be believed; where all of
    them lie in the future, the one that lies there furthest."""
    every = list(points)
    found = []
    for server in sorted({server for server, _ in every}):
        mine = [point for at, point in every if at == server]
        held = observation.readable[server].replicas
        replica = next((each for each in held if each.source == mine[0].source), None)
        best = newest(mine, replica, now) or newest(mine, None, now)
        found += [(server, best)] if best is not None else []
    return max(found or every, key=lambda each: each[1].time, default=None)


def passed_over(points: Iterable[RecoveryPoint], taken: RecoveryPoint, now: datetime) -> Diagnostic | None:
    """What is to be said where a later point was not taken for the newest, or one in the future had to be."""
    every = list(points)
    later = sorted(point.time for point in every if point.time > taken.time and ahead(point.time, now))
    if ahead(taken.time, now):
        what = f"the point taken, {taken.id}, lies in the future ({taken.time:%Y-%m-%d %H:%M} UTC): no other is there"
    elif later:
        many = f"{len(later)} point{'s' if len(later) > 1 else ''} lie{'' if len(later) > 1 else 's'}"
        what = f"{many} in the future, up to {later[-1]:%Y-%m-%d %H:%M} UTC, and {taken.id} is taken for the newest"
    else:
        return None
    remedy = "Name another one with --point, see `reconciler points`; check the clock."
    return Diagnostic("RCL6020", Severity.WARNING, what, remedy, subject=taken.machine_name)


def _of_server(catalog: CatalogSnapshot, now: datetime, known: datetime | None) -> Diagnostic | None:
    times = _ahead(catalog, now)
    if not times:
        return None
    points = len(catalog.points) - len(believable(catalog.points, now))
    names = sorted({name for name, _ in times})
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    latest = max(at for _, at in times)
    many = f"{points} recovery point{'' if points == 1 else 's'} of" if points else "what was last done to"
    lie = "lies" if points == 1 else "lie"
    severity = Severity.WARNING if known is not None and latest <= known else Severity.ERROR
    return Diagnostic(
        "RCL6018",
        severity,
        f"{many} {shown} on {catalog.server} {lie} in the future, up to {latest:%Y-%m-%d %H:%M} UTC",
        "Check the clocks of this host and of the server. Backups continue by the time that it is now; such points are "
        "kept. If the time is right now, say so once: `reconciler run --until-idle --confirm-clock`.",
        subject=catalog.server,
    )


def _ahead(catalog: CatalogSnapshot, now: datetime) -> list[tuple[str, datetime]]:
    """The machines with points or marks in the future, each with how far they lie there."""
    found = [(p.machine_name or p.source.machine, p.time) for p in catalog.points if ahead(p.time, now)]
    for replica in catalog.replicas:
        name = replica.machine_name or replica.source.machine
        marks = (replica.synchronized_at, replica.express_full_at, replica.checked_at)
        found += [(name, at) for at in marks if at is not None and ahead(at, now)]
    return found


def _remembered_ahead(site: Site, now: datetime) -> dict[str, datetime]:
    """Which of the loop's own times lie in the future, each kind with how far."""
    beat = site.memory.marks.read(HEARTBEAT)
    times = {"the heartbeat of the loop": [beat] if beat is not None else []}
    times["jobs"] = [record.started_at for record in site.memory.jobs.latest().values()]
    times["what was applied"] = [entry.applied_at for entry in site.memory.ledger.entries()]
    times["runs"] = [run.started_at for run in site.memory.journal.open_runs()]
    return {what: max(late) for what, some in times.items() if (late := [at for at in some if ahead(at, now)])}


def _of_memory(site: Site, now: datetime, known: datetime | None) -> Diagnostic | None:
    wrong = _remembered_ahead(site, now)
    if not wrong:
        return None
    latest = max(wrong.values())
    return Diagnostic(
        "RCL6019",
        Severity.WARNING if known is not None and latest <= known else Severity.ERROR,
        f"the state tells times in the future, up to {latest:%Y-%m-%d %H:%M} UTC: {', '.join(wrong)}",
        "Check the clock of this host. Nothing is decided by those times. If the time is right now, say so once: "
        "`reconciler run --until-idle --confirm-clock`.",
        subject=site.name,
    )
