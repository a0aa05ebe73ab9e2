"""A replica store: the folder of one machine's replica, its packs, and its catalog, for those who write it.

Nothing counts before its catalog row is committed: packs are sealed first, then one transaction, under the fence,
writes the copy of the map and makes block rows, map, recovery point and job true at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from reconciler import files, sqlite
from reconciler.engines.embedded import copies, maps, upgrade
from reconciler.engines.embedded.catalog import MIGRATIONS, REPLICA, Catalog
from reconciler.engines.embedded.committing import delete_blocks, put_copy, put_pack, record_of, write_old_copies
from reconciler.engines.embedded.lost import exchanged, older, unreachable
from reconciler.engines.embedded.making import Place, identity_of, take_lock, write_identity
from reconciler.engines.embedded.maps import MachineMap
from reconciler.engines.embedded.packs import PackWriter, Sealed, abandoned, pack_path, read_footer, sealed_packs
from reconciler.engines.embedded.records import Assignment, Commit, JobRow, PackRecord, PointRecord
from reconciler.engines.embedded.sealed import Head, Rows, new_identity
from reconciler.errors import Damaged, Diagnostic, ReconcilerError, Severity
from reconciler.model import JobKind, JobResult, Lineage, ReplicaState
from reconciler.protocols import Fence


class ReplicaStore(Catalog):
    """One replica store, opened: for reading, or under a fence for a job. Not for two threads at once."""

    def __init__(self, place: Place, fence: Fence | None = None) -> None:
        """Opening makes nothing. Raises `Unreachable`, RCL4021, where it is not there; `Damaged`, RCL4023, where it is
        another one; and for a job `Damaged`, RCL4025, where its catalog is older than it was, and `TemporaryError`,
        RCL4007, while another job has it."""
        self.place = place
        self._fence = fence
        self._lock: int | None = None
        if not place.folder.is_dir():
            raise unreachable(place.folder, f"the replica store of {place.source}")
        try:
            if fence is not None:
                self._lock = take_lock(place.folder)
            super().__init__(place.folder, place.source, place.known.store if place.known else "")
            wrong = self.lineage_faults()
            if wrong and (fence is not None or wrong[0].diagnostic.code == "RCL4023"):
                self._db.close()
                raise wrong[0]
            if fence is not None and place.server is not None:
                write_identity(place, self._rows.store)
        except BaseException:
            self._release()
            raise

    def _connected(self) -> sqlite.Connection:
        if self._fence is None:
            return super()._connected()
        if not self.database.exists():
            raise unreachable(self.database, "the catalog of a replica store")
        upgrade.keep_old(self.database)
        connection = sqlite.connect(self.database, migrations=MIGRATIONS)
        try:
            if upgrade.is_old(connection, "fact"):
                self._upgrade(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def reading(self) -> bool:
        """Whether it was opened for reading alone: a recovery to a folder leaves no trace here then."""
        return self._fence is None

    # --- Who it is ---------------------------------------------------------------------------------------

    def lineage_faults(self) -> list[ReconcilerError]:
        """Whatever says that this is another store than the one on record, or an older one; the worst first."""
        known, server, said = self.place.known, self.place.server, identity_of(self.folder)
        try:
            head = self._rows.head()
        except Damaged as error:
            return [error]
        if head.store == upgrade.UNNAMED:
            return []
        faults: list[ReconcilerError] = []
        if said is not None and said.source != self.source:
            faults.append(exchanged(self.folder, f"it is the replica store of {said.source}, not of {self.source}"))
        if said is not None and said.store != head.store:
            faults.append(exchanged(self.database, f"the catalog is that of another replica store than {said.store}"))
        if known is not None and head.store != known.store:
            faults.append(exchanged(self.folder, f"it is the replica store {head.store}, not {known.store}"))
        if server is not None and server.id != upgrade.UNNAMED and head.server and head.server.id != server.id:
            faults.append(exchanged(self.folder, f"it belongs to the server store {head.server.id}, not {server.id}"))
        if known is not None and head.generation < known.generation:
            what = f"it is at generation {head.generation}, and was at {known.generation} after its last job"
            faults.append(older(self.database, what))
        newest = self._newest_copy(head)
        if newest > head.generation + 1:
            what = f"it is at generation {head.generation}, and a copy of a map was written at {newest}"
            faults.append(older(self.database, what))
        mine = head.server if server is not None and head.server and head.server.id == server.id else None
        if mine is not None and server is not None:
            path = self.folder.parent.parent.parent / "server.db"
            if mine.generation > server.generation:
                what = f"it is at generation {server.generation}, and was at {mine.generation} when a job of "
                faults.append(older(path, what + f"{self.folder.name} began"))
            elif not faults and known is not None and not known.knows(mine.mark):
                what = f"the last job of {self.folder.name} left a mark in its catalog that the database does not know"
                faults.append(older(path, what))
        return faults

    def identity_fault(self) -> Diagnostic | None:
        """That the file which says who this is does not: the next job writes it anew, from what the others say."""
        if identity_of(self.folder) is not None or self._rows.store == upgrade.UNNAMED:
            return None
        what = f"{self.folder / 'identity.json'} is missing or not as it was written"
        remedy = "The next job of this virtual machine rewrites it. Check the disk that the store lies on."
        return Diagnostic("RCL4024", Severity.WARNING, what, remedy, subject=self.folder.name)

    def _newest_copy(self, head: Head) -> int:
        """The largest generation that a copy of a map of this store was written at."""
        for name in sorted(copies.named(self.points_folder), key=lambda each: -each.generation):
            if name.generation <= head.generation + 1:
                break
            try:
                copy = copies.read(name.path)
            except Damaged:
                continue
            if copy.store == head.store and copy.generation == name.generation:
                return name.generation
        return 0

    def lineage(self) -> Lineage:
        head = self._rows.head()
        return Lineage(head.store, head.generation)

    def _upgrade(self, db: sqlite.Connection) -> None:
        """Format 1 -> 2; a copy of the catalog was put beside it before it was opened."""
        store = self.place.known.store if self.place.known else new_identity()
        rows = Rows(db, self.database)
        with sqlite.transaction(db, self.database), upgrade.said_of(self.database):
            rows.begin(Head(store, server=self.place.server))
            upgrade.convert_catalog(rows, store)
            write_old_copies(self.place, rows, self.points_folder)
            rows.end()
        for path in sorted(self.points_folder.glob("*.map.zst")):
            if rows.get("point", path.name.removesuffix(".map.zst")) is not None:
                files.unlink(path)

    # --- One job at a time -------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Removes what a dead job left unfinished, and takes over the packs that it had sealed.

        Only what this catalog proves to be superfluous goes: a copy of a map that was written at a generation which the
        catalog has reached by another way. What a lost or older catalog could be made anew from stays.
        """
        for path in (*abandoned(self.packs), *copies.unfinished(self.points_folder)):
            files.unlink(path)
        known = self.pack_sizes()
        found = []
        for path in sealed_packs(self.packs):
            if path.stem not in known:
                try:
                    footer = read_footer(path)
                except Damaged:
                    files.rename(path, path.with_suffix(".damaged"))
                    continue
                if footer.pack == path.stem and self.is_mine(footer):
                    found.append(footer)
        if found:
            self.add_packs(found)
        head = self._rows.head()
        numbers = {row["id"] for row in self._db.execute("SELECT id FROM machine_map")}
        for name in copies.named(self.points_folder):
            if name.number not in numbers and name.generation <= head.generation and self._is_mine(name.path):
                files.unlink(name.path)

    def is_mine(self, pack: Sealed) -> bool:
        """Whether the pack was written into this replica store, by its own account."""
        head = pack.head
        return head.source == str(self.source) and head.store in ("", self._rows.store)

    def _is_mine(self, path: Path) -> bool:
        try:
            return copies.read(path).store == self._rows.store
        except Damaged:
            return False

    # --- Writing -----------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[Head]:
        """A transaction under the fence, which leaves behind what the server's database said when the job began."""
        with self._rows.writing(self._fence) as head:
            if self.place.server is not None:
                head.server = self.place.server
            yield head

    def heard(self) -> str:
        """The mark of the server's database that a job left here last; "" for none."""
        head = self._rows.head()
        return head.server.mark if head.server is not None else ""

    def under(self, mark: str) -> None:
        """Leaves the mark with whatever is written from now on. The server's database has it already."""
        if self.place.server is not None:
            server = msgspec.structs.replace(self.place.server, mark=mark)
            self.place = msgspec.structs.replace(self.place, server=server)

    def new_pack(self) -> PackWriter:
        """A pack about to be written into this store."""
        head = self._rows.head()
        return PackWriter(self.packs, str(self.source), head.store, head.generation)

    def add_packs(self, sealed: Iterable[Sealed]) -> None:
        """Makes sealed packs part of the catalog."""
        with self._writing():
            self._insert_packs(sealed)

    def commit(self, what: Commit, sealed: Iterable[Sealed] = (), assignment: Assignment | None = None) -> None:
        """Makes a job true: its packs, its map, its recovery point and its result, all at once."""
        base, depth = self._base(what)
        body = maps.encode_whole(what.machine) if base is None else self._difference(what.machine)
        with self._writing() as head:
            number = self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM machine_map").fetchone()[0]
            point = record_of(what, what.point, number) if what.point is not None else None
            facts = msgspec.structs.replace(what.facts, current_map=number, source_bytes=what.machine.size)
            copy = copies.Copy(
                store=head.store,
                source=self.source,
                server=head.server or upgrade.unnamed(),
                volume=self.place.volume,
                generation=head.generation,
                number=number,
                base=base,
                depth=depth,
                body=body,
                facts=facts,
                point=point,
                job=what.job,
                result=JobRow(what.kind, what.at, what.result),
                assignment=assignment,
                tokens=head.tokens,
                written_at=what.at,
            )
            copies.write(self.points_folder, copy)
            self._insert_packs(sealed)
            put_copy(self._rows, copy)
            for name in what.healed:
                self._rows.delete("bad", name.hex())
            self._rows.put("fact", REPLICA, msgspec.json.encode(facts))

    def set_inconsistent(self, because: str) -> None:
        """Notes that the replica does not hold what it should, until a consistency check repaired it."""
        if self.reading:
            return
        facts = msgspec.structs.replace(self.facts(), state=ReplicaState.INCONSISTENT, inconsistent_because=because)
        with self._writing():
            self._rows.put("fact", REPLICA, msgspec.json.encode(facts))

    def forget_blocks(self, names: Iterable[bytes], packs: Iterable[str], at: datetime) -> None:
        """Takes damaged blocks out of the catalog, so that they are stored anew when the source still has them.

        `packs` are those that are missing or cut: what is left of them is what counts from now on.
        """
        with self._writing():
            for name in names:
                delete_blocks(self._rows, "name = ?", name)
                self._rows.put("bad", name.hex(), at.isoformat().encode())
            for pack in packs:
                path = pack_path(self.packs, pack)
                if path.exists():
                    self._rows.put("pack", pack, msgspec.json.encode(PackRecord(path.stat().st_size)))
                else:
                    delete_blocks(self._rows, "pack = ?", pack)
                    self._rows.delete("pack", pack)

    def bin_points(
        self, job: str, at: datetime, judge: Callable[[list[PointRecord]], tuple[list[str], JobResult]]
    ) -> JobResult:
        """Moves points to the bin: those that `judge`, which is asked inside the transaction, names of all that are
        there, oldest first."""
        with self._writing():
            points = {point.id: point for point in self.point_records()[0] if point.binned_at is None}
            going, result = judge(list(points.values()))
            for point in going:
                binned = msgspec.structs.replace(points[point], binned_at=at)
                self._rows.put("point", point, msgspec.json.encode(binned))
            self._put_job(job, JobKind.PRUNING, at, result)
        return result

    def plan_cut_over(self, job: str, body: bytes) -> None:
        """Writes down what a recovery is about to do, over what was written for it before."""
        if self.reading:
            return
        with self._writing():
            self._rows.put("cutOver", job, body)

    def withdraw_cut_over(self, job: str) -> None:
        """Nothing of it was done, and nothing will be."""
        if self.reading:
            return
        with self._writing():
            self._rows.delete("cutOver", job)

    def end_cut_over(self, job: str, at: datetime, result: JobResult, *, of: str = "") -> None:
        """Makes the recovery `job` true, and ends what was written down for it, or for the job `of` that it ended."""
        if self.reading:
            return
        with self._writing():
            self._rows.delete("cutOver", of or job)
            self._put_job(job, JobKind.RECOVERY, at, result)

    def _base(self, what: Commit) -> tuple[int | None, int]:
        current = what.facts.current_map
        if what.whole or not current:
            return None, 0
        row = self._db.execute("SELECT * FROM machine_map WHERE id = ?", (current,)).fetchone()
        whole = row is not None and row["seal"] == self.map_seal(row)
        depth = row["depth"] if whole else maps.LONGEST_CHAIN
        return (None, 0) if depth + 1 >= maps.LONGEST_CHAIN else (current, depth + 1)

    def _difference(self, machine: MachineMap) -> bytes:
        before = self.current()
        assert before is not None
        return maps.encode_difference(machine, before)

    def _insert_packs(self, sealed: Iterable[Sealed]) -> None:
        for pack in sealed:
            put_pack(self._rows, pack)

    def _put_job(self, job: str, kind: JobKind, at: datetime, result: JobResult) -> None:
        if self._rows.get("job", job) is None:
            self._rows.put("job", job, msgspec.json.encode(JobRow(kind, at, result)))

    # --- Closing -----------------------------------------------------------------------------------------

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def close(self) -> None:
        self._db.close()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
