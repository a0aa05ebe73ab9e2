"""What the records of a store hold: frozen values, as JSON. Fields are only ever added, each with a default.

What a reader must not overlook (encryption, skipped ranges, blocks stored as differences) is named in `needs` of the
file or head that it concerns: a reader refuses what it does not know. docs/reference/store-format.md has the list.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

import msgspec

from reconciler import encoded
from reconciler.engines.embedded.maps import MachineMap
from reconciler.errors import Damaged
from reconciler.model import (
    Consistency,
    DataSource,
    ExistingPoints,
    JobKind,
    JobResult,
    PointKind,
    RecoveryPoint,
    ReplicaState,
)

FORMAT = 2

#: What a folder's name may have as it is: no two of these are one on any file system.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")


class Marker(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`format.json`, in the server's folder: the version of the format, and whose the folder is. Version 0.1 wrote the
    number alone."""

    format: int
    store: str = ""
    needs: tuple[str, ...] = ()
    seal: str = ""


class VolumeMarker(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`volume.json`, in the folder of a volume: which volume of which server's store it is. The server's database knows
    its id too."""

    format: int
    id: str
    volume: str
    server: str
    seal: str = ""


class Identity(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`identity.json`, in the folder of a replica store: who it is, and whose replica of which server's store. Its
    catalog and the server's database know its id too."""

    format: int
    store: str
    server: str
    volume: str
    source: DataSource
    needs: tuple[str, ...] = ()
    seal: str = ""


class Assignment(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Where the replica of a data source lies, and under which group and rules it stands. `group` is its name;
    None means inactive, and then the rules are the last ones that its points were made under. Before `paused_until`
    (UTC) none of its points expire."""

    source: DataSource
    volume: str
    folder: str
    group: str | None
    existing_points: ExistingPoints
    retention: timedelta
    minimum_points: int
    paused_until: datetime | None = None


class KnownReplica(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the server's database has on record of a replica store: its id, and how far it had come after its last job
    that we know of. `told` is the mark that its catalog heard last, `telling` one that it may have heard: it is written
    down before a job writes there. Both are empty for a catalog that heard none."""

    store: str
    generation: int
    told: str = ""
    telling: str = ""

    def knows(self, heard: str) -> bool:
        """Whether the server's database gave the catalog the mark that it heard last."""
        return not heard or heard in (self.told, self.telling)


class KnownVolume(msgspec.Struct, frozen=True, rename="camel"):
    """What the server's database has on record of a volume's folder."""

    id: str


class Facts(msgspec.Struct, rename="camel", omit_defaults=True):
    """What the catalog says of the replica as a whole; times are UTC. `unknown_since` is when the catalog was made anew
    without what was known of recoveries that had not ended; None where all of that is known."""

    state: ReplicaState = ReplicaState.PENDING
    inconsistent_because: str = ""
    machine_name: str = ""
    node: str = ""
    source_bytes: int = 0
    current_map: int = 0
    synchronized_at: datetime | None = None
    express_full_at: datetime | None = None
    checked_at: datetime | None = None
    unknown_since: datetime | None = None


class FileRecord(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A file of a point as its record has it: everything that a map says of it, its blocks as one digest."""

    path: str
    config: bool
    size: int
    mode: int
    mtime_ns: int
    digest: str


class PointRecord(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A recovery point. `files` chain it to its blocks; `member` is for replica stores of several machines, None is the
    store's own; `doubt` says why it is not recovered from, "" for a point that is as it should be."""

    id: str
    time: datetime
    kind: PointKind
    consistency: Consistency
    scheduled_for: datetime | None
    source_bytes: int
    stored_bytes: int
    machine_name: str
    map: int
    files: tuple[FileRecord, ...]
    verified_at: datetime | None = None
    binned_at: datetime | None = None
    member: DataSource | None = None
    doubt: str = ""

    def shown(self, source: DataSource) -> RecoveryPoint:
        return RecoveryPoint(
            id=self.id,
            source=source,
            time=self.time,
            kind=self.kind,
            consistency=self.consistency,
            source_bytes=self.source_bytes,
            stored_bytes=self.stored_bytes,
            scheduled_for=self.scheduled_for,
            verified_at=self.verified_at,
            machine_name=self.machine_name,
            cold=self.consistency is Consistency.APPLICATION,  # no guest is asked here: nothing else makes one so
        )


class JobRow(msgspec.Struct, frozen=True, rename="camel"):
    """A job that was committed here, and what came of it."""

    kind: JobKind
    at: datetime
    result: JobResult


class NewPoint(msgspec.Struct, frozen=True):
    """A recovery point about to be committed."""

    id: str
    time: datetime
    kind: PointKind
    consistency: Consistency
    scheduled_for: datetime
    stored_bytes: int


class Commit(msgspec.Struct, frozen=True):
    """Everything that one job makes true at once. `point` None: the replica is renewed, without a point."""

    job: str
    kind: JobKind
    at: datetime
    machine: MachineMap
    whole: bool
    facts: Facts
    result: JobResult
    point: NewPoint | None = None
    healed: tuple[bytes, ...] = ()


class PackRecord(msgspec.Struct, frozen=True):
    """A sealed pack: its size in bytes."""

    bytes: int


def file_records(machine: MachineMap) -> tuple[FileRecord, ...]:
    """The files of a map as a point's record has them."""
    return tuple(
        FileRecord(file.path, file.config, file.size, file.mode, file.mtime_ns, file.digest.hex())
        for file in machine.files
    )


def as_recorded(machine: MachineMap, point: PointRecord) -> MachineMap:
    """The map, which must be the one that the point was made with. Raises `Damaged`, RCL4006."""
    if point.doubt or file_records(machine) != point.files:
        raise Damaged(
            "RCL4006",
            f"the point {point.id} cannot be relied on: {point.doubt or 'its map is not the one it was made with'}",
            "Recover from another point, and run `reconciler store check`.",
            subject=point.id,
        )
    return machine


def folder_name(source: DataSource) -> str:
    """A name for the replica's folder that no input can break out of, that no two data sources share, and that is at
    most 70 characters long: the readable part, then a digest of all of it."""
    digest = sha256(source_key(source).encode()).hexdigest()[:16]
    return "-".join(filter(None, (_plain(source.cluster), _plain(source.machine), digest)))


def source_key(source: DataSource) -> str:
    """The data source as a key of records; unlike its text it is never that of another one."""
    return msgspec.json.encode((source.cluster, source.machine, source.level, source.protect)).decode()


def _plain(text: str) -> str:
    kept = "".join(letter if letter in _PLAIN else "-" for letter in text)
    return kept[:24].strip("-")


#: Made here, by one thread: see `encoded.Reader`.
MARKER = encoded.Reader(Marker)
VOLUME = encoded.Reader(VolumeMarker)
IDENTITY = encoded.Reader(Identity)
ASSIGNMENT = encoded.Reader(Assignment)
KNOWN_REPLICA = encoded.Reader(KnownReplica)
KNOWN_VOLUME = encoded.Reader(KnownVolume)
FACTS = encoded.Reader(Facts)
POINT = encoded.Reader(PointRecord)
JOB = encoded.Reader(JobRow)
PACK = encoded.Reader(PackRecord)
