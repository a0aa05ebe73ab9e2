"""While a loop lives: what persons ask for is served by it, a long job keeps nobody else waiting, and who lost a lease
writes nothing more."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

import reconciler.cli.recovery  # noqa: F401 - before a test patches what it takes from elsewhere
from reconciler.control import locking
from reconciler.control.policies import read_good
from reconciler.control.site import Site
from reconciler.engines.embedded import engine as embedded
from reconciler.engines.embedded.backup import Work
from reconciler.errors import Interrupted, LockHeld, ReconcilerError
from reconciler.model import EvidenceKind, JobKind, JobResult
from reconciler.protocols import Fence
from reconciler.store import SqliteMemory, open_memory
from reconciler.wiring import SystemClock, choose_site, open_site, open_state
from tests.shop import Shop

MINUTE = timedelta(seconds=60)
ELSEWHERE = "elsewhere pid 1 started 5"


@contextmanager
def memory_of(shop: Shop) -> Iterator[SqliteMemory]:
    memory = open_memory(shop.root / "var" / "hq.db")
    try:
        yield memory
    finally:
        memory.close()


def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def loop(shop: Shop) -> Iterator[subprocess.Popen[str]]:
    """`reconciler run`, with first points made."""
    command = [sys.executable, "-m", "reconciler", "run", "-C", str(shop.root)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: _idle(shop))
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        assert "Traceback" not in err


def _idle(shop: Shop) -> bool:
    try:
        memory = open_memory(shop.root / "var" / "hq.db")
    except ReconcilerError:
        return False
    try:
        first = [each for each in memory.jobs.history() if each.job.kind is JobKind.INITIAL_REPLICA]
        ended = len(first) == 2 and all(each.status.state.ended for each in first)
        return ended and memory.locks.holder("loop:hq") is not None and memory.locks.holder("site:hq") is None
    finally:
        memory.close()


def test_a_check_is_served_by_the_loop_that_lives(shop: Shop, loop: subprocess.Popen[str]) -> None:
    began = time.monotonic()
    said = shop("check", "one")
    assert said.code == 0, said
    assert "The loop that lives on this site does it" in said.err
    assert "succeeded" in said.err
    assert time.monotonic() - began < 15
    with memory_of(shop) as memory:
        assert memory.requests.open() == ()
        record = next(each for each in memory.jobs.history() if each.job.kind is JobKind.CONSISTENCY_CHECK)
        lease = memory.locks.holder("loop:hq")
        assert lease is not None
        assert f" pid {loop.pid} " in lease.holder
        assert record.status.state.ended
    shown = shop("lock", "show")
    assert f"loop:hq: {lease.holder}" in shown.out
    assert shop("cancel", "no-such-job").code == 64


def test_a_request_that_nobody_takes_up_is_withdrawn_and_done_here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop("run", "--until-idle").code == 0
    assert shop("cancel", "one").code == 64
    with memory_of(shop) as memory:
        memory.locks.acquire("loop:hq", ELSEWHERE, MINUTE)
    monkeypatch.setattr("reconciler.control.requests.loop_of", lambda site: None)  # it is gone at the next look
    said = shop("check", "one")
    assert said.code == 0, said
    assert "the loop is gone and had not begun; it is done here" in said.err
    with memory_of(shop) as memory:
        assert memory.requests.open() == ()
        checks = [each for each in memory.jobs.history() if each.job.kind is JobKind.CONSISTENCY_CHECK]
        assert [str(each.status.state) for each in checks] == ["succeeded"]


def test_a_long_job_keeps_only_its_own_machine_waiting(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop("run", "--until-idle", "--now", "2026-03-10T10:00Z").code == 0
    monkeypatch.setattr("reconciler.control.dispatch.PATIENCE_SECONDS", 0.2)
    with memory_of(shop) as memory:
        names = [lease for lease in memory.locks.tokens() if lease.startswith("job:mabs-01:")]
        assert len(names) == 2
        memory.locks.acquire(names[0], ELSEWHERE, MINUTE)
    shop.policy("retention: 5d", "retention: 9d")
    assert shop("apply", "--yes", "--now", "2026-03-10T10:30Z").code == 0
    run = shop("run", "--once", "--now", "2026-03-10T12:00Z")
    assert (run.code, ELSEWHERE in run.err) == (8, True), run
    said = shop("run", "--until-idle", "--now", "2026-03-10T12:10Z")
    assert said.code == 0, said
    assert ELSEWHERE in said.out
    points = json.loads(shop("points", "--format", "json").out)["points"]
    assert sorted(each["machine"] for each in points) in (["one", "one", "two"], ["one", "two", "two"])
    shown = shop("lock", "show")
    assert names[0] in shown.out
    released = shop("lock", "release", "--yes")
    assert (released.code, ELSEWHERE in released.err) == (0, True), released
    assert shop("run", "--until-idle", "--now", "2026-03-10T12:20Z").code == 0
    assert len(json.loads(shop("points", "--format", "json").out)["points"]) == 4


def take_away(site: Site) -> None:
    """As a person does: whoever finds that the lease changed hands while they looked, looks again."""
    while True:
        try:
            locking.release(site, locking.look(site), "--yes")
        except LockHeld:
            time.sleep(0.01)
        else:
            return


def test_a_holder_that_slept_through_its_release_expires_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right as its job begins to prune, somebody takes its leases away and keeps the points for longer."""
    for day in range(10, 15):
        assert shop("run", "--until-idle", "--now", f"2026-03-{day}T12:00Z").code == 0
    prune = embedded._RUN[JobKind.PRUNING]
    woken: list[str] = []
    taking = threading.Lock()

    def slept(work: Work) -> JobResult:
        with taking:
            release()
        return prune(work)

    def release() -> None:
        if not woken:
            woken.append("released")
            site = open_state(shop.root, choose_site(read_good(shop.root).policies, None), SystemClock())
            try:
                take_away(site)
            finally:
                site.close()

    before = json.loads(shop("points", "--format", "json").out)["points"]
    monkeypatch.setitem(embedded._RUN, JobKind.PRUNING, slept)
    said = shop("run", "--until-idle", "--confirm-clock", "--now", "2026-03-17T12:00Z")
    assert woken == ["released"]
    assert said.code == 8, said
    assert "RCL5004" in said.err + said.out
    after = {each["point"]["id"] for each in json.loads(shop("points", "--format", "json").out)["points"]}
    assert {each["point"]["id"] for each in before} <= after
    with memory_of(shop) as memory:
        kinds = [each.kind for each in memory.evidence.records()]
        released = [each.body["lease"] for each in memory.evidence.records() if each.kind is EvidenceKind.LOCK]
    assert EvidenceKind.EXPIRED not in kinds
    assert any(name.startswith("job:") for name in released)
    monkeypatch.setitem(embedded._RUN, JobKind.PRUNING, prune)
    again = shop("run", "--until-idle", "--confirm-clock", "--now", "2026-03-17T12:10Z")
    assert again.code == 0, again
    assert "pruning" in again.out


def test_a_fence_is_looked_up_inside_the_transaction(shop: Shop) -> None:
    """A token that the server has seen nothing newer than, of a lease that was taken away."""
    assert shop("run", "--until-idle", "--now", "2026-03-10T10:00Z").code == 0
    site = open_site(shop.root, choose_site(read_good(shop.root).policies, None), SystemClock())
    try:
        server = site.engines["mabs-01"]
        assert isinstance(server, embedded.EmbeddedEngine)
        lineage = site.memory.lineage()
        assert lineage is not None

        def lost() -> None:
            raise Interrupted("RCL0005", "taken away", "")

        before = server.lineage()
        with pytest.raises(Interrupted):
            server.note_state(lineage, Fence(10**9, "site", lost))
        assert server.lineage() == before
    finally:
        site.close()
