"""A state that was changed behind its back: found at the next read, or every answer is as before. And who it is."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.errors import Damaged, LockHeld, ReconcilerError, Refused, StaleFence, Unreachable
from reconciler.model import (
    DataSource,
    EvidenceKind,
    JobKind,
    JobRecord,
    JobState,
    JobStatus,
    KnownStore,
    LedgerEntry,
    Lineage,
    Outcome,
    OutcomeState,
)
from reconciler.protocols import ApprovalUse, Request, RequestKind, RequestState, Run
from reconciler.sqlite import connect as sqlite_connect
from reconciler.state import EvidenceFolder, Opening, SqliteMemory, format_of, open_memory
from tests.fakes import NOON, group, job

PROVE = bool(os.environ.get("RECONCILER_PROVE"))
ONE = DataSource("c", "1")
TTL = timedelta(seconds=60)
KNOWN = KnownStore("mabs-01", Lineage("ab" * 16, 7), "/store", NOON, NOON)


def fill(memory: SqliteMemory) -> None:
    """A little of everything."""
    for number in range(3):
        run = Run(f"r{number}", "apply", "somebody", "here", NOON, 1, glass="fire" if number else "")
        memory.journal.begin(run, None)
        memory.journal.started(run.id, "s1", NOON)
        memory.journal.finished(run.id, Outcome("s1", OutcomeState.DONE, NOON, "ref"))
        memory.ledger.record(LedgerEntry("mabs-01", f"ref{number}", group(f"gold{number}", ONE), NOON, run.id))
        state = JobState.RUNNING if number else JobState.SUCCEEDED
        memory.jobs.record(JobRecord(job(JobKind.SYNCHRONIZATION, ONE, number), JobStatus(state), 1, NOON))
        memory.approvals.record(ApprovalUse(f"a{number}", "c0ffee", number))
        memory.requests.ask(asked(f"q{number}"))
    memory.journal.end("r0", NOON, "done")
    memory.marks.write("seen", NOON)
    memory.stores.note(KNOWN)
    memory.ledger.record_settled("Site", {"name": "hq"})
    memory.locks.acquire("site:hq", "elsewhere pid 1 started 5", TTL)


def asked(name: str) -> Request:
    return Request(name, RequestKind.CHECK, "vm-1", "anna", NOON, NOON + timedelta(days=9999))


def answers(memory: SqliteMemory) -> list[object]:
    """Everything that anybody asks of a memory."""
    return [
        memory.lineage(),
        memory.journal.runs(None),
        memory.journal.open_runs(),
        memory.journal.broken_glass(),
        [memory.journal.steps(f"r{number}") for number in range(3)],
        memory.ledger.entries(),
        memory.ledger.site_document(),
        memory.jobs.running(),
        memory.jobs.get("synchronization-1-0"),
        memory.marks.read("seen"),
        memory.stores.known(),
        memory.approvals.all(),
        memory.requests.open(),
        memory.locks.last("site:hq"),
        memory.locks.token(),
    ]


def answers_of(path: Path) -> list[object] | ReconcilerError:
    try:
        memory = open_memory(path, opening=Opening.READ)
    except ReconcilerError as error:
        return error
    try:
        return answers(memory)
    except ReconcilerError as error:
        return error
    finally:
        memory.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "hq.db"
    memory = open_memory(place)
    fill(memory)
    memory.close()
    return place


def test_a_flipped_bit_is_found_or_changes_no_answer(path: Path, tmp_path: Path) -> None:
    before = answers_of(path)
    whole = path.read_bytes()
    chance = random.Random(6)
    found: set[str] = set()
    for _ in range(6000 if PROVE else 400):
        data = bytearray(whole)
        data[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        place = tmp_path / "flipped.db"
        place.write_bytes(data)
        said = answers_of(place)
        if isinstance(said, ReconcilerError):
            found.add(said.diagnostic.code)
        else:
            assert said == before
    assert "RCL5002" in found
    assert found <= {"RCL5001", "RCL5002"}


@pytest.mark.parametrize(
    "harm",
    [
        "DELETE FROM ledger WHERE name = 'gold1'",
        "UPDATE ledger SET name = 'silver' WHERE name = 'gold1'",
        "UPDATE run SET ended = 1",
        "UPDATE job SET running = 0",
        "DELETE FROM step",
        "UPDATE approval_use SET body = replace(body, '\"spent\":2', '\"spent\":0')",
        "DELETE FROM approval_use WHERE id = 'a2'",
        "UPDATE lease SET token = 0",
        "UPDATE lineage SET generation = generation - 1",
        "UPDATE tally SET count = 99",
        "DELETE FROM lineage",
        "DELETE FROM server",
        "UPDATE document SET body = '{}'",
    ],
)
def test_what_was_changed_past_us_is_damage(path: Path, harm: str) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute(harm).rowcount > 0
    connection.close()
    said = answers_of(path)
    assert isinstance(said, Damaged)
    assert said.diagnostic.code == "RCL5002"
    assert str(path) in said.diagnostic.message
    with pytest.raises(Damaged):
        open_memory(path, opening=Opening.READ).verify()


def test_each_write_moves_the_generation_on_in_its_own_transaction(path: Path) -> None:
    memory = open_memory(path)
    first = memory.lineage()
    memory.marks.write("seen", NOON + TTL)
    second = memory.lineage()
    assert first is not None
    assert second == Lineage(first.id, first.generation + 1)
    with pytest.raises(LockHeld):
        memory.locks.acquire("site:hq", "other pid 1 started 5", TTL)
    assert memory.lineage() == second
    memory.close()
    again = open_memory(path)
    assert again.lineage() == second
    again.close()


def test_reading_makes_and_changes_no_file(path: Path, tmp_path: Path) -> None:
    def files() -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in tmp_path.iterdir()}

    before = files()
    memory = open_memory(path, opening=Opening.READ)
    assert memory.present
    assert not memory.writable
    assert memory.marks.read("seen") == NOON
    with pytest.raises(Refused) as refused:
        memory.marks.write("seen", NOON)
    assert refused.value.diagnostic.code == "RCL5040"
    memory.close()
    nothing = open_memory(tmp_path / "none" / "hq.db", opening=Opening.READ)
    assert (nothing.present, nothing.lineage(), nothing.ledger.entries()) == (False, None, ())
    nothing.close()
    assert files() == before


def test_only_who_creates_makes_a_state(tmp_path: Path) -> None:
    for opening in (Opening.WRITE,):
        with pytest.raises(Unreachable) as missing:
            open_memory(tmp_path / "hq.db", opening=opening)
        assert missing.value.diagnostic.code == "RCL5041"
    assert format_of(tmp_path / "hq.db") is None
    assert list(tmp_path.iterdir()) == []


def test_what_is_seen_is_noted_where_that_can_be(path: Path, tmp_path: Path) -> None:
    noting = open_memory(path, opening=Opening.NOTE)
    assert noting.writable
    noting.close()
    absent = open_memory(tmp_path / "no.db", opening=Opening.NOTE)
    assert (absent.writable, absent.present) == (False, False)
    absent.close()


# --- The state of version 0.1 ----------------------------------------------------------------------------------


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """The state of a site as version 0.1 left it."""
    place = tmp_path / "old" / "hq.db"
    place.parent.mkdir()
    source = next((Path(__file__).parents[1] / "data" / "site-0.1").rglob("hq.db"))
    shutil.copy(source, place)
    return place


def test_a_state_of_version_0_1_is_read_as_it_is_and_upgraded_by_who_writes(first: Path) -> None:
    before = first.read_bytes()
    old = open_memory(first, opening=Opening.READ)
    assert old.lineage() is None
    entries, runs = old.ledger.entries(), old.journal.runs(None)
    assert entries
    assert runs
    assert (old.stores.known(), old.approvals.all(), old.requests.open()) == ({}, {}, ())
    old.close()
    assert first.read_bytes() == before
    assert format_of(first) == 1
    noting = open_memory(first, opening=Opening.NOTE)
    assert not noting.writable
    noting.close()
    new = open_memory(first, opening=Opening.WRITE)
    assert new.lineage() is not None
    assert (new.ledger.entries(), new.journal.runs(None)) == (entries, runs)
    assert new.verify() > 0
    new.close()
    assert format_of(first) == 2


def test_an_upgrade_that_was_killed_is_finished_by_the_next_writer(first: Path) -> None:
    """Between the new schema and the digests the state is read as that of version 0.1."""
    sqlite_connect(first, migrations="reconciler.state.sql").close()
    old = open_memory(first, opening=Opening.READ)
    assert old.lineage() is None
    assert old.ledger.entries()
    old.close()
    new = open_memory(first, opening=Opening.WRITE)
    assert new.lineage() is not None
    assert new.verify() > 0
    new.close()


def test_two_states_are_two_states(tmp_path: Path) -> None:
    identities = set()
    for name in ("one", "two"):
        memory = open_memory(tmp_path / name / "hq.db")
        lineage = memory.lineage()
        assert lineage is not None
        identities.add(lineage.id)
        memory.close()
    assert len(identities) == 2


# --- Requests, leases, evidence --------------------------------------------------------------------------------


def test_a_request_is_taken_up_by_one_and_answered(tmp_path: Path) -> None:
    asker, loop, other = (open_memory(tmp_path / "hq.db") for _ in range(3))
    asker.requests.ask(asked("q"))
    taken = loop.requests.take("q", "loop")
    assert taken is not None
    assert (taken.state, taken.served_by) == (RequestState.SERVED, "loop")
    assert other.requests.take("q", "other") is None
    assert not asker.requests.withdraw("q")
    loop.requests.answer("q", RequestState.DONE, "sound")
    loop.requests.answer("q", RequestState.FAILED, "too late")
    found = asker.requests.get("q")
    assert found is not None
    assert (found.state, found.answer) == (RequestState.DONE, "sound")
    assert asker.requests.open() == ()


def test_a_request_is_withdrawn_or_runs_out(tmp_path: Path) -> None:
    memory = open_memory(tmp_path / "hq.db")
    memory.requests.ask(asked("q"))
    assert memory.requests.withdraw("q")
    assert memory.requests.take("q", "loop") is None
    late = Request("late", RequestKind.CANCEL, "job", "anna", NOON, NOON)
    memory.requests.ask(late)
    assert memory.requests.take("late", "loop") is None
    found = memory.requests.get("late")
    assert found is not None
    assert found.state is RequestState.EXPIRED


def test_each_lease_has_tokens_of_its_own_above_one_floor(tmp_path: Path) -> None:
    memory = open_memory(tmp_path / "hq.db")
    site, one = (memory.locks.acquire(name, "here", TTL) for name in ("site:hq", "job:one"))
    assert (site.token, one.token) == (1, 1)
    memory.locks.raise_floor(40)
    assert memory.locks.acquire("job:two", "here", TTL).token == 41
    memory.locks.release(site)
    assert memory.locks.acquire("site:hq", "here", TTL).token == 41
    assert memory.locks.tokens() == {"site:hq": 41, "job:one": 1, "job:two": 41}
    assert [lease.name for lease in memory.locks.every("job:")] == ["job:one", "job:two"]
    assert memory.locks.token() == 41


def write_job(memory: SqliteMemory) -> None:
    memory.jobs.record(JobRecord(job(JobKind.SYNCHRONIZATION, ONE, 1), JobStatus(JobState.RUNNING), 1, NOON))


def write_evidence(memory: SqliteMemory) -> None:
    memory.evidence.append(EvidenceKind.DRIFT, NOON, "", {"word": "late"})


@pytest.mark.parametrize("write", [write_job, write_evidence])
def test_who_lost_a_lease_writes_neither_state_nor_evidence(
    tmp_path: Path, write: Callable[[SqliteMemory], None]
) -> None:
    sleeper, other = open_memory(tmp_path / "hq.db"), open_memory(tmp_path / "hq.db")
    lease = sleeper.locks.acquire("job:one", "elsewhere pid 1 started 5", TTL)
    with sleeper.locks.under(lease):
        write(sleeper)
    records = len(list(other.evidence.records()))
    other.locks.acquire("job:one", "other", TTL, taken_from=lease.token)
    before = other.lineage()
    with pytest.raises(StaleFence), sleeper.locks.under(lease):
        write(sleeper)
    assert other.lineage() == before
    assert len(list(other.evidence.records())) == records


def test_evidence_that_is_gone_cut_or_anothers_does_not_begin_again(tmp_path: Path) -> None:
    memory, stranger = open_memory(tmp_path / "hq.db"), open_memory(tmp_path / "other" / "hq.db")
    for number in range(4):
        memory.evidence.append(EvidenceKind.DRIFT, NOON, "", {"number": number})
    for number in range(9):
        stranger.evidence.append(EvidenceKind.DRIFT, NOON, "", {"strange": number})
    assert memory.evidence.trouble() is None
    folder = EvidenceFolder.of(tmp_path / "hq.db").folder
    kept = shutil.copytree(folder, tmp_path / "kept")
    segment = folder / "000001.jsonl"

    def refused(words: str) -> None:
        held = {each: each.read_bytes() for each in folder.rglob("*.jsonl")}
        with pytest.raises(Unreachable) as gone:
            memory.evidence.append(EvidenceKind.DRIFT, NOON, "", {"more": True})
        assert gone.value.diagnostic.code == "RCL5042"
        assert words in gone.value.diagnostic.message
        assert str(folder) in gone.value.diagnostic.message
        assert {each: each.read_bytes() for each in folder.rglob("*.jsonl")} == held
        assert memory.evidence.trouble() is not None

    shutil.rmtree(folder)
    refused("is gone: it had 4 records")
    assert not folder.exists()
    folder.mkdir()
    refused("is gone: it had 4 records")
    segment.write_bytes(b"".join((kept / segment.name).read_bytes().splitlines(keepends=True)[:2]))
    refused("ends with record 2, and 4 were written")
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "other" / "hq.evidence", folder)
    refused("its record 4 is another")
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)
    assert memory.evidence.append(EvidenceKind.DRIFT, NOON, "", {"more": True}).seq == 5


def test_evidence_that_is_ahead_by_a_process_that_died_goes_on(tmp_path: Path) -> None:
    memory = open_memory(tmp_path / "hq.db")
    memory.evidence.append(EvidenceKind.DRIFT, NOON, "", {"number": 1})
    EvidenceFolder.of(tmp_path / "hq.db").append(EvidenceKind.DRIFT, NOON, "", {"number": 2})
    assert memory.evidence.trouble() is None
    assert memory.evidence.append(EvidenceKind.DRIFT, NOON, "", {"number": 3}).seq == 3
