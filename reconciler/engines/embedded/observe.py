"""Observing the embedded server: its databases -> the catalog snapshot."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import UNSET

from reconciler.engines.embedded.leftovers import unknown
from reconciler.engines.embedded.making import Place, begun
from reconciler.engines.embedded.records import Assignment, Facts, PointRecord
from reconciler.engines.embedded.replica import ReplicaStore
from reconciler.engines.embedded.server import ServerStore
from reconciler.engines.embedded.space import Space
from reconciler.errors import Diagnostic, ReconcilerError, Severity
from reconciler.model import (
    CatalogSnapshot,
    ObservedGroup,
    PoolVolume,
    Presence,
    RecoveryPoint,
    Replica,
    ReplicaState,
    ServerFacts,
)
from reconciler.protocols import Disks


def observe(
    name: str, server: ServerStore, space: Space, disks: Mapping[str, Disks], now: datetime, version: str
) -> CatalogSnapshot:
    """What the server holds; `disks` are those of the clusters, by name. A replica store that cannot be read is
    inconsistent, and a finding; the others go on."""
    replicas: list[Replica] = []
    points: list[RecoveryPoint] = []
    findings: list[Diagnostic] = []
    binned: dict[str, int] = {}
    space.forget()
    absent = server.presence() is Presence.ABSENT
    findings += server.faults()
    for assignment, place in () if absent else server.places():
        replica, its_points, in_bin, finding = _replica(assignment, place, disks.get(assignment.source.cluster))
        replicas.append(replica)
        points += its_points
        binned[assignment.volume] = binned.get(assignment.volume, 0) + in_bin
        findings += finding
    return CatalogSnapshot(
        server=name,
        taken_at=now,
        facts=ServerFacts(engine="embedded", version=version, roles=()),
        groups=() if absent else tuple(ObservedGroup(ref, group) for ref, group in server.groups()),
        replicas=tuple(replicas),
        points=tuple(sorted(points, key=lambda point: (point.source, point.time, point.id))),
        volumes=tuple(_volume(server, space, volume, binned.get(volume, 0)) for volume in sorted(server.volumes)),
        findings=distinct(findings),
    )


def distinct(findings: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Each finding once: what is wrong with the server's database shows in every replica store."""
    return tuple(dict.fromkeys(findings))


def _replica(
    assignment: Assignment, place: Place, disks: Disks | None
) -> tuple[Replica, tuple[RecoveryPoint, ...], int, list[Diagnostic]]:
    """A replica store that was never begun is pending; one that is on record and is not there is inconsistent."""
    if place.known is None and not begun(place.folder):
        return _value(assignment, Facts(), 0), (), 0, []
    try:
        with ReplicaStore(place) as store:
            records, faults = store.point_records()
            findings = [store.rows.fault(fault).diagnostic for fault in faults]
            findings += [error.diagnostic for error in store.lineage_faults()]
            facts = store.facts()
            lost = len(store.bad_blocks())
            findings += [_doubted(point) for point in records if point.doubt]
            if findings and facts.state is ReplicaState.VALID:
                because = findings[0].message
                facts = msgspec.structs.replace(facts, state=ReplicaState.INCONSISTENT, inconsistent_because=because)
            findings += [_lost(facts, lost)] if lost else []
            findings += _of_recoveries(store, disks)
            unsaid = store.identity_fault()
            findings += [unsaid] if unsaid is not None else []
            points = tuple(point.shown(store.source) for point in records if point.binned_at is None)
            in_bin = sum(point.stored_bytes for point in records if point.binned_at is not None)
            return _value(assignment, facts, store.stored_bytes()), points, in_bin, findings
    except ReconcilerError as error:
        because = error.diagnostic.message
        broken = Facts(state=ReplicaState.INCONSISTENT, inconsistent_because=because)
        return _value(assignment, broken, 0), (), 0, [error.diagnostic]


def _of_recoveries(store: ReplicaStore, disks: Disks | None) -> list[Diagnostic]:
    """What may be half done and is not known, where the cluster can be seen: whoever looks at that says it else."""
    try:
        found = unknown(store, disks) if disks is not None else None
    except ReconcilerError:
        return []
    return [found] if found is not None else []


def _doubted(point: PointRecord) -> Diagnostic:
    what = f"the point {point.id} is not relied on: {point.doubt}"
    return Diagnostic("RCL4006", Severity.ERROR, what, "Recover from another point.", subject=point.machine_name)


def _lost(facts: Facts, count: int) -> Diagnostic:
    return Diagnostic(
        "RCL4006",
        Severity.ERROR,
        f"{count} damaged block(s) of older recovery points could not be stored again",
        "`reconciler store check --read-data` names the points. Newer points are unharmed.",
        subject=facts.machine_name,
    )


def _value(assignment: Assignment, facts: Facts, stored: int) -> Replica:
    return Replica(
        source=assignment.source,
        volume=assignment.volume,
        state=facts.state,
        group=assignment.group,
        machine_name=facts.machine_name,
        node=facts.node,
        inconsistent_because=facts.inconsistent_because,
        existing_points=assignment.existing_points,
        retention=assignment.retention,
        minimum_points=assignment.minimum_points,
        source_bytes=facts.source_bytes,
        stored_bytes=stored,
        synchronized_at=facts.synchronized_at,
        express_full_at=facts.express_full_at,
        checked_at=facts.checked_at,
    )


def _volume(server: ServerStore, space: Space, name: str, binned: int) -> PoolVolume:
    try:
        free = shutil.disk_usage(server.path).free
    except OSError:
        free = None
    return PoolVolume(name, server.volumes[name], space.used(name), binned, UNSET if free is None else free)
