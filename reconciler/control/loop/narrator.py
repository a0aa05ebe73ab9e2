"""The narrator: ticks, jobs and findings of a loop -> events, each when something begins, happens or is over.

It remembers what it said, so that nothing is repeated from tick to tick. It prints nothing: each event is handed to
whoever called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from reconciler.control.loop.summary import Summary
from reconciler.control.loop.tick import Tick
from reconciler.control.planning.waiting import describe_change
from reconciler.control.state.known_stores import NOT_THERE
from reconciler.control.status import names_of
from reconciler.errors import Diagnostic, GuardrailDenied, PolicyError, Severity
from reconciler.model import FieldChange, JobRecord, JobState, Outcome, OutcomeState, Reason, Step
from reconciler.model.drift import DriftItem
from reconciler.model.run_events import Event, EventLevel, EventName
from reconciler.model.waiting import Waiting, WaitKind
from reconciler.plan.approval.unapproved_documents import waits
from reconciler.report.conditions import differs
from reconciler.report.jobs import KINDS, figures
from reconciler.report.words import count

#: A rewritten history, which is refused whole: the policies are not wrong by it.
_REWRITTEN = "RCL6041"

#: Findings that are events of their own: when they begin, when they are over, and what is said then.
_TOLD_AS = {
    "RCL6010": (EventName.PRUNING_PAUSED, EventName.PRUNING_RESUMED, "Pruning continues."),
    _REWRITTEN: (EventName.HISTORY_REFUSED, EventName.HISTORY_ACCEPTED, "The history goes forward again."),
    "RCL6043": (EventName.FETCH_FAILED, EventName.FETCH_RECOVERED, "Fetching works again."),
}

_LEVELS = {
    Severity.ERROR: EventLevel.ERROR,
    Severity.WARNING: EventLevel.WARNING,
    Severity.ADVICE: EventLevel.INFO,
}
_ENDED = {
    JobState.SUCCEEDED: (EventName.JOB_SUCCEEDED, EventLevel.INFO, "succeeded"),
    JobState.FAILED: (EventName.JOB_FAILED, EventLevel.ERROR, "failed"),
    JobState.CANCELLED: (EventName.JOB_CANCELLED, EventLevel.WARNING, "was cancelled"),
    JobState.INTERRUPTED: (EventName.JOB_INTERRUPTED, EventLevel.WARNING, "was interrupted"),
}
_UNREACHABLE = {"cluster": EventName.CLUSTER_UNREACHABLE, "server": EventName.SERVER_UNREACHABLE}
_REACHABLE = {"cluster": EventName.CLUSTER_REACHABLE, "server": EventName.SERVER_REACHABLE}


class Narrator:
    """A `Watcher` that tells events. `now` gives the time of an event (UTC); `branch` is the branch whose commits are
    acted on, "" for the policy folder as it is."""

    def __init__(self, tell: Callable[[Event], None], now: Callable[[], datetime], branch: str = "") -> None:
        self._tell = tell
        self._now = now
        self._branch = branch
        self._site = ""
        self._names: dict[str, str] = {}
        self._policies = EventName.POLICIES_RIGHT
        self._unread = False
        self._commit = ""
        self._unreached: dict[tuple[str, str], Diagnostic] = {}
        self._by_other_events: frozenset[Diagnostic] = frozenset()
        self._waiting: dict[tuple[str, ...], Waiting] = {}
        self._drift: dict[tuple[str, str, str, str], DriftItem] = {}
        self._jobs: set[str] = set()
        self._open: dict[tuple[Any, ...], set[Diagnostic]] = {}

    # --- What the loop tells -----------------------------------------------------------------------------------

    def started(self, site: str, what: str) -> None:
        """A run begins; `what` it does, in a sentence."""
        self._site = site
        self._say(EventName.RUN_STARTED, EventLevel.INFO, what, branch=self._branch)

    def stopped(self, summary: Summary, *, asked: bool) -> None:
        """A run ended."""
        figures_told = (
            f"{count(summary.ticks, 'tick')}, {count(summary.steps_done, 'step')} applied, "
            f"{count(summary.jobs_succeeded, 'job')} succeeded, {len(summary.jobs_failed)} failed"
        )
        why = "Stopped, as asked" if asked else "Ended"
        self._say(EventName.RUN_STOPPED, EventLevel.INFO, f"{why}: {figures_told}.")

    def ticked(self, done: Tick) -> None:
        """See `Watcher`."""
        self._names.update(names_of(done.observation))
        self._tell_policies(done)
        self._tell_reached(done)
        corrected = self._tell_applied(done)
        if done.drift is not None:
            self._tell_drift(done.drift, corrected)
        if done.waiting is not None:
            self._tell_waiting(done.waiting)
        # What these events say is not said again as a finding.
        unreached = _unreached(done).values()
        failed = frozenset(outcome.step for outcome in done.applied.failed) if done.applied is not None else frozenset()
        steps = (each for each in done.findings if each.subject in failed)
        waiting = (each for each in done.findings if waits([each]))
        self._by_other_events = frozenset((*unreached, *steps, *waiting))
        jobs = f", {count(len(done.jobs), 'job')} due" if done.jobs else ""
        self._say(EventName.RUN_TICKED, EventLevel.DEBUG, f"Looked at everything{jobs}.")

    def job(self, record: JobRecord) -> None:
        """See `Watcher`."""
        job, status = record.job, record.status
        name = self._names.get(str(job.source), job.source.machine)
        told: dict[str, Any] = {
            "job": job.id,
            "job_kind": job.kind,
            "server": job.server,
            "group": job.group,
            "virtual_machine": name,
            "source": job.source,
            "attempt": record.attempt,
            "run": record.run,
        }
        what = f"{KINDS[job.kind].capitalize()} of {name} on {job.server}"
        if not status.state.ended:
            if job.id not in self._jobs:
                self._jobs.add(job.id)
                again = f" (attempt {record.attempt})" if record.attempt > 1 else ""
                self._say(EventName.JOB_STARTED, EventLevel.INFO, f"{what} started{again}.", **told)
            return
        self._jobs.discard(job.id)
        event, level, ended = _ENDED[status.state]
        figures_told = figures(record)
        self._say(
            event,
            level,
            f"{what} {ended}{': ' if figures_told else ''}{figures_told}.",
            code=status.code,
            help=status.remedy,
            retry_at=record.retry_at,
            **told,
        )

    def said(self, finding: Diagnostic) -> None:
        """See `Watcher`."""
        if finding in self._by_other_events:
            return
        standing = self._open.setdefault(_key(finding), set())
        standing.add(finding)
        if len(standing) > 1:
            return  # the same, with another figure in it
        event = _TOLD_AS[finding.code][0] if finding.code in _TOLD_AS else EventName.FINDING_RAISED
        self._say_finding(event, _LEVELS[finding.severity], finding)

    def over(self, finding: Diagnostic) -> None:
        """See `Watcher`."""
        standing = self._open.get(_key(finding), set())
        if finding not in standing:
            return
        standing.discard(finding)
        if standing:
            return
        del self._open[_key(finding)]
        if finding.code in _TOLD_AS:
            _, event, what = _TOLD_AS[finding.code]
            self._say(event, EventLevel.INFO, what, code=finding.code, subject=finding.subject)
            return
        if finding.severity is Severity.ERROR and finding.code.startswith(("RCL1", "RCL3")):
            return  # it is said when the policies are right again
        where = f" ({finding.subject})" if finding.subject and finding.subject not in finding.message else ""
        what = f"{finding.code} is over{where}: {finding.message}"
        self._say(EventName.FINDING_CLEARED, EventLevel.INFO, what, code=finding.code, subject=finding.subject)

    # --- What ticks are told apart into ------------------------------------------------------------------------

    def _tell_policies(self, done: Tick) -> None:
        wrong = [each for each in done.troubles if isinstance(each, PolicyError)]
        now = EventName.POLICIES_RIGHT
        rewritten = not done.current and any(each.code == _REWRITTEN for each in done.findings)
        if (not done.current and not rewritten) or any(not isinstance(each, GuardrailDenied) for each in wrong):
            now = EventName.POLICIES_WRONG
        elif wrong:
            now = EventName.POLICIES_DENIED
        if now is EventName.POLICIES_RIGHT and done.waiting is None and not self._unread:
            now = self._policies  # no plan was made, so nobody knows
        before, self._policies, self._unread = self._policies, now, not done.current
        if now is EventName.POLICIES_RIGHT and done.commit != self._commit and done.commit:
            what = f"Acting on commit {done.commit[:12]} of {self._branch}."
            self._say(EventName.POLICIES_TAKEN, EventLevel.INFO, what, commit=done.commit, branch=self._branch)
        if done.current:
            self._commit = done.commit
        if now is before:
            return
        if now is EventName.POLICIES_RIGHT:
            self._say(now, EventLevel.INFO, "The policies are right again.", commit=done.commit)
            return
        reason = "are wrong" if now is EventName.POLICIES_WRONG else "are denied by a guardrail"
        what = f"The policies {reason}: nothing of them is applied; jobs continue as last applied."
        self._say(now, EventLevel.ERROR, what, commit=done.commit)

    def _tell_reached(self, done: Tick) -> None:
        now = _unreached(done)
        for (kind, name), why in now.items():
            if (kind, name) not in self._unreached:
                told = {kind: name}
                named = "" if name in why.message else f"the {kind} {name} cannot be reached: "
                what = f"{named}{why.message}."
                self._say(_UNREACHABLE[kind], EventLevel.ERROR, what, code=why.code, help=why.remedy, **told)
        for kind, name in self._unreached.keys() - now.keys():
            self._say(_REACHABLE[kind], EventLevel.INFO, f"The {kind} {name} is reachable again.", **{kind: name})
        self._unreached = now

    def _tell_applied(self, done: Tick) -> set[tuple[str, str]]:
        """Says what came of each step; returns the (server, group) of those that took back what somebody changed."""
        corrected: set[tuple[str, str]] = set()
        if done.applied is None:
            return corrected
        steps = {step.id: step for step in done.applied.plan.steps}
        names = {**self._names, **done.applied.plan.names}
        for outcome in done.applied.outcomes:
            step = steps[outcome.step]
            if outcome.state in (OutcomeState.FAILED, OutcomeState.UNKNOWN):
                self._say_failed(step, outcome, done.applied.run, names)
                continue
            if outcome.state is OutcomeState.ALREADY:
                continue
            outside = _outside(step)
            if outside is not None:
                corrected.add((step.change.server, step.change.group))
                self._say_step(EventName.DRIFT_CORRECTED, "Corrected", step, outside, done.applied.run, names)
            rest = tuple(each for each in step.change.fields if each.reason is not Reason.CHANGED_OUTSIDE)
            if outside is None or rest:
                self._say_step(EventName.CHANGE_APPLIED, "Applied", step, rest, done.applied.run, names)
        return corrected

    def _say_step(
        self,
        event: EventName,
        verb: str,
        step: Step,
        fields: tuple[FieldChange, ...],
        run: str,
        names: Mapping[str, str],
    ) -> None:
        change = step.change
        what = describe_change(change.verb, fields, dict(names))
        since = ", which was changed outside reconciler" if event is EventName.DRIFT_CORRECTED else ""
        self._say(
            event,
            EventLevel.INFO,
            f"{verb} {change.group} on {change.server}{since}: {what}.",
            server=change.server,
            group=change.group,
            changes=fields,
            run=run,
            step=step.id,
        )

    def _say_failed(self, step: Step, outcome: Outcome, run: str, names: Mapping[str, str]) -> None:
        change = step.change
        unknown = outcome.state is OutcomeState.UNKNOWN
        ended = "has an unknown outcome and is looked at again" if unknown else "failed and is tried again"
        what = describe_change(change.verb, change.fields, dict(names))
        self._say(
            EventName.CHANGE_FAILED,
            EventLevel.ERROR,
            f"The change of {change.group} on {change.server} ({what}) {ended}: {outcome.reason}.",
            code=outcome.code,
            server=change.server,
            group=change.group,
            changes=change.fields,
            run=run,
            step=step.id,
        )

    def _tell_drift(self, found: Iterable[DriftItem], corrected: set[tuple[str, str]]) -> None:
        now = {(each.server, each.group, each.path, each.source): each for each in found}
        for key, item in now.items():
            if key not in self._drift:
                what = f"{item.group} on {item.server} was changed outside reconciler: {differs(item, self._names)}."
                self._say_drift(EventName.DRIFT_FOUND, EventLevel.WARNING, item, what)
        for key in self._drift.keys() - now.keys():
            item = self._drift[key]
            if (item.server, item.group) not in corrected:
                where = f"{item.path} of {item.group}" if item.path else item.group
                what = f"{where} on {item.server} matches what was applied again, or its change was approved."
                self._say_drift(EventName.DRIFT_ENDED, EventLevel.INFO, item, what)
        self._drift = now

    def _say_drift(self, event: EventName, level: EventLevel, item: DriftItem, what: str) -> None:
        change = FieldChange(item.path, item.applied, item.live, item.direction, Reason.CHANGED_OUTSIDE)
        self._say(event, level, what, server=item.server, group=item.group, changes=(change,))

    def _tell_waiting(self, waiting: Iterable[Waiting]) -> None:
        now = {each.key: each for each in waiting}
        for key, each in now.items():
            if key not in self._waiting:
                self._say_waiting(EventName.WAITING_STARTED, each)
        for key in self._waiting.keys() - now.keys():
            self._say_waiting(EventName.WAITING_ENDED, self._waiting[key])
        self._waiting = now

    def _say_waiting(self, event: EventName, each: Waiting) -> None:
        begun = event is EventName.WAITING_STARTED
        when = f"; not before {each.until:%Y-%m-%d %H:%M} UTC" if each.until is not None else ""
        what = f"{each.because}{when}." if begun else f"Over: {each.because}."
        level = EventLevel.INFO if each.kind is WaitKind.TIME or not begun else EventLevel.WARNING
        self._say(
            event,
            level,
            what,
            code=each.code,
            help=each.help if begun else "",
            subject=each.subject,
            server=each.server,
            group=each.group,
            changes=each.changes,
            until=each.until if begun else None,
        )

    def _say_finding(self, event: EventName, level: EventLevel, finding: Diagnostic) -> None:
        self._say(
            event,
            level,
            finding.message,
            code=finding.code,
            help=finding.remedy,
            subject=finding.subject,
            location=finding.location,
        )

    def _say(self, event: EventName, level: EventLevel, message: str, **told: Any) -> None:
        self._tell(Event(self._now(), level, event, message, self._site, **told))


def _key(finding: Diagnostic) -> tuple[Any, ...]:
    """The same as long as it is the same finding: figures in it, such as how many or since when, may differ."""
    return (finding.code, finding.subject, finding.location, re.sub(r"\d+", "#", finding.message))


def _unreached(done: Tick) -> dict[tuple[str, str], Diagnostic]:
    """The clusters and servers that could not be seen, or a part of whose store is not there, with why."""
    found = {(each.kind, each.name): each.why for each in done.observation.unreached}
    for server, catalog in done.observation.catalogs.items():
        missing = next((each for each in catalog.findings if each.code == NOT_THERE), None)
        if missing is not None:
            found["server", server] = missing
    return found


def _outside(step: Step) -> tuple[FieldChange, ...] | None:
    """The fields of a step that somebody changed on the server, () for a whole group; None where nobody did."""
    fields = tuple(each for each in step.change.fields if each.reason is Reason.CHANGED_OUTSIDE)
    return fields if fields or step.change.reason is Reason.CHANGED_OUTSIDE else None
