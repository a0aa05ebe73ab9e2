"""Looking after the lease: who holds it and whether they live; and taking it away, journalled and on record."""

from __future__ import annotations

from reconciler.control.applying.apply import begin, end
from reconciler.control.approving.agreement import mandate_of
from reconciler.control.evidence.record import record_lock
from reconciler.control.jobs.leases import JOB_LEASES
from reconciler.control.lease import LOOP_LEASES, TTL, holding, lease_name, take_over_lease
from reconciler.control.site import Site
from reconciler.model.audit import Confirmation
from reconciler.report import LeaseView
from reconciler.state import lives


def look(site: Site) -> LeaseView:
    """The site's leases as they stand. `site` needs no more than its memory."""
    locks = site.memory.locks
    others = tuple(
        lease
        for prefix in (LOOP_LEASES, JOB_LEASES)
        for lease in locks.every(prefix)
        if locks.holder(lease.name) is not None
    )
    lease = locks.last(lease_name(site))
    if lease is None:
        return LeaseView(site.name, held=False, others=others)
    return LeaseView(
        site.name,
        held=locks.holder(lease.name) is not None,
        lease=lease,
        alive=lives(lease.holder),
        runs=tuple(run for run in site.memory.journal.open_runs() if run.fence == lease.token),
        others=others,
    )


def release(site: Site, shown: LeaseView, confirmation: Confirmation) -> str:
    """Takes the site's lease and those of jobs and loop away from their holder, or, where nobody has the site's, those
    of jobs and loop from whoever has them; returns the id of the run that tells so.

    Each token grows by it, so what the holder still tries to write is refused. Raises `LockHeld` when meanwhile
    somebody else has one of them.
    """
    holder = shown.lease.holder if shown.lease is not None else None
    taken = [each for each in shown.others if holder is None or each.holder == holder]
    with take_over_lease(site, shown.lease) if shown.lease is not None else holding(site) as held:
        run = begin(site, None, held, mandate_of(site, "lock release", confirmation))
        for lease in taken:
            ours = site.memory.locks.acquire(lease.name, site.holder, TTL, taken_from=lease.token)
            record_lock(site, "released", lease)
            site.memory.locks.release(ours)
        end(site, run, "done")
    return run
