"""The embedded engine: it really backs up and restores the disks of machines, on one folder, with pip alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from reconciler import __version__
from reconciler.engines import EngineSetup
from reconciler.engines.embedded import recover
from reconciler.engines.embedded.backup import Work, back_up, check_consistency, prune
from reconciler.engines.embedded.check import Counts, check_replica
from reconciler.engines.embedded.jobs import Running, failed
from reconciler.engines.embedded.observe import observe
from reconciler.engines.embedded.preview import preview, preview_unfinished, unfinished_of
from reconciler.engines.embedded.replica import ReplicaStore
from reconciler.engines.embedded.scan import Room
from reconciler.engines.embedded.server import Assignment, ServerStore
from reconciler.engines.embedded.space import Space
from reconciler.errors import Diagnostic, ReconcilerError, Refused, Severity
from reconciler.model import (
    EMBEDDED,
    Action,
    Capabilities,
    CatalogSnapshot,
    DataSource,
    Job,
    JobHandle,
    JobKind,
    JobResult,
    JobState,
    JobStatus,
    ObservedGroup,
    RecoveryStep,
)
from reconciler.protocols import Disks, Fence, RecoveryPreview, StoreCheck, UnfinishedRecovery

_RUN: dict[JobKind, Callable[[Work], JobResult]] = {
    JobKind.INITIAL_REPLICA: back_up,
    JobKind.SYNCHRONIZATION: back_up,
    JobKind.EXPRESS_FULL: back_up,
    JobKind.CONSISTENCY_CHECK: check_consistency,
    JobKind.PRUNING: prune,
    JobKind.RECOVERY: recover.recover,
}


def open_engine(setup: EngineSetup) -> EmbeddedEngine:
    """Opens the server, making its folder if need be. Raises `Refused`, RCL4001, for a newer format."""
    return EmbeddedEngine(setup)


class EmbeddedEngine:
    """See `protocols.Engine`, `protocols.ReadsGroups`, `protocols.Recovers` and `protocols.ChecksStore`."""

    def __init__(self, setup: EngineSetup) -> None:
        self._setup = setup
        self._server = ServerStore(setup.path, setup.volumes)
        self._space = Space(self._server)
        self._jobs: dict[str, Running] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._setup.name

    @property
    def capabilities(self) -> Capabilities:
        return EMBEDDED

    def observe(self) -> CatalogSnapshot:
        seen = observe(self.name, self._server, self._space, self._setup.clock.now(), __version__)
        return msgspec.structs.replace(seen, findings=(*seen.findings, *self._shared_disk()))

    def _shared_disk(self) -> tuple[Diagnostic, ...]:
        """A backup on the disk that it backs up is lost with it."""
        mine = self._setup.path.stat().st_dev
        shared = sorted(name for name, disks in self._setup.disks.items() if disks.file_system() == mine)
        return tuple(
            Diagnostic(
                "RCL4016",
                Severity.ADVICE,
                f"the store of {self.name} lies on the same file system as the cluster {name}",
                "Put the store on other disks: what destroys the one destroys the other. A demo may.",
                subject=self.name,
            )
            for name in shared
        )

    def groups(self) -> tuple[ObservedGroup, ...]:
        """See `protocols.ReadsGroups`."""
        return tuple(ObservedGroup(ref, group) for ref, group in self._server.groups())

    def apply(self, action: Action, fence: Fence) -> str:
        return self._server.apply(action, fence)

    # --- Jobs --------------------------------------------------------------------------------------------

    def start(self, job: Job, fence: Fence) -> JobHandle:
        handle = JobHandle(self.name, job.id)
        with self._lock:
            running = self._jobs.get(job.id)
            if running is not None and not running.status.state.ended:
                return handle
            self._server.note_job(job, fence)
            assignment = self._assignment(job.source)
            self._jobs[job.id] = Running(lambda mine: self._work(job, assignment, mine), job.id)
        return handle

    def poll(self, handle: JobHandle) -> JobStatus:
        running = self._jobs.get(handle.job)
        if running is not None:
            return running.status
        job = self._server.job(handle.job)
        try:
            result = self._committed(job) if job else None
        except ReconcilerError as error:
            return failed(error)
        if result is not None:
            return JobStatus(JobState.SUCCEEDED, result=result)
        return JobStatus(JobState.INTERRUPTED, reason="no running process works on it")

    def cancel(self, handle: JobHandle) -> None:
        running = self._jobs.get(handle.job)
        if running is not None:
            running.cancelled.set()

    def close(self) -> None:
        for running in self._jobs.values():
            running.cancelled.set()
        for running in self._jobs.values():
            running.join()
        self._server.close()

    def _work(self, job: Job, assignment: Assignment, running: Running) -> JobResult:
        folder = self._server.replica_folder(assignment)
        with (
            ThreadPoolExecutor(self._setup.threads, thread_name_prefix=job.id) as pool,
            ReplicaStore(folder, job.source) as store,
        ):
            store.lock()
            done = store.job_result(job.id)
            if done is not None:
                return done
            work = Work(
                job=job,
                assignment=assignment,
                store=store,
                disks=self._disks(job.source),
                clock=self._setup.clock,
                pool=pool,
                room=Room(
                    lambda wanted: self._space.check(assignment.volume, wanted),
                    lambda size: self._space.take(assignment.volume, size),
                ),
                cancelled=running.cancelled,
                report=running.report,
            )
            return _RUN[job.kind](work)

    def _assignment(self, source: DataSource) -> Assignment:
        assignment = self._server.assignment(source)
        if assignment is None:
            raise Refused(
                "RCL4012",
                f"{source} has no replica on this server",
                "Only members of a protection group are backed up: run `reconciler apply`.",
                subject=str(source),
            )
        return assignment

    def _disks(self, source: DataSource) -> Disks:
        disks = self._setup.disks.get(source.cluster)
        if disks is None:
            raise Refused(
                "RCL4013",
                f"the cluster {source.cluster!r} is not one of this site's, or gives no bytes",
                "Name the cluster in the site, with an inventory that the embedded engine can read from.",
                subject=source.cluster,
            )
        return disks

    def _committed(self, job: Job) -> JobResult | None:
        assignment = self._server.assignment(job.source)
        if assignment is None or not self._server.replica_folder(assignment).is_dir():
            return None
        with ReplicaStore(self._server.replica_folder(assignment), job.source) as store:
            return store.job_result(job.id)

    # --- Recovery and checks -----------------------------------------------------------------------------

    def preview(self, job: Job) -> RecoveryPreview:
        """What a recovery would write and destroy. Raises `Refused` where there is no such point or disk."""
        assert job.recovery is not None
        assignment = self._assignment(job.source)
        disks = self._disks(job.source)
        with ReplicaStore(self._server.replica_folder(assignment), job.source) as store:
            if job.recovery.step is not RecoveryStep.RECOVER:
                return preview_unfinished(job, store, disks)
            return preview(job, store, disks)

    def unfinished(self) -> tuple[UnfinishedRecovery, ...]:
        """See `protocols.Recovers`."""
        found: list[UnfinishedRecovery] = []
        for assignment in self._server.assignments():
            folder = self._server.replica_folder(assignment)
            disks = self._setup.disks.get(assignment.source.cluster)
            if disks is None or not folder.is_dir():
                continue
            try:
                with ReplicaStore(folder, assignment.source) as store:
                    found += unfinished_of(store, disks)
            except ReconcilerError:
                continue  # `observe` says what is wrong with it
        return tuple(found)

    def check_store(self, part: tuple[int, int] | None) -> StoreCheck:
        """See `protocols.ChecksStore`."""
        counts = Counts()
        findings: list[Diagnostic] = []
        for assignment in self._server.assignments():
            folder = self._server.replica_folder(assignment)
            if not folder.is_dir():
                continue
            try:
                with ReplicaStore(folder, assignment.source) as store:
                    findings += check_replica(store, part, counts)
            except ReconcilerError as error:
                findings.append(error.diagnostic)
        return StoreCheck(
            server=self.name,
            replicas=counts.replicas,
            points=counts.points,
            packs=counts.packs,
            blocks=counts.blocks,
            read_bytes=counts.read_bytes,
            findings=tuple(findings),
        )
