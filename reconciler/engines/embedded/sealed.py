"""Sealed rows: what a database or a small file of the store says -> the same, with a digest that a flipped bit breaks.

Every row carries a digest over the identity of its store, its table and all of its values (`seal`). One row, the head,
says who the store is, how far it has come, which fencing tokens it has seen, and for each table how many rows there are
and the sum of their digests: so a row that is gone, or was never written, shows too. A damaged row harms itself alone.

The digests tell damage, not malice: whoever may write the store can write digests as well.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from blake3 import blake3

from reconciler import encoded, sqlite
from reconciler.errors import Damaged, StaleFence
from reconciler.model import Lineage
from reconciler.protocols import Fence

_SEAL = 16
_MODULUS = 1 << (8 * _SEAL)
_CONTEXT = "reconciler store 2: a row of a database"
_FILE_CONTEXT = "reconciler store 2: a small file"

T = TypeVar("T", bound=msgspec.Struct)


class Head(msgspec.Struct, rename="camel", omit_defaults=True):
    """What a database says of itself as a whole.

    `generation` grows with every transaction that writes. `server` is, in a replica's catalog, the server's store and
    its generation when the last job began; `state`, in the server's database, the state that last wrote here. `needs`
    names what a reader has to know beyond format 2: a name that it does not know makes it refuse. `tallies` are, by
    table or kind of record, how many rows there are and the sum of their digests in hexadecimal.
    """

    store: str
    generation: int = 0
    tokens: dict[str, int] = {}
    server: Lineage | None = None
    state: Lineage | None = None
    needs: tuple[str, ...] = ()
    tallies: dict[str, tuple[int, str]] = {}


class Found(msgspec.Struct, frozen=True):
    """The records of one kind: those that are as they were written, by key, and what is wrong with the others."""

    bodies: dict[str, bytes]
    faults: tuple[str, ...]


#: Made here, by one thread: see `encoded.Reader`.
_HEAD = encoded.Reader(Head)


def new_identity() -> str:
    """32 random hexadecimal digits."""
    return secrets.token_hex(16)


def seal(store: str, table: str, *values: Any) -> bytes:
    """The digest of a row of the store."""
    return blake3(msgspec.msgpack.encode((store, table, *values)), derive_key_context=_CONTEXT).digest(length=_SEAL)


def seal_file(value: msgspec.Struct) -> bytes:
    """A small file that carries a digest of itself, in its field `seal`."""
    return msgspec.json.encode(msgspec.structs.replace(value, seal=_file_seal(value)))


def open_file(data: bytes, decoder: encoded.Reader[T]) -> T | None:
    """What the file says; None where it is not as it was written."""
    try:
        value = decoder.decode(data)
    except encoded.Wrong:
        return None
    return value if data == seal_file(value) else None


def _file_seal(value: msgspec.Struct) -> str:
    plain = msgspec.json.encode(msgspec.structs.replace(value, seal=""))
    return blake3(plain, derive_key_context=_FILE_CONTEXT).hexdigest(length=_SEAL)


class Rows:
    """The sealed rows of one database. Writing goes through `writing`, one transaction at a time."""

    def __init__(self, db: sqlite.Connection, path: Path, known: str = "") -> None:
        """`known` is the store's identity by another witness, for reading where the head is damaged."""
        self.db = db
        self.path = path
        self._known = known
        self._head: Head | None = None

    # --- Reading -----------------------------------------------------------------------------------------

    @property
    def store(self) -> str:
        """The identity that rows are sealed with: the head's, else what another witness says."""
        try:
            return self.head().store
        except Damaged:
            if not self._known:
                raise
            return self._known

    def head(self) -> Head:
        """Read anew at each call outside a transaction. Raises `Damaged`, RCL4022."""
        if self._head is not None:
            return self._head
        row = self.db.execute("SELECT body, seal FROM record WHERE kind = 'head' AND key = ''").fetchone()
        if row is None:
            raise self.fault("its head is missing")
        try:
            head = _HEAD.decode(row["body"])
        except encoded.Wrong as error:
            raise self.fault("its head cannot be read") from error
        if row["seal"] != seal(head.store, "head", "", row["body"]):
            raise self.fault("its head is not as it was written")
        if head.needs:
            raise Damaged(
                "RCL4001",
                f"{self.path} needs {', '.join(head.needs)}, which this version does not know",
                "Use the version that wrote it, or a newer one. Nothing was changed.",
                subject=str(self.path),
            )
        return head

    def get(self, kind: str, key: str) -> bytes | None:
        """One record; None where there is none. Raises `Damaged`, RCL4022."""
        row = self.db.execute("SELECT body, seal FROM record WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        if row is None:
            return None
        if row["seal"] != seal(self.store, kind, key, row["body"]):
            raise self.fault(f"the {kind} {key} is not as it was written")
        return bytes(row["body"])

    def all(self, kind: str) -> Found:
        """Every record of the kind that reads, and the faults of those that do not."""
        store = self.store
        bodies: dict[str, bytes] = {}
        faults = []
        total = 0
        for row in self.db.execute("SELECT key, body, seal FROM record WHERE kind = ? ORDER BY key", (kind,)):
            wanted = seal(store, kind, row["key"], row["body"])
            if wanted == row["seal"]:
                bodies[row["key"]] = bytes(row["body"])
                total += int.from_bytes(wanted, "big")
            else:
                faults.append(f"the {kind} {_shown(row['key'])} is not as it was written")
        if not faults:
            faults += self.tally_faults(kind, len(bodies), total)
        return Found(bodies, tuple(faults))

    def kinds(self) -> set[str]:
        """Every kind of record that is there or should be, but for the head. A row whose kind is damaged is missing
        among those of its own kind."""
        there = {row["kind"] for row in self.db.execute("SELECT DISTINCT kind FROM record")}
        there = {kind for kind in there if isinstance(kind, str)}
        return (there | set(self.head().tallies)) - {"head"}

    def tally_faults(self, table: str, count: int, total: int) -> list[str]:
        """What is wrong with a table of so many rows, whose digests have this sum. Without a head nothing can be."""
        try:
            wanted, sum_wanted = self.head().tallies.get(table, (0, _hex(0)))
        except Damaged:
            return []
        if count != wanted:
            return [f"{count} rows of {table} are there, not {wanted}"]
        return [] if sum_wanted == _hex(total) else [f"rows of {table} are not those that were written"]

    def fault(self, what: str) -> Damaged:
        return Damaged(
            "RCL4022",
            f"the database {self.path} is damaged: {what}",
            "Check the disk that it lies on, then run `reconciler store rebuild`: what is there is rebuilt from "
            "the packs and the copies of the maps.",
            subject=str(self.path),
        )

    # --- Writing -----------------------------------------------------------------------------------------

    @contextmanager
    def writing(self, fence: Fence | None) -> Iterator[Head]:
        """A transaction under the fence: refused, `StaleFence`, when a larger token of its lease was seen here. The
        head that is given may be changed; its generation has grown already. None is for making a store alone."""
        with sqlite.transaction(self.db, self.path):
            head = self._head = self.head()
            try:
                if fence is not None:
                    _check(head, fence, self.path)
                head.generation += 1
                yield head
                if fence is not None:
                    fence.check()
                self._write_head(head)
                if fence is not None:
                    fence.check()  # a lease that was taken away meanwhile: no newer token may have come here yet
            finally:
                self._head = None

    def begin(self, head: Head) -> None:
        """The first head of a new database, inside a transaction of SQLite."""
        self._head = head

    def end(self) -> None:
        """Writes the head that `begin` was given."""
        assert self._head is not None
        self._write_head(self._head)
        self._head = None

    def put(self, kind: str, key: str, body: bytes) -> None:
        """Writes a record, over an earlier one of its kind and key."""
        self.delete(kind, key)
        mark = seal(self.store, kind, key, body)
        query = "INSERT INTO record (kind, key, body, seal) VALUES (?, ?, ?, ?)"
        self.db.execute(query, (kind, key, body, mark))
        self.tally(kind, [mark])

    def delete(self, kind: str, key: str) -> None:
        row = self.db.execute("SELECT seal FROM record WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        if row is not None:
            self.db.execute("DELETE FROM record WHERE kind = ? AND key = ?", (kind, key))
            self.tally(kind, [row["seal"]], gone=True)

    def tally(self, table: str, marks: Iterable[object], *, gone: bool = False) -> None:
        """Counts rows that were written, or taken out."""
        assert self._head is not None, "rows are written inside a transaction"
        count, total = self._head.tallies.get(table, (0, _hex(0)))
        number = int(total, 16)
        for mark in marks:
            value = int.from_bytes(mark, "big") if isinstance(mark, bytes) else 0
            count += -1 if gone else 1
            number += -value if gone else value
        self._head.tallies[table] = (count, _hex(number))

    def _write_head(self, head: Head) -> None:
        body = msgspec.json.encode(head)
        row = (body, seal(head.store, "head", "", body))
        query = "INSERT OR REPLACE INTO record (kind, key, body, seal) VALUES ('head', '', ?, ?)"
        self.db.execute(query, row)


def _check(head: Head, fence: Fence, path: Path) -> None:
    seen = head.tokens.get(fence.lease, 0)
    if fence.token < seen:
        raise stale(fence, seen, path.parent.name)
    head.tokens[fence.lease] = fence.token


def stale(fence: Fence, seen: int, where: str) -> StaleFence:
    """RCL5004: a larger token of the lease was seen there."""
    return StaleFence(
        "RCL5004",
        f"the fencing token {fence.token} of the lease {fence.lease} is older than {seen}, which {where} has seen",
        "Another process took over. Start the command again.",
        subject=where,
    )


def _hex(number: int) -> str:
    return f"{number % _MODULUS:032x}"


def _shown(key: object) -> str:
    return key if isinstance(key, str) and key.isprintable() and len(key) < 100 else "of a damaged key"
