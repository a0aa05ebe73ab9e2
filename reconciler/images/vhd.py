"""VHD: the footer, header and block table of a file -> its facts [Virtual Hard Disk Image Format Specification].

A disk of a dynamic kind has its footer twice: at the end, and a copy at the start, which counts where the checksum
of the one at the end is wrong. A footer that is not there at all says that the file was cut.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

import msgspec

from reconciler.images.reading import NotReadable, parts_of, read_at

FOOTER = 512
_COOKIE = b"conectix"
_FIXED, _DYNAMIC, _DIFFERENCING = 2, 3, 4
_HEADER = 1024
_UNUSED = 0xFFFFFFFF

#: The specification's limit of a disk: 2040 GiB.
_LARGEST_DISK = 2040 * 1024**3

#: As many as the largest disk has in blocks of 512 KiB, the smallest that anything writes.
_MOST_ENTRIES = 2**22


class VhdFacts(msgspec.Struct, frozen=True):
    """What a VHD says of itself."""

    virtual_bytes: int
    dynamic: bool
    differencing: bool


def read_vhd(file: BinaryIO, size: int) -> VhdFacts | None:
    """None where it is none: no footer anywhere. Raises `NotReadable` where it is cut or damaged."""
    end = read_at(file, size - FOOTER, FOOTER) if size >= FOOTER else b""
    start = read_at(file, 0, FOOTER)
    if end[:8] != _COOKIE:
        if start[:8] == _COOKIE:
            raise NotReadable("truncated: the footer at the end of the VHD is missing")
        return None
    footer = next((each for each in (end, start) if _is_whole(each)), None)
    if footer is None or (footer is start and _kind(start) == _FIXED):
        raise NotReadable("damaged: the checksum of the VHD footer is wrong")
    if _is_whole(start) and _kind(end) != _FIXED and _essence(start) != _essence(footer):
        raise NotReadable("damaged: the footer of the VHD and its copy contradict each other")
    (virtual,) = struct.unpack_from(">Q", footer, 48)
    kind = _kind(footer)
    if kind not in (_FIXED, _DYNAMIC, _DIFFERENCING):
        raise NotReadable(f"of a VHD type, {kind}, that is not known")
    if not 0 < virtual <= _LARGEST_DISK:
        raise NotReadable("damaged: the VHD has an impossible size")
    if kind == _FIXED and virtual + FOOTER > size:
        raise NotReadable("truncated: the VHD is shorter than its own size")
    if kind != _FIXED:
        (offset,) = struct.unpack_from(">Q", footer, 16)
        _check_blocks(file, offset, virtual, size)
    return VhdFacts(virtual, kind != _FIXED, kind == _DIFFERENCING)


def _is_whole(footer: bytes) -> bool:
    return len(footer) == FOOTER and footer[:8] == _COOKIE and _sum_fits(footer, 64)


def _sum_fits(data: bytes, place: int) -> bool:
    """Whether the checksum, the complement of the sum of all other bytes, is right."""
    (checksum,) = struct.unpack_from(">I", data, place)
    return bool(~sum(data[:place] + data[place + 4 :]) & 0xFFFFFFFF == checksum)


def _kind(footer: bytes) -> int:
    return int.from_bytes(footer[60:64], "big")


def _essence(footer: bytes) -> tuple[bytes, bytes, bytes]:
    """What may not differ between a footer and its copy: where the header is, the size, the kind."""
    return footer[16:24], footer[48:56], footer[60:64]


def _check_blocks(file: BinaryIO, offset: int, virtual: int, size: int) -> None:
    """The table covers the disk, and every block that it names lies inside the file, on nothing else."""
    header = read_at(file, offset, _HEADER) if offset + _HEADER <= size else b""
    if len(header) < _HEADER or header[:8] != b"cxsparse":
        raise NotReadable("damaged: the header of the dynamic VHD is missing")
    if not _sum_fits(header, 36):
        raise NotReadable("damaged: the checksum of the dynamic VHD's header is wrong")
    table, _, entries, block = struct.unpack_from(">QIII", header, 16)
    if not 512 <= block <= 1 << 30 or block & (block - 1):
        raise NotReadable("damaged: the blocks of the dynamic VHD have an impossible size")
    wanted = -(-virtual // block)
    if entries < wanted or wanted > _MOST_ENTRIES:
        raise NotReadable("damaged: the block table of the dynamic VHD does not cover the disk")
    if table + 4 * wanted > size - FOOTER:
        raise NotReadable("damaged: the block table of the dynamic VHD lies outside the file")
    length = -(-(block // 512 // 8) // 512) * 512 + block
    starts = sorted(512 * entry for entry in _entries(file, table, wanted) if entry != _UNUSED)
    if starts and starts[-1] + length > size - FOOTER:
        raise NotReadable("truncated: blocks of the dynamic VHD lie beyond the end of the file")
    taken = [(0, FOOTER), (offset, _HEADER), (table, 4 * wanted)]
    if any(after - before < length for before, after in pairwise(starts)) or any(
        _reaches(starts, length, *each) for each in taken
    ):
        raise NotReadable("damaged: two parts of the dynamic VHD lie on each other")


def _entries(file: BinaryIO, table: int, count: int) -> Iterator[int]:
    for _, part in parts_of(file, table, 4 * count):
        yield from (entry for (entry,) in struct.iter_unpack(">I", part))


def _reaches(starts: list[int], length: int, offset: int, taken: int) -> bool:
    """Whether one of the blocks, so long each, lies on the part that is taken."""
    return bisect_left(starts, offset + taken) > bisect_right(starts, offset - length)
