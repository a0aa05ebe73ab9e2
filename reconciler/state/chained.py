"""The evidence as a state knows it: a record and the note of where its chain ends, under the same guard, together.

The folder and the database do not fail together: whichever is missing, cut short, older or of another site shows by the
other one. What the folder cannot take is owed to it: it is kept in the state, and written in its order once it can be.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from reconciler.errors import Damaged, TemporaryError, Unreachable
from reconciler.model import EvidenceKind, Record
from reconciler.state.database import Database
from reconciler.state.evidence import End, EvidenceFolder
from reconciler.state.tables import OWED, Values

#: What keeps a record from being written, and leaves the state as it was.
_CANNOT = (Unreachable, TemporaryError, Damaged, OSError)


class ChainedEvidence:
    """See `protocols.KnownEvidence`."""

    def __init__(self, database: Database, evidence: EvidenceFolder) -> None:
        self._database = database
        self._evidence = evidence

    @property
    def folder(self) -> Path:
        return self._evidence.folder

    def append(self, kind: EvidenceKind, at: datetime, run: str, body: dict[str, Any]) -> Record:
        error = self.trouble()
        if error is not None:
            raise error  # before anything is put in order there: it is to be compared with a copy as it is
        self.settle()
        return self._database.write(lambda write: self._append(write, Record(0, "", at, kind, run, body)))

    def append_or_owe(self, kind: EvidenceKind, at: datetime, run: str, body: dict[str, Any]) -> None:
        try:
            self.append(kind, at, run, body)
        except _CANNOT:
            self.owe((Record(0, "", at, kind, run, body),))

    def owe(self, records: Iterable[Record]) -> None:
        def act(write: sqlite3.Connection) -> None:
            for each in records:
                body = msgspec.json.encode(each)
                self._database.put(write, OWED, id=secrets.token_hex(8), body=body)

        self._database.write(act)

    def owe_besides(self, others: Iterable[Record], written: Iterable[Record]) -> None:
        """This state comes from a backup: `others` are owed too, by the one that it replaces, and what is among the
        `written` ones is owed no more."""
        rows = self._rows()
        mine = [self._database.decode(row["body"], Record) for row in rows]
        every = [*mine, *(each for each in others if each not in mine)]
        for done in written if every else ():
            every = [each for each in every if not _same(each, done)]

        def act(write: sqlite3.Connection) -> None:
            for row in rows:
                self._database.drop(write, OWED, row["id"])

        self._database.write(act)
        self.owe(sorted(every, key=lambda each: each.at))

    def owed(self) -> tuple[Record, ...]:
        return tuple(self._database.decode(row["body"], Record) for row in self._rows())

    def settle(self, first: str = "") -> None:
        rows = self._rows()
        if first:
            rows.sort(key=lambda row: self._database.decode(row["body"], Record).run != first)
        for row in rows:
            self._settle_one(row)

    def records(self, holding: str = "") -> Iterator[Record]:
        return self._evidence.records(holding)

    def trouble(self) -> Unreachable | None:
        """Why the folder is not the one that this state has written to, or has less than it wrote; None where it is.
        A folder that is ahead was written by a process that died before the state learned of it."""
        try:
            self._check(self._evidence.end())
        except Unreachable as error:
            return error
        except OSError as error:
            what = f"the evidence in {self.folder} cannot be read: {error.strerror or error}"
            return Unreachable("RCL5021", what, "Check its disk.", subject=str(self.folder))
        return None

    def noted(self) -> tuple[int, str]:
        """How many records the state has on record, and the hash of the last."""
        line = self._database.line()
        return line["seq"] or 0, line["head"] or ""

    def begin_anew(self, told_by: str) -> None:
        self._database.write(lambda write: self._database.move(write, seq=None, head=None))
        self.settle(first=told_by)

    def _rows(self) -> list[Values]:
        return self._database.rows(OWED, order="sequence", whole="owed")

    def _settle_one(self, row: Values) -> None:
        """Writes what is owed, and owes it no more: in one transaction, so that it is written once. Killed between the
        two the folder is ahead by just this record."""
        record = self._database.decode(row["body"], Record)

        def act(write: sqlite3.Connection) -> None:
            if self._database.row(OWED, row["id"]) is None:
                return  # another process was quicker
            if any(_same(record, each) for each in self._ahead()):
                self._note_end(write)
            else:
                self._append(write, record)
            self._database.drop(write, OWED, row["id"])

        self._database.write(act)

    def _append(self, write: sqlite3.Connection, told: Record) -> Record:
        record = self._evidence.append(told.kind, told.at, told.run, told.body, check=self._check)
        self._note_end(write)
        return record

    def _note_end(self, write: sqlite3.Connection) -> None:
        end = self._evidence.end()
        self._database.move(write, seq=end.seq, head=end.head)

    def _ahead(self) -> tuple[Record, ...]:
        """The records that the folder has and the state has not noted. Raises where the folder is not ours."""
        end = self._evidence.end()
        self._check(end)
        noted, _ = self.noted()
        return tuple(self._evidence.after(noted)) if end.seq > noted else ()

    def _check(self, end: End) -> None:
        if not self._database.sealed:
            return
        line = self._database.line()
        seq, head = line["seq"], line["head"]
        if seq is None or (end.seq, end.head) == (seq, head):
            return
        if end.seq > seq and self._evidence.hash_of(seq) == head:
            return
        if not end.seq:
            what = f"the evidence in {self.folder} is gone: it had {seq} records"
        elif end.seq < seq:
            what = f"the evidence in {self.folder} ends with record {end.seq}, and {seq} were written: it was truncated"
        else:
            what = f"the evidence in {self.folder} is not the one that this state wrote: its record {seq} is another"
        raise Unreachable(
            "RCL5042",
            what,
            "Nothing was written there. If its disk is not mounted, mount it. Otherwise put the folder "
            "back from a copy, an "
            "export, or with `reconciler state restore BACKUP`. Where there is none: `reconciler evidence declare-lost "
            "--reason TEXT`.",
            subject=str(self.folder),
        )


def _same(owed: Record, written: Record) -> bool:
    """Whether the record is what was owed; a writer adds to it what it put aside before."""
    body = {key: value for key, value in written.body.items() if key != "setAside" or key in owed.body}
    return (written.kind, written.at, written.run, body) == (owed.kind, owed.at, owed.run, owed.body)
