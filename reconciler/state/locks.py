"""Leases on SQLite: who may change a site, until when, under which token."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

import msgspec

from reconciler.errors import LockHeld, StaleFence
from reconciler.protocols import Lease
from reconciler.state.database import Database
from reconciler.state.holder import lives
from reconciler.state.tables import LEASE, Values

#: The longest time that a lease is given for at once, and some more, for what clocks differ by.
LONGEST = timedelta(minutes=15)


class SqliteLocks:
    """See `protocols.Locks`. The row of a lease stays when it is released, so that its token only ever grows."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def acquire(self, name: str, holder: str, ttl: timedelta, *, taken_from: int = 0) -> Lease:
        def act(write: sqlite3.Connection) -> Lease:
            now = self._now()
            row = self._database.row(LEASE, name)
            before = self._lease(row)
            if before is not None and before.token != taken_from and self._counts(before):
                raise lock_held(before)
            token = max(row["token"] if row else 0, self._database.line()["floor"]) + 1
            lease = Lease(name, holder, token, now, now + ttl, took_over=before.holder if before else "")
            self._put(write, name, token, lease)
            return lease

        return self._database.write(act, guarded=False)

    def renew(self, lease: Lease, ttl: timedelta) -> Lease:
        def act(write: sqlite3.Connection) -> Lease:
            self.check(lease)
            renewed = msgspec.structs.replace(lease, expires_at=self._now() + ttl)
            self._put(write, lease.name, lease.token, renewed)
            return renewed

        return self._database.write(act, guarded=False)

    def check(self, lease: Lease) -> None:
        row = self._database.row(LEASE, lease.name)
        if row is not None and row["token"] == lease.token and row["body"] is not None:
            return
        now = self._lease(row)
        raise StaleFence(
            "RCL5004",
            f"the lease {lease.name} was lost" + (f" to {now.holder}" if now else ""),
            "Another process took over; nothing more is written by this one. `reconciler lock show` says who is at "
            "work. Start the command again.",
            subject=lease.name,
        )

    def guard(self, lease: Lease | None) -> None:
        self._database.guard = None if lease is None else lambda: self.check(lease)

    def under(self, lease: Lease) -> AbstractContextManager[None]:
        return self._database.guarded_by(lambda: self.check(lease))

    def hand(self, lease: Lease) -> None:
        """Writes the lease as it is, whatever stood there: for a state that is about to be put in place."""
        self._database.write(lambda write: self._put(write, lease.name, lease.token, lease), guarded=False)

    def raise_floor(self, token: int) -> None:
        def act(write: sqlite3.Connection) -> None:
            self._database.move(write, floor=max(token, self._database.line()["floor"]))

        self._database.write(act, guarded=False)

    def token(self) -> int:
        floor = self._database.line()["floor"] if self._database.sealed else 0
        return max((floor, *self.tokens().values()))

    def tokens(self) -> Mapping[str, int]:
        return {row["name"]: row["token"] for row in self._database.rows(LEASE, order="name", whole="lease")}

    def release(self, lease: Lease) -> None:
        def act(write: sqlite3.Connection) -> None:
            row = self._database.row(LEASE, lease.name)
            if row is not None and row["token"] == lease.token:
                self._put(write, lease.name, lease.token, None)

        self._database.write(act, guarded=False)

    def holder(self, name: str) -> Lease | None:
        lease = self.last(name)
        return lease if lease is not None and self._counts(lease) else None

    def last(self, name: str) -> Lease | None:
        return self._lease(self._database.row(LEASE, name))

    def every(self, prefix: str = "") -> tuple[Lease, ...]:
        rows = self._database.rows(LEASE, order="name", whole="lease")
        leases = (self._lease(row) for row in rows if row["name"].startswith(prefix))
        return tuple(lease for lease in leases if lease is not None)

    def _put(self, write: sqlite3.Connection, name: str, token: int, lease: Lease | None) -> None:
        body = msgspec.json.encode(lease) if lease is not None else None
        self._database.put(write, LEASE, name=name, token=token, body=body)

    def _counts(self, lease: Lease) -> bool:
        """Whether it keeps others out. No lease is given for longer than `LONGEST`: one that ends later than that was
        given while a clock was ahead, and counts only where its holder is seen to live."""
        now, living = self._now(), lives(lease.holder)
        if living is None:
            return now < lease.expires_at <= now + LONGEST
        return living and now < lease.expires_at

    def _lease(self, row: Values | None) -> Lease | None:
        return self._database.decode(row["body"], Lease) if row is not None and row["body"] is not None else None


def lock_held(lease: Lease) -> LockHeld:
    """What is said to whoever comes second."""
    return LockHeld(
        "RCL5003",
        f"{lease.holder} is at work on {lease.name} since {lease.acquired_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"and holds it until {lease.expires_at:%H:%M:%S} UTC unless it renews it",
        "Wait for it to end, or stop it; a process on this host or in this container that died is "
        "noticed at once. See "
        "`reconciler lock show`.",
        subject=lease.name,
    )
