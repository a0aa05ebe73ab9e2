"""The lease of a site: while it is held, and only then, this process may change anything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from reconciler.control.evidence.record import record_lock, settle_evidence
from reconciler.control.site import Site
from reconciler.control.state.known_stores import largest_token, note_stores
from reconciler.errors import LockHeld, ReconcilerError
from reconciler.protocols import Fence, Lease
from reconciler.system_errors import cannot_write

#: How long the lease lasts without a sign of life. A holder that died on the same machine is noticed at once.
TTL = timedelta(seconds=60)

#: How the names of leases begin: of a site's, of a loop.
SITE_LEASES, LOOP_LEASES = "site:", "loop:"

_ASK_AGAIN = 0.5


class HeldLease:
    """The lease as held. `fence` raises once it is lost: then somebody else is at work, or was."""

    def __init__(self, site: Site, lease: Lease) -> None:
        self._site = site
        self.lease = lease
        self._lost: ReconcilerError | None = None
        self._over = threading.Event()
        site.memory.locks.guard(lease)
        self._beat = threading.Thread(target=self._keep, name=f"lease-{site.name}", daemon=True)
        self._beat.start()

    @property
    def fence(self) -> Fence:
        """The token to write under, to be asked for right before each write. Raises `StaleFence` once the lease is
        lost, which is looked up in our memory each time: for a server that knows no tokens this is all there is."""
        self.check()
        return Fence(self.lease.token, stands=self.check)

    def check(self) -> None:
        """Raises once the lease is lost. A process that was stopped for a while learns of it here."""
        if self._lost is None:
            try:
                self._site.memory.locks.check(self.lease)
            except ReconcilerError as error:
                self._lost = error
        if self._lost is not None:
            raise self._lost

    @property
    def took_over(self) -> str:
        """Whose lease was taken over because it had expired or its process had died; "" for nobody's."""
        return self.lease.took_over

    def end(self) -> None:
        self._over.set()
        self._beat.join()
        if self._lost is None:
            self._site.memory.locks.guard(None)
            self._site.memory.locks.release(self.lease)

    def _keep(self) -> None:
        while not self._over.wait(TTL.total_seconds() / 4):
            try:
                self.lease = self._site.memory.locks.renew(self.lease, TTL)
            except ReconcilerError as error:
                self._lost = error
                return


@contextmanager
def holding(site: Site, wait: timedelta = timedelta(0)) -> Iterator[HeldLease]:
    """Holds the site's lease. Raises `LockHeld` when another process is still at work on it after `wait`."""
    with keeping(site, _acquire(site, wait)) as held:
        if held.took_over:
            record_lock(site, "takenOver", held.lease)
        settle_evidence(site)
        yield held
        note_stores(site, held.fence)


def where_it_can_be(site: Site, act: Callable[[HeldLease], None]) -> ReconcilerError | OSError | None:
    """Runs `act`, which notes what was seen, under the lease; returns why that could not be: somebody else is at work,
    or nothing can be written. What only reads is done without."""
    if not site.memory.writable:
        return None
    try:
        with holding(site) as held:
            act(held)
    except (ReconcilerError, OSError) as error:
        if not isinstance(error, LockHeld) and not cannot_write(error):
            raise
        return error
    return None


@contextmanager
def keeping_quietly(site: Site, wait: timedelta) -> Iterator[HeldLease]:
    """As `holding`, without a word in the evidence: for what mends it."""
    with keeping(site, _acquire(site, wait)) as held:
        yield held


@contextmanager
def take_over_lease(site: Site, of: Lease) -> Iterator[HeldLease]:
    """Takes the lease `of` away from its holder and holds it. Its token is too old from then on. Raises `LockHeld`
    when meanwhile somebody else has it."""
    with keeping(site, site.memory.locks.acquire(lease_name(site), site.holder, TTL, taken_from=of.token)) as held:
        record_lock(site, "released", of)
        yield held


@contextmanager
def keeping(site: Site, lease: Lease) -> Iterator[HeldLease]:
    """Goes on holding a lease that this process already has, and releases it at the end."""
    held = HeldLease(site, lease)
    try:
        yield held
    finally:
        held.end()


def lease_name(site: Site) -> str:
    """What the site's lease is called."""
    return f"{SITE_LEASES}{site.name}"


def held_by(site: Site) -> Lease | None:
    """Who works on the site now, if anybody."""
    return site.memory.locks.holder(lease_name(site))


def _acquire(site: Site, wait: timedelta) -> Lease:
    patience = wait.total_seconds()
    if lease_name(site) not in site.memory.locks.tokens():
        # A new state: servers may have seen the tokens of one that is gone.
        site.memory.locks.raise_floor(largest_token(site))
    while True:
        try:
            return site.memory.locks.acquire(lease_name(site), site.holder, TTL)
        except LockHeld:
            if patience <= 0 or site.stop.wait(min(_ASK_AGAIN, patience)):
                raise
            patience -= _ASK_AGAIN
