"""The one table of what the language has and this version does not act on yet. Each is refused, never ignored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.parse.nodes import Document, Node

Refuses = Callable[[Any], bool]


def _always(value: Any) -> bool:
    return True


def _is(*values: Any) -> Refuses:
    return lambda value: value in values


def _but(*values: Any) -> Refuses:
    return lambda value: value not in values


#: (kind, path, when a value there is refused). ``[]`` stands for every item of a list.
TABLE: tuple[tuple[str, str, Refuses], ...] = (
    ("Site", "spec.state.postgresql", _always),
    ("Site", "spec.clusters[].domain", _always),
    ("Site", "spec.clusters[].churn", _always),
    ("Site", "spec.clusters[].inventory.hyperv", _always),
    ("Site", "spec.clusters[].inventory.snapshot", _always),
    ("Site", "spec.servers[].engine.mabs", _always),
    ("Site", "spec.servers[].agentAuthentication", _but("domain")),
    ("Site", "spec.servers[].itemLevelRecovery", _but(False)),
    ("Site", "spec.servers[].throughput", _always),
    ("Site", "spec.servers[].onlineStore", _always),
    ("Site", "spec.placement", _but([])),
    ("Site", "spec.approvals", _always),
    ("Site", "spec.budgets", _always),
    ("Site", "spec.mail", _always),
    ("Site", "spec.changeWindows", _but([])),
    ("ProtectionGroup", "extends", _but([])),
    ("ProtectionGroup", "spec.server", _is("auto")),
    ("ProtectionGroup", "spec.members[].hosts", _always),
    ("ProtectionGroup", "spec.members[].level", _but("host")),
    ("ProtectionGroup", "spec.members[].protect", _always),
    ("ProtectionGroup", "spec.members[].virtualMachines.nodes", _but([])),
    ("ProtectionGroup", "spec.members[].virtualMachines.volumes", _but([])),
    ("ProtectionGroup", "spec.members[].virtualMachines.operatingSystems", _but([])),
    ("ProtectionGroup", "spec.members[].virtualMachines.replicaRole", _always),
    ("ProtectionGroup", "spec.shortTerm.synchronization", _is("beforeRecoveryPoint")),
    ("ProtectionGroup", "spec.shortTerm.recoveryPoints", _always),
    ("ProtectionGroup", "spec.shortTerm.expressFull.weeks", _but([])),
    ("ProtectionGroup", "spec.shortTerm.expressFull.months", _but([])),
    ("ProtectionGroup", "spec.shortTerm.expressFull.daysOfMonth", _but([])),
    ("ProtectionGroup", "spec.online", _always),
    ("ProtectionGroup", "spec.colocate", _but(False)),
    ("ProtectionGroup", "spec.backupWindow", _always),
    ("ProtectionGroup", "spec.replicaCreation", _but("now")),
    ("ProtectionGroup", "spec.verification", _always),
    ("ProtectionGroup", "spec.existingPoints", _is("expireNow")),
    ("ProtectionGroup", "spec.deletionProtection", _but(False)),
    ("ProtectionGroup", "spec.paused", _always),
    ("ProtectionGroup", "spec.ignore", _but([])),
    ("Exclusion", "spec.virtualMachines.nodes", _but([])),
    ("Exclusion", "spec.virtualMachines.volumes", _but([])),
    ("Exclusion", "spec.virtualMachines.operatingSystems", _but([])),
    ("Exclusion", "spec.virtualMachines.replicaRole", _always),
)


def unsupported(document: Document, kind: str) -> Iterator[tuple[Diagnostic, Location]]:
    """Every value of the document that the table refuses, with the place of the value itself."""
    for of_kind, path, refuses in TABLE:
        if of_kind != kind:
            continue
        for place, node in _find(document.root, path.split("."), ()):
            value = node.plain()
            if refuses(value):
                yield _not_yet(document, path, place, value, bare=refuses is _always), document.at(*place)


def _find(node: Node, steps: list[str], place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    if not steps:
        yield place, node
        return
    name = steps[0].removesuffix("[]")
    child = node.child(name)
    if child is None:
        return
    if steps[0].endswith("[]"):
        for index, item in enumerate(child.children if isinstance(child.children, list) else []):
            yield from _find(item, steps[1:], (*place, name, index))
    else:
        yield from _find(child, steps[1:], (*place, name))


def _not_yet(document: Document, path: str, place: tuple[str | int, ...], value: Any, *, bare: bool) -> Diagnostic:
    field = path.removeprefix("spec.")
    shown = (
        "" if bare or isinstance(value, dict | list) else f": {value if isinstance(value, str) else str(value).lower()}"
    )
    return Diagnostic(
        "RCL1022",
        Severity.ERROR,
        f"{field}{shown} is not supported yet",
        "Leave it out; a later version acts on it. docs/reference/policies.md lists what this one does.",
        document.at_key(*place),
    )
