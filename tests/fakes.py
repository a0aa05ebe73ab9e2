"""Fakes: a clock that is set, a cluster on disk made in a temporary folder, a site over it."""

from __future__ import annotations

import json
import os
import random
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.engines import EngineSetup
from reconciler.inventory.directory import DirectoryInventory, open_inventory
from reconciler.model import (
    ConsistencyCheck,
    DataSource,
    Job,
    JobKind,
    Lineage,
    Member,
    ProtectionGroup,
    Recovery,
    ShortTerm,
)
from reconciler.protocols import Engine, Fence, KeepsStore

NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
BLOCK = 128 * 1024


class SetClock:
    """A clock that stands where it is put."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def forward(self, by: timedelta) -> None:
        self.at += by


def machine_id(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


class DiskCluster:
    """A cluster on disk with raw disks, edited by tests."""

    def __init__(self, folder: Path, name: str = "hci-01") -> None:
        self.folder = folder
        self.name = name
        self.write("cluster.json", {"name": name})
        for node in ("n1", "n2"):
            self.write(f"nodes/{node}.json", {"name": node})
        (folder / "roles").mkdir(exist_ok=True)

    def write(self, path: str, stated: dict[str, Any]) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(stated), encoding="utf-8")

    def add(self, number: int, name: str, *, data: bytes | None = None, **stated: Any) -> DataSource:
        """A machine with one raw disk; `stated` goes into its vm.json."""
        identity = machine_id(number)
        home = f"volumes/csv-01/{identity}"
        self.role(number)
        settings = {"checkpoints": [], "replication": {"mode": "none"}, "disks": [{"path": "disk.raw"}]}
        self.write(f"{home}/vm.json", {"id": identity, "name": name, **settings, **stated})
        content = random.Random(number).randbytes(3 * BLOCK + 777) if data is None else data
        (self.folder / home / "disk.raw").write_bytes(content)
        return DataSource(self.name, identity)

    def role(self, number: int, **stated: Any) -> None:
        identity = machine_id(number)
        role = {"ownerNode": "n1", "folder": f"volumes/csv-01/{identity}", "resourceGroup": "rg", "power": "off"}
        self.write(f"roles/{identity}.json", role | stated)

    def remove(self, number: int) -> None:
        (self.folder / "roles" / f"{machine_id(number)}.json").unlink()

    def disk(self, number: int) -> Path:
        return self.folder / "volumes/csv-01" / machine_id(number) / "disk.raw"

    def change(self, number: int, block: int, seed: int) -> None:
        """Overwrites the beginning of a block; the time is moved on, so that no clock is too coarse."""
        with self.disk(number).open("r+b") as file:
            file.seek(block * BLOCK)
            file.write(random.Random(seed).randbytes(500))
        status = self.disk(number).stat()
        os.utime(self.disk(number), ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))

    def inventory(self, clock: SetClock) -> DirectoryInventory:
        return open_inventory(self.name, self.folder, clock)


def setup_for(folder: Path, cluster: DiskCluster, clock: SetClock, capacity: int = 10**9) -> EngineSetup:
    disks = cluster.inventory(clock).disks
    volumes = (("vol-a", capacity), ("vol-b", capacity))
    return EngineSetup("mabs-01", folder.parent, {"path": folder.name}, volumes, {cluster.name: disks}, clock)


#: Whose store a fake site's is.
STATE = Lineage("5" * 32, 7)


def first_use(engine: Engine, state: Lineage | None = STATE) -> None:
    """What `apply` does before its first step on a server."""
    assert isinstance(engine, KeepsStore)
    assert state is not None
    engine.establish(state, Fence(1))


def group(name: str, *sources: DataSource, **changed: Any) -> ProtectionGroup:
    """A group with plain settings."""
    term = ShortTerm(timedelta(days=5), timedelta(hours=2), timedelta(hours=1))
    settings: dict[str, Any] = {
        "display_name": name.replace("-", " "),
        "short_term": term,
        "consistency_check": ConsistencyCheck(when_inconsistent=True),
    }
    members = tuple(sorted(Member(source) for source in sources))
    return ProtectionGroup(name=name, members=members, **(settings | changed))


def job(kind: JobKind, source: DataSource, number: int = 1, **more: Any) -> Job:
    return Job(f"{kind}-{source.machine[:8]}-{number}", kind, "mabs-01", source, NOON, **more)


def recovery_of(source: DataSource, recovery: Recovery, number: int = 1) -> Job:
    return job(JobKind.RECOVERY, source, number, recovery=recovery)


@contextmanager
def working_folder(folder: Path) -> Iterator[None]:
    """The current folder, for a while."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Everything in the archive, with the filter that newer Pythons want and 3.11.2 does not have."""
    archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # type: ignore[arg-type]
