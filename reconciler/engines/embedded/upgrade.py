"""Format 1 -> format 2: databases of version 0.1, read as they are in memory, or upgraded for good by a writer.

A writer copies the database beside itself first (`NAME-format-1.db`): put back under its old name, with `format.json`
as it was, it is what version 0.1 knows. Data and maps are taken over; digests are computed from what is there.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from reconciler import encoded, files, sqlite
from reconciler.engines.embedded import maps
from reconciler.engines.embedded.records import (
    ASSIGNMENT,
    FACTS,
    FileRecord,
    JobRow,
    KnownReplica,
    PackRecord,
    PointRecord,
    file_records,
    source_key,
)
from reconciler.engines.embedded.sealed import Head, Rows, seal
from reconciler.errors import Damaged
from reconciler.model import Consistency, JobKind, JobResult, Lineage, PointKind

#: Who a store of version 0.1 is, until it takes an identity at its first write.
UNNAMED = "unnamed"

_RESULT = encoded.Reader(JobResult)
_NEW = "reconciler.engines.embedded"


def is_old(db: sqlite3.Connection, table: str) -> bool:
    """Whether the database is as version 0.1 wrote it; `table` is one that only that had."""
    return db.execute("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", (table,)).fetchone() is not None


def catalog_in_memory(old: sqlite.Connection) -> sqlite.Connection:
    """The catalog of a replica as format 2 would have it. Closes `old`."""
    return _converted(old, f"{_NEW}.replica_sql", lambda rows: convert_catalog(rows, UNNAMED))


def server_in_memory(old: sqlite.Connection) -> sqlite.Connection:
    """The server's database as format 2 would have it. Closes `old`."""
    return _converted(old, f"{_NEW}.server_sql", lambda rows: convert_server(rows, {}))


def _converted(old: sqlite.Connection, migrations: str, convert: Callable[[Rows], None]) -> sqlite.Connection:
    memory = sqlite.in_memory(old.path)
    try:
        with closing(old):
            old.backup(memory)
        sqlite.migrate(memory, migrations)
        rows = Rows(memory, memory.path)
        rows.begin(Head(UNNAMED))
        with said_of(old.path):
            convert(rows)
        rows.end()
    except sqlite3.DatabaseError as error:
        memory.close()
        raise sqlite.damaged(old.path, error) from error
    except BaseException:
        memory.close()
        raise
    return memory


@contextmanager
def said_of(database: Path) -> Iterator[None]:
    """Rows of format 1 carry no digests: what does not read in them is told as damage of the database."""
    try:
        yield
    except (msgspec.MsgspecError, ValueError, TypeError, AttributeError) as error:
        raise sqlite.damaged(database, f"a row of format 1 cannot be read: {error}") from error


def keep_old(database: Path) -> None:
    """Copies a database of format 1 beside itself before a writer opens it; a copy that is there already stays. The
    version of its schema is at byte 60 of an SQLite file."""
    kept = database.with_name(f"{database.stem}-format-1.db")
    with database.open("rb") as file:
        if kept.exists() or file.read(64)[60:] != (1).to_bytes(4, "big"):
            return
    temporary = kept.with_suffix(".part")
    descriptor = files.create(temporary)
    try:
        with closing(sqlite3.connect(database)) as one, closing(sqlite3.connect(temporary)) as two:
            one.backup(two)
            two.execute("PRAGMA journal_mode=DELETE")
        files.fsync(descriptor, temporary)
        files.rename(temporary, kept)
    except sqlite3.DatabaseError as error:
        raise sqlite.damaged(database, error) from error
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


# --- Catalogs --------------------------------------------------------------------------------------------------


def convert_catalog(rows: Rows, store: str) -> None:
    """Takes over every row of format 1 and drops its tables, inside a transaction or in memory."""
    db = rows.db
    for row in db.execute("SELECT * FROM fact").fetchall():
        rows.put("fact", row["name"], msgspec.json.encode(FACTS.decode(row["value"])))
    for row in db.execute("SELECT * FROM pack").fetchall():
        rows.put("pack", row["id"], msgspec.json.encode(PackRecord(row["bytes"])))
    for row in db.execute("SELECT * FROM job").fetchall():
        job = JobRow(JobKind(row["kind"]), datetime.fromisoformat(row["at"]), _RESULT.decode(row["result"]))
        rows.put("job", row["id"], msgspec.json.encode(job))
    for row in db.execute("SELECT * FROM cut_over").fetchall():
        rows.put("cutOver", row["job"], bytes(row["body"]))
    for row in db.execute("SELECT * FROM bad_block").fetchall():
        rows.put("bad", bytes(row["name"]).hex(), row["found_at"].encode())
    for row in db.execute("SELECT id, base, depth FROM map").fetchall():
        body = db.execute("SELECT body FROM map WHERE id = ?", (row["id"],)).fetchone()["body"]
        values = (row["id"], row["base"], row["depth"], body)
        mark = seal(store, "machine_map", *values)
        db.execute("INSERT INTO machine_map (id, base, depth, body, seal) VALUES (?, ?, ?, ?, ?)", (*values, mark))
        rows.tally("machine_map", [mark])
    _convert_blocks(rows, store)
    decoded: dict[int, maps.MachineMap] = {}
    for row in db.execute("SELECT * FROM point ORDER BY map").fetchall():
        rows.put("point", row["id"], msgspec.json.encode(_point(rows, row, decoded)))
    drop_former_catalog(db)


def _convert_blocks(rows: Rows, store: str) -> None:
    cursor = rows.db.execute("SELECT name, pack, offset, length, block_length, encoding FROM block")
    query = (
        "INSERT INTO stored_block (name, pack, offset, length, block_length, encoding, base, seal) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    )
    while some := cursor.fetchmany(10_000):
        sealed = [(*row, None, seal(store, "stored_block", *row, None)) for row in map(tuple, some)]
        rows.db.executemany(query, sealed)
        rows.tally("stored_block", [row[-1] for row in sealed])


def _point(rows: Rows, row: sqlite3.Row, decoded: dict[int, maps.MachineMap]) -> PointRecord:
    """The point with digests of what its map says now. A map that does not read makes it one that is not relied on, and
    so does a copy of it that differs: either of the two was damaged."""
    doubt = ""
    record: tuple[FileRecord, ...] = ()
    try:
        record = file_records(_old_map(rows.db, row["map"], decoded))
        body = rows.db.execute("SELECT body FROM machine_map WHERE id = ?", (row["map"],)).fetchone()["body"]
        copy = rows.path.parent / "points" / f"{row['id']}.map.zst"
        if copy.is_file() and files.read_regular(copy) != body:
            doubt = f"its map and the copy {copy.name} differ"
    except (Damaged, OSError) as error:
        doubt = f"its map cannot be read: {error}"
    return PointRecord(
        id=row["id"],
        time=datetime.fromisoformat(row["time"]),
        kind=PointKind(row["kind"]),
        consistency=Consistency(row["consistency"]),
        scheduled_for=_time(row["scheduled_for"]),
        source_bytes=row["source_bytes"],
        stored_bytes=row["stored_bytes"],
        machine_name=row["machine_name"],
        map=row["map"],
        files=record,
        verified_at=_time(row["verified_at"]),
        binned_at=_time(row["binned_at"]),
        doubt=doubt,
    )


def _old_map(db: sqlite3.Connection, number: int, decoded: dict[int, maps.MachineMap]) -> maps.MachineMap:
    """The map, whole. `decoded` has the last one that was asked for: the next one mostly stands on it."""
    chain: list[bytes] = []
    machine: maps.MachineMap | None = None
    at: int | None = number
    while at is not None and machine is None:
        if at in decoded:
            machine = decoded[at]
            break
        row = db.execute("SELECT base, body FROM machine_map WHERE id = ?", (at,)).fetchone()
        if row is None or len(chain) > 2 * maps.LONGEST_CHAIN:
            raise Damaged("RCL4006", f"the map {at} is missing", "Recover from another point.")
        chain.append(row["body"])
        at = row["base"]
    for body in reversed(chain):
        machine = maps.decode(body, machine)
    assert machine is not None
    decoded.clear()
    decoded[number] = machine
    return machine


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


# --- The server's database -------------------------------------------------------------------------------------


def convert_server(rows: Rows, known: dict[str, KnownReplica]) -> None:
    """Takes over groups, assignments, jobs and the fencing token; `known` are the replica stores that are there, by
    the key of their data source."""
    db = rows.db
    token = db.execute("SELECT token FROM fence").fetchone()
    if token is not None:
        assert rows._head is not None
        rows._head.tokens["site"] = token["token"]
    for row in db.execute("SELECT * FROM protection_group").fetchall():
        rows.put("group", row["ref"], bytes(row["body"]))
    for row in db.execute("SELECT * FROM replica").fetchall():
        rows.put("replica", source_key(ASSIGNMENT.decode(row["body"]).source), bytes(row["body"]))
    for row in db.execute("SELECT * FROM job").fetchall():
        rows.put("job", row["id"], bytes(row["body"]))
    for key, replica in known.items():
        rows.put("known", key, msgspec.json.encode(replica))
    drop_former_server(db)


def drop_former_catalog(db: sqlite3.Connection) -> None:
    """Takes the tables of format 1 out of a catalog."""
    for table in ("bad_block", "cut_over", "job", "point", "block", "pack", "map", "fact"):
        db.execute(f"DROP TABLE {table}")


def drop_former_server(db: sqlite3.Connection) -> None:
    """Takes the tables of format 1 out of the server's database."""
    for table in ("fence", "protection_group", "replica", "job"):
        db.execute(f"DROP TABLE {table}")


def unnamed(generation: int = 0) -> Lineage:
    return Lineage(UNNAMED, generation)
