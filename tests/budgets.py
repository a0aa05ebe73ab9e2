"""Sites for budgets: groups with machines and points in a server in memory, and other groups that are wanted there."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import strategies as st

from reconciler.engines import EngineSetup
from reconciler.engines.memory import MemoryEngine, MemoryServer, open_engine
from reconciler.model import (
    Action,
    CatalogSnapshot,
    Change,
    Consistency,
    Cost,
    CreateGroup,
    DataSource,
    Direction,
    ExistingPoints,
    Impact,
    LedgerEntry,
    MachineImpact,
    PointKind,
    ProtectionGroup,
    Reason,
    RecoveryPoint,
    RenameGroup,
    ReplicaState,
    ShortTerm,
    Size,
    StopProtection,
    UpdateGroup,
    Verb,
)
from reconciler.model.documents import BudgetPerDay, Budgets
from reconciler.plan.desired.state import DesiredGroup, DesiredState
from reconciler.plan.difference.dependencies import members_removed
from reconciler.plan.difference.diff import diff
from reconciler.plan.difference.split import with_ref
from reconciler.plan.rollout.budgets import Allowance, cost, with_replica
from reconciler.plan.rollout.order import order
from reconciler.protocols import Fence
from reconciler.schedule.retain import Range, retain
from tests.fakes import SetClock, first_use, group, machine_id
from tests.support.inputs import plan_inputs
from tests.worlds import NOW, Nowhere

BERLIN = ZoneInfo("Europe/Berlin")
SERVER = "mabs-01"


def source(number: int) -> DataSource:
    return DataSource("hci-01", machine_id(number))


class Site:
    """A server in memory, the ledger of it, what is wanted there, and how large each machine is."""

    def __init__(self, groups: Iterable[ProtectionGroup], wanted: Iterable[ProtectionGroup]) -> None:
        self.clock = SetClock(NOW)
        self.server = MemoryServer()
        self.wanted = tuple(wanted)
        self.formerly: dict[str, tuple[str, ...]] = {}
        self.sizes: dict[DataSource, int] = {}
        self.ledger: dict[str, LedgerEntry] = {}
        self._open()
        for each in groups:
            self.do(Change(SERVER, each.name, Verb.CREATE, Reason.NEW_POLICY, Direction.STRENGTHENS, after=each))
            for member in each.members:
                self.copied(member.source)

    def _open(self) -> None:
        setup = EngineSetup(SERVER, Path("nowhere"), {}, (("vol-a", 10**9),), {}, self.clock)
        self.engine: MemoryEngine = open_engine(setup, self.server)
        first_use(self.engine)

    def twin(self) -> Site:
        """The same site once more."""
        other = copy.copy(self)
        other.clock = SetClock(self.clock.at)
        other.server = copy.deepcopy(self.server)
        other.ledger = dict(self.ledger)
        other._open()
        return other

    def copied(self, machine: DataSource) -> None:
        """The machine's first copy was made."""
        replica = self.server.replicas[machine]
        self.server.replicas[machine] = msgspec.structs.replace(replica, state=ReplicaState.VALID)

    def points(self, machine: DataSource, ages: Iterable[timedelta]) -> None:
        """Gives the machine recovery points of these ages."""
        for number, age in enumerate(ages):
            name = f"{machine}-{number}"
            self.server.points[name] = RecoveryPoint(
                name, machine, self.clock.at - age, PointKind.SYNCHRONIZATION, Consistency.CRASH, 1, 1
            )

    def observe(self) -> CatalogSnapshot:
        return self.engine.observe()

    def changes(self) -> tuple[Change, ...]:
        """What is left to do, in order."""
        return order(self.difference())

    def difference(self) -> tuple[Change, ...]:
        """What is left to do."""
        wanted = tuple(
            DesiredGroup(SERVER, each, Nowhere(f"policies/{each.name}.yaml"), formerly=self.formerly.get(each.name, ()))
            for each in self.wanted
        )
        inputs = plan_inputs(catalogs={SERVER: self.observe()}, ledger=tuple(self.ledger.values()))
        return diff(DesiredState(wanted), inputs).changes

    def weigh(self, change: Change) -> tuple[Cost, Impact | None]:
        """What the change costs, by the points that there are."""
        impact = self._impact(change)
        return cost(change, self.sizes, impact, with_replica({SERVER: self.observe()})), impact

    def _impact(self, change: Change) -> Impact:
        machines = []
        by_machine: dict[DataSource, list[RecoveryPoint]] = {}
        for point in self.server.points.values():
            by_machine.setdefault(point.source, []).append(point)
        before, after = change.before, change.after
        for machine in sorted(before.sources if before else ()):
            points = by_machine.get(machine, [])
            assert before is not None
            going = self._expired(points, before)
            existing = (after or before).existing_points
            if machine in members_removed(change):
                then = {each.id for each in points} if existing is ExistingPoints.EXPIRE_NOW else going
            else:
                assert after is not None
                then = self._expired(points, after)
            machines.append(MachineImpact(machine, len(points), expires_now=len(then - going)))
        return Impact(tuple(machines))

    def _expired(self, points: Sequence[RecoveryPoint], under: ProtectionGroup) -> set[str]:
        term = under.short_term
        gone = retain(points, Range(term.retention, term.minimum_points), self.clock.at).expire
        return {point.id for point in gone}

    def prune(self) -> None:
        """Lets every point expire whose time has come."""
        for machine, replica in self.server.replicas.items():
            points = [each for each in self.server.points.values() if each.source == machine]
            stopped = replica.group is None
            if stopped and replica.existing_points is ExistingPoints.EXPIRE_NOW:
                gone = {each.id for each in points}
            else:
                keeps = stopped and replica.existing_points is ExistingPoints.KEEP_FOREVER
                under = Range(None if keeps else replica.retention, replica.minimum_points)
                gone = {each.id for each in retain(points, under, self.clock.at).expire}
            for name in gone:
                del self.server.points[name]

    def do(self, change: Change) -> None:
        """Applies one change as apply does, ledger included."""
        before, after = change.before, change.after
        entry = self.ledger.get(before.name) if before is not None else None
        ref = self.engine.apply(with_ref(_action(change), entry.ref if entry else ""), Fence(1))
        if before is not None:
            del self.ledger[before.name]
        if after is not None:
            self.ledger[after.name] = LedgerEntry(SERVER, ref, after, self.clock.at, "run")

    def groups(self) -> dict[str, ProtectionGroup]:
        return {each.group.name: each.group for each in self.observe().groups}


def _action(change: Change) -> Action:
    before, after = change.before, change.after
    if before is None:
        assert after is not None
        return CreateGroup(SERVER, after)
    if after is None:
        return StopProtection(SERVER, change.ref, before, before.existing_points)
    make = RenameGroup if before.name != after.name else UpdateGroup
    return make(SERVER, change.ref, before, after)


# --- Strategies --------------------------------------------------------------------------------------------------

_holders = st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=8, max_size=8)
_after = st.lists(st.sampled_from([None, "a", "b", "c", "d"]), min_size=8, max_size=8)
_days = st.sampled_from([1, 2, 5, 10])


@st.composite
def _terms(draw: st.DrawFn) -> ShortTerm:
    rpo = timedelta(hours=draw(st.sampled_from([2, 3])))
    return ShortTerm(timedelta(days=draw(_days)), rpo, timedelta(hours=1), draw(st.integers(3, 5)))


@st.composite
def sites(draw: st.DrawFn) -> Site:
    """Machines that were in groups and shall be in others, under other settings; some have points."""
    settings: dict[str, list[ProtectionGroup]] = {"before": [], "after": []}
    for when, holders in (("before", draw(_holders)), ("after", draw(_after))):
        for name in "abcd":
            members = [source(number) for number, holder in enumerate(holders) if holder == name]
            if not members:
                continue
            existing = draw(st.sampled_from(list(ExistingPoints)))
            made = group(name, *members, short_term=draw(_terms()), existing_points=existing)
            volume = draw(st.sampled_from([None, "vol-a"]))
            placed = tuple(msgspec.structs.replace(each, volume=volume) for each in made.members)
            settings[when].append(msgspec.structs.replace(made, members=placed))
    wanted = settings["after"]
    formerly: dict[str, tuple[str, ...]] = {}
    if wanted and draw(st.sampled_from([True, False])):
        first = wanted[0]
        wanted[0] = msgspec.structs.replace(first, name="z", display_name="z")
        formerly["z"] = (first.name,)
    site = Site(settings["before"], wanted)
    site.formerly = formerly
    for number in range(8):
        site.sizes[source(number)] = draw(st.integers(0, 60))
        if source(number) in site.server.replicas:
            hours = draw(st.lists(st.integers(0, 260), unique=True, max_size=12))
            site.points(source(number), [timedelta(hours=each) for each in hours])
    return site


def _maybe(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[int | None]:
    return st.one_of(st.none(), numbers)


@st.composite
def budgets(draw: st.DrawFn) -> Budgets:
    """Budgets, most of them tight; some are not written."""
    size = draw(_maybe(st.integers(0, 80)))
    per_day = BudgetPerDay(
        Size(size) if size is not None else None, draw(_maybe(st.integers(0, 4))), draw(_maybe(st.integers(0, 10)))
    )
    share = draw(st.one_of(st.none(), st.integers(1, 60).map(lambda each: f"{each}%")))
    return Budgets(draw(st.sampled_from([per_day, None])), share, draw(st.sampled_from([None, 1, 3])))


def allowance(site: Site, limits: Budgets | None, **more: object) -> Allowance:
    population = sum(len(each.members) for each in site.groups().values())
    settings: dict[str, object] = {"windows": (), "zone": BERLIN, "now": site.clock.at, "population": population}
    return Allowance(limits, **(settings | more))  # type: ignore[arg-type]


def local_midnight_after(moment: datetime, zone: ZoneInfo) -> datetime:
    """The beginning of the next day (UTC)."""
    day = moment.astimezone(zone).date() + timedelta(days=1)
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
