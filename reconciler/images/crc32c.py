"""CRC-32C (Castagnoli), the checksum of VHDX structures: bytes -> a number [RFC 3720, appendix B.4]."""

from __future__ import annotations

_ALL = 0xFFFFFFFF


def _table() -> tuple[int, ...]:
    rows = []
    for value in range(256):
        row = value
        for _ in range(8):
            row = row >> 1 ^ (0x82F63B78 if row & 1 else 0)
        rows.append(row)
    return tuple(rows)


_ROWS = _table()


def crc32c(data: bytes) -> int:
    """Of mostly empty tables the zeros at the end are not walked one by one."""
    stated = data.rstrip(b"\0")
    crc = _ALL
    for byte in stated:
        crc = _ROWS[(crc ^ byte) & 0xFF] ^ crc >> 8
    return _after_zeros(crc, len(data) - len(stated)) ^ _ALL


def _after_zeros(crc: int, count: int) -> int:
    """The register after so many bytes of zero. One byte maps the register linearly, so that the map for twice as
    many bytes is the map of the map: its columns are what becomes of each single bit."""
    columns = [_ROWS[1 << bit & 0xFF] ^ 1 << bit >> 8 for bit in range(32)]
    while count:
        if count & 1:
            crc = _mapped(columns, crc)
        count >>= 1
        columns = [_mapped(columns, column) for column in columns] if count else columns
    return crc


def _mapped(columns: list[int], vector: int) -> int:
    found = 0
    for column in columns:
        if vector & 1:
            found ^= column
        vector >>= 1
    return found
