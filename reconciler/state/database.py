"""The state database: one connection that several threads share, rows in, sealed rows out.

Every row carries a digest over its table and all of its values, and a tally keeps count and sum of the digests of each
set of rows that is asked for as a whole: a bit that flips in the file is damage, never another answer.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from reconciler import encoded, sqlite
from reconciler.errors import Damaged, Refused, TemporaryError
from reconciler.model import Lineage
from reconciler.state.tables import FIRST_TABLES, LINEAGE, TABLES, Table, Values, seal

T = TypeVar("T")

#: The schema with which rows began to carry digests. An older one is read as it is, and sealed by the first writer.
SEALED_SINCE = 3

_NOTHING = bytes(16)


class Database:
    """The one connection, used by one thread at a time.

    `guard` is called inside every transaction before anything is written, and refuses by raising: see `Locks.guard`.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, *, reading: bool = False) -> None:
        self.path = path
        self.reading = reading
        self._connection = connection
        self._lock = threading.RLock()
        self._guards = threading.local()
        self.sealed = False
        with self._damage_said():
            version = sqlite.version(connection)
            if version >= SEALED_SINCE and not reading:
                self._seal_all(version)
            self.sealed = version >= SEALED_SINCE and self._has_identity()
            if self.sealed:
                self._hold_schema(version)

    # --- Guarding ----------------------------------------------------------------------------------------

    guard: Callable[[], None] | None = None

    @contextmanager
    def guarded_by(self, guard: Callable[[], None]) -> Iterator[None]:
        """What this thread writes inside stands under this guard, and not under the one of the whole memory."""
        before = getattr(self._guards, "guard", None)
        self._guards.guard = guard
        try:
            yield
        finally:
            self._guards.guard = before

    # --- Transactions ------------------------------------------------------------------------------------

    def write(self, act: Callable[[sqlite3.Connection], T], *, guarded: bool = True) -> T:
        """Runs `act` in a transaction, which moves the state's generation on. `guarded` False is for the leases
        themselves, for what persons ask for, and for what was merely seen."""
        if self.reading:
            raise _only_reading(self.path)
        with self._lock, self._damage_said(), sqlite.transaction(self._connection, self.path) as connection:
            guard = getattr(self._guards, "guard", None) or self.guard
            if guarded and guard is not None:
                guard()
            done = act(connection)
            self.move(connection)
            return done

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One moment of the database: what is read inside fits together."""
        with self._lock, self._damage_said():
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def _damage_said(self) -> Iterator[None]:
        """What SQLite finds wrong with the file, at any read, in our words."""
        try:
            yield
        except (sqlite3.DatabaseError, sqlite3.Warning) as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                raise _busy(self.path, error) from error
            raise self.damage(str(error)) from error
        except (UnicodeDecodeError, OverflowError) as error:
            raise self.damage(f"a value cannot be read: {error}") from error

    def damage(self, what: str) -> Damaged:
        """The state does not read as it was written."""
        return Damaged(
            "RCL5002",
            f"the state database {self.path} is damaged: {what}",
            "Keep the file and check the disk it is on. Then restore the state: `reconciler state restore BACKUP`.",
            subject=str(self.path),
        )

    # --- Rows --------------------------------------------------------------------------------------------

    def put(self, write: sqlite3.Connection, table: Table, **values: Any) -> None:
        """Writes a row, over the one with its key."""
        key = [values[column] for column in table.key]
        before = self._take_off(write, table, key)
        if table.ordered:
            next_one = f"SELECT coalesce(max(sequence), 0) + 1 FROM {table.name}"
            values["sequence"] = before["sequence"] if before is not None else write.execute(next_one).fetchone()[0]
        digest = seal(table, values)
        columns = (*table.columns, "digest")
        others = [column for column in columns if column not in table.key]
        write.execute(
            f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
            f"ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in others)}",
            [*(values[column] for column in table.columns), digest],
        )
        for name in table.sets(values):
            self._count(write, name, 1, digest)

    def drop(self, write: sqlite3.Connection, table: Table, *key: Any) -> None:
        """Removes the row with this key, if there is one."""
        self._take_off(write, table, key)
        write.execute(f"DELETE FROM {table.name} WHERE {table.here}", key)

    def row(self, table: Table, *key: Any) -> Values | None:
        """The row with this key, sealed as it was written."""
        found = self.rows(table, table.here, *key)
        if not found and table.ordered and self.sealed:
            # An index that is damaged says that there is nothing: the table itself is asked.
            found = self.rows(table, table.here, *key, source=f"{table.name} NOT INDEXED")
        return found[0] if found else None

    def rows(
        self, table: Table, where: str = "1", *values: object, order: str = "", whole: str = "", source: str = ""
    ) -> list[Values]:
        """Rows, each as it was sealed. `whole` is the set that they have to be all of; `source` an expression that
        stands for the table. Raises `Damaged`, RCL5002."""
        if not self.sealed and table not in FIRST_TABLES:
            return []
        columns = ", ".join((*table.columns, "digest") if self.sealed else table.columns)
        tail = f" ORDER BY {order}" if order else ""
        with self._reading() as connection:
            query = f"SELECT {columns} FROM {source or table.name} WHERE {where}{tail}"
            found = [dict(row) for row in connection.execute(query, values)]
            if self.sealed:
                for row in found:
                    self._hold_against(table, row)
                if whole:
                    self._hold_whole(connection, whole, found)
        return [*found]

    def verify(self) -> int:
        """Reads every row of every table; returns how many there are. Raises `Damaged`, RCL5002, at the first that is
        not as it was sealed, or is missing."""
        with self._reading() as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            if found != "ok":
                raise self.damage(found)
            self.lineage()
            return sum(len(self.rows(table, whole=table.name)) for table in (TABLES if self.sealed else FIRST_TABLES))

    def decode(self, body: bytes, kind: type[T]) -> T:
        """A stored struct; raises `Damaged` where it does not read back."""
        try:
            return encoded.read(body, kind)
        except encoded.Wrong as error:
            raise self.damage(f"it holds a {kind.__name__} that does not read back: {error}") from error

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    # --- Lineage -----------------------------------------------------------------------------------------

    def lineage(self) -> Lineage | None:
        """Who this state is, and how far it has come; None for one of version 0.1 that nobody has written to since."""
        found = self.row(LINEAGE, 1) if self.sealed else None
        if self.sealed and found is None:
            raise self.damage("it has lost its identity")
        return Lineage(found["id"], found["generation"]) if found is not None else None

    def line(self) -> dict[str, Any]:
        """The whole row of the lineage, with the floor of all tokens and the end of the evidence."""
        found = self.row(LINEAGE, 1)
        if found is None:
            raise self.damage("it has lost its identity")
        return dict(found)

    def move(self, write: sqlite3.Connection, **values: Any) -> None:
        """Moves the generation on, inside a transaction, and sets other values of the lineage."""
        line = self.line()
        line = line | {"generation": line["generation"] + 1} | values
        self.put(write, LINEAGE, **line)

    def _has_identity(self) -> bool:
        """Whether the rows are sealed: not yet where whoever upgraded the state was killed before it came to that."""
        if self._connection.execute("SELECT 1 FROM lineage").fetchone() is not None:
            return True
        if self._connection.execute("SELECT 1 FROM tally").fetchone() is not None:
            raise self.damage("it has lost its identity")
        return False

    def _hold_schema(self, version: int) -> None:
        """What a table is said to be decides what is read out of it. An upgrade that was cut off is finished by the
        next writer."""
        line = self.line()
        if line["version"] == version and line["schema"] != _schema(self._connection):
            raise self.damage("its schema is not as it was made")

    def _seal_all(self, version: int) -> None:
        """The first time that a state is opened for writing: it takes an identity, and every row of version 0.1 its
        digest, in one transaction."""
        with self._lock, self._damage_said():
            if self._has_identity():
                self.sealed = True
                if self.line()["version"] != version:
                    self.write(lambda write: self.move(write, version=version, schema=_schema(write)), guarded=False)
                return
            with sqlite.transaction(self._connection, self.path) as write:
                if write.execute("SELECT 1 FROM lineage").fetchone() is not None:
                    return
                for table in FIRST_TABLES:
                    columns = ", ".join(table.columns)
                    for row in write.execute(f"SELECT {columns} FROM {table.name}").fetchall():
                        self._seal_one(write, table, dict(row))
                line = {"only": 1, "id": secrets.token_hex(16), "generation": 1, "floor": 0, "seq": None, "head": None}
                self.put(write, LINEAGE, **line, version=version, schema=_schema(write))

    def _seal_one(self, write: sqlite3.Connection, table: Table, values: dict[str, Any]) -> None:
        digest = seal(table, values)
        key = [values[column] for column in table.key]
        write.execute(f"UPDATE {table.name} SET digest = ? WHERE {table.here}", [digest, *key])
        for name in table.sets(values):
            self._count(write, name, 1, digest)

    # --- Digests -----------------------------------------------------------------------------------------

    def _take_off(self, write: sqlite3.Connection, table: Table, key: Sequence[Any]) -> Values | None:
        """Takes the row with this key, if there is one, out of the tallies; returns it."""
        columns = ", ".join((*table.columns, "digest"))
        found = write.execute(f"SELECT {columns} FROM {table.name} WHERE {table.here}", key).fetchone()
        if found is None:
            return None
        row = dict(found)
        self._hold_against(table, row)
        for name in table.sets(row):
            self._count(write, name, -1, row["digest"])
        return row

    def _count(self, write: sqlite3.Connection, name: str, by: int, digest: bytes) -> None:
        count, total = self._tally(write, name)
        row = (name, count + by, _xor(total, digest))
        write.execute("INSERT OR REPLACE INTO tally (name, count, sum) VALUES (?, ?, ?)", row)

    def _tally(self, connection: sqlite3.Connection, name: str) -> tuple[int, bytes]:
        found = connection.execute("SELECT count, sum FROM tally WHERE name = ?", (name,)).fetchone()
        if found is None:
            return 0, _NOTHING
        count, total = found["count"], found["sum"]
        if not isinstance(count, int) or not isinstance(total, bytes) or len(total) != len(_NOTHING):
            raise self.damage(f"the tally of {name} cannot be read")
        return count, total

    def _hold_against(self, table: Table, row: dict[str, Any]) -> None:
        if row.get("digest") != seal(table, row):
            key = ", ".join(str(row[column])[:60] for column in table.key)
            raise self.damage(f"the row {key} of {table.name} is not as it was written")

    def _hold_whole(self, connection: sqlite3.Connection, name: str, rows: Sequence[Values]) -> None:
        count, total = self._tally(connection, name)
        for row in rows:
            total = _xor(total, row["digest"])
        if count != len(rows) or total != _NOTHING:
            raise self.damage(f"{name} has {len(rows)} rows, of {count} that were written, or others")


def _schema(connection: sqlite3.Connection) -> str:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
    return blake2b(msgspec.msgpack.encode([tuple(row) for row in rows]), digest_size=16).hexdigest()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _busy(path: Path, error: Exception) -> TemporaryError:
    return TemporaryError(
        "RCL5006",
        f"the database {path} is not free: {error}",
        "Another process keeps it locked. Run the command again; nothing was changed.",
        subject=str(path),
    )


def _only_reading(path: Path) -> Refused:
    return Refused(
        "RCL5040",
        f"the state {path} is open for reading only",
        "This command only reads; what changes something opens the state for writing.",
        subject=str(path),
    )
