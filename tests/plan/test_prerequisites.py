"""Every prerequisite: a cluster on which it passes, one on which it fails, one on which it is unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from reconciler.errors import Diagnostic, codes
from reconciler.model import (
    Agent,
    CatalogSnapshot,
    ClusterSnapshot,
    ClusterVolume,
    DataSource,
    DiskKind,
    KnownMember,
    LedgerEntry,
    Node,
    Replication,
    ReplicationMode,
    ServerFacts,
    VirtualDisk,
    VirtualMachine,
)
from reconciler.model.documents import HostSelector, MemberRule, Placed, SiteDocument
from reconciler.model.preflight import Check, CheckState
from reconciler.parse.validate import typed
from reconciler.plan.checks.machine_prerequisites import Verdicts, machine_checks
from reconciler.plan.checks.prerequisites import prerequisites, unmet
from reconciler.plan.desired.resolve import resolve
from tests.fakes import machine_id
from tests.support.inputs import plan_inputs
from tests.worlds import NOW, Nowhere, by_name, document, policies

GB = 10**9


class World(NamedTuple):
    """A site on which everything passes; tests change one thing."""

    site: dict[str, Any] = {
        "apiVersion": "reconciler/v1",
        "kind": "Site",
        "metadata": {"name": "hq"},
        "spec": {
            "timeZone": "UTC",
            "prune": False,
            "state": {"sqlite": {"path": "s.db"}},
            "clusters": [
                {
                    "name": "hci-01",
                    "inventory": {"hyperv": {"endpoint": "e", "transport": "ntlm", "credential": "env:C"}},
                    "domain": {"name": "corp.example", "relation": "same"},
                    "churn": {"default": "10%/d"},
                },
                {"name": "hci-02", "inventory": {"directory": {"path": "b"}}},
            ],
            "servers": [
                {
                    "name": "mabs-01",
                    "engine": {"mabs": {"endpoint": "e", "transport": "ntlm", "credential": "env:C"}},
                    "itemLevelRecovery": True,
                    "volumes": [{"name": "v", "capacity": "100 TB"}],
                }
            ],
        },
    }
    machine: VirtualMachine = VirtualMachine(
        id=machine_id(1),
        name="one",
        node="n1",
        guest_system="windows",
        integration_version="10.0",
        replication=Replication(),
        checkpoints=(),
        disks=(VirtualDisk(path="d.vhdx", kind=DiskKind.VHDX, volume="csv", allocated_bytes=100 * GB),),
    )
    node: Node = Node(name="n1", agent=Agent(state="working"), integration_version="10.0")
    volume: ClusterVolume = ClusterVolume(name="csv", free_bytes=20 * GB, deduplicated=False)
    facts: ServerFacts = ServerFacts("mabs", roles=("Hyper-V",), operating_system="Windows Server 2022")
    more: tuple[VirtualMachine, ...] = ()
    elsewhere: tuple[VirtualMachine, ...] = ()
    known: tuple[KnownMember, ...] = ()
    hosts: MemberRule | None = None

    def cluster(self, **fields: Any) -> World:
        changed = msgspec.json.decode(msgspec.json.encode(self.site))
        changed["spec"]["clusters"][0].update(fields)
        return self._replace(site=_clean(changed))

    def server(self, **fields: Any) -> World:
        changed = msgspec.json.decode(msgspec.json.encode(self.site))
        changed["spec"]["servers"][0].update(fields)
        return self._replace(site=_clean(changed))

    def vm(self, **fields: Any) -> World:
        return self._replace(machine=replace(self.machine, **fields))

    def replica(self, **fields: Any) -> World:
        settled: dict[str, Any] = {"health": "Normal", "state": "Replicating", "log": "applied"}
        return self.vm(replication=Replication(mode=ReplicationMode.REPLICA, **(settled | fields)))

    def checks(self) -> tuple[Check, ...]:
        site: SiteDocument = typed(self.site, "Site")
        machines = tuple(sorted((self.machine, *self.more), key=lambda each: each.id))
        other = Node(name="n2", agent=Agent(state="working"))
        seen = {
            "hci-01": ClusterSnapshot(
                name="hci-01", taken_at=NOW, nodes=(self.node, other), volumes=(self.volume,), machines=machines
            ),
            "hci-02": ClusterSnapshot(name="hci-02", taken_at=NOW, machines=self.elsewhere),
        }
        wanted = policies([document("g", by_name("*"), *([self.hosts] if self.hosts else []))])
        wanted = replace(wanted, sites=(Placed(site, Nowhere("site.yaml")),))
        group = resolve(wanted, plan_inputs(seen)).groups[0].group
        ledger = (LedgerEntry("mabs-01", "ref", group, NOW, "r", self.known),) if self.known else ()
        desired = resolve(wanted, plan_inputs(seen, ledger=ledger))
        catalogs = {"mabs-01": CatalogSnapshot("mabs-01", NOW, self.facts)}
        checks = prerequisites(wanted, site, desired, (seen, catalogs), ledger)
        _says_the_same(checks, unmet(wanted, site, desired, (seen, catalogs), ledger))
        return checks


def _says_the_same(checks: tuple[Check, ...], told: list[Diagnostic]) -> None:
    """What a plan says is what failed, and the number of what is unknown."""
    assert [each for each in told if each.code != "RCL2240"] == [
        check.finding for check in checks if check.state is CheckState.FAILED
    ]
    unknown = sum(check.state is CheckState.UNKNOWN for check in checks)
    assert [each.message.split(" ")[0] for each in told if each.code == "RCL2240"] == [str(unknown)] * bool(unknown)


def _clean(plain: dict[str, Any]) -> dict[str, Any]:
    for part in (plain["spec"]["clusters"][0], plain["spec"]["servers"][0]):
        for key in [key for key, value in part.items() if value is None]:
            del part[key]
    return plain


BASE = World()
HOSTS = BASE._replace(
    node=replace(BASE.node, host_components=("Windows Server Backup",)),
    hosts=MemberRule(hosts=HostSelector("hci-01", ("n1",)), protect="bareMetal"),
)
_DISK = BASE.machine.disks[0]
_ELSEWHERE = replace(BASE.machine, id=machine_id(9))
_MOVED = BASE._replace(elsewhere=(_ELSEWHERE,), known=(KnownMember(DataSource("hci-01", machine_id(9)), "nine"),))
_STAYED = BASE._replace(known=(KnownMember(DataSource("hci-01", machine_id(1)), "one"),))

#: code -> worlds on which it passes, fails, is unknown; None where that cannot be.
ROWS: dict[str, tuple[World | None, World | None, World | None]] = {
    "RCL2201": (
        BASE,
        BASE._replace(facts=ServerFacts("mabs", roles=("DNS",))),
        BASE._replace(facts=ServerFacts("mabs")),
    ),
    "RCL2202": (
        BASE,
        BASE._replace(more=tuple(replace(BASE.machine, id=machine_id(n), name=f"m{n}") for n in range(2, 803))),
        None,
    ),
    "RCL2203": (
        BASE,
        BASE.cluster(domain={"name": "d", "relation": "workgroup"}).server(agentAuthentication="ntlm"),
        BASE.cluster(domain=None),
    ),
    "RCL2204": (BASE, BASE.vm(disks=(_DISK, VirtualDisk(path="1", kind=DiskKind.PASS_THROUGH))), None),
    "RCL2205": (
        BASE,
        BASE._replace(volume=replace(BASE.volume, deduplicated=True)),
        BASE._replace(volume=replace(BASE.volume, deduplicated=UNSET)),
    ),
    "RCL2206": (
        BASE,
        BASE.vm(integration_version="9.9"),
        BASE.vm(integration_version=UNSET),
    ),
    "RCL2207": (
        BASE,
        BASE._replace(volume=replace(BASE.volume, free_bytes=9 * GB)),
        BASE.cluster(churn=None),
    ),
    "RCL2208": (BASE, BASE.vm(guest_system="linux"), BASE.vm(guest_system=UNSET)),
    "RCL2209": (BASE, BASE.vm(disks=(_DISK, VirtualDisk(path="s.vhds", kind=DiskKind.SHARED))), None),
    "RCL2210": (
        BASE,
        BASE._replace(node=replace(BASE.node, agent=Agent(state="missing"))),
        BASE._replace(node=replace(BASE.node, agent=Agent())),
    ),
    "RCL2211": (
        BASE.replica(),
        BASE.replica()._replace(facts=ServerFacts("mabs", operating_system="Windows Server 2012")),
        BASE.replica()._replace(facts=ServerFacts("mabs")),
    ),
    "RCL2212": (
        HOSTS,
        HOSTS._replace(node=replace(HOSTS.node, agent=Agent(state="disabled"))),
        HOSTS._replace(node=replace(HOSTS.node, agent=Agent())),
    ),
    "RCL2213": (
        HOSTS,
        HOSTS._replace(node=replace(HOSTS.node, host_components=("Hyper-V",))),
        HOSTS._replace(node=replace(HOSTS.node, host_components=UNSET)),
    ),
    "RCL2216": (None, _MOVED, None),
    "RCL2220": (BASE, None, BASE.vm(replication=UNSET)),
    "RCL2221": (None, BASE.replica(health="Critical"), None),
    "RCL2222": (None, BASE.replica(state="Resynchronizing"), None),
    "RCL2223": (None, BASE.replica(state="WaitingForStartResynchronize"), None),
    "RCL2224": (None, BASE.replica(state="InitialReplicationInProgress"), None),
    "RCL2225": (None, BASE.replica(state="WaitingForInitialReplication"), None),
    "RCL2226": (None, BASE.replica(log="applying"), None),
    "RCL2227": (None, BASE.replica(log="failed"), None),
    "RCL2228": (None, BASE.replica(log="canceled"), None),
    "RCL2229": (None, BASE.replica(log="interrupted"), None),
    "RCL2230": (None, BASE.replica(state="MigrationInProgress"), None),
    "RCL2231": (None, BASE.replica(state="FailedOver"), None),
    "RCL2232": (None, BASE.replica(), None),
}


def _states(world: World, code: str) -> set[CheckState]:
    return {check.state for check in world.checks() if check.code == code}


@pytest.mark.parametrize("code", ROWS)
def test_it_passes(code: str) -> None:
    world = ROWS[code][0]
    states = _states(world or BASE, code)
    assert states == ({CheckState.PASSED} if world is not None else set())


@pytest.mark.parametrize("code", [code for code, row in ROWS.items() if row[1] is not None])
def test_it_fails_and_says_whom_it_concerns(code: str) -> None:
    world = ROWS[code][1]
    assert world is not None
    failed = [check for check in world.checks() if check.code == code and check.state is CheckState.FAILED]
    assert failed
    assert all(check.remedy for check in failed)
    if code not in ("RCL2201", "RCL2202", "RCL2212", "RCL2213", "RCL2216"):
        assert all("one" in check.machines or check.subject == "one" for check in failed)


@pytest.mark.parametrize("code", [code for code, row in ROWS.items() if row[2] is not None])
def test_what_is_not_known_is_unknown(code: str) -> None:
    world = ROWS[code][2]
    assert world is not None
    assert CheckState.UNKNOWN in _states(world, code)
    assert CheckState.FAILED not in _states(world, code)


@pytest.mark.parametrize("fact", ["health", "state", "log"])
def test_a_replica_of_which_something_is_unknown_is_never_passed(fact: str) -> None:
    assert _states(BASE.replica(**{fact: UNSET}), "RCL2220") == {CheckState.UNKNOWN}
    assert _states(BASE.replica(), "RCL2220") == {CheckState.PASSED}


@pytest.mark.parametrize(
    ("relation", "authentication", "single", "fine"),
    [
        ("same", "domain", False, True),
        ("child", "domain", False, True),
        ("trusted", "domain", True, True),
        ("untrusted", "domain", True, False),
        ("untrusted", "ntlm", True, True),
        ("untrusted", "ntlm", False, False),
        ("workgroup", "certificate", True, True),
        ("workgroup", "certificate", False, True),
    ],
)
def test_trust_between_cluster_and_server(
    relation: str, authentication: str, single: bool, fine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = BASE.cluster(domain={"name": "d", "relation": relation}).server(agentAuthentication=authentication)
    if single:
        whole: Callable[..., ClusterSnapshot] = ClusterSnapshot

        def alone(**fields: Any) -> ClusterSnapshot:
            return whole(**(fields | {"nodes": fields.get("nodes", ())[:1]}))

        monkeypatch.setitem(globals(), "ClusterSnapshot", alone)
    assert _states(world, "RCL2203") == {CheckState.PASSED if fine else CheckState.FAILED}


def test_space_is_summed_over_what_may_run_at_once() -> None:
    """100 GB x 10 % a day x the whole day: 10 GB for each of the machines on the volume."""
    two = BASE._replace(more=(replace(BASE.machine, id=machine_id(2), name="two"),))
    three = two._replace(more=(*two.more, replace(BASE.machine, id=machine_id(3), name="three")))
    assert _states(two, "RCL2207") == {CheckState.PASSED}
    assert _states(three, "RCL2207") == {CheckState.FAILED}


def test_a_replica_pair_is_no_move() -> None:
    twin = replace(_ELSEWHERE, replication=Replication(mode=ReplicationMode.REPLICA, health="Normal"))
    assert not _states(_MOVED._replace(elsewhere=(twin,)), "RCL2216")
    assert not _states(_STAYED, "RCL2216")


def test_the_protocol_state_counts_where_no_version_is_reported() -> None:
    world = BASE.vm(integration_version=UNSET, integration_state="upToDate")
    assert _states(world, "RCL2206") == {CheckState.PASSED}
    assert _states(world.vm(integration_state="protocolMismatch"), "RCL2206") == {CheckState.FAILED}


def test_every_row_is_explained_with_its_source() -> None:
    assert set(ROWS) <= set(codes())


def test_machines_that_are_taken_for_alike_have_the_same_checks() -> None:
    verdicts = Verdicts()
    worlds = [world for row in ROWS.values() for world in row if world is not None]
    for world in [*worlds, BASE, *(BASE.replica(state=state) for state in ("Replicating", "Resynchronizing", UNSET))]:
        for node in (world.node, BASE.node, None):
            states = [check.state for check in machine_checks(world.machine, node, None)]
            expected = (states.count(CheckState.FAILED), states.count(CheckState.UNKNOWN))
            assert verdicts.on(world.machine, node) == expected


def test_a_node_is_one_however_its_name_is_written() -> None:
    """A role says HV-01 where the node itself says hv-01: Windows takes both for one."""
    assert BASE.vm(node="N1").checks() == BASE.checks()
