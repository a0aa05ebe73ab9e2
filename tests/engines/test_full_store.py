"""A consistency check on a store that has no room: where and how much is said, and the replica tells of the damage."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reconciler.engines.embedded import EmbeddedEngine, open_engine
from reconciler.model import JobKind, JobState, JobStatus, Replica, ReplicaState
from reconciler.report import PointRow, plain, points_text
from tests.fakes import SetClock, job, setup_for
from tests.support.place import HOME, ONE, Place


def reopened(place: Place, capacity: int) -> None:
    """The same store with another capacity."""
    place.close()
    setup = setup_for(place.folder / "store", place.cluster, place.clock, capacity)
    engine: EmbeddedEngine = open_engine(setup)
    place._engine = engine


def damage(place: Place) -> None:
    (pack,) = (place.folder / "store").rglob("*.pack")
    data = bytearray(pack.read_bytes())
    for at in range(1000, 2000):
        data[at] ^= 0xFF
    pack.write_bytes(data)


def check(place: Place) -> JobStatus:
    place.number += 1
    return place.do(job(JobKind.CONSISTENCY_CHECK, place.one, place.number))


def replica(place: Place) -> Replica:
    (found,) = place.engine.observe().replicas
    return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.clock = SetClock()
    place.lay_out(f"{HOME}/one.raw")
    place.back_up()
    assert replica(place).state is ReplicaState.VALID
    return place


def test_no_room_to_repair_is_said_and_makes_the_replica_inconsistent(place: Place) -> None:
    damage(place)
    full = sum(pack.stat().st_size for pack in (place.folder / "store").rglob("*.pack"))
    reopened(place, full)
    ended = check(place)
    assert (ended.state, ended.code) == (JobState.FAILED, "RCL4003")
    assert "the volume vol-a in " in ended.reason  # where
    assert "more are needed" in ended.reason  # how much
    assert "0 B of its capacity of" in ended.reason  # how much is free
    assert "Give the volume more capacity" in ended.remedy
    told = replica(place)
    assert told.state is ReplicaState.INCONSISTENT
    assert told.inconsistent_because.startswith(
        "a consistency check found 1 damaged block(s), not stored again yet: the "
    )
    reopened(place, 10**9)
    assert replica(place).state is ReplicaState.INCONSISTENT  # it is on record, not in the engine's mind
    assert check(place).state is JobState.SUCCEEDED
    assert replica(place).state is ReplicaState.VALID
    assert [each.code for each in place.engine.observe().findings] in ([], ["RCL4016"])
    place.close()


def test_a_full_store_without_damage_stays_valid(place: Place) -> None:
    full = sum(pack.stat().st_size for pack in (place.folder / "store").rglob("*.pack"))
    reopened(place, full)
    assert check(place).state is JobState.SUCCEEDED
    assert replica(place).state is ReplicaState.VALID
    place.close()


def test_a_point_of_a_virtual_machine_that_was_off_says_so(place: Place) -> None:
    (off,) = place.engine.observe().points
    assert (off.consistency, off.cold) == ("application", True)
    place.cluster.role(ONE, folder=HOME, power="running")
    place.back_up()
    on = place.engine.observe().points[-1]
    assert (on.consistency, on.cold) == ("crash", False)
    text = points_text([PointRow("one", "mabs-01", each) for each in (off, on)], ZoneInfo("UTC"), plain)
    assert text.count("application (was off)") == 1
    place.close()


def test_a_deleted_virtual_machine_is_called_by_its_name(place: Place) -> None:
    (role,) = (place.folder / "cluster" / "roles").iterdir()
    role.unlink()
    ended = check(place)
    assert (ended.state, ended.code) == (JobState.FAILED, "RCL2010")
    assert ended.reason == "the virtual machine 'one' was deleted from hci-01, or moved away: no role of it is there"
    assert "recovery points are kept" in ended.remedy
    place.close()
