"""run."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from reconciler.cli.interrupts import listening
from reconciler.cli.progress import JobsOnScreen
from reconciler.cli.session import find_root, session
from reconciler.cli.terminal import note, out, paint_for
from reconciler.control.jobs.unfinished_recoveries import HALF_DONE, STAGED, UNKNOWN, recovery_findings
from reconciler.control.loop.loop import Opener, Summary, run_forever, run_once, run_until_idle
from reconciler.control.loop.tick import Tick
from reconciler.control.policy_folder import read_or_last_good
from reconciler.control.site import Site, Stop
from reconciler.control.status import names_of
from reconciler.errors import Diagnostic, ExitCode, Severity, UsageError, worst
from reconciler.model import JobRecord
from reconciler.model.documents import PolicySet
from reconciler.protocols import Clock
from reconciler.report import applied_text, findings_text
from reconciler.report.words import count
from reconciler.wiring import SystemClock, choose_running, open_site


class _Screen:
    """Tells on the screen what the loop does."""

    def __init__(self, jobs: JobsOnScreen) -> None:
        self._jobs = jobs
        self.unknown: list[Diagnostic] = []

    def ticked(self, done: Tick) -> None:
        self._jobs.names.update(names_of(done.observation))
        self.unknown = [each for each in done.observation.findings if each.code == UNKNOWN]
        if done.applied is not None:
            paint = paint_for(sys.stdout)
            out(applied_text(done.applied.run, done.applied.outcomes, done.applied.left, paint))

    def job(self, record: JobRecord) -> None:
        self._jobs.show(record)

    def said(self, finding: Diagnostic) -> None:
        out(findings_text([finding], paint_for(sys.stdout)))


def run(
    root: Path | None, name: str | None, now: str | None, *, once: bool, until_idle: bool, confirm_clock: bool
) -> int:
    """The loop, once, until idle, or until somebody asks to stop. What is half recovered is said at the end: no backup
    of it is made."""
    if once and until_idle:
        raise UsageError("RCL0003", "--once and --until-idle exclude each other", "Give one of them.")
    place = find_root(root)
    with JobsOnScreen({}) as jobs:
        screen = _Screen(jobs)
        if not once and not until_idle:
            if now is not None or confirm_clock:
                remedy = "Add --once or --until-idle."
                raise UsageError("RCL0003", "--now and --confirm-clock are for a run that ends", remedy)
            return _forever(place, name, screen)
        policies = read_or_last_good(place)
        document = choose_running(place, policies.policies, name)
        with session(place, document.metadata.name, now, policies, changing=True) as opened:
            site = replace(opened, unnamed=name is None)
            act = run_once if once else run_until_idle
            summary = act(site, place, screen, confirm_clock=confirm_clock)
            stopped = site.stop.asked
            left = [*(each for each in recovery_findings(site) if each.code in (HALF_DONE, STAGED)), *screen.unknown]
    for each in left:
        screen.said(each)
    out(_sum(summary))
    half = any(each.severity is Severity.ERROR for each in left)
    return worst([exit_code(summary, interrupted=stopped), ExitCode.FAILURE if half else ExitCode.SUCCESS])


def _forever(place: Path, name: str | None, screen: _Screen) -> int:
    stop = Stop()
    note("Watching the policies and the clock. Ctrl-C ends it.")
    with listening(stop):
        summary = run_forever(opener(place, name, SystemClock(), stop), place, screen, stop)
    out(_sum(summary))
    return ExitCode.INTERRUPTED if summary.cancelled else ExitCode.SUCCESS


def opener(place: Path, name: str | None, clock: Clock, stop: Stop) -> Opener:
    """What opens the site that is named, else the one that is run in the root, by the policies as they are then."""

    def act(policies: PolicySet) -> Site:
        document = choose_running(place, policies, name)
        site = open_site(place, document, clock, stop, policies=policies, changing=True)
        return replace(site, unnamed=name is None)

    return act


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
        (summary.unreachable, ExitCode.UNREACHABLE),
        (summary.invalid_policies, ExitCode.INVALID_POLICY),
        (bool(summary.steps_failed), ExitCode.PARTIAL_APPLY),
        (summary.denied, ExitCode.GUARDRAIL_DENIED),
        (summary.waits_for_consent, ExitCode.CONSENT_NEEDED),
    ]
    return worst([*summary.troubles, *(code for applies, code in codes if applies)])
