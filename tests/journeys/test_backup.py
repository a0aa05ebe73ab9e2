"""Recovery points on demand: what is made, what is refused, and what is on record of it."""

from __future__ import annotations

import json

import pytest

from reconciler.model import EvidenceKind
from reconciler.state import open_memory
from tests.fakes import machine_id
from tests.shop import Shop

T1, T2, T3 = (("--now", f"2026-03-10T{at}Z") for at in ("10:00", "10:20", "10:40"))
ONE = machine_id(1)
GLASS = ("--break-glass", "somebody has to")


@pytest.fixture
def kept(shop: Shop) -> Shop:
    """Both virtual machines have their first recovery points."""
    assert shop("run", "--until-idle", *T1).code == 0
    return shop


def points(shop: Shop, machine: str) -> list[str]:
    told = json.loads(shop("points", machine, "-o", "json").out)
    return [each["point"]["id"] for each in told["points"]]


def test_a_point_is_made_now_and_said_with_what_is_to_be_known_of_it(kept: Shop) -> None:
    kept.cluster.change(1, 1, seed=5)
    said = kept("backup", "ONE", "--reason", "before the patch", *T2)
    assert said.code == 0, said
    (new,) = [each for each in points(kept, "one") if each.startswith("20260310T1020")]
    assert f"one: recovery point {new} on mabs-01\n" in said.out
    assert "2026-03-10 10:20, application consistent; 385 KiB read" in said.out
    assert "kept until 2026-03-15 10:20 (retention 5d of gold)\n" in said.out
    assert kept("run", "--until-idle", *T2).out.startswith("1 tick")  # the next point is due at its own time
    assert len(points(kept, "two")) == 1


def test_it_is_on_record_who_asked_and_why(kept: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.control.jobs.on_demand.actor", lambda: "ada")
    assert kept("backup", "one", "--reason", "before the patch", *T2).code == 0
    memory = open_memory(kept.root / "var" / "hq.db")
    try:
        record = memory.jobs.history()[0]
        told = [each.body for each in memory.evidence.records() if each.kind is EvidenceKind.POINT]
    finally:
        memory.close()
    assert (record.job.asked_by, record.job.reason, record.job.kind) == ("ada", "before the patch", "synchronization")
    asked = [(each["askedBy"], each["reason"]) for each in told if "askedBy" in each]
    assert (len(told), asked) == (3, [("ada", "before the patch")])
    assert "asked for by ada: before the patch" in kept("jobs", "-n", "1").out
    assert "asked for" not in kept("jobs", "two").out


def test_a_group_is_all_of_its_members_and_each_is_backed_up_once(kept: Shop) -> None:
    lines = [json.loads(line) for line in kept("backup", "gold", "one", "-o", "json", *T2).out.splitlines()]
    told = [each["value"] for each in lines if each["event"] == "backup.ended"]
    assert [(each["machine"], each["state"], each["keptUntil"]) for each in told] == [
        ("one", "succeeded", "2026-03-15T10:20:00Z"),
        ("two", "succeeded", "2026-03-15T10:20:00Z"),
    ]
    assert [each["event"] for each in lines].count("job.succeeded") == 2
    assert lines[-1]["exitCode"] == 0
    assert [len(points(kept, name)) for name in ("one", "two")] == [2, 2]


def test_the_first_point_may_be_asked_for_too(shop: Shop) -> None:
    assert shop("apply", "--yes", *T1).code == 0
    said = shop("backup", "one", *T1)
    assert (said.code, "initial replica of one" in said.out) == (0, True), said
    assert len(points(shop, "one")) == 1
    assert "initial replica of one" not in shop("run", "--until-idle", *T1).out


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("onne", "RCL6060", "Did you mean one?"),
        ("goldd", "RCL6060", "Did you mean gold?"),
        ("nothing-like-it", "RCL6060", "See 'reconciler status'"),
        ("three", "RCL6062", "Write it into a protection group"),
    ],
)
def test_a_name_that_means_nothing_is_refused_before_anything_begins(
    kept: Shop, name: str, code: str, told: str
) -> None:
    kept.cluster.add(3, "three")
    said = kept("backup", "one", name, *T2)
    assert said.code == 64
    assert (name in said.err, code in said.err) == (True, True)
    assert told in said.err
    assert len(points(kept, "one")) == 1


def test_a_virtual_machine_whose_protection_was_stopped_is_told_as_such(kept: Shop) -> None:
    kept.policy("names: [one, two]", "names: [two]")
    assert kept("apply", "--yes", *GLASS, *T2).code == 0
    said = kept("backup", "one", *T2)
    assert (said.code, "RCL6062" in said.err) == (64, True), said
    assert "its protection was stopped, and what is there of it is kept" in said.err


def test_a_group_and_a_virtual_machine_of_one_name_are_told_apart(kept: Shop) -> None:
    kept.cluster.add(3, "gold")
    said = kept("backup", "gold", *T2)
    assert (said.code, "RCL6061" in said.err) == (64, True)
    assert f"hci-01/{machine_id(3)} for the virtual machine, group/gold for the group" in said.err
    assert kept("backup", "group/gold", *T2).code == 0
    said = kept("backup", f"hci-01/{machine_id(3)}", *T2)
    assert (said.code, "RCL6062" in said.err) == (64, True)


def test_what_preflight_refuses_is_said_as_it_says_it_and_the_others_are_backed_up(kept: Shop) -> None:
    settings = {"id": ONE, "name": "one", "replication": {"mode": "none"}, "disks": [{"path": "disk.raw"}]}
    kept.cluster.write(f"volumes/csv-01/{ONE}/vm.json", {**settings, "checkpoints": [{"name": "x"}]})
    said = kept("backup", "one", "two", *T2)
    assert (said.code, "RCL2101" in said.err, "'one' has 1 checkpoint(s)" in said.err) == (6, True, True), said
    assert "two: recovery point " in said.out
    assert [len(points(kept, name)) for name in ("one", "two")] == [1, 2]


def test_a_virtual_machine_that_its_cluster_does_not_show_is_refused(kept: Shop) -> None:
    kept.cluster.remove(1)
    said = kept("backup", "one", *T2)
    assert (said.code, "RCL6064" in said.err) == (6, True), said


def test_an_inconsistent_replica_is_repaired_first(kept: Shop) -> None:
    for pack in sorted((kept.root / "var" / "mabs-01").rglob("*.pack")):
        pack.unlink()
    first = kept("backup", "one", *T2)
    assert (first.code, "one: no recovery point. RCL4005" in first.out) == (1, True), first
    said = kept("backup", "one", *T2)
    assert (said.code, "RCL6063" in said.err) == (6, True), said
    assert "reconciler check one" in said.err
    assert kept("check", "one", *T2).code == 0
    assert kept("backup", "one", *T3).code == 0


def test_a_full_store_says_so_and_keeps_what_is_there(shop: Shop) -> None:
    shop.policy("capacity: 1 GB", "capacity: 900 kB")
    assert shop("run", "--until-idle", *T1).code == 0
    for block in range(3):
        shop.cluster.change(1, block, seed=block)
    said = shop("backup", "one", *T2)
    assert said.code == 1, said
    assert "one: no recovery point. RCL40" in said.out
    assert "vol-a" in said.out
    assert len(points(shop, "one")) == 1


def test_without_a_loop_there_is_nobody_to_leave_it_to(kept: Shop) -> None:
    said = kept("backup", "one", "--no-wait", *T2)
    assert (said.code, "RCL6065" in said.err) == (64, True)
    assert len(points(kept, "one")) == 1


def test_a_paused_group_is_backed_up_as_it_is_asked_for(kept: Shop) -> None:
    kept.policy("  shortTerm:", "  paused: {reason: storage move, owner: ops, until: 2026-03-20}\n  shortTerm:")
    assert kept("apply", "--yes", *GLASS, *T2).code == 0
    said = kept("backup", "one", *T3)
    assert said.code == 0, said
    assert "gold is paused until 2026-03-20 (storage move); this is made all the same" in said.err
    assert "kept until 2026-03-21 00:00" in said.out, said  # nothing of it expires before the pause is over
    told = kept("jobs", "-n", "1").out
    assert "asked for by" in told
    assert ": asked for" not in told
