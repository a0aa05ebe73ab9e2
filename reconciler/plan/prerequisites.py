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

from reconciler.errors import Severity
from reconciler.model import (
    CatalogSnapshot,
    ClusterSnapshot,
    DataSource,
    DiskKind,
    LedgerEntry,
    Node,
    ReplicationMode,
    VirtualMachine,
    format_size,
)
from reconciler.model.documents import Cluster, GroupDocument, MemberRule, PolicySet, Server, SiteDocument
from reconciler.model.preflight import Check, CheckState
from reconciler.plan.replication import REPLICAS, mode_of, replica_checks
from reconciler.plan.selectors import host_matches
from reconciler.plan.sizing import churn_of, size_of
from reconciler.plan.values import DesiredGroup, DesiredState
from reconciler.plan.windows import length_of

_ERROR, _WARNING, _ADVICE = Severity.ERROR, Severity.WARNING, Severity.ADVICE
_PASSED, _FAILED, _UNKNOWN = CheckState.PASSED, CheckState.FAILED, CheckState.UNKNOWN
_MOST_BYTES = 80 * 10**12


class Wanted(msgspec.Struct, frozen=True):
    """A machine that is to be protected from its host, and the group that wants it."""

    cluster: str
    machine: VirtualMachine
    group: DesiredGroup


class Field(msgspec.Struct, frozen=True):
    """Everything the checks look at."""

    site: SiteDocument
    desired: DesiredState
    clusters: Mapping[str, ClusterSnapshot]
    catalogs: Mapping[str, CatalogSnapshot]
    ledger: Sequence[LedgerEntry]
    documents: Mapping[str, GroupDocument]
    wanted: Mapping[str, tuple[Wanted, ...]]


def prerequisites(
    policies: PolicySet,
    site: SiteDocument,
    desired: DesiredState,
    seen: tuple[Mapping[str, ClusterSnapshot], Mapping[str, CatalogSnapshot]],
    ledger: Sequence[LedgerEntry],
) -> tuple[Check, ...]:
    """Every check, by code and subject. `seen` are the clusters and the catalogs by name."""
    clusters, catalogs = seen
    documents = {placed.document.metadata.name: placed.document for placed in policies.groups}
    field = Field(site, desired, clusters, catalogs, ledger, documents, _wanted(desired, clusters))
    checks: list[Check] = []
    for server in site.spec.servers:
        mine = field.wanted.get(server.name, ())
        if mine:
            checks += _server(field, server, mine)
    for cluster in site.spec.clusters:
        snapshot = clusters.get(cluster.name)
        mine = tuple(each for some in field.wanted.values() for each in some if each.cluster == cluster.name)
        if snapshot is not None and (mine or _host_rules(field, cluster.name)):
            checks += _cluster(field, cluster, snapshot, mine)
    checks += _moved(field)
    return tuple(sorted(checks, key=lambda each: (each.code, each.subject, each.state, each.message)))


def _wanted(desired: DesiredState, clusters: Mapping[str, ClusterSnapshot]) -> dict[str, tuple[Wanted, ...]]:
    machines = {machine.source(name): machine for name, seen in clusters.items() for machine in seen.machines}
    found: dict[str, list[Wanted]] = defaultdict(list)
    for group in desired.groups:
        for member in group.group.members:
            machine = machines.get(DataSource(member.source.cluster, member.source.machine))
            if machine is not None:
                found[group.server].append(Wanted(member.source.cluster, machine, group))
    return {server: tuple(some) for server, some in found.items()}


# --- The backup server -----------------------------------------------------------------------------------------


def _server(field: Field, server: Server, mine: tuple[Wanted, ...]) -> Iterator[Check]:
    catalog = field.catalogs.get(server.name)
    facts = catalog.facts if catalog is not None else None
    if server.engine.mabs is not None and server.item_level_recovery:
        roles = facts.roles if facts is not None else UNSET
        what = "item-level recovery needs the Hyper-V role on the MABS server"
        remedy = "Install the role on the server, or write itemLevelRecovery: false."
        state = _UNKNOWN if roles is UNSET else _PASSED if _has_hyperv(roles) else _FAILED
        yield Check("RCL2201", state, _ERROR, server.name, what, remedy)
    machines = {(each.cluster, each.machine.id): each.machine for each in mine}
    total = sum(size_of(machine) for machine in machines.values())
    what = f"{len(machines)} of at most 800 machines on one server, {format_size(total)} of at most 80 TB in all"
    fits = len(machines) <= 800 and total <= _MOST_BYTES
    remedy = "Place groups on further servers."
    yield Check("RCL2202", _PASSED if fits else _FAILED, _ERROR, server.name, what, remedy)
    replicas = [each for each in mine if mode_of(each.machine) in REPLICAS]
    if replicas and server.engine.mabs is not None:
        system = facts.operating_system if facts is not None else UNSET
        what = "replica machines are backed up by a server on Windows Server 2012 R2 or later"
        state = _UNKNOWN if not isinstance(system, str) else _PASSED if _since_2012r2(system) else _FAILED
        remedy = "Move the server to a newer Windows Server, or protect the primary machines."
        yield Check("RCL2211", state, _ERROR, server.name, what, remedy, _names(replicas))


def _has_hyperv(roles: Iterable[str]) -> bool:
    return any(role.casefold().replace(" ", "") in ("hyper-v", "hyperv") for role in roles)


def _since_2012r2(system: str) -> bool:
    year = re.search(r"20\d\d", system)
    return year is not None and (int(year[0]) > 2012 or (year[0] == "2012" and "R2" in system))


# --- The cluster -----------------------------------------------------------------------------------------------


def _cluster(field: Field, cluster: Cluster, snapshot: ClusterSnapshot, mine: tuple[Wanted, ...]) -> Iterator[Check]:
    yield from _trust(field, cluster, snapshot, mine)
    for node in snapshot.nodes:
        yield from _node(node, [each for each in mine if each.machine.node == node.name])
    yield from _deduplicated(field, snapshot, mine)
    yield from _room(field, cluster, snapshot, mine)
    yield from _hosts(field, snapshot)
    nodes = {node.name: node for node in snapshot.nodes}
    for each in mine:
        yield from _machine(each, nodes.get(each.machine.node))


def _trust(field: Field, cluster: Cluster, snapshot: ClusterSnapshot, mine: tuple[Wanted, ...]) -> Iterator[Check]:
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
        yield Check("RCL2203", state, _ERROR, subject, what, remedy, _names(mine))


def _node(node: Node, mine: Sequence[Wanted]) -> Iterator[Check]:
    """The agent on each node; and on those without a machine, since one may move there."""
    what = f"a working protection agent on {node.name}"
    severity = _ERROR if mine else _WARNING
    if node.agent.state is UNSET:
        remedy = "State it in the inventory, or see to it that it can be observed."
        yield Check("RCL2210", _UNKNOWN, severity, node.name, what, remedy, _names(mine))
        return
    state = _PASSED if node.agent.state == "working" else _FAILED
    found = what if state is _PASSED else f"the protection agent on {node.name} is {node.agent.state}"
    yield Check("RCL2210", state, severity, node.name, found, "Install it, or set it going.", _names(mine))


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
            yield Check("RCL2212", state, _ERROR, node.name, what, "Install it, or set it going.")
            if rule.protect == "bareMetal":
                parts = node.host_components
                there = parts is not UNSET and any("serverbackup" in each.casefold().replace(" ", "") for each in parts)
                state = _UNKNOWN if parts is UNSET else _PASSED if there else _FAILED
                what = f"Windows Server Backup on {node.name}, which bare metal needs"
                yield Check("RCL2213", state, _ERROR, node.name, what, "Install the feature on the host.")


def _deduplicated(field: Field, snapshot: ClusterSnapshot, mine: tuple[Wanted, ...]) -> Iterator[Check]:
    """Machines on deduplicated volumes are backed up; single files of them are not recovered."""
    servers = {server.name: server for server in field.site.spec.servers}
    for volume in snapshot.volumes:
        there = [each for each in mine if volume.name in _volumes(each.machine)]
        if not there:
            continue
        items = any(s.item_level_recovery for each in there if (s := servers.get(each.group.server)) is not None)
        what = f"{volume.name} is deduplicated: its machines are backed up, item-level recovery from them may not work"
        if volume.deduplicated is UNSET:
            what = f"whether {volume.name} is deduplicated"
            yield Check("RCL2205", _UNKNOWN, _ADVICE, volume.name, what, "State it in the inventory.", _names(there))
        elif volume.deduplicated and items:
            remedy = "Protect at guest level what single files must come back from."
            yield Check("RCL2205", _FAILED, _ADVICE, volume.name, what, remedy, _names(there))
        else:
            what = f"{volume.name} may hold machines that are backed up"
            yield Check("RCL2205", _PASSED, _ADVICE, volume.name, what)


def _room(field: Field, cluster: Cluster, snapshot: ClusterSnapshot, mine: tuple[Wanted, ...]) -> Iterator[Check]:
    """Free space for AVHDX: initial size x churn x window, summed over what may run at once."""
    for volume in snapshot.volumes:
        there = [each for each in mine if volume.name in _volumes(each.machine)]
        if not there:
            continue
        remedy = "Free space on the volume, shorten the windows, or spread the machines."
        needed, known = 0.0, volume.free_bytes is not UNSET
        for each in there:
            churn = churn_of(each.machine, cluster.churn)
            known = known and churn is not None
            needed += size_of(each.machine) * (churn or 0) * (_window(field, each.group) / timedelta(days=1))
        if not known or not isinstance(volume.free_bytes, int):
            what = f"free space on {volume.name} for the disks that differ during a backup"
            remedy = "Write the cluster's churn in the site, and see to it that free space can be observed."
            yield Check("RCL2207", _UNKNOWN, _WARNING, volume.name, what, remedy, _names(there))
            continue
        free, need = format_size(volume.free_bytes), format_size(round(needed))
        what = f"{volume.name} has {free} free; backups at once need {need}"
        state = _PASSED if needed <= volume.free_bytes else _FAILED
        yield Check("RCL2207", state, _WARNING, volume.name, what, remedy, _names(there))


def _window(field: Field, group: DesiredGroup) -> timedelta:
    document = field.documents.get(group.group.name)
    window = document.spec.backup_window if document is not None else None
    return length_of(window) if window is not None else timedelta(days=1)


# --- One machine -----------------------------------------------------------------------------------------------


def _machine(each: Wanted, node: Node | None) -> Iterator[Check]:
    machine, place = each.machine, each.group.place("members")
    name = machine.name

    def check(code: str, state: CheckState, severity: Severity, what: str, remedy: str = "") -> Check:
        return Check(code, state, severity, name, what, remedy, (), place)

    through = [disk.name or disk.path for disk in machine.disks if disk.kind is DiskKind.PASS_THROUGH]
    if through:
        what = f"{name} has pass-through disks ({', '.join(through)}): its VHDs are backed up, these are not"
        remedy = "Protect what is on them at guest level."
        yield check("RCL2204", _FAILED, _WARNING, what, remedy)
    else:
        yield check("RCL2204", _PASSED, _WARNING, f"{name} has no pass-through disk")
    shared = [disk.name or disk.path for disk in machine.disks if disk.kind is DiskKind.SHARED]
    what = (
        f"{name} has shared disks ({', '.join(shared)}), which are not backed up"
        if shared
        else f"{name} shares no disk"
    )
    remedy = "Protect what is on them at guest level." if shared else ""
    yield check("RCL2209", _FAILED if shared else _PASSED, _ERROR, what, remedy)
    yield _integration(each, node)
    if machine.guest_system is UNSET:
        yield check("RCL2208", _UNKNOWN, _ADVICE, f"which system {name} runs", "State it in the inventory.")
    elif machine.guest_system.casefold() == "linux":
        what = f"{name} runs Linux: its points are file-consistent, no more"
        yield check("RCL2208", _FAILED, _ADVICE, what, "Quiesce its applications yourself where that is not enough.")
    else:
        yield check("RCL2208", _PASSED, _ADVICE, f"{name} does not run Linux")
    yield from replica_checks(machine, place)


def _integration(each: Wanted, node: Node | None) -> Check:
    """Versions where both are reported, else the state of the protocol."""
    machine, place = each.machine, each.group.place("members")
    host = node.integration_version if node is not None else UNSET
    remedy = "Update the integration services of the guest."
    code, name = "RCL2206", machine.name
    if isinstance(machine.integration_version, str) and isinstance(host, str):
        same = machine.integration_version == host
        what = f"{name} has integration services {machine.integration_version}, its host {host} (by version)"
        return Check(code, _PASSED if same else _FAILED, _WARNING, name, what, remedy, (), place)
    if isinstance(machine.integration_state, str):
        fine = machine.integration_state.casefold() in ("ok", "uptodate", "up to date")
        what = f"the integration services of {name} are {machine.integration_state} (by protocol state)"
        return Check(code, _PASSED if fine else _FAILED, _WARNING, name, what, remedy, (), place)
    what = f"whether the integration services of {name} fit its host"
    return Check(code, _UNKNOWN, _WARNING, name, what, "See to it that they can be observed.", (), place)


def _moved(field: Field) -> Iterator[Check]:
    """A member that is gone from its cluster and is on another: not supported, nothing is deleted."""
    homes: dict[str, list[tuple[str, VirtualMachine]]] = defaultdict(list)
    for name, seen in field.clusters.items():
        for machine in seen.machines:
            homes[machine.id].append((name, machine))
    for entry in field.ledger:
        for known in entry.members:
            here = homes.get(known.source.machine, [])
            there = [(name, machine) for name, machine in here if name != known.source.cluster]
            gone = known.source.cluster in field.clusters and len(there) == len(here) and bool(there)
            if gone and mode_of(there[0][1]) in (ReplicationMode.NONE, None):
                what = (
                    f"{known.name} moved from {known.source.cluster} to {there[0][0]}; a move to another cluster is "
                    "not supported: its points are kept, no new ones are made"
                )
                remedy = f"Protect it on {there[0][0]} by a rule of its own; stop the old protection when it may go."
                yield Check("RCL2216", _FAILED, _WARNING, known.name, what, remedy)


def _volumes(machine: VirtualMachine) -> set[str]:
    return {disk.volume for disk in machine.disks if isinstance(disk.volume, str)}


def _names(mine: Iterable[Wanted]) -> tuple[str, ...]:
    return tuple(sorted({each.machine.name for each in mine}, key=str.casefold))
