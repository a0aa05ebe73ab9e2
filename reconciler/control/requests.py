"""Requests: what a person asks for while a loop lives -> rows that the loop serves at once, and what came of them.

Without a loop the command serves itself. A request runs out at its `until`; one that was taken up is finished by the
next loop where the first one died.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from reconciler.control.dispatch import Watcher, start
from reconciler.control.lease import LOOP_LEASES, TTL
from reconciler.control.site import Site, actor
from reconciler.errors import LockHeld, ReconcilerError
from reconciler.model import Job, JobHandle, JobRecord, JobState
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


def ask(site: Site, kind: RequestKind, subject: str, job: Job | None = None) -> Request:
    """Puts the request where the loop finds it. By real time: a loop has no other."""
    now = datetime.now(UTC)
    request = Request(f"{kind}-{uuid4().hex[:12]}", kind, subject, actor(), now, now + LASTS, job=job)
    site.memory.requests.ask(request)
    return request


def wait_for(site: Site, request: Request) -> Request:
    """The request once it has ended. Where somebody asks to stop, or the loop is gone before it took it up, it is
    withdrawn; what was taken up goes on, and is returned as it is."""
    while True:
        found = site.memory.requests.get(request.id)
        assert found is not None
        if found.state.ended:
            return found
        if site.stop.wait(_ASK_AGAIN_SECONDS) or loop_of(site) is None:
            site.memory.requests.withdraw(request.id)
            return site.memory.requests.get(request.id) or found


def serve(site: Site, watch: Watcher) -> bool:
    """Takes up what waits, and answers what has ended. Returns whether anything was begun."""
    begun = False
    for request in site.memory.requests.open():
        if request.state is RequestState.WAITING:
            taken = site.memory.requests.take(request.id, site.holder)
            if taken is not None:
                begun |= _begin(site, taken, watch)
        elif request.job is not None:
            record = site.memory.jobs.get(request.job.id)
            if record is None:
                begun |= _begin(site, request, watch)
            elif record.status.state.ended:
                site.memory.requests.answer(request.id, *_answer(record))
        else:
            site.memory.requests.answer(request.id, RequestState.FAILED, "the process that took it up died")
    return begun


def _begin(site: Site, request: Request, watch: Watcher) -> bool:
    """Does what is asked, or begins it; whether a job runs now."""
    if request.kind is RequestKind.CANCEL:
        site.memory.requests.answer(request.id, *_cancel(site, request.subject))
        return False
    if request.job is None or request.job.server not in site.engines:
        site.memory.requests.answer(request.id, RequestState.FAILED, "this loop cannot do that")
        return False
    try:
        record = start(site, request.job, None, "")
    except ReconcilerError as error:
        said = error.diagnostic
        site.memory.requests.answer(request.id, RequestState.FAILED, f"{said.code}: {said.message}. {said.remedy}")
        return False
    watch(record)
    return True


def _cancel(site: Site, job: str) -> tuple[RequestState, str]:
    record = site.memory.jobs.get(job)
    if record is None or record.status.state.ended:
        return RequestState.FAILED, f"no job {job} is running"
    if job not in site.started:
        return RequestState.FAILED, f"another process is at the job {job}"
    site.engines[record.job.server].cancel(JobHandle(record.job.server, job))
    return RequestState.DONE, f"the job {job} ends at its next block"


def _answer(record: JobRecord) -> tuple[RequestState, str]:
    status = record.status
    if status.state is JobState.SUCCEEDED:
        return RequestState.DONE, "succeeded"
    return RequestState.FAILED, f"{status.code}: {status.reason}. {status.remedy}" if status.code else str(status.state)
