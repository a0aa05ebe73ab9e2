"""Two processes and one lease: exactly one works; who lost the lease writes nothing more, to servers or to memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.control.policy_folder import read_good
from reconciler.errors import StaleFence
from reconciler.model import CreateGroup, EvidenceKind, OutcomeState, Record
from reconciler.protocols import Fence, Journal
from reconciler.state import SqliteMemory, open_memory
from reconciler.wiring import RehearsedClock, choose_site, open_site
from tests.fakes import NOON, DiskCluster
from tests.kill.test_kill import PROVE, ROOT, memory_of
from tests.kill.test_plan_steps import NOW, aimed, check_chain, group, write

ELSEWHERE = "elsewhere pid 1 started 5"
GROUPS = 4


def fresh(root: Path) -> Path:
    root.mkdir()
    cluster = DiskCluster(root / "cluster")
    for number in range(GROUPS):
        cluster.add(number, f"vm{number:02}", data=b"tiny")
    write(root, [group(number, "5d") for number in range(GROUPS)])
    return root


def start(root: Path, what: str, moment: str, number: int, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.kill.aimed", what, moment, str(number), *words, "-C", str(root)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def done_in(journal: Journal) -> list[tuple[str, str]]:
    """(run, step) of everything that was done."""
    return [
        (run.id, noted.step)
        for run in journal.runs()
        for noted in journal.steps(run.id)
        if noted.outcome is not None and noted.outcome.state in (OutcomeState.DONE, OutcomeState.ALREADY)
    ]


def locks_in(memory: SqliteMemory) -> list[Record]:
    check_chain(memory)
    return [record for record in memory.evidence.records() if record.kind is EvidenceKind.LOCK]


@pytest.mark.parametrize("number", range(30 if PROVE else 6))
def test_of_two_applies_after_an_expired_lease_one_works(tmp_path: Path, number: int) -> None:
    root = fresh(tmp_path / "site")
    past = open_memory(root / "var" / "hq.db", lambda: datetime.now(UTC) - timedelta(hours=1))
    past.locks.acquire("site:hq", ELSEWHERE, timedelta(seconds=60))
    past.close()
    both = [start(root, "none", "before", 0, "apply", "--yes", *NOW) for _ in range(2)]
    said = [process.communicate(timeout=60) for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 6], [0, 8]), said
    committed = sorted(int(out.rpartition("COMMITTED ")[2].split()[0]) for out, _ in said)
    assert committed == [0, GROUPS], said
    with memory_of(root) as memory:
        done = done_in(memory.journal)
        assert len(done) == len({step for _, step in done}) == GROUPS
        assert len({run for run, _ in done}) == 1
        assert memory.journal.open_runs() == ()
        assert len(memory.ledger.entries()) == GROUPS
        assert [record.body["tookOver"] for record in locks_in(memory)] == [ELSEWHERE]


@pytest.mark.parametrize(("moment", "committed"), [("started", 2), ("sent", 2), ("after", 3)])
def test_a_holder_that_slept_is_refused_when_it_wakes(tmp_path: Path, moment: str, committed: int) -> None:
    """`started`: it slept before it looked its lease up. `sent`: after that, so only the server can refuse its token.
    `after`: it had changed the server, and our memory refuses what it would note of that."""
    root = fresh(tmp_path / "site")
    sleeper = start(root, "stop", moment, 3, "apply", "--yes", *NOW)
    try:
        _, status = os.waitpid(sleeper.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        other = aimed(root, "none", "before", 0, "apply", "--yes", *NOW)
        assert (other.code, other.committed) == (0, GROUPS - committed), other.err + other.out
    finally:
        os.kill(sleeper.pid, signal.SIGCONT)
    out, err = sleeper.communicate(timeout=60)
    assert sleeper.returncode == 8, out + err
    assert "RCL5004" in err
    assert f"COMMITTED {committed} " in out
    with memory_of(root) as memory:
        done = done_in(memory.journal)
        assert len(done) == len({step for _, step in done}) == GROUPS
        assert {run.ended_as for run in memory.journal.runs()} == {"done", "interrupted"}
        assert len(memory.ledger.entries()) == GROUPS
        (taken,) = locks_in(memory)
        assert taken.body["what"] == "takenOver"
        assert f" pid {sleeper.pid} " in taken.body["tookOver"]


def test_a_holder_whose_lease_was_released_is_refused_before_it_sends(tmp_path: Path) -> None:
    """The server has seen no newer token, and the thread that prolongs the lease has not yet tried to: only the look
    into our memory right before sending can stop it."""
    root = fresh(tmp_path / "site")
    sleeper = start(root, "stop:60", "journalled", 2, "apply", "--yes", *NOW)
    try:
        os.waitpid(sleeper.pid, os.WUNTRACED)
        shown = aimed(root, "none", "before", 0, "lock", "release", "--yes")
        assert shown.code == 0, shown.err
        assert f" pid {sleeper.pid} " in shown.out
        assert "(apply)" in shown.out
    finally:
        os.kill(sleeper.pid, signal.SIGCONT)
    out, err = sleeper.communicate(timeout=60)
    assert (sleeper.returncode, "RCL5004" in err, "COMMITTED 1 " in out) == (8, True, True), out + err
    with memory_of(root) as memory:
        assert [record.body["what"] for record in locks_in(memory)] == ["released"]
    assert aimed(root, "none", "before", 0, "resume", *NOW).committed == GROUPS - 1
    with memory_of(root) as memory:
        assert len(memory.ledger.entries()) == GROUPS


def test_an_engine_write_with_an_old_token_is_refused(tmp_path: Path) -> None:
    root = fresh(tmp_path / "site")
    assert aimed(root, "none", "before", 0, "apply", "--yes", *NOW).code == 0
    with memory_of(root) as memory:
        token = memory.journal.runs()[0].fence
        (entry, *_) = memory.ledger.entries()
    site = open_site(root, choose_site(read_good(root).policies, None), RehearsedClock(NOON))
    try:
        with pytest.raises(StaleFence):
            site.engines["mabs-01"].apply(CreateGroup("mabs-01", entry.applied), Fence(token - 1))
        site.engines["mabs-01"].apply(CreateGroup("mabs-01", entry.applied), Fence(token))
    finally:
        site.close()
