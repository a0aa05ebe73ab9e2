"""An exported inventory: snapshots of clusters in a file, written once and read offline."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from reconciler import files
from reconciler.errors import Refused, Unreachable
from reconciler.model import ClusterSnapshot
from reconciler.protocols import Clock

FORMAT = "1.0"


class Exported(msgspec.Struct, frozen=True, rename="camel"):
    """The file: `format_version` may grow in its minor part; a newer major one is refused."""

    format_version: str
    kind: str
    clusters: tuple[ClusterSnapshot, ...]


def export(snapshots: Iterable[ClusterSnapshot]) -> bytes:
    """The file's bytes."""
    ordered = tuple(sorted(snapshots, key=lambda snapshot: snapshot.name))
    return msgspec.json.encode(Exported(FORMAT, "Inventory", ordered), order="deterministic") + b"\n"


def read(path: Path) -> dict[str, ClusterSnapshot]:
    """The clusters of an exported file, by name. Raises `Unreachable` where it is not there, `Refused` where it is
    none."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Exported)
    except OSError as error:
        raise Unreachable(
            "RCL2020",
            f"the inventory {str(path)!r} cannot be read: {error.strerror or error}",
            "Export one with `reconciler inventory snapshot`, or correct the path.",
            subject=str(path),
        ) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise _refused(path, f"is no exported inventory: {error}") from error
    if found.kind != "Inventory" or found.format_version.split(".")[0] != FORMAT.split(".")[0]:
        raise _refused(path, f"is {found.kind} of version {found.format_version}, not an inventory of version {FORMAT}")
    return {snapshot.name: snapshot for snapshot in found.clusters}


def write(path: Path, snapshots: Iterable[ClusterSnapshot]) -> None:
    """Writes the file, whole or not at all."""
    files.write_whole(path, export(snapshots))


def _refused(path: Path, what: str) -> Refused:
    return Refused(
        "RCL2021",
        f"the file {str(path)!r} {what}",
        "Export one anew with `reconciler inventory snapshot`.",
        subject=str(path),
    )


def open_inventory(name: str, path: Path, clock: Clock) -> SnapshotInventory:
    """The cluster `name` as the file at `path` has it."""
    return SnapshotInventory(name, path)


class SnapshotInventory:
    """See `protocols.Inventory`. It shows the cluster as it was when it was exported; there are no bytes of it."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        self.disks = None

    def observe(self) -> ClusterSnapshot:
        found = read(self.path)
        if self.name not in found:
            raise _refused(self.path, f"holds no cluster {self.name!r}, only {', '.join(sorted(found)) or 'none'}")
        return found[self.name]
