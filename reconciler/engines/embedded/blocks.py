"""Blocks: 128 KiB of a container file -> a BLAKE3 name and a zstd payload, and back.

A block of zeros is never stored: its name in a map is `HOLE`. Sizes and level are those that
docs/reference/store-format.md gives, with the measurements behind them.
"""

from __future__ import annotations

import threading
from enum import IntEnum

import zstandard
from blake3 import blake3

from reconciler.errors import Damaged

BLOCK = 128 * 1024
NAME = 32
HOLE = bytes(NAME)
_LEVEL = 1

#: A payload that does not save this share of the block is stored as it is.
_LEAST_GAIN = 0.03


class Encoding(IntEnum):
    """How a payload is stored. `DELTA` is kept free for blocks stored as a difference from their `base`."""

    RAW = 0
    ZSTD = 1
    DELTA = 2


_ZEROS = bytes(BLOCK)
_zero_names: dict[int, bytes] = {}
_local = threading.local()


def name_of(data: bytes | memoryview) -> bytes:
    """The name of a block: `HOLE` if it is zeros, else its BLAKE3."""
    name = blake3(data).digest()
    return HOLE if name == zero_name(len(data)) else name


def zero_name(length: int) -> bytes:
    """The BLAKE3 of so many zeros; comparing hashes is far cheaper than comparing bytes one by one."""
    if length not in _zero_names:
        _zero_names[length] = blake3(_ZEROS[:length]).digest()
    return _zero_names[length]


def encode(data: bytes | memoryview) -> tuple[Encoding, bytes]:
    """The payload to store. Each thread has a compressor of its own."""
    compressor = getattr(_local, "compressor", None)
    if compressor is None:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=False)
    packed = compressor.compress(data)
    if len(packed) > len(data) * (1 - _LEAST_GAIN):
        return Encoding.RAW, bytes(data)
    return Encoding.ZSTD, packed


def decode(name: bytes, encoding: int, payload: bytes, length: int) -> bytes:
    """The block again, checked against its name. Raises `Damaged`, RCL4004."""
    try:
        data = _unpack(encoding, payload, length)
    except zstandard.ZstdError as error:
        raise damaged(name, f"does not decompress: {error}") from error
    if len(data) != length or blake3(data).digest() != name:
        raise damaged(name, "does not read back as it was written")
    return data


def _unpack(encoding: int, payload: bytes, length: int) -> bytes:
    if encoding == Encoding.RAW:
        return payload
    if encoding != Encoding.ZSTD:
        raise zstandard.ZstdError(f"encoding {encoding} is not known to this version")
    decompressor = getattr(_local, "decompressor", None)
    if decompressor is None:
        decompressor = _local.decompressor = zstandard.ZstdDecompressor()
    data: bytes = decompressor.decompress(payload, max_output_size=length)
    return data


def damaged(name: bytes, what: str) -> Damaged:
    return Damaged(
        "RCL4004",
        f"block {name.hex()[:16]} {what}",
        "Run `reconciler check` for the virtual machine: what the source still holds is stored again.",
        subject=name.hex()[:16],
    )
