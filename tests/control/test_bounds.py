"""One bad object harms itself alone: the loop goes on, says what is wrong, and backs the others up."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reconciler.control.error_boundary import TRACES, Bounds
from reconciler.control.jobs.dispatch import jobs_due, poll, run_jobs
from reconciler.control.lease import holding
from reconciler.control.loop import loop
from reconciler.control.loop.loop import run_forever, run_once
from reconciler.control.loop.tick import Tick
from reconciler.control.observe import observe
from reconciler.control.policy_folder import Policies, read_good
from reconciler.control.site import Site, Stop
from reconciler.errors import Diagnostic, StaleFence
from reconciler.model import JobKind, JobRecord, JobState
from reconciler.wiring import choose_site, open_site
from tests.control.test_apply import Desk, desk
from tests.fakes import DiskCluster, SetClock, machine_id
from tests.kill.test_kill import write_policies

__all__ = ["desk"]


class Ear:
    """Hears what the loop tells."""

    def __init__(self) -> None:
        self.ticks = 0
        self.codes: list[str] = []
        self.texts: list[str] = []
        self.jobs: list[JobRecord] = []

    def ticked(self, done: Tick) -> None:
        self.ticks += 1

    def job(self, record: JobRecord) -> None:
        if record.status.state.ended:
            self.jobs.append(record)

    def said(self, finding: Diagnostic) -> None:
        self.codes.append(finding.code)
        self.texts.append(f"{finding.subject} {finding.message}")

    def over(self, finding: Diagnostic) -> None:
        pass


class Life:
    """A site with virtual machines 1 and 2 on which the loop runs in a thread, faster than it would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = SetClock()
        self.cluster = DiskCluster(root / "cluster")
        self.cluster.add(1, "one")
        self.cluster.add(2, "two")
        write_policies(root, "one, two", "5d")
        self.stop = Stop()
        self.ear = Ear()
        self.died: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def open(self, policies: Policies) -> Site:
        return open_site(self.root, choose_site(policies.policies, None), self.clock, self.stop)

    def _run(self) -> None:
        try:
            run_forever(self.open, self.root, self.ear, self.stop)
        except BaseException as error:
            self.died = error

    def start(self) -> None:
        self._thread.start()
        self.until(lambda: len(self.ear.jobs) >= 2 and self.ear.ticks >= 2)

    def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._thread.is_alive():
            if condition():
                return True
            time.sleep(0.01)
        return condition()

    def backed_up(self, number: int) -> bool:
        return any(
            each.job.source.machine == machine_id(number)
            and each.status.state is JobState.SUCCEEDED
            and each.started_at >= self.clock.at
            for each in self.ear.jobs
        )

    def write(self, path: str, text: str) -> None:
        (self.root / path).write_text(text, encoding="utf-8")

    def close(self) -> None:
        self.stop.ask()
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    def rest(worker: Any, seconds: float) -> None:
        worker.site.stop.wait(0.02)

    monkeypatch.setattr(loop._Worker, "_rest", rest)
    monkeypatch.setattr(loop, "_ASK_AGAIN_SECONDS", 0.02)
    life = Life(tmp_path)
    yield life
    life.close()


def _role(life: Life, folder: str) -> None:
    life.cluster.role(1, folder=folder)


def _vm(life: Life, text: str) -> None:
    life.write(f"cluster/volumes/csv-01/{machine_id(1)}/vm.json", text)


def _fifo(life: Life, path: str) -> None:
    place = life.root / path
    place.unlink(missing_ok=True)
    os.mkfifo(place)


def _bytes(life: Life, folder: str, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(life.root / folder) + b"/" + name)).write_bytes(b"{}")


VM_JSON = f"cluster/volumes/csv-01/{machine_id(1)}/vm.json"


def _greedy(life: Life) -> None:
    expression = "['a']" + ".map(a, a+a+a+a+a+a+a+a+a+a)" * 10 + ".size() > 0"
    rule = {"match": {"kinds": ["ProtectionGroup"]}, "enforce": "warn"}
    spec = rule | {"validations": [{"expression": expression, "message": "m"}]}
    stated = {"apiVersion": "reconciler/v1", "kind": "Guardrail", "metadata": {"name": "g"}, "spec": spec}
    life.write("policies/x.yaml", json.dumps(stated))


def _link(life: Life) -> None:
    (life.root / "policies" / "l.yaml").symlink_to("/nowhere")


def _unkept(life: Life) -> None:
    life.write(".reconciler/last-good-zz", "x")
    path = life.root / "policies" / "site.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")


def _half(life: Life) -> None:
    life.write(f"cluster/roles/{machine_id(1)}.json", '{"ownerNode": "\\ud800", "folder": "volumes/\\ud800"}')


def _disk(life: Life, path: str) -> None:
    stated = {"id": machine_id(1), "name": "one", "checkpoints": [], "disks": [{"path": path}]}
    life.cluster.write(f"volumes/csv-01/{machine_id(1)}/vm.json", stated | {"replication": {"mode": "none"}})


REPLICAS = "UPDATE record SET body = ? WHERE kind = 'replica'"


def _garbled(life: Life, path: str, update: str) -> None:
    with closing(sqlite3.connect(life.root / path)) as connection, connection:
        assert connection.execute(update, (b'{"x',)).rowcount > 0


#: What goes wrong -> what is done to make it so, and whether the other virtual machine is backed up all the same.
TROUBLES: dict[str, tuple[Callable[[Life], Any], bool]] = {
    "an error in the policies": (lambda life: life.write("policies/x.yaml", "a: ["), True),
    "a policy file whose name is not UTF-8": (lambda life: _bytes(life, "policies", b"\xff.yaml"), True),
    "a policy file that is a pipe": (lambda life: _fifo(life, "policies/x.yaml"), True),
    "a policy file that is a dangling link": (_link, True),
    "a guardrail that takes all memory": (_greedy, True),
    "no policies any more": (lambda life: shutil.rmtree(life.root / "policies"), True),
    "the last good policies cannot be kept": (_unkept, True),
    "a NUL in the folder of a role": (lambda life: _role(life, "volumes/\0x"), True),
    "half of a pair in the folder of a role": (_half, True),
    "a folder whose name is too long": (lambda life: _role(life, "volumes/" + "x" * 300), True),
    "a folder that is very deep": (lambda life: _role(life, "a/" * 5000 + "x"), True),
    "a folder outside of the cluster": (lambda life: _role(life, "../" * 50 + "etc"), True),
    "a role file whose name is not UTF-8": (lambda life: _bytes(life, "cluster/roles", b"\xff\xfe.json"), True),
    "a node file whose name is not UTF-8": (lambda life: _bytes(life, "cluster/nodes", b"\xff\xfe.json"), True),
    "a vm.json that is a pipe": (lambda life: _fifo(life, VM_JSON), True),
    "a vm.json of the wrong shape": (lambda life: _vm(life, "[1, 2]"), True),
    "a vm.json that is very deep": (lambda life: _vm(life, '{"x":' + "[" * 100_000 + "]" * 100_000 + "}"), True),
    "a NUL in the path of a disk": (lambda life: _disk(life, "x\0y"), True),
    "a disk path outside of the cluster": (lambda life: _disk(life, "volumes/../../../etc/passwd"), True),
    "no cluster.json": (lambda life: (life.root / "cluster" / "cluster.json").unlink(), False),
    "a garbled row of a job in the state": (lambda life: _garbled(life, "var/hq.db", "UPDATE job SET body = ?"), False),
    "a garbled row of a replica": (lambda life: _garbled(life, "var/mabs-01/server.db", REPLICAS), False),
}


#: These concern no virtual machine of a group.
UNTOLD = (
    "the last good policies cannot be kept",
    "a role file whose name is not UTF-8",
    "a node file whose name is not UTF-8",
)


@pytest.mark.parametrize("what", TROUBLES)
def test_the_loop_lives(life: Life, what: str) -> None:
    act, others = TROUBLES[what]
    life.start()
    ticks = life.ear.ticks
    life.clock.forward(timedelta(hours=2))
    act(life)
    life.until(lambda: life.backed_up(2) if others else len(life.ear.codes) > 0)
    if others:
        assert life.backed_up(2), life.ear.texts
        assert life.until(lambda: life.ear.ticks >= ticks + 2)
    life.close()
    assert life.died is None, life.died
    assert life.ear.codes or what in UNTOLD
    assert "RCL9001" not in life.ear.codes, life.ear.texts


def _raises(error: Exception) -> Callable[..., Any]:
    def act(*given: object, **named: object) -> Any:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("odd"), "RCL9001"),
        (OSError(5, "Input/output error", "/dev/x"), "RCL0021"),
        (RecursionError("deep"), "RCL9001"),
        (MemoryError(), "RCL9001"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no"), "RCL9001"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_a_cluster_that_raises_anything(desk: Desk, error: Exception, code: str) -> None:
    """Nothing is concluded about its machines: no plan is made, nothing is removed; it is told."""
    summary = run_once(desk.site, desk.root, Ear())
    assert summary.jobs_succeeded == 2
    before = desk.site.engines["mabs-01"].observe()
    desk.site.inventories["hci-01"].observe = _raises(error)  # type: ignore[method-assign]
    ear = Ear()
    summary = run_once(desk.site, desk.root, ear)
    assert code in ear.codes
    assert summary.unreachable
    assert summary.steps_done == 0
    after = desk.site.engines["mabs-01"].observe()
    assert after.groups == before.groups
    assert [each.source for each in after.replicas] == [each.source for each in before.replicas]
    kept = list((desk.root / TRACES).glob("*.txt")) if (desk.root / TRACES).exists() else []
    assert len(kept) == (1 if code == "RCL9001" else 0)


def test_a_server_that_raises_anything(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.site.engines["mabs-01"], "observe", _raises(KeyError("x")))
    seen = observe(desk.site)
    assert not seen.whole
    assert [error.diagnostic.code for error in seen.troubles] == ["RCL9001"]
    assert "the server mabs-01" in seen.troubles[0].diagnostic.message
    assert list(seen.clusters) == ["hci-01"]


def test_policies_that_cannot_be_applied_keep_no_job_from_running(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    run_once(desk.site, desk.root, Ear())
    desk.clock.forward(timedelta(hours=2))
    monkeypatch.setattr("reconciler.control.loop.tick.propose", _raises(ZeroDivisionError("x")))
    ear = Ear()
    summary = run_once(desk.site, desk.root, ear)
    assert "RCL9001" in ear.codes
    assert summary.jobs_succeeded == 2
    assert summary.troubles


def test_schedules_that_fail_keep_nothing_else_from_running(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with holding(desk.site):
        monkeypatch.setattr("reconciler.control.jobs.dispatch.due", _raises(ValueError("x")))
        bounds = Bounds(desk.root)
        assert jobs_due(desk.site, observe(desk.site), bounds, prune=True) == ()
        assert [finding.code for finding in bounds.findings] == ["RCL9001"]


@pytest.mark.parametrize("method", ["start", "poll"])
def test_one_job_that_raises_anything(desk: Desk, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """It has failed, with a code; the other one is done."""
    engine = desk.site.engines["mabs-01"]
    kept: Callable[..., Any] = getattr(engine, method)

    def act(given: Any, *more: Any) -> Any:
        if machine_id(1) in (given.id if method == "poll" else str(given.source)) or (
            method == "poll" and desk.site.memory.jobs.get(given.job).job.source.machine == machine_id(1)  # type: ignore[union-attr]
        ):
            raise RuntimeError("odd")
        return kept(given, *more)

    if method == "poll":

        def act(given: Any, *more: Any) -> Any:
            record = desk.site.memory.jobs.get(given.job)
            assert record is not None
            if record.job.source.machine == machine_id(1):
                raise RuntimeError("odd")
            return kept(given, *more)

    monkeypatch.setattr(engine, method, act)
    summary = run_once(desk.site, desk.root, Ear())
    assert summary.jobs_succeeded == 1
    assert [each.status.code for each in summary.jobs_failed] == ["RCL9001"]
    assert not desk.site.memory.jobs.running()


def test_a_lost_lease_is_kept_to_nothing(desk: Desk) -> None:
    bounds = Bounds(desk.root)
    with pytest.raises(StaleFence), bounds.about("x"):
        raise StaleFence("RCL3014", "lost", "See who.")


def test_every_trace_is_kept_once_and_not_too_many(tmp_path: Path) -> None:
    for _ in range(3):
        bounds = Bounds(tmp_path)
        with bounds.about("x"):
            raise KeyError("\ud800")
        assert ".reconciler/traces/" in bounds.findings[0].remedy
    (kept,) = (tmp_path / TRACES).iterdir()
    assert "KeyError" in kept.read_text(encoding="utf-8")


def test_failures_make_the_rest_longer_and_no_longer_than_that() -> None:
    rests = [loop._rest_seconds(failures) for failures in range(40)]
    assert rests[0] == loop.TICK_SECONDS
    assert rests == sorted(rests)
    assert rests[-1] == loop.LONGEST_REST_SECONDS


def test_a_site_that_cannot_be_opened_any_more_is_opened_again(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_rest_seconds", lambda failures: 0.02)
    opened = life.open
    fails = threading.Event()

    def flaky(policies: Policies) -> Site:
        if fails.is_set():
            fails.clear()
            raise RuntimeError("no")
        return opened(policies)

    life.open = flaky  # type: ignore[method-assign]
    life.start()
    fails.set()
    path = life.root / "policies" / "site.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("timeZone: UTC", "timeZone: Europe/Paris"), encoding="utf-8")
    ticks = life.ear.ticks
    assert life.until(lambda: "RCL9001" in life.ear.codes)
    assert life.until(lambda: life.ear.ticks > ticks + 1)


def test_nobody_listens_any_more(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed pipe at the other end of stdout is no reason to back nothing up."""
    life.start()
    monkeypatch.setattr(life.ear, "said", _raises(BrokenPipeError()))
    life.write("policies/x.yaml", "a: [")
    life.clock.forward(timedelta(hours=2))
    with closing(sqlite3.connect(life.root / "var" / "hq.db")) as connection:
        assert life.until(lambda: connection.execute("SELECT count(*) FROM job").fetchone()[0] >= 4)
    assert life.died is None


def test_policies_that_raise_anything_are_the_last_good_ones(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.control import policy_folder

    good = policy_folder.read_or_last_good(desk.root)
    assert good.current
    monkeypatch.setattr(policy_folder, "read_good", _raises(RuntimeError("odd")))
    found = policy_folder.read_or_last_good(desk.root)
    assert not found.current
    assert [each.code for each in found.diagnostics] == ["RCL9001"]
    assert found.policies.groups
    assert read_good(desk.root).policies.groups
    assert msgspec.to_builtins(found.policies.groups[0].document.metadata)
    assert json.dumps(JobKind.PRUNING)
    assert poll(desk.site) == ()
    with holding(desk.site) as held:
        assert run_jobs(desk.site, (), held, "") == ()
