"""Impact: what a plan tells of 72,000 recovery points (800 machines with 90 each), beside reading their catalog.

CPU seconds of this process, medians of the rounds. Each round takes the catalog's JSON, decodes it, and weighs a
change of every group's range and floor with hazards and volumes: once as one group of all the machines, once as 100
groups. Nothing is kept from one round to the next.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from reconciler.model import (
    EMBEDDED,
    CatalogSnapshot,
    Change,
    Consistency,
    DataSource,
    Direction,
    Member,
    ObservedGroup,
    PointKind,
    PoolVolume,
    ProtectionGroup,
    Reason,
    RecoveryPoint,
    Replica,
    ReplicaState,
    ServerFacts,
    ShortTerm,
    Verb,
)
from reconciler.plan.impact import expiry
from reconciler.plan.impact.hazards import hazards, no_room, volumes
from reconciler.plan.impact.impact import Past, impact, moved

MACHINES, EACH = 800, 90
ROUNDS = 5
GOAL_SECONDS = 2.0
NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Weighed(NamedTuple):
    points: int
    fates: int
    machines: int


def main() -> int:
    print(f"CPU seconds, medians of {ROUNDS} rounds; {MACHINES * EACH:,} points of {MACHINES} machines.\n")
    worst = 0.0
    for groups in (1, 100):
        data = msgspec.json.encode(catalog(groups))
        reading = measured(lambda data=data: msgspec.json.decode(data, type=CatalogSnapshot))  # type: ignore[misc]
        seen = [msgspec.json.decode(data, type=CatalogSnapshot) for _ in range(ROUNDS)]
        weighing = measured(lambda seen=seen: weigh(seen.pop()))  # type: ignore[misc]
        found = weigh(msgspec.json.decode(data, type=CatalogSnapshot))
        assert found.machines == MACHINES
        assert found.fates > MACHINES * EACH // 2
        print(
            f"{groups:>4} groups: {weighing:.3f} s, {found.points / weighing:,.0f} points/s, {found.fates:,} fates; "
            f"reading {len(data) / 1e6:.0f} MB of catalog {reading:.3f} s, ratio {weighing / reading:.2f}"
        )
        worst = max(worst, weighing)
    verdict = "met" if worst <= GOAL_SECONDS else "MISSED"
    print(f"\nGoal: {MACHINES * EACH:,} points within {GOAL_SECONDS:.0f} s: {verdict}, {worst:.2f} s at worst.")
    return 0 if worst <= GOAL_SECONDS else 1


def measured(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


def weigh(seen: CatalogSnapshot) -> Weighed:
    """Everything that a plan asks of impact, with nothing remembered from an earlier round."""
    for remembered in (expiry._slots, expiry._last_slot, expiry._last_full):
        remembered.cache_clear()
    changes = [changed(each) for each in seen.groups]
    past = Past({seen.server: seen}, {seen.server: EMBEDDED}, NOW, ZoneInfo("Europe/Berlin"), moved=moved(changes))
    found = [(change, impact(change, past)) for change in changes]
    for change, each in found:
        hazards(change, each, past)
    no_room(volumes(found, past), past)
    told = [each for _, each in found if each is not None]
    fates = sum(len(each.fates) for each in told)
    return Weighed(len(seen.points), fates, sum(len(each.machines) for each in told))


def changed(seen: ObservedGroup) -> Change:
    term = msgspec.structs.replace(seen.group.short_term, retention=20 * DAY, minimum_points=5)
    after = msgspec.structs.replace(seen.group, short_term=term)
    args = (Verb.UPDATE, Reason.POLICY_CHANGED, Direction.WEAKENS)
    return Change("mabs-01", seen.group.name, *args, before=seen.group, after=after, ref=seen.ref)


def catalog(groups: int) -> CatalogSnapshot:
    """Points by the eight hours, thirty days back, a few of them verified."""
    sources = [DataSource("hci-01", f"{number:08x}-0000-4000-8000-000000000000") for number in range(MACHINES)]
    term = ShortTerm(30 * DAY, 9 * HOUR, 8 * HOUR)
    made = []
    for start in range(groups):
        members = tuple(Member(source) for source in sources[start::groups])
        made.append(ProtectionGroup(f"group-{start}", f"Group {start}", members, term))
    replicas = [
        Replica(
            source, "vol-a", ReplicaState.VALID, f"group-{number % groups}", retention=30 * DAY, synchronized_at=NOW
        )
        for number, source in enumerate(sources)
    ]
    points = [point(source, age) for source in sources for age in range(EACH, 0, -1)]
    return CatalogSnapshot(
        "mabs-01",
        NOW,
        ServerFacts("embedded"),
        tuple(ObservedGroup(each.name, each) for each in made),
        tuple(sorted(replicas, key=lambda replica: replica.source)),
        tuple(points),
        (PoolVolume("vol-a", 80 * 10**12, 40 * 10**12),),
    )


def point(source: DataSource, age: int) -> RecoveryPoint:
    at = NOW - age * 8 * HOUR + HOUR / 3
    return RecoveryPoint(
        f"{at:%Y%m%dT%H%M%SZ}-{source.machine[:8]}",
        source,
        at,
        PointKind.SYNCHRONIZATION,
        Consistency.APPLICATION,
        source_bytes=10**11,
        stored_bytes=10**8,
        scheduled_for=at,
        verified_at=at if age % 40 == 0 else None,
        machine_name="vm",
    )


if __name__ == "__main__":
    sys.exit(main())
