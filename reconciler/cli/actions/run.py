"""run."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from reconciler import gitrepo
from reconciler.cli.interrupts import listening
from reconciler.cli.options import LogFormat
from reconciler.cli.output_settings import SETTINGS
from reconciler.cli.progress import JobsOnScreen
from reconciler.cli.session import find_root, session
from reconciler.cli.terminal import out, paint_for
from reconciler.control.jobs.unfinished_recoveries import HALF_DONE, STAGED, UNKNOWN, recovery_findings
from reconciler.control.loop.loop import Opener, run_forever, run_once, run_until_idle
from reconciler.control.loop.narrator import Narrator
from reconciler.control.loop.summary import Summary
from reconciler.control.loop.tick import Tick
from reconciler.control.policy_folder import Policies
from reconciler.control.policy_source import BranchCommits, PolicySource, WorkTree, note_source
from reconciler.control.site import Site, Stop
from reconciler.control.status import names_of
from reconciler.errors import Diagnostic, ExitCode, Severity, UsageError, worst
from reconciler.model import JobRecord
from reconciler.model.run_events import Event, EventLevel
from reconciler.protocols import Clock
from reconciler.report import applied_text, event_json, event_text, findings_text
from reconciler.report.words import count
from reconciler.wiring import SystemClock, choose_running, open_site


class _Screen:
    """Tells on the screen what a run comes to that a person waits for."""

    def __init__(self, jobs: JobsOnScreen) -> None:
        self._jobs = jobs

    def ticked(self, done: Tick) -> None:
        self._jobs.names.update(names_of(done.observation))
        if done.applied is not None:
            paint = paint_for(sys.stdout)
            out(applied_text(done.applied.run, done.applied.outcomes, done.applied.left, paint))

    def job(self, record: JobRecord) -> None:
        self._jobs.show(record)

    def said(self, finding: Diagnostic) -> None:
        out(findings_text([finding], paint_for(sys.stdout)))

    def over(self, finding: Diagnostic) -> None:
        """What a person waits for ends soon: what is over is not said."""


def log_writer(form: LogFormat) -> Callable[[Event], None]:
    """Writes each event as one line; those for who looks for a fault only with --verbose."""

    def write(event: Event) -> None:
        if event.level is not EventLevel.DEBUG or SETTINGS.verbose:
            out(event_json(event) if form is LogFormat.json else event_text(event, paint_for(sys.stdout)))

    return write


class RunRequest(msgspec.Struct, frozen=True):
    """What is asked of a run: once, until idle, or for ever; `log` None: lines for a run that goes on for ever, and for
    one that ends what a person reads. The last four say which commits count: see `source_asked`."""

    once: bool = False
    until_idle: bool = False
    confirm_clock: bool = False
    log: LogFormat | None = None
    commits_only: bool = False
    branch: str | None = None
    pull: bool = False
    accept_rewritten: str | None = None

    @property
    def ends(self) -> bool:
        return self.once or self.until_idle


def source_asked(root: Path, asked: RunRequest) -> PolicySource:
    """The folder as it is; or the commits of the branch that is named, else of the one that is checked out, where any
    option speaks of commits."""
    accepted = asked.accept_rewritten
    if accepted is not None and not re.fullmatch(r"[0-9a-f]{7,64}", accepted):
        remedy = "Give at least the first 7 digits of the commit's id."
        raise UsageError("RCL0003", f"--accept-rewritten {accepted!r} names no commit", remedy)
    if not asked.commits_only and not asked.pull and asked.branch is None and accepted is None:
        return WorkTree(root)
    if not gitrepo.is_repository(root):
        what = f"{str(root)!r} is in no Git repository, so there are no commits to act on"
        raise UsageError("RCL6040", what, "Run it in a clone, or without these options.", subject=str(root))
    ref = gitrepo.branch_ref(root, asked.branch)
    return BranchCommits(root, ref, named=asked.branch is not None, pull=asked.pull, accepted=accepted or "")


def run(root: Path | None, name: str | None, now: str | None, asked: RunRequest) -> int:
    """The loop, once, until idle, or until somebody asks to stop. What is half recovered is said at the end: no backup
    of it is made."""
    if asked.once and asked.until_idle:
        raise UsageError("RCL0003", "--once and --until-idle exclude each other", "Give one of them.")
    if not asked.ends and (now is not None or asked.confirm_clock):
        remedy = "Add --once or --until-idle."
        raise UsageError("RCL0003", "--now and --confirm-clock are for a run that ends", remedy)
    place = find_root(root)
    source = source_asked(place, asked)
    if not asked.ends:
        return _forever(place, name, source, asked)
    source.refresh(Stop())
    policies = source.read()
    document = choose_running(place, policies.policies, name)
    note_source(place, source)
    with JobsOnScreen({}) as jobs, session(place, document.metadata.name, now, policies, changing=True) as opened:
        site = replace(opened, unnamed=name is None)
        screen = _Screen(jobs) if asked.log is None else Narrator(log_writer(asked.log), site.now, source.branch)
        if isinstance(screen, Narrator):
            screen.started(site.name, "Running once." if asked.once else "Running until nothing is due.")
        act = run_once if asked.once else run_until_idle
        summary = act(site, place, screen, confirm_clock=asked.confirm_clock, source=source)
        stopped = site.stop.asked
        left = [*(each for each in recovery_findings(site) if each.code in (HALF_DONE, STAGED)), *_unknown(summary)]
    for each in left:
        screen.said(each)
    if isinstance(screen, Narrator):
        screen.stopped(summary, asked=stopped)
    else:
        out(_sum(summary))
    half = any(each.severity is Severity.ERROR for each in left)
    return worst([exit_code(summary, interrupted=stopped), ExitCode.FAILURE if half else ExitCode.SUCCESS])


def _forever(place: Path, name: str | None, source: PolicySource, asked: RunRequest) -> int:
    stop, clock = Stop(), SystemClock()
    log = Narrator(log_writer(asked.log or LogFormat.text), clock.now, source.branch)
    with listening(stop):
        source.refresh(stop)
        site = choose_running(place, source.read().policies, name).metadata.name
        what = f"the commits of {source.branch}" if source.branch else "the policies"
        log.started(site, f"Watching {what} and the clock. Ctrl-C ends it.")
        note_source(place, source)
        summary = run_forever(opener(place, name, clock, stop), place, log, stop, source)
    log.stopped(summary, asked=stop.asked)
    return ExitCode.INTERRUPTED if summary.cancelled else ExitCode.SUCCESS


def opener(place: Path, name: str | None, clock: Clock, stop: Stop) -> Opener:
    """What opens the site that is named, else the one that is run in the root, by the policies as they are then."""

    def act(read: Policies) -> Site:
        document = choose_running(place, read.policies, name)
        site = open_site(place, document, clock, stop, policies=read.policies, changing=True, commit=read.commit)
        return replace(site, unnamed=name is None)

    return act


def _unknown(summary: Summary) -> list[Diagnostic]:
    """Of which recoveries nobody knows how far they came."""
    found = summary.last.observation.findings if summary.last is not None else ()
    return [each for each in found if each.code == UNKNOWN]


def _sum(summary: Summary) -> str:
    parts = [
        count(summary.ticks, "tick"),
        f"{count(summary.steps_done, 'step')} applied",
        f"{count(summary.jobs_succeeded, 'job')} succeeded, {len(summary.jobs_failed)} failed",
    ]
    if summary.waits_for_consent:
        parts.append("something waits for a person")
    return ", ".join(parts) + ".\n"


def exit_code(summary: Summary, *, interrupted: bool) -> ExitCode:
    """What a run that ended reports."""
    codes = [
        (interrupted, ExitCode.INTERRUPTED),
        (bool(summary.jobs_failed), ExitCode.FAILURE),
        (summary.unreachable or "RCL6043" in summary.not_fetched, ExitCode.UNREACHABLE),
        (bool(set(summary.not_fetched) - {"RCL6043"}), ExitCode.PRECONDITION_FAILED),
        (summary.invalid_policies, ExitCode.INVALID_POLICY),
        (bool(summary.steps_failed), ExitCode.PARTIAL_APPLY),
        (summary.denied, ExitCode.GUARDRAIL_DENIED),
        (summary.waits_for_consent, ExitCode.CONSENT_NEEDED),
    ]
    return worst([*summary.troubles, *(code for applies, code in codes if applies)])
