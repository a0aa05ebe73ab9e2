"""Placing: groups with ``server: auto`` -> the server of each, by rule, then by capacity; once placed, they stay.

No server gets more machines than it may have, or more data than its volumes hold: that is an error with the way out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from reconciler.errors import Diagnostic, Severity
from reconciler.model import Capabilities, ClusterSnapshot, LedgerEntry, Level, format_size
from reconciler.model.documents import PlacementRule, SiteDocument
from reconciler.plan.checks.sizing import size_of
from reconciler.plan.desired.state import AUTO, DesiredGroup, DesiredState

_NOTHING: dict[str, int] = {}


class ServerCapacity(msgspec.Struct, frozen=True):
    """What placing looks at: the rules, the bytes that each server's volumes hold, how many machines it may have,
    how large each machine is by cluster and id, where each group of ours is now, by name, and what each server's
    volumes are called.
    """

    rules: tuple[PlacementRule, ...]
    capacity: Mapping[str, int]
    most: Mapping[str, int]
    sizes: Mapping[str, Mapping[str, int]]
    homes: Mapping[str, str]
    volumes: Mapping[str, frozenset[str]] = {}


def room_of(
    site: SiteDocument,
    clusters: Mapping[str, ClusterSnapshot],
    capabilities: Mapping[str, Capabilities],
    ledger: Sequence[LedgerEntry],
) -> ServerCapacity:
    """The room that a site's servers have."""
    spec = site.spec
    sizes = {name: {machine.id: size_of(machine) for machine in seen.machines} for name, seen in clusters.items()}
    return ServerCapacity(
        spec.placement,
        {server.name: sum(volume.capacity for volume in server.volumes) for server in spec.servers},
        {server.name: able.most_machines for server in spec.servers if (able := capabilities.get(server.name))},
        sizes,
        {entry.group: entry.server for entry in ledger},
        {server.name: frozenset(volume.name for volume in server.volumes) for server in spec.servers},
    )


def place(desired: DesiredState, room: ServerCapacity) -> DesiredState:
    """The desired state with a server for every group. Groups are looked at by name, so the order never matters."""
    used: dict[str, int] = defaultdict(int)
    for group in desired.groups:
        if group.server != AUTO:
            used[group.server] += _bytes(group, room)
    placed = []
    for group in sorted(desired.groups, key=lambda each: each.group.name):
        server = group.server
        if server == AUTO:
            server = _server(group, room, used)
            used[server] += _bytes(group, room)
        placed.append(msgspec.structs.replace(group, server=server))
    groups = tuple(sorted(placed, key=lambda each: (each.server, each.group.name)))
    findings = (*desired.findings, *_overfull(groups, room, used), *_homeless(groups, room))
    return msgspec.structs.replace(desired, groups=groups, findings=findings)


def _homeless(groups: Sequence[DesiredGroup], room: ServerCapacity) -> list[Diagnostic]:
    """Groups that were placed where a volume that they prefer is not."""
    found = []
    for group in groups:
        lacking = _lacking(group, group.server, room)
        if lacking:
            what = f"{group.group.name} is placed on {group.server}, which has no volume {' and '.join(lacking)}"
            remedy = f"Prefer one of {', '.join(sorted(room.volumes[group.server]))}, or name the server."
            found.append(Diagnostic("RCL3090", Severity.ERROR, what, remedy, group.place("members.volume")))
    return found


def _server(group: DesiredGroup, room: ServerCapacity, used: Mapping[str, int]) -> str:
    for name in (group.group.name, *group.formerly):
        if room.homes.get(name) in room.capacity:
            return room.homes[name]
    for rule in room.rules:
        if rule.labels.items() <= group.labels.items() and rule.server in room.capacity:
            return rule.server
    able = [server for server in sorted(room.capacity) if not _lacking(group, server, room)]
    return max(able or sorted(room.capacity), key=lambda server: room.capacity[server] - used[server])


def _lacking(group: DesiredGroup, server: str, room: ServerCapacity) -> list[str]:
    """The volumes that members prefer and the server has not."""
    wanted = {member.volume for member in group.group.members if member.volume is not None}
    return sorted(wanted - room.volumes[server]) if server in room.volumes else []


def _bytes(group: DesiredGroup, room: ServerCapacity) -> int:
    """Bytes of the group's whole machines; how large a part of one is is not known."""
    total = 0
    for member in group.group.members:
        source = member.source
        if source.level is Level.HOST and not source.protect:
            total += room.sizes.get(source.cluster, _NOTHING).get(source.machine, 0)
    return total


def _machines(groups: Sequence[DesiredGroup]) -> int:
    """How many machines the groups protect, each counted once however many of its parts are members."""
    return len({(member.source.cluster, member.source.machine) for each in groups for member in each.group.members})


def _overfull(groups: Sequence[DesiredGroup], room: ServerCapacity, used: Mapping[str, int]) -> list[Diagnostic]:
    by_server: dict[str, list[DesiredGroup]] = defaultdict(list)
    for group in groups:
        by_server[group.server].append(group)
    found = []
    for server, mine in sorted(by_server.items()):
        largest = max(mine, key=lambda each: (len(each.group.members), each.group.name))
        members = sum(len(each.group.members) for each in mine)
        total, capacity = used[server], room.capacity.get(server, 0)
        out = "Write narrower rules, give a group another server, or add one to the site."
        machines = _machines(mine) if server in room.most and members > room.most[server] else 0
        if machines > room.most.get(server, 0):
            what = f"{machines} virtual machines on {server}; a server protects {room.most[server]} at most"
            found.append(Diagnostic("RCL3018", Severity.ERROR, what, out, largest.place("members")))
        if total > capacity and server in room.capacity:
            what = f"the members on {server} hold {format_size(total)}, its volumes {format_size(capacity)}"
            found.append(Diagnostic("RCL3019", Severity.ERROR, what, out, largest.place("members")))
    return found
