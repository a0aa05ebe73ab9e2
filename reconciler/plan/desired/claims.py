"""Claims: a rule of a group, a machine -> what of the machine it protects, and where that is written."""

from __future__ import annotations

import msgspec

from reconciler.errors import Location
from reconciler.model import DataSource, Level
from reconciler.model.documents import MemberRule, Positions, ProtectedParts


def data_source(rule: MemberRule, machine: DataSource) -> DataSource:
    """What of a machine the rule protects: all of it from its host, or parts of it inside the guest."""
    if rule.level == "host" or not isinstance(rule.protect, ProtectedParts):
        return machine
    parts = rule.protect
    named = [("application", (parts.application,) if parts.application else ()), ("volumes", parts.volumes)]
    what = ";".join(f"{kind}={','.join(sorted(each))}" for kind, each in (*named, ("paths", parts.paths)) if each)
    return DataSource(machine.cluster, machine.machine, Level.GUEST, what)


class Claim(msgspec.Struct, frozen=True):
    """A rule of a group that means a machine."""

    group: str
    rule: int
    positions: Positions

    @property
    def place(self) -> Location:
        return self.positions.at("spec", "members", self.rule)
