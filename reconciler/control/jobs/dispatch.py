"""Dispatching: jobs that are due -> jobs started, polled, and recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import timedelta

import msgspec

from reconciler.control.clock import doubt_of
from reconciler.control.error_boundary import Bounds, explained
from reconciler.control.evidence.record import end_recorded, job_recorded, record_end, record_job
from reconciler.control.jobs.leases import fence_of, running_here
from reconciler.control.lease import TTL, HeldLease
from reconciler.control.observe import Observation
from reconciler.control.site import Site
from reconciler.errors import Interrupted, LockHeld, ReconcilerError, Refused, StaleFence, TemporaryError
from reconciler.model import Job, JobHandle, JobKind, JobRecord, JobState, JobStatus
from reconciler.protocols import Fence, Lease, RequestKind, RequestState
from reconciler.schedule import View, backoff, due

#: How many jobs run at the same time; each uses threads of its own.
JOBS_AT_ONCE = 2

#: How often a running job is asked where it stands, in seconds.
POLL_SECONDS = 0.05

#: How often is looked for requests to cancel what runs, in seconds.
ASKED_SECONDS = 0.5

#: How long a schedule leaves alone what a person cancelled: it would begin again at the next tick.
CANCELLED_FOR = timedelta(hours=1)

#: How long is waited for another process that is at a replica store, in seconds.
PATIENCE_SECONDS = 30.0

Watcher = Callable[[JobRecord], None]


def jobs_due(site: Site, observation: Observation, bounds: Bounds, *, prune: bool) -> tuple[Job, ...]:
    """What should run now, on the servers whose schedules are ours; a server that fails is a trouble of `bounds`."""
    jobs: list[Job] = []
    latest = site.memory.jobs.latest()
    doubt = doubt_of(site)
    running = site.memory.jobs.running()
    stores = site.memory.stores.known()
    for name, catalog in sorted(observation.catalogs.items()):
        if not site.engines[name].capabilities.runs_jobs_itself:
            view = View(
                now=observation.at,
                zone=site.zone,
                catalog=catalog,
                latest=latest,
                running=running,
                prune_allowed=prune,
                doubt=doubt,
                first_used_at=stores[name].first_used_at if name in stores else None,
            )
            with bounds.about(f"the schedules of {name}"):
                jobs += due(view)
    return tuple(jobs)


def last_decision(site: Site) -> str:
    """The newest run of the journal: every change of groups, and every lease that is taken away by hand, is one."""
    runs = site.memory.journal.runs(1)
    return runs[0].id if runs else ""


def start(site: Site, job: Job, held: HeldLease | None, run: str, decided: str | None = None) -> JobRecord:
    """Starts a job under the lease of its replica store, and records it; the record is written before the engine is
    asked, so nothing runs unknown. A job that cannot be started, whatever the reason, has failed. Raises `LockHeld`
    where another process is at that replica store. `held` is the site's lease where it is held: jobs do not need it. A
    job that expires points does so only while the newest run is still the one that it was `decided` after."""
    lease = site.leases.take(site.memory, site.holder, job, TTL)
    earlier = site.memory.jobs.get(job.id)
    attempt = earlier.attempt + 1 if earlier else 1
    record = JobRecord(job, JobStatus(JobState.RUNNING), attempt, site.now(), run=run)
    with site.memory.locks.under(lease):
        site.memory.jobs.record(record)
    site.started[job.id] = time.monotonic()
    try:
        if held is not None:
            held.check()
        site.engines[job.server].start(job, _fence(site, job, lease, decided))
    except (StaleFence, Interrupted) as error:
        if job.kind is JobKind.RECOVERY:  # refused is refused: it must not be found as running later
            _ended(site, record, _refused(error))
        raise
    except Exception as error:
        return _ended(site, record, _refused(explained(error, _called(job), site.folder)))
    return record


def _fence(site: Site, job: Job, lease: Lease, decided: str | None) -> Fence:
    """What the job writes under."""
    fence = fence_of(site.memory, lease)
    if job.kind is not JobKind.PRUNING or decided is None:
        return fence

    def stands() -> None:
        fence.check()
        if last_decision(site) != decided:
            raise Refused(
                "RCL5052",
                "groups were changed, or a lease was released, since it was decided which points expire",
                "Nothing expired. It is decided again at the next tick.",
                subject=job.id,
            )

    return Fence(fence.token, fence.lease, stands)


def poll(site: Site) -> tuple[JobRecord, ...]:
    """Asks after every running job but those that another process is at; returns them as they stand now. Ended ones are
    recorded as ended. Raises, after all of them, the first error of those whose end could not be recorded."""
    records = []
    bounds = Bounds(site.folder)
    for record in running_here(site.memory, site.holder):
        if record.job.server in site.engines:
            with bounds.about(_called(record.job)):
                records.append(_polled(site, record))
    for error in bounds.troubles:
        raise error
    return tuple(records)


def _polled(site: Site, record: JobRecord) -> JobRecord:
    engine, handle = site.engines[record.job.server], JobHandle(record.job.server, record.job.id)
    try:
        status = engine.poll(handle)
    except (StaleFence, TemporaryError, Interrupted):
        raise
    except Exception as error:
        # Nobody will learn any more what came of it: a job that cannot be asked after would run for ever.
        return _ended(site, record, _refused(explained(error, _called(record.job), site.folder)))
    hours = record.job.max_hours
    if status.state.ended:
        return _ended(site, record, status)
    if hours is not None and _running_for(site, record) > timedelta(hours=hours):
        engine.cancel(handle)
        return _ended(site, record, _too_long(hours))
    return msgspec.structs.replace(record, status=status)


def _called(job: Job) -> str:
    return f"the job {job.id}"


def run_jobs(
    site: Site,
    jobs: Iterable[Job],
    held: HeldLease | None,
    run: str,
    watch: Watcher = lambda record: None,
    decided: str | None = None,
) -> tuple[JobRecord, ...]:
    """Runs the jobs, a few at once, and waits for them. On a stop nothing new starts and what runs is cancelled. A job
    whose replica store another process is at is waited for; raises `LockHeld` after a while with nothing else to do."""
    with site.stop.patient():
        return _run_jobs(site, jobs, held, run, watch, decided)


def _run_jobs(
    site: Site, jobs: Iterable[Job], held: HeldLease | None, run: str, watch: Watcher, decided: str | None
) -> tuple[JobRecord, ...]:
    waiting = list(jobs)
    ended: list[JobRecord] = []
    cancelled = False
    patience, asked = time.monotonic() + PATIENCE_SECONDS, 0.0
    while waiting or _at_work(site):
        while waiting and not site.stop.asked and _at_work(site) < JOBS_AT_ONCE:
            try:
                record = start(site, waiting[0], held, run, decided)
            except LockHeld:
                if time.monotonic() > patience and not _at_work(site):
                    raise
                waiting.append(waiting.pop(0))
                break
            waiting.pop(0)
            watch(record)
            if record.status.state.ended:
                ended.append(record)
        if held is not None:
            held.check()
        for record in poll(site):
            watch(record)
            if record.status.state.ended:
                ended.append(record)
        if site.started and time.monotonic() > asked:
            cancel_as_asked(site)
            asked = time.monotonic() + ASKED_SECONDS
        if site.stop.asked:
            waiting.clear()
            if not cancelled:
                cancel_running(site)
                cancelled = True
        if waiting or _at_work(site):
            time.sleep(POLL_SECONDS)
    return tuple(ended)


def _at_work(site: Site) -> int:
    """How many jobs run that no other process is at."""
    return len(running_here(site.memory, site.holder))


def cancel_running(site: Site) -> None:
    """Asks every running job to end at its next safe point."""
    for record in running_here(site.memory, site.holder):
        if record.job.server in site.engines:
            site.engines[record.job.server].cancel(JobHandle(record.job.server, record.job.id))


def cancel_as_asked(site: Site) -> None:
    """Cancels what persons ask to be cancelled of the jobs that this process runs: nobody else can."""
    for request in site.memory.requests.open():
        record = site.memory.jobs.get(request.subject) if request.subject in site.started else None
        if request.kind is RequestKind.CANCEL and record is not None and not record.status.state.ended:
            site.engines[record.job.server].cancel(JobHandle(record.job.server, record.job.id))
            site.cancelled.add(record.job.id)
            said = f"the job {record.job.id} ends at its next block"
            site.memory.requests.answer(request.id, RequestState.DONE, said)


def _running_for(site: Site, record: JobRecord) -> timedelta:
    """How long it has been running: what this process started by a clock that never jumps, the rest by the stored
    time."""
    began = site.started.get(record.job.id)
    return timedelta(seconds=time.monotonic() - began) if began is not None else site.now() - record.started_at


def _ended(site: Site, record: JobRecord, status: JobStatus) -> JobRecord:
    now = site.now()
    retry_at = None
    if status.state is JobState.FAILED and status.retry_seconds is not None:
        wait = backoff(record.attempt)
        if wait is not None:
            retry_at = now + max(wait, timedelta(seconds=status.retry_seconds))
    if status.state is JobState.CANCELLED and record.job.id in site.cancelled:
        retry_at = now + CANCELLED_FOR
    ended = msgspec.structs.replace(record, status=status, ended_at=now, retry_at=retry_at)
    lease = site.leases.take(site.memory, site.holder, record.job, TTL)
    mine = record.job.id in site.started
    try:
        with site.memory.locks.under(lease):
            found = site.memory.jobs.get(record.job.id)
            if not mine and found is not None and found.status.state.ended:
                ended = found  # another process that cleans up was quicker: what it found out counts
            else:
                # Evidence first: a process that dies in between leaves a running job, which is asked for again.
                _tell(site, ended, mine=mine)
                site.memory.jobs.record(ended)
    except StaleFence:
        # Somebody took the replica store away: what came of the job is theirs to find out.
        site.engines[record.job.server].cancel(JobHandle(record.job.server, record.job.id))
        site.started.pop(record.job.id, None)
        site.leases.let_go(site.memory, record.job)
        raise
    site.started.pop(record.job.id, None)
    site.leases.let_go(site.memory, record.job)
    return ended


def _tell(site: Site, ended: JobRecord, *, mine: bool) -> None:
    """The end of a job, and of the run that a recovery is; each once, wherever a process was killed."""
    if mine or not job_recorded(site, ended):
        record_job(site, ended)
    if ended.job.kind is JobKind.RECOVERY and ended.run and (mine or not end_recorded(site, ended.run)):
        record_end(site, ended.run, str(ended.status.state), 0, 0)


def _too_long(hours: int) -> JobStatus:
    reason = f"it was not done after {hours} h, the maxHours of its schedule"
    return JobStatus(JobState.FAILED, code="RCL6016", reason=reason, remedy="Give it more hours, or another time.")


def _refused(error: ReconcilerError) -> JobStatus:
    said = error.diagnostic
    again = None
    if isinstance(error, TemporaryError):
        again = error.retry_after.total_seconds() if error.retry_after else 0.0
    return JobStatus(JobState.FAILED, code=said.code, reason=said.message, remedy=said.remedy, retry_seconds=again)
