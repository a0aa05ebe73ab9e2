"""Inspecting: a disk image -> what kind it is, its sizes, and whether it can be read as what it says it is.

Nothing is mounted, nothing is written; `vhdx` and `vhd` read the two formats.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from reconciler import files, system_calls
from reconciler.images.reading import NotReadable
from reconciler.images.vhd import VhdFacts, read_vhd
from reconciler.images.vhdx import VhdxFacts, read_vhdx
from reconciler.model import DiskKind

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
        facts = ImageFacts(DiskKind.RAW, status.st_size, system_calls.allocated_bytes(status), status.st_size)
        try:
            return _inspect(file, path.suffix.lower(), facts)
        except NotReadable as error:
            kind = DiskKind.VHDX if _says_vhdx(file, path.suffix.lower()) else DiskKind.VHD
            return msgspec.structs.replace(facts, kind=kind, virtual_bytes=None, unreadable=str(error))


def _inspect(file: BinaryIO, suffix: str, facts: ImageFacts) -> ImageFacts:
    if _says_vhdx(file, suffix):
        return _vhdx(read_vhdx(file, facts.file_bytes), suffix, facts)
    vhd = read_vhd(file, facts.file_bytes)
    if vhd is not None:
        return _vhd(vhd, facts)
    if suffix in (".vhd", ".avhd"):
        raise NotReadable("not a VHD, or truncated: its footer is missing")
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


def _vhd(vhd: VhdFacts, facts: ImageFacts) -> ImageFacts:
    return msgspec.structs.replace(
        facts,
        kind=DiskKind.VHD,
        virtual_bytes=vhd.virtual_bytes,
        dynamic=vhd.dynamic,
        differencing=vhd.differencing,
    )
