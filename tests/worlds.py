"""Worlds for properties: machines, policies over them, and the pure rooms played against a server in memory."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import strategies as st

from reconciler.engines import EngineSetup
from reconciler.engines.memory import MemoryEngine, MemoryServer, open_engine
from reconciler.errors import Location
from reconciler.model import (
    CatalogSnapshot,
    ClusterSnapshot,
    Duration,
    ExistingPoints,
    LedgerEntry,
    Plan,
    RenameGroup,
    StopProtection,
    VirtualMachine,
)
from reconciler.model.cluster import PowerState, Replication
from reconciler.model.documents import (
    ConsistencyCheckPolicy,
    ExclusionDocument,
    GroupDocument,
    GroupSpec,
    MachineSelector,
    MemberRule,
    Metadata,
    Placed,
    PolicySet,
    ShortTermPolicy,
    StoragePreference,
)
from reconciler.plan import PlanInputs, Proposal, propose
from reconciler.protocols import Fence
from tests.fakes import SetClock, first_use, machine_id

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
TIERS = ("gold", "silver", "iron")


class Nowhere:
    """Places of a document that was never written down: each path has a line of its own."""

    def __init__(self, file: str) -> None:
        self._file = file

    def at(self, *path: str | int) -> Location:
        return Location(self._file, 1 + sum(map(len, map(str, path))))

    at_key = at

    def within(self, line: int, column: int, *path: str | int) -> Location:
        return self.at(*path)


def machine(number: int, name: str, tier: str = "") -> VirtualMachine:
    return VirtualMachine(
        id=machine_id(number),
        name=name,
        node="n1",
        power=PowerState.OFF,
        checkpoints=(),
        replication=Replication(),
        disks=(),
        labels={"tier": tier} if tier else {},
    )


def cluster(*machines: VirtualMachine, name: str = "hci-01") -> ClusterSnapshot:
    return ClusterSnapshot(name=name, taken_at=NOW, machines=tuple(sorted(machines, key=lambda each: each.id)))


def document(name: str, *rules: MemberRule, **spec: object) -> GroupDocument:
    settings: dict[str, object] = {
        "short_term": ShortTermPolicy(Duration.parse("5d"), "1h"),
        "consistency_check": ConsistencyCheckPolicy(True),
        "server": "mabs-01",
    }
    filled = GroupSpec(site="hq", members=rules, **(settings | spec))  # type: ignore[arg-type]
    return GroupDocument("reconciler/v1", "ProtectionGroup", Metadata(name), filled)


def by_tier(tier: str, *, but: tuple[str, ...] = ()) -> MemberRule:
    return MemberRule(MachineSelector("hci-01", labels={"tier": tier}, except_=but))


def by_name(*names: str) -> MemberRule:
    return MemberRule(MachineSelector("hci-01", names=names))


def policies(groups: Iterable[GroupDocument], exclusions: Iterable[ExclusionDocument] = ()) -> PolicySet:
    return PolicySet(
        (),
        tuple(Placed(each, Nowhere(f"policies/{each.metadata.name}.yaml")) for each in groups),
        tuple(Placed(each, Nowhere(f"policies/{each.metadata.name}.yaml")) for each in exclusions),
    )


# --- Playing ---------------------------------------------------------------------------------------------------


class Game:
    """A server in memory with our ledger of it."""

    def __init__(self, behaviour_unreadable: frozenset[str] = frozenset()) -> None:
        self.server = MemoryServer()
        self.server.behaviour.unreadable = behaviour_unreadable
        setup = EngineSetup("mabs-01", Path("nowhere"), {}, (("vol-a", 10**9),), {}, SetClock(NOW))
        self.engine: MemoryEngine = open_engine(setup, self.server)
        first_use(self.engine)
        self.ledger: dict[str, LedgerEntry] = {}

    def situation(self, seen: ClusterSnapshot, *, prune: bool = True) -> PlanInputs:
        return PlanInputs(
            site="hq",
            now=NOW,
            zone=ZoneInfo("UTC"),
            prune=prune,
            clusters={seen.name: seen},
            catalogs={"mabs-01": self.engine.observe()},
            capabilities={"mabs-01": self.engine.capabilities},
            ledger=tuple(self.ledger.values()),
        )

    def propose(self, wanted: PolicySet, seen: ClusterSnapshot, *, prune: bool = True) -> Proposal:
        return propose(wanted, self.situation(seen, prune=prune))

    def apply(self, proposal: Proposal, plan: Plan | None = None) -> None:
        wishes = {each.group.name: each for each in proposal.desired.groups}
        for step in (plan or proposal.plan).steps:
            action = step.action
            ref = self.engine.apply(action, Fence(1))
            if isinstance(action, StopProtection):
                self.ledger.pop(action.before.name)
                continue
            after = step.change.after
            assert after is not None
            if isinstance(action, RenameGroup):
                self.ledger.pop(action.before.name)
            known = tuple(each for each in wishes[after.name].known if each.source in after.sources)
            self.ledger[after.name] = LedgerEntry(
                "mabs-01", ref, after, NOW, "run", known, wishes[after.name].selectors
            )

    def held(self) -> CatalogSnapshot:
        return self.engine.observe()


# --- Strategies ------------------------------------------------------------------------------------------------


@st.composite
def clusters(draw: st.DrawFn) -> ClusterSnapshot:
    tiers = draw(st.lists(st.sampled_from(("", *TIERS)), max_size=8))
    return cluster(*(machine(number, f"vm-{number}", tier) for number, tier in enumerate(tiers)))


_volumes = st.sampled_from([None, StoragePreference("vol-a")])


@st.composite
def policy_sets(draw: st.DrawFn) -> PolicySet:
    """Groups that share no machine: at most one for each tier."""
    chosen = draw(st.lists(st.sampled_from(TIERS), unique=True, max_size=3))
    groups = []
    for tier in chosen:
        term = ShortTermPolicy(
            Duration.parse(f"{draw(st.integers(1, 30))}d"),
            draw(st.sampled_from(["15min", "1h", "4h", "24h"])),
            draw(st.integers(3, 6)),
        )
        groups.append(
            document(
                f"{draw(st.sampled_from(['a', 'b']))}-{tier}",
                by_tier(tier, but=tuple(draw(st.lists(st.sampled_from(["vm-0", "vm-1"]), max_size=1)))),
                short_term=term,
                storage=draw(_volumes),
                existing_points=draw(st.sampled_from([ExistingPoints.RETAIN, ExistingPoints.KEEP_FOREVER])),
            )
        )
    return policies(groups)


def backwards(wanted: PolicySet) -> PolicySet:
    """The same documents in another order."""
    return msgspec.structs.replace(wanted, groups=wanted.groups[::-1], exclusions=wanted.exclusions[::-1])
