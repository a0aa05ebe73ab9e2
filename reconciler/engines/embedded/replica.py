"""A replica store: the folder of one machine's replica, its packs, and its catalog.

Nothing counts before its catalog row is committed: packs are sealed first, then the copy of the map, then one
transaction makes block rows, map, recovery point and job true at once.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from reconciler import files, sqlite
from reconciler.engines.embedded import maps
from reconciler.engines.embedded.blocks import decode
from reconciler.engines.embedded.maps import MachineMap
from reconciler.engines.embedded.packs import (
    Block,
    PackReader,
    Sealed,
    abandoned,
    pack_path,
    read_footer,
    sealed_packs,
)
from reconciler.errors import Damaged, TemporaryError
from reconciler.model import Consistency, DataSource, JobKind, JobResult, PointKind, RecoveryPoint, ReplicaState

_SAFE = re.compile(r"[a-z0-9][a-z0-9-]{0,140}")


class Facts(msgspec.Struct, rename="camel", omit_defaults=True):
    """What the catalog says of the replica as a whole; times are UTC."""

    state: ReplicaState = ReplicaState.PENDING
    inconsistent_because: str = ""
    machine_name: str = ""
    node: str = ""
    source_bytes: int = 0
    current_map: int = 0
    synchronized_at: datetime | None = None
    express_full_at: datetime | None = None
    checked_at: datetime | None = None


class NewPoint(msgspec.Struct, frozen=True):
    """A recovery point about to be committed."""

    id: str
    time: datetime
    kind: PointKind
    consistency: Consistency
    scheduled_for: datetime
    stored_bytes: int


class Commit(msgspec.Struct, frozen=True):
    """Everything that one job makes true at once. `point` None: the replica is renewed, without a point."""

    job: str
    kind: JobKind
    at: datetime
    machine: MachineMap
    whole: bool
    facts: Facts
    result: JobResult
    point: NewPoint | None = None
    healed: tuple[bytes, ...] = ()


#: Made here, by one thread: two threads that decode a type for the first time at once can crash msgspec 0.22.
_FACTS = msgspec.json.Decoder(Facts)
_RESULT = msgspec.json.Decoder(JobResult)


def folder_name(source: DataSource) -> str:
    """A name for the folder that no input can break out of: cluster and id where they are plain, else a hash."""
    plain = f"{source.cluster}-{source.machine}"
    return plain if _SAFE.fullmatch(plain) else sha256(str(source).encode()).hexdigest()[:32]


class ReplicaStore:
    """One replica store, opened. Not for two threads at once."""

    def __init__(self, folder: Path, source: DataSource) -> None:
        self.folder = folder
        self.source = source
        self.packs = folder / "packs"
        self.points_folder = folder / "points"
        self.database = folder / "catalog.db"
        files.make_folder(folder)
        self._db = sqlite.connect(self.database, migrations="reconciler.engines.embedded.replica_sql")
        self._lock: int | None = None

    # --- One job at a time -------------------------------------------------------------------------------

    def lock(self) -> None:
        """Takes the store for a job. Raises `TemporaryError`, RCL4007, while another process has it."""
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise TemporaryError(
                "RCL4007",
                f"another job is at work in {self.folder.name}",
                "It is tried again by itself.",
                subject=self.folder.name,
                retry_after=timedelta(seconds=60),
            ) from None
        self._lock = descriptor

    def tidy(self) -> None:
        """Removes what a dead job left unfinished, and takes over the packs that it had sealed."""
        for path in abandoned(self.packs):
            files.unlink(path)
        known = self.pack_sizes()
        for path in sealed_packs(self.packs):
            if path.stem not in known:
                try:
                    self.add_packs([read_footer(path)])
                except Damaged:
                    files.rename(path, path.with_suffix(".damaged"))
        kept = {row["id"] for row in self._db.execute("SELECT id FROM point")}
        for path in sorted(self.points_folder.glob("*.map.zst")):
            if path.name.removesuffix(".map.zst") not in kept:
                files.unlink(path)

    # --- Reading -----------------------------------------------------------------------------------------

    def facts(self) -> Facts:
        row = self._db.execute("SELECT value FROM fact WHERE name = 'replica'").fetchone()
        return _FACTS.decode(row["value"]) if row else Facts()

    def pack_sizes(self) -> dict[str, int]:
        return {row["id"]: row["bytes"] for row in self._db.execute("SELECT id, bytes FROM pack")}

    def stored_bytes(self) -> int:
        return int(self._db.execute("SELECT coalesce(sum(bytes), 0) FROM pack").fetchone()[0])

    def points(self, *, binned: bool = False) -> tuple[RecoveryPoint, ...]:
        """The recovery points, oldest first; those in the bin instead with `binned`."""
        condition = "IS NOT NULL" if binned else "IS NULL"
        rows = self._db.execute(f"SELECT * FROM point WHERE binned_at {condition} ORDER BY time, id")
        return tuple(
            RecoveryPoint(
                id=row["id"],
                source=self.source,
                time=datetime.fromisoformat(row["time"]),
                kind=PointKind(row["kind"]),
                consistency=Consistency(row["consistency"]),
                source_bytes=row["source_bytes"],
                stored_bytes=row["stored_bytes"],
                scheduled_for=datetime.fromisoformat(row["scheduled_for"]) if row["scheduled_for"] else None,
                verified_at=datetime.fromisoformat(row["verified_at"]) if row["verified_at"] else None,
                machine_name=row["machine_name"],
            )
            for row in rows
        )

    def map_of(self, point: str) -> MachineMap | None:
        """The map of a point, binned or not; None where there is no such point."""
        row = self._db.execute("SELECT map FROM point WHERE id = ?", (point,)).fetchone()
        return self._map(row["map"]) if row else None

    def current(self) -> MachineMap | None:
        """What the replica holds now; None before the initial replica."""
        number = self.facts().current_map
        return self._map(number) if number else None

    def _map(self, number: int) -> MachineMap:
        chain = []
        at: int | None = number
        while at is not None:
            row = self._db.execute("SELECT base, body FROM map WHERE id = ?", (at,)).fetchone()
            if row is None:
                raise Damaged(
                    "RCL4006",
                    f"the map {at} is not in the catalog of {self.folder.name}",
                    "Run `reconciler store check`; a copy of each map lies in the replica store's points folder.",
                    subject=self.folder.name,
                )
            chain.append(row["body"])
            at = row["base"]
        machine: MachineMap | None = None
        for body in reversed(chain):
            machine = maps.decode(body, machine)
        assert machine is not None
        return machine

    def block(self, name: bytes) -> Block | None:
        row = self._db.execute(
            "SELECT pack, offset, length, block_length, encoding FROM block WHERE name = ?", (name,)
        ).fetchone()
        return Block(*row) if row else None

    def read_block(self, name: bytes, reader: PackReader) -> bytes:
        """The bytes of a block, checked. Raises `Damaged`."""
        block = self.block(name)
        if block is None:
            raise Damaged(
                "RCL4004",
                f"block {name.hex()[:16]} is in no pack of {self.folder.name}",
                "Run `reconciler check` for the machine: what the source still holds is stored anew.",
                subject=self.folder.name,
            )
        return decode(name, block.encoding, reader.payload(block), block.block_length)

    def blocks_of_pack(self, pack: str) -> list[tuple[bytes, Block]]:
        rows = self._db.execute("SELECT * FROM block WHERE pack = ? ORDER BY offset", (pack,))
        return [(row["name"], Block(pack, *row[2:])) for row in rows]

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
        return [row[0] for row in self._db.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]

    def job_result(self, job: str) -> JobResult | None:
        """The result of a job that was committed here."""
        row = self._db.execute("SELECT result FROM job WHERE id = ?", (job,)).fetchone()
        return _RESULT.decode(row["result"]) if row else None

    def bad_blocks(self) -> set[bytes]:
        return {row["name"] for row in self._db.execute("SELECT name FROM bad_block")}

    # --- Writing -----------------------------------------------------------------------------------------

    def add_packs(self, sealed: Iterable[Sealed]) -> None:
        """Makes sealed packs part of the catalog."""
        with sqlite.transaction(self._db, self.database):
            self._insert_packs(sealed)

    def commit(self, what: Commit, sealed: Iterable[Sealed] = ()) -> None:
        """Makes a job true: its packs, its map, its recovery point and its result, all at once."""
        base, depth = self._base(what)
        body = maps.encode_whole(what.machine) if base is None else self._difference(what.machine)
        if what.point is not None:
            files.make_folder(self.points_folder)
            files.write_whole(self.points_folder / f"{what.point.id}.map.zst", body)
        with sqlite.transaction(self._db, self.database):
            self._insert_packs(sealed)
            cursor = self._db.execute("INSERT INTO map (base, depth, body) VALUES (?, ?, ?)", (base, depth, body))
            number = cursor.lastrowid or 0
            if what.point is not None:
                self._insert_point(what, what.point, number)
            self._db.executemany("DELETE FROM bad_block WHERE name = ?", [(name,) for name in what.healed])
            facts = msgspec.structs.replace(what.facts, current_map=number, source_bytes=what.machine.size)
            self._write_facts(facts)
            self._insert_job(what.job, what.kind, what.at, what.result)

    def set_inconsistent(self, because: str) -> None:
        """Notes that the replica does not hold what it should, until a consistency check repaired it."""
        facts = msgspec.structs.replace(self.facts(), state=ReplicaState.INCONSISTENT, inconsistent_because=because)
        with sqlite.transaction(self._db, self.database):
            self._write_facts(facts)

    def forget_blocks(self, names: Iterable[bytes], packs: Iterable[str], at: datetime) -> None:
        """Takes damaged blocks out of the catalog, so that they are stored anew when the source still has them.

        `packs` are those that are missing or cut: what is left of them is what counts from now on.
        """
        rows = list(names)
        with sqlite.transaction(self._db, self.database):
            self._db.executemany("DELETE FROM block WHERE name = ?", [(name,) for name in rows])
            query = "INSERT OR IGNORE INTO bad_block (name, found_at) VALUES (?, ?)"
            self._db.executemany(query, [(name, at.isoformat()) for name in rows])
            for pack in packs:
                path = pack_path(self.packs, pack)
                if path.exists():
                    self._db.execute("UPDATE pack SET bytes = ? WHERE id = ?", (path.stat().st_size, pack))
                else:
                    self._db.execute("DELETE FROM block WHERE pack = ?", (pack,))
                    self._db.execute("DELETE FROM pack WHERE id = ?", (pack,))

    def bin_points(self, job: str, points: Iterable[str], at: datetime, result: JobResult) -> None:
        """Moves points to the bin."""
        with sqlite.transaction(self._db, self.database):
            query = "UPDATE point SET binned_at = ? WHERE id = ? AND binned_at IS NULL"
            self._db.executemany(query, [(at.isoformat(), point) for point in points])
            self._insert_job(job, JobKind.PRUNING, at, result)

    def plan_cut_over(self, job: str, body: bytes) -> None:
        """Writes down what a recovery is about to do, over what was written for it before."""
        with sqlite.transaction(self._db, self.database):
            self._db.execute("INSERT OR REPLACE INTO cut_over (job, body) VALUES (?, ?)", (job, body))

    def planned_cut_over(self, job: str) -> bytes | None:
        row = self._db.execute("SELECT body FROM cut_over WHERE job = ?", (job,)).fetchone()
        return bytes(row["body"]) if row else None

    def cut_overs(self) -> dict[str, bytes]:
        """What recoveries were about to do that never ended, by job."""
        return {row["job"]: bytes(row["body"]) for row in self._db.execute("SELECT job, body FROM cut_over")}

    def withdraw_cut_over(self, job: str) -> None:
        """Nothing of it was done, and nothing will be."""
        with sqlite.transaction(self._db, self.database):
            self._db.execute("DELETE FROM cut_over WHERE job = ?", (job,))

    def end_cut_over(self, job: str, at: datetime, result: JobResult, *, of: str = "") -> None:
        """Makes the recovery `job` true, and ends what was written down for it, or for the job `of` that it ended."""
        with sqlite.transaction(self._db, self.database):
            self._db.execute("DELETE FROM cut_over WHERE job = ?", (of or job,))
            self._insert_job(job, JobKind.RECOVERY, at, result)

    def _base(self, what: Commit) -> tuple[int | None, int]:
        current = what.facts.current_map
        if what.whole or not current:
            return None, 0
        depth = int(self._db.execute("SELECT depth FROM map WHERE id = ?", (current,)).fetchone()["depth"])
        return (None, 0) if depth + 1 >= maps.LONGEST_CHAIN else (current, depth + 1)

    def _difference(self, machine: MachineMap) -> bytes:
        before = self.current()
        assert before is not None
        return maps.encode_difference(machine, before)

    def _insert_packs(self, sealed: Iterable[Sealed]) -> None:
        for pack in sealed:
            self._db.execute("INSERT OR IGNORE INTO pack (id, bytes) VALUES (?, ?)", (pack.pack, pack.size))
            self._db.executemany(
                "INSERT OR IGNORE INTO block (name, pack, offset, length, block_length, encoding) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                [(name, *block) for name, block in pack.blocks.items()],
            )

    def _insert_point(self, what: Commit, point: NewPoint, number: int) -> None:
        row = (
            point.id,
            point.time.isoformat(),
            str(point.kind),
            str(point.consistency),
            point.scheduled_for.isoformat(),
            what.machine.size,
            point.stored_bytes,
            what.facts.machine_name,
            number,
        )
        self._db.execute(
            "INSERT INTO point (id, time, kind, consistency, scheduled_for, source_bytes, stored_bytes, "
            "machine_name, map) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )

    def _insert_job(self, job: str, kind: JobKind, at: datetime, result: JobResult) -> None:
        row = (job, str(kind), at.isoformat(), msgspec.json.encode(result))
        self._db.execute("INSERT OR IGNORE INTO job (id, kind, at, result) VALUES (?, ?, ?, ?)", row)

    def _write_facts(self, facts: Facts) -> None:
        value = msgspec.json.encode(facts).decode()
        self._db.execute("INSERT OR REPLACE INTO fact (name, value) VALUES ('replica', ?)", (value,))

    # --- Closing -----------------------------------------------------------------------------------------

    def close(self) -> None:
        self._db.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
