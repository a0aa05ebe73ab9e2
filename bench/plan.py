"""Plans from exported files: `plan --inventory --catalog` of whole sites, beside octoDNS with as many records.

Whole processes, CPU seconds (user and system) and the largest resident memory of each, by wait4; the rounds take
turns, medians count. It is the same number of managed objects, not the same work: octoDNS reads two YAML files of some
70 bytes a record. Ours reads JSON lines of some 450 bytes a machine (5 labels, 2 disks) and 750 of catalog and ledger,
finds the members of 200 groups by label, and checks every machine's prerequisites. At a million, which ours does
alone, there are 2,000 groups on 2,000 servers, since a server protects 800 machines.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.sites import BenchSite, write_site, write_zones

COUNTS = (1_000, 10_000, 100_000)
MILLION = 1_000_000
#: Machines -> the largest share of octoDNS's CPU seconds.
GOALS = {10_000: 0.10, 100_000: 0.05}
RESIDENT = 0.8
GROWTH = 13
LARGEST = 4 * 1024
ROUNDS = {1_000: 5, 10_000: 3, 100_000: 1, MILLION: 1}
_BIN = Path(sys.executable).parent


class Cost(NamedTuple):
    """CPU seconds, and MiB resident at most."""

    cpu: float
    resident: float

    def __str__(self) -> str:
        return f"{self.cpu:7.3f} s {self.resident:6.0f} MiB"


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--sizes", type=int, nargs="*", default=COUNTS, help="how many machines")
    words.add_argument("--million", action="store_true", help="a million machines too")
    chosen = words.parse_args()
    met = True
    hundred: Cost | None = None
    print("CPU seconds and resident memory of whole processes, medians; ours, octoDNS, the ratios.\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for count in chosen.sizes:
            for changed in (False, True):
                ours, fits = _beside(Path(scratch) / f"{count}-{changed}", count, changed=changed)
                met = met and fits
                hundred = ours if count == COUNTS[-1] and not changed else hundred
        if chosen.million:
            met = _alone(Path(scratch) / "million", hundred) and met
    print("\nEvery goal is met." if met else "\nNOT every goal is met.")
    return 0 if met else 1


def _beside(scratch: Path, count: int, *, changed: bool) -> tuple[Cost, bool]:
    site = write_site(scratch / "site", count, lines=True, changed=changed)
    config = write_zones(scratch / "zones", count, changed=changed)
    ours, theirs = [], []
    for _ in range(ROUNDS.get(count, 1)):
        ours.append(_once(_plan(site), {2} if changed else {0}))
        theirs.append(_once([str(_BIN / "octodns-sync"), "--config-file", str(config)], {0}))
    mine, peer = _median(ours), _median(theirs)
    time, memory = mine.cpu / peer.cpu, mine.resident / peer.resident
    goal = GOALS.get(count)
    said = f"  {'1 % changed' if changed else 'no-op':>11}  {count:>9,}  {mine}  {peer}  {time:.3f} {memory:.2f}"
    fits = goal is None or (time <= goal and memory <= RESIDENT)
    wanted = f"  at most {goal:.2f} {RESIDENT}: {'met' if fits else 'NOT met'}" if goal is not None else ""
    print(said + wanted, flush=True)
    return mine, fits


def _alone(scratch: Path, hundred: Cost | None) -> bool:
    """A million machines, beside a hundred thousand of them."""
    if hundred is None:
        hundred = _median([_once(_plan(write_site(scratch / "less", COUNTS[-1], lines=True)), {0})])
    cost = _once(_plan(write_site(scratch / "site", MILLION, lines=True)), {0})
    growth = cost.cpu / hundred.cpu
    fits = growth <= GROWTH and cost.resident <= LARGEST
    print(
        f"  {'no-op':>11}  {MILLION:>9,}  {cost}  {growth:.1f} times {COUNTS[-1]:,}, at most {GROWTH} and "
        f"{LARGEST} MiB: {'met' if fits else 'NOT met'}",
        flush=True,
    )
    return fits


def _plan(site: BenchSite) -> list[str]:
    files = ["--inventory", str(site.inventory), "--catalog", str(site.catalog)]
    return [sys.executable, "-m", "reconciler", "plan", "-C", str(site.root), *files, "--detailed-exitcode"]


def _median(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.median(each) for each in zip(*costs, strict=True)))


def _once(command: list[str], fine: set[int]) -> Cost:
    """Runs it, with bytecode kept as an installed program has it."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        silent = [(os.POSIX_SPAWN_DUP2, nothing, 1), (os.POSIX_SPAWN_DUP2, nothing, 2)]
        process = os.posix_spawn(command[0], command, environment, file_actions=silent)
        _, status, used = os.wait4(process, 0)
    finally:
        os.close(nothing)
    code = os.waitstatus_to_exitcode(status)
    if code not in fine:
        raise SystemExit(f"{' '.join(command)} ended with {code}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


if __name__ == "__main__":
    sys.exit(main())
