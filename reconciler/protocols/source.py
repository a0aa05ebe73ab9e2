"""The source side: what is asked of a clock, a cluster, and the files of its machines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

import msgspec

from reconciler.model import (
    ClusterSnapshot,
    VirtualMachine,
)


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """This moment, aware, UTC."""
        ...


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


class Room(msgspec.Struct, frozen=True):
    """What a file system has left, in bytes; `file_system` tells it from others, `folder` is the one asked about."""

    file_system: int
    folder: str
    free_bytes: int


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

    def check(self, path: str) -> None:
        """Raises `Refused`: RCL2012 where `path` leads out of the target, RCL7015 where what stands there is no regular
        file and can therefore not be replaced."""
        ...

    def room(self, path: str) -> Room:
        """The room of the file system that holds, or would hold, `path`."""
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

    def configured(self, config: bytes, path: str) -> dict[str, str]:
        """The disks that a configuration with the content `config` would name if it lay at `path`: the id that it
        states for each path, "" for none. Raises `Refused`, RCL7016, where it does not read."""
        ...

    def relocated(self, config: bytes, before: str, after: str, places: Mapping[str, str]) -> bytes:
        """The content of a configuration that lay at `before` and goes to `after`, naming its disks where they lie by
        then: `places` maps a path of before to the path after. The same bytes where nothing changes."""
        ...

    def other_owners(self, machine: str, paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Those of `paths` that another machine than `machine` names as one of its files, with the names of these
        machines. The file itself is compared where there is one (links lead to it), else the path without regard to
        letter case."""
        ...

    def remove(self, path: str) -> None:
        """Removes a file if it is there."""
        ...
