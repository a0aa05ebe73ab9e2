"""The in-memory engine: actions and jobs -> groups, replicas and points that last as long as their `MemoryServer`.

Jobs end at the first poll. It refuses stale tokens, fails midway, loses answers and loses fields as it is told to.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import msgspec
from blake3 import blake3

from reconciler import __version__
from reconciler.engines import EngineSetup
from reconciler.engines.memory.server import Copy, MemoryServer
from reconciler.engines.places import chosen, folder_names
from reconciler.errors import (
    OutcomeUnknown,
    ReconcilerError,
    Refused,
    Severity,
    StaleFence,
    TemporaryError,
    Unreachable,
)
from reconciler.model import (
    Action,
    Adopt,
    Capabilities,
    CatalogSnapshot,
    Consistency,
    CreateGroup,
    DataSource,
    ExistingPoints,
    Job,
    JobHandle,
    JobKind,
    JobResult,
    JobState,
    JobStatus,
    Lineage,
    ObservedGroup,
    PointKind,
    PoolVolume,
    PowerState,
    Presence,
    ProtectionGroup,
    RecoveryPoint,
    RecoveryStep,
    RecoveryTarget,
    RenameGroup,
    Replica,
    ReplicaState,
    ServerFacts,
    StopProtection,
    StoreLineage,
    UpdateGroup,
    VirtualMachine,
)
from reconciler.plan.checks.backup_refusals import refusals
from reconciler.protocols import Fence, Target
from reconciler.schedule.retain import Range, retain
from reconciler.staging import LocalTarget

_KINDS = {
    JobKind.INITIAL_REPLICA: PointKind.INITIAL_REPLICA,
    JobKind.SYNCHRONIZATION: PointKind.SYNCHRONIZATION,
    JobKind.EXPRESS_FULL: PointKind.EXPRESS_FULL,
}
_CHUNK = 1024 * 1024


def open_engine(setup: EngineSetup, server: MemoryServer | None = None) -> MemoryEngine:
    """An engine on a new server, or on one that is there."""
    return MemoryEngine(setup, server or MemoryServer())


class MemoryEngine:
    """See `protocols.Engine` and `protocols.KeepsStore`."""

    def __init__(self, setup: EngineSetup, server: MemoryServer) -> None:
        self._setup = setup
        self._server = server
        self._given: dict[str, Job] = {}
        self._cancelled: set[str] = set()
        self._ended: dict[str, JobStatus] = {}

    @property
    def name(self) -> str:
        return self._setup.name

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("reconciler", takes_incrementals=True, unreadable=self._server.behaviour.unreadable)

    def observe(self) -> CatalogSnapshot:
        server = self._server
        points = sorted(server.points.values(), key=lambda point: (point.source, point.time, point.id))
        return CatalogSnapshot(
            server=self.name,
            taken_at=self._setup.clock.now(),
            facts=ServerFacts(engine="memory", version=__version__),
            groups=self.groups(),
            replicas=tuple(server.replicas[source] for source in sorted(server.replicas)),
            points=tuple(points),
            volumes=tuple(PoolVolume(name, capacity, self._used(name)) for name, capacity in self._setup.volumes),
        )

    def groups(self) -> tuple[ObservedGroup, ...]:
        """See `protocols.ReadsGroups`."""
        ordered = sorted(self._server.groups.items(), key=lambda item: item[1].name)
        return tuple(ObservedGroup(ref, self._server.behaviour.shown(group)) for ref, group in ordered)

    def _used(self, volume: str) -> int:
        return sum(each.stored_bytes for each in self._server.replicas.values() if each.volume == volume)

    # --- Actions -----------------------------------------------------------------------------------------

    def apply(self, action: Action, fence: Fence) -> str:
        self._written(fence)
        behaviour = self._server.behaviour
        if behaviour.fail_applies:
            behaviour.fail_applies -= 1
            raise TemporaryError("RCL4015", "the server is busy", "It is tried again.", subject=self.name)
        if behaviour.lose_answers:
            behaviour.lose_answers -= 1
            if not behaviour.lose_before:
                self._apply(action)
            raise OutcomeUnknown("RCL3014", "the answer was lost", "Observe, then plan again.", subject=self.name)
        return self._apply(action)

    def _check_fence(self, fence: Fence) -> None:
        fence.check()
        seen = self._server.tokens.get(fence.lease, 0)
        if fence.token < seen:
            what = f"the fencing token {fence.token} is older than {seen}"
            raise StaleFence("RCL5004", what, "Another process took over.", subject=self.name)
        self._server.tokens[fence.lease] = fence.token

    def lineage(self) -> StoreLineage:
        """See `protocols.KeepsStore`."""
        server = self._server
        if server.lineage is None:
            return StoreLineage(Presence.ABSENT, "memory")
        token = max(server.tokens.values(), default=0)
        return StoreLineage(Presence.PRESENT, "memory", server.lineage, server.state, token)

    def establish(self, state: Lineage, fence: Fence) -> StoreLineage:
        """See `protocols.KeepsStore`."""
        if self._server.lineage is None:
            self._server.lineage = Lineage(uuid4().hex, 0)
        return self.note_state(state, fence)

    def note_state(self, state: Lineage, fence: Fence) -> StoreLineage:
        """See `protocols.KeepsStore`."""
        self._written(fence)
        self._server.state = state
        return self.lineage()

    def _written(self, fence: Fence) -> None:
        """A write under the fence, to a server that was established."""
        lineage = self._server.lineage
        if lineage is None:
            raise Unreachable("RCL4021", "the store of this server is missing", "Apply makes it.", subject=self.name)
        self._check_fence(fence)
        self._server.lineage = Lineage(lineage.id, lineage.generation + 1)

    def _apply(self, action: Action) -> str:
        behaviour = self._server.behaviour
        match action:
            case CreateGroup(group=group):
                return self._create(group)
            case UpdateGroup(ref=ref, before=before, after=after) | RenameGroup(ref=ref, before=before, after=after):
                now = self._server.groups.get(ref)
                kept = behaviour.rounded(after)
                if now is None or (
                    now not in (before, after, kept) and behaviour.shown(now) != behaviour.shown(before)
                ):
                    raise _stale(before.name)
                self._check_names(kept, ref)
                self._server.groups[ref] = kept
                self._place(now, kept)
                return ref
            case StopProtection(ref=ref, before=before, existing_points=existing):
                now = self._server.groups.get(ref)
                if now is not None and behaviour.shown(now) != behaviour.shown(before):
                    raise _stale(before.name)
                if self._server.groups.pop(ref, None) is not None:
                    for member in before.members:
                        self._release(member.source, existing)
                return ref
            case Adopt(ref=ref, group=group):
                now = self._server.groups.get(ref)
                if now is None or behaviour.shown(now) != behaviour.shown(group):
                    raise _stale(group.name)
                return ref

    def _create(self, group: ProtectionGroup) -> str:
        kept = self._server.behaviour.rounded(group)
        for ref, other in self._server.groups.items():
            if other.name == group.name:
                if other in (group, kept):
                    return ref
                raise _stale(group.name)
        ref = f"memory-{sha256(group.name.encode()).hexdigest()[:8]}-{len(self._server.groups)}"
        self._check_names(kept, ref)
        self._server.groups[ref] = kept
        self._place(None, kept)
        return ref

    def _check_names(self, group: ProtectionGroup, ref: str) -> None:
        for other_ref, other in self._server.groups.items():
            same = other.name == group.name or other.display_name == group.display_name
            if other_ref != ref and (same or other.sources & group.sources):
                raise _stale(group.name)

    def _place(self, before: ProtectionGroup | None, after: ProtectionGroup) -> None:
        first = self._setup.volumes[0][0] if self._setup.volumes else "memory"
        for member in after.members:
            old = self._server.replicas.get(member.source)
            base = old or Replica(member.source, member.volume or first, ReplicaState.PENDING)
            self._server.replicas[member.source] = msgspec.structs.replace(
                base,
                group=after.name,
                existing_points=after.existing_points,
                retention=after.short_term.retention,
                minimum_points=after.short_term.minimum_points,
            )
        for source in (before.sources if before else frozenset()) - after.sources:
            self._release(source, after.existing_points)

    def _release(self, source: DataSource, existing: ExistingPoints) -> None:
        replica = self._server.replicas[source]
        self._server.replicas[source] = msgspec.structs.replace(replica, group=None, existing_points=existing)

    # --- Jobs --------------------------------------------------------------------------------------------

    def start(self, job: Job, fence: Fence) -> JobHandle:
        self._written(fence)
        if job.source not in self._server.replicas:
            raise Refused("RCL4012", f"{job.source} has no replica here", "Apply its group first.")
        if job.id not in self._server.results:
            self._given[job.id] = job
            self._ended.pop(job.id, None)
            self._cancelled.discard(job.id)
        return JobHandle(self.name, job.id)

    def poll(self, handle: JobHandle) -> JobStatus:
        if handle.job in self._server.results:
            return JobStatus(JobState.SUCCEEDED, result=self._server.results[handle.job])
        if handle.job in self._ended:
            return self._ended[handle.job]
        job = self._given.pop(handle.job, None)
        if job is None:
            return JobStatus(JobState.INTERRUPTED, reason="nobody works on it")
        if job.id in self._cancelled:
            self._ended[job.id] = JobStatus(JobState.CANCELLED, code="RCL0005", reason="the job was cancelled")
            return self._ended[job.id]
        try:
            self._server.results[job.id] = self._run(job)
        except ReconcilerError as error:
            said = error.diagnostic
            status = JobStatus(JobState.FAILED, code=said.code, reason=said.message, remedy=said.remedy)
            self._ended[job.id] = status
            return status
        return JobStatus(JobState.SUCCEEDED, result=self._server.results[job.id])

    def cancel(self, handle: JobHandle) -> None:
        self._cancelled.add(handle.job)

    def close(self) -> None:
        self._given.clear()

    def _run(self, job: Job) -> JobResult:
        if job.kind is JobKind.PRUNING:
            return self._prune(job)
        if job.kind is JobKind.RECOVERY:
            return self._recover(job)
        return self._back_up(job)

    def _back_up(self, job: Job) -> JobResult:
        replica = self._server.replicas[job.source]
        if replica.state is ReplicaState.PENDING and job.kind is not JobKind.INITIAL_REPLICA:
            raise Refused("RCL4010", "there is no initial replica yet", "It is made first.")
        machine = self._machine(job)
        now = self._setup.clock.now()
        contents = self._read(job, machine)
        size = sum(len(copy.data) for copy in contents.values())
        point = ""
        if job.kind in _KINDS:
            point = f"{now:%Y%m%dT%H%M%SZ}-{sha256(job.id.encode()).hexdigest()[:8]}"
            self._server.contents[point] = contents
            self._server.points[point] = RecoveryPoint(
                id=point,
                source=job.source,
                time=now,
                kind=_KINDS[job.kind],
                consistency=Consistency.CRASH,
                source_bytes=size,
                stored_bytes=size,
                scheduled_for=job.scheduled_for,
                machine_name=machine.name,
            )
        whole = job.kind is not JobKind.SYNCHRONIZATION
        check = job.kind is JobKind.CONSISTENCY_CHECK
        self._server.replicas[job.source] = msgspec.structs.replace(
            replica,
            state=ReplicaState.VALID if check or job.kind is JobKind.INITIAL_REPLICA else replica.state,
            machine_name=machine.name,
            node=machine.node,
            source_bytes=size,
            stored_bytes=replica.stored_bytes + size,
            synchronized_at=now,
            express_full_at=now if whole and not check else replica.express_full_at,
            checked_at=now if check else replica.checked_at,
        )
        return JobResult(
            point=point,
            point_time=now if point else None,
            machine_name=machine.name,
            node=machine.node,
            read_bytes=size,
            stored_bytes=size,
        )

    def _machine(self, job: Job) -> VirtualMachine:
        machine = self._setup.disks[job.source.cluster].machine(job.source.machine)
        for finding in refusals(machine):
            if finding.severity is Severity.ERROR:
                raise Refused(finding.code, finding.message, finding.remedy, subject=finding.subject)
        return machine

    def _read(self, job: Job, machine: VirtualMachine) -> dict[str, Copy]:
        disks = self._setup.disks[job.source.cluster]
        for _ in range(2):
            contents, steady = {}, True
            for path in (*(disk.path for disk in machine.disks), machine.config):
                with disks.open(path) as reader:
                    generation = reader.generation()
                    parts = [reader.read(offset, _CHUNK) for offset in range(0, reader.size, _CHUNK)]
                    contents[path] = Copy(b"".join(parts), disks.facts(path))
                    steady &= reader.generation() == generation
            if steady:
                return contents
        raise TemporaryError("RCL2110", f"a disk of {machine.name!r} changed while it was read", "Try again.")

    def _prune(self, job: Job) -> JobResult:
        replica = self._server.replicas[job.source]
        mine = sorted((p for p in self._server.points.values() if p.source == job.source), key=lambda p: (p.time, p.id))
        wanted = [point for point in mine if point.id in job.points]
        now = self._setup.clock.now()
        if any(group.name == replica.group and group.pause_at(now) for group in self._server.groups.values()):
            raise Refused("RCL4011", f"{replica.group} is paused, and nothing of it expires", "Nothing expired.")
        stopped = replica.group is None and replica.existing_points is ExistingPoints.EXPIRE_NOW
        kept = retain(mine, Range(replica.retention, replica.minimum_points), now)
        if not stopped and any(point not in kept.expire for point in wanted):
            raise Refused("RCL4011", "the rules that the points stand under keep them", "Nothing expired.")
        for point in wanted:
            del self._server.points[point.id]
        return JobResult(points_expired=len(wanted), machine_name=replica.machine_name)

    def _recover(self, job: Job) -> JobResult:
        assert job.recovery is not None
        recovery = job.recovery
        contents = self._server.contents.get(recovery.point)
        if contents is None or recovery.point not in self._server.points:
            raise Refused("RCL7004", f"there is no recovery point {recovery.point!r}", "See `reconciler points`.")
        disks = self._setup.disks[job.source.cluster]
        if recovery.step is not RecoveryStep.RECOVER:
            raise Refused("RCL7020", "this engine takes up no recovery that was interrupted", "Recover again.")
        original = recovery.target is RecoveryTarget.ORIGINAL
        if original and disks.machine(job.source.machine).power is not PowerState.OFF:
            raise Refused("RCL7008", "the virtual machine is not off", "Shut it down first.")
        target: Target = disks if original else LocalTarget(Path(recovery.folder))
        written = {}
        token = sha256(job.id.encode()).hexdigest()[:12]
        paths, config = tuple(contents), tuple(contents)[-1]
        places = {path: path for path in paths} if original else folder_names(paths, config)
        if original and (owned := disks.other_owners(job.source.machine, paths)):
            raise Refused("RCL7013", f"{min(owned)!r} is named by another virtual machine too", "Recover to a folder.")
        for path in chosen(paths, config, recovery.disks, recovery.point):
            copy, place = contents[path], places[path]
            target.check(place)
            with target.stage(place, token, len(copy.data)) as staged:
                staged.write(0, copy.data)
            if recovery.keep_original:
                target.keep(place, token)
            target.put(place, token, copy.facts.mode, copy.facts.mtime_ns, replace=original)
            written[place] = blake3(copy.data).hexdigest()
        return JobResult(
            point=recovery.point,
            machine_name=self._server.replicas[job.source].machine_name,
            files=written,
        )


def _stale(group: str) -> Refused:
    return Refused("RCL3010", f"the group {group} was changed meanwhile", "Make a new plan.", subject=group)
