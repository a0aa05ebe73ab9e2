"""Owners: the files that machines name -> which of them are named by more than one.

A file is the same where it is the same to the file system (links and hard links lead to it); where there is none yet,
where its path is the same without regard to letter case, as on the volumes of a cluster.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from reconciler.errors import Refused
from reconciler.inventory.configuration import NO_FILES
from reconciler.model.cluster import VirtualMachine
from reconciler.model.names import fold
from reconciler.staging import LocalTarget


class Owners:
    """Who names which file, of the files under `target`."""

    def __init__(self, target: LocalTarget) -> None:
        self._target = target
        self._names: dict[object, set[str]] = defaultdict(set)

    def add(self, owner: str, paths: Iterable[str]) -> None:
        for path in paths:
            self._names[self._file(path)].add(owner)

    def of(self, path: str) -> frozenset[str]:
        return frozenset(self._names.get(self._file(path), ()))

    @property
    def shared(self) -> bool:
        """Whether any file has two owners."""
        return any(len(names) > 1 for names in self._names.values())

    def _file(self, path: str) -> object:
        """What tells the file at `path` from others."""
        try:
            place = self._target.resolve(path)
        except Refused:
            return path
        try:
            status = place.stat()
        except (OSError, ValueError):
            return fold(os.path.normpath(place))
        return status.st_dev, status.st_ino


def with_shared(
    target: LocalTarget, machines: dict[str, VirtualMachine], claims: Mapping[str, tuple[str, ...]]
) -> dict[str, VirtualMachine]:
    """The machines by id, with the names of the others that name a disk's file noted at the disk."""
    owners = Owners(target)
    for identity, paths in claims.items():
        owners.add(identity, paths)
    if not owners.shared:
        return machines
    seen = {}
    for identity, machine in machines.items():
        disks = []
        for disk in machine.disks:
            others = () if disk.kind in NO_FILES else owners.of(disk.path) - {identity}
            names = tuple(sorted(machines[other].name for other in others))
            disks.append(msgspec.structs.replace(disk, shared_with=names))
        seen[identity] = msgspec.structs.replace(machine, disks=tuple(disks))
    return seen
