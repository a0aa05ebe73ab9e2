"""The loop: ticks until there is nothing left to do, or until somebody asks to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import msgspec
from watchfiles import watch

from reconciler.control.dispatch import JOBS_AT_ONCE, POLL_SECONDS, poll, run_jobs, start
from reconciler.control.lease import Holding, holding
from reconciler.control.policies import FOLDER, fingerprint, read_or_last_good
from reconciler.control.recovery import resume_recoveries
from reconciler.control.settle import settle
from reconciler.control.site import Site, Stop
from reconciler.control.tick import Tick, tick
from reconciler.errors import Diagnostic, LockHeld, PolicyError, ReconcilerError, Severity, sort_key
from reconciler.model import JobRecord, JobState
from reconciler.model.documents import PolicySet
from reconciler.plan.guard import denied

#: How often the loop looks at everything anew, in seconds, where nothing wakes it earlier.
TICK_SECONDS = 15.0

#: How long a command waits for another process that is at work on the site.
PATIENCE = timedelta(seconds=30)

_ASK_AGAIN_SECONDS = 1.0


class Watcher(Protocol):
    """Is told what the loop does, as it does it."""

    def ticked(self, done: Tick) -> None: ...
    def job(self, record: JobRecord) -> None: ...
    def said(self, finding: Diagnostic) -> None: ...


class Summary(msgspec.Struct, rename="camel"):
    """What a run came to: how many ticks, steps and jobs; what failed; whether something waits for consent."""

    ticks: int = 0
    steps_done: int = 0
    steps_failed: int = 0
    jobs_succeeded: int = 0
    jobs_failed: list[JobRecord] = []
    cancelled: int = 0
    waits_for_consent: bool = False
    invalid_policies: bool = False
    denied: bool = False
    unreachable: bool = False
    last: Tick | None = None

    def count(self, done: Tick) -> None:
        self.ticks += 1
        self.last = done
        if done.applied is not None:
            self.steps_done += len(done.applied.done)
            self.steps_failed += len(done.applied.failed)
        self.waits_for_consent = done.waits_for_consent
        wrong = [
            finding
            for finding in done.findings
            if finding.severity is Severity.ERROR and finding.code.startswith(("RCL1", "RCL3"))
        ]
        forbidden = denied(wrong)
        self.denied = bool(forbidden)
        self.invalid_policies = len(forbidden) < len(wrong)
        self.unreachable = not done.observation.whole

    def count_job(self, record: JobRecord) -> None:
        if record.status.state is JobState.SUCCEEDED:
            self.jobs_succeeded += 1
        elif record.status.state is JobState.FAILED:
            self.jobs_failed.append(record)
        elif record.status.state.ended:
            self.cancelled += 1


Opener = Callable[[PolicySet], Site]


def run_once(site: Site, root: Path, watcher: Watcher, *, confirm_clock: bool = False) -> Summary:
    """One tick, and the jobs that were due in it."""
    worker = _Worker(site, root, watcher, Summary())
    with holding(site, PATIENCE) as held:
        worker.prepare(held)
        done = worker.tick(held, confirm_clock)
        run_jobs(site, done.jobs, held, "", worker.note)
    return worker.summary


def run_until_idle(site: Site, root: Path, watcher: Watcher, *, confirm_clock: bool = False) -> Summary:
    """Ticks until a tick neither changes anything nor finds a job due or running."""
    worker = _Worker(site, root, watcher, Summary())
    with holding(site, PATIENCE) as held:
        worker.work(held, confirm_clock)
    return worker.summary


def run_forever(open_site: Opener, root: Path, watcher: Watcher, stop: Stop) -> Summary:
    """Watches the policy folder and the clock until somebody asks to stop.

    The lease is held only while there is something to do, so that `recover` and `apply` get their turn. A site
    document that changed is opened anew once the running jobs have ended.
    """
    summary = Summary()
    while not stop.asked:
        site = open_site(read_or_last_good(root).policies)
        try:
            _Worker(site, root, watcher, summary).serve()
        finally:
            site.close()
    return summary


class _Worker:
    """The parts that the three ways of running share."""

    def __init__(self, site: Site, root: Path, watcher: Watcher, summary: Summary) -> None:
        self.site = site
        self.root = root
        self.watcher = watcher
        self.summary = summary
        self._told: frozenset[Diagnostic] = frozenset()
        self._read = ""

    def prepare(self, held: Holding) -> None:
        """Cleans up after a process that died."""
        settle(self.site)
        for record in resume_recoveries(self.site, held):
            self.note(record)
        for record in poll(self.site):
            if record.status.state.ended:
                self.note(record)

    def tick(self, held: Holding, confirm_clock: bool = False) -> Tick:
        self._read = fingerprint(self.root)  # before reading, so that no change falls between
        done = tick(self.site, read_or_last_good(self.root), held, confirm_clock=confirm_clock)
        self.summary.count(done)
        self.tell(done.findings)
        self.watcher.ticked(done)
        return done

    def work(self, held: Holding, confirm_clock: bool = False) -> None:
        """Ticks and runs jobs until nothing is left to do at this moment.

        A plan that was applied and comes back the same is not applied for ever: it is left to the next round.
        """
        self.prepare(held)
        applied = ""
        while not self.site.stop.asked:
            done = self.tick(held, confirm_clock)
            for job in done.jobs:
                if len(self.site.memory.jobs.running()) >= JOBS_AT_ONCE or self.site.stop.asked:
                    break
                self.note(start(self.site, job, held, done.applied.run if done.applied else ""))
            moved = done.applied is not None and bool(done.applied.done) and done.applied.plan.plan_hash != applied
            applied = done.applied.plan.plan_hash if done.applied is not None else ""
            if not done.jobs and not moved and not self.site.memory.jobs.running():
                return
            self._until_something_ended(held)
        run_jobs(self.site, (), held, "", self.note)

    def _until_something_ended(self, held: Holding) -> None:
        deadline = time.monotonic() + TICK_SECONDS
        while self.site.memory.jobs.running() and not self.site.stop.asked and time.monotonic() < deadline:
            held.check()
            records = poll(self.site)
            for record in records:
                self.note(record)
            if any(record.status.state.ended for record in records):
                return
            self.site.stop.wait(POLL_SECONDS)

    def serve(self) -> None:
        """Works, then rests, until somebody asks to stop or the site's own document changes."""
        while not self.site.stop.asked:
            try:
                if self._site_changed():
                    return
                with holding(self.site) as held:
                    self.work(held)
            except LockHeld as error:
                self.tell((error.diagnostic,))
                self.site.stop.wait(_ASK_AGAIN_SECONDS)
                continue
            except PolicyError as error:
                self.tell(error.diagnostics)
            except ReconcilerError as error:
                self.tell((error.diagnostic,))
            self._rest()

    def _rest(self) -> None:
        """Waits for a change of the policy folder, for a while, or for somebody who asks to stop."""
        folder = self.root / FOLDER
        deadline = time.monotonic() + TICK_SECONDS
        if not folder.is_dir():
            self.site.stop.wait(_ASK_AGAIN_SECONDS)
            return
        changes = watch(folder, stop_event=self.site.stop.event, rust_timeout=500, yield_on_timeout=True)
        for _ in changes:
            if self.site.stop.asked or time.monotonic() > deadline or fingerprint(self.root) != self._read:
                return

    def _site_changed(self) -> bool:
        placed = read_or_last_good(self.root).policies.sites
        mine = (each.document for each in placed if each.document.metadata.name == self.site.name)
        return next(mine, None) != self.site.document

    def note(self, record: JobRecord) -> None:
        self.summary.count_job(record)
        self.watcher.job(record)

    def tell(self, findings: Iterable[Diagnostic]) -> None:
        """Says each finding once, and again only after it was gone."""
        now = frozenset(findings)
        for finding in sorted(now - self._told, key=sort_key):
            self.watcher.said(finding)
        self._told = now
