"""Former rules: the membership rules that were last applied -> whether they mean a machine as it is now.

So that a member that comes or goes by the machines is told from one that does by the policies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from reconciler.model import ClusterSnapshot, DataSource, LedgerEntry
from reconciler.model.documents import MemberRule
from reconciler.plan.selectors import Candidate, matches, remembered


def known_as(entry: LedgerEntry, source: DataSource) -> Candidate | None:
    """What the ledger remembers of a member's machine; None for a member that it does not know."""
    return next((remembered(each) for each in entry.members if each.source == source), None)


def still_meant(
    entry: LedgerEntry, selectors: str, clusters: Mapping[str, ClusterSnapshot]
) -> Callable[[DataSource], bool]:
    """Whether a member that leaves does so by the policies: they have other rules now (`selectors` is their hash), and
    the former ones mean its machine as it is. Else it was renamed, relabelled or moved, whatever the policies did. Of
    what is no virtual machine of a cluster only the rules can tell."""
    rules = FormerRules.of(entry, selectors)
    machines: dict[DataSource, Candidate] = {}

    def meant(source: DataSource) -> bool:
        if not rules.changed or not rules.known:
            return rules.changed
        if not machines:
            machines.update(
                (each.source, each)
                for name, seen in clusters.items()
                for each in (Candidate.of(name, machine) for machine in seen.machines)
            )
        machine = machines.get(source.home) or known_as(entry, source)
        return machine is None or rules.mean(source, machine)

    return meant


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
