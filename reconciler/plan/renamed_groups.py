"""Renamed groups: groups whose documents are gone, groups that are new -> an advice for each pair that is probably one
group under another name, with the line that says so.

A name is what tells a group in the policies: without `renamedFrom` the one is stopped and the other begins anew.
Nothing is concluded from an advice: what a removal needs, it needs as before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import LedgerEntry
from reconciler.model.comparison import DocumentChange, DocumentVerb
from reconciler.model.documents import GroupDocument, Placed, PolicySet, Positions
from reconciler.model.encode import encode
from reconciler.plan.desired.state import DesiredState
from reconciler.plan.near_names import near_names

RENAMED = "RCL3121"

#: How much of what the two groups protect has to be in both.
_LEAST_SHARE = 0.5

#: Under which keys a selector lists names and patterns.
_LISTS = ("names", "nodes", "volumes", "operatingSystems")


class GoneGroup(msgspec.Struct, frozen=True):
    """A group that no document has any more: its last document (JSON values; {} where that is not known) and the data
    sources that it protects."""

    name: str
    document: dict[str, Any]
    sources: frozenset[Hashable] = frozenset()


class NewGroup(msgspec.Struct, frozen=True):
    """A group that was never applied, or is not in the older state: its document, what it is to protect, and where it
    is written."""

    name: str
    document: dict[str, Any]
    positions: Positions
    sources: frozenset[Hashable] = frozenset()


def in_plan(policies: PolicySet, desired: DesiredState, ledger: Iterable[LedgerEntry]) -> tuple[Diagnostic, ...]:
    """The renames that a plan offers: of groups that are owned and have no policy, and groups that are not owned."""
    entries = {entry.group: entry for entry in ledger}
    written = {placed.document.metadata.name for placed in policies.groups}
    former = {name for placed in policies.groups for name in placed.document.spec.renamed_from}
    gone = [
        GoneGroup(name, entry.document, entry.applied.sources)
        for name, entry in entries.items()
        if name not in written | former and name not in desired.elsewhere
    ]
    new = [
        NewGroup(each.group.name, each.document, each.written, each.group.sources)
        for each in desired.groups
        if each.group.name not in entries and not set(each.formerly) & set(entries)
    ]
    return tuple(offered(gone, new))


def in_comparison(changes: Iterable[DocumentChange], older: PolicySet, newer: PolicySet) -> tuple[Diagnostic, ...]:
    """The renames that a comparison of two states of the policies offers."""
    verbs = {each.name: each.verb for each in changes if each.kind == "ProtectionGroup"}

    def those(verb: DocumentVerb, policies: PolicySet) -> list[Placed[GroupDocument]]:
        return [placed for placed in policies.groups if verbs.get(placed.document.metadata.name) is verb]

    gone = [
        GoneGroup(each.document.metadata.name, encode(each.document)) for each in those(DocumentVerb.REMOVED, older)
    ]
    new = [
        NewGroup(each.document.metadata.name, encode(each.document), each.positions)
        for each in those(DocumentVerb.CREATED, newer)
    ]
    return tuple(offered(gone, new))


def offered(gone: Sequence[GoneGroup], new: Sequence[NewGroup]) -> Iterator[Diagnostic]:
    """An advice for each new group that goes on with what a group that is gone protects; each of them once, those that
    share the most first."""
    if not gone or not new:
        return
    shares: dict[tuple[str, str], float] = defaultdict(float)
    for old_parts, new_parts in (
        ({each.name: _rules(each.document) for each in gone}, {each.name: _rules(each.document) for each in new}),
        ({each.name: each.sources for each in gone}, {each.name: each.sources for each in new}),
    ):
        for pair, share in _shares(old_parts, new_parts).items():
            shares[pair] = max(shares[pair], share)
    before, after = {each.name: each for each in gone}, {each.name: each for each in new}
    taken: set[str] = set()
    for (old, own), share in sorted(shares.items(), key=lambda each: (-each[1], each[0])):
        same_site = _spec(before[old].document).get("site") in (None, _spec(after[own].document).get("site"))
        if share < _LEAST_SHARE or not same_site or {f"- {old}", f"+ {own}"} & taken:
            continue
        taken |= {f"- {old}", f"+ {own}"}
        yield _advice(before[old], after[own], share)


def _shares(
    old: Mapping[str, frozenset[Hashable]], new: Mapping[str, frozenset[Hashable]]
) -> dict[tuple[str, str], float]:
    """How much each old group shares with each new one: 1 where all, of what the two have together. Those that share
    nothing are left out."""
    holders: dict[Hashable, list[str]] = defaultdict(list)
    for name, parts in old.items():
        for part in parts:
            holders[part].append(name)
    shares = {}
    for own, parts in new.items():
        common = Counter(name for part in parts for name in holders.get(part, ()))
        shares.update({(name, own): both / len(old[name] | parts) for name, both in common.items()})
    return shares


def _spec(document: Mapping[str, Any]) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = document.get("spec", {})
    return spec


def _rules(document: Mapping[str, Any]) -> frozenset[Hashable]:
    """The single names, patterns and labels by which a group takes its members, with their cluster."""
    found: set[Hashable] = set()
    for rule in _spec(document).get("members", ()):
        selector = rule.get("virtualMachines") or rule.get("hosts") or {}
        cluster = selector.get("cluster", "")
        found |= {(cluster, field, each) for field in _LISTS for each in selector.get(field, ())}
        found |= {(cluster, "labels", key, value) for key, value in selector.get("labels", {}).items()}
        if set(selector) <= {"cluster", "except"}:
            found.add((cluster, "everything"))
    return frozenset(found)


def _advice(old: GoneGroup, new: NewGroup, share: float) -> Diagnostic:
    said: list[str] = [each for each in _spec(new.document).get("renamedFrom", ()) if not near_names(each, [old.name])]
    line = f"renamedFrom: [{', '.join([*said, old.name])}]"
    has_line = "renamedFrom" in _spec(new.document)
    place: Location = new.positions.at("spec", "renamedFrom") if has_line else new.positions.at("spec")
    what = "the same" if share == 1 else "nearly the same"
    how = f"write `{line}` {'there' if has_line else f'under the spec of {new.name}'} ({place})"
    return Diagnostic(
        RENAMED,
        Severity.ADVICE,
        f"the group {old.name} has no document any more, and the new group {new.name} has {what} members: as it is "
        f"written, these are two groups, and {new.name} begins without recovery points",
        f"If it is the same group under another name, {how}: its replicas and recovery points continue then. If it is "
        "not, leave it.",
        place,
        subject=new.name,
    )
