"""What a person writes: the policy documents, version ``reconciler/v1``, before anything is resolved.

The JSON Schemas in `schemas/` are generated from these types; their docstrings and `description`s are what an
editor shows. The whole language stands here; what an engine cannot do yet is refused by one table in `parse`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, Protocol, TypeVar

import msgspec
from msgspec import Meta

from reconciler.errors import Location
from reconciler.model.groups import ExistingPoints, Month, Recurrence, Week, Weekday
from reconciler.model.units import ClockTime, Duration, Size

API_VERSION = "reconciler/v1"

Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$(?!\n)",
        description="lower-case letters, digits and hyphens, at most 63",
    ),
]
Glob = Annotated[str, Meta(min_length=1, max_length=256, description="a name; * and ? stand for any letters")]
Path = Annotated[str, Meta(min_length=1, max_length=1024, description="a path, relative to the root")]
#: What a reference to a secret looks like.
REFERENCE_PATTERN = r"^(env|file|keyring|vault|azkv|exec):.+$(?!\n)"

Reference = Annotated[
    str,
    Meta(
        pattern=REFERENCE_PATTERN,
        description="where a secret is found; never the secret",
    ),
]
Rate = Annotated[
    str, Meta(pattern=r"^[0-9]{1,3}(\.[0-9]+)?%/d$(?!\n)", description="share of a disk that changes in a day")
]
Share = Annotated[str, Meta(pattern=r"^[0-9]{1,3}(\.[0-9]+)?%$(?!\n)", description="a share of all")]
Throughput = Annotated[
    str, Meta(pattern=r"^[0-9]+(\.[0-9]+)? ?(kB|MB|GB|KiB|MiB|GiB)/s$(?!\n)", description="bytes in a second")
]
LocalMinute = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2} ([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)",
        description="a minute in the site's zone",
    ),
]
#: How many of something. The bound keeps each number exact in every reader of JSON.
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
DayOfMonth = Annotated[int, Meta(ge=1, le=31)]
Labels = dict[Annotated[str, Meta(min_length=1, max_length=63)], Annotated[str, Meta(max_length=253)]]
Reasoned = Annotated[str, Meta(min_length=1, max_length=1000, description="why, for whoever reads this later")]


class Written(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything written: field names in camelCase, unknown fields refused."""


class OneOf(Written, frozen=True):
    """Base of what has exactly one of several fields: of `one_of`, or of all that it has."""

    one_of: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        names = self.one_of or self.__struct_fields__
        if sum(getattr(self, name) not in (None, ()) for name in names) != 1:
            raise ValueError(f"exactly one of {', '.join(names)} is written")


class Metadata(Written, frozen=True):
    name: Name
    labels: Labels = {}


# --- Site ------------------------------------------------------------------------------------------------


class Domain(Written, frozen=True):
    """The cluster's domain and how it stands to the backup server's."""

    name: str
    relation: Literal["same", "child", "trusted", "untrusted", "workgroup"]


class DirectoryInventory(Written, frozen=True):
    """A cluster on disk."""

    path: Path


class HypervInventory(Written, frozen=True):
    """A Hyper-V cluster over WinRM."""

    endpoint: str
    transport: Literal["ntlm", "kerberos", "credssp", "certificate"]
    credential: Reference


class SnapshotInventory(Written, frozen=True):
    """An exported snapshot, for offline plans."""

    path: Path


class InventorySource(OneOf, frozen=True):
    """Where the cluster is seen: exactly one of the kinds."""

    directory: DirectoryInventory | None = None
    hyperv: HypervInventory | None = None
    snapshot: SnapshotInventory | None = None


class LabelledRate(Written, frozen=True):
    labels: Labels
    rate: Rate


class Churn(Written, frozen=True):
    """How much of a disk changes in a day, for sizing."""

    default: Rate
    by_label: tuple[LabelledRate, ...] = ()


class Cluster(Written, frozen=True):
    """A cluster whose machines may be protected."""

    name: Name
    inventory: InventorySource
    domain: Domain | None = None
    churn: Churn | None = None


class EmbeddedEngine(Written, frozen=True):
    """The engine that ships with the product; `path` is where its store lies."""

    path: Path


class MabsEngine(Written, frozen=True):
    """Microsoft Azure Backup Server over WinRM."""

    endpoint: str
    transport: Literal["ntlm", "kerberos", "credssp", "certificate"]
    credential: Reference


class PluginEngine(Written, frozen=True):
    """An engine that an installed package brings, by the name of its entry point; `settings` are for the engine."""

    name: Name
    settings: dict[str, Any] = {}

    def __eq__(self, other: object) -> bool:
        """As the policies write them: `1` and `true` are equal to Python, and not to the engine that is handed them."""
        if not isinstance(other, PluginEngine):
            return NotImplemented
        return self.name == other.name and _written(self.settings) == _written(other.settings)


def _written(settings: dict[str, Any]) -> bytes:
    return msgspec.json.encode(settings, order="deterministic")


class EngineSource(OneOf, frozen=True):
    """What backs up: exactly one of the engines."""

    embedded: EmbeddedEngine | None = None
    mabs: MabsEngine | None = None
    plugin: PluginEngine | None = None

    @property
    def kind(self) -> str:
        """``embedded``, ``mabs`` or ``plugin``."""
        return next(name for name in self.__struct_fields__ if getattr(self, name) is not None)


class Volume(Written, frozen=True):
    """A volume of the server's storage pool and how much of it may be used."""

    name: Name
    capacity: Size


class AzureBlob(Written, frozen=True):
    account: str
    container: str
    credential: Reference


class S3(Written, frozen=True):
    bucket: str
    credential: Reference
    endpoint: str | None = None
    region: str | None = None


class OnlineFolder(Written, frozen=True):
    path: Path


class OnlineStore(OneOf, frozen=True):
    """Where online copies go (embedded engine): exactly one of the stores."""

    one_of = ("azure_blob", "s3", "folder")

    azure_blob: AzureBlob | None = None
    s3: S3 | None = None
    folder: OnlineFolder | None = None
    encryption_key: Reference | None = None


class Server(Written, frozen=True):
    """A backup server."""

    name: Name
    engine: EngineSource
    volumes: Annotated[tuple[Volume, ...], Meta(min_length=1)]
    agent_authentication: Literal["domain", "ntlm", "certificate"] = "domain"
    item_level_recovery: bool = False
    throughput: Throughput | None = None
    online_store: OnlineStore | None = None
    bin: Annotated[
        Duration | None, Meta(description="how long expired and deleted things can be brought back; default 7d")
    ] = None


class SqliteState(Written, frozen=True):
    path: Path


class PostgresqlState(Written, frozen=True):
    url: Reference


class State(OneOf, frozen=True):
    """Where ledger, journal, locks and jobs are kept: exactly one of the kinds."""

    sqlite: SqliteState | None = None
    postgresql: PostgresqlState | None = None


class PlacementRule(Written, frozen=True):
    labels: Labels
    server: Name


class Approvals(Written, frozen=True):
    """Who may approve what weakens."""

    approvers: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(min_length=1, description="e-mail addresses; without `approvals` changes are confirmed in a terminal"),
    ]
    self_approval: bool = False
    allowed_signers: Path | None = None


class BudgetPerDay(Written, frozen=True):
    initial_replication: Size | None = None
    new_members: Count | None = None
    expired_points: Count | None = None


class Budgets(Written, frozen=True):
    """How much may change at once."""

    per_day: BudgetPerDay | None = None
    share_at_once: Share | None = None
    minimum_population: Count | None = None


class Mail(Written, frozen=True):
    smtp: str
    sender: str = msgspec.field(name="from")
    credential: Reference | None = None


class Window(Written, frozen=True):
    """Clock times of a day in the site's zone; `to` before `from` runs over midnight."""

    start: ClockTime = msgspec.field(name="from")
    end: ClockTime = msgspec.field(name="to")


class WindowRule(Written, frozen=True):
    """When a change window applies; left out is always."""

    days: tuple[Weekday, ...] = ()
    dates: tuple[date, ...] = ()
    start: ClockTime | None = msgspec.field(name="from", default=None)
    end: ClockTime | None = msgspec.field(name="to", default=None)


class ChangeWindow(OneOf, frozen=True):
    """Exactly one of `allow` and `deny`; deny wins."""

    allow: WindowRule | None = None
    deny: WindowRule | None = None


class SiteSpec(Written, frozen=True):
    """Where things are. No secret ever, only references."""

    time_zone: Annotated[str, Meta(min_length=1, description="an IANA name; schedules are read in this zone")]
    prune: Annotated[bool, Meta(description="may a group that vanished from Git be stopped? No default, on purpose")]
    state: State
    clusters: Annotated[tuple[Cluster, ...], Meta(min_length=1)]
    servers: Annotated[tuple[Server, ...], Meta(min_length=1)]
    rehearsal: Annotated[bool, Meta(description="true: --now is allowed (demo, tests)")] = False
    placement: tuple[PlacementRule, ...] = ()
    approvals: Approvals | None = None
    budgets: Budgets | None = None
    mail: Mail | None = None
    change_windows: tuple[ChangeWindow, ...] = ()


class SiteDocument(Written, frozen=True):
    """A site: its clusters, its backup servers, and where our memory of it is."""

    api_version: Literal["reconciler/v1"]
    kind: Literal["Site"]
    metadata: Metadata
    spec: SiteSpec


# --- ProtectionGroup -------------------------------------------------------------------------------------


class MachineSelector(Written, frozen=True):
    """Machines of a cluster: all that match every field given, but for `except`. Live: a new machine that matches
    becomes a member at the next plan."""

    cluster: Name
    names: tuple[Glob, ...] = ()
    labels: Labels = {}
    except_: tuple[Glob, ...] = msgspec.field(name="except", default=())
    nodes: tuple[Glob, ...] = ()
    volumes: tuple[Glob, ...] = ()
    operating_systems: tuple[Glob, ...] = ()
    replica_role: Literal["primary", "replica", "none"] | None = None


class HostSelector(Written, frozen=True):
    """Hosts of a cluster."""

    cluster: Name
    names: tuple[Glob, ...] = ()
    except_: tuple[Glob, ...] = msgspec.field(name="except", default=())


class ProtectedParts(OneOf, frozen=True):
    """What of a guest is protected: exactly one of the kinds."""

    volumes: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    application: str | None = None


class StoragePreference(Written, frozen=True):
    """The preferred volume for new replicas; without it the engine chooses and shows its choice."""

    volume: Name


class MemberRule(OneOf, frozen=True):
    """One rule of membership: machines or hosts, the level, and where their replicas go."""

    one_of = ("virtual_machines", "hosts")

    virtual_machines: MachineSelector | None = None
    hosts: HostSelector | None = None
    level: Literal["host", "guest"] = "host"
    protect: Literal["bareMetal", "systemState"] | ProtectedParts | None = None
    storage: StoragePreference | None = None


class Times(Written, frozen=True):
    """Clock times on days, in the site's zone."""

    times: Annotated[tuple[ClockTime, ...], Meta(min_length=1)]
    days: tuple[Weekday, ...] = ()
    weeks: tuple[Week, ...] = ()
    months: tuple[Month, ...] = ()
    days_of_month: tuple[DayOfMonth, ...] = ()

    @property
    def recurrence(self) -> Recurrence:
        """The same, sorted and without repetition."""
        return Recurrence(
            times=tuple(sorted({each.value for each in self.times})),
            days=tuple(sorted(set(self.days), key=lambda day: day.number)),
            weeks=tuple(sorted(set(self.weeks), key=list(Week).index)),
            months=tuple(sorted(set(self.months), key=lambda month: month.number)),
            days_of_month=tuple(sorted(set(self.days_of_month))),
        )


class ShortTermPolicy(Written, frozen=True):
    """Short-term protection on disk."""

    retention: Annotated[Duration, Meta(description="how long points are kept: 1d to 448d")]
    synchronization: Annotated[
        Literal["15min", "30min", "45min", "1h", "2h", "4h", "6h", "12h", "24h", "60min", "beforeRecoveryPoint"],
        Meta(description="how often changes are taken, or just before each recovery point"),
    ]
    minimum_points: Annotated[int, Meta(ge=3, le=448, description="a floor that age never breaks")] = 3
    rpo: Annotated[
        Duration | None, Meta(description="greatest age of the newest point; default: the longest gap, plus 1h")
    ] = None
    express_full: Times | None = None
    recovery_points: Times | None = None


class OnlineDaily(Written, frozen=True):
    keep: Duration
    times: Annotated[tuple[ClockTime, ...], Meta(min_length=1)]


class OnlineWeekly(Written, frozen=True):
    keep: Duration
    days: Annotated[tuple[Weekday, ...], Meta(min_length=1)]
    every: Annotated[int, Meta(ge=1, le=52, description="every so many weeks")] = 1
    times: tuple[ClockTime, ...] = ()


class OnlineMonthly(Written, frozen=True):
    keep: Duration
    weeks: tuple[Week, ...] = ()
    days: tuple[Weekday, ...] = ()
    days_of_month: tuple[DayOfMonth, ...] = ()
    times: tuple[ClockTime, ...] = ()


class OnlineYearly(Written, frozen=True):
    keep: Duration
    months: Annotated[tuple[Month, ...], Meta(min_length=1)]
    days_of_month: tuple[DayOfMonth, ...] = ()
    weeks: tuple[Week, ...] = ()
    days: tuple[Weekday, ...] = ()
    times: tuple[ClockTime, ...] = ()


class OnlinePolicy(Written, frozen=True):
    """Online protection: how long daily, weekly, monthly and yearly copies are kept."""

    daily: OnlineDaily | None = None
    weekly: OnlineWeekly | None = None
    monthly: OnlineMonthly | None = None
    yearly: OnlineYearly | None = None


class Later(Written, frozen=True):
    later: LocalMinute

    @property
    def at(self) -> datetime | None:
        """What the clocks of the site show then, written as UTC; None for a day that never comes."""
        try:
            return datetime.fromisoformat(self.later).replace(tzinfo=UTC)
        except ValueError:
            return None


class CheckSchedule(Written, frozen=True):
    time: ClockTime
    max_hours: Annotated[int, Meta(ge=1, le=24)] = 4


class ConsistencyCheckPolicy(Written, frozen=True):
    """When a replica is compared with its source: once it is inconsistent, and by a schedule."""

    when_inconsistent: bool = False
    schedule: CheckSchedule | None = None


class Verification(Written, frozen=True):
    max_age: Duration
    sample: Share = "100%"


class Paused(Written, frozen=True):
    """No job of the group begins by itself and none of its points expire: why, who says so, until when."""

    reason: Reasoned
    owner: Annotated[str, Meta(min_length=1, description="who answers for it")]
    until: Annotated[date, Meta(description="the last day on which it counts, at most 90 days from today")]


class IgnoreRule(Written, frozen=True):
    field: str
    reason: Reasoned
    until: date | None = None


class GroupSpec(Written, frozen=True):
    """What is protected, how often, and for how long."""

    site: Name
    server: Annotated[Name, Meta(description="a server's name, or auto")]
    members: Annotated[tuple[MemberRule, ...], Meta(min_length=1)]
    short_term: ShortTermPolicy
    display_name: (
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Za-z0-9][A-Za-z0-9 ]{0,63}$(?!\n)",
                description="the name on the server: letters, digits and spaces, at most 64",
            ),
        ]
        | None
    ) = None
    renamed_from: Annotated[tuple[Name, ...], Meta(description="earlier names of this group")] = ()
    storage: StoragePreference | None = None
    online: OnlinePolicy | None = None
    colocate: bool = False
    backup_window: Window | None = None
    replica_creation: Literal["now", "manual"] | Later = "now"
    consistency_check: ConsistencyCheckPolicy = ConsistencyCheckPolicy()
    verification: Verification | None = None
    existing_points: ExistingPoints = ExistingPoints.RETAIN
    deletion_protection: bool = False
    paused: Paused | None = None
    ignore: tuple[IgnoreRule, ...] = ()


class GroupDocument(Written, frozen=True):
    """A protection group: members that share one policy."""

    api_version: Literal["reconciler/v1"]
    kind: Literal["ProtectionGroup"]
    metadata: Metadata
    spec: GroupSpec
    extends: tuple[Name, ...] = ()


# --- Exclusion -------------------------------------------------------------------------------------------


class ExclusionSpec(Written, frozen=True):
    """Machines that are unprotected on purpose: which, why, who says so, until when."""

    site: Name
    virtual_machines: MachineSelector
    reason: Reasoned
    owner: Annotated[str, Meta(min_length=1)]
    until: Annotated[date, Meta(description="the last day on which it counts")]


class ExclusionDocument(Written, frozen=True):
    """Machines that are unprotected on purpose."""

    api_version: Literal["reconciler/v1"]
    kind: Literal["Exclusion"]
    metadata: Metadata
    spec: ExclusionSpec


# --- Preset ----------------------------------------------------------------------------------------------


class PresetDocument(Written, frozen=True):
    """Fields that groups share: merged into the groups that name it under `extends`. Protects nothing by itself.

    Mappings are merged deeply, everything else is replaced; a later preset wins over an earlier one, and what the
    group writes wins over all.
    """

    api_version: Literal["reconciler/v1"]
    kind: Literal["Preset"]
    metadata: Metadata
    for_: Literal["ProtectionGroup"] = msgspec.field(name="for")
    spec: dict[str, Any]


# --- Guardrail -------------------------------------------------------------------------------------------

#: What a guardrail over changes can be about; the verbs of a plan and of a comparison.
Operation = Literal["create", "update", "rename", "stop", "delete"]


class GuardrailMatch(Written, frozen=True):
    """What a rule looks at: documents of these kinds, with these labels and names. With `operations` it looks at
    changes of them instead, in `plan` and `diff`."""

    kinds: Annotated[tuple[Literal["Site", "ProtectionGroup", "Exclusion"], ...], Meta(min_length=1)]
    labels: Labels = {}
    names: tuple[Glob, ...] = ()
    operations: tuple[Operation, ...] = ()


class GuardrailValidation(Written, frozen=True):
    """One rule: a CEL expression that is true where all is well. `message` says what it wants; `messageExpression`
    is CEL that gives the text."""

    expression: Annotated[str, Meta(min_length=1, max_length=4096)]
    message: str = ""
    message_expression: str = ""


class GuardrailSpec(Written, frozen=True):
    """Rules in CEL over `object`, `oldObject`, `change` and `params`."""

    match: GuardrailMatch
    validations: Annotated[tuple[GuardrailValidation, ...], Meta(min_length=1)]
    params: dict[str, Any] = {}
    enforce: Annotated[
        Literal["deny", "approve", "warn"], Meta(description="deny: exit 4; approve: exit 5 until approved; warn")
    ] = "deny"


class GuardrailDocument(Written, frozen=True):
    """A rule over policies and over their changes."""

    api_version: Literal["reconciler/v1"]
    kind: Literal["Guardrail"]
    metadata: Metadata
    spec: GuardrailSpec


# --- Approval --------------------------------------------------------------------------------------------

ChangeHash = Annotated[
    str, Meta(pattern=r"^sha256:[0-9a-f]{64}$(?!\n)", description="a changeHash as `reconciler diff` prints it")
]


class Ceilings(Written, frozen=True):
    """How much may be lost by what is approved."""

    expired_points: Count | None = None


class ApprovalSpec(Written, frozen=True):
    """Which changes are approved, by whom, why, and until when. One without `id` and `site`, as version 0.1 wrote them,
    does not count any more."""

    changes: Annotated[tuple[ChangeHash, ...], Meta(min_length=1)]
    approved_by: Annotated[str, Meta(min_length=1, description="one of the site's approvers")]
    reason: Reasoned
    until: Annotated[date, Meta(description="the last day on which it counts")]
    ceilings: Ceilings | None = None
    signature: Annotated[str, Meta(description="an SSH signature; `reconciler approve --key` writes it")] = ""
    id: Annotated[
        str, Meta(pattern=r"^([0-9a-f]{32})?$", description="a random number, so that it is used once; written for you")
    ] = ""
    site: Annotated[str, Meta(max_length=63, description="the site that it is for, and no other")] = ""


class ApprovalDocument(Written, frozen=True):
    """Somebody's yes to changes that weaken protection, bound to just these changes."""

    api_version: Literal["reconciler/v1"]
    kind: Literal["Approval"]
    metadata: Metadata
    spec: ApprovalSpec


# --- What loading gives ----------------------------------------------------------------------------------


class Positions(Protocol):
    """Where each node of one document stands in its file."""

    def at(self, *path: str | int) -> Location:
        """The place of the value at `path` (as written, camelCase); of its nearest ancestor where it is not
        written; of the document for no path."""
        ...

    def at_key(self, *path: str | int) -> Location:
        """The place of the name of the field at `path`, where it is written; else of what is around it."""
        ...

    def within(self, line: int, column: int, *path: str | int) -> Location:
        """The place of a letter of the text at `path`, by its line and column in the text (from 1); of the text where
        it stands otherwise than it is read: folded, or with escapes."""
        ...


T = TypeVar("T")


class Placed(msgspec.Struct, Generic[T], frozen=True):
    """A document, and where it stands."""

    document: T
    positions: Positions


class PolicySet(msgspec.Struct, frozen=True):
    """Every document of a policy folder, checked and typed. Sorted by name within each kind."""

    sites: tuple[Placed[SiteDocument], ...]
    groups: tuple[Placed[GroupDocument], ...]
    exclusions: tuple[Placed[ExclusionDocument], ...]
    presets: tuple[Placed[PresetDocument], ...] = ()
    guardrails: tuple[Placed[GuardrailDocument], ...] = ()
    approvals: tuple[Placed[ApprovalDocument], ...] = ()
