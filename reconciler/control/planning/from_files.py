"""Exported: what files say of a site -> an observation, as if its clusters and servers had been asked then, and its
plan."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from reconciler.control.approving.site_guard import as_secured, secure, waiting_findings
from reconciler.control.approving.valid_approvals import ApprovalContext, judge, settled_guard, zone_of
from reconciler.control.observe import Observation
from reconciler.control.planning.propose import (
    EVERYTHING,
    PlanRequest,
    asked_for,
    check_names,
    checked,
    held_back,
    with_findings,
)
from reconciler.control.planning.without_servers import capabilities_of
from reconciler.control.site import Site
from reconciler.errors import Refused
from reconciler.expressions import evaluate
from reconciler.model import CatalogSnapshot, ClusterSnapshot
from reconciler.model.documents import PolicySet, SiteDocument
from reconciler.plan import PlanInputs, Proposal
from reconciler.plan import propose as plan_propose
from reconciler.plan.difference.owned_groups import spared
from reconciler.snapshots import ExportedCatalog

T = TypeVar("T")


class ExportedSite(msgspec.Struct, frozen=True):
    """What the files say, and the site as it was last applied (JSON values; None: nothing was)."""

    observation: Observation
    site_document: dict[str, Any] | None


def observed_then(
    document: SiteDocument, clusters: Mapping[str, ClusterSnapshot], held: ExportedCatalog, at: datetime | None
) -> ExportedSite:
    """What the files say of the site, as an observation at `at` (UTC), else at the latest moment that one of them
    shows. Raises `Refused`, RCL2024, where they lack a cluster or a server of the site, or are another site's."""
    if held.site != document.metadata.name:
        raise _lacks(document, f"is of the site {held.site or 'unknown'!r}", "catalog")
    seen = {each.name: _of(document, clusters, each.name, "cluster", "inventory") for each in document.spec.clusters}
    then = {each.name: _of(document, held.catalogs, each.name, "server", "catalog") for each in document.spec.servers}
    moments = [each.taken_at for each in seen.values()] + [each.taken_at for each in then.values()]
    return ExportedSite(Observation(at or max(moments), seen, then, held.ledger), held.site_document)


def _of(document: SiteDocument, found: Mapping[str, T], name: str, what: str, file: str) -> T:
    if name not in found:
        raise _lacks(document, f"lacks its {what} {name!r}", file)
    return found[name]


def _lacks(document: SiteDocument, what: str, file: str) -> Refused:
    site = document.metadata.name
    remedy = f"Export it again with `reconciler {file} snapshot --site {site}`."
    return Refused("RCL2024", f"a plan of the site {site!r} cannot be made: the exported {file} {what}", remedy)


def held_now(site: Site) -> ExportedCatalog:
    """What the servers of the site hold and what its state says of them: what is exported. Raises the error of the
    first server that cannot be seen."""
    catalogs: dict[str, CatalogSnapshot] = {name: engine.observe() for name, engine in site.engines.items()}
    ledger = site.memory.ledger
    return ExportedCatalog(site.name, catalogs, ledger.entries(), ledger.sightings(), ledger.site_document())


def propose_exported(
    root: Path, policies: PolicySet, document: SiteDocument, then: ExportedSite, wish: PlanRequest = EVERYTHING
) -> Proposal:
    """What should be done, by what the files say. Raises what `propose` raises."""
    observation = then.observation
    check_names(document, policies, observation, wish)
    today = observation.at.astimezone(zone_of(then.site_document, document)).date()
    bench = ApprovalContext(root, document, then.site_document, today, entries=lambda: then.observation.ledger)
    verdict = judge(bench, policies, wish.authors)
    secured = secure(bench, policies)
    usable = as_secured(secured, policies, observation.ledger)
    known = settled_guard(then.site_document)
    rules = known.site.spec.approvals if known is not None else None
    waits = waiting_findings(secured, document, rules, "")
    waits = (*waits, *held_back(document.metadata.name, policies, usable))
    situation = msgspec.structs.replace(
        situation_then(document, observation),
        zone=ZoneInfo(secured.site.spec.time_zone),
        prune=secured.site.spec.prune,
        approvals=verdict.approvals,
        adopt=wish.adopt,
        scope=wish.scope,
        spared=spared(policies, usable, observation.ledger),
    )
    proposal = checked(plan_propose(usable, situation))
    return with_findings(proposal, (*verdict.said(asked_for(proposal, secured)), *waits))


def situation_then(document: SiteDocument, observation: Observation) -> PlanInputs:
    """The input of the plan; what each engine can hold is known by its kind."""
    return PlanInputs(
        site=document.metadata.name,
        now=observation.at,
        zone=ZoneInfo(document.spec.time_zone),
        prune=document.spec.prune,
        clusters=observation.clusters,
        catalogs=observation.catalogs,
        capabilities=capabilities_of(document),
        ledger=observation.ledger,
        evaluate=evaluate,
    )
