"""THE WALLS: what the pure core asks of the world. Small protocols; adapters are chosen by `wiring` alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

import msgspec

from reconciler.errors import Diagnostic
from reconciler.model import (
    Action,
    Capabilities,
    CatalogSnapshot,
    ClusterSnapshot,
    DataSource,
    Job,
    JobHandle,
    JobKind,
    JobRecord,
    JobStatus,
    LedgerEntry,
    Outcome,
    Plan,
    VirtualMachine,
)


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """This moment, aware, UTC."""
        ...


# --- The source side -------------------------------------------------------------------------------------


class Inventory(Protocol):
    """Sees a cluster."""

    def observe(self) -> ClusterSnapshot:
        """The cluster now. Raises `Unreachable` when it cannot be seen: never an empty snapshot instead."""
        ...


class DiskReader(Protocol):
    """One open file of a machine, read at any offset. Closed on exit."""

    @property
    def size(self) -> int:
        """Length of the container in bytes, as it was when the file was opened."""
        ...

    def extents(self) -> Iterator[tuple[int, int]]:
        """(offset, length) of every part that may hold data, ascending, not overlapping; the rest is zeros."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end of the file. Thread-safe."""
        ...

    def generation(self) -> str:
        """A text that differs once the file was changed, replaced, cut or grown. Read anew at each call."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class StagedFile(Protocol):
    """A file being written beside its target. Closed, durable, on exit without an error."""

    def write(self, offset: int, data: bytes) -> None:
        """Writes at `offset`; what is never written reads as zeros and takes no space."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Reads back what was written, for verifying."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Target(Protocol):
    """Somewhere files are put, whole and atomically: staged beside the target, then renamed over it.

    `token` tells the staged files of one job from another's; all calls are idempotent, so that an interrupted
    cut-over can be rolled forward. Paths are the target's own.
    """

    def stage(self, path: str, token: str, size: int) -> StagedFile:
        """Opens the staged file for `path`, empty and `size` bytes long, making folders as needed."""
        ...

    def staged(self, path: str, token: str) -> bool:
        """Whether the staged file of `path` is there."""
        ...

    def cut_over(self, path: str, token: str, mode: int, mtime_ns: int, *, keep_original: bool) -> None:
        """Gives the staged file its mode and time and renames it over `path`; without a staged file, nothing.
        `keep_original` keeps what stood there as ``path.original-TOKEN``."""
        ...

    def discard(self, path: str, token: str) -> None:
        """Removes the staged file if it is there."""
        ...

    def exists(self, path: str) -> bool: ...

    def free_bytes(self, path: str) -> int:
        """Free space of the file system that holds, or would hold, `path`."""
        ...


class FileFacts(msgspec.Struct, frozen=True):
    """What is restored with a file besides its bytes: permission bits and modification time."""

    mode: int
    mtime_ns: int


class Disks(Target, Protocol):
    """The files of a cluster's machines, as bytes."""

    def machine(self, machine: str) -> VirtualMachine:
        """The machine with this id, as it is now: where it runs, which disks it has. Raises `Refused`, RCL2010,
        when the cluster does not know it (any more)."""
        ...

    def open(self, path: str) -> DiskReader:
        """Opens a disk or a configuration file. Raises `Refused`, RCL2011, when it is not there or not readable."""
        ...

    def facts(self, path: str) -> FileFacts: ...

    def file_system(self) -> int | None:
        """A number that tells the file system of the machines from others on this computer; None where that is
        not known."""
        ...

    def resource_groups(self) -> frozenset[str]:
        """The ids of machines whose cluster resource group is present."""
        ...

    def checkpoint_files(self, machine: str) -> tuple[str, ...]:
        """Paths of the files that belong to the machine's checkpoints."""
        ...

    def remove(self, path: str) -> None:
        """Removes a file if it is there."""
        ...


# --- The backup side -------------------------------------------------------------------------------------


class Fence(msgspec.Struct, frozen=True):
    """The token of the lease that a write is done under; it only ever grows."""

    token: int


class Engine(Protocol):
    """Sees and changes backup on one server."""

    @property
    def name(self) -> str:
        """The server's name in the policies."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    def observe(self) -> CatalogSnapshot:
        """What the server holds now, in our units and names."""
        ...

    def apply(self, action: Action, fence: Fence) -> str:
        """Does the action and returns the group's reference. Doing it twice equals doing it once.

        Raises `StaleFence`, `TemporaryError`, `PermanentError`, `OutcomeUnknown`, or `Refused` when the group is
        neither as the action's `before` nor as its `after` says.
        """
        ...

    def start(self, job: Job, fence: Fence) -> JobHandle:
        """Starts a job; starting a known job id that runs or has succeeded starts nothing."""
        ...

    def poll(self, handle: JobHandle) -> JobStatus:
        """Where the job stands. A job that no running process works on and that never ended is INTERRUPTED."""
        ...

    def cancel(self, handle: JobHandle) -> None:
        """Asks a running job to stop at the next safe point."""
        ...

    def close(self) -> None:
        """Cancels what runs, waits for it, and lets go of every file."""
        ...


class Recovers(Protocol):
    """An engine that can say beforehand what a recovery job would do. The job itself goes through `start`."""

    def preview(self, job: Job) -> RecoveryPreview: ...


class RecoveryPreview(msgspec.Struct, frozen=True, rename="camel"):
    """What a recovery would write and destroy; `refusals` are the reasons why it would be refused."""

    machine: str
    point: str
    point_time: datetime
    writes: tuple[str, ...]
    destroys: tuple[str, ...]
    bytes: int
    refusals: tuple[Diagnostic, ...] = ()
    notes: tuple[str, ...] = ()


class StoreCheck(msgspec.Struct, frozen=True, rename="camel"):
    """What checking a store found; empty `findings` is a sound store. Bytes and counts of what was looked at."""

    server: str
    replicas: int
    points: int
    packs: int
    blocks: int
    read_bytes: int
    findings: tuple[Diagnostic, ...]


class ChecksStore(Protocol):
    """An engine whose store can be checked."""

    def check_store(self, part: tuple[int, int] | None) -> StoreCheck:
        """Catalogs, pack sizes and footers; with `part` (n, m) the data of every pack whose number is n modulo m
        is read and hashed too, (1, 1) for all of it."""
        ...


# --- Our memory ------------------------------------------------------------------------------------------


class Run(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One run of a command that changes something. `ended_at` None: it is going on, or it died."""

    id: str
    command: str
    actor: str
    host: str
    started_at: datetime
    fence: int
    plan_hash: str = ""
    ended_at: datetime | None = None
    ended_as: str = ""


class JournalStep(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A step of a run as the journal has it; `outcome` None: started, and never heard of again."""

    run: str
    step: str
    started_at: datetime
    outcome: Outcome | None = None


class Journal(Protocol):
    """What we did: written before and after each step."""

    def begin(self, run: Run, plan: Plan | None) -> None: ...
    def started(self, run: str, step: str, at: datetime) -> None: ...
    def finished(self, run: str, outcome: Outcome) -> None: ...
    def end(self, run: str, at: datetime, ended_as: str) -> None: ...
    def runs(self, limit: int = 50) -> tuple[Run, ...]:
        """The latest runs, newest first."""
        ...

    def open_runs(self) -> tuple[Run, ...]:
        """Runs that never ended, oldest first."""
        ...

    def steps(self, run: str) -> tuple[JournalStep, ...]: ...
    def plan(self, run: str) -> Plan | None: ...


class Ledger(Protocol):
    """What we own: the groups that this product made, and what it last applied to them."""

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All entries, by server and group."""
        ...

    def record(self, entry: LedgerEntry, *, formerly: str = "") -> None:
        """Writes the entry of a group; `formerly` is its name before a rename, whose entry goes."""
        ...

    def forget(self, server: str, group: str) -> None: ...


class JobStore(Protocol):
    """Which jobs were started, and what came of them."""

    def record(self, record: JobRecord) -> None:
        """Writes the job's record, over an earlier one of the same job id."""
        ...

    def get(self, job: str) -> JobRecord | None: ...
    def running(self) -> tuple[JobRecord, ...]: ...
    def latest(self) -> Mapping[tuple[DataSource, JobKind], JobRecord]:
        """The latest record of each data source and kind: what `due` needs."""
        ...

    def history(self, limit: int = 100, source: DataSource | None = None) -> Sequence[JobRecord]:
        """Newest first."""
        ...


class Lease(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Who may change a site, until when. `token` grows with every new holder."""

    name: str
    holder: str
    token: int
    acquired_at: datetime
    expires_at: datetime
    took_over: str = ""


class Locks(Protocol):
    """Leases with a fencing token, by real time (never the rehearsal's)."""

    def acquire(self, name: str, holder: str, ttl: timedelta) -> Lease:
        """Takes the lease, over an expired one or one whose holder's process on this machine is gone. Raises
        `LockHeld`, RCL5003, saying who holds it, since when and until when."""
        ...

    def renew(self, lease: Lease, ttl: timedelta) -> Lease:
        """Prolongs it. Raises `StaleFence`, RCL5004, when somebody else has it now."""
        ...

    def release(self, lease: Lease) -> None: ...
    def holder(self, name: str) -> Lease | None: ...


class Marks(Protocol):
    """Named instants: the clock's high-water marks and the loop's heartbeat."""

    def read(self, name: str) -> datetime | None: ...
    def write(self, name: str, at: datetime) -> None: ...


class Memory(Protocol):
    """Our memory of one site, whole."""

    @property
    def journal(self) -> Journal: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def jobs(self) -> JobStore: ...
    @property
    def locks(self) -> Locks: ...
    @property
    def marks(self) -> Marks: ...
    def close(self) -> None: ...


def diagnostics_of(snapshots: Iterable[CatalogSnapshot]) -> tuple[Diagnostic, ...]:
    """The troubles that engines saw while reading themselves, in order."""
    return tuple(finding for snapshot in snapshots for finding in snapshot.findings)
