"""Plain tar: an open file -> its members one after another, each a plain file with a short name, or `NotPlain`.

Nothing else that tar can hold is read: no link, device, sparse file, extended header or compression. Python's reader
takes them all, believes their sizes before it has seen them, and follows a chain of headers into each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO, NamedTuple

BLOCK = 512
#: Tar files end with two empty blocks, and are filled up to a multiple of this with more of them.
_RECORD = 20 * BLOCK
_CHUNK = 1024 * 1024
_PLAIN = (b"0", b"\0")


class NotPlain(Exception):
    """It is no tar of plain files; the text says why."""


class Member(NamedTuple):
    """A file in the tar: its name, its size in bytes."""

    name: str
    size: int


class PlainTar:
    """Reads from the beginning of `file` to its end, once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = os.fstat(file.fileno()).st_size
        self._member = 0
        self._filling = 0

    def next(self) -> Member:
        """The next file, after the one that was read whole."""
        assert self._member == 0
        self._take(self._filling)
        member = _member(self._take(BLOCK))
        self._member, self._filling = member.size, -member.size % BLOCK
        if member.size + self._filling > self._left:
            raise NotPlain(f"{member.name} should hold {member.size} bytes, and it ends before that")
        return member

    def chunks(self) -> Iterator[bytes]:
        """The content of the file that `next` told of."""
        while self._member:
            data = self._take(min(self._member, _CHUNK))
            self._member -= len(data)
            yield data

    def ended(self) -> bool:
        """Whether nothing but filling follows."""
        self._take(self._filling)
        self._filling = 0
        return 2 * BLOCK <= self._left < 2 * BLOCK + _RECORD and not self._take(self._left).strip(b"\0")

    def _take(self, size: int) -> bytes:
        data = self._file.read(size) if size <= self._left else b""
        if len(data) != size:
            raise NotPlain("it ends in the middle of a file")
        self._left -= size
        return data


def _member(header: bytes) -> Member:
    fields = header[:148] + b" " * 8 + header[156:]
    if _number(header[148:156]) != sum(fields):
        raise NotPlain("it is not a tar file, or a part of it was changed")
    name = header[:100].rstrip(b"\0")
    if not name.isascii() or not name.decode("ascii", "replace").isprintable() or header[345:500].strip(b"\0"):
        raise NotPlain("it holds a file with a name that no backup has")
    if header[156:157] not in _PLAIN:
        raise NotPlain(f"{name.decode()} is not a plain file in it")
    return Member(name.decode(), _number(header[124:136]))


def _number(field: bytes) -> int:
    """Octal digits, or, where the first bit says so, the bytes of the number."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise NotPlain("it is not a tar file, or a part of it was changed")
    return int(digits, 8)
