"""Resuming: a run that ended with steps left -> the plan of what is left, by the journal and by what servers show."""

from __future__ import annotations

import msgspec

from reconciler.control.applying.settle_interrupted import done_as
from reconciler.control.site import Site
from reconciler.errors import UsageError
from reconciler.model import OutcomeState, Plan
from reconciler.plan import with_steps
from reconciler.protocols import Run


class Unfinished(msgspec.Struct, frozen=True):
    """The run, and the plan of its steps that are not done."""

    run: Run
    left: Plan


def unfinished(site: Site, name: str | None) -> Unfinished:
    """The run of this name, else the latest that changed something by a person's wish. A step counts as done where the
    journal or the server says so. Raises `UsageError`, RCL3042, where there is none."""
    for run in site.memory.journal.runs(None):
        if run.id != name if name is not None else run.command not in ("apply", "resume"):
            continue
        plan = site.memory.journal.plan(run.id)
        if plan is None:
            break
        done = {
            noted.step
            for noted in site.memory.journal.steps(run.id)
            if noted.outcome is not None and noted.outcome.state in (OutcomeState.DONE, OutcomeState.ALREADY)
        }
        left = [step for step in plan.steps if step.id not in done and done_as(site, step) is None]
        return Unfinished(run, with_steps(plan, left))
    what = f"there is no run {name!r} that applied a plan" if name is not None else "nothing was applied yet"
    raise UsageError("RCL3042", what, "The run id is printed by `reconciler apply`.", subject=name or site.name)
