"""What the steps of the plan hand to each other: plain values that know no step."""

from __future__ import annotations

import msgspec

from reconciler.errors import Diagnostic, Location
from reconciler.model import DataSource, KnownMember, ProtectionGroup

#: The server of a group that is placed by rule and capacity.
AUTO = "auto"


class DesiredGroup(msgspec.Struct, frozen=True):
    """A group as it should be on a server.

    `known` tells what each member is called and how it is labelled, `missing` which of them the inventory does
    not show now. `formerly` are the earlier names of the group. `places` maps the policy path of each field to
    where it is written; "" is the document. `selectors` is the hash of the membership rules. `ignored` are the
    fields that may differ for now, `labels` those of the document.
    """

    server: str
    group: ProtectionGroup
    places: dict[str, Location]
    known: tuple[KnownMember, ...] = ()
    missing: frozenset[DataSource] = frozenset()
    formerly: tuple[str, ...] = ()
    selectors: str = ""
    ignored: frozenset[str] = frozenset()
    labels: dict[str, str] = {}

    def place(self, path: str) -> Location | None:
        """Where the field is written; where the nearest thing around it is, if it is not."""
        while path and path not in self.places:
            path = path.rpartition(".")[0]
        return self.places.get(path)


class Excused(msgspec.Struct, frozen=True):
    """A machine that is unprotected on purpose: the name of the exclusion, its reason, and its owner."""

    source: DataSource
    exclusion: str
    reason: str
    owner: str


class DesiredState(msgspec.Struct, frozen=True):
    """Everything that should be on the servers of a site.

    `incomplete` names clusters that show too few of their known machines to plan a removal from.
    `names` tells people what a data source is called.
    """

    groups: tuple[DesiredGroup, ...]
    excused: tuple[Excused, ...] = ()
    incomplete: frozenset[str] = frozenset()
    names: dict[str, str] = {}
    findings: tuple[Diagnostic, ...] = ()
