"""Waiting: what the policies ask for and is not done yet, why, and what ends the wait."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from reconciler.model.plans import FieldChange


class WaitKind(StrEnum):
    """What is waited for: an approval (or a person in a terminal, where the site names no approvers), a decision that
    a finding names, or a change window, budget or earlier wave."""

    APPROVAL = "approval"
    DECISION = "decision"
    TIME = "time"


class Waiting(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One thing that waits. `because` is a whole clause, `help` what to do about it; `code` is that of the finding that
    says it. `until` (UTC): when it goes on by itself, None where it does not, or nobody can tell."""

    kind: WaitKind
    subject: str
    because: str
    help: str = ""
    code: str = ""
    server: str = ""
    group: str = ""
    changes: tuple[FieldChange, ...] = ()
    until: datetime | None = None

    @property
    def key(self) -> tuple[str, ...]:
        """The same as long as it is the same that waits, whatever the reason says by then."""
        told = tuple(f"{each.path}: {each.before} -> {each.after}" for each in self.changes)
        return (self.kind, self.code, self.server, self.group, self.subject, *told)
