"""One job of the embedded engine in a process of its own: ``python -m bench.one_job FOLDER KIND NUMBER``."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from reconciler.engines import EngineSetup
from reconciler.engines.embedded import open_engine
from reconciler.inventory.directory import open_inventory
from reconciler.model import (
    CreateGroup,
    DataSource,
    Job,
    JobKind,
    JobState,
    Member,
    ProtectionGroup,
    Recovery,
    RecoveryTarget,
    ShortTerm,
)
from reconciler.model.units import Duration
from reconciler.protocols import Fence

_ID = "00000000-0000-4000-8000-000000000001"


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def main(folder: Path, kind: JobKind, number: str) -> int:
    cluster = folder / "cluster"
    if not cluster.exists():
        _make_cluster(cluster, folder)
    clock = _Clock()
    disks = open_inventory("bench", cluster, clock).disks
    engine = open_engine(EngineSetup("bench", folder, {"path": "store"}, (("vol", 10**12),), {"bench": disks}, clock))
    source = DataSource("bench", _ID)
    day = Duration.parse("5d").delta
    group = ProtectionGroup("bench", "bench", (Member(source),), ShortTerm(day, day, Duration.parse("1h").delta))
    engine.apply(CreateGroup("bench", group), Fence(1))
    recovery = None
    if kind is JobKind.RECOVERY:
        newest = engine.observe().points[-1].id
        recovery = Recovery(newest, RecoveryTarget.FOLDER, folder=str(folder / "out"), disks=("disk.vhdx",))
    job = Job(f"{kind}-{number}", kind, "bench", source, clock.now(), recovery=recovery)
    handle = engine.start(job, Fence(1))
    while not (status := engine.poll(handle)).state.ended:
        time.sleep(0.02)
    engine.close()
    sys.stderr.write(f"{status}\n")
    return 0 if status.state is JobState.SUCCEEDED else 1


def _make_cluster(cluster: Path, folder: Path) -> None:
    home = cluster / "volumes" / "csv" / _ID
    home.mkdir(parents=True)
    for name in ("nodes", "roles"):
        (cluster / name).mkdir()
    (cluster / "cluster.json").write_text(json.dumps({"name": "bench"}))
    role = {"ownerNode": "n", "folder": f"volumes/csv/{_ID}", "resourceGroup": None, "power": "off"}
    (cluster / "roles" / f"{_ID}.json").write_text(json.dumps(role))
    machine = {"id": _ID, "name": "bench", "checkpoints": [], "replication": {}, "disks": [{"path": "disk.vhdx"}]}
    (home / "vm.json").write_text(json.dumps(machine))
    (home / "disk.vhdx").hardlink_to(folder / "disk.vhdx")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), JobKind(sys.argv[2]), sys.argv[3]))
