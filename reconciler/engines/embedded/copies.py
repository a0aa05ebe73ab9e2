"""Copies of maps: what one job made true -> a file in the points folder, from which the catalog can be made anew.

One file for each committed map, `points/NUMBER.GENERATION.map`: magic, BLAKE3 of the rest, MessagePack of `Copy`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from blake3 import blake3

from reconciler import encoded, files
from reconciler.engines.embedded.records import Assignment, Facts, JobRow, PointRecord
from reconciler.errors import Damaged
from reconciler.model import DataSource, Lineage

MAGIC = b"RCLMAP02"
_DIGEST = 32
_NAME = re.compile(r"(\d{8,})\.(\d{10,})\.map")
_LARGEST = 1 << 31


class Copy(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A commit whole: whose it is, the map as the catalog has it, and what came true with it."""

    store: str
    source: DataSource
    server: Lineage
    volume: str
    generation: int
    number: int
    base: int | None
    depth: int
    body: bytes
    facts: Facts
    point: PointRecord | None = None
    job: str = ""
    result: JobRow | None = None
    assignment: Assignment | None = None
    tokens: dict[str, int] = {}
    written_at: datetime | None = None
    needs: tuple[str, ...] = ()


class Named(NamedTuple):
    """A copy by its file name."""

    number: int
    generation: int
    path: Path


_COPY = encoded.PackedReader(Copy)


def write(folder: Path, copy: Copy) -> Path:
    """Writes the copy, durably."""
    files.make_folder(folder)
    path = folder / f"{copy.number:08d}.{copy.generation:010d}.map"
    body = msgspec.msgpack.encode(copy)
    files.write_parts(path, (MAGIC, blake3(body).digest(), body))
    return path


def named(folder: Path) -> list[Named]:
    """The copies that lie there, by number and generation; whether they read is another question."""
    found = []
    for path in _entries(folder):
        match = _NAME.fullmatch(path.name)
        if match is not None:
            found.append(Named(int(match[1]), int(match[2]), path))
    return sorted(found)


def read(path: Path) -> Copy:
    """Raises `Damaged`, RCL4024, for one that is not as it was written."""
    try:
        data = files.read_regular(path, _LARGEST)
    except OSError as error:
        raise _damaged(path, f"cannot be read: {error.strerror or error}") from error
    head, body = data[: len(MAGIC) + _DIGEST], data[len(MAGIC) + _DIGEST :]
    if head != MAGIC + blake3(body).digest():
        raise _damaged(path, "is not as it was written")
    try:
        copy = _COPY.decode(body)
    except encoded.Wrong as error:
        raise _damaged(path, f"cannot be read: {error}") from error
    if copy.needs:
        raise _damaged(path, f"needs {', '.join(copy.needs)}, which this version does not know")
    return copy


def unfinished(folder: Path) -> Iterator[Path]:
    """Temporary files that a killed process left."""
    yield from (path for path in _entries(folder) if path.name.startswith(".") and path.name.endswith(".part"))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _damaged(path: Path, what: str) -> Damaged:
    return Damaged(
        "RCL4024",
        f"the copy of a map {path} {what}",
        "The catalog does not need it while it is sound itself. Check the disk that the store lies on.",
        subject=str(path),
    )
