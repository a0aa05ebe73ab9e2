"""One site's memory on SQLite: structs in, structs out; each method is one transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from reconciler import files, sqlite, system_calls
from reconciler.errors import ReconcilerError, Refused, Unreachable
from reconciler.model import (
    DataSource,
    JobKind,
    JobRecord,
    LedgerEntry,
    Lineage,
    Outcome,
    Plan,
    Sighting,
)
from reconciler.protocols import JournalStep, Run
from reconciler.state.chained import ChainedEvidence
from reconciler.state.database import Database
from reconciler.state.evidence import EvidenceFolder
from reconciler.state.known import SqliteApprovals, SqliteStores
from reconciler.state.locks import SqliteLocks
from reconciler.state.requests import SqliteRequests
from reconciler.state.tables import DOCUMENT, JOB, LEDGER, MARK, RUN, SIGHTING, STEP
from reconciler.system_errors import cannot_write

Now = Callable[[], datetime]

_SQL = "reconciler.state.sql"

#: The schema of version 0.1: one before it is of a state that was never finished.
_OLDEST = 2


class Opening(Enum):
    """How a state is opened. READ makes and changes nothing; where there is no state an empty one stands for it.
    NOTE is READ that writes down what it saw where that can be. WRITE takes one that is there; CREATE makes it if need
    be. EITHER is, to whoever opens a site, CREATE, and READ where nothing can be written."""

    READ = "read"
    NOTE = "note"
    WRITE = "write"
    CREATE = "create"
    EITHER = "either"


def _real_now() -> datetime:
    return datetime.now(UTC)


def open_memory(path: Path, now: Now = _real_now, opening: Opening = Opening.CREATE) -> SqliteMemory:
    """Opens the state database at `path`. Whoever writes brings one of version 0.1 to this format.

    `now` is real time, for leases. Raises `Refused`, RCL5005, where the file cannot be made, opened or read,
    `Unreachable`, RCL5041, where it is to be there and is not, `Damaged`, RCL5002, where it cannot be read.
    """
    try:
        if opening is Opening.NOTE:
            return _noting(path, now)
        if opening is Opening.READ:
            return _reading(path, now)
        if opening is Opening.CREATE:
            _make(path)
        elif not path.exists():
            raise missing_state(path)
        return SqliteMemory(Database(sqlite.connect(path, migrations=_SQL), path), path, now)
    except OSError as error:
        raise _cannot_open(path, error) from error


def _noting(path: Path, now: Now) -> SqliteMemory:
    """Opens it for writing, or for reading alone where nothing can be written."""
    if _may_be_noted(path):
        try:
            return open_memory(path, now, Opening.WRITE)
        except (ReconcilerError, OSError) as error:
            if not cannot_write(error):
                raise
    return _reading(path, now)


def missing_state(path: Path) -> Unreachable:
    """What is said where a state should be."""
    return Unreachable(
        "RCL5041",
        f"there is no state {path}",
        "If its disk is not mounted, mount it. If it is lost: `reconciler state restore BACKUP`. A site begins with "
        "`reconciler apply`; where its servers hold groups, `reconciler apply --adopt NAME` takes them over.",
        subject=str(path),
    )


def format_of(path: Path) -> int | None:
    """The format of the state at `path`: 1 for version 0.1's, 2; None where there is none that reads."""
    if not path.exists():
        return None
    with closing(open_memory(path, opening=Opening.READ)) as memory:
        if not memory.present:
            return None
        return 2 if memory.lineage() is not None else 1


def _make(path: Path) -> None:
    files.make_folder(path.parent)
    if not path.exists():
        os.close(system_calls.open_file(path, os.O_CREAT | os.O_WRONLY))


def _reading(path: Path, now: Now) -> SqliteMemory:
    """A memory that only reads; an empty one where there is no file, or only what a process that was killed while
    it made one left."""
    if path.exists():
        connection = sqlite.connect_reading(path, migrations=_SQL)
        if sqlite.version(connection) >= _OLDEST:
            return SqliteMemory(Database(connection, path, reading=True), path, now)
        connection.close()
    nothing = Database(sqlite.connect(Path(":memory:"), migrations=_SQL), path)
    nothing.reading = True
    return SqliteMemory(nothing, path, now, present=False)


def _may_be_noted(path: Path) -> bool:
    """Whether what is seen can be noted: the state is there, in this format, and may be written."""
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        return False
    return format_of(path) == 2


def _cannot_open(path: Path, error: OSError) -> Refused:
    account = system_calls.account_number()
    if path.exists() and not os.access(path, os.R_OK):
        may = "it may not be read"
    elif path.exists() and not os.access(path, os.W_OK):
        may = "you may read it, not write it"
    else:
        may = str(error.strerror or error)
    return Refused(
        "RCL5005",
        f"the state database {path} cannot be opened by this account ({account}): {may}",
        "Reading commands need read access to the file, to `-wal` beside it and to its folder; commands that change "
        "something need to write there. Correct the permissions, or `state` in the site.",
        subject=str(path),
    )


class SqliteMemory:
    """Journal, ledger, jobs, locks, marks, evidence, requests and what is known of stores and approvals, of one site;
    the evidence lies in a folder beside the database."""

    def __init__(self, database: Database, path: Path, now: Now, *, present: bool = True) -> None:
        self._database = database
        self.path = path
        self.present = present
        self.journal = SqliteJournal(database)
        self.ledger = SqliteLedger(database)
        self.jobs = SqliteJobs(database)
        self.locks = SqliteLocks(database, now)
        self.marks = SqliteMarks(database)
        self.stores = SqliteStores(database)
        self.approvals = SqliteApprovals(database)
        self.requests = SqliteRequests(database, now)
        self.evidence = ChainedEvidence(database, EvidenceFolder.of(path))

    @property
    def writable(self) -> bool:
        return not self._database.reading

    def lineage(self) -> Lineage | None:
        return self._database.lineage() if self.present else None

    def come_from_backup(self, generation: int, identity: str, evidence: EvidenceFolder) -> None:
        """Makes this state, which comes from a backup, go on: past every generation that one of its copies can have
        reached, under the identity of the one that it replaces where it has none of its own, and from the end of the
        evidence that is there."""
        end = evidence.end()

        def act(write: sqlite3.Connection) -> None:
            line = self._database.line()
            self._database.move(
                write,
                generation=max(generation, line["generation"]),
                id=identity or line["id"],
                seq=end.seq or None,
                head=end.head or None,
            )

        self._database.write(act)

    def verify(self) -> int:
        """Reads every row; how many there are. Raises `Damaged`, RCL5002."""
        return self._database.verify()

    def close(self) -> None:
        self._database.close()


class SqliteJournal:
    """See `protocols.Journal`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, run: Run, plan: Plan | None) -> None:
        values = {
            "id": run.id,
            "body": msgspec.json.encode(run),
            "plan": msgspec.json.encode(plan) if plan else None,
            "ended": 0,
            "glass": int(bool(run.glass)),
        }
        self._database.write(lambda write: self._database.put(write, RUN, **values))

    def started(self, run: str, step: str, at: datetime) -> None:
        def act(write: sqlite3.Connection) -> None:
            if not self._database.rows(STEP, STEP.here, run, step):
                values = {"run": run, "step": step, "started_at": at.isoformat(), "outcome": None, "ended_at": None}
                self._database.put(write, STEP, **values)

        self._database.write(act)

    def finished(self, run: str, outcome: Outcome) -> None:
        def act(write: sqlite3.Connection) -> None:
            row = self._database.row(STEP, run, outcome.step)
            if row is not None:
                ended = {"outcome": msgspec.json.encode(outcome), "ended_at": outcome.at.isoformat()}
                self._database.put(write, STEP, **{**row, **ended})

        self._database.write(act)

    def end(self, run: str, at: datetime, ended_as: str) -> None:
        def act(write: sqlite3.Connection) -> None:
            row = self._database.row(RUN, run)
            assert row is not None
            ended = msgspec.structs.replace(self._database.decode(row["body"], Run), ended_at=at, ended_as=ended_as)
            self._database.put(write, RUN, **{**row, "body": msgspec.json.encode(ended), "ended": 1})

        self._database.write(act)

    def runs(self, limit: int | None = 50) -> tuple[Run, ...]:
        if limit is None:
            return self._runs("1", order="sequence DESC", whole="run")
        return self._runs("1", order=f"sequence DESC LIMIT {limit:d}")

    def open_runs(self) -> tuple[Run, ...]:
        return self._runs("ended = 0", order="sequence", whole="run.open")

    def since(self, at: datetime) -> tuple[Run, ...]:
        return self._runs(
            "plan IS NOT NULL AND id IN (SELECT run FROM step WHERE ended_at >= ?)", at.isoformat(), order="sequence"
        )

    def broken_glass(self) -> tuple[Run, ...]:
        return self._runs("glass = 1", order="sequence", whole="run.glass")

    def _runs(self, where: str, *values: object, order: str, whole: str = "") -> tuple[Run, ...]:
        rows = self._database.rows(RUN, where, *values, order=order, whole=whole)
        return tuple(self._database.decode(row["body"], Run) for row in rows)

    def steps(self, run: str) -> tuple[JournalStep, ...]:
        rows = self._database.rows(STEP, "run = ?", run, order="sequence", whole=f"step.{run}")
        return tuple(
            JournalStep(
                run,
                row["step"],
                datetime.fromisoformat(row["started_at"]),
                self._database.decode(row["outcome"], Outcome) if row["outcome"] is not None else None,
            )
            for row in rows
        )

    def plan(self, run: str) -> Plan | None:
        row = self._database.row(RUN, run)
        return self._database.decode(row["plan"], Plan) if row is not None and row["plan"] is not None else None


class SqliteLedger:
    """See `protocols.Ledger`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(self) -> tuple[LedgerEntry, ...]:
        rows = self._database.rows(LEDGER, order="server, name", whole="ledger")
        return tuple(self._database.decode(row["body"], LedgerEntry) for row in rows)

    def record(self, entry: LedgerEntry, *, formerly: str = "") -> None:
        def act(write: sqlite3.Connection) -> None:
            if formerly and formerly != entry.group:
                self._database.drop(write, LEDGER, entry.server, formerly)
            body = msgspec.json.encode(entry)
            self._database.put(write, LEDGER, server=entry.server, name=entry.group, body=body)

        self._database.write(act)

    def forget(self, server: str, group: str) -> None:
        self._database.write(lambda write: self._database.drop(write, LEDGER, server, group))

    def sightings(self) -> tuple[Sighting, ...]:
        rows = self._database.rows(SIGHTING, order="server, ref", whole="sighting")
        return tuple(self._database.decode(row["body"], Sighting) for row in rows)

    def sight(self, *sightings: Sighting) -> None:
        def act(write: sqlite3.Connection) -> None:
            for each in sightings:
                body = msgspec.json.encode(each)
                self._database.put(write, SIGHTING, server=each.server, ref=each.ref, body=body)

        self._database.write(act)

    def site_document(self) -> dict[str, Any] | None:
        return self.settled("Site")

    def record_site(self, document: dict[str, Any]) -> None:
        self.record_settled("Site", document)

    def settled(self, kind: str) -> dict[str, Any] | None:
        rows = self._database.rows(DOCUMENT, whole="document")
        found = next((row for row in rows if row["kind"] == kind), None)
        return self._database.decode(found["body"], dict[str, Any]) if found is not None else None

    def record_settled(self, kind: str, document: dict[str, Any]) -> None:
        body = msgspec.json.encode(document, order="deterministic")
        self._database.write(lambda write: self._database.put(write, DOCUMENT, kind=kind, body=body))


class SqliteJobs:
    """See `protocols.JobStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, record: JobRecord) -> None:
        values = {
            "id": record.job.id,
            "source": str(record.job.source),
            "kind": str(record.job.kind),
            "running": int(not record.status.state.ended),
            "started_at": record.started_at.isoformat(),
            "body": msgspec.json.encode(record),
        }
        self._database.write(lambda write: self._database.put(write, JOB, **values))

    def get(self, job: str) -> JobRecord | None:
        row = self._database.row(JOB, job)
        return self._database.decode(row["body"], JobRecord) if row is not None else None

    def running(self) -> tuple[JobRecord, ...]:
        return self._decoded("running = 1", order="sequence", whole="job.running")

    def latest(self) -> Mapping[tuple[DataSource, JobKind], JobRecord]:
        records = self._decoded(
            "place = 1",
            source="(SELECT *, row_number() OVER (PARTITION BY source, kind ORDER BY sequence DESC) AS place FROM job)",
        )
        return {(record.job.source, record.job.kind): record for record in records}

    def history(self, limit: int = 100, source: DataSource | None = None) -> Sequence[JobRecord]:
        order = f"started_at DESC, sequence DESC LIMIT {limit:d}"
        if source is None:
            return self._decoded("1", order=order)
        return self._decoded("source = ?", str(source), order=order)

    def _decoded(
        self, where: str, *values: object, order: str = "", whole: str = "", source: str = ""
    ) -> tuple[JobRecord, ...]:
        rows = self._database.rows(JOB, where, *values, order=order, whole=whole, source=source)
        return tuple(self._database.decode(row["body"], JobRecord) for row in rows)


class SqliteMarks:
    """See `protocols.Marks`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, name: str) -> datetime | None:
        rows = self._database.rows(MARK, whole="mark")
        return next((datetime.fromisoformat(row["at"]) for row in rows if row["name"] == name), None)

    def write(self, name: str, at: datetime) -> None:
        self._database.write(lambda write: self._database.put(write, MARK, name=name, at=at.isoformat()))
