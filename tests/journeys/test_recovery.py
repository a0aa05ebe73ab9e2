"""Recovery on the command line: what was refused or cut off never runs later by itself; what is half done is asked."""

from __future__ import annotations

import shutil

import pytest

from tests.fakes import BLOCK, machine_id
from tests.shop import Shop
from tests.support.dying import killed

T1 = ("--now", "2026-03-10T12:00Z")
T2 = ("--now", "2026-03-10T12:30Z")
LATER = ("--now", "2026-03-10T17:00Z")


@pytest.fixture
def backed_up(shop: Shop) -> Shop:
    assert shop("run", "--until-idle", *T1).code == 0
    shop.cluster.disk(1).write_bytes(b"before the recovery" * 5000)
    return shop


def beside(shop: Shop) -> list[str]:
    return [path.name for path in shop.cluster.disk(1).parent.iterdir() if path.name not in ("disk.raw", "vm.json")]


def work_with(shop: Shop) -> bytes:
    """Somebody goes on with the machine as it is."""
    with shop.cluster.disk(1).open("r+b") as file:
        file.write(b"worked with for a day")
    return shop.cluster.disk(1).read_bytes()


def test_a_recovery_that_was_refused_never_runs_later(shop: Shop) -> None:
    """The state is an older copy; the server has seen more since."""
    shop("run", "--until-idle", *T1)
    states = [path for path in (shop.root / "var").iterdir() if path.name.startswith("hq")]
    kept = shop.root / "kept"
    kept.mkdir()
    for path in states:
        (shutil.copytree if path.is_dir() else shutil.copy)(path, kept / path.name)
    for _ in range(2):
        assert shop("check", "one", *T2).code == 0
    for path in [path for path in (shop.root / "var").iterdir() if path.name.startswith("hq")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in kept.iterdir():
        (shutil.copytree if path.is_dir() else shutil.copy)(path, shop.root / "var" / path.name)
    shop.cluster.disk(1).write_bytes(b"ruined")
    said = shop("recover", "one", "--yes", *T2)
    assert (said.code, "RCL5045" in said.err) == (69, True)
    left = work_with(shop)
    for _ in range(2):
        shop("run", "--until-idle", *LATER)
        assert shop.cluster.disk(1).read_bytes() == left


def test_a_recovery_that_was_killed_while_it_staged_never_runs_later(backed_up: Shop) -> None:
    killed(backed_up.root, "reconciler.engines.embedded.recover", "_verify", 0, "recover", "one", "--yes", *T2)
    assert [name for name in beside(backed_up) if name.endswith(".staged")]
    left = work_with(backed_up)
    assert backed_up("run", "--until-idle", *LATER).code == 0
    assert backed_up.cluster.disk(1).read_bytes() == left
    assert beside(backed_up) == []
    said = backed_up("status", *LATER)
    assert "RCL7024" in said.out
    assert "interrupted before anything was replaced" in said.out
    assert backed_up("recover", "one", "--yes", *LATER).code == 0
    assert "RCL7024" not in backed_up("status", *LATER).out


def test_what_was_staged_by_a_recovery_that_was_killed_is_said_until_it_is_removed(backed_up: Shop) -> None:
    """cases/safety: undo-of-a-recovery-killed-while-it-staged."""
    killed(backed_up.root, "reconciler.engines.embedded.recover", "_verify", 0, "recover", "one", "--yes", *T2)
    left = work_with(backed_up)
    backed_up("jobs", *T2)
    assert "RCL7029" in backed_up("status", *T2).out
    said = backed_up("recover", "one", "--undo", "--yes", *T2)
    assert (said.code, "what was staged for it is removed" in said.out) == (0, True), said
    assert beside(backed_up) == []
    assert "RCL7029" not in backed_up("status", *T2).out
    assert backed_up("recover", "one", "--undo", "--yes", *T2).code == 6
    assert backed_up.cluster.disk(1).read_bytes() == left


def test_no_run_backs_up_what_is_half_recovered_and_no_rebuild_forgets_it(backed_up: Shop) -> None:
    killed(backed_up.root, "reconciler.staging", "LocalTarget.put", 1, "recover", "one", "--yes", *T2)
    backed_up.cluster.role(1, power="running")
    backed_up("run", "--once", *T2)
    backed_up.cluster.role(1)
    points = backed_up("points").out
    assert backed_up("store", "rebuild", "mabs-01", "one", "--even-if-sound").code == 0
    said = backed_up("status", "--check", *T2)
    assert (said.code, "RCL7022" in said.err) == (9, True)
    assert backed_up("check", "one", *T2).code == 1
    said = backed_up("run", "--until-idle", *LATER)
    assert (said.code, "RCL7022" in said.out) == (1, True)
    made = [line for line in backed_up("points").out.splitlines() if line not in points and " one " in line]
    assert made == []
    catalogs = backed_up.root.glob("var/mabs-01/volumes/*/*/catalog.db")
    next(path for path in catalogs if machine_id(1)[:20] in str(path)).unlink()
    said = backed_up("store", "rebuild", "mabs-01", "one")
    assert (said.code, "RCL7030" in said.out, ".original-" in said.out) == (1, True, True), said
    said = backed_up("status", "--check", *LATER)
    assert (said.code, "RCL7030" in said.err) == (9, True)
    said = backed_up("run", "--until-idle", *LATER)
    assert (said.code, "RCL7030" in said.out) == (1, True)
    assert backed_up("check", "one", *LATER).code == 1


@pytest.mark.parametrize("mode", ["lost", "run"])
def test_a_recovery_that_was_killed_before_its_first_rename(backed_up: Shop, mode: str) -> None:
    killed(backed_up.root, "reconciler.staging", "LocalTarget.put", 0, "recover", "one", "--yes", *T2)
    disk = backed_up.cluster.disk(1)
    assert disk.read_bytes() == b"before the recovery" * 5000
    if mode == "lost":
        for path in disk.parent.glob(".*.staged"):
            path.unlink()
        left = disk.read_bytes()
    else:
        backed_up.cluster.role(1, power="running")
        left = work_with(backed_up)
    said = backed_up("recover", "one", "--to", str(backed_up.root / "elsewhere"), "--yes", *T2)
    assert said.code == 0
    assert "had been interrupted: the recovery was not carried out" in said.err
    assert disk.read_bytes() == left
    assert beside(backed_up) == []
    assert "recovery" in backed_up("jobs").out
    assert "succeeded  recovery of one" not in backed_up("jobs").out.replace("elsewhere", "")


def test_a_recovery_that_was_killed_when_all_was_ready_is_finished_while_nothing_changed(backed_up: Shop) -> None:
    killed(backed_up.root, "reconciler.engines.embedded.cutover", "carry_out", 0, "recover", "one", "--yes", *T2)
    said = backed_up("check", "two", *T2)
    assert "its conditions still hold, and it was finished" in said.err
    assert len(backed_up.cluster.disk(1).read_bytes()) == 3 * BLOCK + 777
    assert beside(backed_up) == []
    killed(backed_up.root, "reconciler.engines.embedded.cutover", "carry_out", 0, "recover", "one", "--yes", *T2)
    assert backed_up("run", "--until-idle", "--now", "2026-03-11T13:00Z").code in (0, 1)
    assert "it was confirmed only until" in backed_up("status", "--now", "2026-03-11T13:00Z").out


def test_one_that_is_half_done_is_said_and_asked_for_anew(backed_up: Shop) -> None:
    before = backed_up.cluster.disk(1).read_bytes()
    killed(backed_up.root, "reconciler.staging", "LocalTarget.put", 1, "recover", "one", "--yes", *T2)
    assert backed_up.cluster.disk(1).read_bytes() != before
    backed_up.cluster.role(1, power="running")
    backed_up("run", "--once", *T2)
    said = backed_up("status", *T2)
    assert "1 of 2 files are replaced" in said.out
    said = backed_up("status", "--check", *T2)
    assert (said.code, "RCL7022" in said.err) == (9, True)
    assert "recover --undo one" in said.out
    said = backed_up("recover", "one", "--yes", *T2)
    assert (said.code, "RCL7022" in said.err + said.out) == (6, True)
    assert backed_up("recover", "one", "--undo", "--yes", *T2).code == 6
    backed_up.cluster.role(1)
    assert backed_up("recover", "one", "--undo", *T2).code == 5
    assert backed_up("recover", "one", "--undo", "--continue", *T2).code == 64
    assert backed_up("recover", "one", "--undo", "--to", "x", *T2).code == 64
    said = backed_up("recover", "one", "--undo", "--yes", *T2)
    assert said.code == 0
    assert "Undoing a recovery of one" in said.out
    assert backed_up.cluster.disk(1).read_bytes() == before
    assert beside(backed_up) == []
    assert "RCL7022" not in backed_up("status", *T2).out
    assert backed_up("recover", "one", "--continue", "--yes", *T2).code == 6
    assert backed_up("status", "--check", *T2).code == 0
    killed(backed_up.root, "reconciler.staging", "LocalTarget.put", 1, "recover", "one", "--yes", *T2)
    assert backed_up("recover", "one", "--undo", "--yes", *T2).code == 0
    assert backed_up.cluster.disk(1).read_bytes() == before
    assert beside(backed_up) == []
    killed(backed_up.root, "reconciler.staging", "LocalTarget.put", 1, "recover", "one", "--yes", *T2)
    backed_up.cluster.role(1, power="running")
    backed_up("run", "--once", *T2)
    backed_up.cluster.role(1)
    assert backed_up("recover", "one", "--continue", "--yes", *T2).code == 0
    assert len(backed_up.cluster.disk(1).read_bytes()) == 3 * BLOCK + 777
    assert beside(backed_up) == []


def test_a_machine_without_a_point_an_excluded_one_and_an_unknown_one(shop: Shop) -> None:
    shop("apply", "--yes", *T1)
    said = shop("recover", "one", "--to", str(shop.root / "out"), "--yes", *T1)
    assert said.code == 6
    assert "'one' has no recovery point at all; initial replica pending;" in said.err
    shop.cluster.add(3, "three")
    (shop.root / "policies" / "excluded.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Exclusion\nmetadata: {name: lab}\nspec:\n  site: hq\n"
        "  virtualMachines: {cluster: hci-01, names: [three]}\n  reason: a laboratory, rebuilt each night\n"
        "  owner: ann\n  until: 2029-12-31\n"
    )
    assert "no group and no exclusion matches it" in shop("recover", "three", "--yes", *T1).err, (
        "nobody agreed to it yet"
    )
    assert shop("apply", "--break-glass", "a laboratory", "--yes", *T1).code == 0
    said = shop("recover", "three", "--yes", *T1)
    assert said.code == 6
    assert "'three' has no recovery point at all; it is excluded" in said.err
    said = shop("recover", "nobody", "--yes", *T1)
    assert (said.code, "RCL7002" in said.err) == (64, True)


@pytest.mark.parametrize("where", ["folder", "original"])
def test_without_its_state_a_machine_comes_back_all_the_same(backed_up: Shop, where: str) -> None:
    for path in [path for path in (backed_up.root / "var").iterdir() if path.name.startswith("hq")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    out = backed_up.root / "out"
    words = ("--to", str(out)) if where == "folder" else ()
    assert backed_up("recover", "one", *words, *T2).code == 5
    said = backed_up("recover", "one", *words, "--yes", *T2)
    assert said.code == 0, said
    assert "the state does not know this store" in said.out
    disk = out / "disk.raw" if where == "folder" else backed_up.cluster.disk(1)
    assert len(disk.read_bytes()) == 3 * BLOCK + 777


def test_a_disk_is_named_by_its_path_where_two_have_its_name(shop: Shop) -> None:
    home = f"volumes/csv-01/{machine_id(1)}"
    for name in ("a", "b"):
        place = shop.cluster.folder / home / name / "disk.raw"
        place.parent.mkdir()
        place.write_bytes(name.encode() * 1000)
    settings = {"checkpoints": [], "replication": {"mode": "none"}}
    disks = [{"path": "a/disk.raw"}, {"path": "b/disk.raw"}]
    shop.cluster.write(f"{home}/vm.json", {"id": machine_id(1), "name": "one", **settings, "disks": disks})
    shop("run", "--until-idle", *T1)
    (shop.cluster.folder / home / "a" / "disk.raw").unlink()
    (shop.cluster.folder / home / "b" / "disk.raw").write_bytes(b"newer and good")
    said = shop("recover", "one", "--disk", "disk.raw", "--yes", *T2)
    assert said.code == 64
    assert f"{home}/a/disk.raw" in said.err
    assert shop("recover", "one", "--disk", "a/disk.raw", "--yes", *T2).code == 0
    assert (shop.cluster.folder / home / "a" / "disk.raw").read_bytes() == b"a" * 1000
    assert (shop.cluster.folder / home / "b" / "disk.raw").read_bytes() == b"newer and good"


def test_two_machines_that_name_one_file_are_said_and_not_recovered_over(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    theirs = f"volumes/csv-01/{machine_id(1)}/disk.raw"
    shop.cluster.add(2, "two", disks=[{"path": theirs}])
    shop.cluster.role(2, power="running")
    before = shop.cluster.disk(1).read_bytes()
    said = shop("plan", *T2)
    assert said.out.count("RCL7013") == 2
    said = shop("preflight", "--all")
    assert "one has a disk that two has too" in said.out
    assert "two has a disk that one has too" in said.out
    said = shop("recover", "one", "--yes", *T2)
    assert (said.code, "'two'" in said.err + said.out) == (6, True)
    assert shop.cluster.disk(1).read_bytes() == before


def test_going_on_says_that_it_was_finished(backed_up: Shop) -> None:
    """The command that `status` names: where nothing has changed, settling what was cut off finishes it."""
    killed(backed_up.root, "reconciler.staging", "LocalTarget.put", 1, "recover", "one", "--yes", *T2)
    assert "recover --continue one" in backed_up("status", *T2).out
    said = backed_up("recover", "one", "--continue", "--yes", *T2)
    assert said.code == 0, said.err
    assert "Recovered 2 files" in said.out
    assert "RCL7023" not in said.err
    assert len(backed_up.cluster.disk(1).read_bytes()) == 3 * BLOCK + 777
    assert beside(backed_up) == []
    said = backed_up("recover", "one", "--continue", "--yes", *T2)
    assert (said.code, "RCL7023" in said.err) == (6, True)


@pytest.mark.parametrize("step", ["--undo", "--continue"])
def test_what_is_half_done_is_not_denied_while_the_store_is_away(backed_up: Shop, step: str) -> None:
    before = backed_up.cluster.disk(1).read_bytes()
    killed(backed_up.root, "reconciler.staging", "LocalTarget.put", 1, "recover", "one", "--yes", *T2)
    store = backed_up.root / "var" / "mabs-01"
    store.rename(backed_up.root / "away")
    said = backed_up("recover", "one", step, "--yes", *T2)
    assert (said.code, "RCL7026" in said.err, ".original-" in said.err) == (69, True, True)
    (backed_up.root / "away").rename(store)
    assert backed_up("recover", "one", "--undo", "--yes", *T2).code == 0
    assert backed_up.cluster.disk(1).read_bytes() == before


@pytest.mark.parametrize(
    "inside", ["policies/x", ".reconciler", "var/mabs-01/volumes/new", "cluster/volumes/new", "var/hq.evidence"]
)
def test_nothing_is_recovered_into_what_the_site_keeps(shop: Shop, inside: str) -> None:
    assert shop("run", "--until-idle", *T1).code == 0
    before = {path for path in shop.root.rglob("*") if path.is_file()}
    (shop.root / "link").symlink_to(shop.root)
    for folder in (inside, f"link/{inside}", f"elsewhere/../{inside}"):
        said = shop("recover", "one", "--to", str(shop.root / folder), "--yes", *T1)
        assert (said.code, "RCL7027" in said.err) == (6, True), said
    assert not {path for path in shop.root.rglob("*.raw") if path.is_file()} - before
    assert shop("recover", "one", "--to", str(shop.root / "out"), "--yes", *T1).code == 0
