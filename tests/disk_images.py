"""Small VHDX and VHD files made by their specifications, whole or with what a test wants to be wrong in them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from reconciler.images.crc32c import crc32c

KIB, MIB = 1024, 1024 * 1024
SEALED = {b"head": 4 * KIB, b"regi": 64 * KIB}

#: Where the parts of a VHDX made here lie.
HEADERS, REGION_TABLES, LOG, METADATA, BAT, DATA = (
    (64 * KIB, 128 * KIB),
    (192 * KIB, 256 * KIB),
    MIB,
    2 * MIB,
    3 * MIB,
    4 * MIB,
)
ITEMS = METADATA + 64 * KIB

BAT_GUID = UUID("2dc27766-f623-4200-9d64-115e9bfd4a08").bytes_le
METADATA_GUID = UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_ITEM_GUIDS = {
    "parameters": UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le,
    "size": UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le,
    "id": UUID("beca12ab-b2e6-4523-93ef-c309e000c746").bytes_le,
    "sector": UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f").bytes_le,
    "physical": UUID("cda348c7-445d-4471-9cc9-e9885251c556").bytes_le,
}


def sealed(structure: bytes) -> bytes:
    """A header or region table with the checksum that fits it."""
    blank = structure[:4] + bytes(4) + structure[8:]
    return structure[:4] + struct.pack("<I", crc32c(blank)) + structure[8:]


def header(sequence: int, log: bytes = bytes(16), log_length: int = MIB, log_offset: int = LOG) -> bytes:
    guids = struct.pack("<16s16s16s", b"f" * 16, b"d" * 16, log)
    said = struct.pack("<4sIQ", b"head", 0, sequence) + guids + struct.pack("<HHIQ", 0, 1, log_length, log_offset)
    return sealed(said.ljust(4 * KIB, b"\0"))


def region_table(*regions: tuple[bytes, int, int]) -> bytes:
    """Regions by GUID, offset and length."""
    said = struct.pack("<4sIII", b"regi", 0, len(regions), 0)
    said += b"".join(struct.pack("<16sQII", guid, offset, length, 1) for guid, offset, length in regions)
    return sealed(said.ljust(64 * KIB, b"\0"))


def metadata(virtual: int, block: int, sector: int = 512) -> bytes:
    items = {
        "parameters": struct.pack("<II", block, 0),
        "size": struct.pack("<Q", virtual),
        "id": b"i" * 16,
        "sector": struct.pack("<I", sector),
        "physical": struct.pack("<I", 4096),
    }
    table, content = struct.pack("<8sHH", b"metadata", 0, len(items)).ljust(32, b"\0"), b""
    for name, item in items.items():
        table += struct.pack("<16sIIII", _ITEM_GUIDS[name], 64 * KIB + len(content), len(item), 4, 0)
        content += item.ljust(16, b"\0")
    return table.ljust(64 * KIB, b"\0") + content


def write_vhdx(
    path: Path,
    virtual: int,
    block: int = MIB,
    blocks: Mapping[int, bytes] | None = None,
    *,
    bat_bytes: int = MIB,
    patches: Mapping[int, bytes] | None = None,
    cut: int = 0,
) -> None:
    """A dynamic VHDX whose second header is the current one. `patches` are written over it at their offsets, `cut`
    is how many bytes are missing at the end."""
    ratio = 2**23 * 512 // block
    data = BAT + bat_bytes
    regions = ((BAT_GUID, BAT, bat_bytes), (METADATA_GUID, METADATA, MIB))
    parts = {
        0: b"vhdxfile",
        HEADERS[0]: header(10),
        HEADERS[1]: header(11),
        REGION_TABLES[0]: region_table(*regions),
        REGION_TABLES[1]: region_table(*regions),
        METADATA: metadata(virtual, block),
    }
    for number, (index, content) in enumerate(sorted((blocks or {}).items())):
        parts[BAT + 8 * (index + index // ratio)] = struct.pack("<Q", data + number * block | 6)
        parts[data + number * block] = content
    _write(path, parts | dict(patches or {}), data + len(blocks or {}) * block - cut)


def footer(virtual: int, kind: int, data_offset: int) -> bytes:
    """A VHD's."""
    said = struct.pack(
        ">8sIIQI4sI4sQQ", b"conectix", 2, 0x10000, data_offset, 0, b"win ", 0x50003, b"Wi2k", *2 * [virtual]
    )
    said = (said + struct.pack(">HBBII16s", 1, 4, 17, kind, 0, b"u" * 16)).ljust(512, b"\0")
    return summed(said, 64)


def summed(structure: bytes, place: int) -> bytes:
    """A footer or header of a VHD with the checksum that fits it."""
    blank = structure[:place] + bytes(4) + structure[place + 4 :]
    return structure[:place] + struct.pack(">I", ~sum(blank) & 0xFFFFFFFF) + structure[place + 4 :]


def vhd_header(entries: int, block: int, table: int = 1536) -> bytes:
    said = struct.pack(">8sQQIII", b"cxsparse", 2**64 - 1, table, 0x10000, entries, block)
    return summed(said.ljust(1024, b"\0"), 36)


def write_vhd(
    path: Path,
    virtual: int,
    block: int = 2 * MIB,
    blocks: Mapping[int, bytes] | None = None,
    *,
    patches: Mapping[int, bytes] | None = None,
    cut: int = 0,
) -> int:
    """A dynamic VHD; returns where its last footer is."""
    entries = -(-virtual // block)
    bitmap = -(-(block // 512 // 8) // 512) * 512
    data = 1536 + -(-4 * entries // 512) * 512
    used = blocks or {}
    table = [0xFFFFFFFF] * entries
    parts = {0: footer(virtual, 3, 512), 512: vhd_header(entries, block)}
    for number, (index, content) in enumerate(sorted(used.items())):
        table[index] = (data + number * (bitmap + block)) // 512
        parts[table[index] * 512] = b"\xff" * bitmap + content
    parts[1536] = struct.pack(f">{entries}I", *table).ljust(data - 1536, b"\xff")
    end = data + len(used) * (bitmap + block)
    parts[end] = footer(virtual, 3, 512)
    _write(path, parts | dict(patches or {}), end + 512 - cut)
    return end


def _write(path: Path, parts: Mapping[int, bytes], length: int) -> None:
    with path.open("wb") as file:
        for offset, content in parts.items():
            file.seek(offset)
            file.write(content)
        file.truncate(length)
