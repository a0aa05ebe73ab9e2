"""Scanning: the files of a machine, what its replica holds -> a new map, with changed blocks sealed into packs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from reconciler.engines.embedded.blocks import BLOCK, HOLE, NAME, Encoding, encode, name_of
from reconciler.engines.embedded.maps import FileMap, MachineMap, blocks_in, differing
from reconciler.engines.embedded.packs import PACK_BYTES, Block, PackWriter, Sealed
from reconciler.engines.embedded.replica import ReplicaStore
from reconciler.errors import TemporaryError
from reconciler.model import VirtualMachine
from reconciler.protocols import DiskReader, Disks

#: How much is read at once: whole blocks.
READ_BYTES = 4 * 1024 * 1024

#: How many encoded blocks may wait to be written; bounds the memory of a job.
_QUEUE = 64

#: How many blocks of two maps are compared at once.
_AT_ONCE = 1024

Report = Callable[[int, int], None]


class Changed(Exception):
    """The source was written to while it was read."""


class Room:
    """How much more a volume may take. Asked before each pack and told of each that was sealed."""

    def __init__(self, check: Callable[[int], None], sealed: Callable[[int], None]) -> None:
        self.check = check
        self.sealed = sealed


class _Source(msgspec.Struct, frozen=True):
    """A file that is being read: how it was when it was opened, which of its blocks were looked at, and what the map
    before has of it."""

    path: str
    config: bool
    reader: DiskReader
    generation: str
    looked: bytearray
    before: FileMap | None

    def before_at(self, index: int) -> bytes:
        """The name of a block in the map before."""
        return self.before.name_at(index) if self.before is not None and index < self.before.blocks else HOLE


class Scanned(msgspec.Struct, frozen=True):
    """What a scan gave: the map, the sealed packs, and the figures of the job."""

    machine: MachineMap
    sealed: tuple[Sealed, ...]
    read_bytes: int
    stored_bytes: int
    blocks_changed: int
    stored_names: frozenset[bytes]


class Scanner:
    """One scan of one machine into one replica store."""

    def __init__(self, store: ReplicaStore, disks: Disks, pool: ThreadPoolExecutor, room: Room) -> None:
        self._store = store
        self._disks = disks
        self._pool = pool
        self._room = room
        self._writer: PackWriter | None = None
        self._sealed: list[Sealed] = []
        self._new: set[bytes] = set()
        self._trusted = not store.bad_blocks()
        self._waiting: deque[tuple[bytes, int, Future[tuple[Encoding, bytes]]]] = deque()
        self._read = 0
        self._stored = 0
        self._changed = 0

    def scan(self, machine: VirtualMachine, before: MachineMap | None, report: Report, *, twice: bool) -> Scanned:
        """Reads every file; stores the blocks that the store does not have. With `twice`, what is new since `before`
        is read once more at the end, since sizes and times do not tell of a writer through mapped memory. Raises
        `Changed` when a file was written to meanwhile; what was sealed till then stays and is used by the next scan."""
        old = before.by_path() if before else {}
        paths = [(disk.path, False) for disk in machine.disks] + [(machine.config, True)]
        try:
            maps = self._files(paths, old, report, twice=twice)
            self._drain(0)
            self._seal()
        except BaseException:
            self._abandon()
            raise
        return Scanned(
            MachineMap(tuple(maps)),
            tuple(self._sealed),
            self._read,
            self._stored,
            self._changed,
            frozenset(self._new),
        )

    def _files(
        self, paths: list[tuple[str, bool]], old: dict[str, FileMap], report: Report, *, twice: bool
    ) -> list[FileMap]:
        sources: list[_Source] = []
        try:
            for path, config in paths:
                reader = self._disks.open(path)
                looked = bytearray(blocks_in(reader.size))
                sources.append(_Source(path, config, reader, reader.generation(), looked, old.get(path)))
            total = sum(length for source in sources for _, length in source.reader.extents())
            maps = [self._file(source, lambda done: report(done, total)) for source in sources]
            if twice:
                for source, found in zip(sources, maps, strict=True):
                    self._look_again(source, found, lambda: report(self._read, total))
            if any(source.reader.generation() != source.generation for source in sources):
                raise Changed
        finally:
            for source in sources:
                source.reader.__exit__(None, None, None)
        return maps

    def _file(self, source: _Source, report: Callable[[int], None]) -> FileMap:
        facts, reader, before = self._disks.facts(source.path), source.reader, source.before
        names = bytearray(blocks_in(reader.size) * NAME)
        for offset, length in runs(reader.extents(), reader.size):
            data = memoryview(reader.read(offset, length))
            if len(data) != length:
                raise Changed
            for start in range(0, length, BLOCK):
                index = (offset + start) // BLOCK
                source.looked[index] = 1
                self._block(data[start : start + BLOCK], index, names, before)
            self._read += length
            report(self._read)
        if before is not None:
            self._changed += _holes_punched(names, before)
        return FileMap(source.path, source.config, reader.size, facts.mode, facts.mtime_ns, bytes(names))

    def _look_again(self, source: _Source, found: FileMap, report: Callable[[], None]) -> None:
        """Raises `Changed` where a block that is new, or was a hole that was not looked into and is none any more,
        does not read as it was found a moment ago."""
        for first, count in _to_look_at_again(source, found):
            data = memoryview(source.reader.read(first * BLOCK, count * BLOCK))
            for place in range(count):
                if name_of(data[place * BLOCK : (place + 1) * BLOCK]) != found.name_at(first + place):
                    raise Changed
            report()

    def _block(self, data: memoryview, index: int, names: bytearray, before: FileMap | None) -> None:
        name = name_of(data)
        names[index * NAME : (index + 1) * NAME] = name
        if name == HOLE:
            return
        same = before is not None and before.name_at(index) == name
        self._changed += not same
        if same and self._trusted:
            return
        if name in self._new or self._store.block(name) is not None:
            return
        self._new.add(name)
        self._drain(_QUEUE - 1)
        self._waiting.append((name, len(data), self._pool.submit(encode, data)))

    # --- Writing -----------------------------------------------------------------------------------------

    def _drain(self, down_to: int) -> None:
        """Writes encoded blocks, in their order, until so many are left waiting."""
        while len(self._waiting) > down_to:
            name, length, future = self._waiting.popleft()
            encoding, payload = future.result()
            if self._writer is None:
                self._room.check(0)
                self._writer = self._store.new_pack()
            self._room.check(self._writer.size + len(payload))
            block: Block = self._writer.add(name, encoding, payload, length)
            self._stored += block.length
            if self._writer.size >= PACK_BYTES:
                self._seal()

    def _seal(self) -> None:
        if self._writer is None:
            return
        sealed = self._writer.seal()
        self._writer = None
        self._room.sealed(sealed.size)
        self._sealed.append(sealed)
        if len(self._sealed) > 1:
            self._store.add_packs(self._sealed[:-1])
            del self._sealed[:-1]

    def _abandon(self) -> None:
        for _, _, future in self._waiting:
            future.cancel()
        if self._writer is not None:
            self._writer.discard()
            self._writer = None


def runs(extents: Iterator[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of reads that cover the extents in whole blocks, ascending, never twice."""
    done = 0
    for offset, length in extents:
        start = max(done, offset // BLOCK * BLOCK)
        end = min(-(-(offset + length) // BLOCK) * BLOCK, size)
        while start < end:
            step = min(READ_BYTES, end - start)
            yield start, step
            start += step
        done = max(done, end)


def _to_look_at_again(source: _Source, found: FileMap) -> Iterator[tuple[int, int]]:
    """(first block, how many) of neighbours; never more than is read at once."""
    first, count = 0, 0
    for index in _again(source, found):
        if count and (index != first + count or count * BLOCK >= READ_BYTES):
            yield first, count
            count = 0
        first, count = index - count, count + 1
    if count:
        yield first, count


def _again(source: _Source, found: FileMap) -> Iterator[int]:
    """The blocks that are new since the map before, and those that were passed as holes and are filled by now. Long
    parts of the map that are as before are compared at once."""
    filled = set(_filled_since(source, found.size))
    known = source.before.names if source.before is not None else b""
    for first in range(0, found.blocks, _AT_ONCE):
        end = min(first + _AT_ONCE, found.blocks)
        then = known[first * NAME : end * NAME].ljust((end - first) * NAME, b"\0")
        same = found.names[first * NAME : end * NAME] == then
        if not same or not filled.isdisjoint(range(first, end)):
            for index in range(first, end):
                if index in filled or found.name_at(index) != source.before_at(index):
                    yield index


def _filled_since(source: _Source, size: int) -> Iterator[int]:
    for offset, length in runs(source.reader.extents(), size):
        index, end = offset // BLOCK, blocks_in(offset + length)
        while (index := source.looked.find(b"\0", index, end)) >= 0:
            yield index
            index += 1


def _holes_punched(names: bytearray, before: FileMap) -> int:
    """How many blocks held data before and are holes now."""
    common = min(len(names), len(before.names))
    changed = differing(before.names[:common], bytes(names[:common]))
    return sum(names[index * NAME : (index + 1) * NAME] == HOLE for index in changed)


def changed_under_the_read(machine: VirtualMachine) -> TemporaryError:
    """What a job fails with when the source did not hold still, twice."""
    return TemporaryError(
        "RCL2110",
        f"a disk of {machine.name!r} changed while it was read, twice; nothing of it was taken as a point",
        "Something writes to the disk outside the backup: see what holds it open. The job is tried again.",
        subject=machine.name,
    )
