"""Offline: policies and clusters as exported or seen -> what is desired, without opening a server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

import msgspec

from reconciler.errors import Diagnostic, Severity, UsageError
from reconciler.model import ENGINES, Capabilities, ClusterSnapshot
from reconciler.model.documents import MachineSelector, PolicySet, SiteDocument
from reconciler.model.preflight import Check
from reconciler.model.similar_names import SEE_STATUS, did_you_mean_or_known
from reconciler.plan import DesiredState, PlanInputs, check_all, desired_state, lint, survey
from reconciler.plan.globs import globs
from reconciler.plan.near_names import MOST, begun_names, near_names
from reconciler.plan.selectors import Candidate, Population, reasons, unmet
from reconciler.report import MemberRow, NearMiss


class Sight(msgspec.Struct, frozen=True):
    """What can be known of a site without its servers."""

    site: SiteDocument
    clusters: Mapping[str, ClusterSnapshot]
    now: datetime
    today: date


def desired_offline(policies: PolicySet, sight: Sight) -> DesiredState:
    """What should be, by the policies and the clusters alone: nobody was ever a member before."""
    return desired_state(policies, situation(sight))


def checks_offline(policies: PolicySet, sight: Sight) -> tuple[Check, ...]:
    """Every prerequisite that shows without the servers; what needs them is unknown."""
    return check_all(policies, situation(sight), desired_offline(policies, sight))


def situation(sight: Sight) -> PlanInputs:
    """The input of a plan, without servers and without memory."""
    return PlanInputs(
        site=sight.site.metadata.name,
        now=sight.now,
        zone=ZoneInfo(sight.site.spec.time_zone),
        prune=sight.site.spec.prune,
        clusters=sight.clusters,
        catalogs={},
        capabilities=capabilities_of(sight.site),
        ledger=(),
    )


def capabilities_of(site: SiteDocument) -> dict[str, Capabilities]:
    """What the engine of each server can hold, by the server's name."""
    return {server.name: ENGINES[server.engine.kind] for server in site.spec.servers}


def lint_site(policies: PolicySet, sight: Sight) -> tuple[Diagnostic, ...]:
    """What shows only where the policies meet the clusters."""
    desired = desired_offline(policies, sight)
    return (*desired.findings, *survey(policies, sight.site, desired, sight.clusters))


def lint_all(policies: PolicySet, sights: Mapping[str, Sight], today: date) -> tuple[Diagnostic, ...]:
    """Every finding across documents; and, for sites without a sight of their clusters, which checks were not run."""
    found = list(lint(policies, today))
    for placed in policies.sites:
        name = placed.document.metadata.name
        sight = sights.get(name)
        whole = sight is not None and {each.name for each in placed.document.spec.clusters} <= set(sight.clusters)
        if sight is not None and whole:
            found += lint_site(policies, sight)
            continue
        found.append(
            Diagnostic(
                "RCL1090",
                Severity.ADVICE,
                f"not run for {name}, whose clusters were not seen: virtual machines in two groups, rules "
                "that match nothing, "
                "placement, capacity, sizes of windows and initial replicas",
                "Give --inventory FILE (`reconciler inventory snapshot` writes one): validate opens no cluster.",
                placed.positions.at("spec", "clusters"),
            )
        )
    return tuple(found)


def members(policies: PolicySet, sight: Sight, name: str) -> tuple[tuple[MemberRow, ...], tuple[NearMiss, ...]]:
    """Who is a member of the group and by what; and who nearly is: machines that a rule names, and another of its
    fields does not mean.

    Raises `UsageError`, RCL0008, for a group that is not there.
    """
    groups = {
        placed.document.metadata.name: placed.document
        for placed in policies.groups
        if placed.document.spec.site == sight.site.metadata.name
    }
    if name not in groups:
        remedy = did_you_mean_or_known(name, groups)
        raise UsageError("RCL0008", f"there is no group {name!r}", remedy or SEE_STATUS, subject=name)
    populations = {cluster: Population.of(cluster, seen.machines) for cluster, seen in sight.clusters.items()}
    rows: dict[object, MemberRow] = {}
    near: dict[object, NearMiss] = {}
    for number, rule in enumerate(groups[name].spec.members):
        selector = rule.virtual_machines
        if selector is None or selector.cluster not in populations:
            continue
        for candidate in populations[selector.cluster].candidates:
            because = unmet(selector, candidate)
            if not because:
                why = ", ".join(reasons(selector, candidate)) or "every virtual machine"
                rows.setdefault(candidate.source, _row(candidate, number, why))
            elif because != "its name does not match" and selector.names:
                miss = NearMiss(candidate.name, candidate.source.cluster, f"members[{number}]", because)
                near.setdefault(candidate.source, miss)
        near |= _near_names(selector, populations[selector.cluster], number)
    nearly = tuple(miss for source, miss in near.items() if source not in rows)
    return tuple(rows.values()), nearly


def _near_names(selector: MachineSelector, population: Population, rule: int) -> dict[object, NearMiss]:
    """The virtual machines whose names are near a pattern that means none of them, by data source."""
    names = [candidate.name for candidate in population.candidates]
    found: dict[object, NearMiss] = {}
    for place, pattern in enumerate(selector.names):
        if any(map(globs((pattern,)).fits, names)):
            continue
        near = (*begun_names(pattern, names)[:MOST], *near_names(pattern, names))
        for candidate in population.candidates:
            if candidate.name in near:
                why = f"its name is only near {pattern!r}, which matches nothing"
                found[candidate.source] = NearMiss(
                    candidate.name, candidate.source.cluster, f"members[{rule}].names[{place}]", why
                )
    return found


def _row(candidate: Candidate, number: int, why: str) -> MemberRow:
    source = candidate.source
    return MemberRow(candidate.name, source.cluster, source.machine, candidate.node, f"members[{number}]", why)
