"""The demo's site: a folder -> policies and a cluster on disk with real disk images; and what happens to them."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import msgspec
import zstandard

from reconciler import encoded, files
from reconciler.errors import UsageError
from reconciler.images import data_extents

MARKER = ".reconciler-demo"
CLUSTER = "clusters/hci-01"
_IMAGES = Path(__file__).parent / "images"
_HOLE = bytes(64 * 1024)

IDS = {
    "sql-01": "3f0c6a52-9d1e-4b77-8a53-0d5c1f6e2a01",
    "dc-01": "7b21d9e4-54c8-4e0a-9f6b-2c8a4d7e3b02",
    "web-01": "a9e4c7d0-1b36-47f2-b8d5-6f3e9c0a5c03",
    "scratch-01": "c5d80b1f-e2a9-4c64-93f7-8b1d4e6a7d04",
}
_NODES = ("hci-01-n1", "hci-01-n2")
_AGENT = {"version": "14.0.42.0", "state": "working"}

#: name -> (node, folder of its files, resource group, guest system, notes, disks)
_MACHINES: dict[str, tuple[str, str, str | None, str, str, tuple[str, ...]]] = {
    "sql-01": (
        "hci-01-n1",
        "volumes/csv-01",
        "sql-01",
        "windows",
        "tier: gold\napp: sql",
        ("sql-01-system.vhdx", "sql-01-data.vhdx"),
    ),
    "dc-01": ("hci-01-n2", "local/hci-01-n2/data", None, "windows", "tier: gold", ("dc-01.vhdx",)),
    "web-01": ("hci-01-n2", "volumes/csv-02", "web-01", "linux", "app: web", ("web-01.raw",)),
    "scratch-01": ("hci-01-n1", "volumes/csv-02", "scratch-01", "linux", "", ("scratch-01.vhd",)),
}


def build(folder: Path) -> None:
    """Makes the site. A folder that is not empty is taken only if an earlier demo made it; that site goes."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise UsageError(
                "RCL0006",
                f"{str(folder)!r} is not empty, and no earlier demo made it",
                "Give the demo a new folder; nothing was touched.",
                subject=str(folder),
            )
        shutil.rmtree(folder)
    files.make_folder(folder, 0o755)
    files.write_whole(folder / MARKER, b"This folder was made by `reconciler demo`, which makes it anew.\n")
    for policy in sorted(files.package_data("policies").glob("*.yaml")):
        files.make_folder(folder / "policies", 0o755)
        files.write_whole(folder / "policies" / policy.name, policy.read_bytes(), 0o644)
    _cluster(folder / CLUSTER)


def _cluster(folder: Path) -> None:
    volume = {"sizeBytes": 10**12, "freeBytes": 6 * 10**11, "fileSystem": "CSVFS_ReFS", "deduplicated": False}
    _write(
        folder / "cluster.json",
        {
            "name": "hci-01",
            "functionalLevel": "12",
            "domain": "corp.example",
            "volumes": [{"name": "csv-01", **volume}, {"name": "csv-02", **volume}],
        },
    )
    for node in _NODES:
        storage = [{"name": "data", "kind": "disk", "sizeBytes": 10**11}] if node == "hci-01-n2" else []
        stated = {"name": node, "agent": _AGENT, "maintenance": False, "storage": storage}
        _write(folder / "nodes" / f"{node}.json", stated)
    for name in _MACHINES:
        _machine(folder, name)


def _machine(folder: Path, name: str) -> None:
    node, place, group, system, notes, disks = _MACHINES[name]
    home = f"{place}/{IDS[name]}"
    role = {"ownerNode": node, "folder": home, "resourceGroup": group, "power": "running"}
    _write(folder / "roles" / f"{IDS[name]}.json", role)
    stated = {
        "id": IDS[name],
        "name": name,
        "generation": 2,
        "guestSystem": system,
        "integrationState": "upToDate",
        "replication": {"mode": "none"},
        "checkpoints": [],
        "disks": [{"path": disk} for disk in disks],
        "notes": notes,
    }
    _write(folder / home / "vm.json", stated)
    for disk in disks:
        _unpack(_IMAGES / f"{disk}.zst", folder / home / disk)


def _unpack(packed: Path, target: Path) -> None:
    """Unpacks an image as a sparse file."""
    with packed.open("rb") as source, target.open("wb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(source)
        while data := reader.read(len(_HOLE)):
            if data == _HOLE[: len(data)]:
                file.seek(len(data), 1)
            else:
                file.write(data)
        file.truncate()


def _write(path: Path, stated: dict[str, Any]) -> None:
    files.make_folder(path.parent, 0o755)
    files.write_whole(path, msgspec.json.format(msgspec.json.encode(stated), indent=2) + b"\n", 0o644)


# --- What happens to it --------------------------------------------------------------------------------------


def move_machine(cluster: Path, name: str, node: str) -> None:
    """A live migration: the role's owner changes, nothing else."""
    _change_role(cluster, name, ownerNode=node)


def power(cluster: Path, name: str, state: str) -> None:
    """running, off, saved or paused."""
    _change_role(cluster, name, power=state)


def _change_role(cluster: Path, name: str, **stated: str) -> None:
    role = cluster / "roles" / f"{IDS[name]}.json"
    _write(role, {**encoded.read(role.read_bytes(), dict[str, Any]), **stated})


def disk_path(cluster: Path, name: str, place: int = 0) -> Path:
    """Where a disk of the machine lies."""
    _, home, _, _, _, disks = _MACHINES[name]
    return cluster / home / IDS[name] / disks[place]


def rewrite_some_blocks(disk: Path, seed: int, share: float = 0.01) -> int:
    """Overwrites a share of the disk's data in place, 4 KiB at a time, as a guest that works on it would. Headers in
    the first 4 MiB and the last MiB of the container are left alone. Returns the bytes written."""
    chance = random.Random(seed)
    page = 4096
    with disk.open("r+b") as file:
        size = file.seek(0, 2)
        pages = [
            place
            for offset, length in data_extents(file.fileno(), size)
            for place in range(max(offset, 4 << 20), min(offset + length, size - (1 << 20)) - page, page)
        ]
        chosen = sorted(chance.sample(pages, max(1, int(len(pages) * share)))) if pages else []
        for place in chosen:
            file.seek(place)
            file.write(chance.randbytes(page))
    return len(chosen) * page


def destroy_disk(disk: Path) -> None:
    """What a failing controller leaves: garbage where the headers were, and half of the file gone."""
    with disk.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(0)
        file.write(random.Random(0).randbytes(1 << 20))
        file.truncate(size // 2)
