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
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

import reconciler.cli.actions.recover  # noqa: F401 - before a test patches what it takes from elsewhere
from reconciler.control import lease_admin
from reconciler.control.jobs.dispatch import run_jobs
from reconciler.control.jobs.recovery import RecoveryRequest, prepare
from reconciler.control.jobs.requests import ask, serve
from reconciler.control.observe import observe
from reconciler.control.policy_folder import read_good
from reconciler.control.site import Site
from reconciler.engines.embedded import engine as embedded
from reconciler.engines.embedded.backup import Work
from reconciler.errors import Interrupted, LockHeld, ReconcilerError
from reconciler.model import EvidenceKind, Job, JobKind, JobRecord, JobResult, JobState, JobStatus
from reconciler.model.audit import Confirmation
from reconciler.protocols import Fence, RequestKind, RequestState
from reconciler.state import SqliteMemory, open_memory
from reconciler.wiring import RehearsedClock, SystemClock, choose_site, open_site, open_state
from tests.fakes import machine_id
from tests.shop import Shop

NOW = datetime(2026, 3, 10, 10, 0, tzinfo=UTC)
NOON = ("--now", "2026-03-10T10:00Z")
LATER = ("--now", "2026-03-10T12:00Z")
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
    assert "The loop that runs on this site does it" in said.err
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
    monkeypatch.setattr("reconciler.control.jobs.requests.loop_of", lambda site: None)  # it is gone at the next look
    said = shop("check", "one")
    assert said.code == 0, said
    assert "the loop is gone and had not begun; it is done here" in said.err
    with memory_of(shop) as memory:
        assert memory.requests.open() == ()
        checks = [each for each in memory.jobs.history() if each.job.kind is JobKind.CONSISTENCY_CHECK]
        assert [str(each.status.state) for each in checks] == ["succeeded"]


def test_a_backup_is_served_by_the_loop_that_lives(shop: Shop, loop: subprocess.Popen[str]) -> None:
    said = shop("backup", "one", "--reason", "before the patch", "-o", "json")
    assert (said.code, "The loop that runs on this site does it" in said.out) == (0, True), said
    lines = [json.loads(line) for line in said.out.splitlines()]
    (made,) = [each["value"] for each in lines if each["event"] == "backup.ended"]
    assert (made["machine"], made["state"], made["consistency"]) == ("one", "succeeded", "application")
    assert made["point"] in shop("points", "one").out
    later = shop("backup", "two", "--no-wait")
    assert (later.code, later.out.startswith("two: asked for as backup-")) == (0, True), later
    asked = later.out.split()[-1]
    until(lambda: _is_answered(shop))
    assert _state_of(shop, asked) is JobState.SUCCEEDED
    with memory_of(shop) as memory:
        told = [each.body for each in memory.evidence.records() if each.kind is EvidenceKind.POINT]
        record = memory.jobs.get(made["job"])
        lease = memory.locks.last("loop:hq")
    assert record is not None
    assert record.job.reason == "before the patch"
    assert lease is not None
    assert f" pid {loop.pid} " in lease.holder
    assert [each["reason"] for each in told if each.get("askedBy")] == ["before the patch", "asked for"]


def _is_answered(shop: Shop) -> bool:
    with memory_of(shop) as memory:
        return memory.requests.open() == ()


def _state_of(shop: Shop, job: str) -> JobState | None:
    with memory_of(shop) as memory:
        record = memory.jobs.get(job)
    return record.status.state if record is not None else None


def test_a_recovery_is_served_by_the_loop_that_lives(shop: Shop, loop: subprocess.Popen[str]) -> None:
    wanted = shop.cluster.disk(1).read_bytes()
    shop.cluster.disk(1).write_bytes(b"ruined")
    said = shop("recover", "one", "--yes")
    assert (said.code, "The loop that runs on this site does it" in said.err) == (0, True), said
    assert shop.cluster.disk(1).read_bytes() == wanted
    with memory_of(shop) as memory:
        assert memory.requests.open() == ()
        lease = memory.locks.last("loop:hq")
        record = next(each for each in memory.jobs.history() if each.job.kind is JobKind.RECOVERY)
        (told,) = (each for each in memory.evidence.records() if each.kind is EvidenceKind.RECOVERY)
        about = [each for each in memory.evidence.records() if each.run == told.run]
    assert lease is not None
    assert f" pid {loop.pid} " in lease.holder
    assert record.job.recovery is not None
    assert record.job.recovery.agreed is not None
    assert record.run == told.run
    assert [each.kind for each in about] == [EvidenceKind.RUN, EvidenceKind.RECOVERY, EvidenceKind.RUN_ENDED]
    assert (about[0].body["command"], about[0].body["consent"]) == ("recover", "--yes")


def test_a_recovery_keeps_nobody_waiting_and_waits_for_its_own_machine_alone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shop("run", "--until-idle", *NOON).code == 0
    monkeypatch.setattr("reconciler.control.jobs.dispatch.PATIENCE_SECONDS", 0.2)
    with memory_of(shop) as memory:
        memory.locks.acquire("site:hq", ELSEWHERE, MINUTE)
        jobs = [name for name in memory.locks.tokens() if name.startswith("job:")]
        memory.locks.acquire(next(name for name in jobs if machine_id(2) in name), ELSEWHERE, MINUTE)
    shop.cluster.disk(1).write_bytes(b"ruined")
    assert shop("recover", "one", "--yes", *NOON).code == 0
    said = shop("recover", "two", "--yes", *NOON)
    assert (said.code, ELSEWHERE in said.err) == (8, True), said
    with memory_of(shop) as memory:
        told = [each for each in memory.evidence.records() if each.kind is EvidenceKind.RUN_ENDED]
    assert [each.body["endedAs"] for each in told[-2:]] == ["succeeded", "RCL5003"]


def test_a_recovery_whose_loop_is_gone_is_done_here(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop("run", "--until-idle", *NOON).code == 0
    wanted = shop.cluster.disk(1).read_bytes()
    shop.cluster.disk(1).write_bytes(b"ruined")
    with memory_of(shop) as memory:
        memory.locks.acquire("loop:hq", ELSEWHERE, MINUTE)
    monkeypatch.setattr("reconciler.control.jobs.requests.loop_of", lambda site: None)
    said = shop("recover", "one", "--yes", *NOON)
    assert (said.code, "The loop is gone and had not begun" in said.err) == (0, True), said
    assert shop.cluster.disk(1).read_bytes() == wanted
    with memory_of(shop) as memory:
        assert memory.requests.open() == ()


@contextmanager
def asking(shop: Shop) -> Iterator[tuple[Site, Job]]:
    """Somebody who has agreed to a recovery of `one`, as it was shown."""
    site = open_site(shop.root, choose_site(read_good(shop.root).policies, None), RehearsedClock(NOW))
    try:
        yield site, prepare(site, observe(site), RecoveryRequest("one")).job
    finally:
        site.close()


def answered(shop: Shop, request: str) -> tuple[RequestState, str]:
    with memory_of(shop) as memory:
        found = memory.requests.get(request)
        assert found is not None
        return found.state, found.answer


def test_a_loop_recovers_only_what_was_agreed_to(shop: Shop) -> None:
    assert shop("run", "--until-idle", *NOON).code == 0
    with asking(shop) as (site, job):
        request = ask(site, RequestKind.RECOVER, str(job.source), job, "").id
    shop.cluster.disk(1).write_bytes(b"worked with since")
    shop("run", "--until-idle", *NOON)
    state, answer = answered(shop, request)
    assert (state, "RCL7021" in answer) == (RequestState.FAILED, True), answer
    assert shop.cluster.disk(1).read_bytes() == b"worked with since"


def test_a_recovery_that_was_taken_up_and_never_begun_is_not_begun_later(shop: Shop) -> None:
    assert shop("run", "--until-idle", *NOON).code == 0
    shop.cluster.disk(1).write_bytes(b"as it is")
    with asking(shop) as (site, job):
        request = ask(site, RequestKind.RECOVER, str(job.source), job, "").id
        assert site.memory.requests.take(request, "a loop that died") is not None
    shop("run", "--until-idle", *NOON)
    state, answer = answered(shop, request)
    assert (state, "start it again" in answer) == (RequestState.FAILED, True), answer
    assert shop.cluster.disk(1).read_bytes() == b"as it is"


def test_what_is_asked_of_a_machine_waits_for_the_job_that_it_has(shop: Shop) -> None:
    assert shop("run", "--until-idle", *NOON).code == 0
    with asking(shop) as (site, job):
        request = ask(site, RequestKind.RECOVER, str(job.source), job, "").id
        running = JobRecord(msgspec.structs.replace(job, id="other"), JobStatus(JobState.RUNNING), 1, site.now())
        site.memory.jobs.record(running)
        assert not serve(site, lambda record: None)
        assert answered(shop, request)[0] is RequestState.WAITING
        ended = msgspec.structs.replace(running, status=JobStatus(JobState.CANCELLED), ended_at=site.now())
        site.memory.jobs.record(ended)
        assert serve(site, lambda record: None)
        assert answered(shop, request)[0] is RequestState.SERVED
        run_jobs(site, (), None, "")
        serve(site, lambda record: None)
    assert answered(shop, request)[0] is RequestState.DONE


@pytest.mark.parametrize(
    ("command", "kind", "code"),
    [
        (("run", "--until-idle", *LATER), JobKind.SYNCHRONIZATION, 0),
        (("run", "--once", *LATER), JobKind.SYNCHRONIZATION, 0),
        (("recover", "one", "--yes", *LATER), JobKind.RECOVERY, 1),
    ],
)
def test_a_running_job_is_cancelled_by_whoever_runs_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], kind: JobKind, code: int
) -> None:
    """With a loop, and without one: a job that would never end, and a person who cancels it from another process."""
    assert shop("run", "--until-idle", *NOON).code == 0
    before = shop.cluster.disk(1).read_bytes()
    asked: list[subprocess.Popen[str]] = []

    def endless(work: Work) -> JobResult:
        words = [sys.executable, "-m", "reconciler", "cancel", work.job.id, "-C", str(shop.root)]
        asked.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            work.safe_point()
            time.sleep(0.02)
        raise AssertionError

    monkeypatch.setitem(embedded._RUN, kind, endless)
    said = shop(*command)
    assert asked
    for child in asked:
        _, err = child.communicate(timeout=30)
        assert (child.returncode, "ends at its next block" in err) == (0, True), err
    assert said.code == code, said
    with memory_of(shop) as memory:
        ended = [each for each in memory.jobs.history() if each.job.kind is kind]
        assert {each.status.state for each in ended} == {JobState.CANCELLED}
        assert memory.requests.open() == ()
    assert shop.cluster.disk(1).read_bytes() == before


@pytest.mark.parametrize("called", [machine_id(1), "One"])
def test_a_job_whose_process_is_gone_is_ended_by_whoever_cancels_it(shop: Shop, called: str) -> None:
    assert shop("run", "--until-idle", *NOON).code == 0
    with asking(shop) as (site, job):
        site.memory.jobs.record(JobRecord(job, JobStatus(JobState.RUNNING), 1, site.now()))
    said = shop("cancel", called)
    assert (said.code, "the process that ran it is gone" in said.err) == (0, True), said
    with memory_of(shop) as memory:
        assert memory.jobs.running() == ()
    assert shop("cancel", machine_id(1)).code == 64


def test_a_long_job_keeps_only_its_own_machine_waiting(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop("run", "--until-idle", "--now", "2026-03-10T10:00Z").code == 0
    monkeypatch.setattr("reconciler.control.jobs.dispatch.PATIENCE_SECONDS", 0.2)
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
    points = json.loads(shop("points", "--output", "json").out)["points"]
    assert sorted(each["machine"] for each in points) in (["one", "one", "two"], ["one", "two", "two"])
    shown = shop("lock", "show")
    assert names[0] in shown.out
    released = shop("lock", "release", "--yes")
    assert (released.code, ELSEWHERE in released.err) == (0, True), released
    assert shop("run", "--until-idle", "--now", "2026-03-10T12:20Z").code == 0
    assert len(json.loads(shop("points", "--output", "json").out)["points"]) == 4


def take_away(site: Site) -> None:
    """As a person does: whoever finds that the lease changed hands while they looked, looks again."""
    while True:
        try:
            lease_admin.release(site, lease_admin.look(site), Confirmation.OPTION)
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

    before = json.loads(shop("points", "--output", "json").out)["points"]
    monkeypatch.setitem(embedded._RUN, JobKind.PRUNING, slept)
    said = shop("run", "--until-idle", "--confirm-clock", "--now", "2026-03-17T12:00Z")
    assert woken == ["released"]
    assert said.code == 8, said
    assert "RCL5004" in said.err + said.out
    after = {each["point"]["id"] for each in json.loads(shop("points", "--output", "json").out)["points"]}
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
