"""Preflight: one machine as seen -> why it cannot be backed up rightly now, if it cannot.

What cannot be backed up rightly is refused, never stored stale. A fact that is not known is said to be unknown;
the engine looks at the files themselves before it reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

import msgspec
from msgspec import UNSET

from reconciler.errors import Diagnostic, Severity
from reconciler.model import ClusterSnapshot, DataSource, DiskKind, ReplicationMode, VirtualDisk, VirtualMachine
from reconciler.model.preflight import Check, CheckState
from reconciler.plan.desired.state import DesiredGroup, DesiredState


def refusals(machine: VirtualMachine) -> tuple[Diagnostic, ...]:
    """Errors are reasons to refuse a job; warnings are facts that are not known."""
    if _plain(machine):
        return ()
    return (*_checkpoints(machine), *_replication(machine), *_disks(machine))


def refused_members(desired: DesiredState, clusters: Mapping[str, ClusterSnapshot]) -> list[Diagnostic]:
    """What will keep a member from being backed up, at the place where its group says that it wants it."""
    found: list[Diagnostic] = []
    wanted: dict[DataSource, DesiredGroup] = {}
    for cluster, seen in sorted(clusters.items()):
        for machine in seen.machines:
            reasons = refusals(machine)
            if not reasons:
                continue
            wanted = wanted or {each.source: group for group in desired.groups for each in group.group.members}
            group = wanted.get(machine.source(cluster))
            if group is not None:
                place = group.place("members")
                found += [msgspec.structs.replace(each, location=place) for each in reasons]
    return found


#: A disk that is gone, damaged or cut: no engine can back that up.
_DISK = "RCL2104"


def refusal_checks(
    desired: DesiredState, clusters: Mapping[str, ClusterSnapshot], strangers: AbstractSet[str]
) -> Iterator[Check]:
    """Whether each member can be backed up rightly, as prerequisites. `strangers` are the servers that back up by their
    own rules: of those only the disks themselves are looked at."""
    machines = {each.source(name): each for name, seen in clusters.items() for each in seen.machines}
    for group in desired.groups:
        place = group.place("members")
        for member in group.group.members:
            machine = machines.get(member.source.home)
            if machine is None:
                continue
            found = [each for each in refusals(machine) if each.code == _DISK or group.server not in strangers]
            for each in found:
                state = CheckState.FAILED if each.severity is Severity.ERROR else CheckState.UNKNOWN
                yield Check(each.code, state, each.severity, machine.name, each.message, each.remedy, (), place)
            if not found:
                fine = f"{machine.name} can be backed up as it is"
                yield Check(_DISK, CheckState.PASSED, Severity.ERROR, machine.name, fine, location=place)


def _plain(machine: VirtualMachine) -> bool:
    """Whether nothing at all is to be said of the machine, as of nearly every one: found quickly."""
    if machine.checkpoints != () or not machine.disks or machine.replication is UNSET:
        return False
    if machine.replication.mode is not ReplicationMode.NONE:
        return False
    for disk in machine.disks:
        if disk.kind is DiskKind.PASS_THROUGH or disk.kind is DiskKind.SHARED:
            return False
        if disk.unreadable is not None or disk.differencing is True or disk.log_pending is True:
            return False
    return True


def _checkpoints(machine: VirtualMachine) -> list[Diagnostic]:
    if machine.checkpoints is UNSET:
        return [_unknown(machine, "whether it has checkpoints")]
    if not machine.checkpoints:
        return []
    return [
        _refused(
            "RCL2101",
            machine,
            f"has {len(machine.checkpoints)} checkpoint(s)",
            "Delete or merge its checkpoints; they are not backed up.",
        )
    ]


def _replication(machine: VirtualMachine) -> list[Diagnostic]:
    if machine.replication is UNSET:
        return [_unknown(machine, "whether it takes part in Hyper-V Replica")]
    if machine.replication.mode is ReplicationMode.NONE:
        return []
    return [
        _refused(
            "RCL2102",
            machine,
            f"takes part in Hyper-V Replica as {machine.replication.mode}",
            "Exclude it, or protect it where it does not replicate; replicas are not backed up.",
        )
    ]


def _disks(machine: VirtualMachine) -> list[Diagnostic]:
    found = [] if machine.disks else [_refused("RCL2107", machine, "has no disk", "Exclude it with a reason.")]
    for disk in machine.disks:
        found += _disk(machine, disk)
    return found


def _disk(machine: VirtualMachine, disk: VirtualDisk) -> list[Diagnostic]:
    if disk.kind in (DiskKind.PASS_THROUGH, DiskKind.SHARED):
        what = "a pass-through disk" if disk.kind is DiskKind.PASS_THROUGH else "a shared disk"
        remedy = (
            "Its bytes are not the virtual machine's own files: protect it inside the guest, or "
            "exclude the virtual machine."
        )
        return [_refused("RCL2103", machine, f"has {what}, {disk.name!r}", remedy)]
    if disk.unreadable is not None:
        remedy = "Check the disk in Hyper-V; a damaged or truncated file is not stored as a good point."
        return [_refused("RCL2104", machine, f"has a disk {disk.name!r} that is {disk.unreadable}", remedy)]
    if disk.differencing is True:
        remedy = "Merge the chain; only whole disks are backed up."
        return [_refused("RCL2105", machine, f"has a differencing disk, {disk.name!r}", remedy)]
    if disk.log_pending is True:
        remedy = "Start and shut the virtual machine down, or mount the disk once, so that the log is replayed."
        return [_refused("RCL2106", machine, f"has a VHDX log to be replayed in {disk.name!r}", remedy)]
    return []


def _refused(code: str, machine: VirtualMachine, what: str, remedy: str) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, f"{machine.name!r} {what}", remedy, subject=machine.name)


def _unknown(machine: VirtualMachine, what: str) -> Diagnostic:
    return Diagnostic(
        "RCL2108",
        Severity.WARNING,
        f"{machine.name!r}: it is unknown {what}",
        "Declare it in the inventory, or make it observable.",
        subject=machine.name,
    )
