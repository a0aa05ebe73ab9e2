"""Real peers on what comes back: a VHDX with a file system is recovered as qemu-img and 7-Zip read it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import msgspec
import pytest
import zstandard

from reconciler import demo
from reconciler.engines.embedded import EmbeddedEngine, open_engine
from reconciler.model import (
    CreateGroup,
    DiskKind,
    Job,
    JobKind,
    JobState,
    Recovery,
    RecoveryTarget,
    ReplicationMode,
    VirtualDisk,
)
from reconciler.model.cluster import Replication
from reconciler.plan import refusals
from reconciler.protocols import Fence
from tests.fakes import DiskCluster, SetClock, first_use, group, job, recovery_of, setup_for
from tests.oracles import need
from tests.worlds import machine

IMAGES = Path(demo.__file__).parent / "images"


@pytest.mark.parametrize(
    ("name", "form"),
    [("sql-01-system.vhdx", "vhdx"), ("sql-01-data.vhdx", "vhdx"), ("web-01.raw", "raw"), ("scratch-01.vhd", "vpc")],
)
def test_a_recovered_disk_is_the_same_disk_to_its_peers(tmp_path: Path, name: str, form: str) -> None:
    cluster, clock = DiskCluster(tmp_path / "cluster"), SetClock()
    source = cluster.add(1, "one", disks=[{"path": name}])
    disk = cluster.disk(1).with_name(name)
    disk.write_bytes(zstandard.ZstdDecompressor().decompress((IMAGES / f"{name}.zst").read_bytes()))
    engine = open_engine(setup_for(tmp_path / "store", cluster, clock))
    try:
        first_use(engine)
        engine.apply(CreateGroup("mabs-01", group("gold", source)), Fence(1))
        point = _done(engine, job(JobKind.INITIAL_REPLICA, source))
        out = tmp_path / "out"
        _done(engine, recovery_of(source, Recovery(point, RecoveryTarget.FOLDER, folder=str(out))))
    finally:
        engine.close()
    assert (out / name).read_bytes() == disk.read_bytes()
    compare = [need("qemu-img"), "compare", "-f", form, "-F", form, str(disk), str(out / name)]
    assert subprocess.run(compare, capture_output=True, check=False, timeout=60).returncode == 0
    if form == "vhdx":
        check = [need("qemu-img"), "check", "-f", form, str(out / name)]
        assert subprocess.run(check, capture_output=True, check=False, timeout=60).returncode == 0
        test = [need("7zz"), "t", str(out / name)]
        assert subprocess.run(test, capture_output=True, check=False, timeout=60).returncode == 0


def _done(engine: EmbeddedEngine, what: Job) -> str:
    handle = engine.start(what, Fence(1))
    while not (status := engine.poll(handle)).state.ended:
        time.sleep(0.002)
    assert status.state is JobState.SUCCEEDED, status
    return status.result.point if status.result else ""


@pytest.mark.parametrize(
    ("disk", "code"),
    [
        (VirtualDisk(path="a.vhdx", kind=DiskKind.VHDX, log_pending=True), "RCL2106"),
        (VirtualDisk(path="a.avhdx", kind=DiskKind.VHDX, differencing=True), "RCL2105"),
        (VirtualDisk(path="a.vhds", kind=DiskKind.SHARED), "RCL2103"),
        (VirtualDisk(path="a.vhdx", kind=DiskKind.VHDX, unreadable="cut"), "RCL2104"),
    ],
)
def test_each_kind_of_disk_that_is_refused(disk: VirtualDisk, code: str) -> None:
    one = msgspec.structs.replace(machine(1, "one"), disks=(disk,))
    assert [finding.code for finding in refusals(one)] == [code]


@pytest.mark.parametrize("mode", [mode for mode in ReplicationMode if mode is not ReplicationMode.NONE])
def test_every_mode_of_replication_is_refused(mode: ReplicationMode) -> None:
    sound = VirtualDisk(path="a.raw")
    one = msgspec.structs.replace(machine(1, "one"), disks=(sound,), replication=Replication(mode=mode))
    assert [finding.code for finding in refusals(one)] == ["RCL2102"]


def test_what_is_unknown_is_said_to_be_unknown() -> None:
    one = msgspec.structs.replace(
        machine(1, "one"), disks=(VirtualDisk(path="a.raw"),), replication=msgspec.UNSET, checkpoints=msgspec.UNSET
    )
    assert [(finding.code, str(finding.severity)) for finding in refusals(one)] == [("RCL2108", "warning")] * 2
