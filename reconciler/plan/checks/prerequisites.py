"""Prerequisites: clusters and servers as seen x what is desired -> every check, passed, failed or unknown.

The rows are those of 'Back up Azure Stack HCI virtual machines' (prerequisites, supported scenarios, replica virtual
machines). A fact that is not known makes a check unknown, never passed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

import msgspec
from msgspec import UNSET

from reconciler.errors import Diagnostic, Severity
from reconciler.model import (
    CatalogSnapshot,
    ClusterSnapshot,
    LedgerEntry,
    Node,
    ReplicationMode,
    VirtualMachine,
    format_size,
    volumes_of,
)
from reconciler.model.documents import Cluster, GroupDocument, MemberRule, PolicySet, Server, SiteDocument
from reconciler.model.names import fold
from reconciler.model.preflight import Check, CheckState
from reconciler.plan.checks.machine_prerequisites import Verdicts, machine_checks
from reconciler.plan.checks.replica_prerequisites import REPLICAS, mode_of
from reconciler.plan.checks.sizing import churn_of, size_of
from reconciler.plan.desired.state import DesiredGroup, DesiredState
from reconciler.plan.selectors import host_matches
from reconciler.schedule.change_windows import length_of

_ERROR, _WARNING, _ADVICE = Severity.ERROR, Severity.WARNING, Severity.ADVICE
_PASSED, _FAILED, _UNKNOWN = CheckState.PASSED, CheckState.FAILED, CheckState.UNKNOWN
_MOST_BYTES = 80 * 10**12
_NOBODY: dict[str, VirtualMachine] = {}


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """A machine that is to be protected from its host, the group that wants it, and the bytes of its disks."""

    cluster: str
    machine: VirtualMachine
    group: DesiredGroup
    size: int


class Field(msgspec.Struct, frozen=True):
    """Everything the checks look at; `wanted` by server, `on` by cluster. `brief`: only checks that fail need to name
    the machines that they are about."""

    site: SiteDocument
    desired: DesiredState
    clusters: Mapping[str, ClusterSnapshot]
    catalogs: Mapping[str, CatalogSnapshot]
    ledger: Sequence[LedgerEntry]
    documents: Mapping[str, GroupDocument]
    wanted: Mapping[str, Sequence[Wanted]]
    on: Mapping[str, Sequence[Wanted]]
    brief: bool


def prerequisites(
    policies: PolicySet,
    site: SiteDocument,
    desired: DesiredState,
    seen: tuple[Mapping[str, ClusterSnapshot], Mapping[str, CatalogSnapshot]],
    ledger: Sequence[LedgerEntry],
) -> tuple[Check, ...]:
    """Every check, by code and subject. `seen` are the clusters and the catalogs by name."""
    field = _field(policies, site, desired, seen, ledger, brief=False)
    checks = [*_around(field)]
    for each, node in _placed(field):
        checks += machine_checks(each.machine, node, each.group.place("members"))
    return _sorted(checks)


def unmet(
    policies: PolicySet,
    site: SiteDocument,
    desired: DesiredState,
    seen: tuple[Mapping[str, ClusterSnapshot], Mapping[str, CatalogSnapshot]],
    ledger: Sequence[LedgerEntry],
) -> list[Diagnostic]:
    """What a plan says of the prerequisites: those that fail, and in one line how many cannot be checked. The same as
    `prerequisites` finds, without a value for each that passes."""
    field = _field(policies, site, desired, seen, ledger, brief=True)
    around = [*_around(field)]
    failed = [check for check in around if check.state is _FAILED]
    unknown = sum(check.state is _UNKNOWN for check in around)
    verdicts = Verdicts()
    for each, node in _placed(field):
        verdict = verdicts.on(each.machine, node)
        unknown += verdict.unknown
        if verdict.failed:
            checks = machine_checks(each.machine, node, each.group.place("members"))
            failed += [check for check in checks if check.state is _FAILED]
    found = [check.finding for check in _sorted(failed)]
    if unknown:
        what = f"{unknown} prerequisites could not be checked, since facts are not known"
        found.append(Diagnostic("RCL2240", _ADVICE, what, "See `reconciler preflight`.", subject="preflight"))
    return found


def _field(
    policies: PolicySet,
    site: SiteDocument,
    desired: DesiredState,
    seen: tuple[Mapping[str, ClusterSnapshot], Mapping[str, CatalogSnapshot]],
    ledger: Sequence[LedgerEntry],
    *,
    brief: bool,
) -> Field:
    clusters, catalogs = seen
    documents = {placed.document.metadata.name: placed.document for placed in policies.groups}
    wanted = _wanted(desired, clusters)
    on: dict[str, list[Wanted]] = defaultdict(list)
    for some in wanted.values():
        for each in some:
            on[each.cluster].append(each)
    return Field(site, desired, clusters, catalogs, ledger, documents, wanted, on, brief)


def _sorted(checks: Iterable[Check]) -> tuple[Check, ...]:
    return tuple(sorted(checks, key=lambda each: (each.code, each.subject, each.state, each.message)))


def _around(field: Field) -> Iterator[Check]:
    """The checks of everything but single machines."""
    for server in field.site.spec.servers:
        mine = field.wanted.get(server.name, ())
        if mine:
            yield from _server(field, server, mine)
    for cluster in field.site.spec.clusters:
        snapshot = field.clusters.get(cluster.name)
        there = field.on.get(cluster.name, ())
        if snapshot is not None and (there or _host_rules(field, cluster.name)):
            yield from _cluster(field, cluster, snapshot, there)
    yield from _moved(field)


def _placed(field: Field) -> Iterator[tuple[Wanted, Node | None]]:
    """Every machine that is wanted on a cluster of the site, with its node."""
    for cluster in field.site.spec.clusters:
        snapshot = field.clusters.get(cluster.name)
        nodes = {fold(node.name): node for node in snapshot.nodes} if snapshot is not None else {}
        for each in field.on.get(cluster.name, ()):
            yield each, nodes.get(fold(each.machine.node))


def _wanted(desired: DesiredState, clusters: Mapping[str, ClusterSnapshot]) -> dict[str, list[Wanted]]:
    machines = {name: {machine.id: machine for machine in seen.machines} for name, seen in clusters.items()}
    found: dict[str, list[Wanted]] = defaultdict(list)
    for group in desired.groups:
        mine = found[group.server]
        for member in group.group.members:
            source = member.source
            machine = machines.get(source.cluster, _NOBODY).get(source.machine)
            if machine is not None:
                mine.append(Wanted(source.cluster, machine, group, size_of(machine)))
    return found


# --- The backup server -----------------------------------------------------------------------------------------


def _server(field: Field, server: Server, mine: Sequence[Wanted]) -> Iterator[Check]:
    catalog = field.catalogs.get(server.name)
    facts = catalog.facts if catalog is not None else None
    if server.engine.mabs is not None and server.item_level_recovery:
        roles = facts.roles if facts is not None else UNSET
        what = "item-level recovery needs the Hyper-V role on the MABS server"
        remedy = "Install the role on the server, or write itemLevelRecovery: false."
        state = _UNKNOWN if roles is UNSET else _PASSED if _has_hyperv(roles) else _FAILED
        yield Check("RCL2201", state, _ERROR, server.name, what, remedy)
    machines = {(each.cluster, each.machine.id): each.size for each in mine}
    total = sum(machines.values())
    what = (
        f"{len(machines)} of at most 800 virtual machines on one server, {format_size(total)} of at most 80 TB in all"
    )
    fits = len(machines) <= 800 and total <= _MOST_BYTES
    remedy = "Place groups on further servers."
    yield Check("RCL2202", _PASSED if fits else _FAILED, _ERROR, server.name, what, remedy)
    replicas = [each for each in mine if mode_of(each.machine) in REPLICAS] if server.engine.mabs is not None else []
    if replicas:
        system = facts.operating_system if facts is not None else UNSET
        what = "replica virtual machines are backed up by a server on Windows Server 2012 R2 or later"
        state = _UNKNOWN if not isinstance(system, str) else _PASSED if _since_2012r2(system) else _FAILED
        remedy = "Move the server to a newer Windows Server, or protect the primary virtual machines."
        yield Check("RCL2211", state, _ERROR, server.name, what, remedy, _names(replicas))


def _has_hyperv(roles: Iterable[str]) -> bool:
    return any(fold(role).replace(" ", "") in ("HYPER-V", "HYPERV") for role in roles)


def _since_2012r2(system: str) -> bool:
    year = re.search(r"20\d\d", system)
    return year is not None and (int(year[0]) > 2012 or (year[0] == "2012" and "R2" in system))


# --- The cluster -----------------------------------------------------------------------------------------------


def _cluster(field: Field, cluster: Cluster, snapshot: ClusterSnapshot, mine: Sequence[Wanted]) -> Iterator[Check]:
    yield from _trust(field, cluster, snapshot, mine)
    on_node: dict[str, list[Wanted]] = defaultdict(list)
    on_volume: dict[str, list[Wanted]] = defaultdict(list)
    for each in mine:
        on_node[fold(each.machine.node)].append(each)
        for volume in volumes_of(each.machine) if snapshot.volumes else ():
            on_volume[volume].append(each)
    for node in snapshot.nodes:
        yield from _node(field, node, on_node.get(fold(node.name), ()))
    yield from _deduplicated(field, snapshot, on_volume)
    yield from _room(field, cluster, snapshot, on_volume)
    yield from _hosts(field, snapshot)


def _trust(field: Field, cluster: Cluster, snapshot: ClusterSnapshot, mine: Sequence[Wanted]) -> Iterator[Check]:
    """Same, child or trusted domain; else NTLM or certificate for a single server, certificate for a cluster."""
    servers = {server.name: server for server in field.site.spec.servers}
    for name in sorted({each.group.server for each in mine}):
        server = servers.get(name)
        if server is None or server.engine.mabs is None:
            continue
        subject = f"{cluster.name} and {name}"
        what = "agents and server know each other: same, child or trusted domain, else authentication set up"
        if cluster.domain is None:
            remedy = "Write the cluster's `domain` with its relation in the site."
            yield Check("RCL2203", _UNKNOWN, _ERROR, subject, what, remedy)
            continue
        if cluster.domain.relation in ("same", "child", "trusted"):
            yield Check("RCL2203", _PASSED, _ERROR, subject, what)
            continue
        single = len(snapshot.nodes) == 1
        fine = ("ntlm", "certificate") if single else ("certificate",)
        state = _PASSED if server.agent_authentication in fine else _FAILED
        remedy = f"Set up {' or '.join(fine)} authentication, and write it as the server's agentAuthentication."
        yield Check("RCL2203", state, _ERROR, subject, what, remedy, _about(field, state, mine))


def _node(field: Field, node: Node, mine: Sequence[Wanted]) -> Iterator[Check]:
    """The agent on each node; and on those without a machine, since one may move there."""
    what = f"a working protection agent on {node.name}"
    severity = _ERROR if mine else _WARNING
    if node.agent.state is UNSET:
        remedy = "Declare it in the inventory, or make it observable."
        yield Check("RCL2210", _UNKNOWN, severity, node.name, what, remedy, _about(field, _UNKNOWN, mine))
        return
    state = _PASSED if node.agent.state == "working" else _FAILED
    found = what if state is _PASSED else f"the protection agent on {node.name} is {node.agent.state}"
    yield Check("RCL2210", state, severity, node.name, found, "Install or start the agent.", _about(field, state, mine))


def _host_rules(field: Field, cluster: str) -> list[tuple[str, MemberRule]]:
    """The rules that protect hosts of the cluster, with the name of their group."""
    return [
        (name, rule)
        for name, document in sorted(field.documents.items())
        for rule in document.spec.members
        if rule.hosts is not None and rule.hosts.cluster == cluster
    ]


def _hosts(field: Field, snapshot: ClusterSnapshot) -> Iterator[Check]:
    """Hosts whose system state or bare metal is protected: the agent; for bare metal Windows Server Backup too."""
    for _, rule in _host_rules(field, snapshot.name):
        for node in snapshot.nodes:
            if rule.hosts is None or not host_matches(rule.hosts, node.name):
                continue
            working = node.agent.state
            state = _UNKNOWN if working is UNSET else _PASSED if working == "working" else _FAILED
            what = f"a working protection agent on the host {node.name}, whose {rule.protect} is protected"
            yield Check("RCL2212", state, _ERROR, node.name, what, "Install or start the agent.")
            if rule.protect == "bareMetal":
                parts = node.host_components
                there = parts is not UNSET and any("SERVERBACKUP" in fold(each).replace(" ", "") for each in parts)
                state = _UNKNOWN if parts is UNSET else _PASSED if there else _FAILED
                what = f"Windows Server Backup on {node.name}, which bare metal needs"
                yield Check("RCL2213", state, _ERROR, node.name, what, "Install the feature on the host.")


def _deduplicated(
    field: Field, snapshot: ClusterSnapshot, on_volume: Mapping[str, Sequence[Wanted]]
) -> Iterator[Check]:
    """Machines on deduplicated volumes are backed up; single files of them are not recovered."""
    servers = {server.name: server for server in field.site.spec.servers}
    for volume in snapshot.volumes:
        there = on_volume.get(volume.name, ())
        if not there:
            continue
        items = any(s.item_level_recovery for each in there if (s := servers.get(each.group.server)) is not None)
        what = (
            f"{volume.name} is deduplicated: its virtual machines are backed up, item-level recovery "
            "from them may not work"
        )
        if volume.deduplicated is UNSET:
            what = f"whether {volume.name} is deduplicated"
            about = _about(field, _UNKNOWN, there)
            yield Check("RCL2205", _UNKNOWN, _ADVICE, volume.name, what, "Declare it in the inventory.", about)
        elif volume.deduplicated and items:
            remedy = "Protect at guest level what single files must come back from."
            yield Check("RCL2205", _FAILED, _ADVICE, volume.name, what, remedy, _names(there))
        else:
            what = f"{volume.name} may hold virtual machines that are backed up"
            yield Check("RCL2205", _PASSED, _ADVICE, volume.name, what)


def _room(
    field: Field, cluster: Cluster, snapshot: ClusterSnapshot, on_volume: Mapping[str, Sequence[Wanted]]
) -> Iterator[Check]:
    """Free space for AVHDX: initial size x churn x window, summed over what may run at once."""
    for volume in snapshot.volumes:
        there = on_volume.get(volume.name, ())
        if not there:
            continue
        remedy = "Free space on the volume, shorten the windows, or spread the virtual machines."
        needed, known = 0.0, volume.free_bytes is not UNSET
        last, share = there[0].group, _window(field, there[0].group) / timedelta(days=1)
        for each in there:
            churn = churn_of(each.machine, cluster.churn)
            known = known and churn is not None
            if each.group is not last:
                last, share = each.group, _window(field, each.group) / timedelta(days=1)
            needed += each.size * (churn or 0) * share
        if not known or not isinstance(volume.free_bytes, int):
            what = f"free space on {volume.name} for the disks that differ during a backup"
            remedy = "Write the cluster's churn in the site, and make its free space observable."
            about = _about(field, _UNKNOWN, there)
            yield Check("RCL2207", _UNKNOWN, _WARNING, volume.name, what, remedy, about)
            continue
        free, need = format_size(volume.free_bytes), format_size(round(needed))
        what = f"{volume.name} has {free} free; backups at once need {need}"
        state = _PASSED if needed <= volume.free_bytes else _FAILED
        yield Check("RCL2207", state, _WARNING, volume.name, what, remedy, _about(field, state, there))


def _window(field: Field, group: DesiredGroup) -> timedelta:
    document = field.documents.get(group.group.name)
    window = document.spec.backup_window if document is not None else None
    return length_of(window) if window is not None else timedelta(days=1)


# --- Machines that moved ---------------------------------------------------------------------------------------


def _moved(field: Field) -> Iterator[Check]:
    """A member that is gone from its cluster and is on another: not supported, nothing is deleted."""
    ids = {name: {machine.id for machine in seen.machines} for name, seen in field.clusters.items()}
    gone = [
        known
        for entry in field.ledger
        for known in entry.members
        if known.source.cluster in ids and known.source.machine not in ids[known.source.cluster]
    ]
    wanted = {known.source.machine for known in gone}
    homes: dict[str, list[tuple[str, VirtualMachine]]] = defaultdict(list)
    for name, seen in field.clusters.items() if gone else ():
        for machine in seen.machines:
            if machine.id in wanted:
                homes[machine.id].append((name, machine))
    for known in gone:
        there = homes.get(known.source.machine, [])
        if there and mode_of(there[0][1]) in (ReplicationMode.NONE, None):
            what = (
                f"{known.name} moved from {known.source.cluster} to {there[0][0]}; a move to another cluster is "
                "not supported: its points are kept, no new ones are made"
            )
            remedy = f"Protect it on {there[0][0]} by a rule of its own; stop the old protection when it may go."
            yield Check("RCL2216", _FAILED, _WARNING, known.name, what, remedy)


def _about(field: Field, state: CheckState, mine: Iterable[Wanted]) -> tuple[str, ...]:
    return () if field.brief and state is not _FAILED else _names(mine)


def _names(mine: Iterable[Wanted]) -> tuple[str, ...]:
    return tuple(sorted({each.machine.name for each in mine}, key=fold))
