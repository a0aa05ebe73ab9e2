"""The tables of the state, as their rows are sealed: a row's values -> its digest, and the sets that it is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

Values = Mapping[str, Any]
Sets = Callable[[Values], Sequence[str]]


class Table(NamedTuple):
    """A table as it is sealed: its key, all columns that count, and the sets that a row with some values is in. One
    with a `sequence` among its columns keeps its rows in the order in which they came."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    sets: Sets

    @property
    def ordered(self) -> bool:
        """Whether its rows have an order of their own; its keys are then looked up in an index."""
        return "sequence" in self.columns

    @property
    def here(self) -> str:
        """The condition that finds a row by its key."""
        return " AND ".join(f"{column} = ?" for column in self.key)


def _all_of(name: str) -> Sets:
    return lambda values: (name,)


RUN = Table(
    "run",
    ("id",),
    ("sequence", "id", "body", "plan", "ended", "glass"),
    lambda values: (
        "run",
        *(() if values["ended"] else ("run.open",)),
        *(("run.glass",) if values["glass"] else ()),
    ),
)
STEP = Table(
    "step",
    ("run", "step"),
    ("sequence", "run", "step", "started_at", "outcome", "ended_at"),
    lambda values: ("step", f"step.{values['run']}"),
)
LEDGER = Table("ledger", ("server", "name"), ("server", "name", "body"), _all_of("ledger"))
JOB = Table(
    "job",
    ("id",),
    ("sequence", "id", "source", "kind", "running", "started_at", "body"),
    lambda values: ("job", "job.running") if values["running"] else ("job",),
)
LEASE = Table("lease", ("name",), ("name", "token", "body"), _all_of("lease"))
MARK = Table("mark", ("name",), ("name", "at"), _all_of("mark"))
SIGHTING = Table("sighting", ("server", "ref"), ("server", "ref", "body"), _all_of("sighting"))
DOCUMENT = Table("document", ("kind",), ("kind", "body"), _all_of("document"))
SERVER = Table("server", ("name",), ("name", "body"), _all_of("server"))
APPROVAL_USE = Table("approval_use", ("id",), ("id", "body"), _all_of("approval_use"))
REQUEST = Table(
    "request",
    ("id",),
    ("sequence", "id", "open", "body"),
    lambda values: ("request", "request.open") if values["open"] else ("request",),
)
OWED = Table("owed", ("id",), ("sequence", "id", "body"), _all_of("owed"))
INTENT = Table(
    "intent",
    ("id",),
    ("id", "open", "body"),
    lambda values: ("intent", "intent.open") if values["open"] else ("intent",),
)
LINEAGE = Table(
    "lineage", ("only",), ("only", "id", "generation", "floor", "seq", "head", "version", "schema"), lambda values: ()
)

#: Those that version 0.1 had.
FIRST_TABLES = (RUN, STEP, LEDGER, JOB, LEASE, MARK, SIGHTING, DOCUMENT)
TABLES = (*FIRST_TABLES, SERVER, APPROVAL_USE, REQUEST, OWED, INTENT)


def seal(table: Table, values: Values) -> bytes:
    """The digest of a row: over its table's name and every value, keys too."""
    plain = [table.name, *(values[column] for column in table.columns)]
    return blake2b(msgspec.msgpack.encode(plain), digest_size=16).digest()
