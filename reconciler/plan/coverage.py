"""Coverage: clusters, catalogs and the desired state -> for every machine, whether it is protected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from reconciler.model import (
    CatalogSnapshot,
    ClusterSnapshot,
    DataSource,
    Level,
    ProtectionGroup,
    Replica,
    ReplicaState,
    VirtualMachine,
)
from reconciler.model.names import fold
from reconciler.plan.preflight import refusals
from reconciler.plan.values import DesiredState


class Standing(StrEnum):
    """Exactly one for every machine."""

    PROTECTED = "protected"
    PENDING = "pending"
    EXCLUDED = "excluded"
    UNPROTECTED = "unprotected"


class MachineCoverage(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How one machine stands. `why` says it in words unless it is simply protected; `newest` is the time of its
    newest recovery point, `late` whether that is older than the group's RPO.
    `levels` are those at which it is to be protected, where there are several data sources of it."""

    source: DataSource
    name: str
    standing: Standing
    level: Level = Level.HOST
    levels: tuple[Level, ...] = ()
    why: str = ""
    group: str = ""
    server: str = ""
    node: str = ""
    replica: ReplicaState | None = None
    newest: datetime | None = None
    late: bool = False


class Seen(msgspec.Struct, frozen=True):
    """What coverage looks at. `desired` None: the policies cannot be read, so only what is applied is known."""

    now: datetime
    clusters: Mapping[str, ClusterSnapshot]
    catalogs: Mapping[str, CatalogSnapshot]
    desired: DesiredState | None = None


def coverage(seen: Seen) -> tuple[MachineCoverage, ...]:
    """Every machine of the clusters, and every member that its cluster does not show; by cluster and name."""
    return _Coverage(seen).all()


class _Coverage:
    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        desired = seen.desired
        self.excused = {each.source: each for each in desired.excused} if desired else {}
        self.names = dict(desired.names) if desired else {}
        self.wanted: dict[DataSource, tuple[str, ProtectionGroup]] = {}
        for wish in desired.groups if desired else ():
            self.wanted.update({member.source: (wish.server, wish.group) for member in wish.group.members})
        self.applied: dict[DataSource, tuple[str, ProtectionGroup]] = {}
        self.replicas: dict[tuple[str, DataSource], Replica] = {}
        self.newest: dict[tuple[str, DataSource], datetime] = {}
        for server, catalog in seen.catalogs.items():
            for group in catalog.groups:
                self.applied.update({member.source: (server, group.group) for member in group.group.members})
            self.replicas.update({(server, replica.source): replica for replica in catalog.replicas})
            for point in catalog.points:
                key = (server, point.source)
                self.newest[key] = max(point.time, self.newest.get(key, point.time))

    def all(self) -> tuple[MachineCoverage, ...]:
        machines = {
            machine.source(cluster): machine
            for cluster, snapshot in self.seen.clusters.items()
            for machine in snapshot.machines
        }
        sources = {*machines, *self.wanted, *self.applied}
        parts: dict[DataSource, list[DataSource]] = defaultdict(list)
        for source in sources:
            parts[source.home].append(source)
        rows = [self._machine(sorted(mine), machines.get(home)) for home, mine in parts.items()]
        return tuple(sorted(rows, key=lambda row: (row.source.cluster, fold(row.name), row.source)))

    def _machine(self, sources: list[DataSource], machine: VirtualMachine | None) -> MachineCoverage:
        """One row for a machine, however many of its parts are wanted: it stands as the one that stands worst."""
        if len(sources) == 1:
            return self._one(sources[0], machine)
        order = list(Standing)
        rows = [self._one(source, machine) for source in sources]
        wanted = [row for row in rows if row.standing in (Standing.PROTECTED, Standing.PENDING)]
        if not wanted:
            return min(rows, key=lambda row: (order.index(row.standing), row.source))
        shown = max(wanted, key=lambda row: (order.index(row.standing), row.source))
        return msgspec.structs.replace(shown, levels=tuple(sorted({row.source.level for row in wanted})))

    def _one(self, source: DataSource, machine: VirtualMachine | None) -> MachineCoverage:
        home = self.applied.get(source) or self.wanted.get(source)
        name = machine.name if machine else self._name(source, home)
        node = machine.node if machine else ""
        if home is None:
            excused = self.excused.get(source)
            if excused is None:
                why = "no group and no exclusion matches it"
                return MachineCoverage(source, name, Standing.UNPROTECTED, source.level, why=why, node=node)
            why = f"{excused.exclusion}: {excused.reason}"
            return MachineCoverage(source, name, Standing.EXCLUDED, source.level, why=why, node=node)
        server, group = home
        replica = self.replicas.get((server, source))
        newest = self.newest.get((server, source))
        late = newest is not None and self.seen.now - newest > group.short_term.rpo
        why = self._pending(source, machine, replica, newest)
        if not why and newest is not None and late:
            why = f"late: the newest point is {_age(self.seen.now - newest)} old"
        return MachineCoverage(
            source=source,
            name=name,
            standing=Standing.PENDING if why else Standing.PROTECTED,
            level=source.level,
            why=why,
            group=group.name,
            server=server,
            node=node,
            replica=replica.state if replica else None,
            newest=newest,
            late=late,
        )

    def _pending(
        self, source: DataSource, machine: VirtualMachine | None, replica: Replica | None, newest: datetime | None
    ) -> str:
        """Why the machine is not protected as it should be; "" if nothing but lateness can be said."""
        if source not in self.applied:
            server = self.wanted[source][0]
            return "not applied yet" if server in self.seen.catalogs else f"what {server} holds is not known"
        if machine is None:
            return self._unseen(source) or f"{source.cluster} does not show it"
        refused = [finding.message for finding in refusals(machine) if finding.severity == "error"]
        if refused:
            return f"refused: {refused[0]}"
        if replica is None or replica.state is ReplicaState.PENDING:
            return "initial replica pending"
        if replica.state is ReplicaState.INCONSISTENT:
            return f"inconsistent: {replica.inconsistent_because or 'a consistency check is needed'}"
        return "" if newest is not None else "no recovery point yet"

    def _unseen(self, source: DataSource) -> str:
        snapshot = self.seen.clusters.get(source.cluster)
        if snapshot is None:
            return f"{source.cluster} could not be seen"
        return next((f"cannot be read: {each.why}" for each in snapshot.unseen if each.id == source.machine), "")

    def _name(self, source: DataSource, home: tuple[str, ProtectionGroup] | None) -> str:
        if str(source) in self.names:
            return self.names[str(source)]
        replica = self.replicas.get((home[0], source)) if home else None
        return replica.machine_name if replica and replica.machine_name else source.machine


def _age(delta: timedelta) -> str:
    hours, seconds = divmod(int(delta.total_seconds()), 3600)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {seconds // 60} min" if hours else f"{seconds // 60} min"
