"""The inputs of a plan, with whatever a test does not care for left empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from reconciler.model import CatalogSnapshot, ClusterSnapshot, LedgerEntry
from reconciler.plan import PlanInputs

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def plan_inputs(
    clusters: Mapping[str, ClusterSnapshot] | None = None,
    catalogs: Mapping[str, CatalogSnapshot] | None = None,
    ledger: Sequence[LedgerEntry] = (),
    *,
    prune: bool = True,
) -> PlanInputs:
    return PlanInputs("hq", NOON, ZoneInfo("UTC"), prune, clusters or {}, catalogs or {}, {}, tuple(ledger))
