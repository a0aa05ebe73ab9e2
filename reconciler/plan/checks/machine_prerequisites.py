"""One machine, its node -> its own prerequisites; and quickly, how many of them fail or cannot be checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import UNSET

from reconciler.errors import Location, Severity
from reconciler.model import DiskKind, Node, VirtualMachine
from reconciler.model.names import alike, fold
from reconciler.model.preflight import Check, CheckState
from reconciler.plan.checks.replica_prerequisites import replica_checks

_ERROR, _WARNING, _ADVICE = Severity.ERROR, Severity.WARNING, Severity.ADVICE
_PASSED, _FAILED, _UNKNOWN = CheckState.PASSED, CheckState.FAILED, CheckState.UNKNOWN


class Verdict(NamedTuple):
    """How many checks of a machine fail, and how many cannot be made."""

    failed: int
    unknown: int


class Verdicts:
    """The verdicts on machines, found once for all that are alike in what the checks look at."""

    def __init__(self) -> None:
        self._known: dict[object, Verdict] = {}

    def on(self, machine: VirtualMachine, node: Node | None) -> Verdict:
        """The verdict on the machine."""
        through = shared = named_twice = False
        for disk in machine.disks:
            through = through or disk.kind is DiskKind.PASS_THROUGH
            shared = shared or disk.kind is DiskKind.SHARED
            named_twice = named_twice or bool(disk.shared_with)
        alike = (
            through,
            shared,
            named_twice,
            machine.integration_version,
            machine.integration_state,
            node.integration_version if node is not None else UNSET,
            machine.guest_system,
            machine.replication,
        )
        verdict = self._known.get(alike)
        if verdict is None:
            states = [check.state for check in machine_checks(machine, node, None)]
            verdict = self._known[alike] = Verdict(states.count(_FAILED), states.count(_UNKNOWN))
        return verdict


def machine_checks(machine: VirtualMachine, node: Node | None, place: Location | None) -> Iterator[Check]:
    """Every check of a machine that runs on `node`; `place` is where its group says that it wants it."""
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
    for disk in machine.disks:
        if disk.shared_with:
            what = f"{name} has a disk that {', '.join(disk.shared_with)} has too: {disk.path}"
            remedy = "Give each virtual machine files of its own, or declare the disk as shared."
            yield check("RCL7013", _FAILED, _WARNING, what, remedy)
    shared = [disk.name or disk.path for disk in machine.disks if disk.kind is DiskKind.SHARED]
    what = (
        f"{name} has shared disks ({', '.join(shared)}), which are not backed up"
        if shared
        else f"{name} shares no disk"
    )
    remedy = "Protect what is on them at guest level." if shared else ""
    yield check("RCL2209", _FAILED if shared else _PASSED, _ERROR, what, remedy)
    yield _integration(machine, node, place)
    if machine.guest_system is UNSET:
        yield check("RCL2208", _UNKNOWN, _ADVICE, f"which system {name} runs", "Declare it in the inventory.")
    elif alike(machine.guest_system, "linux"):
        what = f"{name} has Linux: points that are made while it runs are file-consistent at most"
        yield check("RCL2208", _FAILED, _ADVICE, what, "Quiesce its applications yourself where that is not enough.")
    else:
        yield check("RCL2208", _PASSED, _ADVICE, f"{name} does not run Linux")
    yield from replica_checks(machine, place)


def _integration(machine: VirtualMachine, node: Node | None, place: Location | None) -> Check:
    """Versions where both are reported, else the state of the protocol."""
    host = node.integration_version if node is not None else UNSET
    remedy = "Update the integration services of the guest."
    code, name = "RCL2206", machine.name
    if isinstance(machine.integration_version, str) and isinstance(host, str):
        same = machine.integration_version == host
        what = f"{name} has integration services {machine.integration_version}, its host {host} (by version)"
        return Check(code, _PASSED if same else _FAILED, _WARNING, name, what, remedy, (), place)
    if isinstance(machine.integration_state, str):
        fine = fold(machine.integration_state) in ("OK", "UPTODATE", "UP TO DATE")
        what = f"the integration services of {name} are {machine.integration_state} (by protocol state)"
        return Check(code, _PASSED if fine else _FAILED, _WARNING, name, what, remedy, (), place)
    what = f"whether the integration services of {name} fit its host"
    return Check(code, _UNKNOWN, _WARNING, name, what, "Make it observable.", (), place)
