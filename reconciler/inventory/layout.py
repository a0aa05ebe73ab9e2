"""The JSON of a cluster on disk: one file's text -> a typed value. Private to the inventory.

Everything but names and places may be left out: what is not stated is unknown. docs/reference/cluster-on-disk.md
describes the layout for people.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from reconciler import encoded, files
from reconciler.model.cluster import DiskKind, PowerState, ReplicationMode, StorageKind
from reconciler.model.names import LONGEST

#: A JSON file of a cluster is small; a larger one is not read.
LARGEST_JSON = 4 * 1024 * 1024

#: What something is called. Hyper-V takes 100 letters; whatever is far beyond that is no name.
Name = Annotated[str, Meta(max_length=LONGEST)]

T = TypeVar("T", bound=msgspec.Struct)


class Stated(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Base of everything that a file states."""

    def stated(self, *leave_out: str) -> tuple[str, ...]:
        """The names of the fields that the file states."""
        return tuple(
            field for field in self.__struct_fields__ if field not in leave_out and getattr(self, field) is not UNSET
        )


class VolumeJson(Stated, frozen=True):
    name: str
    size_bytes: int | UnsetType = UNSET
    free_bytes: int | UnsetType = UNSET
    file_system: str | UnsetType = UNSET
    deduplicated: bool | UnsetType = UNSET
    owner_node: str | UnsetType = UNSET


class ClusterJson(Stated, frozen=True):
    name: str
    functional_level: str | UnsetType = UNSET
    domain: str | UnsetType | None = UNSET
    volumes: tuple[VolumeJson, ...] = ()


class AgentJson(Stated, frozen=True):
    version: str | UnsetType = UNSET
    state: Literal["working", "disabled", "missing"] | UnsetType = UNSET


class StorageJson(Stated, frozen=True):
    name: str
    kind: StorageKind = StorageKind.DISK
    size_bytes: int | UnsetType = UNSET
    free_bytes: int | UnsetType = UNSET
    file_system: str | UnsetType = UNSET
    deduplicated: bool | UnsetType = UNSET


class NodeJson(Stated, frozen=True):
    name: str
    agent: AgentJson | UnsetType = UNSET
    site: str | UnsetType | None = UNSET
    maintenance: bool | UnsetType = UNSET
    integration_version: str | UnsetType = UNSET
    host_components: tuple[str, ...] | UnsetType = UNSET
    storage: tuple[StorageJson, ...] = ()


class RoleJson(Stated, frozen=True):
    """Where a machine runs, and where its folder lies, relative to the cluster's."""

    owner_node: str
    folder: str
    resource_group: str | UnsetType | None = UNSET
    power: PowerState | UnsetType = UNSET


class ReplicationJson(Stated, frozen=True):
    mode: ReplicationMode = ReplicationMode.NONE
    health: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    log: str | UnsetType = UNSET


class CheckpointJson(Stated, frozen=True):
    name: str
    files: tuple[str, ...] = ()


class DiskJson(Stated, frozen=True):
    """A disk; `path` is relative to the machine's folder, or begins with volumes/ or local/. `id`, where one is stated,
    stays the disk's wherever it is moved."""

    path: str
    kind: DiskKind | UnsetType = UNSET
    id: str = ""


class MachineJson(Stated, frozen=True):
    id: Name
    name: Name
    generation: int | UnsetType = UNSET
    guest_system: str | UnsetType = UNSET
    guest_version: str | UnsetType = UNSET
    integration_version: str | UnsetType = UNSET
    integration_state: str | UnsetType = UNSET
    replication: ReplicationJson | UnsetType = UNSET
    checkpoints: tuple[CheckpointJson, ...] | UnsetType = UNSET
    quiesced_export: bool | UnsetType = UNSET
    disks: tuple[DiskJson, ...] = ()
    labels: dict[str, str] = {}
    notes: str = ""


#: Made here, by one thread: see `encoded.Reader`.
_DECODERS: dict[type, encoded.Reader[Any]] = {
    kind: encoded.Reader(kind) for kind in (ClusterJson, NodeJson, RoleJson, MachineJson)
}


class Unreadable(Exception):
    """A file of the cluster cannot be read; the text says why."""


def read(path: Path, kind: type[T]) -> T:
    """The file as `kind`. Raises `Unreadable`."""
    try:
        data = files.read_regular(path, LARGEST_JSON)
    except OSError as error:
        raise Unreadable(f"{path.name}: {error.strerror or error}") from error
    try:
        return decode(data, kind)
    except encoded.Wrong as error:
        raise Unreadable(f"{path.name}: {error}") from error


def decode(data: bytes, kind: type[T]) -> T:
    """The text as `kind`. Raises `encoded.Wrong`."""
    decoder: encoded.Reader[T] = _DECODERS[kind]
    return decoder.decode(without_mark(data))


def without_mark(data: bytes) -> bytes:
    """The text without the byte order mark that some editors begin a file with."""
    return data.removeprefix(BOM_UTF8)
