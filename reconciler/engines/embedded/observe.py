"""Observing the embedded server: its databases -> the catalog snapshot."""

from __future__ import annotations

import shutil
from datetime import datetime

from msgspec import UNSET

from reconciler.engines.embedded.replica import Facts, ReplicaStore
from reconciler.engines.embedded.server import Assignment, ServerStore
from reconciler.engines.embedded.space import Space
from reconciler.errors import Diagnostic, ReconcilerError, Severity
from reconciler.model import (
    CatalogSnapshot,
    ObservedGroup,
    PoolVolume,
    RecoveryPoint,
    Replica,
    ReplicaState,
    ServerFacts,
)


def observe(name: str, server: ServerStore, space: Space, now: datetime, version: str) -> CatalogSnapshot:
    """What the server holds. A replica store that cannot be read is inconsistent, and a finding; the others go on."""
    replicas: list[Replica] = []
    points: list[RecoveryPoint] = []
    findings: list[Diagnostic] = []
    binned: dict[str, int] = {}
    space.forget()
    for assignment in server.assignments():
        replica, its_points, in_bin, finding = _replica(server, assignment)
        replicas.append(replica)
        points += its_points
        binned[assignment.volume] = binned.get(assignment.volume, 0) + in_bin
        findings += finding
    return CatalogSnapshot(
        server=name,
        taken_at=now,
        facts=ServerFacts(engine="embedded", version=version, roles=()),
        groups=tuple(ObservedGroup(ref, group) for ref, group in server.groups()),
        replicas=tuple(replicas),
        points=tuple(sorted(points, key=lambda point: (point.source, point.time, point.id))),
        volumes=tuple(_volume(server, space, volume, binned.get(volume, 0)) for volume in sorted(server.volumes)),
        findings=tuple(findings),
    )


def _replica(
    server: ServerStore, assignment: Assignment
) -> tuple[Replica, tuple[RecoveryPoint, ...], int, list[Diagnostic]]:
    folder = server.replica_folder(assignment)
    if not folder.is_dir():
        return _value(assignment, Facts(), 0), (), 0, []
    try:
        with ReplicaStore(folder, assignment.source) as store:
            in_bin = sum(point.stored_bytes for point in store.points(binned=True))
            facts = store.facts()
            lost = len(store.bad_blocks())
            value = _value(assignment, facts, store.stored_bytes())
            return value, store.points(), in_bin, [_lost(facts, lost)] if lost else []
    except ReconcilerError as error:
        because = error.diagnostic.message
        broken = Facts(state=ReplicaState.INCONSISTENT, inconsistent_because=because)
        return _value(assignment, broken, 0), (), 0, [error.diagnostic]


def _lost(facts: Facts, count: int) -> Diagnostic:
    return Diagnostic(
        "RCL4006",
        Severity.ERROR,
        f"{count} damaged block(s) of older recovery points could not be stored anew",
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
