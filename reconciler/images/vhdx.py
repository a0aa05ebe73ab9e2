"""VHDX: the headers, regions, metadata and block table of a file -> its facts [MS-VHDX 2.2 to 2.6].

Headers and region tables are there twice, each with a checksum: the newer valid header counts, and the first valid
region table. Metadata and block table are there once and have none: what in them contradicts itself, the file or
the other structures is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import BinaryIO
from uuid import UUID

import msgspec

from reconciler.images.crc32c import crc32c
from reconciler.images.reading import NotReadable, Taken, parts_of, read_at

_KIB, _MIB = 1024, 1024 * 1024
_HEADERS = (64 * _KIB, 128 * _KIB)
_REGION_TABLES = (192 * _KIB, 256 * _KIB)
_MOST_ENTRIES = 2047
_BAT = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08").bytes_le
_METADATA = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_FILE_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
_VIRTUAL_DISK_SIZE = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
_LOGICAL_SECTOR_SIZE = UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f").bytes_le
_PHYSICAL_SECTOR_SIZE = UUID("cda348c7-445d-4471-9cc9-e9885251c556").bytes_le
_DISK_ID = UUID("beca12ab-b2e6-4523-93ef-c309e000c746").bytes_le
_PARENT_LOCATOR = UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le
_KNOWN_ITEMS = {
    _FILE_PARAMETERS,
    _VIRTUAL_DISK_SIZE,
    _LOGICAL_SECTOR_SIZE,
    _PHYSICAL_SECTOR_SIZE,
    _DISK_ID,
    _PARENT_LOCATOR,
}
_OF_USER, _ITEM_REQUIRED, _REGION_REQUIRED = 1, 4, 1

#: The specification's limit of a disk; no file of one is twice as long.
_LARGEST_DISK = 64 * 1024**4

_ABSENT, _PRESENT, _PARTLY = (0, 1, 2, 3), 6, 7


class VhdxFacts(msgspec.Struct, frozen=True):
    """What a VHDX says of itself."""

    virtual_bytes: int
    dynamic: bool
    has_parent: bool
    log_pending: bool
    sequence: int


class _Header(msgspec.Struct, frozen=True):
    sequence: int
    log_guid: bytes
    log_version: int
    log_length: int
    log_offset: int


class _Geometry(msgspec.Struct, frozen=True):
    """Block size, sector size, virtual size and file length, in bytes; and the flags of the file parameters."""

    block: int
    sector: int
    virtual: int
    file: int
    flags: int

    @property
    def has_parent(self) -> bool:
        return bool(self.flags & 2)

    @property
    def ratio(self) -> int:
        """How many entries of payload stand before each entry of a sector bitmap."""
        return (2**23 * self.sector) // self.block

    @property
    def entries(self) -> int:
        """How many entries the block table has."""
        payload = -(-self.virtual // self.block)
        bitmaps = -(-payload // self.ratio)
        return bitmaps * (self.ratio + 1) if self.has_parent else payload + max(0, payload - 1) // self.ratio


def read_vhdx(file: BinaryIO, size: int) -> VhdxFacts:
    """Raises `NotReadable` where the file is cut, damaged, or no VHDX."""
    if read_at(file, 0, 8) != b"vhdxfile":
        raise NotReadable("not a VHDX: it does not begin as one")
    if size > 2 * _LARGEST_DISK:
        raise NotReadable("damaged: the VHDX is longer than any can be")
    header = current_header(file)
    taken = Taken(size, _MIB)
    taken.take(0, min(_MIB, size))
    regions = _regions(file, size, taken)
    _check_log(header, size, taken)
    geometry = _metadata(file, *regions[_METADATA], size)
    _check_blocks(file, regions[_BAT], geometry, taken)
    return VhdxFacts(
        virtual_bytes=geometry.virtual,
        dynamic=not geometry.flags & 1,
        has_parent=geometry.has_parent,
        log_pending=header.log_guid != bytes(16),
        sequence=header.sequence,
    )


def current_header(file: BinaryIO) -> _Header:
    """The valid header with the higher sequence number."""
    found = []
    for offset in _HEADERS:
        data = read_at(file, offset, 4 * _KIB)
        if len(data) == 4 * _KIB and _whole(data, b"head") and data[66:68] == b"\1\0":
            (sequence,) = struct.unpack_from("<Q", data, 8)
            log_version, _, length, start = struct.unpack_from("<HHIQ", data, 64)
            found.append(_Header(sequence, data[48:64], log_version, length, start))
    if not found:
        raise NotReadable("damaged: neither header of the VHDX is valid")
    if len(found) == 2 and found[0].sequence == found[1].sequence and found[0] != found[1]:
        raise NotReadable("damaged: the two headers of the VHDX contradict each other")
    return max(found, key=lambda header: header.sequence)


def _whole(data: bytes, signature: bytes) -> bool:
    """Whether a structure has its signature and its checksum."""
    (checksum,) = struct.unpack_from("<I", data, 4)
    return data[:4] == signature and crc32c(data[:4] + bytes(4) + data[8:]) == checksum


def _regions(file: BinaryIO, size: int, taken: Taken) -> dict[bytes, tuple[int, int]]:
    """(offset, length) of each region, by the first valid table."""
    for table in _REGION_TABLES:
        data = read_at(file, table, 64 * _KIB)
        if len(data) == 64 * _KIB and _whole(data, b"regi"):
            return _regions_of(data, size, taken)
    raise NotReadable("damaged: neither region table of the VHDX is valid")


def _regions_of(data: bytes, size: int, taken: Taken) -> dict[bytes, tuple[int, int]]:
    (count,) = struct.unpack_from("<I", data, 8)
    if count > _MOST_ENTRIES:
        raise NotReadable("damaged: the region table of the VHDX has too many entries")
    regions: dict[bytes, tuple[int, int]] = {}
    for place in range(count):
        guid, offset, length, flags = struct.unpack_from("<16sQII", data, 16 + 32 * place)
        if offset + length > size:
            raise NotReadable("truncated: a region of the VHDX lies beyond the end of the file")
        if offset < _MIB or offset % _MIB or length % _MIB or not length:
            raise NotReadable("damaged: a region of the VHDX lies where none can")
        if guid in regions or not taken.take(offset, length):
            raise NotReadable("damaged: two regions of the VHDX lie on each other")
        if guid not in (_BAT, _METADATA) and flags & _REGION_REQUIRED:
            raise NotReadable("of a newer kind: it needs a region that is not known")
        regions[guid] = (offset, length)
    if _BAT not in regions or _METADATA not in regions:
        raise NotReadable("damaged: the VHDX has no block table or no metadata")
    return regions


def _check_log(header: _Header, size: int, taken: Taken) -> None:
    if header.log_version:
        raise NotReadable("of a newer kind: the version of its log is not known")
    offset, length = header.log_offset, header.log_length
    if not length:
        return
    if offset < _MIB or offset % _MIB or length % _MIB or offset + length > size or not taken.take(offset, length):
        raise NotReadable("damaged: the log of the VHDX lies where none can")


def _metadata(file: BinaryIO, offset: int, length: int, size: int) -> _Geometry:
    table = read_at(file, offset, 64 * _KIB)
    (count,) = struct.unpack_from("<H", table, 10)
    if table[:8] != b"metadata" or count > _MOST_ENTRIES:
        raise NotReadable("damaged: the metadata of the VHDX is missing")
    items: dict[bytes, bytes] = {}
    users = set[bytes]()
    for place in range(count):
        guid, start, item, flags = struct.unpack_from("<16sIII", table, 32 + 32 * place)
        twice = guid in (users if flags & _OF_USER else items)
        if twice or start + item > length or (item and start < 64 * _KIB) or item > _MIB:
            raise NotReadable("damaged: an item of the VHDX's metadata lies where none can")
        if flags & _OF_USER:
            users.add(guid)
            continue
        if guid not in _KNOWN_ITEMS and flags & _ITEM_REQUIRED:
            raise NotReadable("of a newer kind: it needs metadata that are not known")
        items[guid] = read_at(file, offset + start, item)
    return _geometry(items, size)


def _geometry(items: Mapping[bytes, bytes], size: int) -> _Geometry:
    try:
        block, flags = struct.unpack("<II", items[_FILE_PARAMETERS])
        (virtual,) = struct.unpack("<Q", items[_VIRTUAL_DISK_SIZE])
        (sector,) = struct.unpack("<I", items[_LOGICAL_SECTOR_SIZE])
        (physical,) = struct.unpack("<I", items[_PHYSICAL_SECTOR_SIZE])
    except (KeyError, struct.error):
        raise NotReadable("damaged: the metadata of the VHDX is not complete") from None
    if not (
        _MIB <= block <= 256 * _MIB
        and block & (block - 1) == 0
        and sector in (512, 4096)
        and physical in (512, 4096)
        and 0 < virtual <= _LARGEST_DISK
        and virtual % sector == 0
    ):
        raise NotReadable("damaged: the metadata of the VHDX has impossible sizes")
    if flags & 2 and _PARENT_LOCATOR not in items:
        raise NotReadable("damaged: the VHDX has a parent and does not say where")
    return _Geometry(block, sector, virtual, size, flags)


def _check_blocks(file: BinaryIO, region: tuple[int, int], geometry: _Geometry, taken: Taken) -> None:
    """Every block that is present lies inside the file, on nothing else."""
    offset, length = region
    if 8 * geometry.entries > length:
        raise NotReadable("damaged: the block table of the VHDX is too short")
    period = geometry.ratio + 1
    for start, part in parts_of(file, offset, 8 * geometry.entries):
        if part.count(0) == len(part):
            continue
        for place, (entry,) in enumerate(struct.iter_unpack("<Q", part), start=start // 8):
            if entry and place % period == geometry.ratio:
                _check_bitmap(entry, geometry, taken)
            elif entry:
                _check_block(entry, place - place // period, geometry, taken)


def _check_block(entry: int, index: int, geometry: _Geometry, taken: Taken) -> None:
    state = entry & 7
    if state in _ABSENT:
        return
    if state != _PRESENT and not (state == _PARTLY and geometry.has_parent):
        raise NotReadable("damaged: a block of the VHDX is in a state that is none")
    start = (entry >> 20) * _MIB
    used = min(geometry.block, geometry.virtual - index * geometry.block)
    if start + used > geometry.file:
        raise NotReadable("truncated: blocks of the VHDX lie beyond the end of the file")
    if not taken.take(start, used):
        raise NotReadable("damaged: two blocks of the VHDX lie on each other")


def _check_bitmap(entry: int, geometry: _Geometry, taken: Taken) -> None:
    """The sector bitmap of a chunk: only a disk with a parent has any."""
    if entry & 7 == 0:
        return
    start = (entry >> 20) * _MIB
    if entry & 7 != _PRESENT or not geometry.has_parent:
        raise NotReadable("damaged: a sector bitmap of the VHDX is in a state that is none")
    if start + _MIB > geometry.file:
        raise NotReadable("truncated: blocks of the VHDX lie beyond the end of the file")
    if not taken.take(start, _MIB):
        raise NotReadable("damaged: two blocks of the VHDX lie on each other")
