"""Reading an image's own structures: an open file -> bytes that are there, or why the file cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

#: Tables are read in parts of so many bytes: a hostile one takes no more memory than that.
_PART = 1024 * 1024


class NotReadable(Exception):
    """The file is not what it says it is; the text goes on from «a disk that is ...»."""


def read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    """What stands there; less where the file ends."""
    file.seek(offset)
    return file.read(length)


def parts_of(file: BinaryIO, offset: int, length: int) -> Iterator[tuple[int, bytes]]:
    """(place in the table, its next bytes) of a table that lies inside the file."""
    for start in range(0, length, _PART):
        yield start, read_at(file, offset + start, min(_PART, length - start))


class Taken:
    """Which parts of a file are taken, in slots of `slot` bytes; nothing may be taken twice."""

    def __init__(self, file_bytes: int, slot: int) -> None:
        self._slot = slot
        self._taken = bytearray(-(-file_bytes // slot))

    def take(self, offset: int, length: int) -> bool:
        """Takes a part that begins and ends inside the file; whether nobody had any of it."""
        first, last = offset // self._slot, -(-(offset + length) // self._slot)
        if any(self._taken[first:last]):
            return False
        self._taken[first:last] = b"\1" * (last - first)
        return True
