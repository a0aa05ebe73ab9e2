"""In flight: the journal and the lease of a site -> the groups that a run is changing just now."""

from __future__ import annotations

from reconciler.control.lease import held_by
from reconciler.control.observe import Observation
from reconciler.control.site import Site
from reconciler.model import Adopt, CreateGroup, OutcomeState, Step
from reconciler.model.drift import InFlight
from reconciler.schedule import SKEW

_OVER = (OutcomeState.DONE, OutcomeState.ALREADY, OutcomeState.FAILED)


def in_flight(site: Site, observation: Observation) -> tuple[InFlight, ...]:
    """Groups of which nothing can be said, by server and name: those of unfinished steps of open runs, whether
    somebody is still at work on them or was cut off, and those whose ledger entry is newer than what was seen.

    Ask after observing: what a run did in between shows in the ledger, or its step is not finished yet.
    """
    found: dict[tuple[str, str], InFlight] = {}
    lease = held_by(site)
    for run in site.memory.journal.open_runs():
        plan = site.memory.journal.plan(run.id)
        noted = site.memory.journal.steps(run.id)
        over = {each.step for each in noted if each.outcome is not None and each.outcome.state in _OVER}
        holder = lease.holder if lease is not None and lease.token == run.fence else ""
        for step in plan.steps if plan is not None else ():
            for name in _names(step) if step.id not in over else ():
                flight = InFlight(step.action.server, name, run.id, holder, run.started_at)
                found[flight.server, flight.group] = flight
    now = {(entry.server, entry.group): entry for entry in site.memory.ledger.entries()}
    latest = site.now() + SKEW  # what lies beyond was applied while a clock was ahead, not just now
    seen = {(entry.server, entry.group): entry for entry in observation.ledger}
    for server, group in now.keys() | seen.keys():
        entry = seen.get((server, group))
        catalog = observation.catalogs.get(server)
        newer = entry is not None and catalog is not None and catalog.taken_at < entry.applied_at <= latest
        if newer or not _same_step(entry, now.get((server, group))):
            found.setdefault((server, group), InFlight(server, group))
    return tuple(found[key] for key in sorted(found))


def _same_step(one: object, other: object) -> bool:
    marks = ("ref", "run", "applied_at", "applied")
    return all(getattr(one, mark, None) == getattr(other, mark, None) for mark in marks)


def _names(step: Step) -> set[str]:
    """What the group is called before and after the step."""
    action = step.action
    if isinstance(action, CreateGroup | Adopt):
        return {action.group.name}
    after = step.change.after
    return {action.before.name} | ({after.name} if after is not None else set())
