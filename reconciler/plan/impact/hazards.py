"""Hazards: a change with its impact -> warnings where it takes the last that could be recovered, or does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
from msgspec import UNSET

from reconciler.errors import Diagnostic, Severity
from reconciler.model import (
    Change,
    DataSource,
    Impact,
    MachineImpact,
    Member,
    PoolVolume,
    ReplicaState,
    VolumeImpact,
    format_size,
)
from reconciler.plan.impact.impact import Past, members_of

#: How many machines a warning names; the impact lists all of them.
_NAMED = 5


def hazards(change: Change, impact: Impact | None, past: Past) -> tuple[Diagnostic, ...]:
    """Warnings about one change, each with a code of its own. Machines stand in them by their data source, as
    `Plan.names` has it."""
    found = [*_last_points(change, impact, past), *_inconsistent(change, impact, past)]
    if impact is not None and not impact.exact and impact.fates:
        count = len(impact.fates)
        found.append(
            _say(
                change,
                "RCL3075",
                f"estimated from MABS documentation: {change.server} prunes {count} recovery points itself",
                "Check the recovery points on the server before you shorten the retention.",
            )
        )
    if _first_copies(change, past):
        full = no_room(volumes([(change, None)], past), past)
        found += [msgspec.structs.replace(each, location=change.location, subject=change.group) for each in full]
    return tuple(found)


# --- The last points -----------------------------------------------------------------------------------------------


def _last_points(change: Change, impact: Impact | None, past: Past) -> list[Diagnostic]:
    """A machine is named once, by the worst of the three."""
    none_left, unverified, one_left = [], [], []
    for machine in impact.machines if impact is not None else ():
        if not machine.expires_now:
            continue
        if machine.newest_after is None:
            none_left.append(machine)
        elif _verified_goes(change, machine, past):
            unverified.append(machine)
        elif machine.oldest_after == machine.newest_after:
            one_left.append(machine)
    found = []
    if none_left:
        points = sum(machine.points for machine in none_left)
        found.append(
            _say(
                change,
                "RCL3070",
                f"no recovery point is left for {_named(none_left)}: all {points} expire at once",
                "Keep them with `existingPoints: retain`, or recover what is still wanted first.",
            )
        )
    if unverified:
        found.append(
            _say(
                change,
                "RCL3071",
                f"the last verified recovery point expires at once for {_named(unverified)}",
                "What is left was never proven recoverable. Verify a newer point first.",
            )
        )
    if one_left:
        found.append(
            _say(
                change,
                "RCL3072",
                f"only one recovery point remains for {_named(one_left)}",
                "If that one is damaged there is no other. Make newer points first, or keep recovery "
                "points for longer.",
            )
        )
    return found


def _verified_goes(change: Change, machine: MachineImpact, past: Past) -> bool:
    """Whether points were verified, and none of those stays. The ones that go are the oldest ones."""
    holding = past.holdings[change.server]
    last = max((p.time for p in holding.points[machine.source] if p.verified_at is not None), default=None)
    return last is not None and machine.oldest_after is not None and last < machine.oldest_after


def _inconsistent(change: Change, impact: Impact | None, past: Past) -> list[Diagnostic]:
    holding = past.holdings.get(change.server)
    if holding is None:
        return []

    def broken(source: DataSource) -> bool:
        replica = holding.replicas.get(source)
        return replica is not None and replica.state is ReplicaState.INCONSISTENT

    machines = impact.machines if impact is not None else ()
    left = [each for each in machines if each.expires_now and each.newest_after and broken(each.source)]
    lost = members_of(change.before) - members_of(change.after)
    let_go = sorted(each for each in lost if (change.server, each) not in past.moved and broken(each))
    found = []
    if left:
        found.append(
            _say(
                change,
                "RCL3073",
                f"recovery points of an inconsistent replica expire at once, for {_named(left)}",
                "Run `reconciler check` first, so that what is left is known to be complete.",
            )
        )
    if let_go:
        found.append(
            _say(
                change,
                "RCL3074",
                f"protection stops while the replica is inconsistent for {_listed(let_go)}",
                "Nothing repairs it afterwards, and its recovery points may not be recoverable. Run "
                "`reconciler check` first.",
            )
        )
    return found


def _say(change: Change, code: str, message: str, remedy: str) -> Diagnostic:
    return Diagnostic(code, Severity.WARNING, message, remedy, change.location, subject=change.group)


def _named(machines: list[MachineImpact]) -> str:
    """The machines, each with its newest point."""
    return _listed([machine.source for machine in machines], {m.source: m.newest_before for m in machines})


def _listed(sources: list[DataSource], newest: Mapping[DataSource, datetime | None] | None = None) -> str:
    shown = []
    for source in sources[:_NAMED]:
        at = newest.get(source) if newest is not None else None
        shown.append(f"{source} (newest {at:%Y-%m-%d %H:%M} UTC)" if at is not None else str(source))
    more = len(sources) - _NAMED
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


# --- Volumes -------------------------------------------------------------------------------------------------------


def volumes(changes: Iterable[tuple[Change, Impact | None]], past: Past) -> tuple[VolumeImpact, ...]:
    """Each volume that the changes fill or free, by server and name.

    `added` are the sizes of new members that have no replica yet: on the volume that is preferred, else on the one
    with the most room left at that point, since which one the engine takes is not known before it does. A machine
    whose size is not known counts nothing. `freed` is what the points stored that expire at once: at most so much
    comes back, and not before the bin is emptied.
    """
    pools = _Pools(past)
    for change, impact in changes:
        for member in _first_copies(change, past):
            pools.add(change.server, member, past.sizes.get(member.source, 0))
        for machine in impact.machines if impact is not None else ():
            replica = past.holdings[change.server].replicas.get(machine.source)
            if machine.freed_bytes and replica is not None:
                pools.free(change.server, replica.volume, machine.freed_bytes)
    return pools.result()


def no_room(filled: Iterable[VolumeImpact], past: Past) -> tuple[Diagnostic, ...]:
    """A warning for each volume that has no room for what is added to it. What is freed does not count: it comes back
    later, if at all."""
    found = []
    for each in filled:
        free = each.free_before
        volume = _volume(past, each.server, each.volume)
        if volume is not None and volume.disk_free_bytes is not UNSET:
            free = min(free, volume.disk_free_bytes)
        if each.added_bytes > free:
            wanted, room = format_size(each.added_bytes), format_size(free)
            found.append(
                Diagnostic(
                    "RCL3076",
                    Severity.WARNING,
                    f"initial replicas take up to {wanted} on the volume {each.volume} of {each.server}, "
                    f"which has {room}",
                    "Give the volume more capacity, name another one, or protect fewer virtual machines at once.",
                    subject=each.volume,
                )
            )
    return tuple(found)


def _first_copies(change: Change, past: Past) -> tuple[Member, ...]:
    """The members that get a replica by the change."""
    holding = past.holdings.get(change.server)
    if change.after is None or holding is None:
        return ()
    there = holding.replicas
    old = members_of(change.before)
    return tuple(each for each in change.after.members if each.source not in old and each.source not in there)


def _volume(past: Past, server: str, name: str) -> PoolVolume | None:
    catalog = past.catalogs.get(server)
    return next((each for each in catalog.volumes if each.name == name), None) if catalog is not None else None


class _Pools:
    """The volumes of all servers, as they fill."""

    def __init__(self, past: Past) -> None:
        self._volumes = {
            (server, each.name): VolumeImpact(server, each.name, each.capacity_bytes, each.used_bytes)
            for server, catalog in past.catalogs.items()
            for each in catalog.volumes
        }

    def add(self, server: str, member: Member, size: int) -> None:
        name = member.volume if member.volume is not None else self._roomiest(server)
        found = self._volumes.get((server, name)) if name is not None else None
        if found is not None:
            self._put(msgspec.structs.replace(found, added_bytes=found.added_bytes + size))

    def free(self, server: str, name: str, size: int) -> None:
        found = self._volumes.get((server, name))
        if found is not None:
            self._put(msgspec.structs.replace(found, freed_bytes=found.freed_bytes + size))

    def result(self) -> tuple[VolumeImpact, ...]:
        changed = (each for each in self._volumes.values() if each.added_bytes or each.freed_bytes)
        return tuple(sorted(changed, key=lambda each: (each.server, each.volume)))

    def _put(self, volume: VolumeImpact) -> None:
        self._volumes[volume.server, volume.volume] = volume

    def _roomiest(self, server: str) -> str | None:
        mine = [each for (at, _), each in self._volumes.items() if at == server]
        full = {each.volume: each.used_before + each.added_bytes - each.capacity_bytes for each in mine}
        return min(full, key=lambda name: (full[name], name)) if full else None
