"""An exported inventory: clusters as they were seen -> a file, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from reconciler import files
from reconciler.model import ClusterSnapshot, VirtualMachine
from reconciler.snapshots.form import Header, SnapshotFile, Sort, as_lines, line
from reconciler.snapshots.sharing import Shared

SORT = Sort("Inventory", "1.0", "inventory snapshot", unreadable="RCL2020", wrong="RCL2021")


class InventoryDocument(Header, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The file as one document."""

    clusters: tuple[ClusterSnapshot, ...]


class InventoryLine(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One line: a cluster without its machines, or a machine of the cluster before it."""

    cluster: ClusterSnapshot | UnsetType = UNSET
    machine: VirtualMachine | UnsetType = UNSET


def inventory_parts(clusters: Iterable[ClusterSnapshot], *, lines: bool) -> Iterator[bytes]:
    """The bytes of the file, in parts."""
    ordered = sorted(clusters, key=lambda cluster: cluster.name)
    if not lines:
        yield line(InventoryDocument(format_version=SORT.version, kind=SORT.kind, clusters=tuple(ordered)))
        return
    count = sum(1 + len(cluster.machines) for cluster in ordered)
    yield line(Header(SORT.version, SORT.kind, count))
    for cluster in ordered:
        yield line(InventoryLine(cluster=msgspec.structs.replace(cluster, machines=())))
        for machine in cluster.machines:
            yield line(InventoryLine(machine=machine))


def write_inventory(path: Path, clusters: Iterable[ClusterSnapshot]) -> None:
    """Writes the file, whole or not at all."""
    files.write_parts(path, inventory_parts(clusters, lines=as_lines(path)))


def read_inventory(path: Path) -> dict[str, ClusterSnapshot]:
    """The clusters of a file, by name. Raises `Unreachable` where it is not there, `Refused` where it is none, or
    not all of one."""
    with SnapshotFile(path, SORT) as file:
        if file.header is None:
            return {cluster.name: cluster for cluster in file.document(InventoryDocument).clusters}
        found: dict[str, tuple[ClusterSnapshot, list[VirtualMachine]]] = {}
        machines: list[VirtualMachine] | None = None
        shared = Shared()
        for some in file.lines(InventoryLine):
            shared.machines([each.machine for each in some if each.machine is not UNSET])
            for each in some:
                if each.machine is not UNSET and machines is not None:
                    machines.append(each.machine)
                elif each.cluster is not UNSET and each.cluster.name not in found:
                    machines = []
                    found[each.cluster.name] = (each.cluster, machines)
                elif not (file.newer and each == InventoryLine()):
                    raise file.refused("has a line that is neither a cluster nor a virtual machine of one")
        return {name: _whole(cluster, machines) for name, (cluster, machines) in found.items()}


def _whole(cluster: ClusterSnapshot, machines: list[VirtualMachine]) -> ClusterSnapshot:
    return msgspec.structs.replace(cluster, machines=tuple(machines))
