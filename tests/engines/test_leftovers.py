"""What a recovery that never ended leaves: no backup is made of a mixture, a catalog that is made anew forgets
nothing of it that can still be read, and what cannot be read is looked for and said."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.engines.embedded import recover
from reconciler.engines.embedded.records import KnownReplica
from reconciler.engines.embedded.replica import ReplicaStore
from reconciler.model import Job, JobKind, JobResult, JobState, JobStatus, Recovery, RecoveryStep, RecoveryTarget
from reconciler.protocols import Fence
from reconciler.staging import LocalTarget
from tests.engines.test_embedded import Lab
from tests.engines.test_intents import FIRST, OLD, SECOND, Dying
from tests.fakes import job, recovery_of
from tests.support.place import Place

READING = (JobKind.SYNCHRONIZATION, JobKind.EXPRESS_FULL, JobKind.CONSISTENCY_CHECK)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


@pytest.fixture
def dying(place: Place, monkeypatch: pytest.MonkeyPatch) -> Dying:
    return Dying(place, monkeypatch)


def read_by(place: Place, kind: JobKind) -> JobStatus:
    place.number += 1
    place.clock.forward(timedelta(hours=1))
    return place.do(job(kind, place.one, place.number))


def catalog(place: Place) -> Path:
    return next((place.folder / "store").glob("volumes/*/*/catalog.db"))


def rebuilt(place: Place) -> list[str]:
    """The codes of what making the catalog anew found."""
    return [each.code for each in place.engine.rebuild(place.one, Fence(1), sound_too=True).findings]


def found(place: Place) -> list[str]:
    return [each.code for each in place.engine.observe().findings if each.code != "RCL4016"]


@pytest.mark.parametrize("anew", [False, True])
def test_no_backup_is_made_of_what_is_half_recovered(dying: Dying, anew: bool) -> None:
    """cases/safety: rebuild-forgets-half-done-recovery. It is known after `store rebuild` as it was before."""
    place = dying.place
    dying.die(LocalTarget, "put", after=1)
    before = place.engine.unfinished()
    assert [(each.replaced, each.files) for each in before] == [(1, 3)]
    if anew:
        assert rebuilt(place) == []
        assert place.engine.unfinished() == before
    points = place.engine.observe().points
    for kind in READING:
        status = read_by(place, kind)
        assert (status.state, status.code) == (JobState.FAILED, "RCL7022"), (kind, status)
    assert place.engine.observe().points == points
    assert dying.step(RecoveryStep.UNDO).state is JobState.SUCCEEDED
    assert dying.disks() == OLD
    assert [name for name in dying.beside() if "staged" in name or "original" in name] == []
    place.configure(FIRST, SECOND)  # its checkpoint is in the way of every backup
    assert [read_by(place, kind).state for kind in reversed(READING)] == [JobState.SUCCEEDED] * 3


@pytest.mark.parametrize("how", ["gone", "damaged row", "row gone"])
def test_what_cannot_be_read_of_recoveries_is_looked_for_beside_the_disks(dying: Dying, how: str) -> None:
    place = dying.place
    dying.die(LocalTarget, "put", after=1)
    path = catalog(place)
    place.close()
    if how == "gone":
        path.unlink()
    else:
        what = "DELETE FROM record" if how == "row gone" else "UPDATE record SET body = x'00'"
        with sqlite3.connect(path) as db:
            db.execute(f"{what} WHERE kind = 'cutOver'")
        db.close()
    assert rebuilt(place) == ["RCL7030"]
    assert "RCL7030" in found(place)
    for kind in READING:
        status = read_by(place, kind)
        assert (status.state, status.code) == (JobState.FAILED, "RCL7030"), (kind, status)
    assert rebuilt(place) == ["RCL7030"]  # a second time, of a catalog that reads
    for each in (*place.path(FIRST).parent.parent.rglob("*.original-*"), *place.path(FIRST).parent.parent.rglob(".*")):
        each.rename(place.folder / each.name)
    assert "RCL7030" not in found(place)
    place.configure(FIRST, SECOND)
    assert read_by(place, JobKind.CONSISTENCY_CHECK).state is JobState.SUCCEEDED


def test_a_catalog_that_is_gone_with_nothing_beside_the_disks_is_no_alarm(dying: Dying) -> None:
    """And what a later recovery keeps beside the disks is known."""
    place = dying.place
    path = catalog(place)
    place.close()
    path.unlink()
    assert rebuilt(place) == []
    place.configure(FIRST, SECOND)
    assert read_by(place, JobKind.CONSISTENCY_CHECK).state is JobState.SUCCEEDED
    assert place.recover(dying.point, keep=True).state is JobState.SUCCEEDED
    assert [name for name in dying.beside() if "original" in name]
    assert found(place) == []
    assert read_by(place, JobKind.SYNCHRONIZATION).state is JobState.SUCCEEDED


@pytest.mark.parametrize("end", ["undo", *READING])
def test_what_was_staged_by_a_recovery_that_was_cut_off_is_removed(
    dying: Dying, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    place = dying.place
    place.configure(FIRST, SECOND)
    with monkeypatch.context() as patch:
        patch.setattr(recover, "_clear_away", lambda *_: None)
        dying.die(recover, "_verify", after=1)
    assert [name for name in dying.beside() if name.endswith(".staged")]
    (left,) = place.engine.unfinished()
    assert (left.staging, left.replaced) == (True, 0)
    assert dying.step(RecoveryStep.CONTINUE, 59).code == "RCL7023"
    status = dying.step(RecoveryStep.UNDO) if end == "undo" else read_by(place, JobKind(end))
    assert status.state is JobState.SUCCEEDED, status
    assert [name for name in dying.beside() if name.endswith(".staged")] == []
    assert place.engine.unfinished() == ()
    assert dying.disks() == OLD
    assert dying.step(RecoveryStep.UNDO, 62).code == "RCL7023"


def test_of_another_file_nothing_is_taken_for_ours(dying: Dying) -> None:
    disks = LocalTarget(dying.place.cluster.folder)
    token, name = "0123456789ab", dying.place.path(FIRST)
    for each in (
        "disk.raw.original-x",
        f"other.raw.original-{token}",
        f".{'0' * 16}.{token}.staged",
        f"{token}.staged",
    ):
        name.with_name(each).write_bytes(b"theirs")
    assert disks.beside(FIRST) == ()
    name.with_name(f"disk.raw.original-{token}").write_bytes(b"ours")
    assert disks.beside(FIRST) == ((f"{FIRST}.original-{token}", token),)
    assert disks.beside(SECOND) == ()


def test_what_a_catalog_alone_knows_is_taken_over(tmp_path: Path) -> None:
    """The bin, blocks that were lost, and jobs that made no map."""
    lab = Lab(tmp_path)
    try:
        assert lab.initial().state is JobState.SUCCEEDED
        lab.cluster.change(1, 1, seed=1)
        assert lab.back_up().state is JobState.SUCCEEDED
        first = lab.points()[0]
        ended: Job = recovery_of(lab.one, Recovery(first, RecoveryTarget.ORIGINAL), 70)
        assert lab.do(ended).state is JobState.SUCCEEDED
        place = next(each for _, each in lab.engine._server.places())
        with ReplicaStore(place, Fence(1)) as store:
            machine = store.map_of(first)
            assert machine is not None
            lost = min(machine.names())
            store.forget_blocks([lost], [], lab.clock.now())
            store.bin_points("prune", lab.clock.now(), lambda points: ([points[0].id], JobResult()))
            known = store.lineage()
        lab.engine._server.note_replica(lab.one, KnownReplica(known.id, known.generation), Fence(1))
        left = lab.points()
        assert first not in left
        assert lab.engine.rebuild(lab.one, Fence(1), sound_too=True).findings == ()
        assert lab.points() == left
        place = next(each for _, each in lab.engine._server.places())
        with ReplicaStore(place) as store:
            assert store.bad_blocks() == {lost}
            assert store.block(lost) is None
            assert [point.id for point in store.points(binned=True)] == [first]
            assert store.job_result(ended.id) is not None
            assert store.job_result("prune") is not None
            assert store.facts().unknown_since is None
        assert "RCL4022" not in lab.findings()
    finally:
        lab.engine.close()
