"""Reports of plans: a plan and what was asked for -> stdout and files."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import tzinfo
from typing import NamedTuple

from reconciler import __version__
from reconciler.cli.options import PlanFormat
from reconciler.cli.report_files import Destinations
from reconciler.errors import UsageError
from reconciler.model import Direction, Plan, SavedPlan
from reconciler.report import (
    MARKDOWN_BYTES,
    Paint,
    json_text,
    origin_text,
    plain,
    plan_html,
    plan_junit,
    plan_markdown,
    plan_sarif,
    plan_text,
)
from reconciler.report.action_events import ActionEvent, ActionEventName
from reconciler.report.words import count

#: Those whose steps `--only` can choose: they are for people.
_CHOOSING = (PlanFormat.text, PlanFormat.markdown, PlanFormat.html)


class Choice(NamedTuple):
    """What was asked for on the command line: the format of stdout, the values of `--report` and of `--only`, and how
    many bytes Markdown may have."""

    format: PlanFormat = PlanFormat.text
    report: tuple[str, ...] = ()
    only: str = ""
    max_bytes: int = MARKDOWN_BYTES


def parse_only(text: str, format: PlanFormat) -> frozenset[Direction]:
    """``weakens,destroys``. Raises `UsageError` for another word, and in a format that is always whole."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [word for word in words if word not in list(Direction)]
    if wrong:
        raise UsageError("RCL0003", f"--only: {wrong[0]!r} is not a direction", f"Directions: {', '.join(Direction)}.")
    if words and format not in _CHOOSING:
        raise UsageError("RCL0003", f"--only does not go with {format}", f"It is for {', '.join(_CHOOSING)}.")
    return frozenset(map(Direction, words))


def render(
    plan: Plan | SavedPlan,
    format: PlanFormat,
    zone: tzinfo,
    paint: Paint = plain,
    only: Collection[Direction] = (),
    max_bytes: int = MARKDOWN_BYTES,
    *,
    approvers: bool | None = None,
) -> str:
    """The plan in a format; times are in `zone`. `only` chooses steps of text, Markdown and HTML, `max_bytes` is of
    Markdown. `approvers` says whether the site names some, None where that is not known."""
    saved = plan if isinstance(plan, SavedPlan) else None
    bare = plan.plan if isinstance(plan, SavedPlan) else plan
    origin = saved.origin if saved is not None else None
    match format:
        case PlanFormat.text:
            above = origin_text(origin) if origin is not None else ""
            return above + plan_text(bare, zone, paint, only, approvers=approvers)
        case PlanFormat.json:
            return json_text(plan) + "\n"
        case PlanFormat.markdown:
            return plan_markdown(bare, zone, max_bytes, only, origin, approvers=approvers)
        case PlanFormat.html:
            return plan_html(bare, zone, only, origin, approvers=approvers)
        case PlanFormat.sarif:
            return plan_sarif(bare, __version__) + "\n"
        case PlanFormat.junit:
            return plan_junit(bare, zone)


def plan_event(plan: Plan | SavedPlan) -> ActionEvent:
    """That the plan is shown, whole."""
    bare = plan.plan if isinstance(plan, SavedPlan) else plan
    message = f"the plan of {bare.site} has {count(len(bare.steps), 'step')}"
    return ActionEvent(event=ActionEventName.PLAN_SHOWN, message=message, site=bare.site, value=plan)


class Reporter:
    """Shows plans as it was asked for. `--only` is of stdout alone: what is written to files is whole."""

    def __init__(self, choice: Choice) -> None:
        self.reports = Destinations(choice.format, choice.report)
        self.format = choice.format
        self.only = parse_only(choice.only, choice.format)
        self.max_bytes = choice.max_bytes

    def show(self, plan: Plan | SavedPlan, zone: tzinfo, *, approvers: bool | None = None) -> None:
        """Writes every report of the plan, and prints it on stdout; `approvers` as `render` has it."""
        self.reports.show(
            lambda format, paint: render(plan, format, zone, paint, self.only, self.max_bytes, approvers=approvers),
            lambda format: render(plan, format, zone, max_bytes=self.max_bytes, approvers=approvers),
            plan_event(plan),
        )


def reported(choice: Choice, command: Callable[[Reporter], int]) -> int:
    """Runs a command that shows plans, and gives its exit code, as `Destinations.around` does."""
    reporter = Reporter(choice)
    return reporter.reports.around(lambda: command(reporter))
