"""VHDX: the headers, regions, metadata and block table of a file -> its facts [MS-VHDX]."""

from __future__ import annotations

import struct
from typing import BinaryIO
from uuid import UUID

import msgspec

_KIB, _MIB = 1024, 1024 * 1024
_HEADERS = (64 * _KIB, 128 * _KIB)
_REGION_TABLES = (192 * _KIB, 256 * _KIB)
_BAT = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08").bytes_le
_METADATA = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_FILE_PARAMETERS = UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
_VIRTUAL_DISK_SIZE = UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
_LOGICAL_SECTOR_SIZE = UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f").bytes_le

#: Block tables that are larger are not walked; the file is then judged by its headers alone.
_LARGEST_BAT = 32 * _MIB
_PRESENT = (6, 7)


class NotReadable(Exception):
    """The file is not what it says it is; the text goes on from «a disk that is ...»."""


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


def read_vhdx(file: BinaryIO, size: int) -> VhdxFacts:
    """Raises `NotReadable` where the file is cut, damaged, or no VHDX."""
    file.seek(0)
    if file.read(8) != b"vhdxfile":
        raise NotReadable("not a VHDX: it does not begin as one")
    header = current_header(file)
    regions = _regions(file, size)
    if _BAT not in regions or _METADATA not in regions:
        raise NotReadable("damaged: the VHDX has no block table or no metadata")
    block, flags, virtual, sector = _metadata(file, *regions[_METADATA])
    _check_blocks(file, regions[_BAT], _Geometry(block, sector, virtual, size))
    return VhdxFacts(
        virtual_bytes=virtual,
        dynamic=not flags & 1,
        has_parent=bool(flags & 2),
        log_pending=header.log_guid != bytes(16),
        sequence=header.sequence,
    )


def current_header(file: BinaryIO) -> _Header:
    """The valid header with the higher sequence number."""
    found = []
    for offset in _HEADERS:
        file.seek(offset)
        data = file.read(4 * _KIB)
        if len(data) < 4 * _KIB or data[:4] != b"head":
            continue
        (checksum,) = struct.unpack_from("<I", data, 4)
        if crc32c(data[:4] + bytes(4) + data[8:]) == checksum:
            (sequence,) = struct.unpack_from("<Q", data, 8)
            found.append(_Header(sequence, data[48:64]))
    if not found:
        raise NotReadable("damaged: neither header of the VHDX is valid")
    return max(found, key=lambda header: header.sequence)


def _regions(file: BinaryIO, size: int) -> dict[bytes, tuple[int, int]]:
    for table in _REGION_TABLES:
        file.seek(table)
        data = file.read(64 * _KIB)
        if len(data) < 64 * _KIB or data[:4] != b"regi":
            continue
        (count,) = struct.unpack_from("<I", data, 8)
        if count > 2047:
            continue
        regions = {}
        for place in range(count):
            guid, offset, length, _ = struct.unpack_from("<16sQII", data, 16 + 32 * place)
            if offset + length > size:
                raise NotReadable("cut: a region of the VHDX lies beyond the end of the file")
            regions[guid] = (offset, length)
        return regions
    raise NotReadable("damaged: neither region table of the VHDX is valid")


def _metadata(file: BinaryIO, offset: int, length: int) -> tuple[int, int, int, int]:
    """(block size, flags, virtual size, logical sector size), in bytes."""
    file.seek(offset)
    data = file.read(min(length, 2 * _MIB))
    if data[:8] != b"metadata":
        raise NotReadable("damaged: the metadata of the VHDX is missing")
    (count,) = struct.unpack_from("<H", data, 10)
    items: dict[bytes, bytes] = {}
    for place in range(min(count, 2047)):
        guid, start, size, _ = struct.unpack_from("<16sIII", data, 32 + 32 * place)
        items[guid] = data[start : start + size]
    try:
        block, flags = struct.unpack("<II", items[_FILE_PARAMETERS])
        (virtual,) = struct.unpack("<Q", items[_VIRTUAL_DISK_SIZE])
        (sector,) = struct.unpack("<I", items[_LOGICAL_SECTOR_SIZE])
    except (KeyError, struct.error):
        raise NotReadable("damaged: the metadata of the VHDX is not complete") from None
    if not (_MIB <= block <= 256 * _MIB and block % _MIB == 0 and sector in (512, 4096)):
        raise NotReadable("damaged: the metadata of the VHDX has impossible sizes")
    return block, flags, virtual, sector


class _Geometry(msgspec.Struct, frozen=True):
    """Block size, sector size, virtual size and file length, in bytes."""

    block: int
    sector: int
    virtual: int
    file: int


def _check_blocks(file: BinaryIO, region: tuple[int, int], geometry: _Geometry) -> None:
    """Every block that is present must lie inside the file."""
    ratio = (2**23 * geometry.sector) // geometry.block
    payload = -(-geometry.virtual // geometry.block)
    entries = payload + (payload - 1) // ratio if payload else 0
    offset, length = region
    if 8 * entries > length:
        raise NotReadable("damaged: the block table of the VHDX is too short")
    if length > _LARGEST_BAT:
        return
    file.seek(offset)
    table = file.read(8 * entries)
    for place, (entry,) in enumerate(struct.iter_unpack("<Q", table)):
        is_bitmap = place % (ratio + 1) == ratio
        if entry & 7 in _PRESENT and not is_bitmap:
            start = (entry >> 20) * _MIB
            used = min(geometry.block, geometry.virtual - (place - place // (ratio + 1)) * geometry.block)
            if start + used > geometry.file:
                raise NotReadable("cut: blocks of the VHDX lie beyond the end of the file")


def _table() -> tuple[int, ...]:
    rows = []
    for value in range(256):
        row = value
        for _ in range(8):
            row = row >> 1 ^ (0x82F63B78 if row & 1 else 0)
        rows.append(row)
    return tuple(rows)


_CRC = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), the checksum of VHDX headers."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
