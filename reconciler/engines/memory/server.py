"""The in-memory server: what it holds, how it misbehaves -> what an engine on it stores and shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from reconciler.model import (
    DataSource,
    JobResult,
    Lineage,
    Member,
    ProtectionGroup,
    RecoveryPoint,
    Replica,
    ShortTerm,
)
from reconciler.plan.fields import FIELDS
from reconciler.protocols import FileFacts

#: What a field that cannot be read back is shown as.
_BLANK = ProtectionGroup("blank", "", (), ShortTerm(timedelta(0), timedelta(0), None))


@dataclass
class Behaviour:
    """How the server misbehaves. `fail_applies` is how many of the next applies fail before they do anything;
    `lose_answers` how many are done, or with `lose_before` not done, without an answer. `unreadable` names fields
    that observing gives back as they never were. `rounds` is what the server makes of a group that it is given."""

    fail_applies: int = 0
    lose_answers: int = 0
    lose_before: bool = False
    unreadable: frozenset[str] = frozenset()
    rounds: Callable[[ProtectionGroup], ProtectionGroup] | None = None

    def rounded(self, group: ProtectionGroup) -> ProtectionGroup:
        """The group as the server keeps it."""
        return group if self.rounds is None else self.rounds(group)

    def shown(self, group: ProtectionGroup) -> ProtectionGroup:
        """The group as observing gives it back."""
        for each in FIELDS if self.unreadable else ():
            if each.path in self.unreadable:
                group = each.put(group, each.get(_BLANK))
        if "members.volume" in self.unreadable:
            group = msgspec.structs.replace(group, members=tuple(Member(each.source) for each in group.members))
        return group


@dataclass
class Copy:
    """One file of a machine as a point holds it."""

    data: bytes
    facts: FileFacts


@dataclass
class MemoryServer:
    """What outlives an engine: open a second one on the same server to see what a restart would."""

    behaviour: Behaviour = field(default_factory=Behaviour)
    lineage: Lineage | None = None
    state: Lineage | None = None
    tokens: dict[str, int] = field(default_factory=dict)
    groups: dict[str, ProtectionGroup] = field(default_factory=dict)
    replicas: dict[DataSource, Replica] = field(default_factory=dict)
    points: dict[str, RecoveryPoint] = field(default_factory=dict)
    contents: dict[str, dict[str, Copy]] = field(default_factory=dict)
    results: dict[str, JobResult] = field(default_factory=dict)
