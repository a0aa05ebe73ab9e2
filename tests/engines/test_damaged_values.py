"""A value of another kind in any column of a catalog or of the server's database: it is noticed, or no answer changes.

SQLite keeps in every value what kind it is, so that one flipped bit makes a text, a fraction or nothing of a number.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.engines.embedded.blocks import BLOCK
from reconciler.errors import ReconcilerError
from reconciler.model import JobKind, JobState
from tests.engines.test_embedded import Lab

PROVE = bool(os.environ.get("RECONCILER_PROVE"))
VALUES: tuple[Any, ...] = ("none", 1.5, -1, 2**62, b"\xff" * 7, None)
COLUMNS = [
    ("catalog.db", "record", ("kind", "key", "body", "seal")),
    ("catalog.db", "machine_map", ("base", "depth", "body", "seal")),
    ("catalog.db", "stored_block", ("name", "pack", "offset", "length", "block_length", "encoding", "base", "seal")),
    ("server.db", "record", ("kind", "key", "body", "seal")),
]
#: What a key of a table without row ids may never be.
_KEYS = ("kind", "key", "name")
EVERY = [
    (file, table, column, value, row)
    for file, table, columns in COLUMNS
    for place, column in enumerate(columns)
    for number, value in enumerate(VALUES)
    for row in range(6 if PROVE else 1)
    if (PROVE or number == place % len(VALUES)) and not (value is None and column in (*_KEYS, "base"))
]


class Kept(Lab):
    """A lab with three points, and what they hold."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, b"text " * BLOCK)
        self.held: dict[str, bytes] = {}
        for seed, kind in enumerate((JobKind.INITIAL_REPLICA, JobKind.SYNCHRONIZATION, JobKind.SYNCHRONIZATION)):
            self.cluster.change(1, seed, seed=seed)
            assert self.back_up(kind).state is JobState.SUCCEEDED
            (point,) = set(self.points()) - self.held.keys()
            self.held[point] = self.cluster.disk(1).read_bytes()

    def rights(self) -> set[str]:
        """The points that are recovered. One that is has the bytes that it was made with."""
        found = set()
        for point in self.held:
            try:
                status, path = self.recover(point)
            except ReconcilerError:
                continue
            assert status.code != "RCL9001", status
            if status.state is JobState.SUCCEEDED:
                assert path.read_bytes() == self.held[point]
                found.add(point)
        return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    kept = Kept(tmp_path_factory.mktemp("kept"))
    kept.engine.close()
    shutil.copytree(kept.folder / "store", kept.folder / "whole")
    yield kept
    kept.engine.close()


def put_value(path: Path, table: str, column: str, value: object, row: int) -> None:
    """The value in one row, by their digests; nothing is put where nothing may be, as by a flipped bit."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema=ON")
        (made,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, ' NOT NULL', '') WHERE name = ?", (table,))
        db.execute("PRAGMA writable_schema=RESET")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        seals = [seal for (seal,) in db.execute(f"SELECT seal FROM {table} ORDER BY seal DESC")]
        seal = seals[row % len(seals)]
        assert db.execute(f"UPDATE {table} SET {column} = ? WHERE seal = ?", (value, seal)).rowcount == 1
        db.execute("PRAGMA writable_schema=ON")
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (made, table))


@pytest.mark.parametrize(("file", "table", "column", "value", "row"), EVERY)
def test_a_value_of_another_kind(kept: Kept, file: str, table: str, column: str, value: object, row: int) -> None:
    kept.engine.close()
    shutil.rmtree(kept.folder / "store")
    shutil.copytree(kept.folder / "whole", kept.folder / "store")
    (path,) = (kept.folder / "store").rglob(file)
    put_value(path, table, column, value, row)
    kept.engine = kept.open()
    try:
        found = kept.engine.check_store(None).findings
    except ReconcilerError as error:
        found = (error.diagnostic,)
    assert {each.code for each in found} - {"RCL4016"}
    before = kept.rights()
    kept.clock.forward(timedelta(hours=1))
    kept.cluster.change(1, 3, seed=kept.number)
    kept.cluster.change(1, 0, seed=0)
    for kind in (JobKind.SYNCHRONIZATION, JobKind.EXPRESS_FULL, JobKind.CONSISTENCY_CHECK, JobKind.PRUNING):
        try:
            status = kept.back_up(kind)
        except ReconcilerError:
            continue
        assert status.code != "RCL9001", (kind, status)
    assert kept.rights() >= before
