"""A server reduced to what expires: a catalog on which jobs that are due are done at once, and changes are applied."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from reconciler.model import (
    CatalogSnapshot,
    Change,
    Consistency,
    DataSource,
    Direction,
    Job,
    JobKind,
    Member,
    ObservedGroup,
    PointKind,
    ProtectionGroup,
    Reason,
    RecoveryPoint,
    Replica,
    ReplicaState,
    ServerFacts,
    ShortTerm,
    Verb,
)
from reconciler.schedule import View, due
from tests.fakes import NOON, machine_id

SERVER = "mabs-01"
ZONE = ZoneInfo("Europe/Berlin")
SOURCES = tuple(DataSource("hci-01", machine_id(number)) for number in (1, 2, 3))


def term(retention: timedelta, synchronization: timedelta | None = timedelta(hours=1), **more: object) -> ShortTerm:
    return ShortTerm(retention, timedelta(hours=25), synchronization, **more)  # type: ignore[arg-type]


def point(source: DataSource, age: timedelta, *, verified: bool = False) -> RecoveryPoint:
    at = NOON - age
    return RecoveryPoint(
        f"{source.machine[:8]}-{at:%d%H%M}",
        source,
        at,
        PointKind.SYNCHRONIZATION,
        Consistency.CRASH,
        source_bytes=100,
        stored_bytes=10,
        verified_at=at if verified else None,
    )


def change(before: ProtectionGroup | None, after: ProtectionGroup | None) -> Change:
    """The change between two groups, without what people are told about it."""
    verb = Verb.CREATE if before is None else Verb.STOP if after is None else Verb.UPDATE
    name = (after or before or SOURCES[0]).name  # type: ignore[union-attr]
    return Change(SERVER, name, verb, Reason.POLICY_CHANGED, Direction.NEUTRAL, before=before, after=after, ref=name)


def catalog(
    groups: Iterable[ProtectionGroup], replicas: Iterable[Replica], points: Iterable[RecoveryPoint]
) -> CatalogSnapshot:
    return CatalogSnapshot(
        SERVER,
        NOON,
        ServerFacts("memory"),
        tuple(ObservedGroup(group.name, group) for group in groups),
        tuple(sorted(replicas, key=lambda each: each.source)),
        tuple(sorted(points, key=lambda each: (each.source, each.time, each.id))),
    )


class Server:
    """What a catalog becomes."""

    def __init__(self, seen: CatalogSnapshot) -> None:
        self.groups = {each.group.name: each.group for each in seen.groups}
        self.replicas = {replica.source: replica for replica in seen.replicas}
        self.points = list(seen.points)
        self.made: list[RecoveryPoint] = []

    def apply(self, what: Change) -> None:
        before, after = what.before, what.after
        if before is not None:
            del self.groups[before.name]
        if after is not None:
            self.groups[after.name] = after
            for member in after.members:
                self._place(member, after)
        for source in (before.sources if before else frozenset()) - (after.sources if after else frozenset()):
            last = after or before
            assert last is not None
            self.replicas[source] = msgspec.structs.replace(
                self.replicas[source], group=None, existing_points=last.existing_points
            )

    def _place(self, member: Member, group: ProtectionGroup) -> None:
        old = self.replicas.get(member.source) or Replica(member.source, "vol-a", ReplicaState.PENDING)
        self.replicas[member.source] = msgspec.structs.replace(
            old,
            group=group.name,
            existing_points=group.existing_points,
            retention=group.short_term.retention,
            minimum_points=group.short_term.minimum_points,
        )

    def tick(self, now: datetime) -> None:
        """Everything that is due now, and what is due after that."""
        while jobs := due(View(now, ZONE, self.seen(), {})):
            for job in jobs:
                self._do(job, now)

    def seen(self) -> CatalogSnapshot:
        return catalog(self.groups.values(), self.replicas.values(), self.points)

    def there(self) -> set[str]:
        return {each.id for each in self.points}

    def _do(self, job: Job, now: datetime) -> None:
        if job.kind is JobKind.PRUNING:
            self.points = [each for each in self.points if each.id not in job.points]
            return
        replica = self.replicas[job.source]
        repaired = job.kind in (JobKind.INITIAL_REPLICA, JobKind.CONSISTENCY_CHECK)
        check = job.kind is JobKind.CONSISTENCY_CHECK
        full = job.kind in (JobKind.INITIAL_REPLICA, JobKind.EXPRESS_FULL)
        self.replicas[job.source] = msgspec.structs.replace(
            replica,
            state=ReplicaState.VALID if repaired else replica.state,
            synchronized_at=now,
            express_full_at=now if full else replica.express_full_at,
            checked_at=now if check else replica.checked_at,
        )
        if not check:
            new = msgspec.structs.replace(point(job.source, timedelta(0)), id=f"{job.id}-new", time=now)
            self.points.append(new)
            self.made.append(new)

    def newer(self, source: DataSource) -> int:
        """How many points were made of it."""
        return sum(each.source == source for each in self.made)
