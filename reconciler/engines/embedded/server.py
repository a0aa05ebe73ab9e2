"""The server's own database: groups, which replica belongs to which of them, jobs that were given, and who we are.

Reading opens it for reading alone, each time anew, and makes nothing. It is made by `establish` and by nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from reconciler import encoded, files, sqlite
from reconciler.engines.embedded import upgrade
from reconciler.engines.embedded.grouping import assignment_of, change, groups_of
from reconciler.engines.embedded.lost import exchanged, unreachable
from reconciler.engines.embedded.making import Place
from reconciler.engines.embedded.making_server import (
    UNFINISHED,
    make_server,
    read_marker,
    remove_unfinished,
    upgrade_server,
    volume_marker,
)
from reconciler.engines.embedded.records import (
    ASSIGNMENT,
    FORMAT,
    KNOWN_REPLICA,
    KNOWN_VOLUME,
    Assignment,
    KnownReplica,
    KnownVolume,
    Marker,
    VolumeMarker,
    source_key,
)
from reconciler.engines.embedded.sealed import Head, Rows, new_identity, seal_file
from reconciler.errors import Diagnostic, ReconcilerError, Severity
from reconciler.model import (
    Action,
    DataSource,
    Job,
    Lineage,
    Presence,
    ProtectionGroup,
    StoreLineage,
)
from reconciler.protocols import Fence

MIGRATIONS = "reconciler.engines.embedded.server_sql"

#: What may lie in a folder that has no store in it: what file systems keep, and what was declared lost.
_NOTHING = ("lost+found", ".snapshot")
LOST = "lost-"

#: Made here, by one thread: see `encoded.Reader`.
_GROUP = encoded.Reader(ProtectionGroup)
_JOB = encoded.Reader(Job)


class ServerStore:
    """The folder of one embedded server. Thread-safe."""

    def __init__(self, path: Path, volumes: tuple[tuple[str, int], ...]) -> None:
        self.path = path
        self.volumes = dict(volumes)
        self._database = path / "server.db"
        self._rows: Rows | None = None
        self._lock = threading.RLock()

    def close(self) -> None:
        with self._lock:
            if self._rows is not None:
                self._rows.db.close()
                self._rows = None

    def volume_folder(self, volume: str) -> Path:
        return self.path / "volumes" / volume

    def replica_folder(self, assignment: Assignment) -> Path:
        return self.volume_folder(assignment.volume) / assignment.folder

    # --- What is there -----------------------------------------------------------------------------------

    def presence(self) -> Presence:
        """Whether there is a store. Raises `Unreachable`, RCL4021, where parts of one are and its database is not;
        `Refused`, RCL4001, for a newer format."""
        with self._lock:
            if self._rows is not None:
                return Presence.PRESENT
        marker = read_marker(self.path)
        if self._database.exists():
            with self._reading() as rows:
                return Presence.UNNAMED if rows.head().store == upgrade.UNNAMED else Presence.PRESENT
        there = self._there()
        if not there or (there == {"format.json"} and (marker is None or marker.format < FORMAT)):
            return Presence.ABSENT
        raise unreachable(self._database, "the database of this server's store", f"{', '.join(sorted(there))} is there")

    def _there(self) -> set[str]:
        try:
            names = {path.name for path in self.path.iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except OSError as error:
            raise sqlite.unreadable(self.path, error) from error
        there = {name for name in names if name not in _NOTHING and not name.startswith((LOST, UNFINISHED))}
        volumes = self.path / "volumes"
        if "volumes" in there and volumes.is_dir() and not any(_holds(each) for each in volumes.iterdir()):
            there.remove("volumes")  # disks of their own, mounted before the first use, or mount points without them
        return there

    def lineage(self) -> StoreLineage:
        """See `protocols.KeepsStore`."""
        presence = self.presence()
        if presence is Presence.ABSENT:
            return StoreLineage(presence, str(self.path))
        with self._reading() as rows:
            head = rows.head()
            volumes = tuple(sorted(rows.all("volume").bodies))
        store = None if presence is Presence.UNNAMED else Lineage(head.store, head.generation)
        token = max(head.tokens.values(), default=0)  # every job comes by here before it writes to its replica store
        return StoreLineage(presence, str(self.path), store, head.state, token, volumes)

    def faults(self) -> list[Diagnostic]:
        """What is wrong with the store as a whole: its marker, its volumes, rows of its database. Changes nothing."""
        if self.presence() is Presence.ABSENT:
            return []
        found: list[Diagnostic] = []
        with self._reading() as rows:
            head = rows.head()
            kinds = rows.kinds()
            for kind in sorted(kinds):
                found += [rows.fault(fault).diagnostic for fault in rows.all(kind).faults]
            volumes = {name: KNOWN_VOLUME.decode(body) for name, body in rows.all("volume").bodies.items()}
        if head.store == upgrade.UNNAMED:
            return found
        marker = read_marker(self.path)
        if marker is None:
            what = f"{self.path / 'format.json'} is missing or damaged"
            remedy = "It is rewritten by the next job; check the disk that the store lies on."
            found.append(Diagnostic("RCL4024", Severity.ERROR, what, remedy, subject=str(self.path)))
        elif marker.format == FORMAT and marker.store != head.store:
            found.append(exchanged(self._database, f"the folder is of the store {marker.store}").diagnostic)
        for name, volume in sorted(volumes.items()):
            error = self._volume_fault(name, volume, head.store)
            if error is not None:
                found.append(error.diagnostic)
            elif volume_marker(self.volume_folder(name)) is None:
                what = f"{self.volume_folder(name) / 'volume.json'} is missing or not as it was written"
                remedy = "The next job rewrites it. Check the disk that the store lies on."
                found.append(Diagnostic("RCL4024", Severity.WARNING, what, remedy, subject=name))
        return found

    def _volume_fault(self, name: str, known: KnownVolume, store: str) -> ReconcilerError | None:
        folder = self.volume_folder(name)
        if not folder.is_dir() or not _holds(folder):
            return unreachable(folder, f"the volume {name}")
        said = volume_marker(folder)
        if said is None:
            return None  # the replica stores in it say themselves whose they are
        if said.id != known.id or said.server != store or said.volume != name:
            return exchanged(folder, f"it is the volume {said.volume} of the store {said.server}")
        return None

    # --- Reading -----------------------------------------------------------------------------------------

    def groups(self) -> tuple[tuple[str, ProtectionGroup], ...]:
        """(reference, group), by name."""
        with self._reading() as rows:
            return tuple(sorted(groups_of(rows).items(), key=lambda item: item[1].name))

    def assignments(self) -> tuple[Assignment, ...]:
        """By data source."""
        with self._reading() as rows:
            found = (ASSIGNMENT.decode(body) for body in rows.all("replica").bodies.values())
            return tuple(sorted(found, key=lambda each: each.source))

    def places(self) -> tuple[tuple[Assignment, Place], ...]:
        """Every assignment with its place, by data source."""
        with self._reading() as rows:
            head = rows.head()
            known = {key: KNOWN_REPLICA.decode(body) for key, body in rows.all("known").bodies.items()}
            found = sorted((ASSIGNMENT.decode(b) for b in rows.all("replica").bodies.values()), key=lambda a: a.source)
            return tuple((each, self._place_of(each, known.get(source_key(each.source)), head)) for each in found)

    def assignment(self, source: DataSource) -> Assignment | None:
        with self._reading() as rows:
            return assignment_of(rows, source)

    def place(self, assignment: Assignment) -> Place:
        """Where the replica store of the assignment is, and what we know of it."""
        with self._reading() as rows:
            body = rows.get("known", source_key(assignment.source))
            return self._place_of(assignment, KNOWN_REPLICA.decode(body) if body else None, rows.head())

    def _place_of(self, assignment: Assignment, known: KnownReplica | None, head: Head) -> Place:
        folder = self.replica_folder(assignment)
        return Place(folder, assignment.source, assignment.volume, known, Lineage(head.store, head.generation))

    def job(self, job: str) -> Job | None:
        with self._reading() as rows:
            body = rows.get("job", job)
            return _JOB.decode(body) if body else None

    @contextmanager
    def _reading(self) -> Iterator[Rows]:
        """The rows, for reading. Raises `Unreachable`, RCL4021, where there is no store."""
        with self._lock:
            if self._rows is not None:
                yield self._rows
                return
        try:
            db = sqlite.connect_reading(self._database, migrations=MIGRATIONS)
        except (FileNotFoundError, NotADirectoryError):
            raise unreachable(self._database, "the store of this server") from None
        if upgrade.is_old(db, "protection_group"):
            db = upgrade.server_in_memory(db)
        try:
            marker = read_marker(self.path)
            yield Rows(db, self._database, marker.store if marker else "")
        finally:
            db.close()

    # --- Writing -----------------------------------------------------------------------------------------

    def establish(self, state: Lineage, fence: Fence) -> StoreLineage:
        """See `protocols.KeepsStore`."""
        with self._lock:
            if self._rows is None and self.presence() is Presence.ABSENT:
                # Whose it is stands in it from the first moment: cut off after this, it is no stranger's to the state.
                make_server(self.path, Head(new_identity(), state=state, tokens={fence.lease: fence.token}), fence)
            return self.note_state(state, fence)

    def note_state(self, state: Lineage, fence: Fence) -> StoreLineage:
        """See `protocols.KeepsStore`."""
        with self._writing(fence) as rows:
            rows.head().state = state
        return self.lineage()

    def note_job(self, job: Job, fence: Fence) -> None:
        """Remembers that the job was given to us."""
        with self._writing(fence) as rows:
            if rows.get("job", job.id) is None:
                rows.put("job", job.id, msgspec.json.encode(job))

    def note_replica(self, source: DataSource, known: KnownReplica, fence: Fence) -> None:
        """Notes how far a replica store has come, never that it went back, and which marks it can have heard."""
        with self._writing(fence) as rows:
            body = rows.get("known", source_key(source))
            before = KNOWN_REPLICA.decode(body) if body else None
            if before is not None and before.store == known.store:
                known = msgspec.structs.replace(known, generation=max(known.generation, before.generation))
            if known != before:
                rows.put("known", source_key(source), msgspec.json.encode(known))

    def use_volume(self, name: str, fence: Fence) -> None:
        """Makes sure that the volume's folder is the one on record; makes it at its first use. Raises `Unreachable`,
        RCL4021, where one that is on record is not there, `Damaged`, RCL4023, where another one is."""
        folder = self.volume_folder(name)
        said = volume_marker(folder)
        with self._reading() as rows:
            store, body = rows.head().store, rows.get("volume", name)
        if body is not None:
            known = KNOWN_VOLUME.decode(body)
            error = self._volume_fault(name, known, store)
            if error is not None:
                raise error
            if said is not None:
                return
        with self._writing(fence) as rows:
            store = rows.head().store
            if body is None:
                if said is not None and said.server != store:
                    raise exchanged(folder, f"it is the volume {said.volume} of the store {said.server}")
                known = KnownVolume(said.id if said is not None else new_identity())
                rows.put("volume", name, msgspec.json.encode(known))
            files.make_folder(folder)
            files.write_whole(folder / "volume.json", seal_file(VolumeMarker(FORMAT, known.id, name, store)))

    def declare_lost(self, volume: str | None, fence: Fence) -> tuple[DataSource, ...]:
        """Gives up what is missing or damaged beyond repair: the replica stores of a volume, or the whole store. What
        is left of them is put aside as `lost-TIME`, never removed. Returns the data sources that have no replica now;
        for the whole store none are known any more, and the next use is a first one."""
        with self._lock:
            aside = f"{LOST}{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
            if volume is None:
                self.close()
                self._put_aside([self.path / name for name in sorted(self._there())], self.path / aside)
                return ()
            sources = tuple(each.source for each in self.assignments() if each.volume == volume)
            folder = self.volume_folder(volume)
            if folder.is_dir():
                left = [path for path in sorted(folder.iterdir()) if not path.name.startswith(LOST)]
                self._put_aside(left, folder / aside)
            with self._writing(fence) as rows:
                rows.delete("volume", volume)
                for source in sources:
                    rows.delete("known", source_key(source))
            return sources

    def _put_aside(self, paths: list[Path], aside: Path) -> None:
        if paths:
            files.make_folder(aside)
        for path in paths:
            files.rename(path, aside / path.name)

    def apply(self, action: Action, fence: Fence) -> str:
        """One action, one transaction. Returns the group's reference."""
        with self._writing(fence) as rows:
            return change(rows, self.volumes, action)

    @contextmanager
    def _writing(self, fence: Fence) -> Iterator[Rows]:
        """A transaction under the fence: an older token than one seen before is refused."""
        with self._lock:
            if self._rows is None:
                self._rows = self._opened()
            with self._rows.writing(fence):
                yield self._rows

    def _opened(self) -> Rows:
        """The database for writing, upgraded. Raises `Unreachable` where there is no store, `Damaged`, RCL4023, where
        it is another one than its folder says."""
        if self.presence() is Presence.ABSENT:
            raise unreachable(self._database, "the store of this server", "it was never made, or is not mounted")
        upgrade.keep_old(self._database)
        db = sqlite.connect(self._database, migrations=MIGRATIONS)
        try:
            if upgrade.is_old(db, "protection_group"):
                upgrade_server(db, self._database, self.replica_folder)
            rows = Rows(db, self._database)
            store = rows.head().store
            marker = read_marker(self.path)
            if marker is not None and marker.format == FORMAT and marker.store != store:
                raise exchanged(self._database, f"the folder is of the store {marker.store}")
            if marker is None or marker.format != FORMAT:
                files.write_whole(self.path / "format.json", seal_file(Marker(FORMAT, store)))
            remove_unfinished(self.path)
        except BaseException:
            db.close()
            raise
        return rows

    def make_again(
        self,
        head: Head,
        fence: Fence,
        assignments: Iterable[Assignment],
        known: Mapping[str, KnownReplica],
        volumes: Mapping[str, KnownVolume],
    ) -> None:
        """Makes a database that is gone anew, with what is known of it."""

        def fill(rows: Rows) -> None:
            for each in assignments:
                rows.put("replica", source_key(each.source), msgspec.json.encode(each))
            for key, replica in known.items():
                rows.put("known", key, msgspec.json.encode(replica))
            for name, volume in volumes.items():
                rows.put("volume", name, msgspec.json.encode(volume))

        with self._lock:
            make_server(self.path, head, fence, fill)

    def marked(self) -> str:
        """Whose store the folder is by its marker; "" where that does not say."""
        marker = read_marker(self.path)
        return marker.store if marker is not None else ""

    def marker_of(self, volume: str) -> VolumeMarker | None:
        return volume_marker(self.volume_folder(volume))


def _holds(folder: Path) -> bool:
    """Whether anything of a store is in the folder of a volume, or it is no folder that reads."""
    try:
        return any(path.name not in _NOTHING for path in folder.iterdir())
    except OSError:
        return True
