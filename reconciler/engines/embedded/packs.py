"""Packs: many blocks in one write-once file of about 64 MiB, with a footer from which a catalog can be made anew.

Layout: magic, payloads one after the other, footer, trailer. The footer is a JSON line about the pack, then one
fixed record a block; the trailer gives its length and BLAKE3. docs/reference/store-format.md has every byte.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
from blake3 import blake3

from reconciler import encoded, files, system_calls
from reconciler.engines.embedded.blocks import BLOCK, HOLE, NAME, Encoding
from reconciler.errors import Damaged

MAGIC = b"RCLPACK1"
PACK_BYTES = 64 * 1024 * 1024
FORMAT = 2
_RECORD = struct.Struct(f">{NAME}sQIIB{NAME}s")
_TRAILER = struct.Struct(">Q32s8s")


class Block(NamedTuple):
    """Where a block lies: which pack, offset and length of its payload, its own length, how it is encoded."""

    pack: str
    offset: int
    length: int
    block_length: int
    encoding: int


def block_of(row: Iterable[Any]) -> Block | None:
    """The columns of a row of the catalog; None where they can be no block's. SQLite keeps a value of any kind in any
    column, so that one flipped bit makes a text, or a size beyond all measure, of a number."""
    pack, *numbers = row
    if not isinstance(pack, str) or not all(isinstance(each, int) for each in numbers):
        return None
    block = Block(pack, *numbers)
    fits = block.offset >= 0 and 0 <= block.length <= BLOCK and 0 < block.block_length <= BLOCK
    return block if fits else None


class PackHead(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a pack says of itself: format, its id, whose replica it belongs to, in which replica store and at which
    generation it was written ("" in format 1), and what a reader has to know beyond this format."""

    format: int
    pack: str
    source: str
    store: str = ""
    generation: int = 0
    needs: tuple[str, ...] = ()


#: Made here, by one thread: see `encoded.Reader`.
_HEAD = encoded.Reader(PackHead)


class Sealed(NamedTuple):
    """A finished pack: id, size in bytes, its blocks by name, and what it says of itself."""

    pack: str
    size: int
    blocks: dict[bytes, Block]
    head: PackHead


def pack_path(folder: Path, pack: str) -> Path:
    return folder / pack[:2] / f"{pack}.pack"


class PackWriter:
    """One pack being written under a temporary name; `seal` makes it durable, leaving without it removes it."""

    def __init__(self, folder: Path, source: str, store: str, generation: int) -> None:
        self.pack = os.urandom(16).hex()
        self._head = PackHead(FORMAT, self.pack, source, store, generation)
        self._folder = folder
        files.make_folder(folder)
        self._path = folder / f"{self.pack}.tmp"
        files.announce("write", self._path)
        descriptor = files.create(self._path)
        self._file = os.fdopen(descriptor, "wb", buffering=1024 * 1024)
        self._file.write(MAGIC)  # into the buffer: nothing can fail here
        self.size = len(MAGIC)
        self._blocks: dict[bytes, Block] = {}

    def add(self, name: bytes, encoding: Encoding, payload: bytes, block_length: int) -> Block:
        block = Block(self.pack, self.size, len(payload), block_length, encoding)
        self._file.write(payload)
        self.size += len(payload)
        self._blocks[name] = block
        return block

    def seal(self) -> Sealed:
        """Footer, fsync, rename, fsync of the folder: afterwards the pack is there for good."""
        head = msgspec.json.encode(self._head) + b"\n"
        records = b"".join(
            _RECORD.pack(name, block.offset, block.length, block.block_length, block.encoding, HOLE)
            for name, block in self._blocks.items()
        )
        footer = head + records
        self._file.write(footer)
        self._file.write(_TRAILER.pack(len(footer), blake3(footer).digest(), MAGIC))
        self.size += len(footer) + _TRAILER.size
        self._file.flush()
        files.fsync(self._file.fileno(), self._path)
        self._file.close()
        target = pack_path(self._folder, self.pack)
        files.make_folder(target.parent)
        files.rename(self._path, target)
        return Sealed(self.pack, self.size, self._blocks, self._head)

    def discard(self) -> None:
        """Removes what was written, if it was not sealed."""
        try:
            self._file.close()
        except OSError:
            pass  # what was not written yet does not fit: the file goes all the same
        finally:
            files.unlink(self._path)


def read_footer(path: Path) -> Sealed:
    """What a sealed pack holds, by its own account. Raises `Damaged`, RCL4005."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size < len(MAGIC) + _TRAILER.size:
                raise _damaged(path, "is too short")
            file.seek(size - _TRAILER.size)
            length, digest, magic = _TRAILER.unpack(file.read(_TRAILER.size))
            if magic != MAGIC or length > size - _TRAILER.size - len(MAGIC):
                raise _damaged(path, "does not end as a pack does")
            file.seek(size - _TRAILER.size - length)
            footer = file.read(length)
    except OSError as error:
        raise _damaged(path, f"cannot be read: {error.strerror}") from error
    if blake3(footer).digest() != digest:
        raise _damaged(path, "has a damaged footer")
    head_line, _, records = footer.partition(b"\n")
    try:
        head = _HEAD.decode(head_line)
        whole = len(records) % _RECORD.size == 0
    except encoded.Wrong:
        whole = False
    if not whole:
        raise _damaged(path, "has a footer that cannot be read")
    if head.format > FORMAT or head.needs:
        what = f"format {head.format}" if head.format > FORMAT else ", ".join(head.needs)
        raise _damaged(path, f"has {what}, which this version does not know")
    blocks = {
        name: Block(head.pack, offset, length, block_length, encoding)
        for name, offset, length, block_length, encoding, _ in _RECORD.iter_unpack(records)
    }
    return Sealed(head.pack, size, blocks, head)


class PackReader:
    """Payloads out of the packs of one replica store. Keeps few files open; used by one thread at a time."""

    _MOST_OPEN = 16

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, int] = {}

    def payload(self, block: Block) -> bytes:
        """The stored bytes of a block. Raises `Damaged`, RCL4005, where the pack is missing or too short."""
        try:
            descriptor = self._open.get(block.pack)
            if descriptor is None:
                descriptor = self._opened(block.pack)
            data = system_calls.read_at(descriptor, block.length, block.offset)
        except OSError as error:
            raise _damaged(pack_path(self._folder, block.pack), f"cannot be read: {error.strerror}") from error
        if len(data) != block.length:
            raise _damaged(pack_path(self._folder, block.pack), "is cut")
        return data

    def _opened(self, pack: str) -> int:
        if len(self._open) >= self._MOST_OPEN:
            os.close(self._open.pop(next(iter(self._open))))
        self._open[pack] = system_calls.open_file(pack_path(self._folder, pack), os.O_RDONLY)
        return self._open[pack]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._open:
            os.close(self._open.popitem()[1])


def sealed_packs(folder: Path) -> Iterator[Path]:
    """Every pack file of a replica store, in order of their ids."""
    yield from sorted(folder.glob("??/*.pack"))


def abandoned(folder: Path) -> Iterator[Path]:
    """What writers left that never sealed."""
    yield from sorted(folder.glob("*.tmp"))


def _damaged(path: Path, what: str) -> Damaged:
    return Damaged(
        "RCL4005",
        f"the pack {path.name} {what}",
        "Run `reconciler check` for the virtual machine: what the source still holds is stored again.",
        subject=str(path),
    )
