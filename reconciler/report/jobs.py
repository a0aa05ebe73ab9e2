"""Jobs -> text: one line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from reconciler.model import JobKind, JobRecord, JobState, format_size
from reconciler.report.escape import safe
from reconciler.report.words import Paint, Tone, count, moment, table

KINDS = {
    JobKind.INITIAL_REPLICA: "initial replica",
    JobKind.SYNCHRONIZATION: "synchronization",
    JobKind.EXPRESS_FULL: "express full",
    JobKind.CONSISTENCY_CHECK: "consistency check",
    JobKind.PRUNING: "pruning",
    JobKind.RECOVERY: "recovery",
}
_TONES: dict[JobState, Tone] = {
    JobState.RUNNING: "change",
    JobState.SUCCEEDED: "good",
    JobState.FAILED: "bad",
    JobState.CANCELLED: "change",
    JobState.INTERRUPTED: "change",
}


def jobs_text(records: Sequence[JobRecord], names: Mapping[str, str], zone: tzinfo, paint: Paint) -> str:
    """The jobs, newest first."""
    if not records:
        return "No job has run yet.\n"
    rows = [
        (
            moment(record.started_at, zone),
            str(record.status.state),
            KINDS[record.job.kind],
            names.get(str(record.job.source), record.job.source.machine),
            figures(record) + _asked_by(record),
        )
        for record in records
    ]
    return "\n".join(table(("STARTED", "STATE", "JOB", "VM", "RESULT"), rows, paint)) + "\n"


def _asked_by(record: JobRecord) -> str:
    """Who asked for it and why; "" for what the schedule asked for."""
    job = record.job
    why = "" if job.reason == "asked for" else f": {job.reason}"
    return f"; asked for by {job.asked_by}{why}" if job.asked_by else ""


def job_line(record: JobRecord, name: str, paint: Paint) -> str:
    """One job as it ended or stands."""
    state = record.status.state
    what = f"{KINDS[record.job.kind]} of {safe(name)}  {safe(figures(record))}"
    return f"  {paint(str(state), _TONES[state])}  {what}".rstrip()


def figures(record: JobRecord) -> str:
    """What the job came to."""
    status = record.status
    if status.state is JobState.FAILED:
        again = "; it is tried again" if record.retry_at else ""
        return f"{status.code}: {status.reason}{again}"
    result = status.result
    if result is None:
        return status.reason
    if record.job.kind is JobKind.PRUNING:
        return f"{count(result.points_expired, 'point')} moved to the bin"
    if record.job.kind is JobKind.RECOVERY:
        return f"{count(len(result.files), 'file')} from {result.point}"
    text = (
        f"{format_size(result.read_bytes)} read, {count(result.blocks_changed, 'block')} changed, "
        f"{format_size(result.stored_bytes)} stored"
    )
    return text + (f", {count(result.blocks_repaired, 'block')} repaired" if result.blocks_repaired else "")
