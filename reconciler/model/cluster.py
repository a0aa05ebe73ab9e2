"""What an inventory saw of a cluster at one moment.

Every field is observed, declared or unknown. A field that is left out (`UNSET`) is unknown; a field whose name
stands in its struct's `declared` was stated by a file or a person, not measured; the rest was observed.
A check on an unknown fact gives the finding "unknown", never a pass.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from reconciler.model.identity import DataSource, Level, vm_id


class DiskKind(StrEnum):
    """The container of a virtual disk."""

    VHDX = "vhdx"
    VHD = "vhd"
    RAW = "raw"
    PASS_THROUGH = "passThrough"
    SHARED = "shared"


class StorageKind(StrEnum):
    """What a node's own storage is."""

    DISK = "disk"
    SAN = "san"
    NAS = "nas"


class PowerState(StrEnum):
    RUNNING = "running"
    OFF = "off"
    SAVED = "saved"
    PAUSED = "paused"


class ReplicationMode(StrEnum):
    """Hyper-V Replica's modes [Get-VMReplication]."""

    NONE = "none"
    PRIMARY = "primary"
    REPLICA = "replica"
    TEST_REPLICA = "testReplica"
    EXTENDED_REPLICA = "extendedReplica"


class _Facts(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """Base of everything seen; `declared` names the fields that were stated, not measured."""

    declared: tuple[str, ...] = msgspec.field(default=(), name="declared")

    def provenance(self, field: str) -> Literal["observed", "declared", "unknown"]:
        """How the value of `field` (its Python name) is known."""
        if getattr(self, field) is UNSET:
            return "unknown"
        return "declared" if field in self.declared else "observed"


class Replication(_Facts, frozen=True, rename="camel", omit_defaults=True):
    """Hyper-V Replica of one machine. `health` and `state` in Hyper-V's words; `log` how .hrl stands."""

    mode: ReplicationMode = ReplicationMode.NONE
    health: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    log: str | UnsetType = UNSET


class VirtualDisk(_Facts, frozen=True, rename="camel", omit_defaults=True):
    """One disk of a machine. Sizes in bytes.

    `path` is where the cluster keeps it, in the inventory's own form; `name` its last part. `size_bytes` is what
    the guest sees, `file_bytes` the container's length, `allocated_bytes` what of that is really stored.
    """

    path: str = ""
    kind: DiskKind = DiskKind.RAW
    volume: str | UnsetType = UNSET
    size_bytes: int | UnsetType = UNSET
    file_bytes: int | UnsetType = UNSET
    allocated_bytes: int | UnsetType = UNSET
    #: the VHDX log holds writes that were never replayed
    log_pending: bool | UnsetType = UNSET
    #: a differencing disk (AVHDX) stands on another one
    differencing: bool | UnsetType = UNSET
    #: the container cannot be read as what it says it is; why
    unreadable: str | None = None
    #: tells the disk from the machine's others wherever it lies; "" where the configuration states none
    id: str = ""
    #: the other virtual machines whose configuration names this very file
    shared_with: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.path.replace("\\", "/").rpartition("/")[2]


class VirtualMachine(_Facts, frozen=True, rename="camel", omit_defaults=True):
    """One virtual machine. `id` is its GUID in the form of `vm_id`; `node` its owner now.

    `resource_group` None means that the machine is not highly available. `guest_system` is a family:
    windows, linux or another word. `labels` come from the notes (``key: value`` lines) or the inventory file.
    `volumes` names where its files lie. `config` is the path of its configuration file. `quiesced_export` says that
    its files are an export for which the guest's file systems were frozen.
    """

    id: str = ""
    name: str = ""
    node: str = ""
    power: PowerState | UnsetType = UNSET
    resource_group: str | UnsetType | None = UNSET
    generation: int | UnsetType = UNSET
    guest_system: str | UnsetType = UNSET
    guest_version: str | UnsetType = UNSET
    integration_version: str | UnsetType = UNSET
    integration_state: str | UnsetType = UNSET
    replication: Replication | UnsetType = UNSET
    checkpoints: tuple[str, ...] | UnsetType = UNSET
    disks: tuple[VirtualDisk, ...] = ()
    labels: dict[str, str] = {}
    notes: str = ""
    config: str = ""
    quiesced_export: bool | UnsetType = UNSET

    def __post_init__(self) -> None:
        known = vm_id(self.id)
        if known != self.id:
            msgspec.structs.force_setattr(self, "id", known)

    def source(self, cluster: str) -> DataSource:
        """This machine, whole, seen from its host."""
        return DataSource(cluster, self.id, Level.HOST)


class Agent(_Facts, frozen=True, rename="camel", omit_defaults=True):
    """The protection agent on a node. `state` is working, disabled or missing."""

    version: str | UnsetType = UNSET
    state: Literal["working", "disabled", "missing"] | UnsetType = UNSET


class LocalStorage(_Facts, frozen=True, rename="camel", omit_defaults=True):
    """Storage of one node alone. Sizes in bytes."""

    name: str = ""
    kind: StorageKind = StorageKind.DISK
    size_bytes: int | UnsetType = UNSET
    free_bytes: int | UnsetType = UNSET
    file_system: str | UnsetType = UNSET
    deduplicated: bool | UnsetType = UNSET


class Node(_Facts, frozen=True, rename="camel", omit_defaults=True):
    """One node. `integration_version` is what its Hyper-V brings for guests."""

    name: str = ""
    agent: Agent = Agent()
    site: str | UnsetType | None = UNSET
    maintenance: bool | UnsetType = UNSET
    integration_version: str | UnsetType = UNSET
    host_components: tuple[str, ...] | UnsetType = UNSET
    storage: tuple[LocalStorage, ...] = ()


class ClusterVolume(_Facts, frozen=True, rename="camel", omit_defaults=True):
    """One Cluster Shared Volume. Sizes in bytes."""

    name: str = ""
    size_bytes: int | UnsetType = UNSET
    free_bytes: int | UnsetType = UNSET
    file_system: str | UnsetType = UNSET
    deduplicated: bool | UnsetType = UNSET
    owner_node: str | UnsetType = UNSET


class Unseen(msgspec.Struct, frozen=True, rename="camel"):
    """A machine of which a part could not be read; `id` is "" where not even that is known."""

    id: str
    where: str
    why: str


class ClusterSnapshot(_Facts, frozen=True, rename="camel", omit_defaults=True):
    """A cluster as seen at `taken_at` (UTC). Machines are sorted by id, everything else by name.

    `unseen` lists machines that are there but could not be read: they are never taken for gone.
    """

    name: str = ""
    taken_at: datetime = datetime.min.replace(tzinfo=UTC)
    domain: str | UnsetType | None = UNSET
    functional_level: str | UnsetType = UNSET
    nodes: tuple[Node, ...] = ()
    volumes: tuple[ClusterVolume, ...] = ()
    machines: tuple[VirtualMachine, ...] = ()
    unseen: tuple[Unseen, ...] = ()
