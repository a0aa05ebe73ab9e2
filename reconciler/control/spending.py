"""Spending: the journal of a day -> what of the site's budgets was used up."""

from __future__ import annotations

from datetime import UTC, datetime, time

from reconciler.control.site import Site
from reconciler.model import Cost, OutcomeState, Plan, Step


def spent_today(site: Site) -> Cost:
    """The cost of every step that was done since midnight in the site's zone, by whatever run."""
    local = site.now().astimezone(site.zone)
    midnight = datetime.combine(local.date(), time(), site.zone).astimezone(UTC)
    total = Cost()
    for run in site.memory.journal.since(midnight):
        plan = site.memory.journal.plan(run.id)
        costs = {step.id: step.cost for step in plan.steps} if plan is not None else {}
        for noted in site.memory.journal.steps(run.id):
            done = noted.outcome is not None and noted.outcome.state is OutcomeState.DONE
            if done and noted.outcome is not None and noted.outcome.at >= midnight:
                total += costs.get(noted.step, Cost())
    return total


def kept_by_time(site: Site, plan: Plan, step: Step) -> tuple[str, datetime | None]:
    """Why the step may not be done now, and when it may (UTC); "" where it may."""
    wave = next((each for each in plan.waves if each.number == step.wave), None)
    if wave is not None and wave.opens_at > site.now():
        return wave.because or "its wave opens later", wave.opens_at
    return "", None
