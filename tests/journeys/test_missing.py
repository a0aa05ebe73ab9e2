"""What is missing, older or exchanged is never taken for new: each command says so, and nothing is made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.model import EvidenceKind
from reconciler.state import open_memory
from tests.journeys.test_terminal import _spawn
from tests.old_site import copy_old_site
from tests.shop import Said, Shop


def at(hour: int) -> tuple[str, str]:
    return ("--now", f"2026-03-10T{hour:02}:00Z")


@pytest.fixture
def lived(shop: Shop) -> Shop:
    """Two machines with two points each."""
    for hour in (10, 11):
        assert shop("run", "--until-idle", *at(hour)).code == 0
    return shop


def tree(root: Path) -> dict[str, bytes]:
    """Every file but those that a database that is open has beside it."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def refused(shop: Shop, code: str, *words: str) -> None:
    """Every command that looks at the servers exits 69 with the code, and makes and changes no file."""
    before = tree(shop.root / "var")
    for command in (
        ("status", *at(12)),
        ("plan", *at(12)),
        ("drift", *at(12)),
        ("points",),
        ("apply", "--yes", *at(12)),
    ):
        said = shop(*command)
        assert (said.code, code in said.out + said.err) == (69, True), (command, said)
        assert "No changes" not in said.out + said.err
        for word in words:
            assert word in said.out + said.err, (command, word, said)
    run = shop("run", "--until-idle", *at(12))
    assert run.code == 69, run
    assert "0 jobs succeeded" in run.out
    after = tree(shop.root / "var")
    assert {name for name in after if name.startswith("mabs-01")} == {n for n in before if n.startswith("mabs-01")}


def gone(shop: Shop) -> None:
    (shop.root / "var" / "mabs-01").rename(shop.root / "unmounted")


def empty(shop: Shop) -> None:
    gone(shop)
    (shop.root / "var" / "mabs-01").mkdir()


@pytest.mark.parametrize("harm", [gone, empty])
def test_a_store_that_is_not_mounted(lived: Shop, harm: Callable[[Shop], None]) -> None:
    harm(lived)
    refused(lived, "RCL5043", "mabs-01", "since 2026-03-10 10:00 UTC, last seen", "mount it", "declare-lost")
    shutil.rmtree(lived.root / "var" / "mabs-01", ignore_errors=True)
    (lived.root / "unmounted").rename(lived.root / "var" / "mabs-01")
    assert lived("plan", "--detailed-exitcode", *at(12)).code == 0
    assert lived("run", "--until-idle", *at(12)).code == 0


def test_a_store_that_is_an_older_copy(lived: Shop) -> None:
    old = shutil.copytree(lived.root / "var" / "mabs-01", lived.root / "old")
    assert lived("run", "--until-idle", *at(12)).code == 0
    shutil.rmtree(lived.root / "var" / "mabs-01")
    shutil.copytree(old, lived.root / "var" / "mabs-01")
    refused(lived, "RCL5044", "an older copy of it is there")
    store = lived.root / "var" / "mabs-01"
    before = tree(store)
    said = lived("points")
    assert (said.code, said.out.count("20260310T")) == (69, 4)
    assert "declare-lost" in said.err
    assert lived("recover", "one", "--yes").code == 69
    done = lived("recover", "one", "--to", str(lived.root / "out"), "--yes")
    assert done.code == 0, done
    assert "this is an older copy, which is read alone" in done.out
    assert (lived.root / "out" / "disk.raw").exists()
    assert tree(store) == before
    gone_on = lived("store", "declare-lost", "mabs-01", "--reason", "the disk died", "--yes")
    assert gone_on.code == 0, gone_on
    assert tree(store / "volumes") == {name[8:]: data for name, data in before.items() if name[:8] == "volumes/"}
    assert lived("apply", "--yes", "--adopt", "*", *at(13)).code == 0
    assert lived("run", "--until-idle", *at(13)).code == 0
    said = lived("points")
    assert (said.code, said.out.count("20260310T")) == (0, 6), said


def test_points_that_cannot_be_seen_are_not_told_as_none(lived: Shop) -> None:
    volumes = lived.root / "var" / "mabs-01" / "volumes"
    for volume in volumes.iterdir():
        for folder in volume.glob("*-*"):
            shutil.rmtree(folder)
    said = lived("points")
    assert (said.code, said.out, said.err.count("RCL4021")) == (69, "", 2), said
    assert "no recovery point" not in said.out + said.err


def test_a_store_that_is_anothers(lived: Shop, tmp_path: Path, run: Callable[..., Said]) -> None:
    (tmp_path / "second").mkdir()
    other = Shop(tmp_path / "second", run)
    assert other("run", "--until-idle", *at(10)).code == 0
    gone(lived)
    shutil.copytree(other.root / "var" / "mabs-01", lived.root / "var" / "mabs-01")
    refused(lived, "RCL5044", "it was swapped")


def test_a_state_that_is_an_older_copy(lived: Shop) -> None:
    state = lived.root / "var" / "hq.db"
    old = state.read_bytes()
    backup = lived.root / "state.tar"
    assert lived("state", "backup", str(backup)).code == 0
    assert lived("run", "--until-idle", *at(12)).code == 0
    state.write_bytes(old)
    refused(lived, "RCL5045", "older copy", "state restore")
    store = lived.root / "var" / "mabs-01"
    before, newest = tree(store), lived.cluster.disk(1).read_bytes()
    said = lived("points")
    assert (said.code, said.out.count("20260310T")) == (69, 6), said
    assert lived("recover", "one", "--yes", *at(12)).code == 69
    done = lived("recover", "one", "--to", str(lived.root / "out"), "--yes", *at(12))
    assert (done.code, "points may be there that the state knows nothing of" in done.out) == (0, True), done
    assert (lived.root / "out" / "disk.raw").read_bytes() == newest
    assert tree(store) == before
    refused(lived, "RCL5045", "older copy", "state restore")
    assert lived("state", "restore", str(backup), "--yes").code == 0
    assert lived("plan", *at(13)).code == 0
    assert lived("run", "--until-idle", *at(13)).code == 0


SECOND = "{name: mabs-02, engine: {embedded: {path: var/linked}}, volumes: [{name: vol-a, capacity: 1 GB}]}"
BRANCH = """---
apiVersion: reconciler/v1
kind: Site
metadata: {name: branch}
spec:
  timeZone: UTC
  rehearsal: true
  prune: false
  state: {sqlite: {path: var/branch.db}}
  clusters: [{name: hci-01, inventory: {directory: {path: cluster}}}]
  servers: [SECOND]
""".replace("SECOND", SECOND.replace("mabs-02", "mabs-09"))


def test_two_servers_on_one_store(shop: Shop) -> None:
    """By a link, before there is a store and when there is one: both are named, and whoever had it goes on."""
    link, one = shop.root / "var" / "linked", shop.root / "policies" / "site.yaml"
    link.parent.mkdir()
    link.symlink_to("mabs-01", target_is_directory=True)
    shop.policy("  servers: [", f"  servers: [{SECOND}, ")
    first = shop("apply", "--yes", *at(10))
    assert (first.code, "the store of mabs-02" in first.err, "of mabs-01" in first.err) == (69, True, True), first
    assert not (shop.root / "var" / "mabs-01").exists()
    link.unlink()
    other = one.read_text(encoding="utf-8").partition("---")[2].replace("mabs-01", "mabs-02").replace("gold", "iron")
    with one.open("a", encoding="utf-8") as file:
        file.write(f"---{other.replace('one, two', 'three')}")
    shop.cluster.add(3, "three")
    assert shop("run", "--until-idle", *at(10)).code == 0
    shutil.rmtree(link)
    link.symlink_to("mabs-01", target_is_directory=True)
    run = shop("run", "--once", *at(11))
    assert (run.code, "2 jobs succeeded" in run.out) == (69, True), run
    link.unlink()
    shutil.copytree(shop.root / "var" / "mabs-01", link)
    for command in ("plan", "status"):
        said = shop(command, *at(11))
        assert (said.code, "RCL5053" in said.out + said.err, "RCL5045" in said.out + said.err) == (69, True, False), (
            said
        )


def test_two_sites_on_one_store(lived: Shop) -> None:
    (lived.root / "var" / "linked").symlink_to("mabs-01", target_is_directory=True)
    (lived.root / "policies" / "branch.yaml").write_text(BRANCH, encoding="utf-8")
    said = lived("apply", "--site", "branch", "--yes", *at(12))
    assert (said.code, "RCL5053" in said.err) == (69, True), said
    assert "the store of mabs-09" in said.err
    assert "of mabs-01 of the site hq" in said.err
    assert lived("run", "--until-idle", "--site", "hq", *at(12)).code == 0


def test_the_first_use_of_a_volume_is_said_and_on_record(lived: Shop) -> None:
    lived.cluster.add(3, "three")
    lived.policy("volumes: [", "volumes: [{name: vol-z, capacity: 1 GB}, ")
    lived.policy("names: [one, two]", "names: [one, two, three]")
    lived.policy("  shortTerm:", "  storage: {volume: vol-z}\n  shortTerm:")
    plan = lived("plan", *at(12))
    assert (plan.code, "the first use of the volume vol-z of mabs-01" in plan.out) == (0, True), plan
    assert lived("apply", "--yes", *at(12)).code == 0
    assert lived("run", "--until-idle", *at(12)).code == 0
    assert "first use" not in lived("plan", *at(13)).out
    memory = open_memory(lived.root / "var" / "hq.db")
    try:
        facts = [each.body for each in memory.evidence.records() if each.kind is EvidenceKind.STATE]
    finally:
        memory.close()
    assert [each.get("volume") for each in facts if each["what"] == "firstUse"] == [None, "vol-a", "vol-z"]


def test_a_state_that_is_gone_over_a_store_that_is_there(lived: Shop) -> None:
    for path in (lived.root / "var").glob("hq.db*"):
        path.unlink()
    for command in ("plan", "status", "drift"):
        said = lived(command, *at(12))
        assert (said.code, "RCL3012" in said.out + said.err) == (6, True), said
        assert not (lived.root / "var" / "hq.db").exists()
    assert lived("points").code == 0
    refused_run = lived("run", "--until-idle", *at(12))
    assert "RCL3012" in refused_run.out + refused_run.err
    assert lived("apply", "--yes", "--adopt", "*", *at(12)).code == 0
    memory = open_memory(lived.root / "var" / "hq.db")
    try:
        facts = [each.body for each in memory.evidence.records() if each.kind is EvidenceKind.STATE]
        assert [each["what"] for each in facts if "volume" not in each] == ["firstUse", "storeAdopted"]
        assert memory.locks.token() > 2
    finally:
        memory.close()
    assert lived("plan", "--detailed-exitcode", *at(12)).code == 0
    assert lived("run", "--until-idle", *at(13)).code == 0


def test_a_disk_with_state_and_stores_that_is_not_mounted(lived: Shop) -> None:
    (lived.root / "var").rename(lived.root / "unmounted")
    for command in (
        ("plan", *at(12)),
        ("status", *at(12)),
        ("run", "--until-idle", *at(12)),
        ("apply", "--yes", *at(12)),
    ):
        said = lived(*command)
        assert (said.code, "RCL5041" in said.err + said.out, "mount it" in said.err + said.out) == (69, True, True), (
            said
        )
    assert not (lived.root / "var").exists()
    (lived.root / "unmounted").rename(lived.root / "var")
    assert lived("plan", "--detailed-exitcode", *at(12)).code == 0


def test_evidence_that_is_gone_is_declared_lost_and_begins_anew_on_record(lived: Shop) -> None:
    folder = lived.root / "var" / "hq.evidence"
    shutil.rmtree(folder)
    said = lived("run", "--until-idle", *at(12))
    assert (said.code, "RCL5042" in said.out + said.err, folder.exists()) == (69, True, False), said
    verify = lived("evidence", "verify")
    assert (verify.code, "RCL5042" in verify.out + verify.err) == (69, True), verify
    assert lived("evidence", "declare-lost", "--reason", "the disk burnt").code == 5
    done = lived("evidence", "declare-lost", "--reason", "the disk burnt", "--yes")
    assert done.code == 0, done
    memory = open_memory(lived.root / "var" / "hq.db")
    try:
        records = list(memory.evidence.records())
        (told,) = (each.body for each in records if each.kind is EvidenceKind.STATE)
        assert [each.kind for each in records[:2]] == [EvidenceKind.RUN, EvidenceKind.STATE]
    finally:
        memory.close()
    assert (told["what"], told["reason"], told["records"] > 3) == ("evidenceLost", "the disk burnt", True)
    assert lived("evidence", "declare-lost", "--reason", "again", "--yes").code == 6
    assert lived("run", "--until-idle", *at(12)).code == 0
    assert lived("evidence", "verify").code == 0


@pytest.mark.parametrize("way", ["gone", "cut", "flipped"])
def test_data_is_recovered_without_the_evidence_and_that_is_said(lived: Shop, tmp_path: Path, way: str) -> None:
    evidence = lived.root / "var" / "hq.evidence"
    if way == "gone":
        shutil.rmtree(evidence)
    else:
        last = max(evidence.glob("*.jsonl"))
        data = last.read_bytes()
        last.write_bytes(data[:-40] if way == "cut" else data[:-10] + bytes([data[-10] ^ 1]) + data[-9:])
    for command in (("status", *at(11)), ("status", "--check", *at(11))):
        said = lived(*command)
        assert (said.code, "RCL5042" in said.out) == (69, True), said
    before = tree(evidence) if evidence.exists() else {}
    wanted = lived.cluster.disk(1).read_bytes()
    said = lived("recover", "one", "--to", str(tmp_path / "safe"), "--yes", *at(12))
    assert said.code == 0, said
    assert "on record in the state meanwhile, as run" in said.err
    assert "RCL5042" in said.err
    assert lived.cluster.disk(1).name in {path.name for path in (tmp_path / "safe").iterdir()}
    lived.cluster.disk(1).write_bytes(b"ruined")
    assert lived("recover", "one", "--yes", *at(12)).code == 0
    assert lived.cluster.disk(1).read_bytes() == wanted
    assert (tree(evidence) if evidence.exists() else {}) == before


def test_a_store_is_declared_lost_and_a_new_one_is_made(lived: Shop) -> None:
    there = lived("store", "declare-lost", "mabs-01", "--reason", "no", "--yes")
    assert (there.code, "RCL5048" in there.err) == (6, True)
    assert lived("store", "declare-lost", "mabs-02", "--reason", "no", "--yes").code == 64
    assert lived("store", "declare-lost", "mabs-01", "--reason", " ", "--yes").code == 64
    gone(lived)
    asked = lived("store", "declare-lost", "mabs-01", "--reason", "the disk burnt")
    assert (asked.code, "RCL5049" in asked.err) == (5, True)
    for words in ("2 virtual machines", "one: newest point", "two: newest point", "2026-03-10 11:00"):
        assert words in asked.out, asked
    assert lived("plan", *at(12)).code == 69
    done = lived("store", "declare-lost", "mabs-01", "--reason", "the disk burnt", "--yes")
    assert done.code == 0, done
    plan = lived("plan", "--output", "json", *at(12))
    assert plan.code == 0, plan
    told = json.loads(plan.out)
    assert [step["change"]["verb"] for step in told["steps"]] == ["create"]
    assert "RCL5046" in {finding["code"] for finding in told["findings"]}
    assert lived("run", "--until-idle", *at(12)).code == 0
    assert len(json.loads(lived("points", "--output", "json").out)["points"]) == 2
    memory = open_memory(lived.root / "var" / "hq.db")
    try:
        records = [each.body for each in memory.evidence.records() if each.kind is EvidenceKind.STATE]
    finally:
        memory.close()
    facts = [each for each in records if "volume" not in each]
    assert [each["what"] for each in facts] == ["firstUse", "declaredLost", "firstUse"]
    assert facts[1]["reason"] == "the disk burnt"
    assert "one (newest point 2026-03-10 11:00 UTC)" in facts[1]["machines"]


def test_a_volume_is_declared_lost_alone(lived: Shop) -> None:
    """What lies on the others is as it was, and a new replica is made where the old one was."""
    lived.cluster.add(3, "three")
    lived.policy("volumes: [", "volumes: [{name: vol-z, capacity: 1 GB}, ")
    group = lived.root / "policies" / "site.yaml"
    iron = group.read_text(encoding="utf-8").rpartition("---")[2].replace("gold", "iron").replace("one, two", "three")
    with group.open("a", encoding="utf-8") as file:
        file.write("---" + iron.replace("  shortTerm:", "  storage: {volume: vol-z}\n  shortTerm:"))
    assert lived("apply", "--yes", *at(12)).code == 0
    assert lived("run", "--until-idle", *at(12)).code == 0
    store = lived.root / "var" / "mabs-01"
    kept = tree(store / "volumes" / "vol-a")
    shutil.rmtree(store / "volumes" / "vol-z")
    assert lived("store", "declare-lost", "mabs-01", "--volume", "vol-y", "--reason", "x", "--yes").code == 64
    run = lived("run", "--once", *at(13))
    assert (run.code, "RCL4021" in run.out, "2 jobs succeeded" in run.out) == (69, True, True), run
    done = lived("store", "declare-lost", "mabs-01", "--volume", "vol-z", "--reason", "the disk burnt", "--yes")
    assert done.code == 0, done
    assert ("three: newest point 2026-03-10 12:00" in done.out, "one: newest" in done.out) == (True, False), done
    assert tree(store / "volumes" / "vol-a").keys() >= kept.keys()
    assert lived("run", "--until-idle", *at(13)).code == 0
    points = json.loads(lived("points", "--output", "json").out)["points"]
    assert sorted(each["machine"] for each in points) == [*["one"] * 4, "three", *["two"] * 4]
    memory = open_memory(lived.root / "var" / "hq.db")
    try:
        facts = [each.body for each in memory.evidence.records() if each.kind is EvidenceKind.STATE]
    finally:
        memory.close()
    told = [(each["what"], each["volume"]) for each in facts if each.get("volume") == "vol-z"]
    assert told == [("firstUse", "vol-z"), ("declaredLost", "vol-z"), ("firstUse", "vol-z")]


@pytest.mark.parametrize("volume", [None, "vol-a"])
def test_jobs_of_a_store_that_is_lost_answer_nothing_in_the_next(shop: Shop, volume: str | None) -> None:
    """The first copy is made at once, not at the next slot."""
    assert shop("run", "--until-idle", *at(10)).code == 0
    shutil.rmtree(shop.root / "var" / "mabs-01" / (f"volumes/{volume}" if volume else ""))
    given = ("--volume", volume) if volume else ()
    assert shop("store", "declare-lost", "mabs-01", *given, "--reason", "the disk died", "--yes").code == 0
    run = shop("run", "--until-idle", "--now", "2026-03-10T10:05Z")
    assert (run.code, run.out.count("succeeded  initial replica")) == (0, 2), run


def test_a_check_does_not_say_that_nothing_is_there_where_the_store_is_refused(lived: Shop) -> None:
    (lived.root / "var" / "mabs-01").rename(lived.root / "away")
    for command in (("check", "one"), ("check",)):
        said = lived(*command)
        assert (said.code, "RCL5043" in said.err, "No replica" in said.err) == (69, True, False), said


def test_giving_a_store_up_is_asked_in_a_terminal(lived: Shop) -> None:
    gone(lived)
    child = _spawn(lived.root, "store", "declare-lost", "mabs-01", "--reason", "the disk burnt")
    child.expect("newest point")
    child.expect("Type .yes. to continue")
    child.sendline("yes")
    child.expect("Declared lost")
    child.wait()
    assert child.exitstatus == 0


def test_a_site_without_a_state_makes_none_by_reading(shop: Shop) -> None:
    before = tree(shop.root)
    for command in (
        ("status", *at(10)),
        ("plan", *at(10)),
        ("drift", *at(10)),
        ("points",),
        ("jobs",),
        ("lock", "show"),
    ):
        shop(*command)
    assert not (shop.root / "var").exists()
    assert {name for name in tree(shop.root) if not name.startswith(".reconciler")} == set(before)
    plan = shop("plan", "--output", "json", *at(10))
    assert "RCL5046" in {finding["code"] for finding in json.loads(plan.out)["findings"]}


# --- A site of version 0.1 -------------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path: Path, run: Callable[..., Said]) -> Callable[..., Said]:
    """The site that version 0.1 left."""
    root = tmp_path / "old"
    shutil.copytree(Path(__file__).parents[1] / "data" / "site-0.1", root)
    return lambda *words: run(*words, "-C", str(root))


def test_a_site_of_version_0_1_is_read_as_it_is_and_takes_its_identity_at_the_first_write(
    old: Callable[..., Said], tmp_path: Path
) -> None:
    root = tmp_path / "old"
    state = next(root.rglob("hq.db"))
    before = tree(state.parent)
    points = json.loads(old("points", "--output", "json").out)["points"]
    assert points
    assert old("status").code in (0, 6)
    assert tree(state.parent) == before
    assert "RCL3012" not in old("plan").out
    run = old("run", "--once")
    assert "RCL5" not in run.out + run.err, run
    backup = state.with_name("hq.db.format-1.tar")
    assert backup.exists()
    memory = open_memory(state)
    try:
        assert memory.lineage() is not None
        assert memory.stores.known()
        told = [each.body["what"] for each in memory.evidence.records() if each.kind is EvidenceKind.STATE]
        assert "identityTaken" in told
    finally:
        memory.close()
    after = {each["point"]["id"] for each in json.loads(old("points", "--output", "json").out)["points"]}
    assert {each["point"]["id"] for each in points} <= after
    assert old("state", "restore", str(backup), "--yes").code == 0


@pytest.mark.parametrize("first", [("recover", "sql-01", "--to", "o", "--yes"), ("check", "sql-01")])
def test_whatever_command_writes_first_to_a_store_of_version_0_1_it_stays_ours(
    tmp_path: Path, run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, first: tuple[str, ...]
) -> None:
    root = copy_old_site(tmp_path / "old")
    monkeypatch.chdir(root)
    assert run(*first).code == 0
    memory = open_memory(next(root.rglob("hq.db")))
    try:
        assert memory.stores.known()  # noted by the first command itself, not by one that comes later
    finally:
        memory.close()
    for command in (("run", "--once"), ("apply", "--yes")):
        said = run(*command)
        assert (said.code, "RCL3012" in said.out + said.err) == (0, False), said


@pytest.mark.parametrize("first", [(), (("recover", "one", "--to", "o", "--yes", *at(15)), ("run", "--once", *at(15)))])
def test_state_and_server_db_are_lost(lived: Shop, first: tuple[tuple[str, ...], ...]) -> None:
    """Rebuilding begins a state above every token that a catalog has seen, whoever began one before it."""
    for hour in (12, 13, 14):
        assert lived("run", "--until-idle", *at(hour)).code == 0
    shutil.rmtree(lived.root / "var" / "hq.evidence")
    databases = [*(lived.root / "var").glob("hq.db*"), *(lived.root / "var" / "mabs-01").glob("server.db*")]
    assert len(databases) >= 2
    for path in databases:
        path.unlink()
    for words in first:
        said = lived(*words)
        assert (said.code, "store rebuild" in said.out + said.err) == (69, True), said
    said = lived("store", "rebuild", "mabs-01")
    assert (said.code, "2 virtual machines" in said.out or "rebuilt" in said.out) == (0, True), said
    out = lived.root / "recovered"
    assert lived("recover", "one", "--to", str(out), "--yes", *at(15)).code == 0
    assert lived("apply", "--adopt", "*", "--yes", *at(15)).code == 0
    done = lived("run", "--until-idle", *at(16))
    assert (done.code, "0 failed" in done.out) == (0, True), done
    assert lived("status", "--check", *at(16)).code == 0


@pytest.mark.parametrize(("kind", "code"), [("store", "RCL5043"), ("cluster", "RCL2001")])
def test_what_was_moved_is_not_told_as_lost_alone(lived: Shop, kind: str, code: str) -> None:
    """cases/safety: moved-store. The site names its new place, which waits for a person's yes."""
    old, new = ("var/mabs-01", "var/moved") if kind == "store" else ("cluster", "moved")
    (lived.root / old).rename(lived.root / new)
    lived.policy(f"path: {old}}}", f"path: {new}}}")
    for words in (
        ("plan", *at(12)),
        ("status", *at(12)),
        ("run", "--until-idle", *at(12)),
        ("apply", "--yes", *at(12)),
        ("recover", "one", "--yes", *at(12)),
    ):
        said = lived(*words)
        told = said.out + said.err
        assert (code in told, "RCL3103" in told, f"path: {new}" in told) == (True, True, True), (words, said)
        assert "in a terminal" in told, (words, said)
    child = _spawn(lived.root, "apply", *at(12))
    child.expect("Apply anyway")
    child.sendline("yes")
    child.wait()
    assert lived("run", "--until-idle", *at(13)).code == 0


def test_a_run_by_the_last_good_policies_says_so_by_its_exit_code(lived: Shop) -> None:
    """Whatever is wrong with them: here a second site has the place of the first one's server."""
    text = (lived.root / "policies" / "site.yaml").read_text().partition("---\n")[0]
    second = text.replace("name: hq", "name: lab").replace("var/hq.db", "var/lab.db")
    (lived.root / "policies" / "lab.yaml").write_text(second)
    assert lived("validate").code == 65
    said = lived("run", "--once", "--site", "hq", *at(12))
    assert (said.code, "RCL2111" in said.out) == (65, True), said
    assert "2 jobs succeeded" in said.out


def test_a_named_pipe_where_a_database_is_expected_holds_nobody(lived: Shop) -> None:
    for place in (lived.root / "var" / "hq.db", lived.root / "var" / "mabs-01" / "server.db"):
        place.rename(place.with_name("away"))
        os.mkfifo(place)
        for words in (("plan", *at(12)), ("status", *at(12)), ("run", "--once", *at(12)), ("points",)):
            said = lived(*words)
            assert (said.code in (65, 69, 1, 6, 74), "named pipe" in said.out + said.err) == (True, True), (words, said)
        place.unlink()
        place.with_name("away").rename(place)
    assert lived("run", "--once", *at(12)).code == 0
