"""Requests: what a person asks for while a loop lives -> rows that the loop serves at once, and what came of them.

Without a loop the command serves itself; a job is cancelled by whoever runs it. A request runs out at its `until`; a
check that was taken up is finished by the next loop where the first one died, a recovery that had not begun is not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from reconciler.control.jobs.dispatch import Watcher, cancel_as_asked, start
from reconciler.control.jobs.leases import running_here
from reconciler.control.lease import LOOP_LEASES, TTL
from reconciler.control.site import Site, actor
from reconciler.errors import LockHeld, ReconcilerError
from reconciler.model import Job, JobRecord, JobState
from reconciler.protocols import Lease, Request, RequestKind, RequestState

#: How long a request is good for where nobody takes it up.
LASTS = timedelta(minutes=10)

_ASK_AGAIN_SECONDS = 0.2


def loop_of(site: Site) -> Lease | None:
    """The lease of the loop that lives on this site; None where none does."""
    return site.memory.locks.holder(LOOP_LEASES + site.name)


def claim_loop(site: Site) -> None:
    """Says that this process is the site's loop, and serves requests. Where another one is, it stays so."""
    try:
        site.leases.hold(site.memory, LOOP_LEASES + site.name, site.holder, TTL)
    except LockHeld:
        return


def ask(site: Site, kind: RequestKind, subject: str, job: Job | None = None, run: str = "") -> Request:
    """Puts the request where the loop finds it. By real time: a loop has no other."""
    now = datetime.now(UTC)
    request = Request(f"{kind}-{uuid4().hex[:12]}", kind, subject, actor(), now, now + LASTS, job=job, run=run)
    site.memory.requests.ask(request)
    return request


def wait_for(site: Site, request: Request, served: Callable[[], bool] | None = None) -> Request:
    """The request once it has ended. Where somebody asks to stop, or whoever it is `served` by (the loop, where nothing
    is given) is gone before it was taken up, or its time is over, it is withdrawn; what was taken up goes on, and is
    returned as it is."""
    lives = served or (lambda: loop_of(site) is not None)
    while True:
        found = site.memory.requests.get(request.id)
        assert found is not None
        if found.state.ended:
            return found
        late = found.state is RequestState.WAITING and datetime.now(UTC) > request.until
        if site.stop.wait(_ASK_AGAIN_SECONDS) or late or not lives():
            site.memory.requests.withdraw(request.id)
            return site.memory.requests.get(request.id) or found


def serve(site: Site, watch: Watcher) -> bool:
    """Takes up what waits, and answers what has ended. Returns whether anything was begun."""
    begun = False
    cancel_as_asked(site)
    for request in site.memory.requests.open():
        if request.kind is RequestKind.CANCEL:
            _end_cancel(site, request)
        elif request.state is RequestState.WAITING:
            if _waits(site, request):
                continue
            taken = site.memory.requests.take(request.id, site.holder)
            if taken is not None:
                begun |= _begin(site, taken, watch)
        elif request.job is not None:
            record = site.memory.jobs.get(request.job.id)
            if record is None and request.kind is RequestKind.RECOVER:  # nothing is recovered long after it was wanted
                what = "whoever took it up was interrupted before it began; nothing was replaced: start it again"
                site.memory.requests.answer(request.id, RequestState.FAILED, what)
            elif record is None:
                begun |= _begin(site, request, watch)
            elif record.status.state.ended:
                site.memory.requests.answer(request.id, *_answer(record))
        else:
            site.memory.requests.answer(request.id, RequestState.FAILED, "the process that took it up died")
    return begun


def _waits(site: Site, request: Request) -> bool:
    """Whether a job of the same replica store runs: two at once would get in each other's way. It is asked for no
    longer than it was to be."""
    job = request.job
    if job is None or request.until <= datetime.now(UTC):
        return False
    return any((each.job.server, each.job.source) == (job.server, job.source) for each in site.memory.jobs.running())


def _begin(site: Site, request: Request, watch: Watcher) -> bool:
    """Begins what is asked for; whether a job runs now."""
    if request.job is None or request.job.server not in site.engines:
        site.memory.requests.answer(request.id, RequestState.FAILED, "this loop cannot do that")
        return False
    try:
        record = start(site, request.job, None, request.run)
    except ReconcilerError as error:
        said = error.diagnostic
        site.memory.requests.answer(request.id, RequestState.FAILED, f"{said.code}: {said.message}. {said.remedy}")
        return False
    watch(record)
    return True


def _end_cancel(site: Site, request: Request) -> None:
    """Answers for jobs that nobody runs any more; what another process runs, that one cancels."""
    record, ended = site.memory.jobs.get(request.subject), RequestState.FAILED
    if record is None or record.status.state.ended:
        site.memory.requests.answer(request.id, ended, f"no job {request.subject} is running")
    elif record.job.id not in site.started and record in running_here(site.memory, site.holder):
        what = f"the process that ran the job {request.subject} is gone: it ends as interrupted"
        site.memory.requests.answer(request.id, ended, what)


def _answer(record: JobRecord) -> tuple[RequestState, str]:
    status = record.status
    if status.state is JobState.SUCCEEDED:
        return RequestState.DONE, "succeeded"
    return RequestState.FAILED, f"{status.code}: {status.reason}. {status.remedy}" if status.code else str(status.state)
