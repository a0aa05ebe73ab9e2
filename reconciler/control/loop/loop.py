"""The loop: ticks until there is nothing left to do, or until somebody asks to stop: nothing else ends it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from watchfiles import watch

from reconciler.control.applying.settle_interrupted import settle
from reconciler.control.approving.site_guard import renamed, secure
from reconciler.control.approving.valid_approvals import bench_of, settled_guard
from reconciler.control.error_boundary import Bounds
from reconciler.control.evidence.record import evidence_unfit
from reconciler.control.jobs.dispatch import JOBS_AT_ONCE, POLL_SECONDS, poll, run_jobs, start
from reconciler.control.jobs.leases import running_here
from reconciler.control.jobs.requests import claim_loop, serve
from reconciler.control.jobs.unfinished_recoveries import resume_recoveries
from reconciler.control.lease import HeldLease, holding
from reconciler.control.loop.summary import Summary
from reconciler.control.loop.tick import Tick, tick
from reconciler.control.loop.watcher import CarefulWatcher, FindingsTold, Watcher
from reconciler.control.planning.other_sites import beside
from reconciler.control.policy_folder import FOLDER, Policies
from reconciler.control.policy_source import PolicySource, WorkTree
from reconciler.control.site import Site, Stop
from reconciler.control.state.committed_files import check_not_brought
from reconciler.errors import (
    Diagnostic,
    ExitCode,
    Interrupted,
    LockHeld,
    Refused,
    StaleFence,
)
from reconciler.model import JobRecord

#: How often the loop looks at everything anew, in seconds, where nothing wakes it earlier.
TICK_SECONDS = 15.0

#: How long the loop rests at most after ticks that failed altogether, in seconds; it begins with one tick's length.
LONGEST_REST_SECONDS = 300.0

#: How long a command waits for another process that is at work on the site.
PATIENCE = timedelta(seconds=30)

#: How often a loop that is busy with jobs looks for what persons ask for, in seconds.
REQUESTS_SECONDS = 0.5

_ASK_AGAIN_SECONDS = 1.0

#: How often a resting loop looks where a branch is, in seconds.
_LOOK_SECONDS = 3.0


Opener = Callable[[Policies], Site]


def run_once(
    site: Site, root: Path, watcher: Watcher, *, confirm_clock: bool = False, source: PolicySource | None = None
) -> Summary:
    """One tick, and the jobs that were due in it."""
    worker = _Worker(site, root, watcher, Summary(), source)
    worker.refresh()
    with holding(site, PATIENCE) as held:
        worker.prepare()
        done = worker.tick(held, confirm_clock)
    run_jobs(site, done.jobs, None, "", worker.note, done.decided)
    worker.note_how_far()
    return worker.summary


def run_until_idle(
    site: Site, root: Path, watcher: Watcher, *, confirm_clock: bool = False, source: PolicySource | None = None
) -> Summary:
    """Ticks until a tick neither changes anything nor finds a job due or running."""
    worker = _Worker(site, root, watcher, Summary(), source)
    worker.work(PATIENCE, confirm_clock)
    return worker.summary


def run_forever(
    open_site: Opener, root: Path, watcher: Watcher, stop: Stop, source: PolicySource | None = None
) -> Summary:
    """Watches the policies, which come from the `source` (else the folder as it is), and the clock until somebody asks
    to stop.

    The site's lease is held only for ticks, and jobs run under leases of their own, so that others get their turn. A
    site document that changed is opened anew once the running jobs have ended.
    """
    summary, source = Summary(), source or WorkTree(root)
    watcher = CarefulWatcher(watcher, root)
    told = FindingsTold(watcher)
    failures = 0
    while not stop.asked:
        site, bounds = None, Bounds(root)
        told.tell("fetch", source.refresh(stop))
        with bounds.about("opening the site"):
            site = open_site(source.read())
        if site is None:
            if not summary.ticks:
                raise bounds.troubles[0]
            told.tell("opening", bounds.findings)
            stop.wait(_rest_seconds(failures))
            failures += 1
            continue
        failures = 0
        told.tell("opening", ())
        try:
            _Worker(site, root, watcher, summary, source, told).serve()
        except KeyboardInterrupt:
            if not stop.asked:
                raise
        finally:
            site.close()
    return summary


def _rest_seconds(failures: int) -> float:
    """How long to rest after so many ticks in a row that failed altogether."""
    return min(TICK_SECONDS * 2.0 ** min(failures, 16), LONGEST_REST_SECONDS)


class _Worker:
    """The parts that the three ways of running share."""

    def __init__(
        self,
        site: Site,
        root: Path,
        watcher: Watcher,
        summary: Summary,
        source: PolicySource | None = None,
        told: FindingsTold | None = None,
    ) -> None:
        self.site = site
        self.root = root
        self.watcher = watcher
        self.summary = summary
        self.source = source or WorkTree(root)
        self._told = told or FindingsTold(watcher)
        self._before: tuple[Diagnostic, ...] = ()
        self._read = ""

    def prepare(self) -> None:
        """Cleans up after a process that died. What cannot be cleaned up is told with the findings of the tick."""
        bounds = Bounds(self.root)
        with bounds.about("the runs that were interrupted"):
            settle(self.site)
        with bounds.about("the recoveries that were interrupted"):
            for record in resume_recoveries(self.site):
                self.note(record)
        with bounds.about("the jobs that ran"):
            for record in poll(self.site):
                if record.status.state.ended:
                    self.note(record)
        self._before = bounds.findings

    def refresh(self) -> None:
        """Fetches, where that is wanted and due."""
        with self.site.stop.patient():  # a fetch looks often whether somebody asked
            found = self.source.refresh(self.site.stop)
        self.summary.not_fetched = tuple(each.code for each in found)
        self._told.tell("fetch", found)

    def _policies(self) -> Policies:
        """The policies of this moment; who judges them is told the commit that they come from."""
        policies = self.source.read()
        self.site = replace(self.site, commit=policies.commit)
        return policies

    def tick(self, held: HeldLease, confirm_clock: bool = False) -> Tick:
        self._read = self.source.fingerprint()  # before reading, so that no change falls between
        policies = self._policies()
        done = tick(self.site, policies, held, confirm_clock=confirm_clock)
        self.summary.count(done, current=policies.current)
        if not policies.kept:
            self.summary.troubles += (ExitCode.FAILURE,)
        self.watcher.ticked(done)
        self._told.tell("tick", (*self._before, *beside(self.site, self.root, policies.policies), *done.findings))
        return done

    def work(self, patience: timedelta = timedelta(0), confirm_clock: bool = False) -> None:
        """Ticks and runs jobs until nothing is left to do at this moment. The site's lease is held for the ticks alone.

        A plan that was applied and comes back the same is not applied for ever: it is left to the next round.
        """
        applied, prepared = "", False
        claim_loop(self.site)
        while not self.site.stop.asked:
            self._requests()
            self.refresh()
            try:
                with holding(self.site, patience) as held:
                    if not prepared:
                        self.prepare()
                        prepared = True
                    done = self.tick(held, confirm_clock)
            except LockHeld:
                if not self._at_work():
                    raise
                self._until_something_ended()
                continue
            except KeyboardInterrupt:
                if not self.site.stop.asked:
                    raise
                break  # what runs is brought to a safe point below
            with self.site.stop.patient():
                started = self._start(done)
            moved = done.applied is not None and bool(done.applied.done) and done.applied.plan.plan_hash != applied
            applied = done.applied.plan.plan_hash if done.applied is not None else ""
            if not started and not self._at_work() and not moved and not self._requests():
                return  # a job may have ended within the tick: whoever asked for it was answered just now
            with self.site.stop.patient():
                self._until_something_ended()
        run_jobs(self.site, (), None, "", self.note)
        self._requests()
        self.note_how_far()

    def note_how_far(self) -> None:
        """Notes how far the stores have come by the jobs, and tells them how far our own state has; says what the
        evidence could not take of the jobs."""
        with Bounds(self.root).about("noting how far the stores have come"), holding(self.site):
            pass
        unfit = evidence_unfit(self.site)
        if unfit is not None and unfit.exit_code not in self.summary.troubles:
            self.summary.troubles += (unfit.exit_code,)
            self.watcher.said(unfit.diagnostic)

    def _start(self, done: Tick) -> int:
        """Starts what is due, a few at once; what another process is at is left to it. Returns how many were."""
        started = 0
        for job in done.jobs:
            if self._at_work() >= JOBS_AT_ONCE or self.site.stop.asked:
                break
            try:
                self.note(start(self.site, job, None, done.applied.run if done.applied else "", done.decided))
                started += 1
            except LockHeld as error:
                self.watcher.said(error.diagnostic)
        return started

    def _at_work(self) -> int:
        return len(running_here(self.site.memory, self.site.holder))

    def _until_something_ended(self) -> None:
        deadline, asked = time.monotonic() + TICK_SECONDS, 0.0
        while self._at_work() and not self.site.stop.asked and time.monotonic() < deadline:
            records = poll(self.site)
            for record in records:
                self.note(record)
            if any(record.status.state.ended for record in records):
                return
            if time.monotonic() > asked:
                self._requests()
                asked = time.monotonic() + REQUESTS_SECONDS
            self.site.stop.wait(POLL_SECONDS)

    def _requests(self) -> bool:
        """Serves what persons ask for; whether a job was begun."""
        with Bounds(self.root).about("what was asked for"):
            return serve(self.site, self.note)
        return False

    def serve(self) -> None:
        """Works, then rests, until somebody asks to stop or the site's own document changes. A tick that fails
        altogether is told, and the next one is tried, later from failure to failure."""
        failures = 0
        while not self.site.stop.asked:
            bounds = Bounds(self.root)
            try:
                with bounds.about("the tick"):
                    if self._site_changed():
                        return
                    self.work()
            except LockHeld as error:
                self._told.tell("work", (error.diagnostic,))
                self.site.stop.wait(_ASK_AGAIN_SECONDS)
                continue
            except (StaleFence, Interrupted) as error:
                self._told.tell("work", (error.diagnostic,))
            else:
                self._told.tell("work", bounds.findings)
            failures = failures + 1 if bounds.troubles else 0
            seconds = _rest_seconds(max(0, failures - 1))
            watching = Bounds(self.root)
            with watching.about("watching the policy folder"):
                self._rest(seconds)
            if watching.troubles:
                self.site.stop.wait(seconds)

    def _rest(self, seconds: float) -> None:
        """Waits for a change of the policy folder, for a while, or for somebody who asks to stop."""
        folder = self.root / FOLDER
        deadline = time.monotonic() + seconds
        if self.source.branch:
            self._rest_beside_branch(deadline)
            return
        if not folder.is_dir():
            self.site.stop.wait(_ASK_AGAIN_SECONDS)
            return
        changes = watch(folder, stop_event=self.site.stop.event, rust_timeout=500, yield_on_timeout=True)
        for _ in changes:
            if self.site.stop.asked or time.monotonic() > deadline or self._changed():
                return
            if self._requests():
                return

    def _rest_beside_branch(self, deadline: float) -> None:
        """The same where the commits of a branch count. Git is asked now and then: nothing wakes us for a ref."""
        look = time.monotonic() + _LOOK_SECONDS
        while not self.site.stop.asked and time.monotonic() < deadline:
            self.site.stop.wait(REQUESTS_SECONDS)
            if self._requests():
                return
            if time.monotonic() > look:
                if self._changed():
                    return
                look = time.monotonic() + _LOOK_SECONDS

    def _changed(self) -> bool:
        return self.source.fingerprint() != self._read

    def _site_changed(self) -> bool:
        """Whether the site is written otherwise, or may be opened otherwise, than it was opened; or not at all, since
        what it keeps came with a commit."""
        policies = self._policies().policies
        written = self.site.written or self.site.document
        try:
            check_not_brought(self.root, written)
            if self.site.commit:
                check_not_brought(self.root, written, self.site.commit)
        except Refused:
            return True  # opening it anew says so, and ends with what was kept whole
        mine = (each.document for each in policies.sites if each.document.metadata.name == written.metadata.name)
        if next(mine, None) != written:
            return True
        held = self.site.written is not None and self.site.written != self.site.document
        bench = bench_of(self.site)
        if renamed(settled_guard(bench.told), bench.document):
            return False
        return held and secure(bench, policies).site != self.site.document

    def note(self, record: JobRecord) -> None:
        self.summary.count_job(record)
        self.watcher.job(record)
