"""No perpetual diff: apply, observe, plan again -> nothing to do, for policy folders that chance wrote.

`make test` applies more than 500 folders to the embedded engine, `make prove-diff` more than 10,000.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconciler.control.applying.apply import Authority, apply
from reconciler.control.applying.ledger_update import refresh_ledger
from reconciler.control.lease import holding
from reconciler.control.observe import observe_whole
from reconciler.control.planning.propose import PlanRequest, propose
from reconciler.control.site import Site
from reconciler.engines import EngineSetup
from reconciler.engines.embedded import EmbeddedEngine
from reconciler.engines.memory import MemoryServer
from reconciler.engines.memory import open_engine as open_in_memory
from reconciler.errors import PolicyError, Severity
from reconciler.model import (
    MABS,
    ClusterSnapshot,
    ExistingPoints,
    Plan,
    StopProtection,
    UpdateGroup,
)
from reconciler.model.documents import PolicySet
from reconciler.parse.read import read_texts
from reconciler.plan import Proposal
from reconciler.plan.fields import FIELDS
from reconciler.protocols import Fence
from reconciler.state import open_memory
from reconciler.wiring import choose_site
from tests.fakes import SetClock
from tests.policy_strategies import Scene, Stage, histories
from tests.worlds import cluster, machine

PROVE = bool(os.environ.get("RECONCILER_PROVE"))
_QUICK = Path("/dev/shm")


class Shown:
    """An inventory that shows what it is given."""

    disks = None

    def __init__(self) -> None:
        self.cluster = ClusterSnapshot()

    def observe(self) -> ClusterSnapshot:
        return self.cluster


def embedded(folder: Path, stage: Stage, clock: SetClock) -> dict[str, Any]:
    return {name: EmbeddedEngine(setup) for name, setup in setups(folder, stage, clock).items()}


def forgetful(folder: Path, stage: Stage, clock: SetClock) -> dict[str, Any]:
    """Servers that do not give back what MABS does not."""
    opened = {}
    for name, setup in setups(folder, stage, clock).items():
        server = MemoryServer()
        server.behaviour.unreadable = MABS.unreadable
        opened[name] = open_in_memory(setup, server)
    return opened


def setups(folder: Path, stage: Stage, clock: SetClock) -> dict[str, EngineSetup]:
    return {
        name: EngineSetup(name, folder, {"path": name}, tuple((each, 80 * 10**12) for each in volumes), {}, clock)
        for name, volumes in stage.servers.items()
    }


Engines = Callable[[Path, Stage, SetClock], dict[str, Any]]


class Theatre:
    """Servers and a state database in a folder, played by the rooms that `reconciler apply` uses."""

    def __init__(self, folder: Path, stage: Stage, engines: Engines) -> None:
        self.inventories = {name: Shown() for name in stage.clusters}
        self.clock = SetClock()
        self.engines = engines(folder, stage, self.clock)
        self.memory = open_memory(folder / "hq.db")
        self.folder = folder
        self.token = 0

    def site(self, policies: PolicySet) -> Site:
        return Site(
            document=choose_site(policies, None),
            folder=self.folder,
            zone=ZoneInfo("UTC"),
            inventories=self.inventories,
            engines=self.engines,
            memory=self.memory,
            clock=self.clock,
            holder="test",
        )

    def propose(self, site: Site, policies: PolicySet) -> Proposal:
        return propose(site, policies, observe_whole(site), PlanRequest(glass=True))

    def apply(self, site: Site, policies: PolicySet) -> Proposal:
        """One apply, with everybody's consent."""
        with holding(site) as held:
            self.token = held.fence.token
            proposal = self.propose(site, policies)
            refresh_ledger(site, proposal)
            applied = apply(site, proposal.plan, held, Authority("apply"))
        assert not applied.failed, [each.reason for each in applied.failed]
        return proposal

    def meddle(self, which: int, what: str) -> None:
        """Somebody changes a group on its server, behind our back."""
        held = [(engine, each) for engine in self.engines.values() for each in engine.groups()]
        if not held:
            return
        engine, seen = held[which % len(held)]
        group = seen.group
        if what == "stop":
            engine.apply(StopProtection(engine.name, seen.ref, group, ExistingPoints.RETAIN), Fence(self.token))
            return
        term = msgspec.structs.replace(group.short_term, retention=group.short_term.retention * 2)
        edits: dict[str, dict[str, Any]] = {
            "retention": {"short_term": term},
            "title": {"display_name": f"renamed by hand {seen.ref[-12:]}"},
            "member": {"members": group.members[1:]},
            "points": {"existing_points": ExistingPoints.KEEP_FOREVER},
        }
        after = msgspec.structs.replace(group, **edits[what])
        engine.apply(UpdateGroup(engine.name, seen.ref, group, after), Fence(self.token))

    def close(self) -> None:
        for engine in self.engines.values():
            engine.close()
        self.memory.close()


@contextmanager
def theatre(stage: Stage, engines: Engines) -> Iterator[Theatre]:
    place = str(_QUICK) if _QUICK.is_dir() and os.access(_QUICK, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        opened = Theatre(Path(folder), stage, engines)
        try:
            yield opened
        finally:
            opened.close()


def told(plan: Plan) -> str:
    """Every field that is still to be changed, with both values."""
    return "\n".join(
        f"{step.change.server}/{step.change.group}: {step.change.verb} {step.change.reason} "
        + "; ".join(f"{each.path} is {each.before!r}, wanted {each.after!r}" for each in step.change.fields)
        for step in plan.steps
    )


def read(scene: Scene) -> PolicySet:
    """The folder as the command reads it: every folder that the strategies write is right."""
    reading = read_texts(scene.texts, "policies")
    wrong = [each for each in reading.diagnostics if each.severity is Severity.ERROR]
    assert reading.policies is not None, wrong
    return reading.policies


def play(stage: Stage, scenes: list[Scene], counted: Counter[str], engines: Engines = embedded) -> None:
    """From whatever state the last folder left, one apply reaches the next."""
    with theatre(stage, engines) as house:
        for scene in scenes:
            for meddling in scene.meddling:
                house.meddle(*meddling)
            for seen in scene.clusters:
                house.inventories[seen.name].cluster = seen
            policies = read(scene)
            site = house.site(policies)
            done = house.apply(site, policies)
            again = house.propose(site, policies)
            rounds = 0
            while done.desired.incomplete and again.plan.steps and rounds < 6:
                # What was held back since a cluster could not be believed is due once more of its machines are known;
                # a group that is stopped takes its machines out of what is known.
                house.apply(site, policies)
                again = house.propose(site, policies)
                rounds += 1
            counted["folders that took more rounds, a cluster being incomplete"] += bool(rounds)
            assert not again.plan.steps, "a second plan is not empty:\n" + told(again.plan)
            if engines is embedded:
                reached(house, again)
            counted["folders"] += 1
            for step in done.plan.steps:
                counted[f"{step.change.verb} steps"] += 1
                for field in step.change.fields:
                    counted[f"changes of {field.path or 'the whole group'}"] += 1


def reached(house: Theatre, again: Proposal) -> None:
    """Every group is on its server just as it is wanted, in every field there is, compared or not."""
    if any(finding.code == "RCL3017" for finding in again.plan.findings):
        return
    for wish in again.desired.groups:
        held = [seen.group for seen in house.engines[wish.server].groups()]
        assert wish.ignored or wish.group in held, wish.group


def played(examples: int, engines: Engines, histories: st.SearchStrategy[tuple[Stage, list[Scene]]]) -> Counter[str]:
    counted: Counter[str] = Counter()

    # A failure names the field and both values; shrinking the history would take longer than the proof.
    quick = [Phase.explicit, Phase.generate]

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=quick,
        derandomize=not PROVE,  # `make test` takes the same folders each time, `make prove-diff` others
    )
    @given(histories)
    def one(history: tuple[Stage, list[Scene]]) -> None:
        play(*history, counted, engines)

    one()
    sys.stdout.write("".join(f"{what}: {count}\n" for what, count in sorted(counted.items())))
    return counted


def test_after_an_apply_there_is_nothing_to_do() -> None:
    counted = played(4800 if PROVE else 160, embedded, histories())
    assert counted["folders"] >= (10_000 if PROVE else 300)
    for path in FIELDS:
        if path.path != "colocate":
            assert counted[f"changes of {path.path}"], f"chance never changed {path.path}"


def test_what_a_server_does_not_give_back_is_no_difference() -> None:
    counted = played(3000 if PROVE else 150, forgetful, histories(2, meddled=False))
    assert counted["update steps"]


# --- What chance found: one way in which it can be written each ------------------------------------------------------


def _folder(*groups: dict[str, Any], prune: bool = True) -> Scene:
    """A site whose server mabs-01 has vol-a and mabs-02 the others; machines alpha-1 and bravo-2; and the groups."""
    volumes = {"mabs-01": ("vol-a",), "mabs-02": ("vol-b", "vol-c")}
    spec = {
        "timeZone": "UTC",
        "prune": prune,
        "state": {"sqlite": {"path": "var/hq.db"}},
        "clusters": [{"name": "hci-01", "inventory": {"directory": {"path": "c"}}}],
        "servers": [
            {
                "name": name,
                "engine": {"embedded": {"path": f"var/{name}"}},
                "volumes": [{"name": volume, "capacity": "1 TB"} for volume in pool],
            }
            for name, pool in volumes.items()
        ],
    }
    head = {"apiVersion": "reconciler/v1"}
    documents = [head | {"kind": "Site", "metadata": {"name": "hq"}, "spec": spec}]
    for group in groups:
        own = {key: value for key, value in group.items() if key != "name"}
        lane = own.pop("lane")
        members = [{"virtualMachines": {"cluster": "hci-01", "names": [f"{lane}-*"]}}]
        term = {"retention": "5d", "synchronization": "1h"}
        filled = {"site": "hq", "server": "mabs-01", "members": members, "shortTerm": term} | own
        documents.append(head | {"kind": "ProtectionGroup", "metadata": {"name": group["name"]}, "spec": filled})
    text = b"---\n".join(json.dumps(document).encode() + b"\n" for document in documents)
    seen = cluster(machine(1, "alpha-1"), machine(2, "bravo-2"))
    return Scene({"policies/a.yaml": text}, (seen,))


STAGE = Stage(("hci-01",), {"mabs-01": ("vol-a",), "mabs-02": ("vol-b", "vol-c")})


def _play(*scenes: Scene) -> None:
    play(STAGE, list(scenes), Counter())


def _refused(code: str, *scenes: Scene) -> None:
    """The last of the folders is refused by this code, before anything is done."""
    with pytest.raises(PolicyError) as refused:
        _play(*scenes)
    assert {each.code for each in refused.value.diagnostics} == {code}


def test_a_group_is_placed_where_its_volume_is() -> None:
    prefers_a = {"name": "x", "lane": "alpha", "server": "auto", "storage": {"volume": "vol-a"}}
    _play(_folder(prefers_a))
    _refused("RCL3090", _folder(prefers_a), _folder(prefers_a | {"storage": {"volume": "vol-b"}}))


def test_two_groups_are_not_the_same_earlier_one() -> None:
    both = [{"name": name, "lane": lane, "renamedFrom": ["x"]} for name, lane in (("y", "alpha"), ("z", "bravo"))]
    _refused("RCL3091", _folder({"name": "x", "lane": "alpha"}), _folder(*both))


def test_a_name_that_another_group_keeps_is_refused() -> None:
    first = _folder({"name": "x", "lane": "alpha", "displayName": "T"}, prune=False)
    second = {"name": "y", "lane": "bravo", "displayName": "T"}
    _refused("RCL3092", first, _folder(second, prune=False))


def test_groups_do_not_swap_names() -> None:
    x, y = {"name": "x", "lane": "alpha"}, {"name": "y", "lane": "bravo"}
    first = _folder(x | {"displayName": "T"}, y | {"displayName": "U"})
    _refused("RCL3093", first, _folder(x | {"displayName": "U"}, y | {"displayName": "T"}))


def test_a_later_group_under_an_old_reference_is_not_taken_for_the_old_one() -> None:
    """The embedded engine gives a group that is made anew the reference that it had before it was renamed."""
    first, renamed = {"name": "x", "lane": "alpha"}, {"name": "y", "lane": "alpha", "renamedFrom": ["x"]}
    again = _folder({"name": "x", "lane": "alpha", "renamedFrom": ["y"]})
    back = _folder({"name": "x", "lane": "alpha"}, {"name": "y", "lane": "bravo"})
    _play(_folder(first), _folder(renamed), again._replace(meddling=((0, "stop"),)), back)


def test_a_machine_of_an_incomplete_cluster_does_not_move_to_another_group() -> None:
    """Not even where somebody took it out of its group by hand: both groups would want it."""
    x, y = {"name": "x", "lane": "alpha"}, {"name": "y", "lane": "alpha"}
    second = _folder(x | {"lane": "bravo"}, y)
    gone = (cluster(),)
    _play(_folder(x), second._replace(clusters=gone, meddling=((0, "member"),)))
    _play(_folder(x), second._replace(clusters=gone))


@pytest.mark.parametrize("title", ["V", None])
def test_a_name_is_given_up_before_it_is_taken(title: str | None) -> None:
    x, y = {"name": "x", "lane": "alpha"}, {"name": "y", "lane": "bravo"}
    first = _folder(x | {"displayName": "T"}, y | {"displayName": "U"})
    others = [y | {"displayName": title}] if title else []
    _play(first, _folder(x | {"displayName": "U"}, *others))
