"""The embedded engine beside restic and borg: CPU seconds of whole processes, in one run, on one disk.

The disk: a VHDX (dynamic, by qemu-img) of 1 GiB whose ext4, made by mkfs.ext4 from a folder, is filled to 60 %:
half of it generated text, a quarter Python's own compiled files over and over with changed bytes, a quarter bytes
that do not compress. Clustered: 1 % of the allocated bytes overwritten in runs of 64 KiB; scattered: in single pages
of 4 KiB. Each tool backs the same file up from a warm cache into a new store. Medians of the rounds, in each of which
another tool begins.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

MIB = 1024 * 1024
ROUNDS = 3
GOAL = 0.5
_MEBIBYTE = bytes(MIB)
STEPS = ("initial", "clustered", "scattered", "restore")
_WORDS = b"replica point retention group member volume node cluster policy agent pack map day hour week".split()


def main() -> int:
    missing = {name: package for name, package in _NEEDED.items() if _which(name) is None}
    if missing:
        names = ", ".join(missing)
        sys.stderr.write(f"Needed beside us: {names}. Install with: apt-get install {' '.join(missing.values())}\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        disk = make_disk(Path(scratch))
        return report(measure(Path(scratch), disk), disk)


_NEEDED = {"restic": "restic", "borg": "borgbackup", "qemu-img": "qemu-utils", "mkfs.ext4": "e2fsprogs"}


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


# --- The disk --------------------------------------------------------------------------------------------------


def make_disk(scratch: Path) -> Path:
    """The VHDX; what it was made from is removed."""
    content = scratch / "content"
    content.mkdir()
    chance = random.Random(1)
    compiled = b"".join(path.read_bytes() for path in _some_library_files())
    for number in range(600):
        kind = number % 4
        data: bytes | bytearray
        if kind < 2:
            data = b" ".join(chance.choices(_WORDS, k=170_000))[:MIB]
        elif kind == 2:
            start = chance.randrange(len(compiled))
            data = bytearray((compiled[start:] + compiled)[:MIB])
            for _ in range(2000):
                data[chance.randrange(len(data))] = chance.randrange(256)
        else:
            data = chance.randbytes(MIB)
        (content / f"{number:04}").write_bytes(data)
    raw, disk = scratch / "disk.raw", scratch / "disk.vhdx"
    with raw.open("wb") as file:
        file.truncate(1024 * MIB)
    _quiet(_which("mkfs.ext4"), "-q", "-F", "-m", "0", "-d", str(content), str(raw))
    _quiet(_which("qemu-img"), "convert", "-f", "raw", "-O", "vhdx", str(raw), str(disk))
    shutil.rmtree(content)
    raw.unlink()
    return disk


def _some_library_files() -> Iterator[Path]:
    size = 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        yield path
        size += path.stat().st_size
        if size > 16 * MIB:
            return


def _quiet(*command: str | None) -> None:
    subprocess.run([word for word in command if word], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def overwrite(disk: Path, run: int, seed: int) -> None:
    """Overwrites 1 % of what is allocated, in runs of so many bytes; headers in the first 8 MiB stay."""
    chance = random.Random(seed)
    with disk.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        places: list[int] = []
        offset = 8 * MIB
        while offset < size:
            try:
                start = os.lseek(file.fileno(), offset, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            places += range(-(-start // run) * run, end - run, run)
            offset = end
        for place in sorted(chance.sample(places, len(places) // 100)):
            file.seek(place)
            file.write(chance.randbytes(run // 2) + b" ".join(chance.choices(_WORDS, k=run // 8))[: run // 2])
        file.flush()
        os.fsync(file.fileno())


# --- The tools -------------------------------------------------------------------------------------------------


def measure(scratch: Path, disk: Path) -> dict[str, dict[str, list[float]]]:
    """Tool -> step -> CPU seconds of each round."""
    figures: dict[str, dict[str, list[float]]] = {}
    for number in range(ROUNDS):
        tools = {"reconciler": ours, "restic": restic, "borg": borg}
        order = [*tools][number % 3 :] + [*tools][: number % 3]
        copies = {}
        for name in tools:
            folder = scratch / f"{name}-{number}"
            folder.mkdir()
            copies[name] = folder / "disk.vhdx"
            _quiet("cp", "--sparse=always", str(disk), str(copies[name]))
        for name in order:
            sys.stderr.write(f"round {number + 1} of {ROUNDS}: {name}\n")
            seconds = tools[name](copies[name].parent, copies[name])
            for step in STEPS:
                figures.setdefault(name, {}).setdefault(step, []).append(seconds[step])
            shutil.rmtree(copies[name].parent)
    return figures


Act = Callable[[str], None]


def _stages(disk: Path, back_up: Act, restore: Act, restored: Callable[[], Path]) -> dict[str, float]:
    seconds = {"initial": cpu(lambda: back_up("1"))}
    overwrite(disk, 64 * 1024, 1)
    seconds["clustered"] = cpu(lambda: back_up("2"))
    overwrite(disk, 4096, 2)
    seconds["scattered"] = cpu(lambda: back_up("3"))
    seconds["restore"] = cpu(lambda: restore("3"))
    _quiet("cmp", str(disk), str(restored()))
    return seconds


def cpu(act: Callable[[], None]) -> float:
    """User and system seconds of the processes that `act` started.

    What was written before is flushed first, and as much memory as a step takes is touched and given back: on a
    virtual machine the first touch of a page costs more than writing it, and it would fall on whoever comes first.
    """
    os.sync()
    with tempfile.TemporaryFile() as file:
        for _ in range(1536):
            file.write(_MEBIBYTE)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    act()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(folder: Path, disk: Path) -> dict[str, float]:
    def run(*words: str) -> None:
        _quiet(sys.executable, "-m", "bench.one_job", str(folder), *words)

    kinds = {"1": "initialReplica", "2": "synchronization", "3": "synchronization"}
    return _stages(
        disk,
        lambda number: run(kinds[number], number),
        lambda number: run("recovery", number),
        lambda: folder / "out" / "disk.vhdx",
    )


def restic(folder: Path, disk: Path) -> dict[str, float]:
    environment = os.environ | {"RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(folder / "repo")}

    def run(*words: str) -> None:
        subprocess.run(
            ["restic", "--no-cache", "-q", *words], env=environment, check=True, stdout=subprocess.DEVNULL, cwd=folder
        )

    run("init")
    return _stages(
        disk,
        lambda number: run("backup", "--force", str(disk)),
        lambda number: run("restore", "latest", "--target", str(folder / "out")),
        lambda: next((folder / "out").rglob("disk.vhdx")),
    )


def borg(folder: Path, disk: Path) -> dict[str, float]:
    environment = os.environ | {
        "BORG_BASE_DIR": str(folder / "home"),
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    }

    def run(*words: str, where: Path = folder) -> None:
        where.mkdir(exist_ok=True)
        subprocess.run(["borg", *words], env=environment, check=True, stdout=subprocess.DEVNULL, cwd=where)

    run("init", "-e", "none", str(folder / "repo"))
    return _stages(
        disk,
        lambda number: run(
            "create", "--files-cache=disabled", "-C", "zstd,1", f"{folder / 'repo'}::{number}", disk.name
        ),
        lambda number: run("extract", "--sparse", f"{folder / 'repo'}::{number}", where=folder / "out"),
        lambda: folder / "out" / "disk.vhdx",
    )


# --- The report ------------------------------------------------------------------------------------------------


def report(figures: dict[str, dict[str, list[float]]], disk: Path) -> int:
    """Prints medians and ratios; 1 where a ratio to restic is above the goal."""
    medians = {
        name: {step: statistics.median(figures[name][step]) for step in STEPS}
        for name in ("reconciler", "restic", "borg")
    }
    allocated = disk.stat().st_blocks * 512 / MIB
    write = sys.stdout.write
    write(f"\n{disk.stat().st_size / MIB:.0f} MiB VHDX, {allocated:.0f} MiB allocated, ext4; CPU seconds, ")
    write(f"median of {ROUNDS} rounds (all rounds)\n\n{'':12}" + "".join(f"{step:>28}" for step in STEPS) + "\n")
    for name, steps in medians.items():
        cells = (f"{steps[s]:.2f} ({' '.join(f'{each:.2f}' for each in figures[name][s])})" for s in STEPS)
        write(f"{name:12}" + "".join(f"{cell:>28}" for cell in cells) + "\n")
    worst = 0.0
    for peer in ("restic", "borg"):
        ratios = [medians["reconciler"][step] / medians[peer][step] for step in STEPS]
        write(f"{'to ' + peer:12}" + "".join(f"{ratio:>28.2f}" for ratio in ratios) + "\n")
        if peer == "restic":
            worst = max(ratios)
    write(f"\nThe worst ratio to restic is {worst:.2f}; the goal is {GOAL} or less.\n")
    return 0 if worst <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
