"""The lease of a site: while it is held, and only then, this process may change anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from reconciler.control.site import Site
from reconciler.errors import LockHeld, ReconcilerError
from reconciler.protocols import Fence, Lease

#: How long the lease lasts without a sign of life. A holder that died on the same machine is noticed at once.
TTL = timedelta(seconds=60)

_ASK_AGAIN = 0.5


class Holding:
    """The lease as held. `fence` raises once it is lost: then somebody else is at work."""

    def __init__(self, site: Site, lease: Lease) -> None:
        self._site = site
        self._lease = lease
        self._lost: ReconcilerError | None = None
        self._over = threading.Event()
        self._beat = threading.Thread(target=self._keep, name=f"lease-{site.name}", daemon=True)
        self._beat.start()

    @property
    def fence(self) -> Fence:
        """The token to write under. Raises `StaleFence` once the lease is lost."""
        self.check()
        return Fence(self._lease.token)

    def check(self) -> None:
        """Raises once the lease is lost."""
        if self._lost is not None:
            raise self._lost

    @property
    def took_over(self) -> str:
        """Whose lease was taken over because its process had died; "" for nobody's."""
        return self._lease.took_over

    def end(self) -> None:
        self._over.set()
        self._beat.join()
        if self._lost is None:
            self._site.memory.locks.release(self._lease)

    def _keep(self) -> None:
        while not self._over.wait(TTL.total_seconds() / 4):
            try:
                self._lease = self._site.memory.locks.renew(self._lease, TTL)
            except ReconcilerError as error:
                self._lost = error
                return


@contextmanager
def holding(site: Site, wait: timedelta = timedelta(0)) -> Iterator[Holding]:
    """Holds the site's lease. Raises `LockHeld` when another process is still at work on it after `wait`."""
    held = Holding(site, _acquire(site, wait))
    try:
        yield held
    finally:
        held.end()


def held_by(site: Site) -> Lease | None:
    """Who works on the site now, if anybody."""
    return site.memory.locks.holder(f"site:{site.name}")


def _acquire(site: Site, wait: timedelta) -> Lease:
    patience = wait.total_seconds()
    while True:
        try:
            return site.memory.locks.acquire(f"site:{site.name}", site.holder, TTL)
        except LockHeld:
            if patience <= 0 or site.stop.wait(min(_ASK_AGAIN, patience)):
                raise
            patience -= _ASK_AGAIN
