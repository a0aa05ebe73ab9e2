"""Events of actions: what a command showed, did or found -> one typed value a line, for `-o json`.

They have the keys of the events of a run (`model.run_events`), so that one reader reads both.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from reconciler.errors import MEANINGS, Diagnostic, ExitCode, Location, Severity
from reconciler.model import JobRecord, JobState, Outcome, OutcomeState
from reconciler.model.run_events import EventLevel

#: What `reconciler schema --kind` calls the schema of these lines.
ACTION_EVENT = "ActionEvent"


class ActionEventName(StrEnum):
    """What happened. Scripts look for these names, so they never change."""

    NOTE_SAID = "note.said"
    FINDING_RAISED = "finding.raised"
    PLAN_SHOWN = "plan.shown"
    COMPARISON_SHOWN = "comparison.shown"
    PLAN_APPLIED = "plan.applied"
    CHANGE_APPLIED = "change.applied"
    CHANGE_FAILED = "change.failed"
    WAITING_STARTED = "waiting.started"
    RECOVERY_SHOWN = "recovery.shown"
    BACKUP_ENDED = "backup.ended"
    RECOVERY_ENDED = "recovery.ended"
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"
    JOB_INTERRUPTED = "job.interrupted"
    REQUEST_ENDED = "request.ended"
    FILE_WRITTEN = "file.written"
    FILE_DIFFERS = "file.differs"
    LEASE_SHOWN = "lease.shown"
    LEASE_RELEASED = "lease.released"
    STATE_SHOWN = "state.shown"
    STATE_RESTORED = "state.restored"
    STORE_REBUILT = "store.rebuilt"
    LOSS_SHOWN = "loss.shown"
    LOSS_DECLARED = "loss.declared"
    EVIDENCE_SEALED = "evidence.sealed"
    COMMAND_ENDED = "command.ended"


#: Until it is written.
_NOT_YET = datetime.min.replace(tzinfo=UTC)


class ActionEvent(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """One event. `time` is UTC, of the clock of this computer; `message` is a sentence for people. All else is there
    where it has a meaning: `subject` and `location` are what it is about, `result` how that ended, `help` what to do,
    `value` the whole of it as the reports have it. The last event of a command is `command.ended`, with `exitCode`."""

    time: datetime = msgspec.field(default_factory=lambda: _NOT_YET)
    level: EventLevel = msgspec.field(default_factory=lambda: EventLevel.INFO)
    event: ActionEventName
    message: str
    command: str = ""
    site: str = ""
    subject: str = ""
    result: str = ""
    code: str = ""
    help: str = ""
    location: Location | None = None
    run: str = ""
    job: str = ""
    step: str = ""
    exit_code: int | None = None
    value: Any = None


_LEVELS = {
    Severity.ERROR: EventLevel.ERROR,
    Severity.WARNING: EventLevel.WARNING,
    Severity.ADVICE: EventLevel.INFO,
}
_JOBS = {
    JobState.SUCCEEDED: (ActionEventName.JOB_SUCCEEDED, EventLevel.INFO),
    JobState.CANCELLED: (ActionEventName.JOB_CANCELLED, EventLevel.WARNING),
    JobState.INTERRUPTED: (ActionEventName.JOB_INTERRUPTED, EventLevel.WARNING),
}


def event_schema() -> dict[str, Any]:
    """The JSON Schema of one line."""
    schema = msgspec.json.schema(ActionEvent)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def note_event(text: str) -> ActionEvent:
    """Progress, or a remark."""
    return ActionEvent(event=ActionEventName.NOTE_SAID, message=text.strip())


def finding_event(finding: Diagnostic) -> ActionEvent:
    """A finding: an error, a warning or advice."""
    return ActionEvent(
        event=ActionEventName.FINDING_RAISED,
        level=_LEVELS[finding.severity],
        message=finding.message,
        code=finding.code,
        help=finding.remedy,
        subject=finding.subject,
        location=finding.location,
        result=str(finding.severity),
        value=finding if finding.also else None,
    )


def outcome_event(outcome: Outcome, run: str) -> ActionEvent:
    """What came of one step of a plan."""
    done = outcome.state in (OutcomeState.DONE, OutcomeState.ALREADY)
    name = ActionEventName.CHANGE_APPLIED if done else ActionEventName.CHANGE_FAILED
    subject = outcome.step.partition(":")[2]
    return ActionEvent(
        event=name,
        level=EventLevel.INFO if done and not outcome.code else EventLevel.ERROR,
        message=outcome.reason or f"{subject} is {outcome.state}",
        subject=subject,
        result=str(outcome.state),
        code=outcome.code,
        run=run,
        step=outcome.step,
        value=outcome,
    )


def job_event(record: JobRecord, name: str) -> ActionEvent:
    """A job that ended; `name` is that of its virtual machine."""
    event, level = _JOBS.get(record.status.state, (ActionEventName.JOB_FAILED, EventLevel.ERROR))
    status = record.status
    return ActionEvent(
        event=event,
        level=level,
        message=status.reason or f"the {record.job.kind} of {name} ended: {status.state}",
        subject=name,
        result=str(status.state),
        code=status.code,
        help=status.remedy,
        run=record.run,
        job=record.job.id,
        value=record,
    )


def ended_event(command: str, code: int) -> ActionEvent:
    """The last event of a command."""
    known = ExitCode(code)
    good = known in (ExitCode.SUCCESS, ExitCode.CHANGES_PENDING)
    return ActionEvent(
        event=ActionEventName.COMMAND_ENDED,
        level=EventLevel.INFO if good else EventLevel.ERROR,
        message=f"{command} ended with {int(known)}: {MEANINGS[known]}",
        result=known.name.lower().replace("_", "-"),
        exit_code=int(known),
    )
