"""Reports of plans: a plan and the formats asked for -> stdout and files; what could not be written is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import NamedTuple

from reconciler import __version__, files
from reconciler.cli.options import PlanFormat
from reconciler.cli.session import target
from reconciler.cli.terminal import out, paint_for, tell
from reconciler.errors import (
    Diagnostic,
    ExitCode,
    PolicyError,
    ReconcilerError,
    Severity,
    UsageError,
    worst,
)
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
from reconciler.report.escape import terminal
from reconciler.system_errors import explained

#: Those whose steps `--only` can choose: they are for people.
_CHOOSING = (PlanFormat.text, PlanFormat.markdown, PlanFormat.html)


class Sink(NamedTuple):
    """A report to be written: in which format, to which file."""

    format: PlanFormat
    path: Path


class Choice(NamedTuple):
    """What was asked for on the command line: the format of stdout, the values of `--report` and of `--only`, and how
    many bytes Markdown may have."""

    format: PlanFormat = PlanFormat.text
    report: tuple[str, ...] = ()
    only: str = ""
    max_bytes: int = MARKDOWN_BYTES


def parse_sinks(values: Sequence[str]) -> tuple[Sink, ...]:
    """``markdown=plan.md``, ... Raises `UsageError` for an unknown format, no file, or a file that is named twice."""
    sinks: list[Sink] = []
    known = ", ".join(PlanFormat)
    for text in values:
        word, _, name = text.partition("=")
        if word not in list(PlanFormat) or name in ("", "-"):
            what = f"--report {text!r} is not FORMAT=FILE"
            remedy = f"Write it as markdown=plan.md; formats: {known}. --output prints one."
            raise UsageError("RCL0003", what, remedy)
        path = Path(name)
        if any(path.absolute() == other.path.absolute() for other in sinks):
            raise UsageError("RCL0003", f"two reports would be written to {name}", "Give each a file of its own.")
        sinks.append(Sink(PlanFormat(word), path))
    return tuple(sinks)


def parse_only(text: str, format: PlanFormat) -> frozenset[Direction]:
    """``weakens,destroys``. Raises `UsageError` for another word, and in a format that is always whole."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    wrong = [word for word in words if word not in list(Direction)]
    if wrong:
        raise UsageError("RCL0003", f"--only: {wrong[0]!r} is no direction", f"Directions: {', '.join(Direction)}.")
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
) -> str:
    """The plan in a format; times are in `zone`. `only` chooses steps of text, Markdown and HTML, `max_bytes` is of
    Markdown."""
    saved = plan if isinstance(plan, SavedPlan) else None
    bare = plan.plan if isinstance(plan, SavedPlan) else plan
    origin = saved.origin if saved is not None else None
    match format:
        case PlanFormat.text:
            return (origin_text(origin) if origin is not None else "") + plan_text(bare, zone, paint, only)
        case PlanFormat.json:
            return json_text(plan) + "\n"
        case PlanFormat.markdown:
            return plan_markdown(bare, zone, max_bytes, only, origin)
        case PlanFormat.html:
            return plan_html(bare, zone, only, origin)
        case PlanFormat.sarif:
            return plan_sarif(bare, __version__) + "\n"
        case PlanFormat.junit:
            return plan_junit(bare, zone)


def write_sinks(
    sinks: Sequence[Sink], plan: Plan | SavedPlan, zone: tzinfo, max_bytes: int = MARKDOWN_BYTES
) -> list[Diagnostic]:
    """Writes every report, whole, for its owner's eyes alone; an error RCL0013 for each that could not be written."""
    failed = []
    for sink in sinks:
        data = terminal(render(plan, sink.format, zone, max_bytes=max_bytes)).encode()
        try:
            files.write_whole(target(sink.path), data, 0o600)
        except UsageError as error:
            failed.append(_unwritten(sink, error.diagnostic.message))
        except OSError as error:
            failed.append(_unwritten(sink, *explained(error, sink.path, len(data))))
    return failed


def _unwritten(sink: Sink, why: str, remedy: str = "Give the path of a file that can be written.") -> Diagnostic:
    what = f"the {sink.format} report was not written: {why}"
    return Diagnostic("RCL0013", Severity.ERROR, what, remedy, None, str(sink.path))


class Reporter:
    """Shows plans as it was asked for, and remembers what could not be written."""

    def __init__(self, choice: Choice) -> None:
        self.format = choice.format
        self.sinks = parse_sinks(choice.report)
        self.only = parse_only(choice.only, choice.format)
        self.max_bytes = choice.max_bytes
        self.failed: list[Diagnostic] = []

    def show(self, plan: Plan | SavedPlan, zone: tzinfo) -> None:
        """Writes every report of the plan, and prints it on stdout; files first, since nobody may read stdout."""
        failed = write_sinks(self.sinks, plan, zone, self.max_bytes)
        self.failed += failed
        out(render(plan, self.format, zone, paint_for(sys.stdout), self.only, self.max_bytes))
        tell(failed)


def reported(choice: Choice, command: Callable[[Reporter], int]) -> int:
    """Runs a command that shows plans. A report that was not written makes it end with 1, whatever else it says, but
    for 130."""
    reporter = Reporter(choice)
    try:
        code = ExitCode(command(reporter))
    except ReconcilerError as error:
        if not reporter.failed:
            raise
        findings = error.diagnostics if isinstance(error, PolicyError) else (error.diagnostic,)
        tell(findings)
        code = error.exit_code
    except BrokenPipeError:
        if not reporter.failed:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.FAILURE
    return worst([code, ExitCode.FAILURE]) if reporter.failed else code
