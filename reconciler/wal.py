"""SQLite's write-ahead log: a database file and its log -> the database as a checkpoint would leave it.

For reading where SQLite cannot make its shared memory. The format: https://www.sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

_WAL = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_BIG_ENDIAN, _LITTLE_ENDIAN = 0x377F0683, 0x377F0682


def merged(image: bytes, log: bytes) -> bytes:
    """A database file and its write-ahead log -> the file as a checkpoint would leave it, in rollback mode, so that
    SQLite takes it as a database in memory. What the log has after its last whole commit does not count.
    """
    pages = bytearray(image)
    for number, content, size, page_size in _committed(log):
        offset = (number - 1) * page_size
        if len(pages) < offset + page_size:
            pages.extend(bytes(offset + page_size - len(pages)))
        pages[offset : offset + page_size] = content
        if size:
            del pages[size * page_size :]
    if len(pages) >= 20 and pages[18:20] == b"\x02\x02":
        pages[18:20] = b"\x01\x01"
    return bytes(pages)


def _committed(log: bytes) -> list[tuple[int, bytes, int, int]]:
    """(page number, content, size of the database after a commit or 0, page size) of each frame that counts."""
    if len(log) < _WAL.size:
        return []
    magic, _, page_size, _, *salts, first, second = _WAL.unpack_from(log)
    if magic not in (_BIG_ENDIAN, _LITTLE_ENDIAN) or not 512 <= page_size <= 65536:
        return []
    order = ">" if magic == _BIG_ENDIAN else "<"
    sums = _sums(order, log[: _WAL.size - 8], (0, 0))
    if sums != (first, second):
        return []
    frames: list[tuple[int, bytes, int, int]] = []
    counted = 0
    for offset in range(_WAL.size, len(log) - _FRAME.size - page_size + 1, _FRAME.size + page_size):
        number, size, *frame_salts, first, second = _FRAME.unpack_from(log, offset)
        content = log[offset + _FRAME.size : offset + _FRAME.size + page_size]
        sums = _sums(order, log[offset : offset + 8] + content, sums)
        if frame_salts != salts or sums != (first, second) or number == 0:
            break
        frames.append((number, content, size, page_size))
        if size:
            counted = len(frames)
    return frames[:counted]


def _sums(order: str, data: bytes, before: tuple[int, int]) -> tuple[int, int]:
    first, second = before
    words: Iterable[tuple[int, int]] = struct.iter_unpack(f"{order}II", data)
    for one, two in words:
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second
