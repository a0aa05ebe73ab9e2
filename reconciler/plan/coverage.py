"""Coverage: clusters, catalogs and the desired state -> for every machine, whether it is protected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from reconciler.errors import Diagnostic, Severity
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
from reconciler.plan.checks.backup_refusals import refusals
from reconciler.plan.desired.state import DesiredState
from reconciler.schedule import ahead, until


class CoverageState(StrEnum):
    """Exactly one for every machine, from good to bad.

    Protected: a valid replica, and a point within the RPO. Excluded: by a document, with a reason. Paused: there is a
    point, and its group makes no more for a time, whether or not the RPO is missed by that. Pending: desired, and never
    valid yet. Late: the newest point whose time can be believed is older than the RPO. Damaged: the replica
    is inconsistent, or points cannot be read. Unseen: its cluster, its files or its server could not be read.
    """

    PROTECTED = "protected"
    EXCLUDED = "excluded"
    PAUSED = "paused"
    PENDING = "pending"
    LATE = "late"
    DAMAGED = "damaged"
    UNSEEN = "unseen"
    UNPROTECTED = "unprotected"


#: What `--max-unprotected` counts: machines that nobody may count on being able to recover as they should be.
AT_RISK = frozenset({CoverageState.LATE, CoverageState.DAMAGED, CoverageState.UNSEEN, CoverageState.UNPROTECTED})


class MachineCoverage(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How one machine stands. `why` says it in words unless it is simply protected; `newest` is the time of its
    newest recovery point that can be believed, `late` whether that is older than the group's RPO, `ahead` how many of
    its points lie in the future. `levels` are those at which it is to be protected, where there are several data
    sources of it."""

    source: DataSource
    name: str
    standing: CoverageState
    level: Level = Level.HOST
    levels: tuple[Level, ...] = ()
    why: str = ""
    group: str = ""
    server: str = ""
    node: str = ""
    replica: ReplicaState | None = None
    newest: datetime | None = None
    late: bool = False
    ahead: int = 0


class CoverageInputs(msgspec.Struct, frozen=True):
    """What coverage looks at. `desired` None: the policies cannot be read, so only what is applied is known. A server
    that is not in `catalogs` could not be read, unless none was `asked`."""

    now: datetime
    clusters: Mapping[str, ClusterSnapshot]
    catalogs: Mapping[str, CatalogSnapshot]
    desired: DesiredState | None = None
    asked: bool = True


def coverage(seen: CoverageInputs) -> tuple[MachineCoverage, ...]:
    """Every machine of the clusters, those that are there but cannot be read too, and every member that its cluster
    does not show; by cluster and name."""
    return _Coverage(seen).all()


class _Coverage:
    def __init__(self, seen: CoverageInputs) -> None:
        self.seen = seen
        desired = seen.desired
        self.excused = {each.source: each for each in desired.excused} if desired else {}
        self.lapsed = {each.source: each for each in desired.lapsed} if desired else {}
        self.names = dict(desired.names) if desired else {}
        self.unseen = {
            DataSource(cluster, each.id or each.where): each.why
            for cluster, snapshot in seen.clusters.items()
            for each in snapshot.unseen
        }
        self.wanted: dict[DataSource, tuple[str, ProtectionGroup]] = {}
        for wish in desired.groups if desired else ():
            self.wanted.update({member.source: (wish.server, wish.group) for member in wish.group.members})
        self.applied: dict[DataSource, tuple[str, ProtectionGroup]] = {}
        self.replicas: dict[tuple[str, DataSource], Replica] = {}
        self.newest: dict[tuple[str, DataSource], datetime] = {}
        self.ahead: dict[tuple[str, DataSource], int] = defaultdict(int)
        self.damage: dict[tuple[str, str], str] = {}
        for server, catalog in seen.catalogs.items():
            for group in catalog.groups:
                self.applied.update({member.source: (server, group.group) for member in group.group.members})
            self.replicas.update({(server, replica.source): replica for replica in catalog.replicas})
            self.damage.update({(server, each.subject): each.message for each in catalog.findings if _is_damage(each)})
            latest = {replica.source: until(replica, seen.now) for replica in catalog.replicas}
            for point in catalog.points:
                key = (server, point.source)
                if ahead(point.time, seen.now):
                    self.ahead[key] += 1
                elif point.time <= latest.get(point.source, point.time):
                    self.newest[key] = max(point.time, self.newest.get(key, point.time))

    def all(self) -> tuple[MachineCoverage, ...]:
        machines = {
            machine.source(cluster): machine
            for cluster, snapshot in self.seen.clusters.items()
            for machine in snapshot.machines
        }
        parts: dict[DataSource, list[DataSource]] = defaultdict(list)
        for source in {*machines, *self.unseen, *self.wanted, *self.applied}:
            parts[source.home].append(source)
        rows = [self._machine(sorted(mine), machines.get(home)) for home, mine in parts.items()]
        return tuple(sorted(rows, key=lambda row: (row.source.cluster, fold(row.name), row.source)))

    def _machine(self, sources: list[DataSource], machine: VirtualMachine | None) -> MachineCoverage:
        """One row for a machine, however many of its parts are wanted: it stands as the one that stands worst."""
        if len(sources) == 1:
            return self._one(sources[0], machine)
        order = list(CoverageState)
        rows = [self._one(source, machine) for source in sources]
        wanted = [row for row in rows if row.group]
        if not wanted:
            return min(rows, key=lambda row: (order.index(row.standing), row.source))
        shown = max(wanted, key=lambda row: (order.index(row.standing), row.source))
        return msgspec.structs.replace(shown, levels=tuple(sorted({row.source.level for row in wanted})))

    def _one(self, source: DataSource, machine: VirtualMachine | None) -> MachineCoverage:
        home = self.applied.get(source) or self.wanted.get(source)
        name = machine.name if machine else self._name(source, home)
        node = machine.node if machine else ""
        if home is None:
            standing, why = self._without_group(source)
            return MachineCoverage(source, name, standing, source.level, why=why, node=node)
        server, group = home
        replica = self.replicas.get((server, source))
        newest = self.newest.get((server, source))
        late = newest is not None and self.seen.now - newest > group.short_term.rpo
        standing, why = self._in_group(source, machine, late=late)
        return MachineCoverage(
            source=source,
            name=name,
            standing=standing,
            level=source.level,
            why=why,
            group=group.name,
            server=server,
            node=node,
            replica=replica.state if replica else None,
            newest=newest,
            late=late,
            ahead=self.ahead.get((server, source), 0),
        )

    def _without_group(self, source: DataSource) -> tuple[CoverageState, str]:
        if source in self.unseen:
            return CoverageState.UNSEEN, f"cannot be read: {self.unseen[source]}"
        excused, lapsed = self.excused.get(source), self.lapsed.get(source)
        if excused is not None:
            return CoverageState.EXCLUDED, f"{excused.exclusion}: {excused.reason}"
        if lapsed is not None:
            return CoverageState.UNPROTECTED, f"its exclusion {lapsed.exclusion} ended on {lapsed.until}"
        if self.seen.desired is None:
            return CoverageState.UNPROTECTED, "no applied group protects it; what the policies say is not known"
        return CoverageState.UNPROTECTED, "no group and no exclusion matches it"

    def _in_group(self, source: DataSource, machine: VirtualMachine | None, *, late: bool) -> tuple[CoverageState, str]:
        """How a member stands: first whether it could be seen, then its replica, then the age of its points."""
        server, group = self.applied.get(source) or self.wanted[source]
        key = (server, source)
        unseen = self._unseen(source, server, machine)
        if unseen:
            return CoverageState.UNSEEN, unseen
        replica, newest = self.replicas.get(key), self.newest.get(key)
        damage = self._damage(server, replica)
        if damage:
            return CoverageState.DAMAGED, damage
        waits = self._waits(source, machine)
        pause = group.pause_at(self.seen.now)
        paused = f"paused until {pause.until} by {pause.owner}: {pause.reason}" if pause is not None else ""
        copied = replica is not None and replica.state is ReplicaState.VALID and source in self.applied
        if paused and copied and newest is not None:
            missed = f"; RPO missed: the newest point is {_age(self.seen.now - newest)} old" if late else ""
            return CoverageState.PAUSED, paused + missed
        waits = "; ".join(each for each in (waits, paused) if each)
        if late and newest is not None:
            why = f"late: the newest point is {_age(self.seen.now - newest)} old"
            return CoverageState.LATE, why + (f"; {waits}" if waits else "")
        if newest is None and self.ahead.get(key):
            return CoverageState.LATE, "late: all of its points lie in the future"
        if source not in self.applied:
            return CoverageState.PENDING, waits
        if replica is None or replica.state is ReplicaState.PENDING:
            return CoverageState.PENDING, waits or "initial replica pending"
        if newest is None:
            return CoverageState.PENDING, waits or "no recovery point yet"
        return CoverageState.PROTECTED, waits

    def _unseen(self, source: DataSource, server: str, machine: VirtualMachine | None) -> str:
        """Why nothing is known of the machine or its replica; "" where both could be read."""
        if server not in self.seen.catalogs and self.seen.asked:
            return f"what {server} holds could not be read"
        if machine is not None:
            return ""
        if source.cluster not in self.seen.clusters:
            return f"{source.cluster} could not be seen"
        why = self.unseen.get(source.home)
        return f"cannot be read: {why}" if why is not None else f"deleted from {source.cluster}, or moved away"

    def _damage(self, server: str, replica: Replica | None) -> str:
        if replica is None:
            return ""
        if replica.state is ReplicaState.INCONSISTENT:
            return f"inconsistent: {replica.inconsistent_because or 'a consistency check is needed'}"
        return self.damage.get((server, replica.machine_name), "") if replica.machine_name else ""

    def _waits(self, source: DataSource, machine: VirtualMachine | None) -> str:
        """Why no new points are made of it; "" if nothing is in the way."""
        if source not in self.applied:
            return "not applied yet"
        refused = [each.message for each in refusals(machine) if each.severity == "error"] if machine else []
        return f"refused: {refused[0]}" if refused else ""

    def _name(self, source: DataSource, home: tuple[str, ProtectionGroup] | None) -> str:
        if str(source) in self.names:
            return self.names[str(source)]
        replica = self.replicas.get((home[0], source)) if home else None
        return replica.machine_name if replica and replica.machine_name else source.machine


def _is_damage(finding: Diagnostic) -> bool:
    """Whether a server says that points of the replica that it names cannot be read."""
    return finding.severity is Severity.ERROR and finding.code.startswith("RCL40")


def _age(delta: timedelta) -> str:
    hours, seconds = divmod(int(delta.total_seconds()), 3600)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {seconds // 60} min" if hours else f"{seconds // 60} min"
