"""Events of apply: a step as it ends, and what came of a run -> lines of `-o json`."""

from __future__ import annotations

from reconciler.cli.output_settings import SETTINGS
from reconciler.cli.terminal import emit
from reconciler.control.applying.apply import ApplyResult, DeferredStep
from reconciler.model import Outcome
from reconciler.model.run_events import EventLevel
from reconciler.report.action_events import ActionEvent, ActionEventName, outcome_event
from reconciler.report.words import count


def tell_step(run: str, ended: Outcome | DeferredStep) -> None:
    """An event for each step as it ends; text shows them all at the end."""
    if SETTINGS.json:
        emit(outcome_event(ended, run) if isinstance(ended, Outcome) else waiting_event(ended, run))


def waiting_event(each: DeferredStep, run: str) -> ActionEvent:
    """A step that waits, and why."""
    return ActionEvent(
        event=ActionEventName.WAITING_STARTED,
        level=EventLevel.WARNING,
        message=each.because,
        subject=each.step.id.partition(":")[2],
        result="waits",
        run=run,
        step=each.step.id,
        value={"opensAt": each.opens_at} if each.opens_at is not None else None,
    )


def applied_event(applied: ApplyResult) -> ActionEvent:
    """The sum of a run."""
    rest = f", {count(applied.left, 'step')} left" if applied.left else ""
    return ActionEvent(
        event=ActionEventName.PLAN_APPLIED,
        message=f"Applied {count(len(applied.done), 'step')}{rest}.",
        result="partial" if applied.left else "done",
        run=applied.run,
        value={"done": len(applied.done), "failed": len(applied.failed), "left": applied.left},
    )
