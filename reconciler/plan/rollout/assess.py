"""Weighing: ordered changes, what there is, what the site allows -> cost, impact and wave of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from reconciler.errors import Diagnostic
from reconciler.model import (
    Change,
    Cost,
    DataSource,
    Impact,
    VolumeImpact,
    Wave,
)
from reconciler.model.documents import PolicySet, SiteSpec
from reconciler.plan.checks.sizing import size_of
from reconciler.plan.difference.dependencies import members_added
from reconciler.plan.impact.hazards import hazards, volumes
from reconciler.plan.impact.impact import Past, impact, moved
from reconciler.plan.inputs import PlanInputs
from reconciler.plan.rollout.budgets import Allowance, cost, with_replica
from reconciler.plan.rollout.waves import spread


class RolloutPart(msgspec.Struct, frozen=True):
    """A change, or a part of one that is over a budget. `whole`: nothing of it comes later."""

    change: Change
    wave: int
    whole: bool
    cost: Cost
    impact: Impact | None
    hazards: tuple[Diagnostic, ...]


class Rollout(msgspec.Struct, frozen=True):
    """The parts in the order in which they are done, their waves, the volumes that they fill or free, and what was
    found on the way."""

    parts: tuple[RolloutPart, ...] = ()
    waves: tuple[Wave, ...] = ()
    volumes: tuple[VolumeImpact, ...] = ()
    findings: tuple[Diagnostic, ...] = ()


def spec_of(policies: PolicySet, site: str) -> SiteSpec | None:
    """The site's own settings; None where no document has them."""
    found = (placed.document for placed in policies.sites if placed.document.metadata.name == site)
    document = next(found, None)
    return document.spec if document is not None else None


def impacts(changes: Iterable[Change], inputs: PlanInputs) -> tuple[tuple[Change, Impact | None], ...]:
    """Each change with what it does to recovery points."""
    everything = tuple(changes)
    past = _past(everything, inputs)
    return tuple((change, impact(change, past)) for change in everything)


def weigh(ordered: Sequence[Change], inputs: PlanInputs, spec: SiteSpec | None) -> Rollout:
    """The changes in waves, each with what it costs and does."""
    if not ordered:
        return Rollout()
    past = _past(ordered, inputs)
    copied = with_replica(inputs.catalogs)

    def weight(change: Change) -> tuple[Cost, Impact | None]:
        found = impact(change, past)
        return cost(change, past.sizes, found, copied), found

    planned = spread(ordered, allowance(inputs, spec), weight)
    parts = []
    for place, (wave, change) in enumerate(planned.parts):
        costs, found = weight(change)
        whole = place not in planned.unfinished
        parts.append(RolloutPart(change, wave, whole, costs, found, hazards(change, found, past)))
    filled = volumes(((part.change, part.impact) for part in parts), past)
    return Rollout(tuple(parts), planned.waves, filled, planned.findings)


def weigh_as_is(changes: Sequence[Change], inputs: PlanInputs) -> Rollout:
    """The changes as they are, one part each, in one wave: none is cut."""
    past = _past(changes, inputs)
    copied = with_replica(inputs.catalogs)
    parts = []
    for change in changes:
        found = impact(change, past)
        costs = cost(change, past.sizes, found, copied)
        parts.append(RolloutPart(change, 1, True, costs, found, hazards(change, found, past)))
    return Rollout(tuple(parts), (), volumes(((part.change, part.impact) for part in parts), past))


def allowance(inputs: PlanInputs, spec: SiteSpec | None) -> Allowance:
    """What the site allows at this moment."""
    return Allowance(
        budgets=spec.budgets if spec is not None else None,
        windows=spec.change_windows if spec is not None else (),
        zone=inputs.zone,
        now=inputs.now,
        spent=inputs.spent,
        population=sum(len(entry.applied.members) for entry in inputs.ledger),
        whole_days=frozenset(name for name, able in inputs.capabilities.items() if able.runs_jobs_itself),
    )


def _past(changes: Sequence[Change], inputs: PlanInputs) -> Past:
    return Past(inputs.catalogs, inputs.capabilities, inputs.now, inputs.zone, _sizes(changes, inputs), moved(changes))


def _sizes(changes: Sequence[Change], inputs: PlanInputs) -> dict[DataSource, int]:
    """Bytes of a first copy of the machines that a change takes in."""
    wanted: dict[DataSource, list[DataSource]] = {}
    for change in changes:
        for source in members_added(change):
            wanted.setdefault(source.home, []).append(source)
    sizes: dict[DataSource, int] = {}
    for cluster in {source.cluster for source in wanted}:
        seen = inputs.clusters.get(cluster)
        for machine in seen.machines if seen is not None else ():
            for source in wanted.get(machine.source(cluster), ()):
                sizes[source] = size_of(machine)
    return sizes
