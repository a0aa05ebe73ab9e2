"""Events of drift: a play of policies, a server in memory and a cluster; what happens to it says itself which class,
group and field it is. No label comes from the classifier."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from reconciler.engines import EngineSetup
from reconciler.engines.memory import MemoryServer, open_engine
from reconciler.model import (
    ClusterSnapshot,
    ClusterVolume,
    Duration,
    ExistingPoints,
    LedgerEntry,
    Member,
    Pause,
    ProtectionGroup,
    Recurrence,
    RenameGroup,
    Replica,
    ReplicaState,
    StopProtection,
    Unseen,
    VirtualDisk,
    VirtualMachine,
)
from reconciler.model.documents import (
    CheckSchedule,
    ConsistencyCheckPolicy,
    GroupDocument,
    MachineSelector,
    MemberRule,
    Paused,
    ShortTermPolicy,
    StoragePreference,
    Times,
)
from reconciler.model.drift import DriftClass, DriftItem
from reconciler.model.units import ClockTime
from reconciler.plan import DesiredState, PlanInputs, Proposal, desired_state, propose
from reconciler.plan.drift.classify import Sides, drift
from reconciler.plan.drift.convergence import agreed
from reconciler.plan.fields import FIELDS, taking
from reconciler.protocols import Fence
from tests.fakes import SetClock, first_use
from tests.worlds import NOW, by_tier, document, machine, policies

Label = tuple[DriftClass, str, str]
Rounds = Callable[[ProtectionGroup], ProtectionGroup]
PENDING, EXTERNAL, NORMALISATION, CHURN = (
    DriftClass.PENDING,
    DriftClass.EXTERNAL,
    DriftClass.NORMALISATION,
    DriftClass.CHURN,
)


def times(*clock: str) -> Times:
    return Times(tuple(ClockTime.parse(each) for each in clock))


def vm(number: int, name: str, tier: str = "", **more: Any) -> VirtualMachine:
    disk = VirtualDisk(path=f"{name}.vhdx", volume="csv-01")
    return msgspec.structs.replace(machine(number, name, tier), disks=(disk,), **more)


class Play:
    """Two groups over five machines, applied; a sixth machine is in no group. `rounds` is what the server makes of
    every group that it is given, `unreadable` what it cannot show."""

    def __init__(self, rounds: Rounds | None = None, unreadable: frozenset[str] = frozenset()) -> None:
        self.server = MemoryServer()
        self.server.behaviour.rounds = rounds
        self.server.behaviour.unreadable = unreadable
        self.clock = SetClock(NOW)
        setup = EngineSetup("mabs-01", Path("nowhere"), {}, (("vol-a", 10**9), ("vol-b", 10**9)), {}, self.clock)
        self.engine = open_engine(setup, self.server)
        first_use(self.engine)
        self.ledger: dict[str, LedgerEntry] = {}
        self.documents = {tier: self._document(tier) for tier in ("gold", "silver")}
        self.machines = {
            each.name: each
            for each in (
                vm(1, "g1", "gold"),
                vm(2, "g2", "gold"),
                vm(3, "g3", "gold"),
                vm(4, "s1", "silver"),
                vm(5, "s2", "silver"),
                vm(6, "x1"),
            )
        }
        self.volumes = (ClusterVolume(name="csv-01", owner_node="n1"), ClusterVolume(name="csv-02", owner_node="n2"))
        self.unseen: tuple[Unseen, ...] = ()
        self.apply()

    def _document(self, tier: str) -> GroupDocument:
        term = ShortTermPolicy(
            Duration.parse("14d"),
            "1h",
            5,
            Duration.parse("4h"),
            times("20:00", "23:00"),
            times("08:00", "12:00", "18:00"),
        )
        return document(
            tier,
            by_tier(tier),
            display_name=f"The {tier} ones",
            short_term=term,
            consistency_check=ConsistencyCheckPolicy(True, CheckSchedule(ClockTime.parse("03:00"), 4)),
            storage=StoragePreference("vol-a"),
        )

    # --- Seeing and applying -----------------------------------------------------------------------------

    def cluster(self) -> ClusterSnapshot:
        machines = tuple(sorted(self.machines.values(), key=lambda each: each.id))
        return ClusterSnapshot(name="hci-01", taken_at=NOW, machines=machines, volumes=self.volumes, unseen=self.unseen)

    def situation(self) -> PlanInputs:
        return PlanInputs(
            site="hq",
            now=self.clock.now(),
            zone=ZoneInfo("UTC"),
            prune=True,
            clusters={"hci-01": self.cluster()},
            catalogs={"mabs-01": self.engine.observe()},
            capabilities={"mabs-01": self.engine.capabilities},
            ledger=tuple(self.ledger.values()),
        )

    def propose(self) -> Proposal:
        return propose(policies(self.documents.values()), self.situation())

    def desired(self) -> DesiredState:
        return desired_state(policies(self.documents.values()), self.situation())

    def items(self) -> tuple[DriftItem, ...]:
        seen = self.situation()
        unreadable = {name: able.unreadable for name, able in seen.capabilities.items()}
        return drift(Sides(self.desired(), tuple(seen.ledger), seen.catalogs, seen.clusters, unreadable))

    def labels(self) -> set[Label]:
        return {(item.klass, item.group, item.path) for item in self.items()}

    def apply(self) -> None:
        """As apply does it: each step, the ledger with what was read back, then what members are called now."""
        proposal = self.propose()
        wishes = {each.group.name: each for each in proposal.desired.groups}
        for step in proposal.plan.steps:
            ref = self.engine.apply(step.action, Fence(1))
            if isinstance(step.action, StopProtection):
                self.ledger.pop(step.action.before.name)
                continue
            if isinstance(step.action, RenameGroup):
                self.ledger = {name: each for name, each in self.ledger.items() if each.ref != ref}
            after = step.change.after
            assert after is not None
            wish = wishes[after.name]
            shown = next(each.group for each in self.engine.groups() if each.ref == ref)
            shown = taking(shown, after, self.engine.capabilities.unreadable)
            self.ledger[after.name] = LedgerEntry(
                server="mabs-01",
                ref=ref,
                applied=after,
                applied_at=self.clock.now(),
                run="run",
                members=wish.known,
                selectors=wish.selectors,
                document=wish.document,
                observed=shown if shown != after else None,
            )
        self.learn()

    def learn(self) -> None:
        """What every tick lets the ledger learn."""
        seen, desired = self.situation(), self.desired()
        unreadable = {name: able.unreadable for name, able in seen.capabilities.items()}
        found = agreed(desired, seen.ledger, seen.catalogs, unreadable, self.clock.now())
        self.ledger |= {each.group: each for each in found.entries}
        for each in found.over:
            self.ledger.pop(each.group)
        for wish in desired.groups:
            if wish.group.name in self.ledger:
                entry = self.ledger[wish.group.name]
                known = {each.source: each for each in wish.known if each.source not in wish.missing}
                members = tuple(known.get(each.source, each) for each in entry.members)
                self.ledger[wish.group.name] = msgspec.structs.replace(entry, members=members)

    # --- What happens ------------------------------------------------------------------------------------

    def write(self, group: str, **spec: Any) -> None:
        """Somebody commits other settings of a group."""
        before = self.documents[group]
        self.documents[group] = msgspec.structs.replace(before, spec=msgspec.structs.replace(before.spec, **spec))

    def write_in(self, where: str, group: str, values: dict[str, Any]) -> None:
        """Somebody commits other values in a part of a group: "spec", "term" or "check"."""
        spec = self.documents[group].spec
        match where:
            case "term":
                self.write(group, short_term=msgspec.structs.replace(spec.short_term, **values))
            case "check":
                self.write(group, consistency_check=msgspec.structs.replace(spec.consistency_check, **values))
            case _:
                self.write(group, **values)

    def write_term(self, group: str, **values: Any) -> None:
        self.write_in("term", group, values)

    def behind(self, group: str, make: Rounds | None) -> None:
        """Somebody changes a group on the server; None deletes it."""
        ref = self.ledger[group].ref
        if make is None:
            del self.server.groups[ref]
        else:
            self.server.groups[ref] = make(self.server.groups[ref])
            for source in self.server.groups[ref].sources:
                self.server.replicas.setdefault(source, Replica(source, "vol-a", ReplicaState.PENDING))

    def machine(self, which: str, **stated: Any) -> None:
        self.machines[which] = msgspec.structs.replace(self.machines[which], **stated)


def put(path: str, value: Any) -> Rounds:
    """A group with another value of a field."""
    field = next(each for each in FIELDS if each.path == path)
    return lambda group: field.put(group, value)


@dataclass(frozen=True)
class Event:
    """Something that happens after everything was applied, and what it is by its own nature. `stays` is what an apply
    of the policies does not end; `rounds` and `unreadable` are the server's from the beginning; `about` are the
    machines that it needs as they were."""

    name: str
    act: Callable[[Play], None]
    labels: frozenset[Label]
    stays: frozenset[Label] = frozenset()
    rounds: Rounds | None = None
    unreadable: frozenset[str] = frozenset()
    applies: bool = True
    about: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.name


def nothing(play: Play) -> None:
    """The server has already done it."""


def of(names: str) -> frozenset[str]:
    return frozenset(names.split())


def labels(klass: DriftClass, group: str, *paths: str) -> frozenset[Label]:
    return frozenset((klass, group, path) for path in paths)


#: Field -> what somebody may write instead (as keyword arguments of the document), up and down.
WRITTEN: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "shortTerm.retention": [("term", {"retention": Duration.parse(each)}) for each in ("30d", "7d")],
    "shortTerm.minimumPoints": [("term", {"minimum_points": each}) for each in (8, 3)],
    "shortTerm.rpo": [("term", {"rpo": Duration.parse(each)}) for each in ("2h", "9h")],
    "shortTerm.synchronization": [("term", {"synchronization": each}) for each in ("15min", "beforeRecoveryPoint")],
    "shortTerm.expressFull": [("term", {"express_full": each}) for each in (times("21:00"), None)],
    "shortTerm.recoveryPoints": [("term", {"recovery_points": each}) for each in (times("06:00"), None)],
    "displayName": [("spec", {"display_name": "Others"})],
    "existingPoints": [
        ("spec", {"existing_points": each}) for each in (ExistingPoints.KEEP_FOREVER, ExistingPoints.EXPIRE_NOW)
    ],
    "colocate": [("spec", {"colocate": True})],
    "deletionProtection": [("spec", {"deletion_protection": True})],
    "paused": [("spec", {"paused": Paused("storage move", "ops@corp.example", date(2026, 12, 1))})],
    "consistencyCheck.whenInconsistent": [("check", {"when_inconsistent": False})],
    "consistencyCheck.schedule": [
        ("check", {"schedule": each}) for each in (None, CheckSchedule(ClockTime.parse("04:00"), 2))
    ],
    "members.volume": [("spec", {"storage": each}) for each in (None, StoragePreference("vol-b"))],
}


def _evening(*hours: int) -> Recurrence:
    return Recurrence(tuple(time(hour) for hour in hours))


#: Field -> what a server may hold instead (as it is compared), up and down.
HELD: dict[str, list[Any]] = {
    "shortTerm.retention": [timedelta(days=21), timedelta(days=5)],
    "shortTerm.minimumPoints": [9, 4],
    "shortTerm.rpo": [timedelta(hours=1), timedelta(hours=8)],
    "shortTerm.synchronization": [timedelta(minutes=30), None],
    "shortTerm.expressFull": [_evening(19, 22), None],
    "shortTerm.recoveryPoints": [_evening(7), None],
    "displayName": ["The", "theirs"],
    "existingPoints": [ExistingPoints.KEEP_FOREVER, ExistingPoints.EXPIRE_NOW],
    "colocate": [True],
    "deletionProtection": [True],
    "paused": [Pause("patches", "ops@corp.example", date(2026, 12, 5), datetime(2026, 12, 5, 23, tzinfo=UTC))],
    "consistencyCheck.whenInconsistent": [False],
    "consistencyCheck.schedule": [(None, None), (time(5), 1)],
}


def on_volume(volume: str | None) -> Rounds:
    return lambda group: msgspec.structs.replace(
        group, members=tuple(msgspec.structs.replace(each, volume=volume) for each in group.members)
    )


def only(group: str, make: Rounds) -> Rounds:
    """A server that rounds one group alone."""
    return lambda each: make(each) if each.name == group else each


def edits_in_git(group: str) -> Iterator[Event]:
    for path, choices in WRITTEN.items():
        for number, (where, values) in enumerate(choices):

            def act(play: Play, where: str = where, values: dict[str, Any] = values) -> None:
                play.write_in(where, group, values)

            yield Event(f"git {group} {path} {number}", act, labels(PENDING, group, path))


def edits_behind(group: str) -> Iterator[Event]:
    for path, values in HELD.items():
        for number, value in enumerate(values):

            def act(play: Play, path: str = path, value: Any = value) -> None:
                play.behind(group, put(path, value))

            yield Event(f"server {group} {path} {number}", act, labels(EXTERNAL, group, path))
    for volume in (None, "vol-b"):

        def move(play: Play, volume: str | None = volume) -> None:
            play.behind(group, on_volume(volume))

        name = f"server {group} volume {volume}"
        yield Event(name, move, labels(EXTERNAL, group, "members.volume"), about=of(f"volumes-of-{group}"))


def roundings(group: str) -> Iterator[Event]:
    for path, values in HELD.items():
        for number, value in enumerate(values):
            found = labels(NORMALISATION, group, path)
            name = f"rounds {group} {path} {number}"
            yield Event(name, nothing, found, found, rounds=only(group, put(path, value)))
    found = labels(NORMALISATION, group, "members.volume")
    rounds = only(group, on_volume("vol-b"))
    yield Event(f"rounds {group} volume", nothing, found, found, rounds, about=of(f"volumes-of-{group}"))


def blind() -> Iterator[Event]:
    """What cannot be read back is never external, and never rounded; a change of the policy of it is pending."""
    for path, values in HELD.items():
        if path == "displayName":
            continue
        seen = frozenset({path})

        def act(play: Play, path: str = path, value: Any = values[0]) -> None:
            play.behind("gold", put(path, value))

        yield Event(f"server gold unreadable {path}", act, frozenset(), unreadable=seen)
        rounds = only("gold", put(path, values[0]))
        yield Event(f"rounds gold unreadable {path}", nothing, frozenset(), rounds=rounds, unreadable=seen)
        where, written = WRITTEN[path][0]

        def write(play: Play, where: str = where, written: dict[str, Any] = written) -> None:
            play.write_in(where, "gold", written)

        yield Event(f"git gold unreadable {path}", write, labels(PENDING, "gold", path), unreadable=seen)


def _members(play: Play, group: str, add: tuple[str, ...] = (), drop: tuple[str, ...] = ()) -> None:
    added = tuple(Member(play.machines[each].source("hci-01")) for each in add)
    dropped = {play.machines[each].source("hci-01") for each in drop}

    def make(before: ProtectionGroup) -> ProtectionGroup:
        kept = tuple(each for each in before.members if each.source not in dropped)
        return msgspec.structs.replace(before, members=tuple(sorted((*kept, *added))))

    play.behind(group, make)


def _rename_policy(play: Play) -> None:
    renamed = document("platinum")
    spec = msgspec.structs.replace(play.documents.pop("gold").spec, renamed_from=("gold",))
    play.documents["platinum"] = msgspec.structs.replace(renamed, spec=spec)


def _new_policy(play: Play) -> None:
    play.documents["iron"] = document("iron", MemberRule(MachineSelector("hci-01", names=("x1",))))


def _other_server(play: Play) -> None:
    play.write("gold", server="mabs-02")


def _renewed(play: Play) -> None:
    play.machines["g1"] = vm(61, "g1", "gold")


def _unseen(play: Play) -> None:
    play.unseen = (Unseen(play.machines.pop("g2").id, "roles/g2.json", "no JSON"),)


def _owner_of_volume(play: Play) -> None:
    play.volumes = (ClusterVolume(name="csv-01", owner_node="n2"), play.volumes[1])


def _born(tier: str) -> Callable[[Play], None]:
    def act(play: Play) -> None:
        play.machines["born"] = vm(50, "born", tier)

    return act


def _foreign(play: Play) -> None:
    other = msgspec.structs.replace(play.server.groups[play.ledger["gold"].ref], name="by-hand", members=())
    play.server.groups["hand-1"] = msgspec.structs.replace(other, display_name="By hand")


def _on(which: str, **stated: Any) -> Callable[[Play], None]:
    """The cluster shows something else of a machine."""
    return lambda play: play.machine(which, **stated)


def _gone(name: str) -> Callable[[Play], None]:
    def act(play: Play) -> None:
        del play.machines[name]

    return act


def _without(group: str) -> Callable[[Play], None]:
    def act(play: Play) -> None:
        del play.documents[group]

    return act


def _ruled(*rules: MemberRule) -> Callable[[Play], None]:
    """Somebody commits other rules of membership."""
    return lambda play: play.write("gold", members=rules)


def _hand(group: str, add: tuple[str, ...] = (), drop: tuple[str, ...] = ()) -> Callable[[Play], None]:
    """Somebody changes the members on the server."""
    return lambda play: _members(play, group, add, drop)


def _renamed_by_hand(play: Play) -> None:
    play.behind("gold", lambda group: msgspec.structs.replace(group, name="theirs"))


NARROW = by_tier("gold", but=("g3",))
WIDE = (by_tier("gold"), MemberRule(MachineSelector("hci-01", names=("x1",))))
OTHER_DISK = (VirtualDisk(path="g1.vhdx", volume="csv-02"),)
_RULES = of("the-rules-of-gold")
_SQL = {"tier": "gold", "app": "sql"}
_GOLD, _SILVER = labels(CHURN, "gold", "members"), labels(CHURN, "silver", "members")
_RELABELLED = labels(CHURN, "gold", "machine.labels")
_BY_HAND = labels(EXTERNAL, "silver", "members")
_STORAGE = labels(CHURN, "gold", "machine.volumes")
_VANISHED = labels(CHURN, "gold", "machine")
_ACROSS = _RELABELLED | _GOLD | _SILVER
_BOTH = labels(CHURN, "silver", "machine.node", "machine.volumes")

EVENTS_OF_GROUPS = [
    Event("git narrower rule", _ruled(NARROW), labels(PENDING, "gold", "members"), about=of("g3") | _RULES),
    Event("git wider rule", _ruled(*WIDE), labels(PENDING, "gold", "members"), about=of("x1") | _RULES),
    Event("git same members by another rule", _ruled(by_tier("gold"), by_tier("nobody")), frozenset(), about=_RULES),
    Event("git new group", _new_policy, labels(PENDING, "iron", ""), about=of("x1")),
    Event("git removed group", _without("gold"), labels(PENDING, "gold", "")),
    Event("git renamed group", _rename_policy, labels(PENDING, "gold", "name")),
    Event("git other server", _other_server, labels(PENDING, "gold", "server"), applies=False),
    Event("server member removed", _hand("gold", drop=("g1",)), labels(EXTERNAL, "gold", "members"), about=of("g1")),
    Event("server member added", _hand("gold", add=("x1",)), labels(EXTERNAL, "gold", "members"), about=of("x1")),
    Event(
        "server members exchanged",
        _hand("silver", ("x1",), ("s1",)),
        labels(EXTERNAL, "silver", "members"),
        about=of("x1 s1"),
    ),
    Event(
        "server all members removed",
        _hand("silver", (), ("s1", "s2")),
        labels(EXTERNAL, "silver", "members"),
        about=of("s1 s2 volumes-of-silver"),
    ),
    Event("server group deleted", lambda play: play.behind("gold", None), labels(EXTERNAL, "gold", "")),
    Event("server group renamed", _renamed_by_hand, labels(EXTERNAL, "gold", "name")),
    Event("server foreign group", _foreign, frozenset()),
]

EVENTS_OF_MACHINES = [
    Event("machine moved to another node", _on("g1", node="n2"), labels(CHURN, "gold", "machine.node"), about=of("g1")),
    Event(
        "machine moved to other storage",
        _on("g1", disks=OTHER_DISK),
        labels(CHURN, "gold", "machine.volumes"),
        about=of("g1"),
    ),
    Event("machine moved, node and storage", _on("s1", node="n2", disks=OTHER_DISK), _BOTH, about=of("s1")),
    Event("volume owned by another node", _owner_of_volume, frozenset()),
    Event("machine renamed", _on("g1", name="g1-renamed"), labels(CHURN, "gold", "machine.name"), about=of("g1")),
    Event("machine relabelled", _on("g1", labels=_SQL), _RELABELLED, about=of("g1")),
    Event("machine relabelled away", _on("g1", labels={"tier": "none"}), _RELABELLED | _GOLD, about=of("g1")),
    Event(
        "machine relabelled to another group",
        _on("g1", labels={"tier": "silver"}),
        _RELABELLED | _GOLD | _SILVER,
        about=of("g1"),
    ),
    Event("stranger relabelled into a group", _on("x1", labels={"tier": "gold"}), _GOLD, about=of("x1")),
    Event("machine born into gold", _born("gold"), _GOLD, about=of("born")),
    Event("machine born into silver", _born("silver"), _SILVER, about=of("born")),
    Event("machine born into nothing", _born(""), frozenset(), about=of("born")),
    Event("machine vanished", _gone("g1"), _VANISHED, _VANISHED, about=of("g1")),
    Event("machine of no group vanished", _gone("x1"), frozenset(), about=of("x1")),
    Event("machine born again under its name", _renewed, _VANISHED | _GOLD, _VANISHED, about=of("g1")),
    Event("machine cannot be read", _unseen, frozenset(), about=of("g2")),
    Event("machine updated inside", _on("g1", guest_version="2025"), frozenset(), about=of("g1")),
]


def singles() -> list[Event]:
    """Everything that may happen alone."""
    found = [each for group in ("gold", "silver") for each in edits_in_git(group)]
    found += [each for group in ("gold", "silver") for each in edits_behind(group)]
    found += [each for group in ("gold", "silver") for each in roundings(group)]
    return [*found, *blind(), *EVENTS_OF_GROUPS, *EVENTS_OF_MACHINES]


def pairs() -> list[tuple[Event, Event]]:
    """Two that happen together and do not undo each other: one of each class with one of every other, and two of the
    same field in Git and on the server, which are both said."""
    by_name = {each.name: each for each in singles()}
    git = ["shortTerm.retention 0", "displayName 0", "colocate 0", "shortTerm.expressFull 1", "members.volume 0"]
    mine = [by_name[f"git gold {each}"] for each in git] + [by_name["git narrower rule"], by_name["git new group"]]
    theirs = [
        by_name[f"server gold {each}"]
        for each in ("shortTerm.retention 1", "displayName 1", "existingPoints 1", "volume vol-b")
    ] + [by_name["server member removed"], by_name["server member added"], by_name["server foreign group"]]
    kept = [by_name[f"rounds gold {each}"] for each in ("shortTerm.minimumPoints 0", "consistencyCheck.schedule 1")]
    moved = [
        by_name[each]
        for each in (
            "machine moved to another node",
            "machine moved to other storage",
            "machine relabelled",
            "machine renamed",
            "machine born into gold",
            "machine vanished",
            "machine relabelled to another group",
        )
    ]
    classes = (mine, theirs, kept, moved)
    found = [
        (one, other)
        for number, those in enumerate(classes)
        for one in those
        for others in classes[number + 1 :]
        for other in others
        if {one.name, other.name} != {"server member removed", "machine relabelled to another group"}
    ]
    both = [
        (by_name[f"git silver {path} {number}"], by_name[f"server silver {path} {number}"])
        for path in HELD
        for number in range(min(len(HELD[path]), len(WRITTEN[path])))
        if not same_value(by_name[f"git silver {path} {number}"], by_name[f"server silver {path} {number}"])
    ]
    return found + both


def same_value(git: Event, server: Event) -> bool:
    """Whether policy and server say the same afterwards: then there is nothing pending."""
    play = Play()
    git.act(play)
    server.act(play)
    wish = next(each.group for each in play.desired().groups if each.group.name == "silver")
    return wish == play.server.groups[play.ledger["silver"].ref]


_WHOLE = ("", "name", "server")


def together(events: tuple[Event, ...]) -> bool:
    """Whether the events leave each other alone: other fields, other machines; what happens to a whole group goes
    with what happens to another group alone. Two groups that are called something new could be called the same."""
    keys = [{(group, path) for _, group, path in event.labels} for event in events]
    for number, one in enumerate(events):
        for place in range(number + 1, len(events)):
            renamed = all("displayName" in {path for _, path in each} for each in (keys[number], keys[place]))
            if keys[number] & keys[place] or one.about & events[place].about or renamed:
                return False
    for one, own in zip(events, keys, strict=True):
        taken = {group for group, path in own if path in _WHOLE and group != "iron"}
        others = [key for each, key in zip(events, keys, strict=True) if each is not one]
        if taken and any(not key or taken & {group for group, _ in key} for key in others):
            return False
    return all(event.unreadable == frozenset() for event in events)


def mixtures(count: int) -> list[tuple[Event, ...]]:
    """So many sets of two to five events that leave each other alone, always the same ones. Each class gets its turn
    to be in one."""
    chance = random.Random(20260310)
    every = singles()
    of_class = {klass: [each for each in every if klass in {label[0] for label in each.labels}] for klass in DriftClass}
    found: list[tuple[Event, ...]] = []
    while len(found) < count:
        klass = list(DriftClass)[len(found) % len(DriftClass)]
        chosen = (chance.choice(of_class[klass]), *chance.sample(every, chance.randint(1, 4)))
        if together(chosen):
            found.append(chosen)
    return found


def rounding_of(events: tuple[Event, ...]) -> Rounds | None:
    """What a server does that rounds in all the ways of these events."""
    ways = [event.rounds for event in events if event.rounds is not None]

    def make(group: ProtectionGroup) -> ProtectionGroup:
        for way in ways:
            group = way(group)
        return group

    return make if ways else None
