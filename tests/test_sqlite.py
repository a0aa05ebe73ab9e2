"""Databases as we keep them: all or nothing, and a full disk is told as one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from reconciler import sqlite
from reconciler.errors import TemporaryError

MIGRATIONS = "reconciler.store.sql"


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
