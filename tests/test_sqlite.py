"""Databases as we keep them: all or nothing, and a full disk is told as one."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import sqlite
from reconciler.errors import Damaged, Diagnostic, Refused, TemporaryError

MIGRATIONS = "reconciler.state.sql"


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    connection = sqlite.connect(path, migrations=MIGRATIONS)
    query = "INSERT INTO mark (name, at) VALUES (?, 'now')"
    with pytest.raises(ZeroDivisionError):
        _cut_off(connection, path, query)
    with sqlite.transaction(connection, path):
        connection.execute(query, ("two",))
    assert [row["name"] for row in connection.execute("SELECT name FROM mark")] == ["two"]
    connection.close()


def _cut_off(connection: sqlite3.Connection, path: Path, query: str) -> None:
    with sqlite.transaction(connection, path):
        connection.execute(query, ("one",))
        raise ZeroDivisionError


def test_a_full_disk_is_said_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    connection = sqlite.connect(path, migrations=MIGRATIONS)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(TemporaryError) as full, sqlite.transaction(connection, path):
        connection.execute("INSERT INTO mark (name, at) VALUES ('big', ?)", ("x" * 100_000,))
    assert full.value.diagnostic.code == "RCL5006"
    assert connection.execute("SELECT count(*) FROM mark").fetchone()[0] == 0
    connection.close()


def test_migrations_run_once(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    for _ in range(2):
        connection = sqlite.connect(path, migrations=MIGRATIONS)
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 3
        connection.close()


# --- Reading alone ---------------------------------------------------------------------------------------------


def _writer(path: Path) -> sqlite3.Connection:
    connection = sqlite.connect(path, migrations=MIGRATIONS)
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection


def _write(connection: sqlite3.Connection, path: Path, name: str, at: str) -> None:
    with sqlite.transaction(connection, path):
        connection.execute("INSERT OR REPLACE INTO mark (name, at) VALUES (?, ?)", (name, at))


def _marks(connection: sqlite3.Connection) -> dict[str, str]:
    return {row["name"]: row["at"] for row in connection.execute("SELECT name, at FROM mark")}


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_reading_makes_no_file_and_changes_none(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    writer = _writer(path)
    _write(writer, path, "one", "1")
    writer.close()
    before = _listing(tmp_path)
    assert list(before) == ["x.db"]
    reader = sqlite.connect_reading(path, migrations=MIGRATIONS)
    assert _marks(reader) == {"one": "1"}
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("DELETE FROM mark")
    assert _listing(tmp_path) == before
    reader.close()
    assert _listing(tmp_path) == before


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20_000), st.booleans()), max_size=12), st.booleans())
def test_what_a_killed_writer_left_reads_as_sqlite_itself_reads_it(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[int, int, bool]], torn: bool
) -> None:
    """Database and log without shared memory, as on a disk that is full or read-only."""
    folder = tmp_path_factory.mktemp("w")
    path = folder / "x.db"
    writer = _writer(path)
    for number, size, checkpoint in writes:
        _write(writer, path, f"m{number}", "x" * size)
        if checkpoint:
            writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
        if number == 7:
            with sqlite.transaction(writer, path):
                writer.execute("DELETE FROM mark")
    left = folder / "left"
    left.mkdir()
    (left / "x.db").write_bytes(path.read_bytes())
    log = path.with_name("x.db-wal").read_bytes()
    (left / "x.db-wal").write_bytes(log[:-1000] if torn else log)
    writer.close()
    before = _listing(left)
    reader = sqlite.connect_reading(left / "x.db", migrations=MIGRATIONS)
    found = _marks(reader)
    reader.close()
    assert _listing(left) == before
    itself = sqlite3.connect(left / "x.db")
    itself.row_factory = sqlite3.Row
    assert found == _marks(itself)
    itself.close()


def test_a_reader_sees_what_a_living_writer_has_committed(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    writer = _writer(path)
    _write(writer, path, "one", "1")
    before = sorted(_listing(tmp_path))
    reader = sqlite.connect_reading(path, migrations=MIGRATIONS)
    assert _marks(reader) == {"one": "1"}
    _write(writer, path, "two", "2")
    assert sorted(_listing(tmp_path)) == before
    reader.close()
    writer.close()


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sqlite.connect_reading(tmp_path / "x.db", migrations=MIGRATIONS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("door", [sqlite.connect, sqlite.connect_reading])
def test_damage_in_the_middle_is_told_as_damage(tmp_path: Path, door: Callable[..., sqlite.Connection]) -> None:
    """Whatever byte is flipped: the file's name and RCL5002, or an answer; never an error of SQLite's own."""
    path = tmp_path / "x.db"
    writer = sqlite.connect(path, migrations=MIGRATIONS)
    with sqlite.transaction(writer, path):
        writer.executemany("INSERT INTO mark (name, at) VALUES (?, ?)", [(f"m{n}", "y" * 50) for n in range(400)])
    writer.close()
    whole = path.read_bytes()
    chance = random.Random(4)
    told = 0
    for _ in range(250):
        data = bytearray(whole)
        for _ in range(4):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        said = _opened_and_read(door, path)
        assert said is None or (said.code in ("RCL5001", "RCL5002") and str(path) in said.message)
        told += said is not None
    assert told > 20


def _opened_and_read(door: Callable[..., sqlite.Connection], path: Path) -> Diagnostic | None:
    try:
        connection = door(path, migrations=MIGRATIONS)
        try:
            _marks(connection)
            connection.execute("SELECT at FROM mark WHERE name = 'm7'").fetchone()
        finally:
            connection.close()
    except (Damaged, Refused) as error:
        return error.diagnostic
    return None
