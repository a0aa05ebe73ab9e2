"""Placing: groups with ``server: auto`` -> the server of each, by rule, then by capacity; once placed, they stay.

No server gets more machines than it may have, or more data than its volumes hold: that is an error with the way out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from reconciler.errors import Diagnostic, Severity
from reconciler.model import Capabilities, ClusterSnapshot, DataSource, LedgerEntry, format_size
from reconciler.model.documents import PlacementRule, SiteDocument
from reconciler.plan.sizing import size_of
from reconciler.plan.values import AUTO, DesiredGroup, DesiredState


class Room(msgspec.Struct, frozen=True):
    """What placing looks at: the rules, the bytes that each server's volumes hold, how many machines it may have,
    how large each data source is, where each group of ours is now, by name, and what each server's volumes are called.
    """

    rules: tuple[PlacementRule, ...]
    capacity: Mapping[str, int]
    most: Mapping[str, int]
    sizes: Mapping[DataSource, int]
    homes: Mapping[str, str]
    volumes: Mapping[str, frozenset[str]] = {}


def room_of(
    site: SiteDocument,
    clusters: Mapping[str, ClusterSnapshot],
    capabilities: Mapping[str, Capabilities],
    ledger: Sequence[LedgerEntry],
) -> Room:
    """The room that a site's servers have."""
    spec = site.spec
    sizes = {machine.source(name): size_of(machine) for name, seen in clusters.items() for machine in seen.machines}
    return Room(
        spec.placement,
        {server.name: sum(volume.capacity for volume in server.volumes) for server in spec.servers},
        {server.name: able.most_machines for server in spec.servers if (able := capabilities.get(server.name))},
        sizes,
        {entry.group: entry.server for entry in ledger},
        {server.name: frozenset(volume.name for volume in server.volumes) for server in spec.servers},
    )


def place(desired: DesiredState, room: Room) -> DesiredState:
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
    findings = (*desired.findings, *_overfull(groups, room), *_homeless(groups, room))
    return msgspec.structs.replace(desired, groups=groups, findings=findings)


def _homeless(groups: Sequence[DesiredGroup], room: Room) -> list[Diagnostic]:
    """Groups that were placed where a volume that they prefer is not."""
    found = []
    for group in groups:
        lacking = _lacking(group, group.server, room)
        if lacking:
            what = f"{group.group.name} is placed on {group.server}, which has no volume {' and '.join(lacking)}"
            remedy = f"Prefer one of {', '.join(sorted(room.volumes[group.server]))}, or name the server."
            found.append(Diagnostic("RCL3090", Severity.ERROR, what, remedy, group.place("members.volume")))
    return found


def _server(group: DesiredGroup, room: Room, used: Mapping[str, int]) -> str:
    for name in (group.group.name, *group.formerly):
        if room.homes.get(name) in room.capacity:
            return room.homes[name]
    for rule in room.rules:
        if rule.labels.items() <= group.labels.items() and rule.server in room.capacity:
            return rule.server
    able = [server for server in sorted(room.capacity) if not _lacking(group, server, room)]
    return max(able or sorted(room.capacity), key=lambda server: room.capacity[server] - used[server])


def _lacking(group: DesiredGroup, server: str, room: Room) -> list[str]:
    """The volumes that members prefer and the server has not."""
    wanted = {member.volume for member in group.group.members if member.volume is not None}
    return sorted(wanted - room.volumes[server]) if server in room.volumes else []


def _bytes(group: DesiredGroup, room: Room) -> int:
    return sum(room.sizes.get(member.source, 0) for member in group.group.members)


def _overfull(groups: Sequence[DesiredGroup], room: Room) -> list[Diagnostic]:
    by_server: dict[str, list[DesiredGroup]] = defaultdict(list)
    for group in groups:
        by_server[group.server].append(group)
    found = []
    for server, mine in sorted(by_server.items()):
        largest = max(mine, key=lambda each: (len(each.group.members), each.group.name))
        machines = {(member.source.cluster, member.source.machine) for each in mine for member in each.group.members}
        total, capacity = sum(_bytes(each, room) for each in mine), room.capacity.get(server, 0)
        out = "Write narrower rules, give a group another server, or add one to the site."
        if server in room.most and len(machines) > room.most[server]:
            what = f"{len(machines)} machines on {server}; a server protects {room.most[server]} at most"
            found.append(Diagnostic("RCL3018", Severity.ERROR, what, out, largest.place("members")))
        if total > capacity and server in room.capacity:
            what = f"the members on {server} hold {format_size(total)}, its volumes {format_size(capacity)}"
            found.append(Diagnostic("RCL3019", Severity.ERROR, what, out, largest.place("members")))
    return found
