"""What the steps of the plan hand to each other: plain values that know no step."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec

from reconciler.errors import Diagnostic, Location
from reconciler.model import DataSource, KnownMember, ProtectionGroup
from reconciler.model.documents import Positions

#: The server of a group that is placed by rule and capacity.
AUTO = "auto"


#: Path of a field in the comparison -> where the policy writes it, under `spec`.
WRITTEN = {
    "displayName": ("displayName",),
    "members": ("members",),
    "members.volume": ("storage",),
    "shortTerm.retention": ("shortTerm", "retention"),
    "shortTerm.rpo": ("shortTerm", "rpo"),
    "shortTerm.synchronization": ("shortTerm", "synchronization"),
    "shortTerm.minimumPoints": ("shortTerm", "minimumPoints"),
    "shortTerm.expressFull": ("shortTerm", "expressFull"),
    "shortTerm.recoveryPoints": ("shortTerm", "recoveryPoints"),
    "consistencyCheck.whenInconsistent": ("consistencyCheck", "whenInconsistent"),
    "consistencyCheck.schedule": ("consistencyCheck", "schedule"),
    "existingPoints": ("existingPoints",),
    "colocate": ("colocate",),
    "deletionProtection": ("deletionProtection",),
    "paused": ("paused",),
    "renamedFrom": ("renamedFrom",),
    "server": ("server",),
}

#: Field of an ignore rule -> the field of the comparison that it means.
IGNORABLE = {
    path: path for path in WRITTEN if path not in ("members", "members.volume", "paused", "renamedFrom", "server")
} | {
    "storage.volume": "members.volume",
    "members[].storage.volume": "members.volume",
}


class DesiredGroup(msgspec.Struct, frozen=True):
    """A group as it should be on a server.

    `known` tells what each member is called and how it is labelled, `missing` which of them the inventory does
    not show now. `formerly` are the earlier names of the group. `written` tells where each field is written.
    `selectors` is the hash of the membership rules. `ignored` are the fields that may differ for now, `labels`
    those of the document, which is `document` as JSON values.
    """

    server: str
    group: ProtectionGroup
    written: Positions
    known: tuple[KnownMember, ...] = ()
    missing: frozenset[DataSource] = frozenset()
    formerly: tuple[str, ...] = ()
    selectors: str = ""
    ignored: frozenset[str] = frozenset()
    labels: dict[str, str] = {}
    document: dict[str, Any] = {}

    def place(self, path: str) -> Location | None:
        """Where the field is written; where the nearest thing around it is, if it is not; "" is the document."""
        while path and path not in WRITTEN:
            path = path.rpartition(".")[0]
        return self.written.at("spec", *WRITTEN[path]) if path else self.written.at()


class Scope(msgspec.Struct, frozen=True):
    """What a plan is limited to: servers and groups by name; none of a kind is all of them."""

    servers: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def told(self) -> tuple[str, ...]:
        """In words, one a name."""
        return (*(f"server {each}" for each in self.servers), *(f"group {each}" for each in self.groups))

    def holds(self, server: str, *groups: str) -> bool:
        """Whether a change of the server, of a group that has or had one of these names, is within it."""
        mine = not self.groups or not set(groups).isdisjoint(self.groups)
        return mine and (not self.servers or server in self.servers)


class ExcludedMachine(msgspec.Struct, frozen=True):
    """A machine that is unprotected on purpose: the name of the exclusion, its reason, its owner, and its last day."""

    source: DataSource
    exclusion: str
    reason: str
    owner: str
    until: date | None = None


class DesiredState(msgspec.Struct, frozen=True):
    """Everything that should be on the servers of a site.

    `lapsed` are the machines of exclusions that have ended. `incomplete` names clusters that show too few of their
    known machines to plan a removal from.
    `names` tells people what a data source is called. `elsewhere` are the groups that the policies have in other sites,
    by every name that such a group has or had, with the place that says so.
    """

    groups: tuple[DesiredGroup, ...]
    excused: tuple[ExcludedMachine, ...] = ()
    lapsed: tuple[ExcludedMachine, ...] = ()
    incomplete: frozenset[str] = frozenset()
    names: dict[str, str] = {}
    findings: tuple[Diagnostic, ...] = ()
    elsewhere: Mapping[str, Location] = {}
