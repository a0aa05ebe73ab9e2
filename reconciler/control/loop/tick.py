"""One tick: observe, do what may be done without asking, start what is due. Trusts only what it sees."""

from __future__ import annotations

import msgspec

from reconciler.control.applying.apply import ApplyResult
from reconciler.control.applying.converge import converge
from reconciler.control.approving.agreement import mandate_of
from reconciler.control.approving.budget_gate import may_begin
from reconciler.control.approving.site_guard import settle_guard
from reconciler.control.clock import HEARTBEAT, acknowledge, future_times, trust_clock
from reconciler.control.drift.detect import drifted, note_and_record
from reconciler.control.error_boundary import Bounds
from reconciler.control.evidence.record import hold_evidence
from reconciler.control.jobs.dispatch import jobs_due, last_decision
from reconciler.control.lease import HeldLease
from reconciler.control.observe import Observation, observe
from reconciler.control.planning.propose import check_state, propose
from reconciler.control.planning.waiting import unapproved, waiting_now
from reconciler.control.policy_folder import Policies
from reconciler.control.site import Site
from reconciler.errors import Diagnostic, ReconcilerError, Severity
from reconciler.model import Job, Plan
from reconciler.model.audit import Confirmation
from reconciler.model.drift import DriftItem
from reconciler.model.waiting import Waiting
from reconciler.plan import DesiredState
from reconciler.plan.approval.unapproved_documents import waits


class Tick(msgspec.Struct, frozen=True):
    """What one tick saw and did. `pending` are the steps that wait for consent, `jobs` what is due now, `troubles` what
    kept the policies from being applied, or a server's jobs from being found; `decided` is the run that was the newest
    then. `current` is False where the policies are wrong and the last good ones counted, which came from the `commit`
    ("" for a folder). `waiting` and `drift` (what differs on the servers, changed outside of reconciler) are None where
    no plan could be made, so that nobody knows."""

    observation: Observation
    jobs: tuple[Job, ...]
    applied: ApplyResult | None = None
    pending: Plan | None = None
    findings: tuple[Diagnostic, ...] = ()
    troubles: tuple[ReconcilerError, ...] = ()
    decided: str = ""
    current: bool = True
    commit: str = ""
    waiting: tuple[Waiting, ...] | None = None
    drift: tuple[DriftItem, ...] | None = None

    @property
    def waits_for_consent(self) -> bool:
        return waits(self.findings) or (self.pending is not None and bool(self.pending.steps))


def tick(site: Site, policies: Policies, held: HeldLease, *, confirm_clock: bool = False) -> Tick:
    """Brings the site as near to its policies as may be without asking, and says which jobs are due."""
    now = site.now()
    bounds = Bounds(site.folder)
    findings = list(policies.diagnostics)
    prune = trust_clock(site, now, confirm_clock)
    if prune is not None:
        findings.append(prune)
    observation = observe(site)
    with bounds.about("the record of drift"):
        note_and_record(site, observation)
    done: Converged | None = None
    on_record = False
    with bounds.about("the evidence"):
        hold_evidence(site)
        on_record = True
    if policies.current and observation.whole and on_record:
        with bounds.about("applying the policies"):
            done = _converge(site, policies, held, observation, findings)
    if done is not None and done.applied is not None:
        observation = observe(site)
        with bounds.about("the record of drift"):
            note_and_record(site, observation)
    findings += (each for each in observation.findings if each.severity is not Severity.ADVICE)
    if confirm_clock:
        acknowledge(site, observation)
    findings += future_times(site, observation)
    site.memory.marks.write(HEARTBEAT, now)
    jobs = jobs_due(site, observation, bounds, prune=prune is None)
    findings += bounds.findings
    return Tick(
        observation,
        jobs,
        done.applied if done is not None else None,
        done.pending if done is not None else None,
        tuple(dict.fromkeys(findings)),
        tuple(bounds.troubles),
        last_decision(site),
        policies.current,
        policies.commit,
        done.waiting if done is not None else None,
        drifted(site, observation, done.desired) if done is not None else None,
    )


class Converged(msgspec.Struct, frozen=True):
    """What came of the policies: what was applied, the steps that wait for consent, all that waits, what is desired."""

    applied: ApplyResult | None
    pending: Plan
    waiting: tuple[Waiting, ...]
    desired: DesiredState


def _converge(
    site: Site, policies: Policies, held: HeldLease, observation: Observation, findings: list[Diagnostic]
) -> Converged:
    check_state(observation)
    settle_guard(site, policies.policies)
    proposal = propose(site, policies.policies, observation)
    findings += (each for each in proposal.plan.findings if each.severity is not Severity.ADVICE)
    permitted = proposal.permitted
    authority = mandate_of(site, "run", Confirmation.AUTOMATIC) if may_begin(site, permitted) else None
    applied = converge(site, policies.policies, proposal, observation, held, permitted, authority)
    if applied is not None:
        findings += (_failure(outcome.code, outcome.step, outcome.reason) for outcome in applied.failed)
        findings += (_failure(outcome.code, outcome.step, outcome.reason) for outcome in applied.unheld)
    pending = msgspec.structs.replace(proposal.plan, steps=unapproved(proposal.plan, permitted))
    waiting = waiting_now(site, proposal.plan, permitted, applied.waiting if applied is not None else None)
    return Converged(applied, pending, waiting, proposal.desired)


def _failure(code: str, step: str, reason: str) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, f"step {step} was not done: {reason}", "It is tried again.", subject=step)
