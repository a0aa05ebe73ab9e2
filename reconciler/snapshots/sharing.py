"""Sharing: values just decoded -> the same values, with what is equal among them kept in memory once.

A file says of every machine several times which it is and where. Only values that nobody else has seen yet are
touched, and none is changed to another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import force_setattr

from reconciler.model import DataSource, KnownMember, LedgerEntry, Member, ObservedGroup, Replica, VirtualMachine

#: How many texts are kept: those that stand first. What comes later is mostly the names of single machines.
_MOST_TEXTS = 4_000


class Shared:
    """What was kept of one file so far."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._sources: dict[str, DataSource] = {}
        self._groups: dict[tuple[str, str], ObservedGroup] = {}

    def machines(self, machines: Sequence[VirtualMachine]) -> None:
        """Shares nodes and labels."""
        self._learn(text for each in machines for text in (each.node, *each.labels.values()))
        kept = self._texts.get
        for machine in machines:
            force_setattr(machine, "node", kept(machine.node, machine.node))
            labels = machine.labels
            for key, value in labels.items():
                labels[key] = kept(value, value)

    def group(self, server: str, seen: ObservedGroup) -> None:
        """Shares the clusters and volumes of its members."""
        self._groups[server, seen.ref] = seen
        self._members(seen.group.members)

    def replicas(self, replicas: Sequence[Replica]) -> None:
        """Shares the data source with the group that holds it, and where each is kept."""
        self._learn(text for each in replicas for text in (each.volume, each.node, each.group))
        self._sources_of(replicas)
        kept = self._texts.get
        for replica in replicas:
            force_setattr(replica, "volume", kept(replica.volume, replica.volume))
            force_setattr(replica, "node", kept(replica.node, replica.node))
            force_setattr(replica, "group", kept(replica.group, replica.group))  # type: ignore[arg-type]

    def entry(self, entry: LedgerEntry) -> LedgerEntry:
        """The entry, with the group as the server showed it where that is as it was applied."""
        seen = self._groups.get((entry.server, entry.ref))
        if seen is not None and seen.group == entry.applied:
            entry = msgspec.structs.replace(entry, applied=seen.group)
        else:
            self._members(entry.applied.members)
        self._learn(each.node for each in entry.members)
        kept = self._texts.get
        self._sources_of(entry.members)
        for known in entry.members:
            force_setattr(known, "node", kept(known.node, known.node))
        return entry

    def _members(self, members: Sequence[Member]) -> None:
        self._learn(text for each in members for text in (each.source.cluster, each.volume))
        kept = self._texts.get
        self._sources_of(members)
        for member in members:
            force_setattr(member.source, "cluster", kept(member.source.cluster, member.source.cluster))
            force_setattr(member, "volume", kept(member.volume, member.volume))  # type: ignore[arg-type]

    def _sources_of(self, holders: Sequence[Member | Replica | KnownMember]) -> None:
        keep = self._sources.setdefault
        for holder in holders:
            source = holder.source
            first = keep(source.machine, source)
            if first is not source and first == source:
                force_setattr(holder, "source", first)

    def _learn(self, texts: Iterable[object]) -> None:
        """Keeps texts, until there are enough of them."""
        if len(self._texts) < _MOST_TEXTS:
            for text in texts:
                if isinstance(text, str):
                    self._texts.setdefault(text, text)
