"""Looking after the lease: who holds it and whether they live; and taking it away, journalled and on record."""

from __future__ import annotations

from reconciler.control.agreeing import mandate_of
from reconciler.control.apply import begin, end
from reconciler.control.lease import holding_instead, lease_name
from reconciler.control.site import Site
from reconciler.protocols import Lease
from reconciler.report import LeaseView
from reconciler.store import lives


def look(site: Site) -> LeaseView:
    """The site's lease as it stands. `site` needs no more than its memory."""
    lease = site.memory.locks.last(lease_name(site))
    if lease is None:
        return LeaseView(site.name, held=False)
    return LeaseView(
        site.name,
        held=site.memory.locks.holder(lease.name) is not None,
        lease=lease,
        alive=lives(lease.holder),
        runs=tuple(run for run in site.memory.journal.open_runs() if run.fence == lease.token),
    )


def release(site: Site, lease: Lease, consent: str) -> str:
    """Takes the lease away from its holder and lets it go; returns the id of the run that tells so. `consent`
    says how somebody agreed.

    The token grows by it, so what the holder still tries to write is refused. Raises `LockHeld` when meanwhile
    somebody else has the lease.
    """
    with holding_instead(site, lease) as held:
        run = begin(site, None, held, mandate_of(site, "lock release", consent))
        end(site, run, "done")
    return run
