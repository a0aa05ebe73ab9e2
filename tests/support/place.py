"""A place for recoveries: a cluster with one machine whose disks a test lays out, and an embedded engine over it."""

from __future__ import annotations

import random
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from reconciler.engines.embedded import EmbeddedEngine, open_engine
from reconciler.model import (
    CreateGroup,
    DataSource,
    Job,
    JobKind,
    JobState,
    JobStatus,
    Recovery,
    RecoveryTarget,
)
from reconciler.protocols import Fence
from tests.fakes import BLOCK, DiskCluster, SetClock, first_use, group, job, machine_id, recovery_of, setup_for

#: Its id has letters, which can be written in two ways.
ONE = 0xABCDEF
HOME = f"volumes/csv-01/{machine_id(ONE)}"
OTHER = f"volumes/csv-02/{machine_id(ONE)}"


def content(seed: int, size: int = 2 * BLOCK + 99) -> bytes:
    return random.Random(seed).randbytes(size)


class Place:
    """A cluster with a machine `one` whose disks a test lays out, one group, one engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SetClock()
        self.cluster = DiskCluster(folder / "cluster")
        self.one = DataSource("hci-01", machine_id(ONE))
        self.number = 0
        self._engine: EmbeddedEngine | None = None

    @property
    def engine(self) -> EmbeddedEngine:
        if self._engine is None:
            self._engine = open_engine(setup_for(self.folder / "store", self.cluster, self.clock))
            first_use(self._engine)
            self._engine.apply(CreateGroup("mabs-01", group("gold", self.one)), Fence(1))
        return self._engine

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def lay_out(self, *paths: str, **stated: Any) -> None:
        """The machine with disks at these paths, of different content where there is no such file yet."""
        self.configure(*paths, **stated)
        for number, path in enumerate(paths):
            place = self.path(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                place.write_bytes(content(number))

    def configure(self, *paths: str, ids: tuple[str, ...] = (), home: str = HOME, **stated: Any) -> None:
        disks = [
            {"path": path.removeprefix(f"{home}/")} | ({"id": ids[n]} if ids else {}) for n, path in enumerate(paths)
        ]
        settings = {"checkpoints": [], "replication": {"mode": "none"}, "disks": disks}
        self.cluster.write(f"{home}/vm.json", {"id": machine_id(ONE), "name": "one", **settings, **stated})
        self.cluster.role(ONE, folder=home)

    def path(self, path: str) -> Path:
        return self.cluster.folder / path

    def do(self, what: Job) -> JobStatus:
        handle = self.engine.start(what, Fence(1))
        deadline = time.monotonic() + 30
        while not (status := self.engine.poll(handle)).state.ended:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return status

    def back_up(self) -> str:
        self.number += 1
        self.clock.forward(timedelta(hours=1))
        kind = JobKind.SYNCHRONIZATION if self.number > 1 else JobKind.INITIAL_REPLICA
        status = self.do(job(kind, self.one, self.number))
        assert status.state is JobState.SUCCEEDED, status
        assert status.result is not None
        return status.result.point

    def recover(self, point: str, *disks: str, folder: Path | None = None, keep: bool = False) -> JobStatus:
        self.number += 1
        target = RecoveryTarget.FOLDER if folder else RecoveryTarget.ORIGINAL
        recovery = Recovery(point, target, folder=str(folder or ""), disks=disks, keep_original=keep)
        return self.do(recovery_of(self.one, recovery, self.number))
