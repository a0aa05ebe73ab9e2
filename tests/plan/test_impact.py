"""Impact: what it tells of each point is what retention does to it, as time goes on and newer points are made."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model import (
    EMBEDDED,
    Capabilities,
    Change,
    ConsistencyCheck,
    DataSource,
    ExistingPoints,
    Pause,
    PointFate,
    ProtectionGroup,
    RecoveryPoint,
    Recurrence,
    Replica,
    ReplicaState,
    Weekday,
)
from reconciler.plan.impact.expiry import ExpiryRule, ends, newest_first
from reconciler.plan.impact.impact import Past, impact, moved
from reconciler.schedule import Range, point_slots, retain
from tests.fakes import NOON, group
from tests.plan.pruned import SERVER, SOURCES, ZONE, Server, catalog, change, point, term

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
ONE, TWO, THREE = SOURCES


def past(seen: Any, able: Capabilities = EMBEDDED, **more: Any) -> Past:
    return Past({SERVER: seen}, {SERVER: able}, NOON, ZONE, **more)


# --- One rule, beside retention itself ------------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> list[RecoveryPoint]:
    ages = draw(st.lists(st.integers(0, 300), unique=True, max_size=9))
    return [point(ONE, age * HOUR, verified=draw(st.booleans())) for age in ages]


@settings(max_examples=500)
@given(histories(), st.integers(10, 120), st.integers(0, 6), st.integers(0, 400), st.integers(0, 8))
def test_a_point_is_gone_when_its_end_says_so(
    made: list[RecoveryPoint], age: int, minimum: int, later: int, new: int
) -> None:
    now = NOON + later * HOUR + 10 * MINUTE
    newer = [point(ONE, -MINUTE * number) for number in range(1, new + 1)]
    newer = [msgspec.structs.replace(each, id=f"new-{each.id}") for each in newer]
    expired = retain([*made, *newer], Range(age * HOUR, minimum), now).expire
    ordered = newest_first(made)
    found = ends(ordered, ExpiryRule(age * HOUR, NOON, max(3, minimum)))
    told = {p.id for p, end in zip(ordered, found, strict=True) if _over(p, end.by_age, end.needs, now, new)}
    assert told == {each.id for each in expired if each in made}


def _over(which: RecoveryPoint | PointFate, by_age: datetime | None, needs: int, now: datetime, new: int) -> bool:
    return by_age is not None and (by_age == which.time or now > by_age) and new >= needs


# --- Any change, beside a server on which time goes on --------------------------------------------------------------


class World(msgspec.Struct):
    """A server, and changes that are applied to it together."""

    server: Any
    changes: list[Change]


_existing = st.sampled_from(list(ExistingPoints))
_hours = st.integers(20, 90).map(lambda hours: hours * HOUR)
_times = st.lists(st.integers(0, 95), min_size=1, max_size=3, unique=True).map(
    lambda quarters: tuple(time(quarter // 4, quarter % 4 * 15) for quarter in sorted(quarters))
)
_recurrences = st.builds(Recurrence, _times, st.sampled_from([(), (Weekday.TUESDAY, Weekday.FRIDAY)]))


@st.composite
def groups(draw: st.DrawFn, name: str, sources: list[DataSource]) -> ProtectionGroup:
    interval = draw(st.sampled_from([2 * HOUR, 4 * HOUR, 12 * HOUR, 24 * HOUR, None]))
    runs = draw(_recurrences)
    fulls = {"recovery_points": runs} if interval is None else {"express_full": runs} if draw(st.booleans()) else {}
    check = draw(st.sampled_from([ConsistencyCheck(True), ConsistencyCheck(), ConsistencyCheck(False, time(2, 30), 4)]))
    short = term(draw(_hours), interval, minimum_points=draw(st.integers(3, 6)), **fulls)
    hours = draw(st.sampled_from([None, None, -5, 7, 40]))
    ends_at = NOON + (hours or 0) * HOUR + MINUTE / 2  # never at the moment of a tick: which comes first is not asked
    pause = Pause("r", "o", NOON.date(), ends_at) if hours is not None else None
    return group(
        name, *sources, short_term=short, existing_points=draw(_existing), consistency_check=check, paused=pause
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    mine = [source for source in SOURCES[:2] if draw(st.booleans())]
    before = draw(groups("mine", mine)) if mine else None
    theirs = draw(groups("theirs", [THREE])) if draw(st.booleans()) else None
    wanted = [source for source in SOURCES if draw(st.booleans())]
    after = draw(groups("mine", wanted)) if wanted else None
    if before and after and draw(st.booleans()):  # the same settings, other members
        after = msgspec.structs.replace(before, members=after.members)
    changes = [change(theirs, None)] if theirs and after and THREE in after.sources else []
    changes += [change(before, after)] if before or after else []
    replicas, points = [], []
    for source in SOURCES:
        holder = next((each for each in (before, theirs) if each and source in each.sources), None)
        replica, made = draw(_replicas(source, holder))
        replicas.append(replica)
        points += made
    return World(catalog([each for each in (before, theirs) if each], replicas, points), changes)


@st.composite
def _replicas(
    draw: st.DrawFn, source: DataSource, holder: ProtectionGroup | None
) -> tuple[Replica, list[RecoveryPoint]]:
    ages = draw(st.lists(st.integers(1, 60 * 96), unique=True, min_size=1, max_size=7))
    points = [point(source, age * MINUTE, verified=draw(st.integers(0, 5)) == 0) for age in ages]
    replica = Replica(
        source,
        "vol-a",
        ReplicaState.INCONSISTENT if draw(st.integers(0, 4)) == 0 else ReplicaState.VALID,
        group=holder.name if holder else None,
        existing_points=holder.existing_points if holder else draw(_existing),
        retention=holder.short_term.retention if holder else draw(_hours),
        minimum_points=holder.short_term.minimum_points if holder else draw(st.integers(3, 6)),
        # never before a point that it made: only a clock that went back leaves that, which tests of the clock try
        synchronized_at=max([NOON - draw(st.integers(0, 30 * 60)) * MINUTE, *(each.time for each in points)]),
        express_full_at=draw(st.none() | st.integers(0, 90 * 60).map(lambda age: NOON - age * MINUTE)),
        checked_at=draw(st.none() | st.integers(0, 30 * 60).map(lambda age: NOON - age * MINUTE)),
    )
    return replica, points


def told(world: World) -> tuple[dict[str, PointFate], Past]:
    """The fates of all points, by id."""
    seen = past(world.server, moved=moved(world.changes))
    found = filter(None, (impact(one, seen) for one in world.changes))
    fates = [fate for each in found for fate in each.fates]
    assert len({fate.point for fate in fates}) == len(fates)
    return {fate.point: fate for fate in fates}, seen


@given(worlds(), st.lists(st.integers(1, 60 * 30), min_size=1, max_size=5))
def test_points_go_exactly_when_they_were_said_to(world: World, steps: list[int]) -> None:
    fates, _ = told(world)
    first, changed = Server(world.server), Server(world.server)
    for each in world.changes:
        changed.apply(each)
    now = NOON
    for step in steps:
        now += step * MINUTE
        first.tick(now)
        changed.tick(now)
        for each in world.server.points:
            replica = changed.replicas[each.source]
            if replica.group is not None and replica.state is ReplicaState.INCONSISTENT:
                assert each.id in changed.there()
                continue
            fate = fates.get(each.id)
            new = changed.newer(each.source)
            if fate is not None:
                assert _over(fate, fate.by_age, fate.needs, now, new) == (each.id not in changed.there())
            elif new == first.newer(each.source):
                assert (each.id in first.there()) == (each.id in changed.there())


@settings(max_examples=60)
@given(worlds())
def test_points_go_by_the_calendar(world: World) -> None:
    fates, _ = told(world)
    first, changed = Server(world.server), Server(world.server)
    for each in world.changes:
        changed.apply(each)
    until = NOON + 4 * DAY
    ticks = {NOON}
    for server in (first, changed):
        for held in server.groups.values():
            ticks |= set(point_slots(held.short_term, ZONE, NOON, until))
            ticks |= {held.paused.ends_at} if held.paused is not None and held.paused.ends_at > NOON else set()
    ends_at = {at for fate in fates.values() for at in (fate.before, fate.after) if at is not None and at <= until}
    ticks |= {at + extra for at in ends_at for extra in (timedelta(0), MINUTE)}
    ticks |= {
        datetime.combine(NOON.date() + number * DAY, time(2, 30), ZONE).astimezone(NOON.tzinfo) for number in (1, 2)
    }
    for now in sorted(ticks):
        first.tick(now)
        changed.tick(now)
        for fate in fates.values():
            for server, at in ((first, fate.before), (changed, fate.after)):
                if at is None or now < at:
                    assert fate.point in server.there(), (fate, now)
                elif now >= at + MINUTE:
                    assert fate.point not in server.there(), (fate, now)


@given(worlds())
def test_the_figures_of_a_machine_are_those_of_the_first_pruning(world: World) -> None:
    seen = past(world.server, moved=moved(world.changes))
    first, changed = Server(world.server), Server(world.server)
    for each in world.changes:
        changed.apply(each)
    soon = NOON + timedelta(microseconds=1)
    first.tick(soon)
    changed.tick(soon)
    for found in filter(None, (impact(one, seen) for one in world.changes)):
        for machine in found.machines:
            mine = [each for each in world.server.points if each.source == machine.source]
            stays = [each for each in mine if each.id in changed.there()]
            went = {each.id for each in mine} & first.there() - changed.there()
            assert machine.points == len(mine)
            if changed.replicas[machine.source].state is first.replicas[machine.source].state is ReplicaState.VALID:
                assert machine.expires_now == len(went)
                assert machine.freed_bytes == 10 * len(went)
            assert machine.oldest_before == min(each.time for each in mine)
            assert machine.newest_before == max(each.time for each in mine)
            assert machine.oldest_after == min((each.time for each in stays), default=None)
            assert machine.newest_after == max((each.time for each in stays), default=None)


@given(worlds())
def test_nothing_moves_where_nothing_changes(world: World) -> None:
    for seen in world.server.groups:
        assert (
            impact(change(seen.group, msgspec.structs.replace(seen.group, display_name="x")), past(world.server))
            is None
        )
        found = impact(change(seen.group, seen.group), past(world.server))
        assert found is None


# --- Pauses -----------------------------------------------------------------------------------------------------------


def _resting(retention: timedelta, *, until: timedelta | None) -> ProtectionGroup:
    pause = Pause("r", "o", (NOON + until).date(), NOON + until) if until is not None else None
    return group("mine", ONE, short_term=term(retention), paused=pause)


def _impact_of(before: ProtectionGroup, after: ProtectionGroup) -> Any:
    replica = Replica(ONE, "vol-a", ReplicaState.VALID, "mine")
    seen = catalog([before], [replica], [point(ONE, age * DAY + HOUR) for age in range(10)])
    return impact(change(before, after), past(seen))


def test_a_pause_alone_tells_what_becomes_of_the_points() -> None:
    working, paused = _resting(5 * DAY, until=None), _resting(5 * DAY, until=30 * DAY)
    begun, ended = _impact_of(working, paused), _impact_of(paused, working)
    assert begun.expires_later > 0
    assert begun.lets_expire == 0
    assert (ended.expires_now, ended.expires_after_pause) == (5, 0)


def test_a_pause_does_not_hide_what_a_shorter_retention_gives_up() -> None:
    """To end a pause needs no approval, so a retention that is shortened during one counts as it would without."""
    bare = _impact_of(_resting(9 * DAY, until=None), _resting(2 * DAY, until=None))
    assert bare.expires_now == bare.lets_expire == 7
    for before in (None, 30 * DAY):
        found = _impact_of(_resting(9 * DAY, until=before), _resting(2 * DAY, until=30 * DAY))
        assert (found.expires_now, found.expires_after_pause, found.lets_expire) == (0, 7, 7)
    same = _impact_of(_resting(2 * DAY, until=20 * DAY), _resting(2 * DAY, until=30 * DAY))
    assert same.lets_expire == 0
