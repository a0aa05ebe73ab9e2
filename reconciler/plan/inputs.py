"""INPUTS: what every step of a plan is handed besides the policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

import msgspec

from reconciler.model import Approved, Capabilities, CatalogSnapshot, ClusterSnapshot, Cost, LedgerEntry
from reconciler.plan.desired.state import Scope
from reconciler.protocols import Evaluate, evaluates_nothing


class PlanInputs(msgspec.Struct, frozen=True):
    """What was read of one site at one moment: the input of a plan besides the policies.

    Clusters and catalogs by name; `now` is UTC, `zone` the site's. `approvals` are those that count, `adopt` the names
    (patterns) of groups that are to become ours, `scope` what the plan is limited to, `spent` what of the day's budgets
    is used up. `agreed` are hashes that somebody said yes to besides, `since` is the commit whose policies were last
    applied ("" for none). With `glass` broken the policies are believed even where they shrank, and nothing waits that
    makes no step. `spared` are groups that have a policy which waits and is not among those given: they are not
    removed. `evaluate` answers for guardrails.
    """

    site: str
    now: datetime
    zone: ZoneInfo
    prune: bool
    clusters: Mapping[str, ClusterSnapshot]
    catalogs: Mapping[str, CatalogSnapshot]
    capabilities: Mapping[str, Capabilities]
    ledger: Sequence[LedgerEntry]
    approvals: tuple[Approved, ...] = ()
    agreed: frozenset[str] = frozenset()
    since: str = ""
    adopt: tuple[str, ...] = ()
    scope: Scope = Scope()
    spent: Cost = Cost()
    glass: bool = False
    spared: frozenset[str] = frozenset()
    evaluate: Evaluate = evaluates_nothing

    @property
    def unreadable(self) -> dict[str, frozenset[str]]:
        """Server -> the fields that it cannot read back."""
        return {name: able.unreadable for name, able in self.capabilities.items()}

    @property
    def today(self) -> date:
        """The day in the site's zone."""
        return self.now.astimezone(self.zone).date()
