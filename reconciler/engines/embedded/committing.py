"""Committing: sealed packs, the copy of a map -> their rows in a catalog, inside a transaction that is open."""

from __future__ import annotations

from pathlib import Path

import msgspec

from reconciler.engines.embedded import copies, upgrade
from reconciler.engines.embedded.catalog import BLOCK_ROW
from reconciler.engines.embedded.making import Place
from reconciler.engines.embedded.packs import Sealed, block_of
from reconciler.engines.embedded.records import (
    FACTS,
    POINT,
    Commit,
    Facts,
    NewPoint,
    PackRecord,
    PointRecord,
    file_records,
)
from reconciler.engines.embedded.sealed import Rows, seal


def put_pack(rows: Rows, pack: Sealed) -> None:
    """Makes a sealed pack part of the catalog: its record, and those of its blocks that are nowhere else."""
    rows.put("pack", pack.pack, msgspec.json.encode(PackRecord(pack.size)))
    query = (
        "INSERT OR IGNORE INTO stored_block (name, pack, offset, length, block_length, encoding, base, seal) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    )
    store = rows.store
    marks = []
    for name, block in pack.blocks.items():
        mark = seal(store, "stored_block", name, *block, None)
        if rows.db.execute(query, (name, *block, None, mark)).rowcount > 0:
            marks.append(mark)
        elif block_of(rows.db.execute(BLOCK_ROW, (name,)).fetchone()) is None:
            delete_blocks(rows, "name = ?", name)
            rows.db.execute(query, (name, *block, None, mark))
            marks.append(mark)
    rows.tally("stored_block", marks)


def delete_blocks(rows: Rows, condition: str, value: object) -> None:
    """Takes blocks out of the catalog."""
    found = rows.db.execute(f"SELECT seal FROM stored_block WHERE {condition}", (value,)).fetchall()
    rows.db.execute(f"DELETE FROM stored_block WHERE {condition}", (value,))
    rows.tally("stored_block", [row["seal"] for row in found], gone=True)


def put_copy(rows: Rows, copy: copies.Copy) -> None:
    """Makes a commit part of the catalog: map, point, and the job with its result."""
    values = (copy.number, copy.base, copy.depth, copy.body)
    mark = seal(rows.store, "machine_map", *values)
    query = "INSERT INTO machine_map (id, base, depth, body, seal) VALUES (?, ?, ?, ?, ?)"
    rows.db.execute(query, (*values, mark))
    rows.tally("machine_map", [mark])
    if copy.point is not None:
        rows.put("point", copy.point.id, msgspec.json.encode(copy.point))
    if copy.job and copy.result is not None and rows.get("job", copy.job) is None:
        rows.put("job", copy.job, msgspec.json.encode(copy.result))
    if copy.assignment is not None:
        rows.put("fact", "assignment", msgspec.json.encode(copy.assignment))


def record_of(what: Commit, point: NewPoint, number: int) -> PointRecord:
    return PointRecord(
        id=point.id,
        time=point.time,
        kind=point.kind,
        consistency=point.consistency,
        scheduled_for=point.scheduled_for,
        source_bytes=what.machine.size,
        stored_bytes=point.stored_bytes,
        machine_name=what.facts.machine_name,
        map=number,
        files=file_records(what.machine),
    )


def write_old_copies(place: Place, rows: Rows, folder: Path) -> None:
    """Copies of the maps that a catalog of format 1 had, so that it too can be made anew."""
    points = [POINT.decode(body) for body in rows.all("point").bodies.values()]
    by_map = {point.map: point for point in points}
    body = rows.get("fact", "replica")
    facts = FACTS.decode(body) if body else Facts()
    for row in rows.db.execute("SELECT id FROM machine_map ORDER BY id").fetchall():
        found = rows.db.execute("SELECT * FROM machine_map WHERE id = ?", (row["id"],)).fetchone()
        copy = copies.Copy(
            store=rows.store,
            source=place.source,
            server=place.server or upgrade.unnamed(),
            volume=place.volume,
            generation=0,
            number=found["id"],
            base=found["base"],
            depth=found["depth"],
            body=found["body"],
            facts=facts,
            point=by_map.get(found["id"]),
        )
        copies.write(folder, copy)
