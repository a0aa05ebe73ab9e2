"""Surveying: the desired state and the clusters as seen -> what only shows where machines have sizes.

Warnings and advice; what forbids to plan is found by resolving and placing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import ClusterSnapshot, DataSource, VirtualMachine, format_size
from reconciler.model.documents import GroupDocument, Placed, PolicySet, Server, SiteDocument
from reconciler.model.units import parse_throughput
from reconciler.plan.checks.sizing import DEFAULT_CHURN, churn_of, provisioned, size_of
from reconciler.plan.desired.state import DesiredGroup, DesiredState
from reconciler.schedule.change_windows import length_of

_LONG = timedelta(days=1)
_ON_A_VOLUME = 100
_AZURE_SOURCE = 54_400 * 10**9
_IN_A_VAULT = 2_000


def survey(
    policies: PolicySet, site: SiteDocument, desired: DesiredState, clusters: Mapping[str, ClusterSnapshot]
) -> tuple[Diagnostic, ...]:
    """What is worth a warning, group by group and server by server."""
    surveyor = _Surveyor(policies, site, desired, clusters)
    return (*surveyor.groups(), *surveyor.servers(), *surveyor.vault())


class _Surveyor:
    def __init__(
        self, policies: PolicySet, site: SiteDocument, desired: DesiredState, clusters: Mapping[str, ClusterSnapshot]
    ) -> None:
        self.machines: dict[DataSource, VirtualMachine] = {
            machine.source(name): machine for name, seen in clusters.items() for machine in seen.machines
        }
        self.documents = {placed.document.metadata.name: placed for placed in policies.groups}
        self.server_of: dict[str, Server] = {server.name: server for server in site.spec.servers}
        self.churn = {cluster.name: cluster.churn for cluster in site.spec.clusters}
        self.desired = desired

    def groups(self) -> Iterator[Diagnostic]:
        for group in self.desired.groups:
            placed = self.documents.get(group.group.name)
            server = self.server_of.get(group.server)
            if placed is None or server is None:
                continue
            speed = parse_throughput(server.throughput) if server.throughput else None
            if speed is not None:
                yield from self._window(group, placed, speed)
                yield from self._first_copy(group, placed, speed)
            if server.engine.mabs is not None and placed.document.spec.online is not None:
                yield from self._azure(group)

    def _window(self, group: DesiredGroup, placed: Placed[GroupDocument], speed: int) -> Iterator[Diagnostic]:
        window = placed.document.spec.backup_window
        if window is None:
            return
        changed = sum(size * churn for size, churn in self._sizes(group) if churn is not None)
        length, needed = length_of(window), timedelta(seconds=changed / speed)
        if needed > length:
            what = (
                f"{group.group.name} changes {format_size(round(changed))} a day; at the server's throughput that "
                f"takes {_hours(needed)}, the window has {_hours(length)}"
            )
            place = placed.positions.at("spec", "backupWindow")
            yield _say("RCL3022", Severity.WARNING, what, "Open the window wider, or divide the group.", place)

    def _first_copy(self, group: DesiredGroup, placed: Placed[GroupDocument], speed: int) -> Iterator[Diagnostic]:
        size = sum(size for size, _ in self._sizes(group))
        needed = timedelta(seconds=size / speed)
        if placed.document.spec.replica_creation == "now" and needed > _LONG:
            what = f"the initial replica of {group.group.name}, {format_size(size)}, takes {_hours(needed)}"
            remedy = "Consider replicaCreation: manual with removable media, or a later time."
            yield _say("RCL3023", Severity.ADVICE, what, remedy, group.place("members"))

    def _azure(self, group: DesiredGroup) -> Iterator[Diagnostic]:
        for member in group.group.members:
            machine = self.machines.get(member.source)
            if machine is not None and size_of(machine) > _AZURE_SOURCE:
                what = f"{machine.name!r} holds {format_size(size_of(machine))}; Azure takes 54,400 GB of a data source"
                remedy = "Protect its parts at guest level, or on disk alone."
                yield _say("RCL3026", Severity.ERROR, what, remedy, group.place("members"))

    def servers(self) -> Iterator[Diagnostic]:
        wanted: dict[str, int] = defaultdict(int)
        on_volume: dict[tuple[str, str], int] = defaultdict(int)
        last: dict[str, DesiredGroup] = {}
        for group in self.desired.groups:
            last[group.server] = group
            for size, churn in self._sizes(group):
                rate = DEFAULT_CHURN if churn is None else churn
                wanted[group.server] += provisioned(size, rate, group.group.short_term)
            for member in group.group.members:
                if member.volume is not None:
                    on_volume[group.server, member.volume] += 1
        for name, need in sorted(wanted.items()):
            server = self.server_of.get(name)
            room = sum(volume.capacity for volume in server.volumes) if server else need
            if need > room:
                what = (
                    f"the groups on {name} should have {format_size(need)}; its volumes have {format_size(room)}, "
                    f"{format_size(need - room)} too little"
                )
                remedy = "Add volumes, keep points for fewer days, or make fewer."
                yield _say("RCL3024", Severity.WARNING, what, remedy, last[name].place("shortTerm.retention"))
        for (name, volume), count in sorted(on_volume.items()):
            if count > _ON_A_VOLUME:
                what = f"{count} data sources prefer {volume} of {name}; at most {_ON_A_VOLUME} are recommended"
                place = last[name].place("members.volume")
                yield _say("RCL3025", Severity.WARNING, what, "Spread them over several volumes.", place)

    def vault(self) -> Iterator[Diagnostic]:
        online = [
            group
            for group in self.desired.groups
            if (placed := self.documents.get(group.group.name)) is not None
            and placed.document.spec.online is not None
            and (server := self.server_of.get(group.server)) is not None
            and server.engine.mabs is not None
        ]
        count = sum(len(group.group.members) for group in online)
        if count > _IN_A_VAULT:
            what = f"{count} data sources are protected online; a vault holds {_IN_A_VAULT}"
            yield _say("RCL3027", Severity.WARNING, what, "Use another vault for some.", online[-1].place("members"))

    def _sizes(self, group: DesiredGroup) -> Iterator[tuple[int, float | None]]:
        for member in group.group.members:
            machine = self.machines.get(member.source)
            if machine is not None:
                yield size_of(machine), churn_of(machine, self.churn.get(member.source.cluster))


def _hours(delta: timedelta) -> str:
    return f"{delta / timedelta(hours=1):.1f} h"


def _say(code: str, severity: Severity, what: str, remedy: str, place: Location | None) -> Diagnostic:
    return Diagnostic(code, severity, what, remedy, place)
