"""What persons ask for while a loop lives: one row for each, which one process takes up and answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime

import msgspec

from reconciler.protocols import Request, RequestState
from reconciler.state.database import Database
from reconciler.state.tables import REQUEST

Now = Callable[[], datetime]


class SqliteRequests:
    """See `protocols.Requests`. Persons hold no lease, so neither do these writes."""

    def __init__(self, database: Database, now: Now) -> None:
        self._database = database
        self._now = now

    def ask(self, request: Request) -> None:
        self._database.write(lambda write: self._put(write, request), guarded=False)

    def get(self, request: str) -> Request | None:
        row = self._database.row(REQUEST, request)
        return self._database.decode(row["body"], Request) if row is not None else None

    def open(self) -> tuple[Request, ...]:
        rows = self._database.rows(REQUEST, "open = 1", order="sequence", whole="request.open")
        return tuple(self._database.decode(row["body"], Request) for row in rows)

    def take(self, request: str, holder: str) -> Request | None:
        def act(write: sqlite3.Connection) -> Request | None:
            found = self.get(request)
            if found is None or found.state is not RequestState.WAITING:
                return None
            if found.until <= self._now():
                self._put(write, msgspec.structs.replace(found, state=RequestState.EXPIRED))
                return None
            taken = msgspec.structs.replace(found, state=RequestState.SERVED, served_by=holder)
            self._put(write, taken)
            return taken

        return self._database.write(act)

    def answer(self, request: str, state: RequestState, answer: str = "") -> None:
        def act(write: sqlite3.Connection) -> None:
            found = self.get(request)
            if found is not None and not found.state.ended:
                self._put(write, msgspec.structs.replace(found, state=state, answer=answer))

        self._database.write(act)

    def withdraw(self, request: str) -> bool:
        def act(write: sqlite3.Connection) -> bool:
            found = self.get(request)
            if found is None or found.state is not RequestState.WAITING:
                return False
            self._put(write, msgspec.structs.replace(found, state=RequestState.WITHDRAWN))
            return True

        return self._database.write(act, guarded=False)

    def _put(self, write: sqlite3.Connection, request: Request) -> None:
        body = msgspec.json.encode(request)
        self._database.put(write, REQUEST, id=request.id, open=int(not request.state.ended), body=body)
