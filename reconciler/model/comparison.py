"""How two states of the policies differ: fields, documents, each with its direction and the hash an approval names."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from reconciler.errors import Diagnostic, Location
from reconciler.model.plans import Direction


class DocumentVerb(StrEnum):
    """What happened to a document."""

    CREATED = "create"
    CHANGED = "update"
    RENAMED = "rename"
    REMOVED = "delete"


class DocumentField(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One field that differs, in the policy's words; `field` "" is the whole document.

    `change_hash` is of the document, the field, both values and the direction: of no time, commit or selector's
    result. `location` is in the newer state, of what is gone in the older.
    """

    field: str
    before: Any
    after: Any
    direction: Direction
    change_hash: str
    location: Location | None = None
    note: str = ""


class DocumentChange(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One document that differs."""

    kind: str
    name: str
    verb: DocumentVerb
    direction: Direction
    fields: tuple[DocumentField, ...]
    location: Location | None = None
    formerly: str = ""


class ChangeOrigin(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A commit that made a change what it is: its id ("" for what is not committed yet), its author's e-mail address
    ("" for none) and when that was written (UTC), both as the commit says. `exact` False: it touched the file, and
    which of its commits made this change could not be told."""

    commit: str
    author: str
    at: datetime | None = None
    exact: bool = True


class CoverageShift(msgspec.Struct, frozen=True, rename="camel"):
    """A machine whose place changes: in a group, excluded or unprotected, by name of the group or exclusion."""

    machine: str
    cluster: str
    before: str
    after: str
    direction: Direction


class Comparison(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Everything that differs between two states of the policies.

    `approved` maps the hash of each change that is approved to the Approval that covers it. `shifts` None:
    no inventory was looked at. `findings` are of guardrails and of approvals that do not count. `origins` maps the hash
    of each change to the commits that made it, newest first, where that was asked for and there is a history.
    """

    older: str
    newer: str
    changes: tuple[DocumentChange, ...]
    approved: dict[str, str] = {}
    shifts: tuple[CoverageShift, ...] | None = None
    findings: tuple[Diagnostic, ...] = ()
    origins: dict[str, tuple[ChangeOrigin, ...]] = {}

    @property
    def unapproved(self) -> tuple[tuple[DocumentChange, DocumentField], ...]:
        """What weakens or destroys and nobody approved."""
        return tuple(
            (change, field)
            for change in self.changes
            for field in change.fields
            if field.direction.needs_consent and field.change_hash not in self.approved
        )

    def is_approved(self, subject: str) -> bool:
        """Whether the document (``Kind name``) is approved as it changes: every field that needs consent, or every one
        where none does. A document that does not change has nothing that could be approved."""
        change = next((each for each in self.changes if f"{each.kind} {each.name}" == subject), None)
        if change is None:
            return False
        harsh = [field for field in change.fields if field.direction.needs_consent] or change.fields
        return all(field.change_hash in self.approved for field in harsh)

    @property
    def direction(self) -> Direction:
        return max((change.direction for change in self.changes), key=lambda each: each.rank, default=Direction.NEUTRAL)


def change_hash(kind: str, name: str, field: str, before: Any, after: Any, direction: Direction, of: Any = None) -> str:
    """What an approval names: ``sha256:`` and the hash of the change in canonical JSON. `of` is what else the object is
    told by, besides its name, which another one can take."""
    said = {"kind": kind, "name": name, "field": field, "before": before, "after": after, "direction": direction}
    if of is not None:
        said["of"] = of
    return f"sha256:{hashlib.sha256(msgspec.json.encode(said, order='deterministic')).hexdigest()}"
