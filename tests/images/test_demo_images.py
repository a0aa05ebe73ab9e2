"""The disks that ship with the demo are what images.json says, by their own hash and by 7-Zip's reading."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
import zstandard

from reconciler import demo
from reconciler.images import inspect
from tests.oracles import need

IMAGES = Path(demo.__file__).parent / "images"
TABLE = json.loads((IMAGES / "images.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(TABLE))
def test_each_disk_is_what_it_is_said_to_be(name: str, tmp_path: Path) -> None:
    data = zstandard.ZstdDecompressor().decompress((IMAGES / f"{name}.zst").read_bytes())
    assert hashlib.sha256(data).hexdigest() == TABLE[name]["sha256"]
    disk = tmp_path / name
    disk.write_bytes(data)
    assert inspect(disk).unreadable is None


@pytest.mark.parametrize("name", sorted(name for name in TABLE if TABLE[name]["fileSystem"] == "ntfs"))
def test_the_files_within_are_those_of_the_table(name: str, tmp_path: Path) -> None:
    program = need("7zz")
    disk = tmp_path / name
    disk.write_bytes(zstandard.ZstdDecompressor().decompress((IMAGES / f"{name}.zst").read_bytes()))
    subprocess.run([program, "x", "-y", f"-o{tmp_path / 'out'}", disk], check=True, capture_output=True, timeout=60)
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file() and path.name in TABLE[name]["files"]
    }
    if len(found) != len(TABLE[name]["files"]):  # 7-Zip gives the file system as a file of its own for some containers
        inner = next(path for path in (tmp_path / "out").iterdir() if path.is_file())
        subprocess.run([program, "x", "-y", f"-o{tmp_path / 'in'}", inner], check=True, capture_output=True, timeout=60)
        found = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (tmp_path / "in").rglob("*")
            if path.is_file() and path.name in TABLE[name]["files"]
        }
    assert found == TABLE[name]["files"]
