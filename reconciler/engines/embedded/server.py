"""The server's own database: groups, which replica belongs to which of them, jobs that were given, and the fence."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import msgspec

from reconciler import files, sqlite
from reconciler.engines.embedded.replica import folder_name
from reconciler.errors import Refused, StaleFence
from reconciler.model import (
    Action,
    Adopt,
    CreateGroup,
    DataSource,
    ExistingPoints,
    Job,
    ProtectionGroup,
    RenameGroup,
    StopProtection,
    UpdateGroup,
)
from reconciler.protocols import Fence

FORMAT = 1


class Assignment(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Where the replica of a data source lies, and under which group and rules it stands. `group` is its name;
    None means inactive, and then the rules are the last ones that its points were made under."""

    source: DataSource
    volume: str
    folder: str
    group: str | None
    existing_points: ExistingPoints
    retention: timedelta
    minimum_points: int


class _Format(msgspec.Struct, frozen=True):
    format: int


#: Made here, by one thread: two threads that decode a type for the first time at once can crash msgspec 0.22.
_GROUP = msgspec.json.Decoder(ProtectionGroup)
_ASSIGNMENT = msgspec.json.Decoder(Assignment)
_JOB = msgspec.json.Decoder(Job)


class ServerStore:
    """The folder of one embedded server. Thread-safe."""

    def __init__(self, path: Path, volumes: tuple[tuple[str, int], ...]) -> None:
        self.path = path
        self.volumes = dict(volumes)
        files.make_folder(path)
        _check_format(path)
        self._database = path / "server.db"
        self._db = sqlite.connect(self._database, migrations="reconciler.engines.embedded.server_sql")
        self._lock = threading.RLock()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def replica_folder(self, assignment: Assignment) -> Path:
        return self.path / "volumes" / assignment.volume / assignment.folder

    # --- Reading -----------------------------------------------------------------------------------------

    def groups(self) -> tuple[tuple[str, ProtectionGroup], ...]:
        """(reference, group), by name."""
        rows = self._rows("SELECT ref, body FROM protection_group ORDER BY name")
        return tuple((row["ref"], _GROUP.decode(row["body"])) for row in rows)

    def assignments(self) -> tuple[Assignment, ...]:
        """By data source."""
        rows = self._rows("SELECT body FROM replica")
        found = (_ASSIGNMENT.decode(row["body"]) for row in rows)
        return tuple(sorted(found, key=lambda each: each.source))

    def assignment(self, source: DataSource) -> Assignment | None:
        rows = self._rows("SELECT body FROM replica WHERE source = ?", str(source))
        return _ASSIGNMENT.decode(rows[0]["body"]) if rows else None

    def job(self, job: str) -> Job | None:
        rows = self._rows("SELECT body FROM job WHERE id = ?", job)
        return _JOB.decode(rows[0]["body"]) if rows else None

    # --- Writing -----------------------------------------------------------------------------------------

    def note_job(self, job: Job, fence: Fence) -> None:
        """Remembers that the job was given to us."""
        with self._writing(fence):
            row = (job.id, str(job.source), msgspec.json.encode(job))
            self._db.execute("INSERT OR IGNORE INTO job (id, source, body) VALUES (?, ?, ?)", row)

    def apply(self, action: Action, fence: Fence) -> str:
        """One action, one transaction. Returns the group's reference."""
        with self._writing(fence):
            match action:
                case CreateGroup(group=group):
                    return self._create(group)
                case (
                    UpdateGroup(ref=ref, before=before, after=after) | RenameGroup(ref=ref, before=before, after=after)
                ):
                    return self._update(ref, before, after)
                case StopProtection(ref=ref, before=before, existing_points=existing):
                    return self._stop(ref, before, existing)
                case Adopt(ref=ref, group=group):
                    return self._update(ref, group, group)

    def _create(self, group: ProtectionGroup) -> str:
        ref = "pg-" + sha256(group.name.encode()).hexdigest()[:12]
        row = self._db.execute("SELECT ref, body FROM protection_group WHERE name = ?", (group.name,)).fetchone()
        if row is not None:
            if _GROUP.decode(row["body"]) == group:
                return str(row["ref"])
            raise _stale(group.name, "is already there, and differs")
        taken = self._db.execute("SELECT 1 FROM protection_group WHERE ref = ?", (ref,)).fetchone()
        if taken is not None:
            ref = "pg-" + sha256(f"{group.name} {self._next_number()}".encode()).hexdigest()[:12]
        self._check_names(group, ref)
        body = msgspec.json.encode(group)
        self._db.execute("INSERT INTO protection_group (ref, name, body) VALUES (?, ?, ?)", (ref, group.name, body))
        self._place(None, group)
        return ref

    def _next_number(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM protection_group").fetchone()[0])

    def _update(self, ref: str, before: ProtectionGroup, after: ProtectionGroup) -> str:
        row = self._db.execute("SELECT body FROM protection_group WHERE ref = ?", (ref,)).fetchone()
        if row is None:
            raise _stale(before.name, "is not there any more")
        now = _GROUP.decode(row["body"])
        if now == after:
            return ref
        if now != before:
            raise _stale(before.name, "was changed meanwhile")
        self._check_names(after, ref)
        body = msgspec.json.encode(after)
        self._db.execute("UPDATE protection_group SET name = ?, body = ? WHERE ref = ?", (after.name, body, ref))
        self._place(before, after)
        return ref

    def _stop(self, ref: str, before: ProtectionGroup, existing: ExistingPoints) -> str:
        row = self._db.execute("SELECT body FROM protection_group WHERE ref = ?", (ref,)).fetchone()
        if row is None:
            return ref
        if _GROUP.decode(row["body"]) != before:
            raise _stale(before.name, "was changed meanwhile")
        self._db.execute("DELETE FROM protection_group WHERE ref = ?", (ref,))
        for member in before.members:
            self._release(member.source, existing)
        return ref

    def _check_names(self, group: ProtectionGroup, ref: str) -> None:
        for row in self._db.execute("SELECT body FROM protection_group WHERE ref != ?", (ref,)):
            other = _GROUP.decode(row["body"])
            if group.name == other.name or group.display_name == other.display_name:
                raise _stale(group.name, f"has a name that the group {other.display_name!r} has")
            both = group.sources & other.sources
            if both:
                raise _stale(group.name, f"would take {min(both)}, which the group {other.name} protects")

    def _place(self, before: ProtectionGroup | None, after: ProtectionGroup) -> None:
        """Gives every member a replica; lets go of those that are no members any more."""
        for member in after.members:
            old = self.assignment(member.source)
            volume = old.volume if old else member.volume or self._roomiest()
            if volume not in self.volumes:
                raise Refused(
                    "RCL4009",
                    f"the volume {volume!r} is not in the pool of this server",
                    "Name one of its volumes: " + ", ".join(sorted(self.volumes)) + ".",
                    subject=after.name,
                )
            self._assign(
                Assignment(
                    member.source,
                    volume,
                    old.folder if old else folder_name(member.source),
                    after.name,
                    after.existing_points,
                    after.short_term.retention,
                    after.short_term.minimum_points,
                )
            )
        for source in sorted((before.sources if before else frozenset()) - after.sources):
            self._release(source, after.existing_points)

    def _release(self, source: DataSource, existing: ExistingPoints) -> None:
        old = self.assignment(source)
        if old is not None:
            self._assign(msgspec.structs.replace(old, group=None, existing_points=existing))

    def _assign(self, assignment: Assignment) -> None:
        row = (str(assignment.source), msgspec.json.encode(assignment))
        self._db.execute("INSERT OR REPLACE INTO replica (source, body) VALUES (?, ?)", row)

    def _roomiest(self) -> str:
        """The volume with the most capacity for each replica that it has."""
        count = dict.fromkeys(self.volumes, 1)
        for each in self.assignments():
            count[each.volume] = count.get(each.volume, 1) + 1
        return min(self.volumes, key=lambda volume: (-self.volumes[volume] / count[volume], volume))

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _writing(self, fence: Fence) -> Iterator[None]:
        """A transaction under the fence: an older token than one seen before is refused."""
        with self._lock, sqlite.transaction(self._db, self._database):
            fence.check()
            if fence.lease != "site":  # this format keeps the tokens of the site's series alone
                yield
                return
            row = self._db.execute("SELECT token FROM fence").fetchone()
            if row is not None and fence.token < row["token"]:
                raise StaleFence(
                    "RCL5004",
                    f"the fencing token {fence.token} is older than {row['token']}, which this server has seen",
                    "Another process took over. Start the command again.",
                    subject=self.path.name,
                )
            self._db.execute("INSERT OR REPLACE INTO fence (only, token) VALUES (1, ?)", (fence.token,))
            yield


def _check_format(path: Path) -> None:
    """A store of a newer format is refused before anything of it is touched."""
    marker = path / "format.json"
    if not marker.exists():
        files.write_whole(marker, msgspec.json.encode(_Format(FORMAT)))
        return
    try:
        found = msgspec.json.decode(marker.read_bytes(), type=_Format).format
    except msgspec.DecodeError:
        found = -1
    if found != FORMAT:
        what = f"format {found}" if found >= 0 else "a format that does not read"
        raise Refused(
            "RCL4001",
            f"the store {path} has {what}; this version knows format {FORMAT}",
            "Use the version that wrote it, or a newer one. Nothing was changed.",
            subject=str(path),
        )


def _stale(group: str, what: str) -> Refused:
    return Refused(
        "RCL3010",
        f"the group {group} {what}",
        "Make a new plan and look at it; nothing was changed by this step.",
        subject=group,
    )
