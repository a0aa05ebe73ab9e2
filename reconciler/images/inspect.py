"""Inspecting: a disk image -> what kind it is, its sizes, and whether it can be read as what it says it is.

Formats by their published specifications: [MS-VHDX] 2.2 to 2.6 for VHDX, Microsoft's Virtual Hard Disk Image
Format Specification for VHD. Nothing is mounted, nothing is written.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

import msgspec

from reconciler import files
from reconciler.images.vhdx import NotReadable, VhdxFacts, read_vhdx
from reconciler.model import DiskKind

_VHD_FOOTER = 512
_VHD_COOKIE = b"conectix"
_VHD_FIXED, _VHD_DYNAMIC, _VHD_DIFFERENCING = 2, 3, 4
_DIFFERENCING_SUFFIXES = (".avhdx", ".avhd")


class ImageFacts(msgspec.Struct, frozen=True):
    """What a file is. Sizes in bytes: `virtual_bytes` as the guest sees the disk, `file_bytes` the file's length,
    `allocated_bytes` what it takes on its volume. `sequence` is the VHDX header's, which grows as the disk is
    opened and written. `unreadable` says why the file cannot be read as what it is, None if it can."""

    kind: DiskKind
    file_bytes: int
    allocated_bytes: int
    virtual_bytes: int | None = None
    dynamic: bool = False
    log_pending: bool = False
    differencing: bool = False
    sequence: int = 0
    unreadable: str | None = None


def inspect(path: Path) -> ImageFacts:
    """The facts of the file. Raises OSError where it cannot be opened, is no regular file or is a link; whatever its
    content is, never else."""
    with files.open_regular(path, follow=False) as file:
        status = os.fstat(file.fileno())
        facts = ImageFacts(DiskKind.RAW, status.st_size, status.st_blocks * 512, status.st_size)
        try:
            return _inspect(file, path.suffix.lower(), facts)
        except NotReadable as error:
            kind = DiskKind.VHDX if _says_vhdx(file, path.suffix.lower()) else DiskKind.VHD
            return msgspec.structs.replace(facts, kind=kind, virtual_bytes=None, unreadable=str(error))


def _inspect(file: BinaryIO, suffix: str, facts: ImageFacts) -> ImageFacts:
    if _says_vhdx(file, suffix):
        return _vhdx(read_vhdx(file, facts.file_bytes), suffix, facts)
    footer = _vhd_footer(file, facts.file_bytes)
    if footer is not None:
        return _vhd(file, footer, facts)
    if suffix in (".vhd", ".avhd"):
        raise NotReadable("not a VHD, or cut: its footer is missing")
    if facts.file_bytes == 0:
        return msgspec.structs.replace(facts, virtual_bytes=None, unreadable="empty: the file has no bytes at all")
    return facts


def _says_vhdx(file: BinaryIO, suffix: str) -> bool:
    file.seek(0)
    return file.read(8) == b"vhdxfile" or suffix in (".vhdx", ".avhdx")


def _vhdx(vhdx: VhdxFacts, suffix: str, facts: ImageFacts) -> ImageFacts:
    return msgspec.structs.replace(
        facts,
        kind=DiskKind.VHDX,
        virtual_bytes=vhdx.virtual_bytes,
        dynamic=vhdx.dynamic,
        log_pending=vhdx.log_pending,
        differencing=vhdx.has_parent or suffix in _DIFFERENCING_SUFFIXES,
        sequence=vhdx.sequence,
    )


# --- VHD -----------------------------------------------------------------------------------------------------


def _vhd_footer(file: BinaryIO, size: int) -> bytes | None:
    """The footer at the end; else its copy at the start, which says that the end was cut off."""
    if size < _VHD_FOOTER:
        return None
    file.seek(size - _VHD_FOOTER)
    footer = file.read(_VHD_FOOTER)
    if footer[:8] == _VHD_COOKIE:
        return footer
    file.seek(0)
    if file.read(8) == _VHD_COOKIE:
        raise NotReadable("cut: the footer at the end of the VHD is missing")
    return None


def _vhd(file: BinaryIO, footer: bytes, facts: ImageFacts) -> ImageFacts:
    (checksum,) = struct.unpack_from(">I", footer, 64)
    blank = footer[:64] + bytes(4) + footer[68:]
    if ~sum(blank) & 0xFFFFFFFF != checksum:
        raise NotReadable("damaged: the checksum of the VHD footer is wrong")
    data_offset, virtual, kind = struct.unpack_from(">Q24xQ4xI", footer, 16)
    if kind not in (_VHD_FIXED, _VHD_DYNAMIC, _VHD_DIFFERENCING):
        raise NotReadable(f"of a VHD type, {kind}, that is not known")
    if kind == _VHD_FIXED and virtual + _VHD_FOOTER > facts.file_bytes:
        raise NotReadable("cut: the VHD is shorter than its own size")
    if kind != _VHD_FIXED:
        _check_dynamic_vhd(file, data_offset, facts.file_bytes)
    return msgspec.structs.replace(
        facts,
        kind=DiskKind.VHD,
        virtual_bytes=virtual,
        dynamic=kind != _VHD_FIXED,
        differencing=kind == _VHD_DIFFERENCING,
    )


def _check_dynamic_vhd(file: BinaryIO, offset: int, size: int) -> None:
    """Every block of the table must lie inside the file."""
    if offset + 1024 > size:
        raise NotReadable("damaged: the header of the dynamic VHD lies outside the file")
    file.seek(offset)
    header = file.read(1024)
    if header[:8] != b"cxsparse":
        raise NotReadable("damaged: the header of the dynamic VHD is missing")
    table, _, entries, block = struct.unpack_from(">QIII", header, 16)
    if table + 4 * entries > size or not 512 <= block <= 1 << 30:
        raise NotReadable("damaged: the block table of the dynamic VHD lies outside the file")
    file.seek(table)
    used = [entry for (entry,) in struct.iter_unpack(">I", file.read(4 * entries)) if entry != 0xFFFFFFFF]
    bitmap = -(-(block // 512 // 8) // 512) * 512
    if used and max(used) * 512 + bitmap + block > size:
        raise NotReadable("cut: blocks of the dynamic VHD lie beyond the end of the file")
