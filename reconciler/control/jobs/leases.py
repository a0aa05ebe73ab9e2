"""Leases of jobs: one for each replica store, held while a job of it runs: a long one keeps nobody else waiting."""

from __future__ import annotations

import threading
from datetime import timedelta

from reconciler.errors import ReconcilerError
from reconciler.model import Job, JobRecord
from reconciler.protocols import Fence, Lease, Memory
from reconciler.system_errors import cannot_write

#: How the names of these leases begin.
JOB_LEASES = "job:"


def job_lease(job: Job) -> str:
    """What the lease of the job's replica store is called; its tokens are a series of their own."""
    return f"{JOB_LEASES}{job.server}:{job.source}"


class JobLeases:
    """The leases that this process holds for its jobs, prolonged by one thread. A lease that was lost stays here until
    its job has ended: its holder is to learn of it, not to get another one."""

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}
        self._jobs: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._beat: threading.Thread | None = None

    def take(self, memory: Memory, holder: str, job: Job, ttl: timedelta) -> Lease:
        """The lease for the job; one that is held already for another job of the same replica store serves both. Raises
        `LockHeld` where another process has it."""
        return self._take(memory, job_lease(job), job.id, holder, ttl)

    def _take(self, memory: Memory, name: str, user: str, holder: str, ttl: timedelta) -> Lease:
        with self._lock:
            lease = self._held.get(name)
            if lease is None:
                last = memory.locks.last(name)
                # An earlier life of this process, such as a site that was opened anew, holds nothing any more.
                mine = last.token if last is not None and last.holder == holder else 0
                lease = self._held[name] = memory.locks.acquire(name, holder, ttl, taken_from=mine)
            self._jobs.setdefault(name, set()).add(user)
            if self._beat is None:
                self._over.clear()
                self._beat = threading.Thread(target=self._keep, args=(memory, ttl), name="job-leases", daemon=True)
                self._beat.start()
        return lease

    def hold(self, memory: Memory, name: str, holder: str, ttl: timedelta) -> None:
        """Holds a lease that is for no job until the end, anew where it was lost. Raises `LockHeld`."""
        with self._lock:
            lease = self._held.get(name)
            if lease is not None:
                if memory.locks.last(name) is not None and memory.locks.tokens().get(name) == lease.token:
                    return
                del self._held[name]
        self._take(memory, name, name, holder, ttl)

    def let_go(self, memory: Memory, job: Job) -> None:
        """The job has ended: its lease is released where no other job needs it."""
        name = job_lease(job)
        with self._lock:
            jobs = self._jobs.get(name, set())
            jobs.discard(job.id)
            lease = self._held.pop(name, None) if not jobs else None
            if not jobs:
                self._jobs.pop(name, None)
        if lease is not None:
            memory.locks.release(lease)

    def close(self, memory: Memory) -> None:
        """Releases every lease."""
        self._over.set()
        if self._beat is not None:
            self._beat.join()
            self._beat = None
        with self._lock:
            leases = list(self._held.values())
            self._held.clear()
            self._jobs.clear()
        for lease in leases:
            try:
                memory.locks.release(lease)
            except (ReconcilerError, OSError) as error:
                if not cannot_write(error):  # it expires by itself
                    raise

    def _keep(self, memory: Memory, ttl: timedelta) -> None:
        while not self._over.wait(ttl.total_seconds() / 4):
            with self._lock:
                leases = dict(self._held)
            for lease in leases.values():
                try:
                    memory.locks.renew(lease, ttl)
                except ReconcilerError:
                    continue  # whoever writes under it learns that it was lost


def fence_of(memory: Memory, lease: Lease) -> Fence:
    """What a job writes under: its token, and a look whether the lease still stands."""
    return Fence(lease.token, lease.name, lambda: memory.locks.check(lease))


def running_here(memory: Memory, holder: str) -> tuple[JobRecord, ...]:
    """The jobs on record as running that no other living process is at: ours, and those of processes that died."""
    locks = memory.locks
    others = {
        lease.name
        for lease in locks.every(JOB_LEASES)
        if lease.holder != holder and locks.holder(lease.name) is not None
    }
    return tuple(record for record in memory.jobs.running() if job_lease(record.job) not in others)
