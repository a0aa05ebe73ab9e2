"""What is missing, older or another one is never taken for new: what is said in each case, and that nothing is made."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from reconciler import files
from reconciler.engines.embedded import copies, open_engine
from reconciler.engines.embedded.records import POINT, as_recorded, folder_name
from reconciler.engines.embedded.replica import ReplicaStore
from reconciler.engines.embedded.sealed import Rows
from reconciler.errors import Damaged, ReconcilerError, StaleFence, Unreachable
from reconciler.model import (
    CreateGroup,
    DataSource,
    ExistingPoints,
    JobKind,
    JobState,
    Lineage,
    Presence,
    Recovery,
    RecoveryTarget,
    ReplicaState,
    StoreLineage,
    UpdateGroup,
)
from reconciler.protocols import Fence
from tests.engines.test_embedded import Lab
from tests.fakes import STATE, DiskCluster, SetClock, first_use, group, job, setup_for
from tests.fakes import recovery_of as _recovery_of

F = Fence(1)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.engine.close()


def store(lab: Lab) -> Path:
    return lab.folder / "store"


def replica(lab: Lab) -> Path:
    return next((store(lab) / "volumes" / "vol-a").glob("hci-01-*"))


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def reopened(lab: Lab) -> None:
    lab.engine.close()
    lab.engine = lab.open()


def grown(lab: Lab, points: int = 3) -> list[str]:
    assert lab.initial().state is JobState.SUCCEEDED
    for number in range(points - 1):
        lab.cluster.change(1, number % 3, seed=number)
        assert lab.back_up().state is JobState.SUCCEEDED
    return lab.points()


# --- First use -------------------------------------------------------------------------------------------------


def test_a_store_whose_making_was_cut_off_says_whose_it_is_or_is_not_there(tmp_path: Path) -> None:
    fence, left = Fence(812), 0

    def cut(step: files.Step) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    found, number = set(), 0
    while True:
        number += 1
        left = number
        setup = setup_for(tmp_path / str(number), DiskCluster(tmp_path / "cluster"), SetClock())
        engine = open_engine(setup)
        try:
            with files.watch(cut):
                engine.establish(STATE, fence)
            break
        except KeyboardInterrupt:
            engine.close()
            engine = open_engine(setup)
            said = engine.lineage()
            found.add(said.presence)
            assert said.presence is Presence.ABSENT or (said.state, said.token) == (STATE, 812), number
            assert engine.establish(STATE, fence).state == STATE, number
        finally:
            engine.close()
    assert found == {Presence.ABSENT, Presence.PRESENT}


def test_a_maker_that_wakes_after_another_took_over_replaces_nothing(tmp_path: Path) -> None:
    newer = Lineage(STATE.id, 99)
    number, ours = 0, StoreLineage(Presence.ABSENT, "")
    while True:
        number += 1
        left = number
        setup = setup_for(tmp_path / str(number), DiskCluster(tmp_path / "cluster"), SetClock())
        one, other = open_engine(setup), open_engine(setup)

        def taken_over(step: files.Step) -> None:
            nonlocal left, ours
            if step.kind == "commit" and step.path.endswith("server.db"):
                return  # inside a transaction nobody else comes in
            left -= 1
            if left == 0:
                ours = other.establish(newer, Fence(2))  # noqa: B023 - called in this round alone

        try:
            with files.watch(taken_over):
                one.establish(STATE, Fence(1))
            assert left > 0, number
            break
        except StaleFence:
            one.close()
            assert other.lineage() == ours, number
            assert (ours.state, ours.token) == (newer, 2)
            other.close()
            one = open_engine(setup)
            said = one.note_state(newer, Fence(3))
            assert said.store is not None
            assert ours.store is not None
            assert said.store.id == ours.store.id, number
            assert not list((tmp_path / str(number)).glob("server.new*"))
        finally:
            one.close()
            other.close()
    assert number > 5


# --- Missing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [True, False])
def test_a_store_that_is_not_mounted_is_absent_and_is_not_made(lab: Lab, empty: bool) -> None:
    grown(lab)
    lab.engine.close()
    store(lab).rename(lab.folder / "away")
    if empty:
        (store(lab) / "lost+found").mkdir(parents=True)
    lab.engine = lab.open()
    assert lab.engine.lineage().presence is Presence.ABSENT
    assert lab.engine.observe().groups == ()
    for act in (
        lambda: lab.engine.check_store(None),
        lambda: lab.engine.apply(CreateGroup("mabs-01", group("gold", lab.one)), F),
        lab.back_up,
        lambda: lab.engine.note_state(STATE, F),
    ):
        with pytest.raises(Unreachable) as gone:
            act()
        assert gone.value.exit_code == 69
        assert str(store(lab)) in gone.value.diagnostic.message
    assert sorted(path.name for path in store(lab).iterdir()) == ["lost+found"] if empty else not store(lab).exists()


@pytest.mark.parametrize("what", ["server.db", "catalog.db", "replica", "volume"])
def test_what_is_on_record_and_gone_is_said_and_not_made_anew(lab: Lab, what: str) -> None:
    grown(lab)
    lab.engine.close()
    place = {
        "server.db": store(lab) / "server.db",
        "catalog.db": replica(lab) / "catalog.db",
        "replica": replica(lab),
        "volume": store(lab) / "volumes" / "vol-a",
    }[what]
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    before = listing(store(lab))
    lab.engine = lab.open()
    if what == "server.db":
        for act in (lab.engine.observe, lab.engine.lineage, lambda: lab.engine.check_store(None), lab.back_up):
            with pytest.raises(Unreachable, match=r"server\.db is missing"):
                act()
        with pytest.raises(Unreachable):
            lab.engine.establish(STATE, F)
    else:
        assert "RCL4021" in lab.findings()
        assert lab.state() is ReplicaState.INCONSISTENT
        assert "RCL4021" in {each.code for each in lab.engine.check_store(None).findings}
        assert lab.back_up().code == "RCL4021"
        assert lab.initial().code == "RCL4021"
    lab.engine.close()
    after = listing(store(lab))
    assert set(after) - {"server.db"} == set(before) - {"server.db"}
    assert not place.exists()


def test_a_file_that_says_whose_it_is_is_written_anew(lab: Lab) -> None:
    grown(lab)
    for path in (store(lab) / "format.json", store(lab) / "volumes/vol-a/volume.json", replica(lab) / "identity.json"):
        was = path.read_bytes()
        path.unlink()
        reopened(lab)
        assert lab.findings() == ["RCL4024"]
        assert lab.back_up().state is JobState.SUCCEEDED
        assert path.read_bytes() == was
        assert lab.findings() == []


# --- Older, or another one -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "since"), [("catalog.db", 2), ("catalog.db", 1), ("server.db", 2)])
def test_an_older_database_is_said_and_not_written_to(lab: Lab, what: str, since: int) -> None:
    """A catalog that is behind by one job looks as if that job had died, but for what the server's database noted."""
    grown(lab)
    lab.engine.close()
    path = store(lab) / what if what == "server.db" else replica(lab) / what
    old = path.read_bytes()
    lab.engine = lab.open()
    made = [*lab.points(), *(lab.back_up().result.point for _ in range(since))]  # type: ignore[union-attr]
    lab.engine.close()
    path.write_bytes(old)
    copies_before = listing(replica(lab) / "points")
    lab.engine = lab.open()
    assert "RCL4025" in lab.findings()
    assert "RCL4025" in {each.code for each in lab.engine.check_store(None).findings}
    assert lab.back_up().code == "RCL4025"
    assert listing(replica(lab) / "points") == copies_before
    if what == "catalog.db":
        done = lab.engine.rebuild(lab.one, F)
        assert (done.replicas, done.findings) == ((lab.one,), ())
        assert lab.points() == made
        assert lab.check().state is JobState.SUCCEEDED
        assert lab.findings() == []


def test_an_older_servers_database_is_known_however_often_it_was_written_to(lab: Lab) -> None:
    """It was put back together with the state, which therefore says nothing; the catalogs are newer, and sound."""
    made = grown(lab)
    lab.engine.close()
    path = store(lab) / "server.db"
    old = path.read_bytes()
    lab.engine = lab.open()
    made += [lab.back_up().result.point for _ in range(2)]  # type: ignore[union-attr]
    held = lab.cluster.disk(1).read_bytes()
    lab.engine.close()
    path.write_bytes(old)
    lab.engine = lab.open()
    before = listing(store(lab))
    assert lab.back_up().code == "RCL4025"
    reopened(lab)
    for write in (
        lambda: lab.engine.note_state(STATE, F),
        lambda: lab.engine.apply(CreateGroup("mabs-01", group("silver", lab.one)), F),
    ):
        with pytest.raises(Damaged, match="is older than it was"):
            write()
    lab.engine.close()
    assert listing(store(lab)) == before  # what is refused writes nothing
    with sqlite3.connect(path) as db:  # and if somebody does, far past what the catalogs noted
        rows = Rows(db, path)  # type: ignore[arg-type]
        db.row_factory = sqlite3.Row
        rows.begin(msgspec.structs.replace(rows.head(), generation=999))
        rows.end()
    db.close()
    lab.engine = lab.open()
    assert "RCL4025" in lab.findings()
    assert lab.back_up().code == "RCL4025"
    asked = _recovery_of(lab.one, Recovery(made[-1], RecoveryTarget.FOLDER, folder=str(lab.folder / "x")))
    assert ["read alone" in each for each in lab.engine.preview(asked).notes] == [True]
    status, copy = lab.recover(made[-1])
    assert (status.state, copy.read_bytes()) == (JobState.SUCCEEDED, held)
    assert lab.engine.rebuild(lab.one, F).findings == ()
    assert lab.points() == made
    assert lab.check().state is JobState.SUCCEEDED
    assert lab.findings() == []


def test_a_job_that_died_at_any_write_leaves_no_mark_that_is_not_known(lab: Lab) -> None:
    grown(lab)
    number = left = 0

    def died(step: files.Step) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise OSError(5, "killed", step.path)

    while True:
        number += 1
        left = number
        lab.cluster.change(1, 0, seed=number)
        try:
            with files.watch(died):
                lab.back_up()
        except OSError:
            pass
        reopened(lab)
        assert lab.findings() == [], number
        if left > 0:
            break
    assert number > 8
    assert lab.back_up().state is JobState.SUCCEEDED


def test_an_older_catalog_is_recovered_from_and_not_written_to(lab: Lab) -> None:
    """The folder of the replica, as an older copy has it."""
    made = grown(lab)
    held = lab.cluster.disk(1).read_bytes()
    lab.engine.close()
    aside = lab.folder / "aside"
    shutil.copytree(replica(lab), aside)
    lab.engine = lab.open()
    lab.cluster.change(1, 1, seed=77)
    assert lab.back_up().state is JobState.SUCCEEDED
    lab.engine.close()
    folder = replica(lab)
    shutil.rmtree(folder)
    shutil.copytree(aside, folder)
    lab.engine = lab.open()
    before = listing(store(lab))
    assert lab.points() == made
    asked = _recovery_of(lab.one, Recovery(made[-1], RecoveryTarget.FOLDER, folder=str(lab.folder / "x")))
    assert ["read alone" in each for each in lab.engine.preview(asked).notes] == [True]
    status, path = lab.recover(made[-1])
    assert (status.state, path.read_bytes()) == (JobState.SUCCEEDED, held)
    assert lab.back_up().code == "RCL4025"
    lab.engine.close()
    assert listing(store(lab)) == before


@pytest.mark.parametrize("inside", [(), ("lost+found",)])
def test_a_disk_of_its_own_that_is_mounted_for_a_volume_is_a_first_use(tmp_path: Path, inside: tuple[str, ...]) -> None:
    volume = tmp_path / "store" / "volumes" / "vol-a"
    for folder in (volume, *(volume / name for name in inside)):
        folder.mkdir(parents=True)
    lab = Lab(tmp_path)
    try:
        assert lab.initial().state is JobState.SUCCEEDED
        assert lab.findings() == []
        lab.engine.close()
        shutil.rmtree(replica(lab))
        (volume / "volume.json").unlink()
        lab.engine = lab.open()
        assert "RCL4021" in lab.findings()  # the empty disk is no first use any more
        assert lab.back_up().code == "RCL4021"
    finally:
        lab.engine.close()


def test_a_catalog_that_is_ahead_by_a_run_that_died_is_adopted(lab: Lab) -> None:
    """Killed between the commit in the catalog and its note in the server's database."""
    grown(lab)
    lab.cluster.change(1, 0, seed=9)

    def died(step: files.Step) -> None:
        if step.kind == "commit" and step.path.endswith("server.db") and noted:
            raise OSError(5, "killed", step.path)
        if step.kind == "commit" and step.path.endswith("catalog.db"):
            noted.append(step.path)

    noted: list[str] = []
    with files.watch(died):
        assert lab.back_up().state is JobState.SUCCEEDED
    reopened(lab)
    assert lab.findings() == []
    assert len(lab.points()) == 4
    assert lab.back_up().state is JobState.SUCCEEDED


def test_catalogs_and_folders_that_were_exchanged_are_refused(lab: Lab) -> None:
    two = lab.cluster.add(2, "two")
    seen = lab.engine.observe().groups[0]
    both = group("gold", lab.one, two)
    lab.engine.apply(UpdateGroup("mabs-01", seen.ref, seen.group, both), F)
    grown(lab)
    assert lab.do(job(JobKind.INITIAL_REPLICA, two)).state is JobState.SUCCEEDED
    one, other = (store(lab) / "volumes/vol-a" / folder_name(lab.one), store(lab) / "volumes/vol-b" / folder_name(two))
    assert other.is_dir()
    lab.engine.close()
    keep = (one / "catalog.db").read_bytes()
    (one / "catalog.db").write_bytes((other / "catalog.db").read_bytes())
    lab.engine = lab.open()
    assert "RCL4023" in lab.findings()
    assert lab.back_up().code == "RCL4023"
    assert [point.source for point in lab.engine.observe().points] == [two]
    lab.engine.close()
    (one / "catalog.db").write_bytes(keep)
    aside = lab.folder / "aside"
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
    lab.engine = lab.open()
    assert {each.code for each in lab.engine.observe().findings} == {"RCL4016", "RCL4023"}
    assert lab.engine.observe().points == ()
    assert lab.back_up().code == "RCL4023"


def test_the_replica_store_of_another_server_is_refused(lab: Lab, tmp_path: Path) -> None:
    """Of the same virtual machine, whole and sound."""
    grown(lab)
    other = Lab(tmp_path / "other")
    grown(other)
    other.engine.close()
    lab.engine.close()
    shutil.rmtree(replica(lab))
    shutil.copytree(replica(other), store(lab) / "volumes" / "vol-a" / replica(other).name)
    lab.engine = lab.open()
    assert set(lab.findings()) == {"RCL4023"}
    assert lab.points() == []
    assert lab.back_up().code == "RCL4023"


def test_a_map_that_is_not_the_one_of_its_point_is_not_used(lab: Lab) -> None:
    """Map and point are both as they were written, and do not belong together."""
    made = grown(lab)
    with ReplicaStore(lab.engine._server.place(lab.engine._assignment(lab.one))) as opened:
        first, last = (POINT.decode(opened.rows.get("point", made[place]) or b"") for place in (0, -1))
        machine = opened.map_of(made[0])
        assert machine is not None
        assert as_recorded(machine, first) == machine
        with pytest.raises(Damaged):
            as_recorded(machine, last)
        doubted = msgspec.structs.replace(first, doubt="its map and its copy differed")
        with pytest.raises(Damaged):
            as_recorded(machine, doubted)


# --- Made anew -------------------------------------------------------------------------------------------------


def test_the_next_job_deletes_nothing_that_a_lost_catalog_can_be_made_anew_from(lab: Lab) -> None:
    made = grown(lab, 5)
    held = lab.cluster.disk(1).read_bytes()
    lab.engine.close()
    (replica(lab) / "catalog.db").unlink()
    lab.engine = lab.open()
    before = listing(replica(lab))
    for _ in range(3):
        assert lab.back_up().code == "RCL4021"
    assert listing(replica(lab)) == before
    done = lab.engine.rebuild(None, F)
    assert (done.points, done.findings) == (5, ())
    assert lab.points() == made
    assert lab.state() is ReplicaState.INCONSISTENT  # until a consistency check has read it all
    status, path = lab.recover(made[-1])
    assert status.state is JobState.SUCCEEDED, status
    assert path.read_bytes() == held
    assert lab.check().state is JobState.SUCCEEDED
    assert (lab.state(), lab.findings()) == (ReplicaState.VALID, [])
    assert lab.engine.rebuild(None, F).replicas == ()


def test_packs_without_any_copy_of_a_map_are_not_made_an_empty_catalog(lab: Lab) -> None:
    grown(lab)
    lab.engine.close()
    (replica(lab) / "catalog.db").unlink()
    shutil.rmtree(replica(lab) / "points")
    lab.engine = lab.open()
    before = listing(replica(lab))
    assert [each.code for each in lab.engine.rebuild(None, F).findings] == ["RCL4027"]
    assert listing(replica(lab)) == before


@pytest.mark.parametrize("left", [("identity.json",), ("points",), ("identity.json", "points", "catalog.db")])
def test_what_is_another_stores_is_not_made_anew(lab: Lab, tmp_path: Path, left: tuple[str, ...]) -> None:
    """The disk of another server, which holds the same virtual machine, is mounted in the place of ours."""
    grown(lab)
    other = Lab(tmp_path / "other")
    grown(other)
    other.engine.close()
    lab.engine.close()
    volume = store(lab) / "volumes" / "vol-a"
    shutil.rmtree(volume)
    shutil.copytree(store(other) / "volumes" / "vol-a", volume)
    for name in {"identity.json", "points", "catalog.db"} - set(left):
        path = replica(lab) / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = listing(volume)
    lab.engine = lab.open()
    for source in (None, lab.one):
        done = lab.engine.rebuild(source, F)
        assert (done.replicas, [each.code for each in done.findings]) == ((), ["RCL4027"])
        assert "belongs to the server store" in done.findings[0].message
    lab.engine.close()
    assert listing(volume) | {f"{replica(lab).name}/lock": b""} == before | {f"{replica(lab).name}/lock": b""}


def test_a_servers_database_is_made_anew_from_its_replica_stores(lab: Lab) -> None:
    made = grown(lab)
    lab.engine.close()
    was = lab.open().lineage()
    (store(lab) / "server.db").unlink()
    lab.engine = lab.open()
    assert lab.engine.rebuild(None, F).assignments == (lab.one,)
    now = lab.engine.lineage()
    assert was.store is not None
    assert now.store is not None
    assert now.store.id == was.store.id
    assert now.token == was.token
    assert lab.points() == made
    kept = lab.engine.observe().replicas[0]
    assert (kept.group, kept.existing_points) == (None, ExistingPoints.KEEP_FOREVER)
    lab.engine.apply(CreateGroup("mabs-01", group("gold", lab.one)), F)
    assert lab.back_up().state is JobState.SUCCEEDED
    assert lab.points()[:-1] == made
    assert lab.findings() == []


def test_a_volume_that_was_declared_lost_begins_anew(lab: Lab) -> None:
    grown(lab)
    lab.engine.close()
    shutil.rmtree(store(lab) / "volumes" / "vol-a")
    lab.engine = lab.open()
    assert lab.engine.declare_lost("vol-a", F) == (lab.one,)
    assert (lab.state(), lab.findings()) == (ReplicaState.PENDING, [])
    assert lab.initial().state is JobState.SUCCEEDED
    assert len(lab.points()) == 1


def test_a_store_that_was_declared_lost_is_put_aside_and_begins_anew(lab: Lab) -> None:
    grown(lab)
    lab.engine.close()
    (store(lab) / "server.db").write_bytes(b"no database")
    lab.engine = lab.open()
    assert lab.engine.declare_lost(None, F) == ()
    assert lab.engine.lineage().presence is Presence.ABSENT
    first_use(lab.engine)
    assert lab.engine.lineage().presence is Presence.PRESENT
    assert len(list(store(lab).glob("lost-*/volumes/vol-a/*/packs/*/*.pack"))) > 0


# --- Fences ----------------------------------------------------------------------------------------------------


def test_a_holder_that_slept_writes_nothing_to_a_catalog(lab: Lab) -> None:
    """Its own lease went to somebody else, who has worked on the replica since."""
    mine, theirs = Fence(4, "replica"), Fence(5, "replica")
    made = grown(lab, 6)
    lab.clock.forward(timedelta(days=30))
    pruning = job(JobKind.PRUNING, lab.one, 50, points=tuple(made[:3]))
    assert lab.wait(lab.engine.start(job(JobKind.SYNCHRONIZATION, lab.one, 51), theirs)).state is JobState.SUCCEEDED
    with pytest.raises(StaleFence):
        lab.engine.start(pruning, mine)
    place = lab.engine._server.place(lab.engine._assignment(lab.one))
    with ReplicaStore(place, mine) as opened, pytest.raises(StaleFence):
        opened.set_inconsistent("said by one who slept")
    with ReplicaStore(place, Fence(1, "another lease")) as opened:
        opened.set_inconsistent("tokens of two leases are never compared")
    assert lab.points()[: len(made)] == made


def test_pruning_keeps_what_the_rules_keep_by_the_time_it_writes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    made = grown(lab, 6)
    lab.clock.forward(timedelta(days=10))
    seen = lab.engine.observe().groups[0]
    real = ReplicaStore.bin_points

    def slept(self: ReplicaStore, *words: object) -> object:
        longer = group("gold", lab.one)
        term = longer.short_term
        after = msgspec.structs.replace(longer, short_term=msgspec.structs.replace(term, retention=timedelta(days=99)))
        lab.engine.apply(UpdateGroup("mabs-01", seen.ref, seen.group, after), F)
        return real(self, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(ReplicaStore, "bin_points", slept)
    status = lab.do(job(JobKind.PRUNING, lab.one, 60, points=tuple(made[:2])))
    assert (status.state, status.code) == (JobState.FAILED, "RCL4011")
    assert lab.points() == made


# --- Reading ---------------------------------------------------------------------------------------------------


def test_reading_makes_no_file_and_changes_none(lab: Lab) -> None:
    made = grown(lab)
    lab.engine.close()
    before = {path: path.stat().st_mtime_ns for path in store(lab).rglob("*")}
    lab.engine = lab.open()
    lab.engine.observe()
    lab.engine.lineage()
    lab.engine.groups()
    lab.engine.check_store((1, 1))
    lab.engine.preview(_recovery_of(lab.one, Recovery(made[0], RecoveryTarget.FOLDER, folder=str(lab.folder / "x"))))
    lab.engine.close()
    assert {path: path.stat().st_mtime_ns for path in store(lab).rglob("*")} == before


def test_a_damaged_row_harms_itself_alone(lab: Lab) -> None:
    made = grown(lab)
    lab.engine.close()
    with sqlite3.connect(replica(lab) / "catalog.db") as db:
        row = db.execute("SELECT body FROM record WHERE kind = 'point' AND key = ?", (made[1],)).fetchone()
        body = row[0].replace(b'"machineName":"one"', b'"machineName":"onf"')
        assert body != row[0]
        db.execute("UPDATE record SET body = ? WHERE kind = 'point' AND key = ?", (body, made[1]))
    db.close()
    lab.engine = lab.open()
    assert lab.findings() == ["RCL4022"]
    assert lab.points() == [made[0], made[2]]
    for point in (made[0], made[2]):
        assert lab.recover(point)[0].state is JobState.SUCCEEDED
    status, _ = lab.recover(made[1])
    assert (status.state, status.code) == (JobState.FAILED, "RCL4022")
    assert lab.engine.rebuild(lab.one, F).points == 3
    assert lab.points() == made


def test_a_damaged_map_is_read_from_its_copy(lab: Lab) -> None:
    made = grown(lab)
    held = lab.cluster.disk(1).read_bytes()
    lab.engine.close()
    with sqlite3.connect(replica(lab) / "catalog.db") as db:
        db.execute("UPDATE machine_map SET body = zeroblob(40)")
    db.close()
    lab.engine = lab.open()
    status, path = lab.recover(made[-1])
    assert (status.state, path.read_bytes()) == (JobState.SUCCEEDED, held)
    assert "RCL4022" in {each.code for each in lab.engine.check_store(None).findings}


# --- Names -----------------------------------------------------------------------------------------------------


def test_names_of_folders_are_bounded_and_never_shared() -> None:
    sources = [
        DataSource("a-b", "c"),
        DataSource("a", "b-c"),
        DataSource("A", "b-c"),
        DataSource("a/b", "c"),
        DataSource("a", "b/c"),
        DataSource("ü" * 300, "x" * 300),
        DataSource("..", ".."),
        DataSource("", ""),
    ]
    names = [folder_name(source) for source in sources]
    assert len(set(names)) == len(sources)
    assert all(len(name) <= 70 and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for name in names)


def test_a_copy_of_another_store_is_not_taken(lab: Lab) -> None:
    grown(lab)
    folder = replica(lab) / "points"
    path = copies.named(folder)[0].path
    copy = copies.read(path)
    foreign = msgspec.structs.replace(copy, store="f" * 32, generation=99, number=99)
    copies.write(folder, foreign)
    assert "RCL4023" in {each.code for each in lab.engine.check_store(None).findings}
    assert lab.back_up().state is JobState.SUCCEEDED
    assert (folder / "00000099.0000000099.map").exists()
    with pytest.raises(ReconcilerError):
        copies.read(folder / "nothing.map")
