"""The answer to an auditor: what protected a machine on a day, on whose word, and what could have been recovered."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from reconciler.model.evidence import EVIDENCE_FORMAT
from reconciler.model.groups import ProtectionGroup


class Confirmation(StrEnum):
    """How it was confirmed that a run may begin. The values are those of the record of it."""

    OPTION = "--yes"
    BREAK_GLASS = "--break-glass"
    TERMINAL = "asked in a terminal"
    #: The loop does what needs no approval, or has one.
    AUTOMATIC = "by itself"
    #: The lease that was to be taken away was nobody's any more.
    UNHELD = "nobody held it any more"
    #: A run that changes no protection.
    NOT_NEEDED = ""


class Consent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An approval that a step counted on: its name, who said yes, why, until when (a date, as text)."""

    name: str
    by: str
    reason: str
    until: str


class Decision(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A step that changed how a data source was protected, with the run that did it. `fields` are what it changed of
    the group, as the record has them; `authors` whom somebody named as such; `glass` why approvals, budgets or windows
    were passed over, "" if they were not."""

    at: datetime
    run: str
    step: str
    verb: str
    direction: str
    server: str
    group: str
    protects: bool
    actor: str = ""
    host: str = ""
    commit: str = ""
    ci: str = ""
    plan_hash: str = ""
    consent: str = ""
    authors: tuple[str, ...] = ()
    glass: str = ""
    fields: tuple[dict[str, Any], ...] = ()
    approvals: tuple[Consent, ...] = ()
    seq: int = 0


class KeptPoint(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A recovery point that was there on the day, or is gone: `gone_at` (UTC), and `why`: ``declaredLost`` with its
    store or volume, ``notThere`` in what stands in its place. `time` (UTC) is the moment that it shows."""

    id: str
    time: datetime
    kind: str
    server: str
    seq: int = 0
    gone_at: datetime | None = None
    why: str = ""


class Recovered(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A recovery: when it ended, who asked for it, which point, where to, what came of it."""

    at: datetime
    asked_by: str
    point: str
    target: str
    folder: str
    state: str
    files: int
    seq: int = 0


class Verified(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A verification: when it ended, what was done, what came of it."""

    at: datetime
    what: str
    state: str
    blocks_repaired: int
    seq: int = 0


class Protection(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How one data source was protected at a moment. `group` is the protection group as it was applied, None where
    nothing protected it; `since` when it joined that group, or when protection ended. `decisions` are all until then,
    newest first; `points` newest first, those that could have been recovered; `lost` are gone though nothing expired
    them."""

    source: str
    name: str
    server: str = ""
    group: ProtectionGroup | None = None
    since: datetime | None = None
    decisions: tuple[Decision, ...] = ()
    points: tuple[KeptPoint, ...] = ()
    verified: Verified | None = None
    recoveries: tuple[Recovered, ...] = ()
    lost: tuple[KeptPoint, ...] = ()

    @property
    def joined(self) -> Decision | None:
        """The step that brought it into the group, or that ended its protection."""
        then = [each for each in self.decisions if each.at == self.since]
        return (then[-1] if self.group is not None else then[0]) if then else None


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """What the evidence says of a machine at `at` (UTC): each of its data sources. `whole` tells whether the chain is
    as it was written."""

    machine: str
    at: datetime
    records: int
    whole: bool
    protections: tuple[Protection, ...]
    format_version: str = EVIDENCE_FORMAT
    kind: str = "EvidenceAnswer"
