"""Recovery on the embedded engine: which file goes where, and what is never written over."""

from __future__ import annotations

import errno
import getpass
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import files
from reconciler.engines.embedded import backup
from reconciler.engines.embedded.intent import token_of
from reconciler.inventory.directory import DirectoryDisks
from reconciler.model import (
    DataSource,
    Job,
    JobState,
    PowerState,
    Recovery,
    RecoveryStep,
    RecoveryTarget,
    VirtualMachine,
)
from reconciler.protocols import Disks, Room
from reconciler.staging import LocalTarget
from tests.fakes import BLOCK, machine_id, recovery_of
from tests.support.place import HOME, ONE, OTHER, Place, content


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
    staged = disks._staged(f"{HOME}/disk.raw", token_of(what.id))
    staged.symlink_to(secret)
    assert place.do(what).state is JobState.SUCCEEDED
    assert secret.read_bytes() == b"precious"
    assert place.path(f"{HOME}/disk.raw").read_bytes() == content(0)


# --- A machine that is gone ------------------------------------------------------------------------------------


def test_a_deleted_machine_is_made_anew_where_it_was(place: Place) -> None:
    place.lay_out(f"{HOME}/disk.raw", f"{OTHER}/disk.raw", notes="tier: gold")
    point = place.back_up()
    before = place.cluster.inventory(place.clock).disks.machine(machine_id(ONE))
    place.cluster.remove(ONE)
    shutil.rmtree(place.path(HOME))
    shutil.rmtree(place.path(OTHER))
    what = recovery_of(place.one, Recovery(point, RecoveryTarget.ORIGINAL), 80)
    shown = place.engine.preview(what)
    assert (shown.refusals, shown.destroys) == ((), ())
    assert "rebuilt" in shown.notes[0]
    assert place.recover(point, f"{OTHER}/disk.raw").code == "RCL7019"
    assert place.do(what).state is JobState.SUCCEEDED
    assert [place.path(f"{each}/disk.raw").read_bytes() for each in (HOME, OTHER)] == [content(0), content(1)]
    now = place.cluster.inventory(place.clock).disks.machine(machine_id(ONE))
    assert (now.name, now.node, now.power, now.config) == ("one", "n1", PowerState.OFF, before.config)
    assert now.labels == {"tier": "gold"}
    assert now.resource_group == "one"
    assert place.back_up()


def test_a_machine_whose_role_alone_is_gone_is_refused_with_the_way_out(place: Place) -> None:
    place.lay_out(f"{HOME}/disk.raw")
    point = place.back_up()
    place.cluster.remove(ONE)
    status = place.recover(point)
    assert (status.code, "--to FOLDER" in status.remedy) == ("RCL2010", True)
    assert not list(place.path("roles").iterdir())


def test_a_deleted_machine_is_not_made_anew_over_the_files_of_another(place: Place) -> None:
    place.lay_out(f"{OTHER}/disk.raw")
    point = place.back_up()
    place.cluster.remove(ONE)
    shutil.rmtree(place.path(HOME))
    place.cluster.add(2, "two", disks=[{"path": f"{OTHER}/disk.raw"}])
    assert place.recover(point).code == "RCL7013"
    assert place.path(f"{OTHER}/disk.raw").read_bytes() == content(0)
    assert not place.path(HOME).exists()


def test_a_machine_that_was_made_anew_half_can_be_undone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.lay_out(f"{HOME}/disk.raw")
    point = place.back_up()
    place.cluster.remove(ONE)
    shutil.rmtree(place.path(HOME))
    what = recovery_of(place.one, Recovery(point, RecoveryTarget.ORIGINAL), 80)

    def fail(*words: object) -> None:
        raise OSError(errno.EIO, "Input/output error", "roles")

    with monkeypatch.context() as patch:
        patch.setattr(DirectoryDisks, "make_known", fail)
        status = place.do(what)
    assert (status.state, status.code) == (JobState.INTERRUPTED, "RCL7022")
    undo = Recovery(point, RecoveryTarget.ORIGINAL, step=RecoveryStep.UNDO, of=what.id)
    assert place.do(recovery_of(place.one, undo, 81)).state is JobState.SUCCEEDED
    assert [path for path in place.path(HOME).rglob("*") if path.is_file()] == []
    again = recovery_of(place.one, Recovery(point, RecoveryTarget.ORIGINAL), 82)
    assert place.do(again).state is JobState.SUCCEEDED
    assert place.path(f"{HOME}/disk.raw").read_bytes() == content(0)


# --- Sizes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 512, BLOCK, 1024**4])
def test_disks_of_one_sector_to_a_terabyte_come_back(place: Place, size: int) -> None:
    path = place.path(f"{HOME}/disk.raw")
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(size)
        for offset in (0, size // 2, size - 1):
            file.seek(offset)
            file.write(b"x")
    place.lay_out(f"{HOME}/disk.raw")
    point = place.back_up()
    path.unlink()
    status = place.recover(point)
    assert status.state is JobState.SUCCEEDED, status
    assert path.stat().st_size == size
    assert path.stat().st_blocks * 512 < 4 * BLOCK
    with path.open("rb") as file:
        for offset in (0, size // 2, size - 1):
            file.seek(offset)
            assert file.read(1) == b"x"


# --- Messages --------------------------------------------------------------------------------------------------


def test_no_room_is_said_with_place_and_sizes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.lay_out(f"{HOME}/disk.raw")
    point = place.back_up()
    monkeypatch.setattr(LocalTarget, "room", lambda self, path: Room(1, "/cluster/csv-01", 1024))
    status = place.recover(point)
    assert status.code == "RCL7007"
    assert status.reason == "/cluster/csv-01 is full: 16.3 MiB needed, 1 KiB free"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_target_that_cannot_be_written_is_said_with_its_path(place: Place, number: int) -> None:
    place.lay_out(f"{HOME}/disk.raw")
    point = place.back_up()

    def fail(step: files.Step) -> None:
        if step.path.endswith(".staged"):
            raise OSError(number, os.strerror(number), step.path)

    with files.watch(fail):
        status = place.recover(point)
    assert (status.state, status.code) == (JobState.FAILED, "RCL7025"), status
    assert HOME in status.reason
    if number == errno.ENOSPC:
        assert "needed" in status.reason
        assert "free" in status.reason
    else:
        assert getpass.getuser() in status.reason
    assert place.path(f"{HOME}/disk.raw").read_bytes() == content(0)


def test_a_disk_that_the_point_has_not_is_told_before_it_is_left_out(place: Place) -> None:
    first, added = f"{HOME}/a.raw", f"{HOME}/c.raw"
    place.lay_out(first)
    point = place.back_up()
    place.lay_out(first, added)
    notes = []
    for disks in ((), ("a.raw",)):
        recovery = Recovery(point, RecoveryTarget.ORIGINAL, disks=disks)
        notes.append(place.engine.preview(recovery_of(place.one, recovery, 70)).notes)
    wanted = f"{added}, a disk now, will be no disk of the virtual machine any more; its file stays"
    assert [wanted in each for each in notes] == [True, False]
    assert place.recover(point).state is JobState.SUCCEEDED
    assert place.path(added).read_bytes() == content(1)
    after = place.engine.preview(recovery_of(place.one, Recovery(point, RecoveryTarget.ORIGINAL), 71)).notes
    assert [each for each in after if "a disk now" in each] == []


def test_a_disk_that_is_added_while_the_machine_is_read_is_in_the_point(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, added = f"{HOME}/a.raw", f"{HOME}/c.raw"
    place.lay_out(first)
    real, looks = backup.look_at, 0

    def look(disks: Disks, what: Job) -> VirtualMachine:
        nonlocal looks
        machine, looks = real(disks, what), looks + 1
        if looks == 1:
            place.lay_out(first, added)
        return machine

    monkeypatch.setattr(backup, "look_at", look)
    point = place.back_up()
    assert looks == 4
    out = place.folder / "out"
    assert place.recover(point, folder=out).state is JobState.SUCCEEDED
    assert sorted(path.name for path in out.iterdir()) == ["a.raw", "c.raw", "vm.json"]
