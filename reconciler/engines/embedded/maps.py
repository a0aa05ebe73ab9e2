"""Maps: which blocks make up each file of a machine at one moment -> bytes, whole or as a difference, and back.

A whole map costs 32 bytes for each 128 KiB; most synchronizations change few blocks, so they are written as a
difference from the map before. A chain is cut by a whole map at every express full and after `LONGEST_CHAIN`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec
import zstandard
from blake3 import blake3

from reconciler import encoded
from reconciler.engines.embedded.blocks import BLOCK, HOLE, NAME
from reconciler.errors import Damaged

LONGEST_CHAIN = 32
_FILE = "reconciler store 2: the content of one file of a recovery point"
_MANY = 4096
_HOLES = HOLE * _MANY
_INDEX = struct.Struct(f">I{NAME}s")


class FileMap(msgspec.Struct, frozen=True, rename="camel"):
    """One file: where it was, its bits and time, its length, and the names of its blocks one after the other."""

    path: str
    config: bool
    size: int
    mode: int
    mtime_ns: int
    names: bytes

    @property
    def blocks(self) -> int:
        return len(self.names) // NAME

    @property
    def digest(self) -> bytes:
        """What the file is: see `file_digest`."""
        return file_digest(self.size, self.names)

    def name_at(self, index: int) -> bytes:
        return self.names[index * NAME : (index + 1) * NAME]

    def length_at(self, index: int) -> int:
        """Length of the block in bytes; only the last one may be shorter."""
        return min(BLOCK, self.size - index * BLOCK)

    def stored(self) -> Iterator[tuple[int, bytes]]:
        """(index, name) of every block that is not a hole."""
        for index in differing(self.names, b""):
            yield index, self.name_at(index)

    @property
    def file_name(self) -> str:
        return self.path.replace("\\", "/").rpartition("/")[2]


class MachineMap(msgspec.Struct, frozen=True):
    """Every file of a machine, disks first, configuration last."""

    files: tuple[FileMap, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def by_path(self) -> dict[str, FileMap]:
        return {file.path: file for file in self.files}

    def names(self) -> set[bytes]:
        """Every block that is needed to read it."""
        return {name for file in self.files for _, name in file.stored()}


class _Difference(msgspec.Struct, frozen=True, rename="camel"):
    """A file as a difference: `changes` are records of block index and name over the file of the map before."""

    path: str
    config: bool
    size: int
    mode: int
    mtime_ns: int
    changes: bytes


class _Written(msgspec.Struct, frozen=True, rename="camel"):
    whole: tuple[FileMap, ...]
    differences: tuple[_Difference, ...] = ()
    order: tuple[str, ...] = ()


#: Made here, by one thread: see `encoded.Reader`.
_DECODER = encoded.PackedReader(_Written)


def file_digest(size: int, names: bytes | bytearray) -> bytes:
    """The digest of a file: BLAKE3 over its length in bytes and the names of its blocks in order, holes among them."""
    return blake3(size.to_bytes(8, "big"), derive_key_context=_FILE).update(names).digest()


def differing(names: bytes | bytearray, before: bytes) -> Iterator[int]:
    """The indexes of the blocks whose name differs from that in `before`, which is all holes from its end on. What is
    the same by the thousand is passed over at the speed of comparing bytes: a terabyte has 8 million names."""
    many = _MANY * NAME
    for start in range(0, len(names), many):
        part, was = names[start : start + many], before[start : start + many]
        was += _HOLES[: len(part) - len(was)]
        if part == was:
            continue
        for place in range(0, len(part), NAME):
            if part[place : place + NAME] != was[place : place + NAME]:
                yield (start + place) // NAME


def blocks_in(size: int) -> int:
    """How many blocks a file of so many bytes has."""
    return -(-size // BLOCK)


def encode_whole(machine: MachineMap) -> bytes:
    """The map by itself."""
    return _pack(_Written(machine.files, order=tuple(file.path for file in machine.files)))


def encode_difference(machine: MachineMap, before: MachineMap) -> bytes:
    """The map as what changed since `before`."""
    old = before.by_path()
    whole, differences = [], []
    for file in machine.files:
        base = old.get(file.path)
        if base is None or base.size != file.size:
            whole.append(file)
            continue
        changes = b"".join(_INDEX.pack(index, file.name_at(index)) for index in differing(file.names, base.names))
        differences.append(_Difference(file.path, file.config, file.size, file.mode, file.mtime_ns, changes))
    return _pack(_Written(tuple(whole), tuple(differences), tuple(file.path for file in machine.files)))


def decode(body: bytes, before: MachineMap | None) -> MachineMap:
    """The map again; `before` is what a difference stands on. Raises `Damaged`, RCL4006."""
    try:
        written = _DECODER.decode(zstandard.ZstdDecompressor().decompress(body))
        old = before.by_path() if before else {}
        found = {file.path: file for file in written.whole}
        for difference in written.differences:
            names = bytearray(old[difference.path].names)
            for index, name in _INDEX.iter_unpack(difference.changes):
                names[index * NAME : (index + 1) * NAME] = name
            found[difference.path] = FileMap(
                difference.path,
                difference.config,
                difference.size,
                difference.mode,
                difference.mtime_ns,
                bytes(names),
            )
        return MachineMap(tuple(found[path] for path in written.order))
    except (zstandard.ZstdError, encoded.Wrong, struct.error, KeyError, ValueError) as error:
        raise Damaged(
            "RCL4006",
            f"the map of a recovery point does not read back: {error}",
            "Run `reconciler store check`; a copy of each map lies in the replica store's points folder.",
        ) from error


def _pack(written: _Written) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(msgspec.msgpack.encode(written))
