"""kill -9 at durable steps: whatever was cut off, the next run reaches the same end, and no reported point is lost.

`make test` takes a sample of the steps; `make prove-kill` takes all of them, and 50 random moments besides.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.control.observe import observe_whole
from reconciler.control.planning.propose import propose
from reconciler.control.policy_folder import read_good
from reconciler.engines.embedded import EmbeddedEngine
from reconciler.model import JobState, Recovery, RecoveryTarget
from reconciler.protocols import Fence
from reconciler.state import SqliteMemory, open_memory
from reconciler.wiring import RehearsedClock, choose_site, open_site
from tests.fakes import NOON, DiskCluster, machine_id, recovery_of
from tests.support.dying import killed

ROOT = Path(__file__).parent.parent.parent
PROVE = bool(os.environ.get("RECONCILER_PROVE"))
FIRST, SECOND = NOON, NOON + timedelta(hours=5)

SITE = """apiVersion: reconciler/v1
kind: Site
metadata: {name: hq}
spec:
  timeZone: UTC
  rehearsal: true
  prune: false
  state: {sqlite: {path: var/hq.db}}
  clusters: [{name: hci-01, inventory: {directory: {path: cluster}}}]
  servers: [{name: mabs-01, engine: {embedded: {path: var/mabs-01}}, volumes: [{name: vol-a, capacity: 1 GB}]}]
---
apiVersion: reconciler/v1
kind: ProtectionGroup
metadata: {name: gold}
spec:
  site: hq
  server: mabs-01
  members: [{virtualMachines: {cluster: hci-01, names: [NAMES]}}]
  shortTerm: {retention: RETENTION, synchronization: 1h}
"""


def stamp(at: Any) -> str:
    return f"{at:%Y-%m-%dT%H:%MZ}"


def write_policies(root: Path, names: str, retention: str) -> None:
    (root / "policies").mkdir(exist_ok=True)
    text = SITE.replace("NAMES", names).replace("RETENTION", retention)
    (root / "policies" / "site.yaml").write_text(text, encoding="utf-8")


def victim(root: Path, step: int, *words: str, delay: float | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.kill.victim", str(step), *words, "-C", str(root)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        if delay is not None:
            time.sleep(delay)
            process.kill()
        said, wrong = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, said, wrong)


def steps_of(ended: subprocess.CompletedProcess[str]) -> int:
    assert ended.returncode == 0, ended.stderr + ended.stdout
    found = re.search(r"STEPS (\d+)", ended.stdout)
    assert found is not None
    return int(found[1])


RUN = ("run", "--until-idle", "--now", stamp(SECOND))
RECOVER = ("recover", "one", "--yes", "--now", stamp(SECOND + timedelta(hours=1)))


@contextmanager
def memory_of(root: Path) -> Iterator[SqliteMemory]:
    memory = open_memory(root / "var" / "hq.db")
    try:
        yield memory
    finally:
        memory.close()


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that has lived for a while; since then policies, machines and disks have changed."""
    root = tmp_path_factory.mktemp("kill") / "before"
    root.mkdir()
    cluster = DiskCluster(root / "cluster")
    cluster.add(1, "one")
    cluster.add(2, "two")
    write_policies(root, "one, two", "5d")
    steps_of(victim(root, 0, "run", "--until-idle", "--now", stamp(FIRST)))
    cluster.change(1, 1, seed=8)
    cluster.add(3, "three")
    write_policies(root, "one, two, three", "9d")
    return root


@pytest.fixture(scope="module")
def after(before: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, dict[str, Any]]:
    """The same site after an undisturbed run, the durable steps of that run, and its end."""
    root = tmp_path_factory.mktemp("kill") / "after"
    shutil.copytree(before, root)
    steps = steps_of(victim(root, 0, *RUN))
    looked_at = root.with_name("looked-at")
    shutil.copytree(root, looked_at)
    return root, steps, end_of(looked_at)


def end_of(root: Path) -> dict[str, Any]:
    """What there is at the end; checks on the way that every point comes back and the store is sound."""
    policies = read_good(root)
    site = open_site(root, choose_site(policies.policies, None), RehearsedClock(SECOND + timedelta(hours=2)))
    try:
        seen = observe_whole(site)
        assert propose(site, policies.policies, seen).plan.steps == ()
        assert site.memory.journal.open_runs() == ()
        engine = site.engines["mabs-01"]
        assert isinstance(engine, EmbeddedEngine)
        assert engine.check_store((1, 1)).findings == ()
        catalog = seen.catalogs["mabs-01"]
        digests = {}
        for number, point in enumerate(catalog.points):
            out = root / "out" / str(number)
            job = recovery_of(point.source, Recovery(point.id, RecoveryTarget.FOLDER, folder=str(out)), number)
            handle = engine.start(job, Fence(10**6))
            while not (status := engine.poll(handle)).state.ended:
                time.sleep(0.002)
            assert status.state is JobState.SUCCEEDED, status
            digests[point.id] = (out / "disk.raw").read_bytes()
        return {
            "groups": [each.group for each in catalog.groups],
            "replicas": [(each.source, each.state, each.group) for each in catalog.replicas],
            "points": digests,
            "ledger": [(each.group, each.applied, each.ref) for each in seen.ledger],
        }
    finally:
        site.close()


def sample(steps: int, count: int) -> list[int]:
    if PROVE:
        return list(range(1, steps + 1))
    return sorted(random.Random(7).sample(range(1, steps + 1), min(count, steps)))


def killed_run(before: Path, root: Path, step: int, delay: float | None = None) -> list[str]:
    shutil.copytree(before, root)
    ended = victim(root, step, *RUN, delay=delay)
    if delay is None:
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    steps_of(victim(root, 0, *RUN))
    return re.findall(r"POINT (\S+)", ended.stdout)


def test_a_run_killed_at_a_durable_step_ends_the_same(
    before: Path, after: tuple[Path, int, dict[str, Any]], tmp_path: Path
) -> None:
    _, steps, wanted = after
    assert steps > 60
    for step in sample(steps, 8):
        root = tmp_path / str(step)
        reported = killed_run(before, root, step)
        end = end_of(root)
        assert set(reported) <= set(end["points"]), f"killed at step {step}"
        assert end == wanted, f"killed at step {step}"
        shutil.rmtree(root)


def test_an_apply_killed_at_a_durable_step_is_taken_up(tmp_path: Path) -> None:
    def fresh(name: str) -> Path:
        root = tmp_path / name
        root.mkdir()
        DiskCluster(root / "cluster").add(1, "one")
        write_policies(root, "one", "5d")
        return root

    apply = ("apply", "--yes", "--now", stamp(FIRST))
    steps = steps_of(victim(fresh("counted"), 0, *apply))
    for step in sample(steps, 7):
        root = fresh(str(step))
        assert victim(root, step, *apply).returncode == -signal.SIGKILL
        steps_of(victim(root, 0, "plan", "--now", stamp(FIRST)))
        steps_of(victim(root, 0, *apply))
        end = end_of(root)
        assert [each[0] for each in end["ledger"]] == ["gold"], f"killed at step {step}"
        assert len(end["groups"]) == 1


def test_a_recovery_killed_at_a_durable_step_ends_the_same(
    after: tuple[Path, int, dict[str, Any]], tmp_path: Path
) -> None:
    counted = tmp_path / "counted"
    shutil.copytree(after[0], counted)
    disk = Path("cluster/volumes/csv-01") / machine_id(1) / "disk.raw"
    wanted = (counted / disk).read_bytes()
    for_all = (counted / disk).parent
    (counted / disk).write_bytes(b"ruined")
    steps = steps_of(victim(counted, 0, *RECOVER))
    assert (counted / disk).read_bytes() == wanted
    for step in sample(steps, 6):
        root = tmp_path / str(step)
        shutil.copytree(after[0], root)
        (root / disk).write_bytes(b"ruined")
        ended = victim(root, step, *RECOVER)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert (root / disk).read_bytes() in (b"ruined", wanted), f"half a disk after step {step}"
        steps_of(victim(root, 0, *RECOVER))
        assert (root / disk).read_bytes() == wanted, f"killed at step {step}"
        names = {path.name for path in (root / disk).parent.iterdir()}
        assert names == {path.name for path in for_all.iterdir()} == {"disk.raw", "vm.json"}
        shutil.rmtree(root)


@pytest.mark.prove
@pytest.mark.skipif(not PROVE, reason="random moments are for `make prove-kill`")
def test_a_run_killed_at_a_random_moment_ends_the_same(
    before: Path, after: tuple[Path, int, dict[str, Any]], tmp_path: Path
) -> None:
    chance = random.Random()
    began = time.monotonic()
    shutil.copytree(before, tmp_path / "timed")
    steps_of(victim(tmp_path / "timed", 0, *RUN))
    took = time.monotonic() - began
    for number in range(50):
        root = tmp_path / f"random-{number}"
        reported = killed_run(before, root, 0, delay=chance.uniform(0.2 * took, took))
        end = end_of(root)
        assert set(reported) <= set(end["points"])
        assert end == after[2]
        shutil.rmtree(root)


def test_the_reaper_kills(before: Path, tmp_path: Path) -> None:
    """Without this a victim that never dies would prove nothing."""
    shutil.copytree(before, tmp_path / "site")
    assert victim(tmp_path / "site", 1, *RUN).returncode == -signal.SIGKILL


def test_a_recovery_that_was_killed_spares_what_was_written_since(
    after: tuple[Path, int, dict[str, Any]], tmp_path: Path
) -> None:
    """Killed at any durable step, and then somebody goes on with the disk: no later command replaces it. Once the disk
    is replaced it is what somebody goes on with, and going back is a person's to say."""
    disk = Path("cluster/volumes/csv-01") / machine_id(1) / "disk.raw"
    counted = tmp_path / "counted"
    shutil.copytree(after[0], counted)
    wanted = (counted / disk).read_bytes()
    (counted / disk).write_bytes(b"ruined")
    for step in sample(steps_of(victim(counted, 0, *RECOVER)), 5):
        root = tmp_path / str(step)
        shutil.copytree(after[0], root)
        (root / disk).write_bytes(b"ruined")
        assert victim(root, step, *RECOVER).returncode == -signal.SIGKILL
        assert (root / disk).read_bytes() in (b"ruined", wanted), f"half a disk after step {step}"
        with (root / disk).open("r+b") as file:
            file.write(b"worked with")
        left = (root / disk).read_bytes()
        victim(root, 0, "run", "--until-idle", "--now", stamp(SECOND + timedelta(hours=2)))
        assert (root / disk).read_bytes() == left, f"killed at step {step}"
        shutil.rmtree(root)


@pytest.mark.parametrize("way", ["--undo", "--continue"])
def test_going_back_or_on_that_was_killed_is_asked_for_anew(
    after: tuple[Path, int, dict[str, Any]], tmp_path: Path, way: str
) -> None:
    """A recovery that is half done, `--undo` or `--continue` killed at a durable step, and asked for again."""
    disk = Path("cluster/volumes/csv-01") / machine_id(1) / "disk.raw"
    words = ("recover", "one", way, "--yes", "--now", stamp(SECOND + timedelta(hours=1)))
    wanted = (after[0] / disk).read_bytes()
    end = {"--undo": b"ruined", "--continue": wanted}[way]
    for step in sample(60, 3):
        root = tmp_path / str(step)
        shutil.copytree(after[0], root)
        (root / disk).write_bytes(b"ruined")
        killed(root, "reconciler.staging", "LocalTarget.put", 1, *RECOVER)
        assert (root / disk).read_bytes() == wanted
        if victim(root, step, *words).returncode != -signal.SIGKILL:
            break  # it has no more steps
        assert (root / disk).read_bytes() in (b"ruined", wanted), f"half a disk after step {step}"
        again = victim(root, 0, *words)
        assert again.returncode in (0, 6), again.stderr
        assert (root / disk).read_bytes() == end, f"killed at step {step}"
        assert {path.name for path in (root / disk).parent.iterdir()} == {"disk.raw", "vm.json"}
        shutil.rmtree(root)
