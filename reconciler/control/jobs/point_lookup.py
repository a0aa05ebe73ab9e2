"""Recovery points: a virtual machine as a person names it, a time or an id of a point -> the point that is meant."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from reconciler.control.clock import newest_of, passed_over
from reconciler.control.observe import Observation
from reconciler.control.planning.propose import desired_now
from reconciler.control.policy_folder import read_or_last_good
from reconciler.control.site import Site
from reconciler.control.virtual_machines import find_machine, short, sources_called
from reconciler.errors import Diagnostic, ReconcilerError, Refused, Severity, UsageError
from reconciler.model import DataSource, RecoveryPoint
from reconciler.model.similar_names import did_you_mean
from reconciler.plan import CoverageInputs, coverage

#: A point with the server that has it, and what is to be said of the choice.
Found = tuple[str, RecoveryPoint, Diagnostic | None]


def find_point(site: Site, observation: Observation, machine: str, point: str, at: datetime | None) -> Found:
    """The point with this id; else the newest one at or before `at`; without both the newest whose time can be
    believed. Raises `UsageError` where the machine is unknown or has several meanings, `Refused`, RCL7004, where it
    has no such point, and what kept a server from being seen where the point could be there."""
    try:
        called = sources_called(observation, machine)
    except UsageError:
        _check_seen(site, observation)
        raise
    if point:
        named = [each for each in _of(observation, called) if each[1].id == point]
        if len({found.source for _, found in named}) == 1:  # an id of a point tells which machine is meant
            return *max(named, key=lambda each: each[1].time), None
    source = find_machine(observation, machine)
    points = _of(observation, [source])
    others = _namesakes(site, observation, called - {source})
    fitting = [each for each in points if not point and (at is None or each[1].time <= at)]
    now = site.now()
    best = max(fitting, key=lambda each: each[1].time, default=None) if at else newest_of(observation, fitting, now)
    if best is not None:
        ahead = None if at else passed_over((each for _, each in points), best[1], now)
        return *best, ahead or _other_of_the_name(machine, source, others)
    _check_seen(site, observation)
    what = "at all" + ("" if points else _why_none(site, observation, source))
    if points and point:
        what = f"with the id {point!r}"
    elif points and at is not None:
        what = f"at or before {at.astimezone(site.zone):%Y-%m-%d %H:%M} ({site.zone})"
    remedy = did_you_mean(point, (each.id for _, each in points)) if point else ""
    remedy = remedy or "See `reconciler points` for what there is."
    if others:
        remedy = f"Another one is meant by that name too: {others}. To recover that one, name it so."
    raise Refused("RCL7004", f"{machine!r} has no recovery point {what}", remedy, subject=machine)


def _of(observation: Observation, sources: Collection[DataSource]) -> list[tuple[str, RecoveryPoint]]:
    """The points of these, each with its server."""
    return [
        (server, point)
        for server, catalog in observation.readable.items()
        for point in catalog.points
        if point.source in sources
    ]


def _check_seen(site: Site, observation: Observation) -> None:
    """Raises what kept a server from being seen: what cannot be read is not taken for empty."""
    if set(observation.readable) >= set(site.engines):
        return
    for error in observation.troubles:
        if error.diagnostic.subject not in site.inventories:
            raise error


def _namesakes(site: Site, observation: Observation, others: frozenset[DataSource]) -> str:
    """Which of the others have recovery points, in words; "" where none has."""
    told = []
    for other in sorted(others):
        times = [point.time for _, point in _of(observation, [other])]
        if times:
            newest = max(times).astimezone(site.zone)
            many = f"{len(times)} recovery point{'s' if len(times) != 1 else ''}"
            told.append(f"{short(other)} with {many}, the newest of {newest:%Y-%m-%d %H:%M}")
    return " and ".join(told)


def _other_of_the_name(machine: str, source: DataSource, others: str) -> Diagnostic | None:
    if not others:
        return None
    what = f"{machine!r} is {short(source)} here; another one is meant by that name too: {others}"
    return Diagnostic("RCL7028", Severity.ADVICE, what, "To recover that one, name it so.", subject=machine)


def _why_none(site: Site, observation: Observation, source: DataSource) -> str:
    """Why a virtual machine has no recovery point, as far as the policies say; "" where they say nothing."""
    try:
        desired = desired_now(site, read_or_last_good(site.folder).policies, observation)
    except ReconcilerError:
        return ""
    rows = coverage(CoverageInputs(observation.at, observation.clusters, observation.catalogs, desired))
    row = next((row for row in rows if row.source == source), None)
    if row is None or not row.why:
        return ""
    if row.why.endswith(f" {row.standing}"):  # such as "initial replica pending"
        return f"; {row.why}"
    return f"; it is {row.standing}: {row.why}"
