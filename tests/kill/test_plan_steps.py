"""A plan of 30 steps, cut off at its step boundaries by kill -9 or Ctrl-C: `resume` reaches the same end, as it was
agreed, whatever the policies say by then; and no step is sent twice.

`make test` takes a sample of the boundaries; `make prove-kill` takes all of them.
"""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from reconciler.control.observe import observe_whole
from reconciler.control.planning.propose import propose
from reconciler.control.policy_folder import read_good
from reconciler.model import OutcomeState
from reconciler.protocols import Memory
from reconciler.wiring import RehearsedClock, choose_site, open_site
from tests.fakes import NOON, DiskCluster
from tests.kill.test_kill import PROVE, ROOT, SITE, stamp

STEPS = 30
NOW = ("--now", stamp(NOON))
MOMENTS = ("started", "before", "after")


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def committed(self) -> int:
        """How many steps the process made true on the server."""
        found = re.search(r"COMMITTED (\d+)", self.out)
        assert found is not None, self.err + self.out
        return int(found[1])


def aimed(root: Path, what: str, moment: str, number: int, *words: str) -> Ended:
    command = [sys.executable, "-m", "tests.kill.aimed", what, moment, str(number), *words, "-C", str(root)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def group(number: int, retention: str, name: str = "") -> str:
    named = name or f"g{number:02}"
    former = f"  renamedFrom: [g{number:02}]\n" if name else ""
    return (
        f"---\napiVersion: reconciler/v1\nkind: ProtectionGroup\nmetadata: {{name: {named}}}\nspec:\n"
        f"  site: hq\n  server: mabs-01\n{former}"
        f"  members: [{{virtualMachines: {{cluster: hci-01, names: [vm{number:02}]}}}}]\n"
        f"  shortTerm: {{retention: {retention}, synchronization: 1h}}\n"
    )


def write(root: Path, groups: list[str]) -> None:
    site, _, _ = SITE.partition("---\n")
    (root / "policies").mkdir(exist_ok=True)
    (root / "policies" / "site.yaml").write_text(site + "".join(groups), encoding="utf-8")


#: What is applied: half of the groups. What is planned: 10 changed, 5 renamed, 15 new. What nobody agreed to.
OLD = [group(number, "5d") for number in range(15)]
NEW = [group(number, "9d") for number in range(10)] + [group(number, "5d", f"r{number}") for number in range(10, 15)]
NEW += [group(number, "5d") for number in range(15, 30)]
OTHER = [group(number, "30d") for number in range(20)]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with 15 groups, and a saved plan that leads to 30."""
    root = tmp_path_factory.mktemp("steps") / "before"
    root.mkdir()
    cluster = DiskCluster(root / "cluster")
    for number in range(30):
        cluster.add(number, f"vm{number:02}", data=b"tiny" * number)
    write(root, OLD)
    assert aimed(root, "none", "before", 0, "apply", "--yes", *NOW).code == 0
    write(root, NEW)
    assert aimed(root, "none", "before", 0, "plan", "--out", str(root / "plan.json"), *NOW).code == 0
    return root


@pytest.fixture(scope="module")
def wanted(before: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The end of an apply that nobody disturbs."""
    root = tmp_path_factory.mktemp("steps") / "undisturbed"
    shutil.copytree(before, root)
    ended = aimed(root, "none", "before", 0, "apply", str(root / "plan.json"), "--yes", *NOW)
    assert (ended.code, ended.committed) == (0, STEPS), ended.err + ended.out
    return end_of(root)


def end_of(root: Path) -> dict[str, Any]:
    """What there is at the end: the catalog, the ledger, and for each step of the plan how often it was done."""
    policies = read_good(root)
    site = open_site(root, choose_site(policies.policies, None), RehearsedClock(NOON))
    try:
        seen = observe_whole(site)
        assert propose(site, policies.policies, seen).plan.steps == ()
        assert site.memory.journal.open_runs() == ()
        check_chain(site.memory)
        done: dict[str, int] = {}
        first_of_ours = 1  # the oldest run applied the old policies
        for run in site.memory.journal.runs()[::-1][first_of_ours:]:
            for noted in site.memory.journal.steps(run.id):
                assert noted.outcome is not None, noted
                if noted.outcome.state in (OutcomeState.DONE, OutcomeState.ALREADY):
                    done[noted.step] = done.get(noted.step, 0) + 1
        catalog = seen.catalogs["mabs-01"]
        ledger = [msgspec.structs.replace(entry, run="") for entry in seen.ledger]
        return {"groups": catalog.groups, "replicas": catalog.replicas, "ledger": ledger, "done": done}
    finally:
        site.close()


def check_chain(memory: Memory) -> None:
    """The evidence reads, and each record names the one before it."""
    before = ""
    for number, record in enumerate(memory.evidence.records(), start=1):
        assert (record.seq, record.prev) == (number, before)
        before = hashlib.sha256(msgspec.json.encode(record, order="deterministic")).hexdigest()


def boundaries() -> list[tuple[str, int]]:
    every = [(moment, number) for number in range(1, STEPS + 1) for moment in MOMENTS]
    return every if PROVE else sorted(random.Random(5).sample(every, 6))


def test_a_plan_killed_at_a_step_boundary_is_resumed_to_the_same_end(
    before: Path, wanted: dict[str, Any], tmp_path: Path
) -> None:
    assert sum(wanted["done"].values()) == len(wanted["done"]) == STEPS
    for moment, number in boundaries():
        where = f"{moment} step {number}"
        root = tmp_path / f"{moment}-{number}"
        shutil.copytree(before, root)
        killed = aimed(root, "kill", moment, number, "apply", str(root / "plan.json"), "--yes", *NOW)
        assert killed.code == -signal.SIGKILL, where + killed.err
        write(root, OTHER)
        resumed = aimed(root, "none", "before", 0, "resume", *NOW)
        assert resumed.code == 0, where + resumed.err + resumed.out
        assert resumed.committed == STEPS - (number if moment == "after" else number - 1), where
        write(root, NEW)
        assert end_of(root) == wanted, where
        shutil.rmtree(root)


def test_a_plan_interrupted_at_a_step_boundary_says_its_run_and_is_resumed(
    before: Path, wanted: dict[str, Any], tmp_path: Path
) -> None:
    numbers = range(1, STEPS + 1) if PROVE else (1, 17)
    for number in numbers:
        root = tmp_path / str(number)
        shutil.copytree(before, root)
        ended = aimed(root, "interrupt", "after", number, "apply", str(root / "plan.json"), "--yes", *NOW)
        last = number == STEPS
        assert ended.code == (0 if last else 130), f"at step {number}: {ended.err}"
        assert ended.committed == number
        if not last:
            run = re.search(r"during run (\S+?)[:,.;]? ", ended.err)
            assert run is not None, ended.err
            write(root, OTHER)
            resumed = aimed(root, "none", "before", 0, "resume", run[1], *NOW)
            assert (resumed.code, resumed.committed) == (0, STEPS - number), resumed.err
            write(root, NEW)
        assert end_of(root) == wanted, f"at step {number}"
        shutil.rmtree(root)


@pytest.mark.prove
@pytest.mark.skipif(not PROVE, reason="every durable step is for `make prove-kill`")
def test_a_plan_killed_at_any_durable_step_is_resumed_to_the_same_end(
    before: Path, wanted: dict[str, Any], tmp_path: Path
) -> None:
    counted = tmp_path / "counted"
    shutil.copytree(before, counted)
    words = ("apply", str(before / "plan.json"), "--yes", *NOW)
    found = re.search(r"DURABLE (\d+)", aimed(counted, "none", "durable", 0, *words).out)
    assert found is not None
    for number in range(1, int(found[1]) + 1, 3):
        root = tmp_path / str(number)
        shutil.copytree(before, root)
        assert aimed(root, "kill", "durable", number, *words).code == -signal.SIGKILL
        begun = aimed(root, "none", "before", 0, "resume", *NOW)
        again = (
            begun if begun.code == 0 and "left nothing" not in begun.err else aimed(root, "none", "before", 0, *words)
        )
        assert again.code == 0, f"killed at {number}: {begun.err}{again.err}"
        end = end_of(root)
        assert {key: end[key] for key in ("groups", "replicas", "ledger")} == {
            key: wanted[key] for key in ("groups", "replicas", "ledger")
        }, f"killed at {number}"
        shutil.rmtree(root)


def test_the_aim_hits(before: Path, tmp_path: Path) -> None:
    """Without this a process that is never killed, or at the wrong step, would prove nothing."""
    for moment, committed in (("before", 3), ("after", 4)):
        root = tmp_path / moment
        shutil.copytree(before, root)
        assert aimed(root, "kill", moment, 4, "apply", str(root / "plan.json"), "--yes", *NOW).code == -9
        policies = read_good(root)
        site = open_site(root, choose_site(policies.policies, None), RehearsedClock(NOON))
        try:
            left = propose(site, policies.policies, observe_whole(site)).plan.steps
            assert len(left) == STEPS - committed
            (run,) = site.memory.journal.open_runs()
            assert [step.outcome is None for step in site.memory.journal.steps(run.id)] == [False] * 3 + [True]
        finally:
            site.close()
