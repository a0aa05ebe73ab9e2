"""kill -9 at every durable step of a restore: the state is the old one or the new one, whole, and the next restore ends
as if nothing had been."""

from __future__ import annotations

import random
import shutil
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reconciler.model import EvidenceKind
from tests.fakes import NOON, DiskCluster
from tests.kill.test_kill import PROVE, memory_of, stamp, steps_of, victim, write_policies
from tests.kill.test_plan_steps import check_chain

NOW = ("--now", stamp(NOON))


def state_of(root: Path) -> tuple[Any, ...]:
    """What our memory says of runs that applied something, and of what is owned; the evidence is sound."""
    with memory_of(root) as memory:
        check_chain(memory)
        applied = [run.id for run in memory.journal.runs() if run.command == "apply"]
        return applied, [(entry.group, entry.applied.short_term.retention) for entry in memory.ledger.entries()]


def words_of(root: Path) -> list[str]:
    with memory_of(root) as memory:
        told = [
            record for record in memory.evidence.records() if record.kind in (EvidenceKind.DRIFT, EvidenceKind.STATE)
        ]
        return [str(each.body.get("word", each.kind)) for each in told if each.body.get("what") != "firstUse"]


@pytest.fixture(scope="module", params=["readable", "missing", "damaged", "cut evidence"])
def before(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A site that went on after its backup, and then was harmed."""
    root = tmp_path_factory.mktemp("restore") / "before"
    root.mkdir()
    DiskCluster(root / "cluster").add(1, "one")
    write_policies(root, "one", "5d")
    steps_of(victim(root, 0, "apply", "--yes", *NOW))
    with memory_of(root) as memory:
        memory.evidence.append(EvidenceKind.DRIFT, NOON, "", {"word": "first"})
        memory.evidence.append(EvidenceKind.DRIFT, NOON, "", {"word": "second"})
    steps_of(victim(root, 0, "state", "backup", str(root / "state.tar")))
    write_policies(root, "one", "9d")
    steps_of(victim(root, 0, "apply", "--yes", *NOW))
    database = root / "var" / "hq.db"
    if request.param == "missing":
        database.unlink()
        shutil.rmtree(root / "var" / "hq.evidence")
    elif request.param == "damaged":
        database.write_bytes(b"noise" * 1000)
    elif request.param == "cut evidence":
        segment = root / "var" / "hq.evidence" / "000001.jsonl"
        segment.write_bytes(b"".join(segment.read_bytes().splitlines(keepends=True)[:4]))
    return request.param, root


def test_a_restore_killed_at_a_durable_step_leaves_the_old_state_or_the_new(
    before: tuple[str, Path], tmp_path: Path
) -> None:
    harm, origin = before
    restore = ("state", "restore", str(origin / "state.tar"), "--yes")
    old = state_of(origin) if harm in ("readable", "cut evidence") else None
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(origin, undisturbed)
    steps = steps_of(victim(undisturbed, 0, *restore))
    new = state_of(undisturbed)
    assert new != old
    assert words_of(undisturbed) == ["first", "second", "state"]
    seen = set()
    every = range(1, steps + 1)
    chosen = every if PROVE else sorted({steps, *random.Random(steps).sample(every, 4)})
    for step in chosen:
        root = tmp_path / str(step)
        shutil.copytree(origin, root)
        assert victim(root, step, *restore).returncode == -signal.SIGKILL, f"step {step} of {steps}"
        now = found_in(root, harm)
        assert now in (old, new), f"step {step} of {steps}"
        seen.add(msgspec.json.encode(now))
        again = victim(root, 0, *restore)
        assert again.returncode == 0, f"step {step} of {steps}: {again.stderr}"
        assert state_of(root) == new, f"step {step} of {steps}"
        assert set(words_of(root)) == {"first", "second", "state"}, f"step {step} of {steps}"
        assert words_of(root)[:2] == ["first", "second"]
        assert not [path for path in (root / "var").iterdir() if path.name.startswith(".hq")]
        shutil.rmtree(root)
    if PROVE:
        assert len(seen) == 2


def found_in(root: Path, harm: str) -> tuple[Any, ...] | None:
    """The state after the kill; None for what did not read before either."""
    database = root / "var" / "hq.db"
    if harm == "missing" and not database.exists():
        return None
    if harm == "damaged" and database.read_bytes()[:5] == b"noise":
        return None
    return state_of(root)
