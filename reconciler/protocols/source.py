"""The source side: what is asked of a clock, a cluster, and the files of its machines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

import msgspec

from reconciler.model import (
    ClusterSnapshot,
    FileState,
    VirtualMachine,
)

#: What `Disks` refuses with where its cluster has no such virtual machine, or none that can be read.
NOT_THERE = "RCL2010"


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
    """A file beside its target, being written or looked at. Closed, durable, on exit without an error."""

    size: int

    def extents(self) -> Iterator[tuple[int, int]]:
        """(offset, length) of every part that may hold data, ascending; the rest is zeros."""
        ...

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


class Which(StrEnum):
    """The three names that a file has while it is recovered: its own, the one of what is to replace it, and the one
    of what it was."""

    PLACE = "place"
    STAGED = "staged"
    ORIGINAL = "original"


class Room(msgspec.Struct, frozen=True):
    """What a file system has left, in bytes; `file_system` tells it from others, `folder` is the one asked about."""

    file_system: int
    folder: str
    free_bytes: int


class Target(Protocol):
    """Somewhere files are put, whole and atomically: staged beside the target, then renamed over it, while what stood
    there keeps a second name for as long as it may be wanted back.

    `token` tells the files of one job from another's; all calls are idempotent, so that an interrupted cut-over can be
    rolled forward. Paths are the target's own. What stands at a path and is no regular file is refused, RCL7015.
    """

    def stage(self, path: str, token: str, size: int) -> StagedFile:
        """Opens the staged file for `path`, new and `size` bytes long, making folders as needed."""
        ...

    def reopen(self, path: str, which: Which, token: str) -> StagedFile:
        """Opens one of the files for reading. Raises OSError where that cannot be."""
        ...

    def state(self, path: str, which: Which = Which.PLACE, token: str = "") -> FileState | None:
        """What stands under the name, without its digest; None for nothing."""
        ...

    def keep(self, path: str, token: str) -> None:
        """Gives what stands at `path` its second name, ``NAME.original-TOKEN``."""
        ...

    def put(self, path: str, token: str, mode: int, mtime_ns: int, *, replace: bool) -> None:
        """Gives the staged file its mode and time and renames it to `path`; without a staged file, nothing. Without
        `replace` a file that has come to be there is refused, RCL7015."""
        ...

    def give_back(self, path: str, token: str) -> None:
        """Renames what has the second name back over `path`; without one, nothing."""
        ...

    def discard(self, path: str, which: Which, token: str) -> None:
        """Removes the staged file, or the second name, if it is there."""
        ...

    def beside(self, path: str) -> tuple[tuple[str, str], ...]:
        """Every staged file and second name of `path` that is there, whichever job made it: its own path, its token."""
        ...

    def exists(self, path: str) -> bool: ...

    def remove(self, path: str) -> None:
        """Removes a file if it is there."""
        ...

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

    def make_known(self, machine: str, config: str, name: str, node: str) -> None:
        """Makes a machine known to the cluster that it knows no longer: highly available under the name `name`, off, on
        `node` where there is such a node, else on another, with its configuration at `config`. Doing it twice equals
        doing it once."""
        ...

    def make_unknown(self, machine: str) -> None:
        """Takes back what `make_known` did."""
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
