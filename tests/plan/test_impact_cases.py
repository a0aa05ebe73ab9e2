"""Cases of impact, hazards and volumes, with what is expected of each."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any

import msgspec
import pytest

from reconciler.model import (
    EMBEDDED,
    MABS,
    Capabilities,
    ConsistencyCheck,
    ExistingPoints,
    Impact,
    Member,
    PoolVolume,
    ProtectionGroup,
    RecoveryPoint,
    Replica,
    ReplicaState,
    Verb,
    VolumeImpact,
)
from reconciler.plan.impact.hazards import hazards, no_room, volumes
from reconciler.plan.impact.impact import Past, impact, moved
from tests.fakes import NOON, group
from tests.plan.pruned import SERVER, SOURCES, ZONE, catalog, change, point, term

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ONE, TWO, THREE = SOURCES


def past(seen: Any, able: Capabilities = EMBEDDED, **more: Any) -> Past:
    return Past({SERVER: seen}, {SERVER: able}, NOON, ZONE, **more)


DAILY = [point(ONE, number * DAY + HOUR / 2) for number in range(14)]
FORTNIGHT = group("gold", ONE, short_term=term(14 * DAY))


def held(*points: RecoveryPoint, by: ProtectionGroup | None = FORTNIGHT, **more: Any) -> Any:
    settings = {"retention": 14 * DAY, "group": by.name if by else None, "synchronized_at": NOON} | more
    replica = msgspec.structs.replace(Replica(ONE, "vol-a", ReplicaState.VALID), **settings)
    return catalog([by] if by else [], [replica], points)


def under(changed_term: timedelta, **more: Any) -> ProtectionGroup:
    return msgspec.structs.replace(FORTNIGHT, short_term=term(changed_term, **more))


def counts(found: Impact | None) -> tuple[int, int, int] | None:
    return (found.expires_now, found.expires_sooner, found.expires_later) if found is not None else None


STOP_RETAIN = msgspec.structs.replace(FORTNIGHT, existing_points=ExistingPoints.RETAIN)
STOP_FOREVER = msgspec.structs.replace(FORTNIGHT, existing_points=ExistingPoints.KEEP_FOREVER)
STOP_NOW = msgspec.structs.replace(FORTNIGHT, existing_points=ExistingPoints.EXPIRE_NOW)
EMPTY_NOW = msgspec.structs.replace(STOP_NOW, members=())

#: What changes -> points that expire at once, sooner, later.
CASES = [
    ("a shorter range", FORTNIGHT, under(5 * DAY), {}, (9, 5, 0)),
    ("a longer range", FORTNIGHT, under(30 * DAY), {}, (0, 0, 14)),
    ("a higher floor that age never reaches", FORTNIGHT, under(14 * DAY, minimum_points=5), {}, (0, 0, 0)),
    ("a rarer schedule, within the range", FORTNIGHT, under(14 * DAY, synchronization=DAY), {}, (0, 0, 0)),
    ("another name", FORTNIGHT, msgspec.structs.replace(FORTNIGHT, display_name="Silver"), {}, None),
    ("another rpo", FORTNIGHT, FORTNIGHT, {}, None),
    ("a stop that retains", STOP_RETAIN, None, {}, (0, 0, 3)),
    ("a stop that keeps forever", STOP_FOREVER, None, {}, (0, 0, 14)),
    ("a stop that destroys", STOP_NOW, None, {}, (14, 0, 0)),
    ("a member lost, destroyed by what the group says then", FORTNIGHT, EMPTY_NOW, {}, (14, 0, 0)),
    ("a member gained that has old points", None, FORTNIGHT, {"by": None}, (0, 3, 0)),
    ("a member gained, kept forever so far", None, under(5 * DAY), {"by": None, "existing_points": "kf"}, (9, 5, 0)),
    ("a member gained that was to be destroyed", None, FORTNIGHT, {"by": None, "existing_points": "now"}, (0, 0, 14)),
    ("on an inconsistent replica that nobody repairs", FORTNIGHT, under(5 * DAY), {"state": "bad"}, (0, 0, 0)),
]

_SHORT = {
    "kf": ExistingPoints.KEEP_FOREVER,
    "now": ExistingPoints.EXPIRE_NOW,
    "bad": ReplicaState.INCONSISTENT,
}


@pytest.mark.parametrize(("name", "before", "after", "more", "expected"), CASES, ids=[case[0] for case in CASES])
def test_cases(
    name: str,
    before: ProtectionGroup | None,
    after: ProtectionGroup | None,
    more: dict[str, Any],
    expected: tuple[int, int, int] | None,
) -> None:
    settings: dict[str, Any] = {key: _SHORT.get(value, value) for key, value in more.items()}
    if settings.get("state"):
        unrepaired = ConsistencyCheck()
        before, after = (
            msgspec.structs.replace(each, consistency_check=unrepaired) if each else None for each in (before, after)
        )
    if before is not None:
        settings["by"] = before
    assert counts(impact(change(before, after), past(held(*DAILY, **settings)))) == expected


def test_the_dates_of_a_shorter_range() -> None:
    found = impact(change(FORTNIGHT, under(5 * DAY)), past(held(*DAILY)))
    assert found is not None
    (machine,) = found.machines
    assert machine.oldest_before == NOON - 13 * DAY - HOUR / 2
    assert machine.oldest_after == NOON - 4 * DAY - HOUR / 2
    assert machine.newest_before == machine.newest_after == NOON - HOUR / 2
    assert machine.freed_bytes == 90
    newest, oldest = found.fates[-1], found.fates[0]
    assert (newest.before, newest.after, newest.needs) == (newest.time + 14 * DAY, newest.time + 5 * DAY, 3)
    assert (oldest.before, oldest.after, oldest.needs) == (oldest.time + 14 * DAY, NOON, 0)
    assert [fate.time for fate in found.fates] == sorted(fate.time for fate in found.fates)


def test_the_last_verified_point_stays_whatever_its_age() -> None:
    points = [point(ONE, 10 * DAY, verified=True), *DAILY[:4]]
    found = impact(change(FORTNIGHT, under(5 * DAY)), past(held(*points)))
    assert found is not None
    assert counts(found) == (0, 4, 0)
    assert NOON - 10 * DAY not in {fate.time for fate in found.fates}
    assert found.machines[0].oldest_after == NOON - 10 * DAY


def test_a_schedule_decides_when_the_floor_lets_go() -> None:
    """Points by the day, kept for a day: the floor of three keeps the newest until there are three newer ones."""
    hourly, daily = under(DAY), under(DAY, synchronization=DAY)
    found = impact(change(daily, hourly), past(held(*DAILY[:2], by=daily)))
    assert found is not None
    midnight = NOON + 11 * HOUR
    assert [fate.needs for fate in found.fates] == [2, 3]
    assert [fate.before for fate in found.fates] == [midnight + DAY, midnight + 2 * DAY]
    # The slot of noon has no point yet, so one is made at once.
    assert [fate.after for fate in found.fates] == [NOON + HOUR, NOON - HOUR / 2 + DAY]


def test_an_inconsistent_replica_is_pruned_once_it_was_checked() -> None:
    nightly = ConsistencyCheck(False, time(2, 30), 4)
    before, after = (msgspec.structs.replace(each, consistency_check=nightly) for each in (FORTNIGHT, under(5 * DAY)))
    seen = held(*DAILY, by=before, state=ReplicaState.INCONSISTENT, checked_at=NOON - HOUR)
    found = impact(change(before, after), past(seen))
    assert found is not None
    assert found.fates[0].after == NOON + 13 * HOUR + HOUR / 2
    late = held(*DAILY, by=before, state=ReplicaState.INCONSISTENT, checked_at=NOON - DAY)
    assert counts(impact(change(before, after), past(late))) == (9, 5, 0)


def test_a_point_that_goes_anyway_is_not_counted() -> None:
    """It is beyond the old range already: the next pruning takes it, change or no change."""
    found = impact(change(FORTNIGHT, under(13 * DAY)), past(held(*DAILY, point(ONE, 20 * DAY))))
    assert found is not None
    assert found.machines[0].oldest_before == NOON - 20 * DAY
    assert counts(found) == (1, 13, 0)
    assert NOON - 20 * DAY not in {fate.time for fate in found.fates}


def test_a_server_that_prunes_by_itself_knows_no_floor() -> None:
    found = impact(change(FORTNIGHT, under(5 * DAY)), past(held(*[point(ONE, 7 * DAY), point(ONE, 8 * DAY)]), MABS))
    assert found is not None
    assert not found.exact
    assert found.expires_now == 2
    unknown = held(*DAILY, retention=None)
    stopped = impact(change(STOP_RETAIN, None), past(unknown, MABS))
    assert stopped is not None
    assert stopped.fates == ()


def test_a_member_that_moves_is_told_by_the_group_that_takes_it() -> None:
    let_go = change(STOP_NOW, msgspec.structs.replace(STOP_NOW, members=()))
    taken = change(None, msgspec.structs.replace(under(5 * DAY), name="silver"))
    seen = held(*DAILY, by=STOP_NOW)
    assert counts(impact(let_go, past(seen))) == (14, 0, 0)
    together = past(seen, moved=moved([let_go, taken]))
    assert impact(let_go, together) is None
    assert hazards(let_go, None, together) == ()
    assert counts(impact(taken, together)) == (9, 5, 0)


def test_adopting_does_nothing_to_points() -> None:
    adopt = msgspec.structs.replace(change(FORTNIGHT, FORTNIGHT), verb=Verb.ADOPT)
    assert impact(adopt, past(held(*DAILY))) is None
    assert impact(change(FORTNIGHT, None), Past({}, {}, NOON, ZONE)) is None


def test_points_in_any_order_and_of_machines_without_a_replica() -> None:
    seen = held(*DAILY)
    mixed = msgspec.structs.replace(seen, points=(*seen.points[::2], *seen.points[1::2]))
    shorter = change(FORTNIGHT, under(5 * DAY))
    assert impact(shorter, past(mixed)) == impact(shorter, past(seen))
    without = msgspec.structs.replace(seen, replicas=())
    assert counts(impact(shorter, past(without))) == (0, 0, 0)


# --- Hazards --------------------------------------------------------------------------------------------------------

OLD_AND_VERIFIED = [point(ONE, 9 * DAY, verified=True), point(ONE, DAY), point(ONE, 2 * DAY)]
BAD = {"state": ReplicaState.INCONSISTENT}

#: What changes, points, replica -> the codes.
HAZARDS = [
    ("a shorter range", FORTNIGHT, under(5 * DAY), DAILY, {}, EMBEDDED, []),
    ("a stop that retains", STOP_RETAIN, None, DAILY, {}, EMBEDDED, []),
    ("one point, and it stays", FORTNIGHT, under(30 * DAY), DAILY[:1], {}, EMBEDDED, []),
    ("a stop that destroys", STOP_NOW, None, DAILY, {}, EMBEDDED, ["RCL3070"]),
    ("a stop that destroys what is inconsistent", STOP_NOW, None, DAILY, BAD, EMBEDDED, ["RCL3070", "RCL3074"]),
    ("a stop with an inconsistent replica", STOP_RETAIN, None, DAILY, BAD, EMBEDDED, ["RCL3074"]),
    ("a shorter range, inconsistent", FORTNIGHT, under(5 * DAY), DAILY, BAD, EMBEDDED, ["RCL3073"]),
    ("a longer range, inconsistent", FORTNIGHT, under(30 * DAY), DAILY, BAD, EMBEDDED, []),
    ("a server that does its own pruning", FORTNIGHT, under(5 * DAY), DAILY, {}, MABS, ["RCL3075"]),
    ("the last verified one, there", FORTNIGHT, under(5 * DAY), OLD_AND_VERIFIED, {}, MABS, ["RCL3071", "RCL3075"]),
    ("the last verified one, here", FORTNIGHT, under(5 * DAY), OLD_AND_VERIFIED, {}, EMBEDDED, []),
    ("one left", FORTNIGHT, under(5 * DAY), [DAILY[3], DAILY[8]], {}, MABS, ["RCL3072", "RCL3075"]),
    ("none left", FORTNIGHT, under(5 * DAY), [DAILY[7], DAILY[8]], {}, MABS, ["RCL3070", "RCL3075"]),
    ("another name", FORTNIGHT, msgspec.structs.replace(FORTNIGHT, name="g"), DAILY, BAD, EMBEDDED, []),
]


@pytest.mark.parametrize(
    ("name", "before", "after", "points", "replica", "able", "expected"), HAZARDS, ids=[case[0] for case in HAZARDS]
)
def test_hazards(
    name: str,
    before: ProtectionGroup,
    after: ProtectionGroup | None,
    points: list[RecoveryPoint],
    replica: dict[str, Any],
    able: Capabilities,
    expected: list[str],
) -> None:
    seen = past(held(*points, by=before, **replica), able)
    what = change(before, after)
    found = hazards(what, impact(what, seen), seen)
    assert [each.code for each in found] == expected
    for each in found:
        assert each.subject == what.group
        assert str(ONE) in each.message or each.code == "RCL3075"


def test_a_warning_names_a_few_machines_and_counts_the_others() -> None:
    many = [msgspec.structs.replace(ONE, machine=f"m-{number}") for number in range(8)]
    stopped = group("gold", *many, short_term=term(5 * DAY), existing_points=ExistingPoints.EXPIRE_NOW)
    replicas = [Replica(each, "vol-a", ReplicaState.VALID, "gold", retention=5 * DAY) for each in many]
    seen = past(catalog([stopped], replicas, [msgspec.structs.replace(DAILY[1], source=each) for each in many]))
    what = change(stopped, None)
    (warning,) = hazards(what, impact(what, seen), seen)
    assert "m-4" in warning.message
    assert "m-5" not in warning.message
    assert warning.message.endswith("and 3 more: all 8 expire at once")


# --- Volumes --------------------------------------------------------------------------------------------------------

POOL = (PoolVolume("vol-a", 1000, 700), PoolVolume("vol-b", 1000, 500), PoolVolume("vol-c", 1000, 900))


def pooled(*points: RecoveryPoint, pool: tuple[PoolVolume, ...] = POOL, **more: Any) -> Any:
    return msgspec.structs.replace(held(*points, **more), volumes=pool)


def grown(*members: Member) -> ProtectionGroup:
    return msgspec.structs.replace(FORTNIGHT, members=(*FORTNIGHT.members, *members))


def test_first_copies_go_where_they_are_wanted_else_where_most_is_free() -> None:
    seen = past(pooled(*DAILY), sizes={TWO: 300, THREE: 250})
    plain = change(FORTNIGHT, grown(Member(TWO), Member(THREE)))
    assert volumes([(plain, impact(plain, seen))], seen) == (
        VolumeImpact(SERVER, "vol-a", 1000, 700, added_bytes=250),
        VolumeImpact(SERVER, "vol-b", 1000, 500, added_bytes=300),
    )
    named = change(FORTNIGHT, grown(Member(TWO, "vol-c"), Member(THREE, "nowhere")))
    (only,) = volumes([(named, None)], seen)
    assert only == VolumeImpact(SERVER, "vol-c", 1000, 900, added_bytes=300)
    assert (only.free_before, only.free_after) == (100, 0)


def test_what_expires_at_once_is_freed_where_it_lies() -> None:
    seen = past(pooled(*DAILY))
    shorter = change(FORTNIGHT, under(5 * DAY))
    (only,) = volumes([(shorter, impact(shorter, seen))], seen)
    assert only == VolumeImpact(SERVER, "vol-a", 1000, 700, freed_bytes=90)
    assert only.free_after == 390


def test_a_replica_that_is_there_takes_no_first_copy() -> None:
    seen = past(pooled(by=None), sizes={ONE: 300})
    again = change(None, FORTNIGHT)
    assert volumes([(again, impact(again, seen))], seen) == ()
    unknown = change(FORTNIGHT, grown(Member(TWO)))
    assert volumes([(unknown, None)], seen) == ()


def test_first_copies_that_do_not_fit_are_warned_of() -> None:
    seen = past(pooled(*DAILY), sizes={TWO: 101})
    named = change(FORTNIGHT, grown(Member(TWO, "vol-c")))
    (warning,) = hazards(named, impact(named, seen), seen)
    assert (warning.code, warning.subject) == ("RCL3076", "gold")
    assert "101 B" in warning.message
    fits = past(pooled(*DAILY), sizes={TWO: 100})
    assert hazards(named, impact(named, fits), fits) == ()


def test_room_counts_for_all_changes_together_and_by_what_the_disk_has() -> None:
    seen = past(pooled(), sizes={TWO: 60, THREE: 60})
    members = {"a": (Member(TWO, "vol-c"),), "b": (Member(THREE, "vol-c"),)}
    wanted = [
        change(None, msgspec.structs.replace(FORTNIGHT, name=name, members=each)) for name, each in members.items()
    ]
    assert [hazards(one, None, seen) for one in wanted] == [(), ()]
    (warning,) = no_room(volumes([(one, None) for one in wanted], seen), seen)
    assert (warning.code, warning.subject) == ("RCL3076", "vol-c")
    small = past(pooled(pool=(PoolVolume("vol-c", 1000, 0, disk_free_bytes=59),)), sizes={TWO: 60})
    assert [found.code for found in hazards(wanted[0], None, small)] == ["RCL3076"]


def test_the_first_of_equal_volumes_is_taken() -> None:
    twins = (PoolVolume("vol-b", 10, 0), PoolVolume("vol-a", 10, 0))
    seen = past(pooled(pool=twins), sizes={TWO: 5})
    (only,) = volumes([(change(FORTNIGHT, grown(Member(TWO))), None)], seen)
    assert only.volume == "vol-a"
