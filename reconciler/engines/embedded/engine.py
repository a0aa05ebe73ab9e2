"""The embedded engine: it really backs up and restores the disks of machines, on one folder, with pip alone."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
from msgspec import UNSET, UnsetType

from reconciler import __version__
from reconciler.engines import EngineSetup
from reconciler.engines.embedded import leftovers, recover
from reconciler.engines.embedded.age import (
    note,
    of_age,
    of_copy,
    older_among,
    older_database,
    older_than,
    reads_alone,
    store_for,
    tell,
)
from reconciler.engines.embedded.backup import Work, back_up, check_consistency, prune
from reconciler.engines.embedded.check import Counts, check_replica
from reconciler.engines.embedded.jobs import Running, failed
from reconciler.engines.embedded.look import no_such_point
from reconciler.engines.embedded.lost import unreachable
from reconciler.engines.embedded.making import Place, begun, create
from reconciler.engines.embedded.observe import distinct, observe
from reconciler.engines.embedded.preview import preview, preview_unfinished, unfinished_of
from reconciler.engines.embedded.rebuild import Rebuilt, largest_token, rebuild_catalog, rebuild_server
from reconciler.engines.embedded.records import Assignment
from reconciler.engines.embedded.replica import ReplicaStore
from reconciler.engines.embedded.scan import Room
from reconciler.engines.embedded.server import ServerStore
from reconciler.engines.embedded.space import Space
from reconciler.errors import Damaged, Diagnostic, ReconcilerError, Refused, Severity, TemporaryError
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
    Lineage,
    ObservedGroup,
    Presence,
    RecoveryStep,
    StoreLineage,
)
from reconciler.protocols import Disks, Fence, RecoveryPreview, StoreCheck, StoreRebuild, UnfinishedRecovery
from reconciler.system_errors import cannot_write

_RUN: dict[JobKind, Callable[[Work], JobResult]] = {
    JobKind.INITIAL_REPLICA: back_up,
    JobKind.SYNCHRONIZATION: back_up,
    JobKind.EXPRESS_FULL: back_up,
    JobKind.CONSISTENCY_CHECK: check_consistency,
    JobKind.PRUNING: prune,
    JobKind.RECOVERY: recover.recover,
}

#: Those that read the machine's files.
_READING = frozenset(_RUN) - {JobKind.PRUNING, JobKind.RECOVERY}


def open_engine(setup: EngineSetup) -> EmbeddedEngine:
    """Opens the server, and looks at nothing yet: what is not there is told by whatever needs it."""
    return EmbeddedEngine(setup)


class EmbeddedEngine:
    """See `protocols.Engine`, `ReadsGroups`, `Recovers`, `ChecksStore`, `KeepsStore`, `GivesUp` and `Rebuilds`."""

    def __init__(self, setup: EngineSetup) -> None:
        self._setup = setup
        self._folder = setup.root / setup.settings["path"]
        self._server = ServerStore(self._folder, setup.volumes)
        self._space = Space(self._server)
        self._jobs: dict[str, Running] = {}
        self._older: Damaged | UnsetType | None = UNSET
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._setup.name

    @property
    def capabilities(self) -> Capabilities:
        return EMBEDDED

    def observe(self) -> CatalogSnapshot:
        """What the server holds. A store that is ABSENT shows an empty server: whether that can be, whoever remembers
        what was applied here must say."""
        now = self._setup.clock.now()
        seen = observe(self.name, self._server, self._space, self._setup.disks, now, __version__)
        self._older = older_among(seen.findings, self._server)
        return msgspec.structs.replace(seen, findings=(*seen.findings, *self._shared_disk()))

    def _shared_disk(self) -> tuple[Diagnostic, ...]:
        """A backup on the disk that it backs up is lost with it."""
        try:
            mine = self._folder.stat().st_dev
        except OSError:
            return ()
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
        if self._server.presence() is Presence.ABSENT:
            return ()
        return tuple(ObservedGroup(ref, group) for ref, group in self._server.groups())

    def apply(self, action: Action, fence: Fence) -> str:
        self._refuse_older()
        return self._server.apply(action, fence)

    # --- The store ---------------------------------------------------------------------------------------

    def lineage(self) -> StoreLineage:
        """See `protocols.KeepsStore`."""
        return self._server.lineage()

    def establish(self, state: Lineage, fence: Fence) -> StoreLineage:
        """See `protocols.KeepsStore`."""
        return self._server.establish(state, fence)

    def note_state(self, state: Lineage, fence: Fence) -> StoreLineage:
        """See `protocols.KeepsStore`."""
        self._refuse_older()
        return self._server.note_state(state, fence)

    def _refuse_older(self) -> None:
        """Raises `Damaged`, RCL4025, where a catalog says that the server's database is an older copy of it: nothing
        is written to that. Looked up once, and at each observation."""
        if self._older is UNSET:
            self._older = older_database(self._server)
        if self._older:
            raise self._older

    def declare_lost(self, volume: str | None, fence: Fence) -> tuple[DataSource, ...]:
        """See `protocols.GivesUp`."""
        return self._server.declare_lost(volume, fence)

    def largest_token(self) -> int:
        """See `protocols.Rebuilds`."""
        return largest_token(self._server)

    def rebuild(self, source: DataSource | None, fence: Fence, *, sound_too: bool = False) -> StoreRebuild:
        """See `protocols.Rebuilds`."""
        found = rebuild_server(self._server, fence) if source is None else ()
        done: list[Rebuilt] = []
        findings: list[Diagnostic] = []
        for assignment, place in self._server.places():
            if source is not None and assignment.source != source:
                continue
            try:
                rebuilt = rebuild_catalog(place, fence, self._setup.clock.now(), sound_too=sound_too)
            except ReconcilerError as error:
                findings.append(error.diagnostic)
                continue
            if rebuilt is not None:
                self._server.note_replica(assignment.source, rebuilt.known, fence)
                done.append(rebuilt)
                findings += [*rebuilt.findings, *self._of_recoveries(assignment.source, place)]
        self._older = None  # what is there counts from here; the next observation looks again
        return StoreRebuild(
            server=self.name,
            assignments=found,
            replicas=tuple(each.source for each in done),
            points=sum(each.points for each in done),
            packs=sum(each.packs for each in done),
            kept=tuple(each.kept for each in done if each.kept),
            findings=tuple(findings),
        )

    def _of_recoveries(self, source: DataSource, place: Place) -> list[Diagnostic]:
        """What a catalog that was made anew does not know of recoveries, where that shows or cannot be seen."""
        with ReplicaStore(place) as store:
            if store.facts().unknown_since is None:
                return []
            try:
                found = leftovers.unknown(store, self._disks(source))
            except ReconcilerError as error:
                return [error.diagnostic]
        return [found] if found is not None else []

    # --- Jobs --------------------------------------------------------------------------------------------

    def start(self, job: Job, fence: Fence) -> JobHandle:
        handle = JobHandle(self.name, job.id)
        with self._lock:
            running = self._jobs.get(job.id)
            if running is not None and not running.status.state.ended:
                return handle
            assignment = self._assignment(job.source)
            if not of_copy(job) and not older_than(self._server, assignment):
                self._note_job(job, fence)
            self._jobs[job.id] = Running(lambda mine: self._work(job, assignment, fence, mine), job.id)
        return handle

    def _note_job(self, job: Job, fence: Fence) -> None:
        """Remembers the job. A recovery to a folder goes on without, where the store cannot be written to."""
        try:
            self._server.note_job(job, fence)
        except (TemporaryError, Refused, OSError) as error:
            if not reads_alone(job) or not cannot_write(error):
                raise

    def poll(self, handle: JobHandle) -> JobStatus:
        running = self._jobs.get(handle.job)
        if running is not None:
            return running.status
        try:
            absent = self._server.presence() is Presence.ABSENT
            job = None if absent else self._server.job(handle.job)
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

    def _work(self, job: Job, assignment: Assignment, fence: Fence, running: Running) -> JobResult:
        if not of_copy(job):
            self._server.use_volume(assignment.volume, fence)
        self._first_use(job, assignment, fence)
        with (
            ThreadPoolExecutor(self._setup.threads, thread_name_prefix=job.id) as pool,
            store_for(self._server, job, assignment, fence) as store,
        ):
            if store.reading:
                return self._run(job, assignment, store, pool, running)
            try:
                tell(self._server, assignment, store, fence)
                return store.job_result(job.id) or self._run(job, assignment, store, pool, running)
            except OSError as error:
                if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    error.filename = str(store.packs)  # a write knows no path; a recovery's own say theirs
                raise
            finally:
                note(self._server, assignment, store, fence)

    def _first_use(self, job: Job, assignment: Assignment, fence: Fence) -> None:
        """Makes the replica store before the initial replica, and puts on record that it is there."""
        if job.kind is JobKind.RECOVERY:
            return
        place = self._server.place(assignment)
        if place.known is not None or begun(place.folder):
            return
        if job.kind is not JobKind.INITIAL_REPLICA:
            what = "there is no initial replica yet"
            raise Refused("RCL4010", what, "It is made first, automatically.", subject=job.source.machine)
        self._server.note_replica(assignment.source, create(place, fence), fence)

    def _run(
        self, job: Job, assignment: Assignment, store: ReplicaStore, pool: ThreadPoolExecutor, running: Running
    ) -> JobResult:
        work = Work(
            job=job,
            assignment=assignment,
            rules=lambda: self._assignment(job.source),
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
        if job.kind in _READING:
            leftovers.before_reading(work)
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
        if assignment is None or not begun(self._server.replica_folder(assignment)):
            return None
        with ReplicaStore(self._server.place(assignment)) as store:
            return store.job_result(job.id)

    # --- Recovery and checks -----------------------------------------------------------------------------

    def preview(self, job: Job) -> RecoveryPreview:
        """What a recovery would write and destroy. Raises `Refused` where there is no such point or disk."""
        assert job.recovery is not None
        assignment = self._assignment(job.source)
        disks = self._disks(job.source)
        place = self._server.place(assignment)
        if place.known is None and not begun(place.folder):
            raise no_such_point(job.recovery.point)
        with ReplicaStore(place) as store:
            if job.recovery.step is not RecoveryStep.RECOVER:
                return preview_unfinished(job, store, disks)
            shown = preview(job, store, disks)
            return msgspec.structs.replace(shown, notes=(*shown.notes, *of_age(store, job)))

    def unfinished(self) -> tuple[UnfinishedRecovery, ...]:
        """See `protocols.Recovers`."""
        if self._server.presence() is Presence.ABSENT:
            return ()
        found: list[UnfinishedRecovery] = []
        for assignment, place in self._server.places():
            disks = self._setup.disks.get(assignment.source.cluster)
            if disks is None or not begun(place.folder):
                continue
            try:
                with ReplicaStore(place) as store:
                    found += unfinished_of(store, disks)
            except ReconcilerError:
                continue  # `observe` says what is wrong with it
        return tuple(found)

    def check_store(self, part: tuple[int, int] | None) -> StoreCheck:
        """See `protocols.ChecksStore`."""
        counts = Counts()
        if self._server.presence() is Presence.ABSENT:
            raise unreachable(self._folder, f"the store of {self.name}", "it was never made, or is not mounted")
        findings = self._server.faults()
        for _, place in self._server.places():
            if place.known is None and not begun(place.folder):
                continue
            try:
                with ReplicaStore(place) as store:
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
            findings=distinct(findings),
        )
