"""The state database: one connection that several threads share, statements in, structs out."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from reconciler import sqlite
from reconciler.errors import Damaged

T = TypeVar("T")


class Database:
    """The one connection, used by one thread at a time.

    `guard` is called inside every transaction before anything is written, and refuses by raising: see `Locks.guard`.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()
        self.guard: Callable[[sqlite3.Connection], None] | None = None

    def write(self, act: Callable[[sqlite3.Connection], T], *, guarded: bool = True) -> T:
        """Runs `act` in a transaction; `guarded` False is for the leases themselves."""
        with self._lock, sqlite.transaction(self._connection, self.path) as connection:
            if guarded and self.guard is not None:
                self.guard(connection)
            return act(connection)

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def decode(self, body: bytes, kind: type[T]) -> T:
        """A stored struct; raises `Damaged` where it does not read back."""
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise Damaged(
                "RCL5002",
                f"{self.path} holds a {kind.__name__} that does not read back: {error}",
                "Keep the file, restore it from a backup, and look at the disk it is on.",
                subject=str(self.path),
            ) from error

    def close(self) -> None:
        with self._lock:
            self._connection.close()
