"""Our memory: what is written is read back, by another process too; one holder at a time."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.errors import Damaged, LockHeld, Refused, StaleFence
from reconciler.model import (
    DataSource,
    JobKind,
    JobRecord,
    JobState,
    JobStatus,
    KnownMember,
    LedgerEntry,
    Outcome,
    OutcomeState,
    Plan,
)
from reconciler.protocols import Run
from reconciler.state import SqliteMemory, holder_identity, open_memory
from tests.fakes import NOON, group, job

ONE, TWO = DataSource("c", "1"), DataSource("c", "2")
TTL = timedelta(seconds=60)


class Hands:
    def __init__(self) -> None:
        self.at = datetime(2026, 3, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def memory(tmp_path: Path, hands: Hands) -> SqliteMemory:
    return open_memory(tmp_path / "var" / "hq.db", hands)


def test_a_run_with_its_plan_and_steps(memory: SqliteMemory) -> None:
    run = Run("r1", "apply", "somebody", "here", NOON, 1)
    plan = Plan("hq", NOON, ())
    memory.journal.begin(run, plan)
    memory.journal.started("r1", "s1", NOON)
    assert [step.outcome for step in memory.journal.steps("r1")] == [None]
    assert memory.journal.open_runs() == (run,)
    outcome = Outcome("s1", OutcomeState.DONE, NOON, "ref")
    memory.journal.finished("r1", outcome)
    memory.journal.end("r1", NOON, "done")
    assert [step.outcome for step in memory.journal.steps("r1")] == [outcome]
    assert memory.journal.open_runs() == ()
    assert memory.journal.plan("r1") == plan
    assert memory.journal.runs()[0].ended_as == "done"


def test_the_ledger_follows_a_rename(memory: SqliteMemory) -> None:
    entry = LedgerEntry("mabs-01", "ref", group("gold", ONE), NOON, "r", (KnownMember(ONE, "one", {"a": "b"}),))
    memory.ledger.record(entry)
    renamed = LedgerEntry("mabs-01", "ref", group("platinum", ONE), NOON, "r")
    memory.ledger.record(renamed, formerly="gold")
    assert memory.ledger.entries() == (renamed,)
    memory.ledger.forget("mabs-01", "platinum")
    assert memory.ledger.entries() == ()


def test_jobs_by_state_and_source(memory: SqliteMemory) -> None:
    for number in range(4):
        source = (ONE, TWO)[number % 2]
        record = JobRecord(
            job(JobKind.SYNCHRONIZATION, source, number), JobStatus(JobState.RUNNING), 1, NOON + timedelta(hours=number)
        )
        memory.jobs.record(record)
    assert len(memory.jobs.running()) == 4
    last = memory.jobs.get("synchronization-1-2")
    assert last is not None
    ended = JobRecord(last.job, JobStatus(JobState.SUCCEEDED), 1, last.started_at, NOON)
    memory.jobs.record(ended)
    assert len(memory.jobs.running()) == 3
    assert memory.jobs.latest()[ONE, JobKind.SYNCHRONIZATION] == ended
    assert [each.job.id[-1] for each in memory.jobs.history()] == ["3", "2", "1", "0"]
    assert [each.job.id[-1] for each in memory.jobs.history(1, TWO)] == ["3"]


def test_marks(memory: SqliteMemory) -> None:
    assert memory.marks.read("seen") is None
    memory.marks.write("seen", NOON)
    assert memory.marks.read("seen") == NOON


def test_one_holder_and_a_token_that_only_grows(memory: SqliteMemory, hands: Hands) -> None:
    first = memory.locks.acquire("site:hq", "elsewhere pid 1 started 5", TTL)
    with pytest.raises(LockHeld) as held:
        memory.locks.acquire("site:hq", holder_identity(), TTL)
    assert "elsewhere pid 1" in held.value.diagnostic.message
    memory.locks.release(first)
    second = memory.locks.acquire("site:hq", holder_identity(), TTL)
    assert second.token == first.token + 1
    with pytest.raises(StaleFence):
        memory.locks.renew(first, TTL)
    hands.at += TTL * 2
    third = memory.locks.acquire("site:hq", "elsewhere pid 2 started 5", TTL)
    assert (third.token, third.took_over) == (3, holder_identity())
    with pytest.raises(StaleFence):
        memory.locks.renew(second, TTL)
    renewed = memory.locks.renew(third, TTL)
    assert renewed.expires_at == hands.at + TTL


def test_a_holder_that_died_here_is_noticed_at_once(memory: SqliteMemory) -> None:
    code = "from reconciler.state import holder_identity; print(holder_identity())"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    memory.locks.acquire("site:hq", dead, TTL)
    assert memory.locks.holder("site:hq") is None
    assert memory.locks.acquire("site:hq", holder_identity(), TTL).took_over == dead


def test_another_process_reads_while_this_one_writes(memory: SqliteMemory, tmp_path: Path) -> None:
    memory.marks.write("seen", NOON)
    code = (
        "import sys; from pathlib import Path; from reconciler.state import open_memory;"
        "print(open_memory(Path(sys.argv[1])).marks.read('seen'))"
    )
    path = str(tmp_path / "var" / "hq.db")
    said = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(NOON)


def test_the_file_is_for_its_owner_alone(memory: SqliteMemory, tmp_path: Path) -> None:
    assert (tmp_path / "var" / "hq.db").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700


def test_what_is_no_database_is_kept_and_said(tmp_path: Path) -> None:
    path = tmp_path / "hq.db"
    path.write_bytes(b"not a database, but somebody's last copy of something" * 100)
    before = path.read_bytes()
    with pytest.raises(Damaged) as damaged:
        open_memory(path)
    assert damaged.value.diagnostic.code == "RCL5002"
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hq.db"
    open_memory(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Refused) as refused:
        open_memory(path)
    assert refused.value.diagnostic.code == "RCL5001"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Refused) as refused:
        open_memory(tmp_path / "var" / "hq.db")
    assert refused.value.diagnostic.code == "RCL5005"


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("x")
    with pytest.raises(Refused) as refused:
        open_memory(tmp_path / "var" / "hq.db")
    assert refused.value.diagnostic.code == "RCL5005"
