"""Due: a small server that does at once whatever is due, and a clock that moves on."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import (
    CatalogSnapshot,
    ConsistencyCheck,
    DataSource,
    ExistingPoints,
    Job,
    JobKind,
    JobRecord,
    JobState,
    JobStatus,
    ObservedGroup,
    PointKind,
    ProtectionGroup,
    RecoveryPoint,
    Recurrence,
    Replica,
    ReplicaState,
    ServerFacts,
    ShortTerm,
)
from reconciler.model.catalog import Consistency
from reconciler.model.groups import Weekday
from reconciler.schedule import ANSWERS, View, backoff, due, next_job
from tests.fakes import group

BERLIN = ZoneInfo("Europe/Berlin")
ONE = DataSource("hci-01", "11111111-0000")
START = datetime(2026, 3, 10, 12, 7, tzinfo=UTC)


class Little:
    """One replica, one group."""

    def __init__(self, wanted: ProtectionGroup) -> None:
        self.group: ProtectionGroup | None = wanted
        self.replica = Replica(ONE, "vol-a", ReplicaState.PENDING, wanted.name, retention=wanted.short_term.retention)
        self.points: list[RecoveryPoint] = []
        self.latest: dict[tuple[DataSource, JobKind], JobRecord] = {}
        self.now = START
        self.done: set[str] = set()

    def view(self, *, prune: bool = True, running: tuple[JobRecord, ...] = ()) -> View:
        groups = (ObservedGroup("ref", self.group),) if self.group else ()
        catalog = CatalogSnapshot("mabs-01", self.now, ServerFacts("test"), groups, (self.replica,), tuple(self.points))
        return View(self.now, BERLIN, catalog, self.latest, running, prune)

    def due(self, *, prune: bool = True) -> tuple[Job, ...]:
        return due(self.view(prune=prune))

    def note(self, job: Job, state: JobState, retry: timedelta | None = None) -> JobRecord:
        retry_at = self.now + retry if retry is not None else None
        record = JobRecord(job, JobStatus(state), 1, self.now, self.now, retry_at)
        self.latest[ONE, job.kind] = record
        return record

    def do(self, job: Job) -> None:
        assert job.id not in self.done, "an engine does nothing for a job that it has done"
        self.done.add(job.id)
        changed: dict[str, object] = {"synchronized_at": self.now}
        if job.kind is JobKind.PRUNING:
            self.points = [point for point in self.points if point.id not in job.points]
            changed = {}
        elif job.kind is JobKind.CONSISTENCY_CHECK:
            changed |= {"state": ReplicaState.VALID, "checked_at": self.now}
        else:
            kind = PointKind.SYNCHRONIZATION
            if job.kind is not JobKind.SYNCHRONIZATION:
                changed |= {"express_full_at": self.now, "state": ReplicaState.VALID}
                kind = PointKind(job.kind)
            point = RecoveryPoint(
                f"{self.now:%m%d%H%M}-{len(self.points)}", ONE, self.now, kind, Consistency.CRASH, 1, 1
            )
            self.points.append(point)
        self.replica = msgspec.structs.replace(self.replica, **changed)
        self.note(job, JobState.SUCCEEDED)

    def settle(self, *, prune: bool = True) -> list[JobKind]:
        kinds: list[JobKind] = []
        while jobs := self.due(prune=prune):
            assert len(jobs) == 1
            assert len(kinds) < 5
            self.do(jobs[0])
            kinds.append(jobs[0].kind)
        return kinds


def little(**term: object) -> Little:
    settings = {"retention": timedelta(days=5), "rpo": timedelta(hours=2), "synchronization": timedelta(hours=1)}
    return Little(group("gold", ONE, short_term=ShortTerm(**(settings | term))))  # type: ignore[arg-type]


def test_first_the_initial_replica_then_each_hour() -> None:
    world = little()
    assert world.settle() == [JobKind.INITIAL_REPLICA]
    world.now += timedelta(minutes=52)
    assert world.settle() == []
    world.now += timedelta(minutes=1)
    assert world.settle() == [JobKind.SYNCHRONIZATION]


def test_missed_runs_come_to_one() -> None:
    world = little()
    world.settle()
    world.now += timedelta(hours=9)
    (job,) = world.due()
    assert job.scheduled_for == datetime(2026, 3, 10, 21, 0, tzinfo=UTC)
    assert world.settle() == [JobKind.SYNCHRONIZATION]


def test_an_express_full_takes_the_place_of_a_synchronization() -> None:
    world = little(express_full=Recurrence((time(22),), (Weekday.TUESDAY,)))
    world.settle()
    world.now = datetime(2026, 3, 10, 21, 30, tzinfo=UTC)
    assert world.settle() == [JobKind.EXPRESS_FULL]


@pytest.mark.parametrize("state", [JobState.INTERRUPTED, JobState.CANCELLED])
def test_what_was_cut_off_is_due_again_under_the_same_id(state: JobState) -> None:
    world = little()
    (job,) = world.due()
    world.note(job, state)
    assert world.due() == (job,)


def test_a_failure_waits_for_its_next_try_then_for_the_next_slot() -> None:
    world = little()
    (job,) = world.due()
    world.note(job, JobState.FAILED, retry=timedelta(minutes=1))
    assert world.due() == ()
    world.now += timedelta(minutes=1)
    assert world.due() == (job,)
    world.note(job, JobState.FAILED)
    assert world.due() == ()
    world.now += timedelta(hours=1)
    (later,) = world.due()
    assert later.id != job.id
    assert [backoff(attempt) for attempt in (1, 2, 3, 4)] == [
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=15),
        None,
    ]


def test_nothing_is_due_for_a_machine_at_work() -> None:
    world = little()
    (job,) = world.due()
    running = JobRecord(job, JobStatus(JobState.RUNNING), 1, world.now)
    assert due(world.view(running=(running,))) == ()


def test_an_inconsistent_replica_is_checked_only_where_that_is_wanted() -> None:
    for wanted, kinds in ((True, [JobKind.CONSISTENCY_CHECK]), (False, [])):
        world = little()
        world.settle()
        assert world.group is not None
        world.group = msgspec.structs.replace(world.group, consistency_check=ConsistencyCheck(wanted))
        world.replica = msgspec.structs.replace(world.replica, state=ReplicaState.INCONSISTENT)
        assert world.settle() == kinds


def test_a_scheduled_check_runs_once_a_day() -> None:
    world = little()
    assert world.group is not None
    world.group = msgspec.structs.replace(world.group, consistency_check=ConsistencyCheck(time=time(2), max_hours=4))
    assert JobKind.CONSISTENCY_CHECK not in world.settle()
    world.now += timedelta(hours=13)
    assert world.settle().count(JobKind.CONSISTENCY_CHECK) == 1
    world.now += timedelta(hours=3)
    assert JobKind.CONSISTENCY_CHECK not in world.settle()


def test_points_beyond_the_range_are_pruned_unless_the_clock_is_doubted() -> None:
    world = little(synchronization=timedelta(hours=24), retention=timedelta(days=4))
    for _ in range(9):
        world.settle()
        world.now += timedelta(days=1)
    assert len(world.points) in (4, 5, 6)
    world.now += timedelta(days=40)
    assert [job.kind for job in world.due(prune=False)] == [JobKind.SYNCHRONIZATION]
    world.settle()
    assert len(world.points) == 3


def test_points_of_a_stopped_group_age_out_or_stay_for_ever() -> None:
    for existing, left in ((ExistingPoints.RETAIN, 3), (ExistingPoints.KEEP_FOREVER, 6)):
        world = little(synchronization=timedelta(hours=24))
        for _ in range(6):
            world.settle()
            world.now += timedelta(days=1)
        world.group = None
        world.replica = msgspec.structs.replace(world.replica, group=None, existing_points=existing)
        world.now += timedelta(days=60)
        world.settle()
        assert len(world.points) == left


@given(st.lists(st.integers(1, 60 * 30), min_size=1, max_size=12))
def test_whatever_is_due_once_done_is_due_no_more(steps: list[int]) -> None:
    world = little(express_full=Recurrence((time(22),)))
    for minutes in steps:
        world.now += timedelta(minutes=minutes)
        world.settle()
        assert world.due() == ()
        replica, wanted = world.replica, world.group
        coming = next_job(world.view(), replica, wanted)
        assert coming is not None
        assert coming[1] > world.now


# --- What answers a slot --------------------------------------------------------------------------------------


def _world_at(kind: JobKind) -> Little:
    """A world in which a job of that kind has a slot that nothing has answered yet."""
    if kind is JobKind.CONSISTENCY_CHECK:
        world = little()
        assert world.group is not None
        check = ConsistencyCheck(time=time(2), max_hours=4)
        world.group = msgspec.structs.replace(world.group, consistency_check=check)
        world.settle()
        world.now = datetime(2026, 3, 11, 1, 0, 1, tzinfo=UTC)  # two o'clock in Berlin
        assert world.due()[0].kind is JobKind.SYNCHRONIZATION
        world.do(world.due()[0])
        return world
    world = little() if kind is JobKind.SYNCHRONIZATION else little(express_full=Recurrence((time(22),)))
    world.settle()
    at_22 = datetime(2026, 3, 10, 21, 0, 1, tzinfo=UTC)
    world.now = START + timedelta(hours=1) if kind is JobKind.SYNCHRONIZATION else at_22
    return world


@pytest.mark.parametrize("kind", list(ANSWERS))
@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED, JobState.INTERRUPTED])
def test_a_job_that_came_to_nothing_answers_no_slot(kind: JobKind, state: JobState) -> None:
    world = _world_at(kind)
    (job,) = world.due()
    assert job.kind is kind
    world.note(job, state, retry=timedelta(0))
    assert world.due() == (job,)


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        (JobKind.SYNCHRONIZATION, {JobKind.SYNCHRONIZATION, JobKind.EXPRESS_FULL}),
        (JobKind.EXPRESS_FULL, {JobKind.EXPRESS_FULL}),
        (JobKind.CONSISTENCY_CHECK, {JobKind.CONSISTENCY_CHECK}),
    ],
)
def test_what_answers_the_slot_of_each_kind(kind: JobKind, answers: set[JobKind]) -> None:
    assert set(ANSWERS) == {JobKind.SYNCHRONIZATION, JobKind.EXPRESS_FULL, JobKind.CONSISTENCY_CHECK}
    for done in ANSWERS:
        world = _world_at(kind)
        (job,) = world.due()
        world.do(msgspec.structs.replace(job, kind=done))
        still = {each.kind for each in world.due()}
        assert (kind not in still) == (done in answers), (kind, done)


def test_a_check_does_not_eat_the_slot_of_the_run_that_failed_before_it() -> None:
    """A pack is damaged: the run of the night fails for good, a check repairs the replica; the slot wants its point."""
    world = little(synchronization=timedelta(hours=24))
    assert world.group is not None
    world.group = msgspec.structs.replace(world.group, consistency_check=ConsistencyCheck(True))
    world.settle()
    world.now = datetime(2026, 3, 10, 23, 0, 1, tzinfo=UTC)
    (nightly,) = world.due()
    world.replica = msgspec.structs.replace(world.replica, state=ReplicaState.INCONSISTENT)
    world.note(nightly, JobState.FAILED)
    world.now += timedelta(minutes=3)
    assert world.settle() == [JobKind.CONSISTENCY_CHECK, JobKind.SYNCHRONIZATION]
    assert world.points[-1].time == world.now


# --- Times that cannot be -------------------------------------------------------------------------------------


SIZES = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=10), timedelta(days=3650))


def live(world: Little, start: datetime, hours: int) -> int:
    """Lives so long, looking every five minutes; returns how many points were made, and looks that each hour of the
    clock got one."""
    made = len(world.points)
    for minutes in range(0, hours * 60, 5):
        world.now = start + timedelta(minutes=minutes)
        world.settle(prune=False)  # as after a jump of more than a day
    return len(world.points) - made


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("direction", [1, -1])
def test_backups_go_on_from_the_next_slot_whatever_the_clock_does(size: timedelta, direction: int) -> None:
    """It is wrong for a day, then right again: an hour without a point is no hour, wherever the clock stands. An hour
    that was shown before gets its point once more, and the run right after a turn may come besides."""
    world = little(express_full=Recurrence((time(22),)), retention=timedelta(days=60))
    live(world, START - timedelta(days=12), 12 * 24)
    wrong = live(world, START + direction * size + timedelta(seconds=7), 24)
    assert 24 <= wrong <= 25
    right = live(world, START + timedelta(days=1, seconds=11), 24)
    assert 24 <= right <= 26


@pytest.mark.parametrize("size", SIZES)
def test_one_run_with_the_clock_ahead_and_then_right_again(size: timedelta) -> None:
    world = little(express_full=Recurrence((time(22),)))
    world.settle()
    right = world.now
    world.now = right + size
    world.settle()
    assert 30 <= live(world, right + timedelta(seconds=7), 30) <= 31


def test_a_failure_that_lies_in_the_future_does_not_end_the_waiting_of_a_real_one() -> None:
    world = little()
    world.settle()
    world.now += timedelta(hours=1)
    (job,) = world.due()
    world.note(job, JobState.FAILED, retry=timedelta(minutes=1))
    assert world.due() == ()
    world.now -= timedelta(days=3650)  # the clock goes back: the record lies in the future, and binds nobody
    assert [each.kind for each in world.due()] == [JobKind.SYNCHRONIZATION]
