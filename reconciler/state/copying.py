"""State databases as files: a consistent copy of one, and one put in the place of another, whole or not at all."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from reconciler import files, sqlite, system_calls
from reconciler.errors import Damaged

#: The schema of state databases.
SQL = "reconciler.state.sql"

#: How many pages are copied at once.
_PAGES = 1024

#: Files that SQLite keeps beside a database.
_BESIDE = ("-wal", "-shm")


def _between(status: int, left: int, total: int) -> None:
    """Between two pieces of a copy, so that Ctrl-C is heard there."""


def copy_database(source: Path, target: Path) -> None:
    """Makes `target` a copy of the database as it is at one moment, whoever writes to it meanwhile; one file, 0600.

    The database is only read: its disk may be full or read-only. Raises `Damaged`, RCL5002, where SQLite cannot read it
    whole, `TemporaryError`, RCL5006, where the copy cannot be written.
    """
    files.unlink(target)
    files.announce("write", target)
    descriptor = system_calls.open_file(target, os.O_CREAT | os.O_EXCL | os.O_RDWR)
    try:
        with closing(sqlite.connect_reading(source, migrations=SQL)) as one, closing(sqlite3.connect(target)) as two:
            try:
                one.execute("BEGIN")
                one.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from now on it is of this moment
                one.backup(two, pages=_PAGES, progress=_between)
                two.execute("PRAGMA journal_mode=DELETE")
            except sqlite3.OperationalError as error:
                if sqlite.is_damage(error):
                    raise
                raise sqlite.unwritable(target, error) from error
            found = str(two.execute("PRAGMA integrity_check").fetchone()[0])
        files.fsync(descriptor, target)
    except sqlite3.DatabaseError as error:
        found = str(error)
    finally:
        os.close(descriptor)
    if found != "ok":
        raise Damaged(
            "RCL5002",
            f"the database {source} cannot be read whole: {found}",
            "Keep the file, restore it from a backup, and check the disk it is on.",
            subject=str(source),
        )


def put_database(staged: Path, target: Path) -> None:
    """Gives the readable database `target` the contents of `staged`, in one transaction of SQLite.

    Whoever has it open goes on with the new contents. A file renamed over it would leave them at work on the old one,
    with a lease and tokens of its own.
    """
    with closing(sqlite3.connect(staged)) as one, closing(sqlite3.connect(target, timeout=30)) as two:
        two.execute("PRAGMA synchronous=FULL")
        files.announce("commit", target)
        one.backup(two)


def keep_raw(database: Path, copy: Path) -> tuple[Path, ...]:
    """Copies a database that SQLite cannot read, and what lies beside it, byte for byte; returns the copies."""
    made = []
    for ending in ("", *_BESIDE):
        source = database.with_name(database.name + ending)
        if source.exists():
            target = copy.with_name(copy.name + ending)
            files.announce("write", target)
            with files.open_regular(source) as before, os.fdopen(files.create(target), "wb") as after:
                shutil.copyfileobj(before, after)
                after.flush()
                files.fsync(after.fileno(), target)
            made.append(target)
    files.fsync_folder(copy.parent)
    return tuple(made)


def replace_database(staged: Path, target: Path) -> None:
    """Puts `staged` where no database is, or one that cannot be read, of which a copy was kept.

    Its log goes first: SQLite would read an old log into the new database.
    """
    for ending in _BESIDE:
        beside = target.with_name(target.name + ending)
        if beside.exists():
            files.unlink(beside)
    files.rename(staged, target)
