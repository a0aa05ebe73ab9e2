"""Jobs: what should run, what is running, and what came of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from reconciler.model.identity import DataSource


class JobKind(StrEnum):
    INITIAL_REPLICA = "initialReplica"
    SYNCHRONIZATION = "synchronization"
    EXPRESS_FULL = "expressFull"
    CONSISTENCY_CHECK = "consistencyCheck"
    PRUNING = "pruning"
    RECOVERY = "recovery"


class JobState(StrEnum):
    """`INTERRUPTED`: the process that ran it is gone, or was asked to stop; it may be started again."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def ended(self) -> bool:
        return self is not JobState.RUNNING


class RecoveryTarget(StrEnum):
    """Where a point is recovered to."""

    ORIGINAL = "original"
    FOLDER = "folder"


class RecoveryStep(StrEnum):
    """What a recovery job does. `SETTLE` is what is done about one whose process died: it is carried out only while all
    that was agreed still holds. `CONTINUE` and `UNDO` are asked for anew, of one that is half done."""

    RECOVER = "recover"
    SETTLE = "settle"
    CONTINUE = "continue"
    UNDO = "undo"


class FileState(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What stood at `path`: which file of which file system, its size in bytes, its times in nanoseconds. `digest` is
    the hexadecimal digest of its content as `engines.embedded.maps.file_digest` makes it; "" where it was not read."""

    path: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    digest: str = ""


class Agreement(msgspec.Struct, frozen=True, rename="camel"):
    """What a recovery was agreed for: by whom, until when (UTC), and what stood where it writes and removes. A path
    that is not in `files` had nothing."""

    by: str
    until: datetime
    files: tuple[FileState, ...]


class Recovery(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a recovery job does: which point, where to, which disks (empty: the whole machine).

    `folder` is an absolute path for `RecoveryTarget.FOLDER`. `keep_original` keeps what is replaced beside it.
    `asked_by` is the account of whoever asked for it; `agreed` what they agreed to, None where nobody was asked, and
    then it is what stands there as the job begins. `of` is the job that a later `step` is about. `copy`: the store is
    older, or newer, than the state knows it, and is read alone.
    """

    point: str
    target: RecoveryTarget
    folder: str = ""
    disks: tuple[str, ...] = ()
    keep_original: bool = False
    asked_by: str = ""
    agreed: Agreement | None = None
    step: RecoveryStep = RecoveryStep.RECOVER
    of: str = ""
    copy: bool = False


class Job(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Something to run for one data source. `id` is derived from what it is, so the same need gives the same id.

    `scheduled_for` (UTC) is the slot it answers; `reason` says why it is due, for people. `points` are the ids
    that a pruning job expires. `group` is "" for a data source that is no longer protected. After `max_hours` the
    job is ended, whether or not it is done. `asked_by` is the account of whoever asked for it; "" for the schedule.
    """

    id: str
    kind: JobKind
    server: str
    source: DataSource
    scheduled_for: datetime
    group: str = ""
    reason: str = ""
    points: tuple[str, ...] = ()
    recovery: Recovery | None = None
    max_hours: int | None = None
    asked_by: str = ""


class JobHandle(msgspec.Struct, frozen=True, rename="camel"):
    """How an engine is asked about a job that it was given."""

    server: str
    job: str


class Progress(msgspec.Struct, frozen=True, rename="camel"):
    """`done` of `total` in `unit` (bytes, blocks, points); total 0 while it is not known yet."""

    done: int = 0
    total: int = 0
    unit: str = "bytes"


class JobResult(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Figures of an ended job, in bytes and 128 KiB blocks; `files` maps each recovered path to its BLAKE3.
    `point_time` (UTC) is the moment that the recovery point shows, `machine_name` what the machine was called then."""

    point: str = ""
    point_time: datetime | None = None
    machine_name: str = ""
    node: str = ""
    read_bytes: int = 0
    stored_bytes: int = 0
    blocks_changed: int = 0
    blocks_repaired: int = 0
    points_expired: int = 0
    freed_bytes: int = 0
    files: dict[str, str] = {}


class JobStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Where a job stands. `code`, `reason` and `remedy` say why it failed; `retry_seconds` when to try again,
    None where trying again will not help by itself."""

    state: JobState
    progress: Progress = Progress()
    code: str = ""
    reason: str = ""
    remedy: str = ""
    retry_seconds: float | None = None
    result: JobResult | None = None


class JobRecord(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What our own memory holds of a job: the job, its last status, how often it was tried, and when (UTC)."""

    job: Job
    status: JobStatus
    attempt: int
    started_at: datetime
    ended_at: datetime | None = None
    retry_at: datetime | None = None
    run: str = ""
