"""What a plan tells of recovery points, beside what is really gone from the embedded engine once it has pruned.

Pairs of policies, before and after, are drawn: range, floor, schedule, members lost, gained and moved between groups,
protection stopped in each of its three ways, points verified, replicas inconsistent. The machines live for a while
under the one and then under the other; at every tick all jobs that are due run, and each point has to be there or
gone as it was told. On some sites the schedule is kept to the minute, and the dates of the calendar are held as well.
`make test` takes 25 pairs; `make prove-impact` takes 1,000.
"""

from __future__ import annotations

import os
import random
import tempfile
import time as clocks
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from reconciler.engines.embedded import open_engine
from reconciler.engines.embedded.making import Place
from reconciler.engines.embedded.records import POINT, folder_name
from reconciler.engines.embedded.replica import ReplicaStore
from reconciler.model import (
    CatalogSnapshot,
    Change,
    ConsistencyCheck,
    CreateGroup,
    DataSource,
    Direction,
    ExistingPoints,
    JobState,
    PointFate,
    ProtectionGroup,
    Reason,
    RecoveryPoint,
    Recurrence,
    Replica,
    ReplicaState,
    ShortTerm,
    StopProtection,
    UpdateGroup,
    Verb,
)
from reconciler.plan.impact.impact import Past, impact, moved
from reconciler.protocols import Fence
from reconciler.schedule import Range, View, due, point_slots, retain
from tests.fakes import DiskCluster, SetClock, first_use, group, setup_for

#: Sites come in threes: two of 10 pairs each, whose ticks are random, and one of 5 that keeps its schedule.
THREES = 40 if os.environ.get("RECONCILER_PROVE") else 1
IN_MEMORY = Path("/dev/shm")
SERVER = "mabs-01"
ZONE = ZoneInfo("Europe/Berlin")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DAWN = datetime.fromisoformat("2026-03-10T05:20:00+00:00")


class Pair(msgspec.Struct):
    """One group as it was and is to be (None: stopped), and a group beside it that may lose its machine to it."""

    before: ProtectionGroup
    after: ProtectionGroup | None
    beside: ProtectionGroup
    stopped_early: bool

    @property
    def changes(self) -> list[Change]:
        taken = self.after is not None and bool(self.beside.sources & self.after.sources)
        stop = [_change(self.beside, None)] if taken and not self.stopped_early else []
        return [*stop, _change(self.before, self.after)]


class Counts(msgspec.Struct):
    """What was looked at."""

    pairs: int = 0
    points: int = 0
    fates: int = 0
    gone: int = 0
    ticks: int = 0
    dates: int = 0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: what lasts through a power cut is not the question here, and waiting for
    the disk takes ten times as long as all the rest."""
    if not os.access(IN_MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="impact-", dir=IN_MEMORY) as made:
        yield Path(made)


@pytest.mark.parametrize("three", range(THREES))
def test_what_is_told_is_what_is_gone(folder: Path, three: int) -> None:
    began = clocks.perf_counter()
    counts = Counts()
    for number, pairs in enumerate((10, 10, 5)):
        chance = random.Random(three * 3 + number)
        Site(folder / str(number), chance, pairs, kept=number == 2).play(counts)
    assert counts.pairs == 25
    assert counts.fates > 100
    assert counts.gone > 50
    assert counts.dates > 10
    said = ", ".join(f"{value} {name}" for name, value in msgspec.structs.asdict(counts).items())
    print(f"{said}; {clocks.perf_counter() - began:.0f} s")


class Site:
    """Machines, an engine, a clock, and pairs of policies for them."""

    def __init__(self, folder: Path, chance: random.Random, pairs: int, *, kept: bool) -> None:
        folder.mkdir()
        self.folder = folder
        self.chance = chance
        self.kept = kept
        self.clock = SetClock(DAWN)
        self.cluster = DiskCluster(folder / "cluster")
        self.engine = open_engine(setup_for(folder / "store", self.cluster, self.clock))
        self.pairs = [self._pair(number) for number in range(pairs)]

    def play(self, counts: Counts) -> None:
        try:
            self._live()
            seen = self.engine.observe()
            changes = [change for pair in self.pairs for change in pair.changes]
            fates = self._told(seen, changes)
            for change in changes:
                self._apply(change, seen)
            ticks = self._ticks(fates)
            for at in ticks:
                self.clock.at = at
                then = self._run()
                self._hold(seen, fates, then)
                counts.dates += self._hold_dates(fates, then)
            there = {f"{point.source} {point.id}" for point in then.points}
            counts.pairs += len(self.pairs)
            counts.points += len(seen.points)
            counts.fates += len(fates)
            counts.gone += sum(f"{point.source} {point.id}" not in there for point in seen.points)
            counts.ticks += len(ticks)
        finally:
            self.engine.close()

    # --- Drawing -----------------------------------------------------------------------------------------

    def _pair(self, number: int) -> Pair:
        one, two, three = (self.cluster.add(3 * number + n, f"vm-{number}-{n}", data=b"data") for n in (1, 2, 3))
        before = self._group(f"group-{number}", [one, two])
        beside = self._group(f"beside-{number}", [three])
        stay = [source for source in (one, two, three) if self.chance.random() < 0.7]
        after = self._group(before.name, stay) if stay and self.chance.random() < 0.75 else None
        if after is not None and self.chance.random() < 0.3:  # the same settings, other members
            after = msgspec.structs.replace(before, members=after.members)
        return Pair(before, after, beside, self.chance.random() < 0.5)

    def _group(self, name: str, sources: list[DataSource]) -> ProtectionGroup:
        pick = self.chance.choice
        interval = pick([6 * HOUR, 12 * HOUR, 24 * HOUR, None])
        fulls = Recurrence(tuple(sorted({time(self.chance.randrange(24), pick([0, 30])) for _ in range(2)})))
        if interval is not None and self.chance.random() < 0.6:
            runs: dict[str, Recurrence] = {}
        else:
            runs = {"recovery_points" if interval is None else "express_full": fulls}
        retention = self.chance.randint(18, 70) * HOUR
        term = ShortTerm(retention, 25 * HOUR, interval, self.chance.randint(3, 5), **runs)
        check = pick([ConsistencyCheck(True), ConsistencyCheck(True), ConsistencyCheck(False, time(2, 30), 4)])
        existing = pick(list(ExistingPoints))
        return group(name, *sources, short_term=term, existing_points=existing, consistency_check=check)

    # --- Before ------------------------------------------------------------------------------------------

    def _live(self) -> None:
        """Some days under the policies before, some groups stopped on the way, some points verified."""
        for pair in self.pairs:
            first_use(self.engine)
            self.engine.apply(CreateGroup(SERVER, pair.before), Fence(1))
            self.engine.apply(CreateGroup(SERVER, pair.beside), Fence(1))
        for step in range(6):
            self._run()
            if step == 4:
                for pair in self.pairs:
                    if pair.stopped_early:
                        self._apply(_change(pair.beside, None), self.engine.observe())
            self.clock.forward(self.chance.randint(4 * 60, 13 * 60) * MINUTE)
        for replica in self._run().replicas:
            self._mark(replica)
        self.clock.forward(MINUTE)  # a clock that stands still would give two points of a machine the same time

    def _mark(self, replica: Replica) -> None:
        folder = self.folder / "store" / "volumes" / replica.volume / folder_name(replica.source)
        if self.chance.random() < 0.4:
            with ReplicaStore(Place(folder, replica.source), Fence(1)) as store, store.rows.writing(Fence(1)):
                points = sorted(point.id for point in store.points())
                for point in self.chance.sample(points, min(2, len(points))):
                    record = POINT.decode(store.rows.get("point", point) or b"")
                    verified = msgspec.structs.replace(record, verified_at=self.clock.at)
                    store.rows.put("point", point, msgspec.json.encode(verified))
        if self.chance.random() < 0.1:
            with ReplicaStore(Place(folder, replica.source), Fence(1)) as store:
                store.set_inconsistent("it was said to be")

    # --- The change --------------------------------------------------------------------------------------

    def _told(self, seen: CatalogSnapshot, changes: list[Change]) -> dict[str, PointFate]:
        able = {SERVER: self.engine.capabilities}
        past = Past({SERVER: seen}, able, self.clock.now(), ZONE, moved=moved(changes))
        found = filter(None, (impact(change, past) for change in changes))
        fates = [fate for each in found for fate in each.fates]
        told = {f"{fate.source} {fate.point}": fate for fate in fates}
        assert len(told) == len(fates)
        return told

    def _apply(self, change: Change, seen: CatalogSnapshot) -> None:
        before, after = change.before, change.after
        assert before is not None
        ref = next(each.ref for each in seen.groups if each.group.name == before.name)
        if after is None:
            self.engine.apply(StopProtection(SERVER, ref, before, before.existing_points), Fence(1))
        else:
            self.engine.apply(UpdateGroup(SERVER, ref, before, after), Fence(1))

    # --- After -------------------------------------------------------------------------------------------

    def _ticks(self, fates: dict[str, PointFate]) -> list[datetime]:
        now = self.clock.now()
        if self.kept:
            until = now + 2 * DAY
            ticks = {now, now + MINUTE}
            for seen in self.engine.groups():
                ticks |= set(point_slots(seen.group.short_term, ZONE, now, until))
            dates = {fate.after for fate in fates.values() if fate.after is not None and fate.after <= until}
            checks = {datetime.combine(now + day * DAY, time(2, 30), ZONE).astimezone(now.tzinfo) for day in (0, 1, 2)}
            ticks |= dates | {at + MINUTE for at in dates} | {at for at in checks if now < at <= until}
            return sorted(ticks)
        by_age = [fate.by_age for fate in fates.values() if fate.by_age is not None and fate.by_age > now]
        just = self.chance.sample(by_age, min(2, len(by_age)))
        hops = [now + self.chance.randint(0, 80 * 60) * MINUTE for _ in range(4)]
        return sorted({*hops, *just, *(at + timedelta(microseconds=1) for at in just)})

    def _run(self) -> CatalogSnapshot:
        """Does all that is due, until nothing is. Returns what there is then."""
        while True:
            seen = self.engine.observe()
            jobs = due(View(self.clock.now(), ZONE, seen, {}))
            if not jobs:
                return seen
            for job in jobs:
                handle = self.engine.start(job, Fence(1))
                while not (status := self.engine.poll(handle)).state.ended:
                    clocks.sleep(0.0005)
                assert status.state is JobState.SUCCEEDED, (job, status)

    # --- Holding -----------------------------------------------------------------------------------------

    def _hold(self, seen: CatalogSnapshot, fates: dict[str, PointFate], then: CatalogSnapshot) -> None:
        """Each point of before is there or gone: those that move as their fate says, the others as the rule that they
        lived under would have it."""
        there = {f"{point.source} {point.id}" for point in then.points}
        known = {f"{point.source} {point.id}" for point in seen.points}
        after = {replica.source: replica for replica in then.replicas}
        for replica in seen.replicas:
            mine = [point for point in seen.points if point.source == replica.source]
            new = [p for p in then.points if p.source == replica.source and f"{p.source} {p.id}" not in known]
            asleep = after[replica.source].group is not None
            asleep = asleep and after[replica.source].state is ReplicaState.INCONSISTENT
            lived = _gone_under(replica, seen, [*mine, *new], self.clock.now())
            for point in mine:
                key = f"{point.source} {point.id}"
                fate = fates.get(key)
                gone = point.id in lived if fate is None else _over(fate, self.clock.now(), len(new))
                assert (key not in there) == (gone and not asleep), (fate, point, replica, self.clock.now(), len(new))

    def _hold_dates(self, fates: dict[str, PointFate], then: CatalogSnapshot) -> int:
        """Where the schedule is kept, the calendar's dates are right to the minute. Returns how many came to pass."""
        if not self.kept:
            return 0
        now = self.clock.now()
        there = {f"{point.source} {point.id}" for point in then.points}
        passed = 0
        for key, fate in fates.items():
            if fate.after is None or now < fate.after:
                assert key in there, (fate, now)
            elif now >= fate.after + MINUTE:
                assert key not in there, (fate, now)
                passed += 1
        return passed


def _change(before: ProtectionGroup, after: ProtectionGroup | None) -> Change:
    verb = Verb.STOP if after is None else Verb.UPDATE
    return Change(SERVER, before.name, verb, Reason.POLICY_CHANGED, Direction.NEUTRAL, before=before, after=after)


def _over(fate: PointFate, now: datetime, new: int) -> bool:
    """The exact words of a fate."""
    return fate.by_age is not None and (fate.by_age == fate.time or now > fate.by_age) and new >= fate.needs


def _gone_under(replica: Replica, seen: CatalogSnapshot, points: list[RecoveryPoint], now: datetime) -> set[str]:
    """What retention lets go of by the rule before the change."""
    held = next((each.group for each in seen.groups if each.group.name == replica.group), None)
    if held is not None:
        return {
            p.id for p in retain(points, Range(held.short_term.retention, held.short_term.minimum_points), now).expire
        }
    if replica.existing_points is ExistingPoints.EXPIRE_NOW:
        return {point.id for point in points}
    age = None if replica.existing_points is ExistingPoints.KEEP_FOREVER else replica.retention
    return {point.id for point in retain(points, Range(age, replica.minimum_points), now).expire}
