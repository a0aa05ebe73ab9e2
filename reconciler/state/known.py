"""What the state knows of stores that it has written to and of approvals that it has used: structs in, structs out."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from reconciler.model import KnownStore
from reconciler.protocols import ApprovalUse
from reconciler.state.database import Database
from reconciler.state.tables import APPROVAL_USE, SERVER


class SqliteStores:
    """See `protocols.Stores`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self) -> Mapping[str, KnownStore]:
        rows = self._database.rows(SERVER, order="name", whole="server")
        return {row["name"]: self._database.decode(row["body"], KnownStore) for row in rows}

    def note(self, store: KnownStore) -> None:
        body = msgspec.json.encode(store)
        self._database.write(lambda write: self._database.put(write, SERVER, name=store.server, body=body))

    def forget(self, server: str) -> None:
        self._database.write(lambda write: self._database.drop(write, SERVER, server))


class SqliteApprovals:
    """See `protocols.ApprovalUses`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Mapping[str, ApprovalUse]:
        rows = self._database.rows(APPROVAL_USE, order="id", whole="approval_use")
        return {row["id"]: self._database.decode(row["body"], ApprovalUse) for row in rows}

    def record(self, use: ApprovalUse) -> None:
        body = msgspec.json.encode(use)
        self._database.write(lambda write: self._database.put(write, APPROVAL_USE, id=use.id, body=body))
