"""Leases on SQLite: who may change a site, until when, under which token."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from reconciler.errors import LockHeld, StaleFence
from reconciler.protocols import Lease
from reconciler.store.database import Database
from reconciler.store.holder import has_died


class SqliteLocks:
    """See `protocols.Locks`. The row of a lease stays when it is released, so that its token only ever grows."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def acquire(self, name: str, holder: str, ttl: timedelta, *, taken_from: int = 0) -> Lease:
        def act(write: sqlite3.Connection) -> Lease:
            now = self._now()
            row = write.execute("SELECT token, body FROM lease WHERE name = ?", (name,)).fetchone()
            before = self._lease(row)
            if before is not None and before.token != taken_from and self._counts(before):
                raise lock_held(before)
            token = (row["token"] if row else 0) + 1
            lease = Lease(name, holder, token, now, now + ttl, took_over=before.holder if before else "")
            values = (name, token, msgspec.json.encode(lease))
            write.execute("INSERT OR REPLACE INTO lease (name, token, body) VALUES (?, ?, ?)", values)
            return lease

        return self._database.write(act, guarded=False)

    def renew(self, lease: Lease, ttl: timedelta) -> Lease:
        def act(write: sqlite3.Connection) -> Lease:
            self._check(write, lease)
            renewed = msgspec.structs.replace(lease, expires_at=self._now() + ttl)
            write.execute("UPDATE lease SET body = ? WHERE name = ?", (msgspec.json.encode(renewed), lease.name))
            return renewed

        return self._database.write(act, guarded=False)

    def check(self, lease: Lease) -> None:
        self._compare(lease, self._row(lease.name))

    def guard(self, lease: Lease | None) -> None:
        self._database.guard = None if lease is None else lambda write: self._check(write, lease)

    def hand(self, lease: Lease) -> None:
        """Writes the lease as it is, whatever stood there: for a state that is about to be put in place."""
        row = (lease.name, lease.token, msgspec.json.encode(lease))
        query = "INSERT OR REPLACE INTO lease (name, token, body) VALUES (?, ?, ?)"
        self._database.write(lambda write: write.execute(query, row), guarded=False)

    def token(self) -> int:
        """The largest token that this memory ever gave out; 0 for none."""
        return int(self._database.rows("SELECT coalesce(max(token), 0) AS token FROM lease")[0]["token"])

    def release(self, lease: Lease) -> None:
        query = "UPDATE lease SET body = NULL WHERE name = ? AND token = ?"
        self._database.write(lambda write: write.execute(query, (lease.name, lease.token)), guarded=False)

    def holder(self, name: str) -> Lease | None:
        lease = self.last(name)
        return lease if lease is not None and self._counts(lease) else None

    def last(self, name: str) -> Lease | None:
        return self._lease(self._row(name))

    def _counts(self, lease: Lease) -> bool:
        return lease.expires_at > self._now() and not has_died(lease.holder)

    def _row(self, name: str) -> sqlite3.Row | None:
        rows = self._database.rows("SELECT token, body FROM lease WHERE name = ?", name)
        return rows[0] if rows else None

    def _lease(self, row: sqlite3.Row | None) -> Lease | None:
        return self._database.decode(row["body"], Lease) if row is not None and row["body"] is not None else None

    def _check(self, write: sqlite3.Connection, lease: Lease) -> None:
        self._compare(lease, write.execute("SELECT token, body FROM lease WHERE name = ?", (lease.name,)).fetchone())

    def _compare(self, lease: Lease, row: sqlite3.Row | None) -> None:
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


def lock_held(lease: Lease) -> LockHeld:
    """What is said to whoever comes second."""
    return LockHeld(
        "RCL5003",
        f"{lease.holder} is at work on {lease.name} since {lease.acquired_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"and holds it until {lease.expires_at:%H:%M:%S} UTC unless it prolongs it",
        "Wait for it to end, or stop it; a process that died here is noticed at once. See `reconciler lock show`.",
        subject=lease.name,
    )
