"""SQLite databases as we keep them: WAL, synchronous=FULL, numbered SQL files, commits through `files`.

Two doors: `connect` for those who write, `connect_reading` for those who only read. Whatever SQLite says, at opening or
in the middle of a table, comes out as an error of ours that names the file: damage as `Damaged`, RCL5002; a full or
failing disk, a lock that stays, as `TemporaryError`, RCL5006; what this account may not do as `Refused`, RCL4026.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

from reconciler import files
from reconciler.errors import Damaged, ReconcilerError, Refused, TemporaryError
from reconciler.system_errors import account
from reconciler.wal import merged

_NUMBERED = re.compile(r"(\d{4})_\w+\.sql")

#: Up to this size in bytes a database that nobody has open is read from a copy in memory.
_COPIED = 64 * 1024 * 1024


#: What SQLite says, and what Python says of a message of SQLite's with a damaged name in it.
_SAID = (sqlite3.DatabaseError, UnicodeDecodeError)


class _Cursor(sqlite3.Cursor):
    """A cursor whose errors name the file."""

    def execute(self, *words: Any) -> _Cursor:
        try:
            return super().execute(*words)
        except _SAID as error:
            self._told(error)

    def executemany(self, *words: Any) -> _Cursor:
        try:
            return super().executemany(*words)
        except _SAID as error:
            self._told(error)

    def fetchone(self) -> Any:
        try:
            return super().fetchone()
        except _SAID as error:
            self._told(error)

    def fetchall(self) -> list[Any]:
        try:
            return super().fetchall()
        except _SAID as error:
            self._told(error)

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except _SAID as error:
            self._told(error)

    def _told(self, error: Exception) -> NoReturn:
        if is_damage(error):
            raise damaged(self.connection.path, error) from error  # type: ignore[attr-defined]
        raise error


class Connection(sqlite3.Connection):
    """A connection that knows its file, and says of damage in the middle of a table what it says of it at opening."""

    path: Path

    def cursor(self, factory: type[sqlite3.Cursor] | None = None) -> Any:  # type: ignore[override]
        return super().cursor(factory or _Cursor)

    def execute(self, *words: Any) -> sqlite3.Cursor:
        cursor: _Cursor = self.cursor()
        return cursor.execute(*words)

    def executemany(self, *words: Any) -> sqlite3.Cursor:
        cursor: _Cursor = self.cursor()
        return cursor.executemany(*words)


def connect(path: Path, *, migrations: str, wait_seconds: float = 30.0) -> Connection:
    """Opens (making it if need be) the database at `path` for writing, and brings its schema up to date.

    `migrations` is the dotted name of a package whose files ``0001_name.sql``, ``0002_...`` build the
    schema, in order. A database that a newer program wrote is refused with `Refused`, RCL5001.
    The connection is in autocommit mode: changes go through `transaction`. It may be used from several
    threads, one at a time.
    """
    connection = None
    try:
        connection = _opened(path, wait_seconds)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        _migrate(connection, path, migrations)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, files.NotRegular):
            raise damaged(path, error.strerror) from error
        if not isinstance(error, sqlite3.DatabaseError):
            raise
        raise (damaged if is_damage(error) else unwritable)(path, error) from error
    return connection


def connect_reading(path: Path, *, migrations: str) -> Connection:
    """Opens the database at `path` for reading alone, whatever version of its schema it has (`version` tells).

    It makes no file and changes none, and needs neither room nor the right to write: while somebody has the database
    open, SQLite shares its memory with us; else database and log are read from a copy in memory (a large database
    through SQLite, which tidies up after itself, or as the unchanging file that it is). Raises `FileNotFoundError`
    where there is none, `Refused`, RCL5001, for one that a newer program wrote.
    """
    if not path.exists():
        raise FileNotFoundError(2, "there is no database", str(path))
    try:
        connection = _shared(path) or _read_only(path)
    except OSError as error:
        raise unreadable(path, error) from error
    except sqlite3.DatabaseError as error:
        raise damaged(path, error) from error
    try:
        _refuse_newer(connection, path, _scripts(migrations)[-1][0])
    except BaseException:
        connection.close()
        raise
    return connection


def version(connection: sqlite3.Connection) -> int:
    """The number of the last SQL file that built the schema; 0 for an empty database."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


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
        raise unwritable(path, error) from error


# --- Errors ----------------------------------------------------------------------------------------------------

#: Primary result codes of SQLite that speak of the file system and of other processes, not of the file's contents.
_OF_THE_WORLD = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def is_damage(error: Exception) -> bool:
    """Our statements are fixed: a table that is not there, a text that is none, are damage like a broken page. What a
    program of ours does wrong (a bad number of values) is no damage."""
    return not isinstance(error, sqlite3.ProgrammingError) and _code(error) not in _OF_THE_WORLD


def damaged(path: Path, error: object) -> Damaged:
    """RCL5002: what is in the file is not what was written."""
    return Damaged(
        "RCL5002",
        f"the database {path} is damaged: {error}",
        "Keep the file for diagnosis, restore it from a backup, and check the disk it is on.",
        subject=str(path),
    )


def unwritable(path: Path, error: sqlite3.Error) -> ReconcilerError:
    """RCL5006: the file is as it was, and cannot be written now; RCL4026 where this account may not write it."""
    if _code(error) in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        writable = os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))
        if not writable:
            return Refused(
                "RCL4026",
                f"{account()} may not write {path}" + (", only read it" if os.access(path, os.R_OK) else ""),
                "Run the command as the account that owns the folder, or grant this one permission to write there. "
                "Where the file system is mounted read-only, mount it for writing. What is stored is unharmed.",
                subject=str(path),
            )
    free = _free(path)
    if free is not None and (_code(error) == sqlite3.SQLITE_FULL or free < 256 * 1024):
        return TemporaryError(
            "RCL5006",
            f"the disk of {path.parent} is full ({free} B free): {path.name} cannot be written ({error})",
            "Free some space on that disk, then run it again. What is stored is unharmed.",
            subject=str(path),
        )
    return TemporaryError(
        "RCL5006",
        f"the database {path} cannot be written: {error}",
        "Look for another process that uses it, and at the disk. What is stored is unharmed.",
        subject=str(path),
    )


def unreadable(path: Path, error: OSError) -> ReconcilerError:
    """RCL4026 for a file that this account may not read, else RCL5002."""
    if isinstance(error, PermissionError):
        return Refused(
            "RCL4026",
            f"{account()} may not read {path}",
            "Run the command as the account that owns it, or grant this one permission to read the folder.",
            subject=str(path),
        )
    return damaged(path, error.strerror or error)


def _free(path: Path) -> int | None:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return None


# --- Reading alone ---------------------------------------------------------------------------------------------


def _opened(path: Path, wait_seconds: float, mode: str = "") -> Connection:
    for each in (path, _beside(path, "-wal"), _beside(path, "-shm"), _beside(path, "-journal")):
        files.check_regular(each)
    name = f"{path.absolute().as_uri()}?{mode}" if mode else str(path)
    connection: Connection = sqlite3.connect(
        name, timeout=wait_seconds, isolation_level=None, check_same_thread=False, factory=Connection, uri=bool(mode)
    )
    connection.path = path
    connection.row_factory = sqlite3.Row
    return connection


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _shared(path: Path) -> Connection | None:
    """A connection that shares memory with whoever has the database open; None where nobody has, or it cannot be."""
    if not (_beside(path, "-wal").exists() and _beside(path, "-shm").exists()):
        return None
    return _tried(path, "mode=ro")


def _tried(path: Path, mode: str) -> Connection | None:
    connection = None
    try:
        connection = _opened(path, 30.0, mode)
        connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        if connection is not None:
            connection.close()
        return None
    except BaseException:
        if connection is not None:
            connection.close()
        raise
    return connection


def _read_only(path: Path) -> Connection:
    if path.stat().st_size <= _COPIED:
        return _in_memory(path)
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) and (found := _tried(path, "mode=rw")):
        return found
    wal = _beside(path, "-wal")
    if not wal.exists() or wal.stat().st_size == 0:
        found = _tried(path, "mode=ro&immutable=1")
        if found is not None:
            return found
    return _in_memory(path)


def in_memory(path: Path) -> Connection:
    """An empty database in memory, whose errors name the file at `path`."""
    connection = _opened(Path(":memory:"), 30.0)
    connection.path = path
    return connection


def _in_memory(path: Path) -> Connection:
    connection = in_memory(path)
    try:
        image = _image(path)
        if image:
            connection.deserialize(image)
        connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _image(path: Path) -> bytes:
    """The database with its log worked in, as it was at one moment.

    As long as the log is the same before and after the database was read, log and database belong together: until a
    log is begun anew, only pages that are in it are written to the database.
    """
    wal = _beside(path, "-wal")
    for _ in range(10):
        before = (_stamp(path), _bytes(wal))
        image = _bytes(path)
        if (_stamp(path), _bytes(wal)) == before:
            break
    return merged(image, before[1])


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _bytes(path: Path) -> bytes:
    try:
        with files.open_regular(path) as file:
            return file.read()
    except FileNotFoundError:
        return b""


# --- Schemas ---------------------------------------------------------------------------------------------------


def _scripts(package: str) -> list[tuple[int, Any]]:
    return sorted(
        (int(match[1]), entry)
        for entry in resources.files(package).iterdir()
        if (match := _NUMBERED.fullmatch(entry.name))
    )


def migrate(connection: Connection, package: str) -> None:
    """Brings the schema of an open database up to date."""
    _migrate(connection, connection.path, package)


def _migrate(connection: sqlite3.Connection, path: Path, package: str) -> None:
    scripts = _scripts(package)
    current = _refuse_newer(connection, path, scripts[-1][0])
    for number, script in scripts:
        if number > current:
            _run(connection, path, number, script.read_text(encoding="utf-8"))


def _refuse_newer(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    current = version(connection)
    if current > newest:
        raise Refused(
            "RCL5001",
            f"{path} has schema version {current}, this program knows up to {newest}",
            "Use the program version that wrote it, or a newer one; nothing was changed.",
            subject=str(path),
        )
    return current


def _run(connection: sqlite3.Connection, path: Path, number: int, script: str) -> None:
    with transaction(connection, path):
        if version(connection) >= number:
            return
        for statement in script.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={number:d}")
