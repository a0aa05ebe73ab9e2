"""Lasting: what we own, the policies -> the entries that tell how each group was last applied, and which group of the
policies each of them is now.

A group that went to another server has an entry on each. One of a server that left the site is kept for the day on
which the server comes back; no plan goes by it where the group is somewhere else by now.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

from reconciler.model import LedgerEntry
from reconciler.model.documents import GroupDocument, Placed, PolicySet, SiteDocument
from reconciler.plan.desired.state import DesiredGroup


def lasting(ledger: Iterable[LedgerEntry], sites: Iterable[Placed[SiteDocument]]) -> tuple[LedgerEntry, ...]:
    """The entries without those of a server that the site has no more, where the group has another one; of several of
    a name the one that was written last is the last."""
    servers = {(site.document.metadata.name, each.name) for site in sites for each in site.document.spec.servers}
    entries = tuple(ledger)
    there = {entry.group for entry in entries if _there(entry, servers)}
    kept = (entry for entry in entries if entry.group not in there or _there(entry, servers))
    return tuple(sorted(kept, key=lambda entry: (entry.applied_at, entry.server, entry.group)))


def _there(entry: LedgerEntry, servers: set[tuple[str, str]]) -> bool:
    """Whether the site of the entry's group has its server; of one without a document, whether any site has."""
    spec: dict[str, Any] = entry.document.get("spec", {})
    site = spec.get("site")
    return any(server == entry.server and site in (None, name) for name, server in servers)


def owned_as(document: GroupDocument, owned: Container[str], used: Container[str]) -> str:
    """The name under which a group is owned: its own, else an earlier one that no policy uses now; "" for none."""
    name = document.metadata.name
    earlier = (each for each in document.spec.renamed_from if each in owned and each not in used)
    return name if name in owned else next(earlier, "")


def spared(written: PolicySet, usable: PolicySet, ledger: Iterable[LedgerEntry]) -> frozenset[str]:
    """The owned groups that the policies have as they are written, under their name or a later one, and not as they are
    worked with: what needs something that is not opened yet was not removed."""
    owned = {entry.group for entry in ledger}
    used = {placed.document.metadata.name for placed in usable.groups}
    every = {placed.document.metadata.name for placed in written.groups}
    meant = {owned_as(placed.document, owned, every) for placed in written.groups}
    return frozenset(meant - {owned_as(placed.document, owned, used) for placed in usable.groups} - {""})


def moved_to(entry: LedgerEntry, groups: Sequence[DesiredGroup]) -> DesiredGroup | None:
    """The group on another server that the entry's is by now, under its name or a later one: that was not removed. One
    of a later name has virtual machines of it; else nothing of it goes on there."""
    own = next((each for each in groups if each.group.name == entry.group), None)
    sources = {member.source for member in entry.applied.members}
    later = (each for each in groups if entry.group in each.formerly and each.server != entry.server)
    going_on = (each for each in later if not sources or sources & {member.source for member in each.group.members})
    return own or next(going_on, None)
