"""What `make test` runs: the oracles that can be installed, lint, types, import contracts, then the tests. With `lint`:
without the tests.

Every static check runs even when an earlier one failed, so that one run shows all of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

#: Program -> the Debian package that brings it. They are real peers that tests compare with.
ORACLES = {"qemu-img": "qemu-utils", "7zz": "7zip", "ntfscat": "ntfs-3g", "e2fsck": "e2fsprogs"}


def main() -> int:
    only_static = sys.argv[1:] == ["lint"]
    if not only_static:
        install_oracles()
    static = [
        step("lint", "ruff", "check", "."),
        step("format", "ruff", "format", "--check", "."),
        step("types", "mypy"),
        step("imports", "lint-imports", "--no-cache"),
    ]
    if any(static) or only_static:
        return int(any(static))
    workers = str(min(4, (os.cpu_count() or 2) + 1))  # many tests wait for a process or a lease
    return step("tests", "pytest", "-n", workers, "--dist", "worksteal", "-q")


def step(name: str, program: str, *arguments: str) -> int:
    """Runs one step; prints its name and how long it took."""
    began = time.monotonic()
    sys.stdout.write(f"== {name}\n")
    sys.stdout.flush()
    ended = subprocess.run([str(BIN / program), *arguments], cwd=ROOT, check=False)
    sys.stdout.write(f"== {name}: {'ok' if ended.returncode == 0 else 'FAILED'}, {time.monotonic() - began:.0f} s\n")
    sys.stdout.flush()
    return ended.returncode


def install_oracles() -> None:
    """Installs what is missing, from Debian where this account may; else says what is missing."""
    missing = sorted({package for program, package in ORACLES.items() if which(program) is None})
    if not missing:
        return
    apt = shutil.which("apt-get")
    if apt is not None and os.geteuid() == 0:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for words in ((apt, "update", "-qq"), (apt, "install", "-y", "-qq", "--no-install-recommends", *missing)):
            subprocess.run(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        missing = sorted({package for program, package in ORACLES.items() if which(program) is None})
    if missing:
        sys.stdout.write(f"Not installed, so what compares with them is skipped: {', '.join(missing)}\n")


def which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


if __name__ == "__main__":
    sys.exit(main())
