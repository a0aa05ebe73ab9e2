"""One site's memory on SQLite: structs in, structs out; each method is one transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from reconciler import files, sqlite
from reconciler.errors import Refused
from reconciler.model import DataSource, JobKind, JobRecord, LedgerEntry, Outcome, Plan, Sighting
from reconciler.protocols import JournalStep, Run
from reconciler.store.database import Database
from reconciler.store.evidence import EvidenceFolder
from reconciler.store.locks import SqliteLocks

Now = Callable[[], datetime]


def _real_now() -> datetime:
    return datetime.now(UTC)


def open_memory(path: Path, now: Now = _real_now) -> SqliteMemory:
    """Opens (making it if need be) the state database at `path`.

    `now` is real time, for leases. Raises `Refused` where the file cannot be made, `Damaged` where it cannot be
    read, RCL5002.
    """
    try:
        files.make_folder(path.parent)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        connection = sqlite.connect(path, migrations="reconciler.store.sql")
    except OSError as error:
        raise Refused(
            "RCL5005",
            f"the state database {path} cannot be opened: {error.strerror or error}",
            "Make the folder writable for this account, or correct `state` in the site.",
            subject=str(path),
        ) from error
    return SqliteMemory(connection, path, now)


class SqliteMemory:
    """Journal, ledger, jobs, locks, marks and evidence of one site; the evidence lies in a folder beside the
    database."""

    def __init__(self, connection: sqlite3.Connection, path: Path, now: Now) -> None:
        self._database = Database(connection, path)
        self.journal = SqliteJournal(self._database)
        self.ledger = SqliteLedger(self._database)
        self.jobs = SqliteJobs(self._database)
        self.locks = SqliteLocks(self._database, now)
        self.marks = SqliteMarks(self._database)
        self.evidence = EvidenceFolder.of(path)

    def close(self) -> None:
        self._database.close()


class SqliteJournal:
    """See `protocols.Journal`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, run: Run, plan: Plan | None) -> None:
        body, sealed = msgspec.json.encode(run), msgspec.json.encode(plan) if plan else None
        query = "INSERT INTO run (id, body, plan, glass) VALUES (?, ?, ?, ?)"
        self._database.write(lambda write: write.execute(query, (run.id, body, sealed, bool(run.glass))))

    def started(self, run: str, step: str, at: datetime) -> None:
        query = "INSERT OR IGNORE INTO step (run, step, started_at) VALUES (?, ?, ?)"
        self._database.write(lambda write: write.execute(query, (run, step, at.isoformat())))

    def finished(self, run: str, outcome: Outcome) -> None:
        query = "UPDATE step SET outcome = ?, ended_at = ? WHERE run = ? AND step = ?"
        row = (msgspec.json.encode(outcome), outcome.at.isoformat(), run, outcome.step)
        self._database.write(lambda write: write.execute(query, row))

    def end(self, run: str, at: datetime, ended_as: str) -> None:
        def act(write: sqlite3.Connection) -> None:
            row = write.execute("SELECT body FROM run WHERE id = ?", (run,)).fetchone()
            ended = msgspec.structs.replace(self._database.decode(row["body"], Run), ended_at=at, ended_as=ended_as)
            write.execute("UPDATE run SET body = ?, ended = 1 WHERE id = ?", (msgspec.json.encode(ended), run))

        self._database.write(act)

    def runs(self, limit: int | None = 50) -> tuple[Run, ...]:
        return self._runs("SELECT body FROM run ORDER BY sequence DESC LIMIT ?", -1 if limit is None else limit)

    def open_runs(self) -> tuple[Run, ...]:
        return self._runs("SELECT body FROM run WHERE ended = 0 ORDER BY sequence")

    def since(self, at: datetime) -> tuple[Run, ...]:
        return self._runs(
            "SELECT body FROM run WHERE plan IS NOT NULL AND id IN (SELECT run FROM step WHERE ended_at >= ?) "
            "ORDER BY sequence",
            at.isoformat(),
        )

    def broken_glass(self) -> tuple[Run, ...]:
        return self._runs("SELECT body FROM run WHERE glass = 1 ORDER BY sequence")

    def _runs(self, query: str, *values: object) -> tuple[Run, ...]:
        return tuple(self._database.decode(row["body"], Run) for row in self._database.rows(query, *values))

    def steps(self, run: str) -> tuple[JournalStep, ...]:
        rows = self._database.rows("SELECT * FROM step WHERE run = ? ORDER BY sequence", run)
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
        rows = self._database.rows("SELECT plan FROM run WHERE id = ?", run)
        return self._database.decode(rows[0]["plan"], Plan) if rows and rows[0]["plan"] is not None else None


class SqliteLedger:
    """See `protocols.Ledger`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(self) -> tuple[LedgerEntry, ...]:
        rows = self._database.rows("SELECT body FROM ledger ORDER BY server, name")
        return tuple(self._database.decode(row["body"], LedgerEntry) for row in rows)

    def record(self, entry: LedgerEntry, *, formerly: str = "") -> None:
        def act(write: sqlite3.Connection) -> None:
            if formerly and formerly != entry.group:
                write.execute("DELETE FROM ledger WHERE server = ? AND name = ?", (entry.server, formerly))
            row = (entry.server, entry.group, msgspec.json.encode(entry))
            write.execute("INSERT OR REPLACE INTO ledger (server, name, body) VALUES (?, ?, ?)", row)

        self._database.write(act)

    def forget(self, server: str, group: str) -> None:
        query = "DELETE FROM ledger WHERE server = ? AND name = ?"
        self._database.write(lambda write: write.execute(query, (server, group)))

    def sightings(self) -> tuple[Sighting, ...]:
        rows = self._database.rows("SELECT body FROM sighting ORDER BY server, ref")
        return tuple(self._database.decode(row["body"], Sighting) for row in rows)

    def sight(self, *sightings: Sighting) -> None:
        query = "INSERT OR REPLACE INTO sighting (server, ref, body) VALUES (?, ?, ?)"
        rows = [(each.server, each.ref, msgspec.json.encode(each)) for each in sightings]
        self._database.write(lambda write: write.executemany(query, rows))

    def site_document(self) -> dict[str, Any] | None:
        rows = self._database.rows("SELECT body FROM document WHERE kind = 'Site'")
        return self._database.decode(rows[0]["body"], dict[str, Any]) if rows else None

    def record_site(self, document: dict[str, Any]) -> None:
        body = msgspec.json.encode(document, order="deterministic")
        query = "INSERT OR REPLACE INTO document (kind, body) VALUES ('Site', ?)"
        self._database.write(lambda write: write.execute(query, (body,)))


class SqliteJobs:
    """See `protocols.JobStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, record: JobRecord) -> None:
        running = not record.status.state.ended
        row = (
            record.job.id,
            str(record.job.source),
            str(record.job.kind),
            running,
            record.started_at.isoformat(),
            msgspec.json.encode(record),
        )
        query = (
            "INSERT INTO job (id, source, kind, running, started_at, body) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET running = excluded.running, started_at = excluded.started_at, "
            "body = excluded.body"
        )
        self._database.write(lambda write: write.execute(query, row))

    def get(self, job: str) -> JobRecord | None:
        found = self._decoded("SELECT body FROM job WHERE id = ?", job)
        return found[0] if found else None

    def running(self) -> tuple[JobRecord, ...]:
        return self._decoded("SELECT body FROM job WHERE running = 1 ORDER BY sequence")

    def latest(self) -> Mapping[tuple[DataSource, JobKind], JobRecord]:
        records = self._decoded(
            "SELECT body FROM (SELECT body, row_number() OVER "
            "(PARTITION BY source, kind ORDER BY sequence DESC) AS place FROM job) WHERE place = 1"
        )
        return {(record.job.source, record.job.kind): record for record in records}

    def history(self, limit: int = 100, source: DataSource | None = None) -> Sequence[JobRecord]:
        order = "ORDER BY started_at DESC, sequence DESC LIMIT ?"
        if source is None:
            return self._decoded(f"SELECT body FROM job {order}", limit)
        return self._decoded(f"SELECT body FROM job WHERE source = ? {order}", str(source), limit)

    def _decoded(self, query: str, *values: object) -> tuple[JobRecord, ...]:
        return tuple(self._database.decode(row["body"], JobRecord) for row in self._database.rows(query, *values))


class SqliteMarks:
    """See `protocols.Marks`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, name: str) -> datetime | None:
        rows = self._database.rows("SELECT at FROM mark WHERE name = ?", name)
        return datetime.fromisoformat(rows[0]["at"]) if rows else None

    def write(self, name: str, at: datetime) -> None:
        query = "INSERT OR REPLACE INTO mark (name, at) VALUES (?, ?)"
        self._database.write(lambda write: write.execute(query, (name, at.isoformat())))
