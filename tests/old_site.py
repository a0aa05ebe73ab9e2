"""A small site as version 0.1 left it (`tests/data/site-0.1`), copied to where a test may work on it.

Two virtual machines, sql-01 (five points) and web-01 (three), with state, evidence and store of format 1; written by
the code of 27 November 2026, before format 2. `expected.json` has the SHA-256 of every file of every point.
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

DATA = Path(__file__).parent / "data" / "site-0.1"
SQL, WEB = (f"0000000{number}-0000-4000-8000-00000000000{number}" for number in (1, 2))
_BLOCK = 128 * 1024


def copy_old_site(root: Path) -> Path:
    """The site at `root`, which must not be there yet, with the disks as they were after its last job."""
    shutil.copytree(DATA, root)
    for folder in (root / "var", *(path for path in (root / "var").rglob("*") if path.is_dir())):
        folder.chmod(0o700)
    volume = root / "clusters" / "hci-01" / "volumes" / "csv-01"
    _disk(volume / SQL / "system.raw", 1 << 20, 1, 3)
    _disk(volume / SQL / "data.raw", 3 * _BLOCK + 512, 2, 2)
    _disk(volume / WEB / "system.raw", 1 << 20, 3, 2)
    for hour in range(1, 5):
        _write(volume / SQL / "data.raw", _BLOCK * (hour % 3) + 50, hour)
        _write(volume / WEB / "system.raw", _BLOCK * hour + 7, hour + 50)
    return root


def expected() -> dict[str, dict[str, str]]:
    """ "MACHINE/POINT" -> file name -> SHA-256, of every point of the site."""
    found: dict[str, dict[str, str]] = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
    return found


def _disk(path: Path, size: int, seed: int, blocks: int) -> None:
    numbers = random.Random(seed)
    with path.open("wb") as file:
        for block in range(blocks):
            file.seek(block * _BLOCK + 4096 * numbers.randrange(8))
            file.write(numbers.randbytes(600) + numbers.randbytes(16) * 200)
        file.truncate(size)


def _write(path: Path, offset: int, seed: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(random.Random(seed).randbytes(300))
