"""Policies: validate and coverage of whole folders, beside PyYAML's C loader alone and check-jsonschema.

Whole processes, CPU and wall seconds, medians of the rounds, all on the same text in one run. The loader alone does
less (no places, no schema, nothing across documents); check-jsonschema does less too (its schema, one document at a
time) and reads one document a file only.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from reconciler.parse.schema import schema_of

COUNTS = (100, 1_000, 10_000)
MACHINES = 100_000
MANY = 100
GOAL = 0.1
CALENDARS = 2_000
CALENDAR_GOAL = 1.5
_LOAD = """
import sys, pathlib, yaml
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.yaml")):
    for _ in yaml.load_all(path.read_bytes(), Loader=yaml.CSafeLoader): pass
"""
_SITE = """apiVersion: reconciler/v1
kind: Site
metadata: {name: hq}
spec:
  timeZone: Europe/Berlin
  prune: false
  state: {sqlite: {path: var/hq.db}}
  clusters: [{name: hci-01, inventory: {directory: {path: clusters/hci-01}}, churn: {default: 3%/d}}]
  servers:
    - {name: mabs-01, engine: {embedded: {path: var/mabs-01}}, volumes: [{name: vol-a, capacity: 80 TB}]}
"""
_GROUP = """# What team NUMBER runs: protected by the hour, kept for RETENTION days.
apiVersion: reconciler/v1
kind: ProtectionGroup
metadata: {name: team-NUMBER, labels: {tier: gold, team: "tNUMBER"}}
spec:
  displayName: Team NUMBER
  site: hq
  server: mabs-01
  members:
    - virtualMachines:
        cluster: hci-01
        names: ["app-NUMBER-*"]
        except: ["app-NUMBER-test-*"]
      storage: {volume: vol-a}
  shortTerm:
    retention: RETENTIONd
    synchronization: 1h
    expressFull: {times: ["22:00"], days: [Sa]}
  consistencyCheck:
    whenInconsistent: true
    schedule: {time: "02:00", maxHours: 4}
"""


class Cost(NamedTuple):
    cpu: float
    wall: float


def main() -> int:
    check = shutil.which("check-jsonschema", path=str(Path(sys.executable).parent))
    if check is None:
        sys.stderr.write("check-jsonschema is not installed; `make bench-policy` installs it.\n")
        return 1
    print("Seconds of whole processes, medians; in brackets the ratio of CPU seconds to the same text's yardsticks.\n")
    ratio = 1.0
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for count in COUNTS:
            ratio = _folders(Path(scratch) / str(count), count, check)
        _coverage(Path(scratch) / "coverage")
        calendar = _calendars(Path(scratch) / "calendars")
    said = "met" if ratio <= GOAL else "NOT met"
    print(f"\nvalidate / check-jsonschema at {COUNTS[-1]} files: {ratio:.3f}, at most {GOAL} is the goal: {said}.")
    said = "met" if calendar <= CALENDAR_GOAL else "NOT met"
    print(
        f"validate with a calendar / without, {CALENDARS} documents: {calendar:.2f}, at most {CALENDAR_GOAL}: {said}."
    )
    return 0 if ratio <= GOAL and calendar <= CALENDAR_GOAL else 1


def _folders(scratch: Path, count: int, check: str) -> float:
    """Validates `count` documents in both layouts; the CPU ratio to check-jsonschema."""
    rounds = 3 if count <= 1_000 else 1
    single, several = _write(scratch / "single", count, 1), _write(scratch / "several", count, MANY)
    schema = scratch / "schema.json"
    schema.write_text(json.dumps(schema_of("ProtectionGroup")))
    groups = [str(path) for path in sorted((single / "policies").rglob("*.yaml")) if path.name != "site.yaml"]
    ours = _times(rounds, [sys.executable, "-m", "reconciler", "validate", "-C", str(single)])
    loader = _times(rounds, [sys.executable, "-c", _LOAD, str(single / "policies")])
    peer = _times(rounds, [check, "--quiet", "--schemafile", str(schema), *groups])
    print(f"{count:>6} documents, one a file   validate {_shown(ours)}  loader alone {_shown(loader)}  ", end="")
    print(f"check-jsonschema {_shown(peer)}  [{ours.cpu / loader.cpu:.2f}, {ours.cpu / peer.cpu:.3f}]")
    ours_several = _times(rounds, [sys.executable, "-m", "reconciler", "validate", "-C", str(several)])
    loader = _times(rounds, [sys.executable, "-c", _LOAD, str(several / "policies")])
    print(
        f"{count:>6} documents, {MANY} a file  validate {_shown(ours_several)}  loader alone {_shown(loader)}  ", end=""
    )
    print(f"[{ours_several.cpu / loader.cpu:.2f}]")
    return ours.cpu / peer.cpu


def _coverage(scratch: Path) -> None:
    """Coverage of 100,000 machines by 1,000 groups, from an exported inventory."""
    root = _write(scratch, 1_000, MANY)
    machines = [
        {
            "id": f"{number:08x}-0000-0000-0000-000000000000",
            "name": f"app-{number % 1100:05d}-{number // 1100:03d}",
            "node": f"n{number % 16}",
            "guestSystem": "windows",
            "checkpoints": [],
            "replication": {},
            "labels": {"app": f"a{number % 50}", "tier": "gold"},
            "disks": [{"path": "d.vhdx", "kind": "vhdx", "volume": f"csv-{number % 8}", "allocatedBytes": 10**8}],
        }
        for number in range(MACHINES)
    ]
    exported = {"formatVersion": "1.0", "kind": "Inventory", "clusters": [{"name": "hci-01", "machines": machines}]}
    inventory = root / "inventory.json"
    inventory.write_text(json.dumps(exported))
    command = [sys.executable, "-m", "reconciler", "coverage", "-C", str(root), "--inventory", str(inventory)]
    ours = _times(3, [*command, "--output", "json"])
    loader = _times(3, [sys.executable, "-c", _LOAD, str(root / "policies")])
    reader = "import json, sys; json.loads(open(sys.argv[1], 'rb').read())"
    plain = _times(3, [sys.executable, "-c", reader, str(inventory)])
    print(
        f"\ncoverage of {MACHINES} machines by 1000 groups: {_shown(ours)}; ratio to the loader alone on the same ",
        end="",
    )
    print(f"documents {ours.cpu / loader.cpu:.2f}, to json.loads alone of the inventory {ours.cpu / plain.cpu:.2f}")


def _calendars(scratch: Path) -> float:
    """Validates as many documents with recovery points by the calendar, each with one of its own, as without."""
    without, beside = _write(scratch / "without", CALENDARS, 1), _write(scratch / "with", CALENDARS, 1)
    days, weeks = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"), ("First", "Second", "Third", "Fourth", "Last")
    for number, path in enumerate(sorted(beside.glob("policies/*/*.yaml"))):
        at = f'"{number % 24:02d}:{number % 60:02d}"'
        on = (
            f"days: [{days[number % 7]}]",
            f"days: [Sa], weeks: [{weeks[number % 5]}]",
            f"daysOfMonth: [{1 + number % 28}]",
        )
        calendar = f"synchronization: beforeRecoveryPoint\n    recoveryPoints: {{times: [{at}], {on[number % 3]}}}"
        plain = 'synchronization: 1h\n    expressFull: {times: ["22:00"], days: [Sa]}'
        text = path.read_text()
        assert plain in text
        path.write_text(text.replace(plain, calendar))
    plain_cost = _times(3, [sys.executable, "-m", "reconciler", "validate", "-C", str(without)])
    cost = _times(3, [sys.executable, "-m", "reconciler", "validate", "-C", str(beside)])
    print(f"\n{CALENDARS:>6} documents without a calendar {_shown(plain_cost)}, with one {_shown(cost)}")
    return cost.cpu / plain_cost.cpu


def _write(root: Path, count: int, a_file: int) -> Path:
    policies = root / "policies"
    policies.mkdir(parents=True)
    (policies / "site.yaml").write_text(_SITE)
    for first in range(0, count, a_file):
        documents = [
            _GROUP.replace("NUMBER", f"{number:05d}").replace("RETENTION", str(1 + number % 448))
            for number in range(first, min(first + a_file, count))
        ]
        folder = policies / f"{first // 1000:03d}"
        folder.mkdir(exist_ok=True)
        (folder / f"{first:05d}.yaml").write_text("---\n".join(documents))
    return root


def _times(rounds: int, command: list[str]) -> Cost:
    return Cost(*(statistics.median(each) for each in zip(*(_once(command) for _ in range(rounds)), strict=True)))


def _once(command: list[str]) -> Cost:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    ended = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(os.environ), check=False
    )
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    if ended.returncode:
        raise SystemExit(f"{command[:4]} ended with {ended.returncode}: {ended.stderr.decode()[-2000:]}")
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def _shown(cost: Cost) -> str:
    return f"{cost.cpu:.2f} CPU {cost.wall:.2f} wall"


if __name__ == "__main__":
    sys.exit(main())
