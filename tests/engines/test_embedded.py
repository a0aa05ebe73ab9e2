"""The embedded engine beyond the contract: damage, full volumes, restless sources, and every point byte for byte."""

from __future__ import annotations

import errno
import json
import random
import time
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import files
from reconciler.engines.embedded import EmbeddedEngine, open_engine
from reconciler.errors import Refused
from reconciler.inventory.directory import FileReader
from reconciler.model import (
    CreateGroup,
    Job,
    JobHandle,
    JobKind,
    JobState,
    JobStatus,
    Recovery,
    RecoveryTarget,
    ReplicaState,
)
from reconciler.protocols import Fence
from tests.fakes import BLOCK, DiskCluster, SetClock, first_use, group, job, recovery_of, setup_for


class Lab:
    """One machine, one group, one engine."""

    def __init__(self, folder: Path, data: bytes | None = None, capacity: int = 10**9) -> None:
        self.folder = folder
        self.capacity = capacity
        self.clock = SetClock()
        self.cluster = DiskCluster(folder / "cluster")
        self.one = self.cluster.add(1, "one", data=data)
        self.engine = self.open()
        first_use(self.engine)
        self.engine.apply(CreateGroup("mabs-01", group("gold", self.one)), Fence(1))
        self.number = 0

    def open(self) -> EmbeddedEngine:
        return open_engine(setup_for(self.folder / "store", self.cluster, self.clock, self.capacity))

    def wait(self, handle: JobHandle) -> JobStatus:
        deadline = time.monotonic() + 30
        while not (status := self.engine.poll(handle)).state.ended:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return status

    def do(self, what: Job) -> JobStatus:
        return self.wait(self.engine.start(what, Fence(1)))

    def back_up(self, kind: JobKind = JobKind.SYNCHRONIZATION) -> JobStatus:
        self.number += 1
        self.clock.forward(timedelta(hours=1))
        return self.do(job(kind, self.one, self.number))

    def initial(self) -> JobStatus:
        return self.back_up(JobKind.INITIAL_REPLICA)

    def check(self) -> JobStatus:
        return self.back_up(JobKind.CONSISTENCY_CHECK)

    def points(self) -> list[str]:
        return [point.id for point in self.engine.observe().points]

    def recover(self, point: str) -> tuple[JobStatus, Path]:
        self.number += 1
        out = self.folder / f"out-{self.number}"
        recovery = Recovery(point, RecoveryTarget.FOLDER, folder=str(out))
        return self.do(recovery_of(self.one, recovery, self.number)), out / "disk.raw"

    def packs(self) -> list[Path]:
        return sorted((self.folder / "store").rglob("*.pack"))

    def findings(self) -> list[str]:
        """What the engine says of itself, but for where the test put it."""
        return [each.code for each in self.engine.observe().findings if each.code != "RCL4016"]

    def state(self) -> ReplicaState:
        return self.engine.observe().replicas[0].state


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.engine.close()


writes = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["data", "zeros", "text", "grow", "cut"]),
            st.integers(0, 6 * BLOCK),
            st.integers(1, 2 * BLOCK),
        ),
        max_size=3,
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=25)
@given(writes, st.integers(0, 10))
def test_every_point_restores_what_the_source_held(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[Any], seed: int
) -> None:
    lab = Lab(tmp_path_factory.mktemp("lab"), random.Random(seed).randbytes(2 * BLOCK + 99))
    try:
        disk = lab.cluster.disk(1)
        held = []
        for number, changes in enumerate(rounds):
            with disk.open("r+b") as file:
                for kind, offset, length in changes:
                    if kind == "cut":
                        file.truncate(max(1, offset))
                    else:
                        file.seek(offset if kind != "grow" else 8 * BLOCK + offset)
                        data = {"zeros": bytes(length), "text": b"word " * (length // 5)}
                        file.write(data.get(kind) or random.Random(offset).randbytes(length))
            held.append(disk.read_bytes())
            kind = (JobKind.EXPRESS_FULL if number % 3 == 2 else JobKind.SYNCHRONIZATION) if number else None
            assert lab.back_up(kind or JobKind.INITIAL_REPLICA).state is JobState.SUCCEEDED
        lab.engine.close()
        lab.engine = lab.open()
        for point, wanted in zip(lab.points(), held, strict=True):
            status, path = lab.recover(point)
            assert status.state is JobState.SUCCEEDED, status
            assert path.read_bytes() == wanted
        assert lab.engine.check_store((1, 1)).findings == ()
    finally:
        lab.engine.close()


def test_what_did_not_change_is_not_stored_again(lab: Lab) -> None:
    first, again = lab.initial(), lab.back_up()
    assert first.result is not None
    assert again.result is not None
    assert first.result.stored_bytes > 3 * BLOCK
    assert (again.result.stored_bytes, again.result.blocks_changed) == (0, 0)
    lab.cluster.change(1, 1, seed=4)
    third = lab.back_up()
    assert third.result is not None
    assert third.result.blocks_changed == 1


def test_long_chains_of_differences_come_back(lab: Lab) -> None:
    lab.initial()
    held = []
    for number in range(40):
        lab.cluster.change(1, number % 3, seed=number)
        assert lab.back_up().state is JobState.SUCCEEDED
        held.append(lab.cluster.disk(1).read_bytes())
    for place in (0, 30, 31, 32, 39):
        status, path = lab.recover(lab.points()[place + 1])
        assert status.state is JobState.SUCCEEDED
        assert path.read_bytes() == held[place]


# --- Damage ----------------------------------------------------------------------------------------------------


def _flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(data)


def test_a_flipped_bit_is_found_never_recovered_and_repaired(lab: Lab) -> None:
    lab.initial()
    _flip(lab.packs()[0], 5000)
    assert lab.engine.check_store(None).findings == ()
    assert {finding.code for finding in lab.engine.check_store((1, 1)).findings} == {"RCL4004", "RCL4006"}
    status, path = lab.recover(lab.points()[0])
    assert (status.state, status.code) == (JobState.FAILED, "RCL4004")
    assert not path.exists()
    assert lab.state() is ReplicaState.INCONSISTENT
    checked = lab.check()
    assert checked.result is not None
    assert checked.result.blocks_repaired == 1
    assert lab.state() is ReplicaState.VALID
    status, path = lab.recover(lab.points()[0])
    assert status.state is JobState.SUCCEEDED
    assert path.read_bytes() == lab.cluster.disk(1).read_bytes()


def test_damage_that_the_source_cannot_heal_is_said_and_spares_newer_points(lab: Lab) -> None:
    lab.initial()
    for block in range(4):
        lab.cluster.change(1, block, seed=block)
    _flip(lab.packs()[0], 5000)
    assert lab.check().state is JobState.SUCCEEDED
    assert lab.back_up().state is JobState.SUCCEEDED
    assert lab.findings() == ["RCL4006"]
    status, path = lab.recover(lab.points()[-1])
    assert path.read_bytes() == lab.cluster.disk(1).read_bytes()
    status, path = lab.recover(lab.points()[0])
    assert status.state is JobState.FAILED
    assert not path.exists()


@pytest.mark.parametrize("damage", ["cut", "gone", "footer"])
def test_a_pack_that_is_not_whole_makes_the_replica_inconsistent(lab: Lab, damage: str) -> None:
    lab.initial()
    pack = lab.packs()[0]
    if damage == "cut":
        pack.write_bytes(pack.read_bytes()[:-100])
    elif damage == "gone":
        pack.unlink()
    else:
        _flip(pack, pack.stat().st_size - 60)
    assert lab.engine.check_store(None).findings
    if damage != "footer":
        status = lab.back_up()
        assert (status.state, status.code) == (JobState.FAILED, "RCL4005")
        assert lab.state() is ReplicaState.INCONSISTENT
        assert lab.check().state is JobState.SUCCEEDED
        assert lab.state() is ReplicaState.VALID
        assert lab.back_up().state is JobState.SUCCEEDED
    status, path = lab.recover(lab.points()[0])
    assert status.state is JobState.SUCCEEDED
    assert path.read_bytes() == lab.cluster.disk(1).read_bytes()


def test_a_catalog_that_is_no_database_is_a_finding_and_spares_the_others(lab: Lab) -> None:
    lab.initial()
    catalog = next((lab.folder / "store").rglob("catalog.db"))
    for path in catalog.parent.glob("catalog.db*"):
        path.unlink()
    catalog.write_bytes(b"not a database at all, really" * 200)
    seen = lab.engine.observe()
    assert lab.findings() == ["RCL5002"]
    assert seen.replicas[0].state is ReplicaState.INCONSISTENT
    assert lab.back_up().code == "RCL5002"


def test_a_store_of_a_newer_format_is_refused_untouched(lab: Lab) -> None:
    lab.engine.close()
    marker = lab.folder / "store" / "format.json"
    marker.write_text(json.dumps({"format": 99}))
    lab.engine = lab.open()
    for act in (lab.engine.observe, lab.engine.lineage, lab.initial):
        with pytest.raises(Refused) as refused:
            act()
        assert (refused.value.diagnostic.code, refused.value.exit_code) == ("RCL4001", 6)


# --- A restless source -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("times", "state"), [(1, JobState.SUCCEEDED), (2, JobState.FAILED)])
def test_a_disk_that_changes_under_the_read_is_tried_once_more(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, times: int, state: JobState
) -> None:
    left = times
    read = FileReader.read

    def restless(self: FileReader, offset: int, length: int) -> bytes:
        nonlocal left
        data = read(self, offset, length)
        if left and length > BLOCK:
            left -= 1
            lab.cluster.change(1, 2, seed=left)
        return data

    monkeypatch.setattr(FileReader, "read", restless)
    status = lab.initial()
    assert status.state is state
    monkeypatch.undo()
    if state is JobState.FAILED:
        assert status.code == "RCL2110"
        assert status.retry_seconds is not None
        assert not lab.points()
    else:
        _, path = lab.recover(lab.points()[0])
        assert path.read_bytes() == lab.cluster.disk(1).read_bytes()


@pytest.mark.parametrize("how", ["cut", "grow", "replace"])
def test_a_disk_that_is_cut_or_grows_or_is_replaced_under_the_read(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    read = FileReader.read
    disk = lab.cluster.disk(1)

    def restless(self: FileReader, offset: int, length: int) -> bytes:
        data = read(self, offset, length)
        if how == "cut":
            with disk.open("r+b") as file:
                file.truncate(max(1, disk.stat().st_size - 10))
        elif how == "grow":
            with disk.open("ab") as file:
                file.write(b"x")
        else:
            copy = disk.with_name("copy")
            copy.write_bytes(disk.read_bytes())
            copy.replace(disk)
        return data

    monkeypatch.setattr(FileReader, "read", restless)
    assert lab.initial().code == "RCL2110"
    assert not lab.points()


# --- No space --------------------------------------------------------------------------------------------------


def test_a_full_volume_fails_the_job_and_keeps_what_was_there(tmp_path: Path) -> None:
    lab = Lab(tmp_path, capacity=5 * BLOCK)
    lab.initial()
    made = lab.points()
    assert made
    for block in range(3):
        lab.cluster.change(1, block, seed=block)
    status = lab.back_up()
    assert (status.state, status.code) == (JobState.FAILED, "RCL4003")
    assert lab.points() == made
    assert not list((tmp_path / "store").rglob("*.tmp"))
    assert lab.engine.check_store((1, 1)).findings == ()
    assert lab.recover(made[0])[0].state is JobState.SUCCEEDED
    lab.engine.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_at_any_step_loses_nothing(lab: Lab, number: int) -> None:
    lab.initial()
    made = 1
    for at in range(1, 60):
        lab.cluster.change(1, at % 3, seed=at)
        count, failed_at = 0, ""

        def fail(step: files.Step, at: int = at) -> None:
            nonlocal count, failed_at
            count += 1
            if count == at:
                failed_at = step.path
                raise OSError(number, "as the test wants it", step.path)

        with files.watch(fail):
            lab.number += 1
            what = job(JobKind.SYNCHRONIZATION, lab.one, lab.number)
            try:
                status = lab.do(what)
            except OSError:
                status = JobStatus(JobState.FAILED)
        lab.clock.forward(timedelta(hours=1))
        # That the server's database could not note how far the replica store has come fails no job: the next one does.
        assert count < at or status.state is JobState.FAILED or failed_at.endswith("server.db")
        made += status.state is JobState.SUCCEEDED
        assert len(lab.points()) == made
        if count < at:
            break
    else:
        raise AssertionError("the job has more durable steps than were tried")
    assert lab.engine.check_store((1, 1)).findings == ()
    _, path = lab.recover(lab.points()[-1])
    assert path.read_bytes() == lab.cluster.disk(1).read_bytes()


# --- Recovery --------------------------------------------------------------------------------------------------


def test_a_folder_that_has_such_a_file_is_refused(lab: Lab) -> None:
    lab.initial()
    (lab.folder / "out").mkdir()
    (lab.folder / "out" / "disk.raw").write_bytes(b"mine")
    recovery = Recovery(lab.points()[0], RecoveryTarget.FOLDER, folder=str(lab.folder / "out"))
    status = lab.do(recovery_of(lab.one, recovery))
    assert status.code == "RCL7006"
    assert (lab.folder / "out" / "disk.raw").read_bytes() == b"mine"


def test_one_disk_alone_comes_back(lab: Lab) -> None:
    lab.initial()
    out = lab.folder / "out"
    recovery = Recovery(lab.points()[0], RecoveryTarget.FOLDER, folder=str(out), disks=("disk.raw",))
    assert lab.do(recovery_of(lab.one, recovery)).state is JobState.SUCCEEDED
    assert [path.name for path in out.iterdir()] == ["disk.raw"]
    wrong = Recovery(lab.points()[0], RecoveryTarget.FOLDER, folder=str(out), disks=("dusk.raw",))
    assert lab.do(recovery_of(lab.one, wrong, 2)).code == "RCL7005"


def test_a_machine_without_its_role_is_refused_with_the_way_out(lab: Lab) -> None:
    lab.initial()
    lab.cluster.remove(1)
    status = lab.do(recovery_of(lab.one, Recovery(lab.points()[0], RecoveryTarget.ORIGINAL)))
    assert status.code == "RCL2010"
    assert "to a folder" in status.remedy
    assert lab.recover(lab.points()[0])[0].state is JobState.SUCCEEDED


def test_what_a_recovery_would_do_is_said_before(lab: Lab) -> None:
    lab.initial()
    point = lab.points()[0]
    what = recovery_of(lab.one, Recovery(point, RecoveryTarget.ORIGINAL))
    preview = lab.engine.preview(what)
    assert (preview.machine, preview.point, preview.refusals) == ("one", point, ())
    assert [path.rpartition("/")[2] for path in preview.destroys] == ["disk.raw", "vm.json"]
    lab.cluster.role(1, power="running")
    assert [refusal.code for refusal in lab.engine.preview(what).refusals] == ["RCL7008"]


# --- Working together ------------------------------------------------------------------------------------------


def test_two_engines_never_write_one_replica_at_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.initial()
    other = lab.open()
    read = FileReader.read

    def slow(self: FileReader, offset: int, length: int) -> bytes:
        time.sleep(0.3)
        return read(self, offset, length)

    monkeypatch.setattr(FileReader, "read", slow)
    first = lab.engine.start(job(JobKind.SYNCHRONIZATION, lab.one, 90), Fence(1))
    time.sleep(0.1)
    second = other.start(job(JobKind.SYNCHRONIZATION, lab.one, 91), Fence(1))
    while not (status := other.poll(second)).state.ended:
        time.sleep(0.01)
    assert status.code == "RCL4007"
    assert status.retry_seconds is not None
    assert lab.wait(first).state is JobState.SUCCEEDED
    other.close()


def test_a_cancelled_job_leaves_no_point(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    read = FileReader.read

    def slow(self: FileReader, offset: int, length: int) -> bytes:
        time.sleep(0.05)
        return read(self, offset, length)

    monkeypatch.setattr(FileReader, "read", slow)
    handle = lab.engine.start(job(JobKind.INITIAL_REPLICA, lab.one), Fence(1))
    lab.engine.cancel(handle)
    assert lab.wait(handle).state is JobState.CANCELLED
    assert not lab.points()


def test_memory_stays_small_however_large_the_disk(tmp_path: Path) -> None:
    size = 96 * 1024 * 1024
    lab = Lab(tmp_path, random.Random(3).randbytes(size))
    tracemalloc.start()
    try:
        assert lab.initial().state is JobState.SUCCEEDED
        assert tracemalloc.get_traced_memory()[1] < 48 * 1024 * 1024
    finally:
        tracemalloc.stop()
        lab.engine.close()


def test_a_store_beside_its_source_is_advised_against(lab: Lab) -> None:
    assert [each.code for each in lab.engine.observe().findings] == ["RCL4016"]


def test_folders_are_for_their_owner_alone(lab: Lab) -> None:
    lab.initial()
    for path in (lab.folder / "store").rglob("*"):
        assert not path.stat().st_mode & 0o077 or path.suffix in (".db-wal", ".db-shm", ".db"), path


def test_a_disk_that_a_job_fills_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails knows no path."""
    assert lab.initial().state is JobState.SUCCEEDED
    lab.cluster.change(1, 0, seed=4711)

    def full(*words: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("reconciler.engines.embedded.packs.PackWriter.seal", full)
    status = lab.back_up()
    assert (status.state, status.code) == (JobState.FAILED, "RCL4003")
    assert f"the disk is full at {lab.folder}/store/volumes/vol-a/hci-01-" in status.reason
    assert status.reason.endswith(" free)")
