"""Evidence: checking 100,000 records, and locating a change among them, beside sha256sum over the same bytes.

CPU seconds of whole processes, medians of the rounds, all in one run. sha256sum does less: it hashes the bytes once and
cannot say which record is not as it was.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from reconciler.model import EvidenceKind, Record, record_line
from reconciler.state import EvidenceFolder

RECORDS = 100_000
SEGMENT_BYTES = 16 * 2**20
GOAL_SECONDS = 10.0
ROUNDS = 3
PLACES = 5
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Cost(NamedTuple):
    cpu: float
    wall: float


def main() -> int:
    chance = random.Random(11)
    worst = 0.0
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch) / "hq.evidence"
        size = _write(folder)
        EvidenceFolder(folder).seal()
        segments = [path.name for path in EvidenceFolder(folder).segments()]
        print(f"{RECORDS} records, {size / 2**20:.0f} MiB in {len(segments)} segments, sealed.\n")
        sums = [_once(["sha256sum", "--check", "--quiet", "SHA256SUMS"], folder) for _ in range(ROUNDS)]
        whole = [_verify(folder, 0) for _ in range(ROUNDS)]
        ours, theirs = (statistics.median(each.cpu for each in costs) for costs in (whole, sums))
        wall = statistics.median(each.wall for each in whole)
        print(f"verify, whole      {ours:5.2f} s CPU {wall:5.2f} s wall   sha256sum {theirs:.2f} s CPU   ", end="")
        print(f"ratio {ours / theirs:.1f}")
        worst = max(each.wall for each in whole)
        for what, change in _CHANGES.items():
            for _ in range(PLACES):
                path = folder / (segments[-1] if change is _cut else chance.choice(segments))
                kept = path.read_bytes()
                line = change(path, chance)
                cost, found = _located(folder)
                path.write_bytes(kept)
                worst = max(worst, cost.wall)
                right = found == (path.name, line)
                print(f"{what:<18} {cost.cpu:5.2f} s CPU {cost.wall:5.2f} s wall   {path.name}:{line}", end="   ")
                print("located" if right else f"NOT located, but {found}")
                if not right:
                    return 1
        cost = _once(
            [sys.executable, "-m", "reconciler", "evidence", "query", "vm-17", "--folder", str(folder)], folder
        )
        print(f"query              {cost.cpu:5.2f} s CPU {cost.wall:5.2f} s wall")
    said = "met" if worst <= GOAL_SECONDS else "NOT met"
    print(f"\nThe slowest check took {worst:.2f} s, at most {GOAL_SECONDS:.0f} s is the goal: {said}.")
    return 0 if worst <= GOAL_SECONDS else 1


def _write(folder: Path) -> int:
    """A chain as a site of 500 machines would write it, mostly recovery points; returns its bytes."""
    folder.mkdir()
    head, segment, written, total = "", 1, 0, 0
    handle = (folder / f"{segment:06d}.jsonl").open("wb")
    for seq in range(1, RECORDS + 1):
        at = _BEGAN + timedelta(seconds=30 * seq)
        line = record_line(Record(seq, head, at, EvidenceKind.POINT, "", _body(seq, at)))
        head = sha256(line).hexdigest()
        handle.write(line + b"\n")
        written += len(line) + 1
        total += len(line) + 1
        if written >= SEGMENT_BYTES:
            handle.close()
            segment, written = segment + 1, 0
            handle = (folder / f"{segment:06d}.jsonl").open("wb")
    handle.close()
    return total


def _body(seq: int, at: datetime) -> dict[str, object]:
    machine = seq % 500
    return {
        "job": f"sync-{machine:08x}-{at:%Y%m%dT%H%M%SZ}-{seq:06x}",
        "attempt": 1,
        "server": "mabs-01",
        "source": f"hci-01/{machine:08x}-0000-4000-8000-000000000000/host",
        "name": f"vm-{machine}",
        "group": f"team-{machine % 20}",
        "point": f"{at:%Y%m%dT%H%M%SZ}-{seq:08x}",
        "time": at.isoformat(),
        "kind": "synchronization",
        "storedBytes": 131_072 * (seq % 97),
    }


def _flip(path: Path, chance: random.Random) -> int:
    data = bytearray(path.read_bytes())
    byte = chance.randrange(len(data) - 2_000)
    data[byte] ^= 1 << chance.randrange(8)
    line = path.read_bytes()[:byte].count(b"\n") + 1
    path.write_bytes(data)
    return line


def _drop(path: Path, chance: random.Random) -> int:
    lines = path.read_bytes().splitlines(keepends=True)
    place = chance.randrange(len(lines) - 1)
    del lines[place]
    path.write_bytes(b"".join(lines))
    return place + 1


def _swap(path: Path, chance: random.Random) -> int:
    lines = path.read_bytes().splitlines(keepends=True)
    place = chance.randrange(len(lines) - 1)
    lines[place : place + 2] = reversed(lines[place : place + 2])
    path.write_bytes(b"".join(lines))
    return place + 1


def _cut(path: Path, chance: random.Random) -> int:
    """Records cut off the end; the place is the last one that is left."""
    lines = path.read_bytes().splitlines(keepends=True)
    left = len(lines) - chance.randrange(1, 100)
    path.write_bytes(b"".join(lines[:left]))
    return left


_CHANGES: dict[str, Callable[[Path, random.Random], int]] = {
    "one flipped bit": _flip,
    "a dropped record": _drop,
    "two swapped": _swap,
    "a cut-off end": _cut,
}


def _verify(folder: Path, code: int, *words: str) -> Cost:
    command = [sys.executable, "-m", "reconciler", "evidence", "verify", "--folder", str(folder), *words]
    return _once(command, folder, code)


def _located(folder: Path) -> tuple[Cost, tuple[str, int]]:
    """What it cost, and the place of the first finding."""
    said = folder.parent / "said.json"
    with said.open("wb") as out:
        command = [sys.executable, "-m", "reconciler", "evidence", "verify", "--folder", str(folder)]
        cost = _once([*command, "--output", "json"], folder, 1, out.fileno())
    first = json.loads(said.read_bytes())["findings"][0]["location"]
    return cost, (first["file"], first["line"])


def _once(command: list[str], folder: Path, code: int = 0, out: int = subprocess.DEVNULL) -> Cost:
    program = shutil.which(command[0]) or command[0]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    ended = subprocess.run([program, *command[1:]], cwd=folder, stdout=out, stderr=subprocess.PIPE, check=False)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    if ended.returncode != code:
        raise SystemExit(f"{command[:5]} ended with {ended.returncode}: {ended.stderr.decode()[-2000:]}")
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


if __name__ == "__main__":
    sys.exit(main())
