"""The difference and what is to be done about it: FieldChange -> Change -> Action -> Step -> Plan -> Outcome."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal

import msgspec

from reconciler.errors import Diagnostic, Location
from reconciler.model.groups import ExistingPoints, ProtectionGroup
from reconciler.model.impact import Cost, Impact, VolumeImpact
from reconciler.model.ledger import Remembrance

FORMAT_VERSION = "1.1"


class Verb(StrEnum):
    """What happens to a group."""

    CREATE = "create"
    UPDATE = "update"
    RENAME = "rename"
    STOP = "stop"
    ADOPT = "adopt"


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
    SITE_CHANGED = "siteChanged"
    ADOPTED = "adopted"


class FieldChange(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One field that differs. `path` is the policy's (``shortTerm.retention``, ``members``), "" for the whole group;
    `before` and `after` are in the policy's units, None where there is nothing. `assumed`: the engine cannot read the
    field back, so `before` is what was last applied. `note` says what follows from it.

    `change_hash` is what an Approval names, of a field that needs consent; `approved_by` the Approval that covers it.
    """

    path: str
    before: Any
    after: Any
    direction: Direction
    reason: Reason = Reason.POLICY_CHANGED
    location: Location | None = None
    assumed: bool = False
    note: str = ""
    change_hash: str = ""
    approved_by: str = ""

    @property
    def needs_consent(self) -> bool:
        """Whether somebody still has to say yes to it."""
        return self.direction.needs_consent and not self.approved_by


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

    @property
    def needs_consent(self) -> bool:
        """Whether somebody still has to say yes to a part of it."""
        if not self.fields:
            return self.direction.needs_consent
        return any(field.needs_consent for field in self.fields)


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


class Adopt(msgspec.Struct, frozen=True, rename="camel", tag_field="action", tag="adopt"):
    """Takes the group `ref`, which is as `group` says, into the ledger; the server is not changed."""

    server: str
    ref: str
    group: ProtectionGroup


Action = CreateGroup | UpdateGroup | RenameGroup | StopProtection | Adopt


class Step(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One thing that apply does: the action, the change that caused it, and what is remembered of it. It needs nothing
    else to be done. `id` is unique in the plan; `wave` is the number of the wave that it belongs to.

    `base_hash` and `desired_hash` are of the group as it was seen and as it is to be ("" where it is not there).
    """

    id: str
    action: Action
    change: Change
    remember: Remembrance = Remembrance()
    wave: int = 1
    impact: Impact | None = None
    hazards: tuple[Diagnostic, ...] = ()
    cost: Cost = Cost()
    base_hash: str = ""
    desired_hash: str = ""


class Approved(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An Approval that counts: its name, who said yes, why, until when, and to which changes. `expired_points` is the
    most points that may expire by it over all waves, None for any number, `spent` how many did so far. `id` is the
    random number of the document. `not_for` are the hashes of what was written only after it was agreed to and done
    with: it covers none of that, by whichever hash it names it."""

    name: str
    by: str
    reason: str
    until: date
    changes: tuple[str, ...]
    expired_points: int | None = None
    id: str = ""
    spent: int = 0
    not_for: tuple[str, ...] = ()


class Wave(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Steps that are done together. `opens_at` (UTC) is the first moment at which they may be; `because` says what
    keeps them from being done at once, "" for nothing."""

    number: int
    opens_at: datetime
    because: str = ""


class Plan(msgspec.Struct, frozen=True, rename="camel"):
    """Everything that is to be done on one site, by wave, safest first, and what was found on the way.

    `names` tells people what a data source is called; it is no part of the hash. `plan_hash` covers the steps.
    `scope` tells what the plan was limited to, () for the whole site. `volumes` are those of the servers' pools that
    the plan fills or frees. `approvals` are those that cover changes of it.
    """

    site: str
    created_at: datetime
    steps: tuple[Step, ...]
    findings: tuple[Diagnostic, ...] = ()
    names: dict[str, str] = {}
    plan_hash: str = ""
    scope: tuple[str, ...] = ()
    waves: tuple[Wave, ...] = ()
    volumes: tuple[VolumeImpact, ...] = ()
    approvals: tuple[Approved, ...] = ()
    format_version: str = FORMAT_VERSION
    kind: str = "Plan"

    @property
    def weakening(self) -> tuple[Step, ...]:
        """The steps that still need somebody's consent."""
        return tuple(step for step in self.steps if step.change.needs_consent)


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
