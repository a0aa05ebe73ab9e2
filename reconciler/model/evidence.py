"""Evidence: what was done, by whom, on whose yes, and what came of it; each record names the one before it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from reconciler.errors import Diagnostic

EVIDENCE_FORMAT = "1.0"


class EvidenceKind(StrEnum):
    """What a record tells of; its fields are in docs/reference/evidence.md."""

    RUN = "run"
    APPROVAL = "approval"
    STEP = "step"
    RUN_ENDED = "runEnded"
    POINT = "recoveryPoint"
    EXPIRED = "expiredPoints"
    RECOVERY = "recovery"
    VERIFICATION = "verification"
    LOCK = "lock"
    BREAK_GLASS = "breakGlass"
    STATE = "state"
    DRIFT = "drift"


class Record(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One line of the evidence. `prev` is the SHA-256 (hex) of the line before it, without its newline; "" for the
    first. `seq` counts from 1. `run` is the run's id, "" outside of one. `body` holds JSON values."""

    seq: int
    prev: str
    at: datetime
    kind: EvidenceKind
    run: str = ""
    body: dict[str, Any] = {}


def record_line(record: Record) -> bytes:
    """The record as its line has it, without the newline: canonical JSON."""
    return msgspec.json.encode(record, order="deterministic")


class ChainCheck(msgspec.Struct, frozen=True, rename="camel"):
    """What checking a chain found. `records` is how many read, `head` the SHA-256 (hex) of the last line, `anchored`
    how many records the anchor covers. A chain is whole where no finding is an error."""

    segments: int
    records: int
    head: str
    anchored: int
    findings: tuple[Diagnostic, ...] = ()
