"""The catalog of a replica store, for reading: its records, maps and blocks -> facts, points, bytes.

Reading makes no file and needs no room. A row that is damaged is a fault of its own and spares the others; the map of a
damaged row is read from its copy. A catalog of format 1 is read as format 2 would have it, from a copy in memory.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from reconciler import sqlite
from reconciler.engines.embedded import copies, maps, upgrade
from reconciler.engines.embedded.blocks import decode
from reconciler.engines.embedded.lost import unreachable
from reconciler.engines.embedded.maps import MachineMap
from reconciler.engines.embedded.packs import Block, PackReader, block_of, pack_path
from reconciler.engines.embedded.records import FACTS, JOB, PACK, POINT, Facts, PointRecord, as_recorded
from reconciler.engines.embedded.sealed import Found, Rows, seal
from reconciler.errors import Damaged
from reconciler.model import DataSource, JobResult, RecoveryPoint

MIGRATIONS = "reconciler.engines.embedded.replica_sql"
REPLICA = "replica"

#: Where a block lies, by its name; see `block_of`.
BLOCK_ROW = "SELECT pack, offset, length, block_length, encoding FROM stored_block WHERE name = ?"


class Catalog:
    """What is in a replica store. Not for two threads at once."""

    def __init__(self, folder: Path, source: DataSource, known: str) -> None:
        """`known` is the id that the store should have, by other witnesses; "" where there are none. Raises
        `Unreachable`, RCL4021, where folder or catalog is not there."""
        self.folder = folder
        self.source = source
        self.packs = folder / "packs"
        self.points_folder = folder / "points"
        self.database = folder / "catalog.db"
        self._db = self._connected()
        self._rows = Rows(self._db, self.database, known)

    def _connected(self) -> sqlite.Connection:
        try:
            opened = sqlite.connect_reading(self.database, migrations=MIGRATIONS)
        except FileNotFoundError:
            raise unreachable(self.database, "the catalog of a replica store") from None
        return upgrade.catalog_in_memory(opened) if upgrade.is_old(opened, "fact") else opened

    def close(self) -> None:
        self._db.close()

    @property
    def rows(self) -> Rows:
        """The sealed rows, for those who check them."""
        return self._rows

    # --- Facts and points --------------------------------------------------------------------------------

    def facts(self) -> Facts:
        body = self._rows.get("fact", REPLICA)
        return FACTS.decode(body) if body else Facts()

    def pack_sizes(self) -> dict[str, int]:
        """Bytes of each pack; those whose record is damaged are left out."""
        return {pack: PACK.decode(body).bytes for pack, body in self._rows.all("pack").bodies.items()}

    def stored_bytes(self) -> int:
        return sum(self.pack_sizes().values())

    def point_records(self) -> tuple[list[PointRecord], tuple[str, ...]]:
        """Every point, oldest first, binned or not; and the faults of those that do not read."""
        found: Found = self._rows.all("point")
        points = [POINT.decode(body) for body in found.bodies.values()]
        return sorted(points, key=lambda point: (point.time, point.id)), found.faults

    def points(self, *, binned: bool = False) -> tuple[RecoveryPoint, ...]:
        """The recovery points, oldest first; those in the bin instead with `binned`."""
        records, _ = self.point_records()
        return tuple(point.shown(self.source) for point in records if (point.binned_at is not None) == binned)

    def map_of(self, point: str) -> MachineMap | None:
        """The map of a point, binned or not, as the point was made with it; None where there is no such point. Raises
        `Damaged` where point or map are not as they were written."""
        body = self._rows.get("point", point)
        if body is None:
            return None
        record = POINT.decode(body)
        return as_recorded(self._map(record.map), record)

    def current(self) -> MachineMap | None:
        """What the replica holds now; None before the initial replica."""
        number = self.facts().current_map
        return self._map(number) if number else None

    # --- Maps --------------------------------------------------------------------------------------------

    def _map(self, number: int) -> MachineMap:
        chain = []
        seen = set()
        at: int | None = number
        while at is not None:
            if at in seen:
                raise self._no_map(number)
            seen.add(at)
            base, body = self._map_row(at)
            chain.append(body)
            at = base
        machine: MachineMap | None = None
        for body in reversed(chain):
            machine = maps.decode(body, machine)
        assert machine is not None
        return machine

    def _map_row(self, number: int) -> tuple[int | None, bytes]:
        """(base, body), from the catalog or, where that is damaged, from the copy."""
        fault: Damaged | None = None
        try:
            row = self._db.execute("SELECT * FROM machine_map WHERE id = ?", (number,)).fetchone()
            if row is not None and row["seal"] == self.map_seal(row):
                return row["base"], bytes(row["body"])
        except Damaged as error:
            fault = error
        for name in copies.named(self.points_folder):
            if name.number == number:
                copy = copies.read(name.path)
                if copy.store == self._rows.store and copy.number == number:
                    return copy.base, copy.body
        raise fault or self._no_map(number)

    def map_seal(self, row: sqlite3.Row) -> bytes:
        return seal(self._rows.store, "machine_map", row["id"], row["base"], row["depth"], row["body"])

    def _no_map(self, number: int) -> Damaged:
        return Damaged(
            "RCL4006",
            f"the map {number} in {self.database} is damaged or missing, and so is its copy in {self.points_folder}",
            "Recover from another point, and run `reconciler store check`.",
            subject=self.folder.name,
        )

    # --- Blocks ------------------------------------------------------------------------------------------

    def block(self, name: bytes) -> Block | None:
        """Where the block lies; None where the catalog has no place for it that can be one."""
        row = self._db.execute(BLOCK_ROW, (name,)).fetchone()
        return block_of(row) if row else None

    def read_block(self, name: bytes, reader: PackReader) -> bytes:
        """The bytes of a block, checked. Raises `Damaged`."""
        block = self.block(name)
        if block is None:
            raise Damaged(
                "RCL4004",
                f"block {name.hex()[:16]} is in no pack of {self.folder.name}",
                "Run `reconciler check` for the virtual machine: what the source still holds is stored again.",
                subject=self.folder.name,
            )
        return decode(name, block.encoding, reader.payload(block), block.block_length)

    def blocks_of_pack(self, pack: str) -> list[tuple[bytes, Block]]:
        """The blocks of a pack whose rows read, by their offsets."""
        rows = self._db.execute("SELECT * FROM stored_block WHERE pack = ? ORDER BY offset", (pack,))
        found = [(row["name"], block_of(tuple(row)[1:6])) for row in rows]
        return [(name, block) for name, block in found if isinstance(name, bytes) and block is not None]

    def missing_packs(self) -> list[str]:
        """Packs of the catalog that are not there, or not of the size they were sealed with."""
        found = []
        for pack, size in sorted(self.pack_sizes().items()):
            try:
                right = pack_path(self.packs, pack).stat().st_size == size
            except OSError:
                right = False
            if not right:
                found.append(pack)
        return found

    def integrity(self) -> list[str]:
        """What SQLite itself finds wrong with the catalog."""
        return [str(row[0]) for row in self._db.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]

    def bad_blocks(self) -> set[bytes]:
        return {bytes.fromhex(name) for name in self._rows.all("bad").bodies}

    # --- Jobs --------------------------------------------------------------------------------------------

    def job_result(self, job: str) -> JobResult | None:
        """The result of a job that was committed here."""
        body = self._rows.get("job", job)
        return JOB.decode(body).result if body else None

    def jobs(self) -> tuple[str, ...]:
        """The jobs that were committed here."""
        return tuple(self._rows.all("job").bodies)

    def planned_cut_over(self, job: str) -> bytes | None:
        return self._rows.get("cutOver", job)

    def cut_overs(self) -> dict[str, bytes]:
        """What recoveries were about to do that never ended, by job."""
        return self._rows.all("cutOver").bodies
