"""The last failure: jobs and runs on record -> the one that failed last, and whether it went well since."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from reconciler.control.site import Site
from reconciler.model import DataSource, JobKind, JobRecord, JobState, Outcome, OutcomeState
from reconciler.protocols import Run
from reconciler.report import LastFailure
from reconciler.report.jobs import KINDS
from reconciler.schedule import ahead

#: How many jobs and runs are looked through, newest first, and how far back runs are. What failed last and was never
#: done since is found among the jobs whatever their number.
_JOBS, _RUNS = 200, 50
_RUNS_SINCE = timedelta(days=1)


def last_failure(site: Site, names: Mapping[DataSource, str], now: datetime) -> LastFailure | None:
    """Of jobs and of steps of the policies' runs; None where nothing failed that is on record. `names` are those of
    data sources."""
    found = [each for each in (_of_jobs(site, names, now), _of_runs(site, now)) if each is not None]
    open_ones = [each for each in found if not each.mended]
    return max(open_ones or found, key=lambda each: each.at, default=None)


def _of_jobs(site: Site, names: Mapping[DataSource, str], now: datetime) -> LastFailure | None:
    latest = site.memory.jobs.latest()
    known = [each for each in (*latest.values(), *site.memory.jobs.history(_JOBS)) if not ahead(each.started_at, now)]
    failed = [each for each in known if each.status.state is JobState.FAILED]
    record = max(failed, key=lambda each: (not _is_mended(each, latest), each.started_at), default=None)
    if record is None:
        return None
    job = record.job
    what = f"{KINDS[job.kind]} of {names.get(job.source, job.source.machine)} on {job.server}"
    return LastFailure(
        at=record.ended_at or record.started_at,
        what=what,
        code=record.status.code,
        reason=record.status.reason,
        mended=_is_mended(record, latest),
        retry_at=record.retry_at,
    )


def _is_mended(record: JobRecord, latest: Mapping[tuple[DataSource, JobKind], JobRecord]) -> bool:
    newest = latest.get((record.job.source, record.job.kind))
    return newest is not None and newest.status.state is JobState.SUCCEEDED and newest.started_at > record.started_at


def _of_runs(site: Site, now: datetime) -> LastFailure | None:
    done: set[tuple[str, str]] = set()
    for run in reversed(site.memory.journal.since(now - _RUNS_SINCE)[-_RUNS:]):
        failure = _of_run(site, run, done)
        if failure is not None:
            return failure
    return None


def _of_run(site: Site, run: Run, done: set[tuple[str, str]]) -> LastFailure | None:
    """The last step of a run that failed; what was done in it is noted."""
    plan = site.memory.journal.plan(run.id)
    changes = {step.id: step.change for step in plan.steps} if plan is not None else {}
    outcomes: list[Outcome] = [each.outcome for each in site.memory.journal.steps(run.id) if each.outcome is not None]
    failed = [each for each in outcomes if each.state in (OutcomeState.FAILED, OutcomeState.UNKNOWN)]
    for outcome in reversed(failed):
        change = changes.get(outcome.step)
        what = f"{change.verb} {change.group} on {change.server}" if change is not None else outcome.step
        mended = change is not None and (change.server, change.group) in done
        return LastFailure(outcome.at, what, outcome.code, outcome.reason, mended)
    for outcome in outcomes:
        change = changes.get(outcome.step)
        if change is not None:
            done.add((change.server, change.group))
    return None
