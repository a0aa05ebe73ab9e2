"""Damaged, cut and hostile images: refused, or read by their good copy, as qemu-img reads what is whole."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler.images import ImageFacts, inspect, vhdx
from reconciler.images.crc32c import crc32c
from reconciler.model import DiskKind
from tests.disk_images import (
    BAT,
    BAT_GUID,
    DATA,
    HEADERS,
    ITEMS,
    LOG,
    METADATA,
    METADATA_GUID,
    MIB,
    REGION_TABLES,
    footer,
    header,
    metadata,
    region_table,
    sealed,
    summed,
    vhd_header,
    write_vhd,
    write_vhdx,
)
from tests.oracles import need

PROVE = os.environ.get("RECONCILER_PROVE") == "1"
VIRTUAL = 4 * MIB
BLOCKS = {0: b"a" * 100, 3: b"b" * 100}
TABLE = ((BAT_GUID, BAT, MIB), (METADATA_GUID, METADATA, MIB))


def qemu_size(path: Path, form: str) -> int | None:
    """The virtual size that qemu-img sees; None where it does not open the file."""
    said = subprocess.run(
        [need("qemu-img"), "info", "--output=json", "-f", form, path], capture_output=True, check=False, timeout=60
    )
    return int(json.loads(said.stdout)["virtual-size"]) if said.returncode == 0 else None


def facts_of(path: Path) -> ImageFacts:
    """What does not change by itself: a file system may allocate more when it likes."""
    return replace(inspect(path), allocated_bytes=0)


def flipped(path: Path, place: int) -> ImageFacts:
    """The facts with one bit of one byte wrong; the file is as before afterwards."""
    with path.open("r+b", buffering=0) as file:
        file.seek(place)
        (right,) = file.read(1)
        file.seek(place)
        file.write(bytes([right ^ 1 << place % 8]))
        try:
            return facts_of(path)
        finally:
            file.seek(place)
            file.write(bytes([right]))


def some(*parts: tuple[int, int, int]) -> Iterable[int]:
    """The places of parts (offset, length, step): each of them where the whole proof is asked for, but of long padding,
    which has large steps, some more than else."""
    for offset, length, step in parts:
        yield from range(offset, offset + length, max(1, step // 32) if PROVE else step)


# --- The cases that were seen ----------------------------------------------------------------------------------

#: VHDX files by name: what is written over a good one, how much is cut off, what is wrong with it ("" for nothing).
DAMAGED_TABLE = region_table((BAT_GUID, BAT + 7 * MIB, MIB), (METADATA_GUID, METADATA, MIB))
UNSEALED = DAMAGED_TABLE[:4] + b"\0\1\2\3" + DAMAGED_TABLE[8:]
PENDING = header(12, log=b"l" * 16)
VHDX_CASES = {
    "good": ({}, 0, ""),
    "both region tables damaged": ({REGION_TABLES[0]: UNSEALED, REGION_TABLES[1]: UNSEALED}, 0, "region table"),
    "cut, first region table damaged": ({REGION_TABLES[0]: UNSEALED}, MIB, "truncated"),
    "first region table damaged": ({REGION_TABLES[0]: UNSEALED}, 0, ""),
    "second region table damaged": ({REGION_TABLES[1]: UNSEALED}, 0, ""),
    "cut": ({}, MIB, "truncated"),
    "both headers damaged": ({HEADERS[0] + 9: b"x", HEADERS[1] + 9: b"x"}, 0, "header"),
    "headers that contradict each other": ({HEADERS[0]: header(11, log=b"l" * 16)}, 0, "contradict"),
    "a log in the header that is not the current one": ({HEADERS[0]: header(10, log=b"l" * 16)}, 0, ""),
    "a newer log format": (
        {HEADERS[1]: sealed(header(11)[:64] + b"\1" + header(11)[65:])},
        0,
        "version of its log",
    ),
    "two blocks at one place": ({BAT + 8: struct.pack("<Q", DATA | 6)}, 0, "lie on each other"),
    "a block on the metadata": ({BAT + 8: struct.pack("<Q", METADATA | 6)}, 0, "lie on each other"),
    "a block on the log": ({BAT + 8: struct.pack("<Q", LOG | 6)}, 0, "lie on each other"),
    "a block on the headers": ({BAT + 8: struct.pack("<Q", 6)}, 0, "lie on each other"),
    "a block in no state": ({BAT: struct.pack("<Q", DATA | 5)}, 0, "state"),
    "a partly present block without a parent": ({BAT: struct.pack("<Q", DATA | 7)}, 0, "state"),
    "a region that nobody knows and is needed": (
        {at: region_table(*TABLE, (b"x" * 16, DATA + 2 * MIB - MIB, MIB)) for at in REGION_TABLES},
        0,
        "newer kind",
    ),
    "two regions on each other": (
        {at: region_table(TABLE[0], (METADATA_GUID, BAT, MIB)) for at in REGION_TABLES},
        0,
        "lie on each other",
    ),
    "a region twice": ({at: region_table(*TABLE, (BAT_GUID, DATA, MIB)) for at in REGION_TABLES}, 0, "each other"),
    "the log on the metadata": ({HEADERS[1]: header(11, log_offset=METADATA)}, 0, "log"),
    "a region in the headers": (
        {at: region_table((BAT_GUID, 0, MIB), TABLE[1]) for at in REGION_TABLES},
        0,
        "where none can",
    ),
}


@pytest.mark.parametrize("name", VHDX_CASES)
def test_vhdx_by_hand(tmp_path: Path, name: str) -> None:
    patches, cut, wrong = VHDX_CASES[name]
    path = tmp_path / "disk.vhdx"
    write_vhdx(path, VIRTUAL, MIB, BLOCKS, patches=patches, cut=cut)
    facts = inspect(path)
    assert facts.kind is DiskKind.VHDX
    if wrong:
        assert wrong in (facts.unreadable or "")
        assert facts.virtual_bytes is None
    else:
        assert facts.unreadable is None
        assert (facts.virtual_bytes, facts.log_pending) == (VIRTUAL, False)
        if "first region table" not in name:  # qemu-img never looks at the second one
            assert qemu_size(path, "vhdx") == VIRTUAL


def test_the_current_header_says_whether_a_log_is_to_be_replayed(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhdx"
    write_vhdx(path, VIRTUAL, MIB, BLOCKS, patches={HEADERS[0]: PENDING})
    assert (inspect(path).log_pending, inspect(path).sequence) == (True, 12)
    write_vhdx(path, VIRTUAL, MIB, BLOCKS, patches={HEADERS[0]: PENDING, HEADERS[0] + 100: b"x"})
    assert (inspect(path).log_pending, inspect(path).sequence) == (False, 11)


VHD_END = 1536 + 512 + 2 * (512 + 2 * MIB)
VHD_CASES = {
    "good": ({}, 0, ""),
    "no entries": ({512: vhd_header(0, 2 * MIB)}, 0, "does not cover"),
    "too few entries": ({512: vhd_header(1, 2 * MIB)}, 0, "does not cover"),
    "header damaged": ({512 + 28: b"\0\0\0\0"}, 0, "checksum"),
    "cut, header damaged": ({512 + 28: b"\0\0\0\0"}, 512, "truncated"),
    "cut by its footer": ({}, 512, "truncated"),
    "cut by one byte": ({}, 1, "truncated"),
    "cut by a block": ({}, MIB, "truncated"),
    "footer damaged": ({VHD_END + 20: b"x"}, 0, ""),
    "copy of the footer damaged": ({20: b"x"}, 0, ""),
    "copy of the footer gone": ({0: bytes(512)}, 0, ""),
    "footer and copy damaged": ({VHD_END + 20: b"x", 20: b"x"}, 0, "checksum"),
    "footer and copy of two sizes": ({0: footer(VIRTUAL * 2, 3, 512)}, 0, "contradict"),
    "two blocks at one place": ({1536: struct.pack(">II", 4, 4)}, 0, "lie on each other"),
    "a block on the table": ({1536: struct.pack(">I", 3)}, 0, "lie on each other"),
    "a block over the footer": ({1536: struct.pack(">I", (VHD_END - 512) // 512)}, 0, "truncated"),
    "a block at the start": ({1536: struct.pack(">I", 0)}, 0, "lie on each other"),
}


@pytest.mark.parametrize("name", VHD_CASES)
def test_vhd_by_hand(tmp_path: Path, name: str) -> None:
    patches, cut, wrong = VHD_CASES[name]
    path = tmp_path / "disk.vhd"
    assert write_vhd(path, VIRTUAL, 2 * MIB, {0: b"a", 1: b"b"}, patches=patches, cut=cut) == VHD_END
    facts = inspect(path)
    assert facts.kind is DiskKind.VHD
    if wrong:
        assert wrong in (facts.unreadable or "")
    else:
        assert (facts.unreadable, facts.virtual_bytes, facts.dynamic) == (None, VIRTUAL, True)
        if "copy" not in name:  # qemu-img knows a dynamic VHD by the copy alone
            assert qemu_size(path, "vpc") == VIRTUAL


def test_a_fixed_vhd_has_one_footer_and_it_counts(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    whole = bytes(MIB) + footer(MIB, 2, 2**64 - 1)
    path.write_bytes(whole)
    assert inspect(path).virtual_bytes == MIB == qemu_size(path, "vpc")
    for place in range(MIB, MIB + 512):
        assert flipped(path, place).unreadable is not None, place


# --- Every flip ------------------------------------------------------------------------------------------------


def test_a_flip_in_what_a_vhdx_has_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhdx"
    write_vhdx(path, VIRTUAL, MIB, BLOCKS)
    right = facts_of(path)
    assert right.sequence == 11
    older, current = HEADERS
    for place in some((older, 80, 1), (older + 80, 4016, 301), (REGION_TABLES[0], 80, 1), (REGION_TABLES[1], 80, 3)):
        assert flipped(path, place) == right, place
    for place in some((current, 80, 1), (current + 80, 4016, 301)):
        assert flipped(path, place) == replace(right, sequence=10), place
    step = 501 if PROVE else 16_001
    for table in REGION_TABLES:
        for place in range(table + 80, table + 65536, step):
            assert flipped(path, place) == right, place


def test_a_flip_in_both_region_tables_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhdx"
    write_vhdx(path, VIRTUAL, MIB, BLOCKS)
    with path.open("r+b") as file:
        file.seek(REGION_TABLES[1] + 20)
        file.write(b"x")
    for place in some((REGION_TABLES[0], 80, 1), (REGION_TABLES[0] + 80, 65456, 16_001)):
        assert flipped(path, place).unreadable is not None, place


def test_a_flip_in_what_a_vhdx_has_once_is_refused_or_read_as_qemu_img_reads_it(tmp_path: Path) -> None:
    """Metadata and block table have no checksum: what is taken is a disk of the same size to the other reader too."""
    path = tmp_path / "disk.vhdx"
    write_vhdx(path, VIRTUAL, MIB, BLOCKS)
    taken = 0
    for place in some((METADATA, 192, 3), (ITEMS, 80, 2), (BAT, 40, 3)):
        facts = flipped(path, place)
        if facts.unreadable is None and (facts.virtual_bytes != VIRTUAL or place % (1 if PROVE else 5) == 0):
            taken += 1
            with path.open("r+b", buffering=0) as file:
                file.seek(place)
                (right,) = file.read(1)
                file.seek(place)
                file.write(bytes([right ^ 1 << place % 8]))
                assert qemu_size(path, "vhdx") == facts.virtual_bytes, place
                file.seek(place)
                file.write(bytes([right]))
    assert taken


def test_a_flip_in_a_vhd_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    end = write_vhd(path, VIRTUAL, 2 * MIB, {0: b"a", 1: b"b"})
    right = facts_of(path)
    for place in some((0, 512, 1)):
        assert flipped(path, place) == right, place
    for place in some((512, 1024, 3)):
        assert flipped(path, place).unreadable is not None, place
    for place in some((1536, 8, 1)):
        facts = flipped(path, place)
        assert facts.unreadable is not None or facts == right, place
    for place in some((end, 512, 1)):
        facts = flipped(path, place)
        assert facts == right if place >= end + 8 else "truncated" in (facts.unreadable or ""), place


# --- Small, large, hostile -------------------------------------------------------------------------------------


def test_a_disk_of_one_sector_and_one_of_a_terabyte(tmp_path: Path) -> None:
    tera = 1024**4
    for size in (512, tera):
        raw, fixed, sparse = tmp_path / "disk.raw", tmp_path / "fixed.vhd", tmp_path / "disk.vhdx"
        with raw.open("wb") as file:
            file.truncate(size)
        with fixed.open("wb") as file:
            file.seek(size)
            file.write(footer(size, 2, 2**64 - 1))
        write_vhdx(sparse, size, 32 * MIB, {0: b"x"} if size < MIB else {0: b"x", 32767: b"y"})
        for path, form in ((raw, "raw"), (fixed, "vpc"), (sparse, "vhdx")):
            facts = inspect(path)
            assert (facts.unreadable, facts.virtual_bytes) == (None, size), path
            assert facts.allocated_bytes < 2 * MIB
            assert form == "vpc" or qemu_size(path, form) == size
    small, large = tmp_path / "small.vhd", tmp_path / "large.vhd"
    write_vhd(small, 512)
    write_vhd(large, tera, blocks={0: b"x", 524_287: b"y"})
    assert (inspect(small).virtual_bytes, inspect(large).virtual_bytes) == (512, tera)


HUGE = 2**63
HOSTILE_VHDX = {
    "a region beyond everything": {at: region_table((BAT_GUID, HUGE, MIB), TABLE[1]) for at in REGION_TABLES},
    "a region as long as can be written": {
        at: region_table((BAT_GUID, BAT, 2**32 - MIB), TABLE[1]) for at in REGION_TABLES
    },
    "a log beyond everything": {HEADERS[1]: header(11, log_offset=HUGE)},
    "a disk of 2^63 bytes": {METADATA: metadata(HUGE, MIB)},
    "blocks of no size": {METADATA: metadata(VIRTUAL, 0)},
    "blocks of 2^31 bytes": {METADATA: metadata(VIRTUAL, 2**31)},
    "blocks of an odd size": {METADATA: metadata(VIRTUAL, 3 * MIB)},
    "sectors of no size": {METADATA: metadata(VIRTUAL, MIB, 0)},
    "a disk of no size": {METADATA: metadata(0, MIB)},
    "more items than there can be": {METADATA + 10: b"\xff\xff"},
    "an item of 2^32 bytes": {METADATA + 32 + 20: b"\xff\xff\xff\xff"},
    "more regions than there can be": {
        at: sealed(region_table(*TABLE)[:8] + b"\xff\xff\xff\xff" + region_table(*TABLE)[12:]) for at in REGION_TABLES
    },
    "a table that is too short": {METADATA: metadata(64 * 1024**4, MIB)},
    "a block beyond everything": {BAT: b"\x06" + b"\xff" * 7},
}
HOSTILE_VHD = {
    "a header beyond everything": {0: footer(VIRTUAL, 3, HUGE), VHD_END: footer(VIRTUAL, 3, HUGE)},
    "a table beyond everything": {512: vhd_header(2, 2 * MIB, HUGE)},
    "blocks of no size": {512: vhd_header(2, 0)},
    "blocks of 2^31 bytes": {512: vhd_header(2, 2**31)},
    "blocks of an odd size": {512: vhd_header(2, 3 * MIB)},
    "a disk of 2^63 bytes": {0: footer(HUGE, 3, 512), VHD_END: footer(HUGE, 3, 512)},
    "a disk of no size": {0: footer(0, 3, 512), VHD_END: footer(0, 3, 512)},
    "four thousand million entries": {
        0: footer(2**40, 3, 512),
        VHD_END: footer(2**40, 3, 512),
        512: vhd_header(2**32 - 1, 512),
    },
    "no known kind": {0: footer(VIRTUAL, 9, 512), VHD_END: footer(VIRTUAL, 9, 512)},
}


@pytest.mark.parametrize("name", [*HOSTILE_VHDX, *HOSTILE_VHD])
def test_hostile_numbers_are_refused_and_take_no_memory(tmp_path: Path, name: str) -> None:
    for form, cases in (("vhdx", HOSTILE_VHDX), ("vhd", HOSTILE_VHD)):
        path = tmp_path / f"disk.{form}"
        if name not in cases:
            continue
        if form == "vhdx":
            write_vhdx(path, VIRTUAL, MIB, BLOCKS, patches=cases[name])
        else:
            write_vhd(path, VIRTUAL, 2 * MIB, {0: b"a", 1: b"b"}, patches=cases[name])
        tracemalloc.start()
        try:
            assert inspect(path).unreadable is not None
            assert tracemalloc.get_traced_memory()[1] < 16 * MIB
        finally:
            tracemalloc.stop()


def test_a_file_that_says_to_be_longer_than_any_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its length alone, not what it takes on the volume, would decide how much memory is asked for."""
    path = tmp_path / "disk.vhdx"
    write_vhdx(path, VIRTUAL, MIB, BLOCKS)
    monkeypatch.setattr(vhdx, "_LARGEST_DISK", 2 * MIB)
    assert "longer than any" in (inspect(path).unreadable or "")


def test_crc32c_of_what_ends_in_zeros_is_that_of_all_its_bytes() -> None:
    def plain(data: bytes) -> int:
        crc = 0xFFFFFFFF
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        return crc ^ 0xFFFFFFFF

    for head in (b"", b"x", b"123456789", bytes(range(256))):
        for zeros in (0, 1, 2, 3, 7, 8, 255, 256, 1000, 4091):
            assert crc32c(head + bytes(zeros)) == plain(head + bytes(zeros))
    assert summed(bytes(512), 64)[64:68] == b"\xff\xff\xff\xff"
