"""The evidence as a state knows it: a record and the note of where its chain ends, under the same guard, together.

The folder and the database do not fail together: whichever is missing, cut short, older or of another site shows by the
other one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler.errors import Unreachable
from reconciler.model import EvidenceKind, Record
from reconciler.store.database import Database
from reconciler.store.evidence import End, EvidenceFolder


class ChainedEvidence:
    """See `protocols.Evidence`."""

    def __init__(self, database: Database, evidence: EvidenceFolder) -> None:
        self._database = database
        self._evidence = evidence

    @property
    def folder(self) -> Path:
        return self._evidence.folder

    def append(self, kind: EvidenceKind, at: datetime, run: str, body: dict[str, Any]) -> Record:
        def act(write: sqlite3.Connection) -> Record:
            record = self._evidence.append(kind, at, run, body, check=self._check)
            end = self._evidence.end()
            self._database.move(write, seq=end.seq, head=end.head)
            return record

        return self._database.write(act)

    def records(self, holding: str = "") -> Iterator[Record]:
        return self._evidence.records(holding)

    def trouble(self) -> Unreachable | None:
        """Why the folder is not the one that this state has written to, or has less than it wrote; None where it is.
        A folder that is ahead was written by a process that died before the state learned of it."""
        try:
            self._check(self._evidence.end())
        except Unreachable as error:
            return error
        return None

    def noted(self) -> tuple[int, str]:
        """How many records the state has on record, and the hash of the last."""
        line = self._database.line()
        return line["seq"] or 0, line["head"] or ""

    def begin_anew(self) -> None:
        """The evidence is lost, and that is on record elsewhere: the next record is the first of a new chain."""
        self._database.write(lambda write: self._database.move(write, seq=None, head=None))

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
            what = f"the evidence in {self.folder} ends with record {end.seq}, and {seq} were written: it was cut short"
        else:
            what = f"the evidence in {self.folder} is not the one that this state wrote: its record {seq} is another"
        raise Unreachable(
            "RCL5042",
            what,
            "Nothing was written. If its disk is not mounted, mount it. Else put the folder back from a copy, an "
            "export, or with `reconciler state restore BACKUP`. Where there is none: `reconciler evidence declare-lost "
            "--reason TEXT`.",
            subject=str(self.folder),
        )
