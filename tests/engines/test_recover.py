"""Recovery on the embedded engine: which file goes where, and what is never written over."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.engines.embedded import EmbeddedEngine, open_engine
from reconciler.engines.embedded.recover import token_of
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


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


# --- Which disk is which ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", [f"{HOME}/b/disk.raw", f"{OTHER}/disk.raw"])
def test_two_disks_of_one_file_name_come_back_each_to_its_own_path(place: Place, second: str) -> None:
    first = f"{HOME}/a/disk.raw"
    place.lay_out(first, second)
    point = place.back_up()
    for path in (first, second):
        place.path(path).write_bytes(b"ruined")
    assert place.recover(point).state is JobState.SUCCEEDED
    assert place.path(first).read_bytes() == content(0)
    assert place.path(second).read_bytes() == content(1)


def test_one_of_two_disks_of_one_file_name(place: Place) -> None:
    first, second = f"{HOME}/a/disk.raw", f"{HOME}/b/disk.raw"
    place.lay_out(first, second)
    point = place.back_up()
    place.path(first).unlink()
    place.path(second).write_bytes(b"newer and good")
    assert place.recover(point, "disk.raw").code == "RCL7012"
    assert not place.path(first).exists()
    assert place.recover(point, first).state is JobState.SUCCEEDED
    assert place.path(first).read_bytes() == content(0)
    assert place.path(second).read_bytes() == b"newer and good"


def test_into_a_folder_no_file_replaces_another(place: Place, tmp_path: Path) -> None:
    paths = [f"{HOME}/a/disk.raw", f"{HOME}/b/disk.raw", f"{HOME}/1-disk.raw", f"{HOME}/2-disk.raw"]
    place.lay_out(*paths)
    point = place.back_up()
    assert place.recover(point, folder=tmp_path / "out").state is JobState.SUCCEEDED
    written = sorted(path.read_bytes() for path in (tmp_path / "out").glob("*.raw"))
    assert written == sorted(content(number) for number in range(4))
    assert (tmp_path / "out" / "2-disk.raw").read_bytes() == content(3)


def test_a_disk_that_moved_since_goes_where_it_is_now_and_the_configuration_says_so(place: Place) -> None:
    place.lay_out(f"{HOME}/a/disk.raw", f"{HOME}/b/disk.raw", ids=("x", "y"))
    point = place.back_up()
    there = (f"{OTHER}/one/disk.raw", f"{OTHER}/two/disk.raw")
    for path in there:
        place.path(path).parent.mkdir(parents=True)
        place.path(path).write_bytes(b"moved and ruined")
    place.configure(*there, ids=("x", "y"))
    assert place.recover(point).state is JobState.SUCCEEDED
    assert [place.path(path).read_bytes() for path in there] == [content(0), content(1)]
    stated = json.loads(place.path(f"{HOME}/vm.json").read_bytes())
    assert [disk["path"] for disk in stated["disks"]] == list(there)
    place.configure(*there)
    assert place.recover(point).code == "RCL7014"


def test_a_machine_that_moved_as_a_whole_comes_back_where_it_is(place: Place) -> None:
    place.lay_out(f"{HOME}/a/disk.raw", f"{HOME}/b/disk.raw")
    point = place.back_up()
    place.path(HOME).rename(place.path("volumes/csv-01/elsewhere"))
    there = "volumes/csv-01/elsewhere"
    place.configure(f"{there}/a/disk.raw", f"{there}/b/disk.raw", home=there)
    place.path(f"{there}/a/disk.raw").write_bytes(b"ruined")
    assert place.recover(point).state is JobState.SUCCEEDED
    assert place.path(f"{there}/a/disk.raw").read_bytes() == content(0)
    assert not place.path(HOME).exists()


@pytest.mark.parametrize("name", ["x" * 255, "x" * 251 + ".raw", "é" * 127])
def test_a_name_as_long_as_names_can_be(place: Place, tmp_path: Path, name: str) -> None:
    place.lay_out(f"{HOME}/{name}")
    point = place.back_up()
    place.path(f"{HOME}/{name}").write_bytes(b"ruined")
    assert place.recover(point, keep=True).state is JobState.SUCCEEDED
    assert place.path(f"{HOME}/{name}").read_bytes() == content(0)
    kept = [path for path in place.path(HOME).iterdir() if ".original-" in path.name and "vm.json" not in path.name]
    assert [path.read_bytes() for path in kept] == [b"ruined"]
    assert place.recover(point, folder=tmp_path / "out").state is JobState.SUCCEEDED
    assert (tmp_path / "out" / name).read_bytes() == content(0)


# --- Whose file it is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["same path", "link", "hard link", "letter case of what is gone", "checkpoint"])
def test_a_file_that_another_machine_names_is_not_recovered_over(place: Place, how: str) -> None:
    mine = "volumes/csv-02/shared.raw"
    place.lay_out(mine)
    point = place.back_up()
    place.cluster.add(2, "two")
    theirs: str = mine
    more: dict[str, Any] = {}
    if how == "link":
        theirs = "volumes/csv-02/link.raw"
        place.path(theirs).symlink_to(place.path(mine))
    elif how == "hard link":
        theirs = "volumes/csv-02/hard.raw"
        os.link(place.path(mine), place.path(theirs))
    elif how == "letter case of what is gone":
        place.path(mine).unlink()
        theirs = mine.replace("shared", "SHARED")
    elif how == "checkpoint":
        theirs, more = "own.raw", {"checkpoints": [{"name": "c", "files": [mine]}]}
    place.cluster.add(2, "two", disks=[{"path": theirs}], **more)
    place.cluster.role(2, power="running")
    status = place.recover(point)
    assert (status.state, status.code) == (JobState.FAILED, "RCL7013")
    assert "'two'" in status.reason
    if how != "letter case of what is gone":
        assert place.path(mine).read_bytes() == content(0)
    assert place.recover(point, folder=place.folder / "out").state is JobState.SUCCEEDED


def test_a_checkpoint_file_that_is_another_machines_disk_is_not_removed(place: Place) -> None:
    place.lay_out(f"{HOME}/disk.raw")
    point = place.back_up()
    place.cluster.add(2, "two")
    theirs = f"volumes/csv-01/{machine_id(2)}/disk.raw"
    place.configure(f"{HOME}/disk.raw", checkpoints=[{"name": "c", "files": [theirs]}])
    assert place.recover(point).code == "RCL7013"
    assert place.path(theirs).exists()


def test_an_id_in_upper_case_is_the_same_machine(place: Place) -> None:
    """Hyper-V writes its GUIDs in upper case; the checkpoints of such a machine stayed behind."""
    place.lay_out(f"{HOME}/disk.raw")
    point = place.back_up()
    place.configure(f"{HOME}/disk.raw", checkpoints=[{"name": "c", "files": ["d_1.avhdx"]}], id=machine_id(ONE).upper())
    role = place.path(f"roles/{machine_id(ONE)}.json")
    role.rename(role.with_name(f"{machine_id(ONE).upper()}.json"))
    place.path(f"{HOME}/d_1.avhdx").write_bytes(b"checkpoint")
    what = recovery_of(place.one, Recovery(point, RecoveryTarget.ORIGINAL), 99)
    assert f"{HOME}/d_1.avhdx" in place.engine.preview(what).destroys
    assert place.do(what).state is JobState.SUCCEEDED
    assert not place.path(f"{HOME}/d_1.avhdx").exists()


def test_a_data_source_is_the_same_however_its_id_is_written() -> None:
    one = DataSource("hci-01", "0000abcd-0000-4000-8000-000000000000")
    for text in ("0000ABCD-0000-4000-8000-000000000000", "{0000aBcD-0000-4000-8000-000000000000}"):
        assert DataSource("hci-01", text) == one
        assert hash(DataSource("hci-01", text)) == hash(one)


# --- What stands in the way ------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
def test_what_is_no_file_is_neither_followed_nor_replaced(place: Place, tmp_path: Path, what: str) -> None:
    place.lay_out(f"{HOME}/disk.raw")
    point = place.back_up()
    target = place.path(f"{HOME}/disk.raw")
    target.unlink()
    secret = tmp_path / "secret"
    secret.write_bytes(b"precious")
    if what == "link":
        target.symlink_to(secret)
    elif what == "pipe":
        os.mkfifo(target)
    else:
        target.mkdir()
    status = place.recover(point)
    assert (status.state, status.code) == (JobState.FAILED, "RCL7015")
    assert secret.read_bytes() == b"precious"
    assert not target.is_file() or target.is_symlink()


def test_a_link_that_waits_where_a_file_is_staged_is_not_followed(place: Place, tmp_path: Path) -> None:
    place.lay_out(f"{HOME}/disk.raw")
    point = place.back_up()
    secret = tmp_path / "secret"
    secret.write_bytes(b"precious")
    what = recovery_of(place.one, Recovery(point, RecoveryTarget.ORIGINAL), 77)
    disks = place.cluster.inventory(place.clock).disks
    staged = disks._staged(f"{HOME}/disk.raw", token_of(what))
    staged.symlink_to(secret)
    assert place.do(what).state is JobState.SUCCEEDED
    assert secret.read_bytes() == b"precious"
    assert place.path(f"{HOME}/disk.raw").read_bytes() == content(0)
