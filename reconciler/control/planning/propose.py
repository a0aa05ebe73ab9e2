"""Proposing: policies, what was seen -> the plan. The pure rooms do it; this hands them what they ask for."""

from __future__ import annotations

import msgspec

from reconciler.control.approving.budget_gate import spent_today
from reconciler.control.approving.site_guard import Secured, as_secured, secure, waiting_findings
from reconciler.control.approving.valid_approvals import bench_of, judge, last_applied, settled_commit
from reconciler.control.clock import future_times
from reconciler.control.observe import Observation
from reconciler.control.site import Site
from reconciler.control.state.known_stores import first_volumes, foreign, foreign_store, said_of
from reconciler.errors import Diagnostic, GuardrailDenied, PolicyError, Refused, Severity, UsageError
from reconciler.expressions import evaluate
from reconciler.model import Plan
from reconciler.model.documents import PolicySet, SiteDocument
from reconciler.model.preflight import Check
from reconciler.model.similar_names import SEE_STATUS, did_you_mean_or_known
from reconciler.plan import DesiredState, PlanInputs, Proposal, Scope, check_all, desired_state
from reconciler.plan import propose as plan_propose
from reconciler.plan.approval.change_hashes import hashes_of
from reconciler.plan.approval.guardrails import denied
from reconciler.plan.approval.unapproved_documents import WAITS, rewritten
from reconciler.plan.difference.diff import not_ours
from reconciler.plan.difference.owned_groups import spared


class PlanRequest(msgspec.Struct, frozen=True):
    """What a person asks of a plan: groups to adopt (patterns), servers and groups to keep to, and who wrote the
    policies, where Git cannot tell; with `glass` broken a policy folder is believed even where it shrank. `agreed` are
    the hashes of changes that somebody said yes to in a terminal."""

    adopt: tuple[str, ...] = ()
    scope: Scope = Scope()
    authors: tuple[str, ...] = ()
    glass: bool = False
    agreed: frozenset[str] = frozenset()


#: The whole site, nothing adopted.
EVERYTHING = PlanRequest()


def propose(site: Site, policies: PolicySet, observation: Observation, wish: PlanRequest = EVERYTHING) -> Proposal:
    """What should be done on the site. Raises `PolicyError` where the policies contradict themselves or what the
    servers can hold, with every such finding; `UsageError` for a scope that names nothing."""
    check_names(site.document, policies, observation, wish)
    verdict = judge(bench_of(site), policies, wish.authors)
    secured = secure(bench_of(site), policies)
    usable = as_secured(secured, policies, observation.ledger)
    situation = msgspec.structs.replace(
        situation_now(site, observation),
        approvals=verdict.approvals,
        agreed=wish.agreed,
        adopt=wish.adopt,
        scope=wish.scope,
        spent=spent_today(site),
        glass=wish.glass,
        spared=spared(policies, usable, observation.ledger),
    )
    first = tuple(each for each in said_of(observation.stores, site.folder) if each.severity is Severity.ADVICE)
    later = future_times(site, observation)
    held = held_back(site.name, policies, usable)
    proposal = checked(plan_propose(usable, situation))
    first = (*first, *first_volumes(observation.stores, proposal.plan.volumes))
    said = verdict.said(asked_for(proposal, secured))
    found = (*said, *waiting_of(site, secured), *held, *break_glass_history(site), *first, *later)
    return with_findings(proposal, found)


def asked_for(proposal: Proposal, secured: Secured) -> frozenset[str]:
    """The hashes of all that is asked for: the steps of the plan, and what waits without one."""
    fields = [each.field for each in proposal.waiting] + [each.field for each in secured.waiting]
    return hashes_of(proposal.plan) | {field.change_hash for field in fields}


def waiting_of(site: Site, secured: Secured) -> tuple[Diagnostic, ...]:
    """What waits of the site's own changes."""
    known = last_applied(site)
    rules = known.document.spec.approvals if known is not None else None
    return waiting_findings(secured, site.written or site.document, rules, settled_commit(site))


def held_back(site: str, policies: PolicySet, usable: PolicySet) -> tuple[Diagnostic, ...]:
    """The groups that wait because they need a cluster or server that nobody agreed to open."""
    planned = {each.document.metadata.name: each.document for each in usable.groups}
    return tuple(
        Diagnostic(
            WAITS,
            Severity.WARNING,
            f"the group {name} waits: it needs a cluster or server that is not approved",
            "It is planned once the change of the site is approved.",
            each.positions.at(),
            name,
        )
        for each in policies.groups
        if each.document.spec.site == site
        for name in [each.document.metadata.name]
        if planned.get(name) != each.document
    )


def checked(proposal: Proposal) -> Proposal:
    """The proposal, unless something forbids it."""
    wrong = [finding for finding in proposal.plan.findings if _forbids(finding)]
    if wrong:
        raise GuardrailDenied(wrong) if len(denied(wrong)) == len(wrong) else PolicyError(wrong)
    return proposal


def with_findings(proposal: Proposal, found: tuple[Diagnostic, ...]) -> Proposal:
    """The proposal with these findings besides."""

    def more(plan: Plan) -> Plan:
        return msgspec.structs.replace(plan, findings=(*plan.findings, *found))

    if not found:
        return proposal
    return msgspec.structs.replace(proposal, plan=more(proposal.plan), permitted=more(proposal.permitted))


def desired_now(site: Site, policies: PolicySet, observation: Observation) -> DesiredState:
    """What should be by the policies that count, for showing; whether or not a plan could be made of it."""
    bench = bench_of(site)
    usable = as_secured(secure(bench, policies), policies, observation.ledger)
    situation = situation_now(site, observation)
    desired = desired_state(usable, situation)
    if not rewritten(usable, desired, observation.ledger):
        return desired
    return plan_propose(usable, msgspec.structs.replace(situation, approvals=judge(bench, policies).approvals)).desired


def not_ours_now(site: Site, policies: PolicySet, observation: Observation) -> tuple[Diagnostic, ...]:
    """The groups of the policies of which servers hold one that is not ours, whether or not their documents wait. Where
    the whole state is lost, that is said instead."""
    owned = {(entry.server, entry.ref) for entry in observation.ledger}
    seen = ((server, each.ref) for server, catalog in observation.readable.items() for each in catalog.groups)
    if all(each in owned for each in seen) or state_lost(observation) is not None:
        return ()
    usable = as_secured(secure(bench_of(site), policies), policies, observation.ledger)
    inputs = msgspec.structs.replace(situation_now(site, observation), catalogs=observation.readable)
    return not_ours(desired_state(usable, inputs), inputs)


def situation_now(site: Site, observation: Observation) -> PlanInputs:
    """The input of a plan besides the policies."""
    return PlanInputs(
        site=site.name,
        now=observation.at,
        zone=site.zone,
        prune=site.prune,
        clusters=observation.clusters,
        catalogs=observation.catalogs,
        capabilities={name: engine.capabilities for name, engine in site.engines.items()},
        ledger=observation.ledger,
        since=settled_commit(site),
        evaluate=evaluate,
    )


def check_names(document: SiteDocument, policies: PolicySet, observation: Observation, wish: PlanRequest) -> None:
    """Raises `UsageError`, RCL3046, for a server or group that nobody knows: a slip must not plan nothing. What is to
    be adopted has a policy, unless it is a pattern."""
    site = document.metadata.name
    written = {placed.document.metadata.name for placed in policies.groups if placed.document.spec.site == site}
    servers = {each.name for each in document.spec.servers}
    plain = tuple(name for name in wish.adopt if not set(name) & {"*", "?"})
    for kind, asked, known in (
        ("server", wish.scope.servers, servers),
        ("group", wish.scope.groups, written | {entry.group for entry in observation.ledger}),
        ("policy of a group", plain, written),
    ):
        for name in asked:
            if name not in known:
                what = f"there is no {kind} {name!r} on site {site}"
                remedy = did_you_mean_or_known(name, known) or SEE_STATUS
                raise UsageError("RCL3046", what, remedy, subject=name)


def break_glass_history(site: Site) -> tuple[Diagnostic, ...]:
    """Every run that passed over approvals, budgets or windows: said in every plan from then on."""
    return tuple(
        Diagnostic(
            "RCL3047",
            Severity.WARNING,
            f"approvals, budgets and windows were bypassed on {run.started_at:%Y-%m-%d %H:%M} UTC by {run.actor} on "
            f"{run.host.partition(' ')[0]}: {run.glass}",
            f"Run {run.id}; `reconciler evidence query` and the journal have what it did.",
            subject=run.id,
        )
        for run in site.memory.journal.broken_glass()
    )


def checks_now(site: Site, policies: PolicySet, observation: Observation) -> tuple[Check, ...]:
    """Every prerequisite of what is desired, as it stands now."""
    situation = situation_now(site, observation)
    return check_all(policies, situation, desired_state(policies, situation))


def check_state(observation: Observation, wish: PlanRequest = EVERYTHING) -> None:
    """Refuses to change servers that hold groups when our own memory is empty, or whose stores it has never used, since
    it may be the wrong one; unless groups are to be adopted."""
    lost = state_lost(observation)
    if lost is not None and not wish.adopt:
        raise Refused(lost.code, lost.message, lost.remedy, subject=lost.subject)


def state_lost(observation: Observation) -> Diagnostic | None:
    """RCL3012: our own memory does not know what the servers hold; None where it does."""
    for view in foreign(observation.stores):
        return foreign_store(view)
    held = sum(len(catalog.groups) for catalog in observation.catalogs.values())
    if not held or observation.ledger:
        return None
    servers = ", ".join(sorted(name for name, catalog in observation.catalogs.items() if catalog.groups))
    return Diagnostic(
        "RCL3012",
        Severity.ERROR,
        f"the state knows no group, but {servers} holds {held}: the state may be lost, or be the wrong one",
        "Restore the state with `reconciler state restore`, correct `state` in the site, or take the groups over "
        "with --adopt NAME. Nothing was changed.",
        subject=servers,
    )


def _forbids(finding: Diagnostic) -> bool:
    return finding.severity is Severity.ERROR and finding.code[:4] in ("RCL1", "RCL3")
