"""Flipped bits: one bit anywhere in the store, the state or the evidence is noticed, or every answer is as before.

Each flip is followed by `store check`, `status`, `evidence verify` and a recovery of every point. It counts as noticed
where one of them says so: a finding, an error, a state other than before with the reason. A recovery that succeeds has
the bytes of its point; nothing ends in a trace. `make prove-flips` does 20,000, evenly over the kinds of file.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest
from typer import main

from reconciler.cli import errors
from reconciler.engines.embedded import open_engine
from reconciler.errors import ReconcilerError
from reconciler.model import DataSource, Job, JobState, Recovery, RecoveryTarget
from reconciler.protocols import Fence
from tests.fakes import BLOCK, NOON, DiskCluster, SetClock, recovery_of, setup_for
from tests.kill.test_kill import write_policies

PROVE = bool(os.environ.get("RECONCILER_PROVE"))
#: So many parts, each with flips of its own, so that several processors can share them.
PARTS, FLIPS = (20, 1000) if PROVE else (1, 80)
IN_MEMORY = Path("/dev/shm")
KINDS = ("catalog", "server", "pack", "map", "identity", "format", "state", "evidence")

#: What differs from run to run without any flip.
_VOLATILE = re.compile(r"\d+ (of|free|B|KiB|MiB|GiB|TiB|s|min|h)\b|\d+[.]\d+ [KMGT]iB|lies on the same file system.*")


class Answers(NamedTuple):
    """What a site says of itself: what its commands print, and the digests of the files of each point."""

    said: str
    restored: dict[str, dict[str, str]]
    noticed: tuple[str, ...]


class Place:
    """A small site, kept whole; each flip works on a copy of its `var`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = SetClock()
        self.cluster = DiskCluster(root / "cluster")
        self.one = self.cluster.add(1, "one", data=random.Random(1).randbytes(BLOCK) + b"text " * BLOCK)
        write_policies(root, "one", "5d")
        self.command("apply", "--yes", "--now", "2026-03-10T12:00Z")
        for hour in range(4):
            self.cluster.change(1, hour % 3, seed=hour)
            self.command("run", "--until-idle", "--now", f"2026-03-10T{12 + hour}:05Z")
        self.command("check", "one", "--now", "2026-03-10T15:30Z")
        self.whole = root / "whole"
        shutil.copytree(root / "var", self.whole)
        self.clock.at = NOON + timedelta(hours=4)

    def command(self, *words: str) -> tuple[int, str]:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = errors.run([*words, "-C", str(self.root)])
        return code, out.getvalue()

    def reset(self) -> None:
        shutil.rmtree(self.root / "var")
        shutil.copytree(self.whole, self.root / "var")

    def answers(self) -> Answers:
        noticed: list[str] = []
        said = []
        for words, fine in (
            (("store", "check"), (0,)),
            (("status", "--now", "2026-03-10T15:40Z"), (0,)),
            (("points", "--output", "json"), (0,)),
            (("evidence", "verify"), (0,)),
        ):
            code, text = self.command(*words)
            assert "Traceback" not in text, text
            assert "RCL9001" not in text, text
            said.append(_VOLATILE.sub("#", text))
            if code not in fine or "error" in text or "RCL40" in text.replace("RCL4016", ""):
                noticed.append(f"{words[0]}: {code} {text[:200]}")
        return Answers("\n".join(said), self._restored(noticed), tuple(noticed))

    def _restored(self, noticed: list[str]) -> dict[str, dict[str, str]]:
        store = self.root / "var" / "mabs-01"
        engine = open_engine(setup_for(store, self.cluster, self.clock))
        restored: dict[str, dict[str, str]] = {}
        try:
            seen = engine.observe()
            noticed += [str(each) for each in seen.findings if each.code != "RCL4016"]
            for number, point in enumerate(seen.points):
                out = self.root / "out"
                shutil.rmtree(out, ignore_errors=True)
                try:
                    handle = engine.start(self._job(point.source, point.id, out, number), Fence(10**6))
                    while not (status := engine.poll(handle)).state.ended:
                        time.sleep(0.0005)
                except ReconcilerError as error:
                    noticed.append(str(error))
                    continue
                assert status.code != "RCL9001", status
                if status.state is JobState.SUCCEEDED:
                    restored[point.id] = {path.name: sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}
                else:
                    noticed.append(f"{status.code} {status.reason}")
        except ReconcilerError as error:
            noticed.append(str(error))
        finally:
            engine.close()
        return restored

    def _job(self, source: DataSource, point: str, out: Path, number: int) -> Job:
        recovery = Recovery(point, RecoveryTarget.FOLDER, folder=str(out))
        return recovery_of(source, recovery, number)

    def files_of(self, kind: str) -> list[Path]:
        patterns = {
            "catalog": "mabs-01/volumes/*/*/catalog.db",
            "server": "mabs-01/server.db",
            "pack": "mabs-01/volumes/*/*/packs/*/*.pack",
            "map": "mabs-01/volumes/*/*/points/*.map",
            "identity": "mabs-01/volumes/**/*.json",
            "format": "mabs-01/format.json",
            "state": "hq.db",
            "evidence": "hq.evidence/**/*",
        }
        found = sorted(path for path in self.whole.glob(patterns[kind]) if path.is_file() and path.stat().st_size)
        return [path.relative_to(self.whole) for path in found]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    # Building the command line's parser takes longer than all the rest.
    monkeypatch.setattr("reconciler.cli.errors.get_command", functools.cache(main.get_command))
    folder = tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else None)
    yield Place(Path(folder))
    shutil.rmtree(folder)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_flipped_bit_is_noticed_or_changes_no_answer(place: Place, part: int) -> None:
    place.reset()
    before = place.answers()
    place.reset()
    again = place.answers()
    assert not before.noticed, before.noticed
    assert again == before
    assert len(before.restored) == 4
    counted = flip(place, before, FLIPS, 20261127 + part)
    # In a small database nine of ten bits are of pages that nothing uses: few flips may miss what counts.
    databases = [counted.pop(kind) for kind in ("catalog", "server", "state")]
    assert all(counted.values()), counted
    assert all(databases) if PROVE else any(databases), databases
    print("noticed:", counted, databases, "of", FLIPS // len(KINDS), "each")


def flip(place: Place, before: Answers, flips: int, seed: int) -> dict[str, int]:
    """So many flips, evenly over the kinds; how many of each kind were noticed. The others changed no answer."""
    chance = random.Random(seed)
    counted = dict.fromkeys(KINDS, 0)
    for number in range(flips):
        kind = KINDS[number % len(KINDS)]
        path = chance.choice(place.files_of(kind))
        place.reset()
        target = place.root / "var" / path
        data = bytearray(target.read_bytes())
        offset, bit = chance.randrange(len(data)), chance.randrange(8)
        data[offset] ^= 1 << bit
        target.write_bytes(data)
        where = f"{path} byte {offset} bit {bit}"
        try:
            after = place.answers()
        except Exception as error:
            raise AssertionError(f"{where}: ended in a trace") from error
        for point, files in after.restored.items():
            assert files == before.restored.get(point), f"{where}: wrong bytes in {point}"
        if not after.noticed:
            assert after.said == before.said, f"{where}: another answer, without a word\n{after.said}\n{before.said}"
            assert after.restored == before.restored, f"{where}: a point is gone, without a word"
        counted[kind] += bool(after.noticed)
    return counted
