"""On demand: virtual machines and groups as a person names them -> the jobs that make a recovery point of each now.

Such a point is one of its group like any other: made as the group's rules say, and kept as long. A name is refused as a
whole, before anything begins, where nothing can be meant by it; a virtual machine that cannot be backed up rightly now
is told, and the others are backed up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import uuid4

import msgspec

from reconciler.control.observe import Observation
from reconciler.control.site import actor
from reconciler.control.virtual_machines import find_machine, names_of, short
from reconciler.errors import Diagnostic, Severity, UsageError
from reconciler.model import DataSource, Job, JobKind, ProtectionGroup, Replica, ReplicaState, VirtualMachine
from reconciler.model.names import fold
from reconciler.model.similar_names import SEE_STATUS, did_you_mean
from reconciler.plan.checks.backup_refusals import refusals

#: Said before a group's name where a virtual machine has the same.
GROUP_PREFIX = "group/"

_UNKNOWN_VM = "RCL7002"


class Backups(msgspec.Struct, frozen=True):
    """The jobs to run, why some virtual machines get none, and what else is to be known."""

    jobs: tuple[Job, ...]
    refused: tuple[Diagnostic, ...] = ()
    notes: tuple[str, ...] = ()


class _Held(msgspec.Struct, frozen=True):
    """A replica of a server, and the group that protects it."""

    server: str
    replica: Replica
    group: ProtectionGroup


def backups(observation: Observation, names: Sequence[str], reason: str, now: datetime) -> Backups:
    """One job for each data source that is meant, however often. Raises `UsageError` for a name that means nothing, or
    more than one thing, or a virtual machine that no applied group protects; and what kept a server from being seen,
    where that may be why."""
    held = _held(observation)
    wanted: dict[tuple[str, DataSource], _Held] = {}
    for name in names:
        wanted.update({(each.server, each.replica.source): each for each in _meant(observation, held, name)})
    found = wanted.values()
    refused = {each: why for each in found if (why := _refusal(observation, each)) is not None}
    return Backups(
        tuple(_job(each, now, reason) for each in found if each not in refused),
        tuple(refused.values()),
        tuple(_pauses(found, now)),
    )


def _held(observation: Observation) -> list[_Held]:
    found: list[_Held] = []
    for server, catalog in sorted(observation.catalogs.items()):
        groups = {seen.group.name: seen.group for seen in catalog.groups}
        mine = (replica for replica in catalog.replicas if replica.group in groups)
        found += (_Held(server, replica, groups[replica.group or ""]) for replica in mine)
    return found


def _meant(observation: Observation, held: Iterable[_Held], name: str) -> list[_Held]:
    groups = _groups_called(observation, name.removeprefix(GROUP_PREFIX))
    members = [each for each in held if (each.server, each.group.name) in groups]
    if groups and name.startswith(GROUP_PREFIX):
        return members
    try:
        machine = find_machine(observation, name)
    except UsageError as error:
        if error.diagnostic.code != _UNKNOWN_VM:
            raise
        if groups:
            return members
        _raise_trouble(observation)
        raise _unknown(observation, name) from None
    if groups:
        raise UsageError(
            "RCL6061",
            f"{name!r} is both a virtual machine and a protection group",
            f"Write {short(machine)} for the virtual machine, {GROUP_PREFIX}{name} for the group.",
            subject=name,
        )
    mine = [each for each in held if each.replica.source.home == machine.home]
    if not mine:
        _raise_trouble(observation)
        raise _unprotected(observation, name, machine)
    return mine


def _groups_called(observation: Observation, name: str) -> set[tuple[str, str]]:
    """The applied groups of that name, or of that name on their server."""
    return {
        (server, seen.group.name)
        for server, catalog in observation.catalogs.items()
        for seen in catalog.groups
        if fold(name) in (fold(seen.group.name), fold(seen.group.display_name))
    }


def _raise_trouble(observation: Observation) -> None:
    """What is not found may be on a server or a cluster that could not be looked at."""
    for error in observation.troubles:
        raise error


def _unknown(observation: Observation, name: str) -> UsageError:
    groups = {seen.group.name for catalog in observation.catalogs.values() for seen in catalog.groups}
    near = did_you_mean(name, sorted(names_of(observation) | groups))
    what = f"neither a virtual machine nor an applied protection group is called {name!r}"
    return UsageError("RCL6060", what, near or SEE_STATUS, subject=name)


def _unprotected(observation: Observation, name: str, machine: DataSource) -> UsageError:
    there = [r for catalog in observation.catalogs.values() for r in catalog.replicas if r.source.home == machine.home]
    since = "; its protection was stopped, and what is there of it is kept" if there else ""
    return UsageError(
        "RCL6062",
        f"no applied group protects the virtual machine {name!r}{since}",
        "Write it into a protection group, then `reconciler apply`. `reconciler coverage` says how it stands.",
        subject=name,
    )


def _refusal(observation: Observation, held: _Held) -> Diagnostic | None:
    """Why no right recovery point can be made of it now; None where nothing is known to be in the way."""
    source, replica = held.replica.source, held.replica
    machine = _seen(observation, source)
    name = machine.name if machine is not None else replica.machine_name or source.machine
    if replica.state is ReplicaState.INCONSISTENT:
        why = replica.inconsistent_because or "a consistency check is needed"
        remedy = f"Repair it first: `reconciler check {name}`, then run this again."
        what = f"the replica of {name!r} is inconsistent: {why}"
        return Diagnostic("RCL6063", Severity.ERROR, what, remedy, subject=name)
    if machine is None:
        what = f"{name!r} cannot be seen on {source.cluster} now, so nothing of it can be read"
        remedy = "Check the cluster; its recovery points are kept. `reconciler status` says why."
        return Diagnostic("RCL6064", Severity.ERROR, what, remedy, subject=name)
    return next((each for each in refusals(machine) if each.severity is Severity.ERROR), None)


def _seen(observation: Observation, source: DataSource) -> VirtualMachine | None:
    cluster = observation.clusters.get(source.cluster)
    machines = cluster.machines if cluster is not None else ()
    return next((each for each in machines if each.id == source.machine), None)


def _pauses(held: Iterable[_Held], now: datetime) -> Iterable[str]:
    pauses = {each.group.name: pause for each in held if (pause := each.group.pause_at(now)) is not None}
    for name, pause in sorted(pauses.items()):
        yield f"{name} is paused until {pause.until} ({pause.reason}); this is made all the same, as it is asked for."


def _job(held: _Held, now: datetime, reason: str) -> Job:
    """As the schedule of the group makes its points: by a synchronization where it has an interval, else whole."""
    source = held.replica.source
    kind = JobKind.SYNCHRONIZATION if held.group.short_term.synchronization else JobKind.EXPRESS_FULL
    return Job(
        id=f"backup-{source.machine[:8]}-{now:%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}",
        kind=JobKind.INITIAL_REPLICA if held.replica.state is ReplicaState.PENDING else kind,
        server=held.server,
        source=source,
        scheduled_for=now,
        group=held.group.name,
        reason=reason or "asked for",
        asked_by=actor(),
    )
