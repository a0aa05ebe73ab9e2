"""SQLite databases as we keep them: WAL, synchronous=FULL, numbered SQL files, commits through `files`."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from reconciler import files
from reconciler.errors import Damaged, Refused, TemporaryError

_NUMBERED = re.compile(r"(\d{4})_\w+\.sql")


def connect(path: Path, *, migrations: str, wait_seconds: float = 30.0) -> sqlite3.Connection:
    """Opens (making it if need be) the database at `path` and brings its schema up to date.

    `migrations` is the dotted name of a package whose files ``0001_name.sql``, ``0002_...`` build the
    schema, in order. A database that a newer program wrote is refused with `Refused`, RCL5001; one that
    SQLite cannot read raises `Damaged`, RCL5002.
    The connection is in autocommit mode: changes go through `transaction`. It may be used from several
    threads, one at a time.
    """
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=wait_seconds, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        _migrate(connection, path, migrations)
    except BaseException as error:
        if connection is not None:
            connection.close()
        locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
        if not isinstance(error, sqlite3.DatabaseError) or locked:
            raise
        raise Damaged(
            "RCL5002",
            f"the database {path} cannot be read: {error}",
            "Keep the file, restore it from a backup, and look at the disk it is on.",
            subject=str(path),
        ) from error
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection]:
    """Everything inside happens or nothing does. Takes the write lock at once, so it never deadlocks.

    Raises `TemporaryError`, RCL5006, where SQLite cannot write: a full or failing disk, a lock that stays.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        files.announce("commit", path)
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if not isinstance(error, sqlite3.OperationalError):
            raise
        raise TemporaryError(
            "RCL5006",
            f"the database {path} cannot be written: {error}",
            "Make room, or look at the disk; nothing was changed.",
            subject=str(path),
        ) from error


def _migrate(connection: sqlite3.Connection, path: Path, package: str) -> None:
    scripts = sorted(
        (int(match[1]), entry)
        for entry in resources.files(package).iterdir()
        if (match := _NUMBERED.fullmatch(entry.name))
    )
    newest = scripts[-1][0]
    current = _version(connection)
    if current > newest:
        raise Refused(
            "RCL5001",
            f"{path} has schema version {current}, this program knows up to {newest}",
            "Use the program version that wrote it, or a newer one; nothing was changed.",
            subject=str(path),
        )
    for number, script in scripts:
        if number > current:
            _run(connection, path, number, script.read_text(encoding="utf-8"))


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _run(connection: sqlite3.Connection, path: Path, number: int, script: str) -> None:
    with transaction(connection, path):
        if _version(connection) >= number:
            return
        for statement in script.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={number:d}")
