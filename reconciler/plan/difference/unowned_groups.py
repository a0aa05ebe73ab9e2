"""Strangers: a group that a policy is about, one of its name on the server that nobody owns -> what is said of it."""

from __future__ import annotations

from collections.abc import Container, Iterable

from reconciler.errors import Diagnostic, Severity
from reconciler.model import LedgerEntry, ObservedGroup
from reconciler.plan.desired.state import DesiredGroup

#: A group that a policy is about and that nobody owns, as it is written or otherwise: nothing of the policy reaches it.
NOT_OWNED, NOT_OURS = "RCL3021", "RCL3008"


def not_owned(
    desired: DesiredGroup, seen: ObservedGroup, ledger: Iterable[LedgerEntry], servers: Container[str]
) -> Diagnostic:
    """`servers` are those that are there."""
    name, server = desired.group.name, desired.server
    elsewhere = _applied_where(desired, ledger, servers)
    take = f"Take it over with `reconciler apply --adopt {name}`, or give the policy another name."
    if seen.group == desired.group:
        return Diagnostic(
            NOT_OWNED,
            Severity.WARNING,
            f"{server} has the group {name} just as it is written, but it is not owned{elsewhere}",
            f"No change of its policy reaches it until it is adopted. {take}",
            desired.place(""),
        )
    return Diagnostic(
        NOT_OURS,
        Severity.ERROR,
        f"{server} already has a group {seen.group.display_name!r} that this product did not make{elsewhere}",
        f"It is not touched. {take}",
        desired.place(""),
    )


def _applied_where(desired: DesiredGroup, ledger: Iterable[LedgerEntry], servers: Container[str]) -> str:
    """The servers of which we own a group of that name, and which are not there: one of them may be this one, by
    another name."""
    names = {desired.group.name, *desired.formerly}
    known = {entry.server for entry in ledger if entry.group in names and entry.server not in servers}
    return f"; it was applied on {', '.join(sorted(known))}, which is not there any more" if known else ""
