"""Former rules: the membership rules that were last applied -> whether they mean a machine as it is now.

So that a member that comes or goes by the machines is told from one that does by the policies.
"""

from __future__ import annotations

import msgspec

from reconciler.model import DataSource, LedgerEntry
from reconciler.model.documents import MemberRule
from reconciler.plan.selectors import Candidate, matches, remembered


def known_as(entry: LedgerEntry, source: DataSource) -> Candidate | None:
    """What the ledger remembers of a member's machine; None for a member that it does not know."""
    return next((remembered(each) for each in entry.members if each.source == source), None)


class FormerRules(msgspec.Struct, frozen=True):
    """The membership rules that were applied. `changed`: the policy has others now; `known`: the ledger has them."""

    changed: bool
    known: bool = False
    rules: tuple[MemberRule, ...] = ()

    @classmethod
    def of(cls, entry: LedgerEntry, selectors: str) -> FormerRules:
        """`selectors` is the hash of the rules that the policy has now."""
        changed = bool(entry.selectors) and entry.selectors != selectors
        written = entry.document.get("spec", {}).get("members") if changed else None
        if written is None:
            return cls(changed)
        try:
            return cls(changed, True, msgspec.convert(written, tuple[MemberRule, ...]))
        except msgspec.ValidationError:
            return cls(changed)

    def mean(self, source: DataSource, machine: Candidate) -> bool:
        """Whether they mean the machine as it is."""
        return any(
            rule.virtual_machines is not None
            and rule.level == source.level
            and rule.virtual_machines.cluster == source.cluster
            and matches(rule.virtual_machines, machine)
            for rule in self.rules
        )
