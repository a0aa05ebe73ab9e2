"""Spending: the journal of a day, the site's budgets and windows -> what is used up, and whether a step may be done."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from reconciler.control.site import Site
from reconciler.model import Cost, OutcomeState, Plan, Step
from reconciler.plan import PlanInputs
from reconciler.plan.rollout.assess import allowance
from reconciler.plan.rollout.budgets import why_blocked
from reconciler.schedule.change_windows import next_open, open_now


def spent_today(site: Site) -> Cost:
    """The cost of every step that was done since midnight in the site's zone, by whatever run."""
    midnight = _midnight(site)
    total = Cost()
    for run in site.memory.journal.since(midnight):
        plan = site.memory.journal.plan(run.id)
        costs = {step.id: step.cost for step in plan.steps} if plan is not None else {}
        for noted in site.memory.journal.steps(run.id):
            done = noted.outcome is not None and noted.outcome.state is OutcomeState.DONE
            if done and noted.outcome is not None and noted.outcome.at >= midnight:
                total += costs.get(noted.step, Cost())
    return total


def may_begin(site: Site, plan: Plan) -> bool:
    """Whether any step of the plan may be done now."""
    spent = spent_today(site) if plan.steps else Cost()
    return any(not blocked_until(site, plan, step, spent)[0] for step in plan.steps)


def blocked_until(site: Site, plan: Plan, step: Step, spent: Cost) -> tuple[str, datetime | None]:
    """Why the step may not be done now, and when it may (UTC; None: not within a year); "" where it may."""
    wave = next((each for each in plan.waves if each.number == step.wave), None)
    now = site.now()
    if wave is not None and wave.opens_at > now:
        return wave.because or "its wave opens later", wave.opens_at
    ledger = site.memory.ledger.entries()
    inputs = PlanInputs(site.name, now, site.zone, site.prune, {}, {}, {}, ledger, spent=spent)
    because = why_blocked(step.cost, allowance(inputs, site.document.spec))
    if not because:
        return "", None
    windows = site.document.spec.change_windows
    shut = not open_now(windows, now.astimezone(site.zone))
    return because, next_open(windows, now if shut else _midnight(site, days=1), site.zone)


def _midnight(site: Site, days: int = 0) -> datetime:
    """The beginning of today, or of a later day, by the site's clocks (UTC)."""
    day = site.now().astimezone(site.zone).date() + timedelta(days=days)
    return datetime.combine(day, time(), site.zone).astimezone(UTC)
