"""What an engine saw of a backup server at one moment: groups, replicas, recovery points, volumes."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec
from msgspec import UNSET, UnsetType

from reconciler.errors import Diagnostic
from reconciler.model.groups import ExistingPoints, ProtectionGroup
from reconciler.model.identity import DataSource


class ReplicaState(StrEnum):
    """`PENDING` until the initial replica is there; then valid, or inconsistent until a check repaired it."""

    PENDING = "initialReplicaPending"
    VALID = "valid"
    INCONSISTENT = "inconsistent"


class PointKind(StrEnum):
    """Which run made a recovery point."""

    INITIAL_REPLICA = "initialReplica"
    SYNCHRONIZATION = "synchronization"
    EXPRESS_FULL = "expressFull"


class Consistency(StrEnum):
    """What state of the guest a point holds: as its applications, its files, or the plug left it."""

    APPLICATION = "application"
    FILE = "file"
    CRASH = "crash"


class ObservedGroup(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A group on the server, with the server's own reference to it."""

    ref: str
    group: ProtectionGroup


class Replica(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """The copy of one data source. Times are UTC, sizes bytes.

    `group` None means inactive: protection was stopped and the points are kept as `existing_points` says.
    `machine_name` and `node` are what the last job saw. `retention` and `minimum_points` are those that
    its points live under. `inconsistent_because` says why the state is inconsistent.
    """

    source: DataSource
    volume: str
    state: ReplicaState
    group: str | None = None
    machine_name: str = ""
    node: str = ""
    inconsistent_because: str = ""
    existing_points: ExistingPoints = ExistingPoints.RETAIN
    retention: timedelta | None = None
    minimum_points: int = 3
    source_bytes: int = 0
    stored_bytes: int = 0
    synchronized_at: datetime | None = None
    express_full_at: datetime | None = None
    checked_at: datetime | None = None


class RecoveryPoint(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """One state of one data source that can be recovered. `time` (UTC) is the moment it shows.

    `scheduled_for` is the slot that the run answered. `stored_bytes` is what this point added to the store. `cold`: the
    virtual machine was switched off, so that the point is its disks as its guest left them, and application consistent
    by that, not by VSS.
    """

    id: str
    source: DataSource
    time: datetime
    kind: PointKind
    consistency: Consistency
    source_bytes: int
    stored_bytes: int
    scheduled_for: datetime | None = None
    verified_at: datetime | None = None
    machine_name: str = ""
    cold: bool = False


class PoolVolume(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A volume of the storage pool. `capacity_bytes` is the limit given to it, `used_bytes` what is stored,
    `binned_bytes` the part of that which waits in the bin, `disk_free_bytes` what the disk itself has left."""

    name: str
    capacity_bytes: int
    used_bytes: int
    binned_bytes: int = 0
    disk_free_bytes: int | UnsetType = UNSET


class ServerFacts(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Facts of the backup server; left out is unknown."""

    engine: str
    version: str | UnsetType = UNSET
    operating_system: str | UnsetType = UNSET
    roles: tuple[str, ...] | UnsetType = UNSET
    domain: str | UnsetType | None = UNSET


class CatalogSnapshot(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A backup server as seen at `taken_at` (UTC). Groups are sorted by name, replicas by data source,
    points by (data source, time). `findings` are troubles the engine saw while reading itself."""

    server: str
    taken_at: datetime
    facts: ServerFacts
    groups: tuple[ObservedGroup, ...] = ()
    replicas: tuple[Replica, ...] = ()
    points: tuple[RecoveryPoint, ...] = ()
    volumes: tuple[PoolVolume, ...] = ()
    findings: tuple[Diagnostic, ...] = ()
