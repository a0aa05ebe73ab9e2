"""Events: what the loop did, found or waits for -> one typed value, which reports turn into a line of text or JSON."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from reconciler.errors import Location
from reconciler.model.identity import DataSource
from reconciler.model.jobs import JobKind
from reconciler.model.plans import FieldChange


class EventLevel(StrEnum):
    """How grave an event is. `DEBUG` is shown only where somebody asks for more."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class EventName(StrEnum):
    """What happened. Collectors filter by these names, so they never change."""

    RUN_STARTED = "run.started"
    RUN_STOPPED = "run.stopped"
    RUN_TICKED = "run.ticked"
    POLICIES_TAKEN = "policies.taken"
    POLICIES_WRONG = "policies.wrong"
    POLICIES_DENIED = "policies.denied"
    POLICIES_RIGHT = "policies.right"
    FETCH_FAILED = "fetch.failed"
    FETCH_RECOVERED = "fetch.recovered"
    HISTORY_REFUSED = "history.refused"
    HISTORY_ACCEPTED = "history.accepted"
    CLUSTER_UNREACHABLE = "cluster.unreachable"
    CLUSTER_REACHABLE = "cluster.reachable"
    SERVER_UNREACHABLE = "server.unreachable"
    SERVER_REACHABLE = "server.reachable"
    CHANGE_APPLIED = "change.applied"
    CHANGE_FAILED = "change.failed"
    DRIFT_FOUND = "drift.found"
    DRIFT_CORRECTED = "drift.corrected"
    DRIFT_ENDED = "drift.ended"
    WAITING_STARTED = "waiting.started"
    WAITING_ENDED = "waiting.ended"
    PRUNING_PAUSED = "pruning.paused"
    PRUNING_RESUMED = "pruning.resumed"
    JOB_STARTED = "job.started"
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    JOB_INTERRUPTED = "job.interrupted"
    FINDING_RAISED = "finding.raised"
    FINDING_CLEARED = "finding.cleared"


class Event(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One event. `time` is UTC; `message` is a whole sentence without it. All else is there where it has a meaning:
    `help` says what to do, `subject` and `location` what it is about, `changes` which fields with their values before
    and after, `until` when what waits may go on (UTC), `commit` and `branch` where the policies come from."""

    time: datetime
    level: EventLevel
    event: EventName
    message: str
    site: str = ""
    code: str = ""
    help: str = ""
    subject: str = ""
    location: Location | None = None
    server: str = ""
    cluster: str = ""
    group: str = ""
    virtual_machine: str = ""
    source: DataSource | None = None
    job: str = ""
    job_kind: JobKind | None = None
    attempt: int = 0
    retry_at: datetime | None = None
    run: str = ""
    step: str = ""
    changes: tuple[FieldChange, ...] = ()
    until: datetime | None = None
    commit: str = ""
    branch: str = ""
