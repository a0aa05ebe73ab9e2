"""Proposing: policies, what was seen -> the plan. The pure rooms do it; this hands them what they ask for."""

from __future__ import annotations

from reconciler.control.observe import Observation
from reconciler.control.site import Site
from reconciler.errors import Diagnostic, GuardrailDenied, PolicyError, Refused, Severity
from reconciler.model.documents import PolicySet
from reconciler.model.preflight import Check
from reconciler.plan import DesiredState, Proposal, Situation, check_all, desire
from reconciler.plan import propose as plan_propose
from reconciler.plan.guard import denied


def propose(site: Site, policies: PolicySet, observation: Observation) -> Proposal:
    """What should be done on the site. Raises `PolicyError` where the policies contradict themselves or what the
    servers can hold, with every such finding."""
    return checked(plan_propose(policies, _situation(site, observation)))


def checked(proposal: Proposal) -> Proposal:
    """The proposal; raises what `propose` raises where a finding forbids it."""
    wrong = [finding for finding in proposal.plan.findings if _forbids(finding)]
    if wrong:
        raise GuardrailDenied(wrong) if len(denied(wrong)) == len(wrong) else PolicyError(wrong)
    return proposal


def desired_now(site: Site, policies: PolicySet, observation: Observation) -> DesiredState:
    """What should be, for showing; whether or not a plan could be made of it."""
    return desire(policies, _situation(site, observation))


def _situation(site: Site, observation: Observation) -> Situation:
    return Situation(
        site=site.name,
        now=observation.at,
        today=observation.at.astimezone(site.zone).date(),
        prune=site.prune,
        clusters=observation.clusters,
        catalogs=observation.catalogs,
        capabilities={name: engine.capabilities for name, engine in site.engines.items()},
        ledger=observation.ledger,
        local_now=observation.at.astimezone(site.zone),
    )


def checks_now(site: Site, policies: PolicySet, observation: Observation) -> tuple[Check, ...]:
    """Every prerequisite of what is desired, as it stands now."""
    situation = _situation(site, observation)
    return check_all(policies, situation, desire(policies, situation))


def check_state(observation: Observation) -> None:
    """Refuses to change servers that hold groups when our own memory is empty: it may be the wrong one."""
    held = sum(len(catalog.groups) for catalog in observation.catalogs.values())
    if held and not observation.ledger:
        servers = ", ".join(sorted(name for name, catalog in observation.catalogs.items() if catalog.groups))
        raise Refused(
            "RCL3012",
            f"the state knows no group, but {servers} holds {held}: the state may be lost, or be the wrong one",
            "Restore the state database, or correct `state` in the site. Nothing was changed.",
            subject=servers,
        )


def _forbids(finding: Diagnostic) -> bool:
    return finding.severity is Severity.ERROR and finding.code[:4] in ("RCL1", "RCL3")
