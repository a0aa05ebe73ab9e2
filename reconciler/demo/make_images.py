"""Makes the disk images that ship with the demo. For maintainers: needs qemu-img, mkfs.ext4, mkntfs and ntfscp.

``python -m reconciler.demo.make_images`` writes reconciler/demo/images/ anew. Each disk holds one file system on
the whole disk, with generated text files and some bytes that do not compress; docs/demo-images.md says more.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import zstandard

_FOLDER = Path(__file__).parent / "images"
_MIB = 1024 * 1024
_WORDS = ["replica", "point", "retention", "group", "member", "volume", "node", "cluster", "policy", "agent", "pack"]

#: name, file system, size in MiB, format and subformat for qemu-img
_DISKS = (
    ("sql-01-system.vhdx", "ntfs", 48, ("vhdx", "dynamic")),
    ("sql-01-data.vhdx", "ntfs", 24, ("vhdx", "fixed")),
    ("dc-01.vhdx", "ntfs", 32, ("vhdx", "dynamic")),
    ("web-01.raw", "ext4", 48, ("raw", "")),
    ("scratch-01.vhd", "ext4", 16, ("vpc", "dynamic")),
)


def main() -> None:
    """Makes every disk and the table of what is in them."""
    _FOLDER.mkdir(exist_ok=True)
    table = {}
    for number, (name, system, size, kind) in enumerate(_DISKS):
        with tempfile.TemporaryDirectory() as scratch:
            files = _content(Path(scratch) / "content", number)
            raw = Path(scratch) / "disk.raw"
            with raw.open("wb") as file:
                file.truncate(size * _MIB)
            (_ntfs if system == "ntfs" else _ext4)(raw, Path(scratch) / "content", files)
            image = Path(scratch) / name
            _convert(raw, image, kind)
            data = image.read_bytes()
            packed = zstandard.ZstdCompressor(level=19).compress(data)
            (_FOLDER / f"{name}.zst").write_bytes(packed)
            table[name] = {"bytes": len(data), "fileSystem": system, "sha256": sha256(data).hexdigest(), "files": files}
            sys.stdout.write(f"{name}: {len(data)} bytes, {len(packed)} compressed\n")
    (_FOLDER / "images.json").write_text(json.dumps(table, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _content(folder: Path, seed: int) -> dict[str, str]:
    """Writes files that are the same at every run; returns the SHA-256 of each."""
    chance = random.Random(seed)
    folder.mkdir()
    made = {}
    for number in range(24):
        if number % 8 == 7:
            data = chance.randbytes(6 * 1024)
            name = f"binary-{number:02}.bin"
        else:
            words = (" ".join(chance.choices(_WORDS, k=12)) for _ in range(chance.randrange(200, 1200)))
            data = "\n".join(words).encode()
            name = f"report-{number:02}.txt"
        (folder / name).write_bytes(data)
        made[name] = sha256(data).hexdigest()
    return made


def _ntfs(raw: Path, folder: Path, files: dict[str, str]) -> None:
    _run("mkntfs", "-F", "-q", "-f", "-L", "demo", str(raw))
    for name in files:
        _run("ntfscp", "-q", str(raw), str(folder / name), name)


def _ext4(raw: Path, folder: Path, files: dict[str, str]) -> None:
    _run("mkfs.ext4", "-q", "-F", "-L", "demo", "-m", "0", "-O", "^has_journal", "-d", str(folder), str(raw))


def _convert(raw: Path, image: Path, kind: tuple[str, str]) -> None:
    form, subformat = kind
    options = ["-o", f"subformat={subformat}"] if subformat else []
    _run("qemu-img", "convert", "-q", "-f", "raw", "-O", form, *options, str(raw), str(image))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
