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
    take = f"Adopt it with `reconciler apply --adopt {name}`, or rename the policy."
    if seen.group == desired.group:
        return Diagnostic(
            NOT_OWNED,
            Severity.WARNING,
            f"{server} has the group {name} exactly as written, but this site does not own it{elsewhere}",
            f"Changes of its policy do not reach it until it is adopted. {take}",
            desired.place(""),
        )
    return Diagnostic(
        NOT_OURS,
        Severity.ERROR,
        f"{server} already has a group {seen.group.display_name!r} that this site does not own{elsewhere}",
        f"It is not changed. {take}",
        desired.place(""),
    )


def _applied_where(desired: DesiredGroup, ledger: Iterable[LedgerEntry], servers: Container[str]) -> str:
    """The servers of which we own a group of that name, and which are not there: one of them may be this one, by
    another name."""
    names = {desired.group.name, *desired.formerly}
    known = {entry.server for entry in ledger if entry.group in names and entry.server not in servers}
    return f"; it was applied on {', '.join(sorted(known))}, which no longer exists" if known else ""
