"""Pauses: nothing is due in one, and what is due outside of one is the same as without it."""

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
    JobKind,
    ObservedGroup,
    Pause,
    ProtectionGroup,
    Recurrence,
    Replica,
    ReplicaState,
    ShortTerm,
)
from reconciler.model.documents import Paused
from reconciler.plan.desired.defaults import pause_of
from reconciler.schedule import View, due, next_job
from tests.fakes import NOON, group
from tests.plan.pruned import SERVER, SOURCES, ZONE, Server, catalog, point

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def paused(ends_at: datetime) -> Pause:
    return Pause("the storage is moved", "ops@corp.example", ends_at.date() - DAY, ends_at)


@st.composite
def groups(draw: st.DrawFn, name: str, source: DataSource) -> ProtectionGroup:
    interval = draw(st.sampled_from([HOUR, 4 * HOUR, 24 * HOUR, None]))
    runs = Recurrence((time(draw(st.integers(0, 23))),))
    more = {"recovery_points": runs} if interval is None else {"express_full": runs} if draw(st.booleans()) else {}
    check = draw(st.sampled_from([ConsistencyCheck(True), ConsistencyCheck(), ConsistencyCheck(True, time(2, 30), 4)]))
    term = msgspec.structs.replace(ShortTerm(draw(st.integers(1, 4)) * DAY, 25 * HOUR, interval), **more)
    return group(name, source, short_term=term, consistency_check=check)


@st.composite
def replicas(draw: st.DrawFn, source: DataSource, holder: str | None) -> tuple[Replica, list[int]]:
    ages = draw(st.lists(st.integers(0, 10 * 24), unique=True, max_size=7))
    marks = st.none() | st.integers(0, 90).map(lambda hours: NOON - hours * HOUR)
    replica = Replica(
        source,
        "vol-a",
        draw(st.sampled_from(list(ReplicaState))),
        holder,
        existing_points=draw(st.sampled_from(list(ExistingPoints))),
        retention=2 * DAY,
        synchronized_at=draw(marks),
        express_full_at=draw(marks),
        checked_at=draw(marks),
    )
    return replica, ages


@st.composite
def servers(draw: st.DrawFn) -> tuple[CatalogSnapshot, set[str]]:
    """A server with three replicas, one of them of no group; and the groups that are to be paused."""
    mine = [draw(groups(name, source)) for name, source in zip(("one", "two"), SOURCES, strict=False)]
    there, points = [], []
    for source, holder in zip(SOURCES, ("one", "two", None), strict=True):
        replica, ages = draw(replicas(source, holder))
        there.append(replica)
        points += [point(source, age * HOUR) for age in ages]
    names = {name for name in ("one", "two") if draw(st.booleans())}
    return catalog(mine, there, points), names


def with_pause(seen: CatalogSnapshot, names: set[str], pause: Pause) -> CatalogSnapshot:
    held = (
        ObservedGroup(each.ref, msgspec.structs.replace(each.group, paused=pause)) if each.group.name in names else each
        for each in seen.groups
    )
    return msgspec.structs.replace(seen, groups=tuple(held))


@given(servers(), st.integers(-72, 72), st.integers(-72, 72))
def test_nothing_of_a_paused_group_is_due_and_outside_the_same_is(
    world: tuple[CatalogSnapshot, set[str]], ends: int, later: int
) -> None:
    """A pause takes away the jobs of its group while it counts, and nothing else."""
    seen, names = world
    now, ends_at = NOON + later * HOUR, NOON + ends * HOUR
    plain = due(View(now, ZONE, seen, {}))
    got = due(View(now, ZONE, with_pause(seen, names, paused(ends_at)), {}))
    if now < ends_at:
        assert not [job for job in got if job.group in names]
        assert got == tuple(job for job in plain if job.group not in names)
    else:
        assert got == plain


@given(servers(), st.integers(1, 72))
def test_what_is_said_to_come_next_is_what_runs_as_the_pause_ends(
    world: tuple[CatalogSnapshot, set[str]], ends: int
) -> None:
    seen, _ = world
    ends_at = NOON + ends * HOUR
    resting = with_pause(seen, {"one"}, paused(ends_at))
    replica = next(each for each in resting.replicas if each.group == "one")
    wanted = next(each.group for each in resting.groups if each.group.name == "one")
    coming = next_job(View(NOON, ZONE, resting, {}), replica, wanted)
    first = [job for job in due(View(ends_at, ZONE, resting, {}, prune_allowed=False)) if job.group == "one"]
    if first:
        assert coming == (first[0].kind, ends_at)
    else:
        assert coming is None or coming[1] > ends_at


def test_a_pause_ends_by_itself_and_missed_runs_come_to_one() -> None:
    source, ends_at = SOURCES[0], NOON + 3 * DAY
    held = group("one", source, short_term=ShortTerm(2 * DAY, 2 * HOUR, HOUR), paused=paused(ends_at))
    points = [point(source, age * HOUR) for age in (1, 20, 40, 47)]
    newest = max(each.time for each in points)
    server = Server(
        catalog([held], [Replica(source, "vol-a", ReplicaState.VALID, "one", synchronized_at=newest)], points)
    )
    for hours in range(1, 72):
        server.tick(NOON + hours * HOUR)
    assert server.points == sorted(points, key=lambda each: each.time)
    assert not server.made
    server.tick(ends_at)
    assert [each.time for each in server.made] == [ends_at]
    assert len(server.points) == 3  # the newest three: what only the pause had kept expires with it


@pytest.mark.parametrize(
    ("zone", "ends_at"),
    [
        ("UTC", datetime(2026, 3, 30, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 3, 29, 22, tzinfo=UTC)),  # the clocks were set forward on that day
        ("America/Sao_Paulo", datetime(2026, 3, 30, 3, tzinfo=UTC)),
    ],
)
def test_the_last_day_of_a_pause_is_a_whole_day_of_the_site(zone: str, ends_at: datetime) -> None:
    written = Paused("the storage is moved", "ops@corp.example", datetime(2026, 3, 29, tzinfo=UTC).date())
    pause = pause_of(written, ZoneInfo(zone))
    assert pause.ends_at == ends_at
    resting = group("one", SOURCES[0], paused=pause)
    assert resting.pause_at(ends_at - timedelta(microseconds=1)) == pause
    assert resting.pause_at(ends_at) is None


def test_members_that_have_left_a_paused_group_expire_by_their_own_rules() -> None:
    source = SOURCES[0]
    left = Replica(source, "vol-a", ReplicaState.VALID, retention=DAY)
    resting = group("one", SOURCES[1], paused=paused(NOON + DAY))
    points = [point(source, age * HOUR) for age in (1, 30, 40, 50, 60)]
    (job,) = due(View(NOON, ZONE, catalog([resting], [left], points), {}))
    assert (job.kind, job.server, len(job.points)) == (JobKind.PRUNING, SERVER, 2)
