"""The difference and what is to be done about it: FieldChange -> Change -> Action -> Step -> Plan -> Outcome."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import msgspec

from reconciler.errors import Diagnostic, Location
from reconciler.model.groups import ExistingPoints, ProtectionGroup
from reconciler.model.identity import DataSource

FORMAT_VERSION = "1.0"


class Verb(StrEnum):
    """What happens to a group."""

    CREATE = "create"
    UPDATE = "update"
    RENAME = "rename"
    STOP = "stop"


class Direction(StrEnum):
    """What a change does to protection, mildest first."""

    NEUTRAL = "neutral"
    STRENGTHENS = "strengthens"
    WEAKENS = "weakens"
    DESTROYS = "destroys"

    @property
    def needs_consent(self) -> bool:
        return self in (Direction.WEAKENS, Direction.DESTROYS)

    @property
    def rank(self) -> int:
        return list(Direction).index(self)


class Reason(StrEnum):
    """Why a change is in the plan."""

    NEW_POLICY = "newPolicy"
    POLICY_CHANGED = "policyChanged"
    MACHINES_CHANGED = "machinesChanged"
    CHANGED_OUTSIDE = "changedOutside"
    RENAMED = "renamed"
    POLICY_REMOVED = "policyRemoved"
    SERVER_CHANGED = "serverChanged"


class FieldChange(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One field that differs. `path` is the policy's (``shortTerm.retention``, ``members``); `before` and `after`
    are in the policy's units, None where there is nothing. `assumed`: the engine cannot read the field back, so
    `before` is what was last applied. `note` says what follows from it."""

    path: str
    before: Any
    after: Any
    direction: Direction
    reason: Reason = Reason.POLICY_CHANGED
    location: Location | None = None
    assumed: bool = False
    note: str = ""


class Change(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How one group of one server differs. `before` None: it is not there; `after` None: it should not be."""

    server: str
    group: str
    verb: Verb
    reason: Reason
    direction: Direction
    fields: tuple[FieldChange, ...] = ()
    before: ProtectionGroup | None = None
    after: ProtectionGroup | None = None
    ref: str = ""
    location: Location | None = None


class CreateGroup(msgspec.Struct, frozen=True, rename="camel", tag_field="action", tag="createGroup"):
    """Makes a group that is not there."""

    server: str
    group: ProtectionGroup


class UpdateGroup(msgspec.Struct, frozen=True, rename="camel", tag_field="action", tag="updateGroup"):
    """Turns the group `ref` from `before` into `after`, which has the same name."""

    server: str
    ref: str
    before: ProtectionGroup
    after: ProtectionGroup


class RenameGroup(msgspec.Struct, frozen=True, rename="camel", tag_field="action", tag="renameGroup"):
    """Turns the group `ref` from `before` into `after`, which has another name; replicas and points stay."""

    server: str
    ref: str
    before: ProtectionGroup
    after: ProtectionGroup


class StopProtection(msgspec.Struct, frozen=True, rename="camel", tag_field="action", tag="stopProtection"):
    """Ends the group `ref`; its replicas become inactive and their points are kept as `existing_points` says."""

    server: str
    ref: str
    before: ProtectionGroup
    existing_points: ExistingPoints


Action = CreateGroup | UpdateGroup | RenameGroup | StopProtection


class KnownMember(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A member as it was last seen: what its machine was called, and what selectors look at. "" is unknown."""

    source: DataSource
    name: str
    labels: dict[str, str] = {}
    node: str = ""
    volumes: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    role: str = ""


class Remembrance(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the ledger is to remember of a group besides what was applied: all members that the policy wants, the hash
    of its membership rules, and the labels of its document."""

    members: tuple[KnownMember, ...] = ()
    selectors: str = ""
    labels: dict[str, str] = {}


class Step(msgspec.Struct, frozen=True, rename="camel"):
    """One thing that apply does: the action, the change that caused it, and what is remembered of it. It needs nothing
    else to be done. `id` is unique in the plan."""

    id: str
    action: Action
    change: Change
    remember: Remembrance = Remembrance()


class Plan(msgspec.Struct, frozen=True, rename="camel"):
    """Everything that is to be done on one site, safest first, and what was found on the way.

    `names` tells people what a data source is called; it is no part of the hash. `plan_hash` covers the steps.
    """

    site: str
    created_at: datetime
    steps: tuple[Step, ...]
    findings: tuple[Diagnostic, ...] = ()
    names: dict[str, str] = {}
    plan_hash: str = ""
    format_version: str = FORMAT_VERSION
    kind: str = "Plan"

    @property
    def weakening(self) -> tuple[Step, ...]:
        """The steps that need somebody's consent."""
        return tuple(step for step in self.steps if step.change.direction.needs_consent)


class Origin(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Where a saved plan comes from: the policies' commit and whether the working tree had more than it, who made it
    where, by which CI job, with which version; and when each cluster and server was seen (UTC)."""

    actor: str
    host: str
    version: str
    commit: str = ""
    dirty: bool = False
    ci: str = ""
    seen: dict[str, datetime] = {}


class SavedPlan(msgspec.Struct, frozen=True, rename="camel"):
    """A plan in a file. `seal` is the SHA-256 of the file's canonical JSON with an empty seal."""

    origin: Origin
    plan: Plan
    seal: str = ""
    format_version: str = FORMAT_VERSION
    kind: Literal["SavedPlan"] = "SavedPlan"


class OutcomeState(StrEnum):
    """`ALREADY`: the object was as `after` says. `UNKNOWN`: the answer was lost; it is observed again."""

    DONE = "done"
    ALREADY = "already"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Outcome(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What came of one step."""

    step: str
    state: OutcomeState
    at: datetime
    ref: str = ""
    code: str = ""
    reason: str = ""


class LedgerEntry(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A group that we own on a server: its reference there, what was last applied, and when (UTC).

    `selectors` is a hash of the membership rules as they were written, so that a new member can be told from a
    new rule. `labels` are the document's, for guardrails over what happens to the group when the document is gone.
    """

    server: str
    ref: str
    applied: ProtectionGroup
    applied_at: datetime
    run: str
    members: tuple[KnownMember, ...] = ()
    selectors: str = ""
    labels: dict[str, str] = {}

    @property
    def group(self) -> str:
        return self.applied.name
