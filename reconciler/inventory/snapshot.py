"""An exported inventory as a cluster's inventory: it shows what was seen when it was exported."""

from __future__ import annotations

from pathlib import Path

from reconciler.errors import Refused
from reconciler.model import ClusterSnapshot
from reconciler.protocols import Clock
from reconciler.snapshots import read_inventory


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
        found = read_inventory(self.path)
        if self.name not in found:
            what = f"holds no cluster {self.name!r}, only {', '.join(sorted(found)) or 'none'}"
            remedy = "Export it again with `reconciler inventory snapshot`."
            raise Refused("RCL2021", f"the file {str(self.path)!r} {what}", remedy, subject=str(self.path))
        return found[self.name]
