"""Settling: runs that never ended -> a journal and a ledger that agree with the servers.

A process may die between a change on a server and our note of it. What the server shows decides.
"""

from __future__ import annotations

from reconciler.control.applying.ledger_update import remember_step
from reconciler.control.applying.step_status import StepStatus, groups_on, resolved, shown_by, stands
from reconciler.control.approving.used_approvals import use_for_step
from reconciler.control.evidence.record import record_end, record_step, recorded
from reconciler.control.site import Site
from reconciler.model import Outcome, OutcomeState, Step


def settle(site: Site) -> tuple[str, ...]:
    """Closes every open run; returns the ids. Only for the holder of the lease: an open run is nobody's then."""
    journal = site.memory.journal
    settled = []
    for run in journal.open_runs():
        plan = journal.plan(run.id)
        steps = {step.id: step for step in plan.steps} if plan else {}
        on_record = recorded(site, run.id) if plan is not None else set()
        for noted in journal.steps(run.id):
            step = steps.get(noted.step)
            if noted.outcome is not None or step is None:
                continue
            shown = None
            ref = done_as(site, step) if step.action.server in site.engines else None
            if ref is None:
                outcome = Outcome(step.id, OutcomeState.FAILED, site.now(), code="RCL0005", reason="interrupted")
            else:
                shown = remember_step(site, step, ref, run.id, run.commit)
                if plan is not None:
                    use_for_step(site, run.id, plan, step, run.commit)
                outcome = Outcome(step.id, OutcomeState.DONE, site.now(), ref)
            if plan is not None and step.id not in on_record:
                record_step(site, run.id, step, outcome, shown, plan.names)
            journal.finished(run.id, outcome)
        noted_steps = journal.steps(run.id)
        done = sum(noted.outcome is not None and noted.outcome.state is OutcomeState.DONE for noted in noted_steps)
        record_end(site, run.id, "interrupted", done, len(steps) - done)
        journal.end(run.id, site.now(), "interrupted")
        settled.append(run.id)
    return tuple(settled)


def done_as(site: Site, step: Step) -> str | None:
    """The reference of the group if it is as the step would leave it, None if it is not."""
    groups = groups_on(site, step.action.server)
    step = resolved(site, step, groups)
    return shown_by(step, groups) if stands(site, step, groups) is StepStatus.AFTER else None
