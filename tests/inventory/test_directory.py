"""A cluster on disk: what it shows, what it does not know, and what it never concludes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from msgspec import UNSET

from reconciler.errors import Refused, Severity, Unreachable
from reconciler.model import DiskKind
from reconciler.plan.checks.backup_refusals import refusals
from tests.fakes import DiskCluster, SetClock, machine_id

#: A name that is none, by its length.
NAMELESS = json.dumps({"id": machine_id(1), "name": "n" * 2000})


@pytest.fixture
def cluster(tmp_path: Path) -> DiskCluster:
    return DiskCluster(tmp_path / "cluster")


def test_machines_with_what_is_observed_declared_and_unknown(cluster: DiskCluster) -> None:
    cluster.add(1, "one", notes="tier: gold\nfree text\napp : sql", guestSystem="windows")
    (machine,) = cluster.inventory(SetClock()).observe().machines
    assert (machine.name, machine.node, machine.id) == ("one", "n1", machine_id(1))
    assert machine.labels == {"tier": "gold", "app": "sql"}
    assert machine.provenance("guest_system") == "declared"
    assert machine.provenance("generation") == "unknown"
    (disk,) = machine.disks
    assert disk.kind is DiskKind.RAW
    assert disk.provenance("file_bytes") == "observed"
    assert disk.file_bytes == cluster.disk(1).stat().st_size
    assert disk.volume == "csv-01"


def test_a_move_changes_the_node_and_nothing_else(cluster: DiskCluster) -> None:
    cluster.add(1, "one")
    before = cluster.inventory(SetClock()).observe()
    cluster.role(1, ownerNode="n2")
    after = cluster.inventory(SetClock()).observe()
    assert [machine.node for machine in after.machines] == ["n2"]
    assert [machine.disks for machine in after.machines] == [machine.disks for machine in before.machines]
    assert after.nodes == before.nodes


def test_a_cluster_that_is_not_mounted_is_not_an_empty_one(cluster: DiskCluster) -> None:
    cluster.add(1, "one")
    (cluster.folder / "cluster.json").unlink()
    with pytest.raises(Unreachable) as unreachable:
        cluster.inventory(SetClock()).observe()
    assert (unreachable.value.diagnostic.code, unreachable.value.exit_code) == ("RCL2001", 69)


def test_a_missing_roles_folder_is_not_an_empty_one(cluster: DiskCluster) -> None:
    (cluster.folder / "roles").rmdir()
    with pytest.raises(Unreachable):
        cluster.inventory(SetClock()).observe()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"id": 1}', '{"id": "x", "name": "y", "hobby": 1}', "\xff\xfe", "null", NAMELESS]
)
def test_a_machine_that_cannot_be_read_is_there_but_unseen(cluster: DiskCluster, text: str) -> None:
    cluster.add(1, "one")
    cluster.add(2, "two")
    config = cluster.disk(1).parent / "vm.json"
    config.write_bytes(text.encode("latin-1"))
    seen = cluster.inventory(SetClock()).observe()
    assert [machine.name for machine in seen.machines] == ["two"]
    assert [unseen.id for unseen in seen.unseen] == [machine_id(1)]
    with pytest.raises(Refused):
        cluster.inventory(SetClock()).disks.machine(machine_id(1))


def test_the_same_machine_under_two_roles_is_said(cluster: DiskCluster) -> None:
    cluster.add(1, "one")
    role = json.loads((cluster.folder / "roles" / f"{machine_id(1)}.json").read_text())
    cluster.write(f"roles/{machine_id(2)}.json", role)
    seen = cluster.inventory(SetClock()).observe()
    assert len(seen.machines) == 1
    assert "is not that of" in seen.unseen[0].why


@pytest.mark.parametrize("name", ["a" * 300, 'quo"te', "new\nline", "..", "../../etc", "\x1b[31mred", "ünï", ""])
def test_any_name_is_data(cluster: DiskCluster, name: str) -> None:
    cluster.add(1, name)
    (machine,) = cluster.inventory(SetClock()).observe().machines
    assert machine.name == name


@pytest.mark.parametrize("path", ["../../../../etc/passwd", "/etc/passwd", "volumes/../../x", "a\0b"])
def test_a_disk_outside_of_the_cluster_is_not_opened(cluster: DiskCluster, path: str) -> None:
    cluster.add(1, "one", disks=[{"path": path}])
    (machine,) = cluster.inventory(SetClock()).observe().machines
    assert machine.disks[0].unreadable is not None
    with pytest.raises(Refused) as refused:
        cluster.inventory(SetClock()).disks.open(machine.disks[0].path)
    assert refused.value.diagnostic.code in ("RCL2012", "RCL2011")


def test_a_link_out_of_the_cluster_is_not_followed(cluster: DiskCluster, tmp_path: Path) -> None:
    cluster.add(1, "one")
    (tmp_path / "secret").write_bytes(b"secret")
    cluster.disk(1).unlink()
    cluster.disk(1).symlink_to(tmp_path / "secret")
    disks = cluster.inventory(SetClock()).disks
    with pytest.raises(Refused):
        disks.open(disks.machine(machine_id(1)).disks[0].path)


def test_what_is_not_stated_is_unknown(cluster: DiskCluster) -> None:
    identity = machine_id(1)
    cluster.add(1, "one")
    cluster.write(f"volumes/csv-01/{identity}/vm.json", {"id": identity, "name": "one"})
    (machine,) = cluster.inventory(SetClock()).observe().machines
    assert machine.checkpoints is UNSET
    assert machine.replication is UNSET


def test_a_generation_changes_with_every_change(cluster: DiskCluster) -> None:
    cluster.add(1, "one")
    disks = cluster.inventory(SetClock()).disks
    path = disks.machine(machine_id(1)).disks[0].path
    with disks.open(path) as reader:
        seen = [reader.generation()]
        cluster.change(1, 0, seed=1)
        seen.append(reader.generation())
        with cluster.disk(1).open("ab") as file:
            file.write(b"more")
        seen.append(reader.generation())
        cluster.disk(1).rename(cluster.disk(1).with_name("other"))
        seen.append(reader.generation())
    assert len(set(seen)) == 4


@pytest.mark.parametrize(
    ("what", "called"),
    [
        ("pipe", "a named pipe"),
        ("folder", "a folder"),
        ("link to a device", "a symbolic link"),
        ("link inside", "a symbolic link"),
        ("link out", "a symbolic link"),
        ("nothing", "o such file"),
    ],
)
def test_a_disk_that_is_no_regular_file_is_unreadable_and_the_others_are_as_before(
    cluster: DiskCluster, tmp_path: Path, what: str, called: str
) -> None:
    cluster.add(1, "one")
    cluster.add(2, "two")
    disk = cluster.disk(1)
    disk.unlink()
    if what == "pipe":
        os.mkfifo(disk)
    elif what == "folder":
        disk.mkdir()
    elif what == "link to a device":
        disk.symlink_to(os.devnull)
    elif what == "link inside":
        disk.symlink_to(cluster.disk(2))
    elif what == "link out":
        (tmp_path / "secret").write_bytes(b"secret" * 1000)
        disk.symlink_to(tmp_path / "secret")
    one, two = cluster.inventory(SetClock()).observe().machines
    assert called in (one.disks[0].unreadable or "")
    assert [each.code for each in refusals(one) if each.severity is Severity.ERROR] == ["RCL2104"]
    assert refusals(two) == ()
    shared = [each.shared_with for machine in (one, two) for each in machine.disks]
    assert shared == ([("two",), ("one",)] if what == "link inside" else [(), ()])
    with pytest.raises(Refused) as refused:
        cluster.inventory(SetClock()).disks.open(one.disks[0].path)
    assert refused.value.diagnostic.code == "RCL2011"
    assert called in refused.value.diagnostic.message


@pytest.mark.parametrize("name", ["vm.json", "role"])
def test_a_configuration_that_is_a_pipe_makes_its_machine_unseen(cluster: DiskCluster, name: str) -> None:
    cluster.add(1, "one")
    cluster.add(2, "two")
    place = cluster.disk(1).parent / "vm.json" if name == "vm.json" else cluster.folder / f"roles/{machine_id(1)}.json"
    place.unlink()
    os.mkfifo(place)
    seen = cluster.inventory(SetClock()).observe()
    assert [each.name for each in seen.machines] == ["two"]
    assert [each.id for each in seen.unseen] == [machine_id(1)]
    assert "a named pipe" in seen.unseen[0].why


def test_an_empty_raw_disk_is_refused(cluster: DiskCluster) -> None:
    cluster.add(1, "one", data=b"")
    (machine,) = cluster.inventory(SetClock()).observe().machines
    (refusal,) = refusals(machine)
    assert refusal.code == "RCL2104"
    assert "empty" in refusal.message
