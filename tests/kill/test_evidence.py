"""kill -9 right before a durable step: the chain verifies, and nothing that was reported is missing or told twice."""

from __future__ import annotations

import re
import shutil
import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler import files
from reconciler.control.observe import observe_whole
from reconciler.control.policy_folder import read_good
from reconciler.errors import Severity
from reconciler.model import EvidenceKind
from reconciler.state import SUMS, EvidenceFolder, check_chain, read_sums
from reconciler.wiring import RehearsedClock, choose_site, open_site
from tests.fakes import NOON, DiskCluster
from tests.kill.test_kill import FIRST, PROVE, SECOND, sample, stamp, steps_of, victim, write_policies
from tests.state.test_evidence import KIND, checked, fill

LIVE = ("run", "--until-idle", "--now", stamp(SECOND))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evidence") / "before"
    root.mkdir()
    cluster = DiskCluster(root / "cluster")
    cluster.add(1, "one")
    write_policies(root, "one", "5d")
    steps_of(victim(root, 0, "run", "--until-idle", "--now", stamp(FIRST)))
    cluster.add(2, "two")
    cluster.change(1, 1, seed=8)
    write_policies(root, "one, two", "9d")
    return root


def told_of(root: Path, kind: EvidenceKind, word: str) -> Counter[str]:
    return Counter(
        record.body[word]
        for record in EvidenceFolder(root / "var" / "hq.evidence").records()
        if record.kind is kind and word in record.body
    )


def points_of(root: Path) -> set[str]:
    site = open_site(root, choose_site(read_good(root).policies, None), RehearsedClock(SECOND + timedelta(hours=1)))
    try:
        return {point.id for point in observe_whole(site).catalogs["mabs-01"].points}
    finally:
        site.close()


def test_a_run_killed_at_a_durable_step_leaves_a_whole_chain_that_tells_all(before: Path, tmp_path: Path) -> None:
    shutil.copytree(before, tmp_path / "counted")
    steps = steps_of(victim(tmp_path / "counted", 0, *LIVE))
    assert steps > 40
    for step in sample(steps, 4):
        root = tmp_path / str(step)
        shutil.copytree(before, root)
        ended = victim(root, step, *LIVE)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        evidence = EvidenceFolder(root / "var" / "hq.evidence")
        found = check_chain(evidence, {}).findings
        assert [each for each in found if each.severity is Severity.ERROR] == [], f"killed at step {step}"
        reported = set(re.findall(r"POINT (\S+)", ended.stdout))
        assert reported <= set(told_of(root, EvidenceKind.POINT, "point")), f"killed at step {step}"
        steps_of(victim(root, 0, *LIVE))
        assert check_chain(evidence, {}).findings == (), f"killed at step {step}"
        told = told_of(root, EvidenceKind.POINT, "point")
        assert set(told) == points_of(root), f"killed at step {step}"
        assert set(told.values()) == {1}, f"killed at step {step}: told twice"
        shutil.rmtree(root)


class _Killed(BaseException):
    """Stands for SIGKILL: nothing of ours handles it."""


def test_a_kill_at_any_step_of_writing_and_sealing_leaves_a_whole_chain(tmp_path: Path) -> None:
    """Every step, with a torn line, a full segment and a seal on the way."""

    def life(evidence: EvidenceFolder, told: list[int]) -> None:
        for number in range(3, 8):
            evidence.append(KIND, NOON, "", {"number": number})
            told.append(number)
            if number == 5:
                evidence.seal()

    def prepare(name: str) -> EvidenceFolder:
        evidence = EvidenceFolder(tmp_path / name, segment_bytes=350)
        fill(evidence, 2)
        with evidence.segments()[-1].open("ab") as handle:
            handle.write(b'{"seq":3,"prev":')
        return evidence

    steps = 0

    def count(step: files.Step) -> None:
        nonlocal steps
        steps += 1

    counted = prepare("counted")
    with files.watch(count):
        life(counted, [])
    assert steps > 20
    for at in range(1, steps + 1):
        left = at

        def kill(step: files.Step) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise _Killed

        told: list[int] = []
        evidence = prepare(str(at))
        with pytest.raises(_Killed), files.watch(kill):
            life(evidence, told)
        again = EvidenceFolder(evidence.folder, segment_bytes=350)
        assert [each for each in checked(again).findings if each.severity is Severity.ERROR] == [], at
        again.append(KIND, NOON, "", {"number": 99})
        numbers = [record.body["number"] for record in again.records()]
        assert numbers[-1] == 99
        assert set(numbers) >= {1, 2, *told, 99}, at
        assert len(numbers) == len(set(numbers)) <= len(told) + 4, at
        assert checked(again).findings == (), at
        aside = [path.read_bytes() for path in again.folder.glob("torn-*")]
        named = [each["file"] for record in again.records() for each in record.body.get("setAside", ())]
        assert b'{"seq":3,"prev":' in aside, at
        assert {path.name.removesuffix(".new") for path in again.folder.glob("torn-*")} <= set(named), at
        again.seal()
        assert set(read_sums(again.folder / SUMS)) == {path.name for path in again.segments()}, at


@pytest.mark.prove
@pytest.mark.skipif(not PROVE, reason="a recovery at every step is for `make prove-kill`")
def test_a_recovery_killed_at_any_step_is_told_once_as_it_ended(before: Path, tmp_path: Path) -> None:
    recover = ("recover", "one", "--yes", "--now", stamp(SECOND))
    shutil.copytree(before, tmp_path / "counted")
    steps = steps_of(victim(tmp_path / "counted", 0, *recover))
    for step in range(1, steps + 1):
        root = tmp_path / str(step)
        shutil.copytree(before, root)
        victim(root, step, *recover)
        steps_of(victim(root, 0, *recover))
        evidence = EvidenceFolder(root / "var" / "hq.evidence")
        assert check_chain(evidence, {}).findings == ()
        ends = [each.body["state"] for each in evidence.records() if each.kind is EvidenceKind.RECOVERY]
        jobs = told_of(root, EvidenceKind.RECOVERY, "job")
        assert set(jobs.values()) == {1}, f"killed at step {step}: {ends}"
        assert ends[-1] == "succeeded", f"killed at step {step}: {ends}"
        assert set(ends) <= {"succeeded", "interrupted"}, f"killed at step {step}: {ends}"
        shutil.rmtree(root)
