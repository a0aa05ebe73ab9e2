"""Golden lines of what `run` says, as text and as JSON. `pytest tests/report --snapshot-update` writes them anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from syrupy.assertion import SnapshotAssertion

from reconciler.errors import Location
from reconciler.model import DataSource, Direction, FieldChange, JobKind, Reason
from reconciler.model.run_events import Event, EventLevel, EventName
from reconciler.report import coloured, event_json, event_text, plain

AT = datetime(2026, 3, 10, 12, 0, 5, tzinfo=UTC)
SHORTER = FieldChange("shortTerm.retention", "14d", "7d", Direction.WEAKENS, change_hash="3f9c0d")
EVENTS = (
    Event(AT, EventLevel.INFO, EventName.RUN_STARTED, "Watching the policies and the clock. Ctrl-C ends it.", "hq"),
    Event(
        AT,
        EventLevel.INFO,
        EventName.POLICIES_TAKEN,
        "Acting on commit 0123456789ab of main.",
        "hq",
        commit="0123456789abcdef0123456789abcdef01234567",
        branch="main",
    ),
    Event(
        AT,
        EventLevel.ERROR,
        EventName.FINDING_RAISED,
        "not YAML: the quote opened in line 3 is never closed",
        "hq",
        "RCL1005",
        "Close it.",
        location=Location("policies/\x1b[31mgold.yaml", 3, 9),
    ),
    Event(
        AT,
        EventLevel.WARNING,
        EventName.WAITING_STARTED,
        "gold-vms on mabs-01 waits for an approval: shortTerm.retention 14d -> 7d.",
        "hq",
        help="Have it approved (`reconciler approve 0123456789ab HEAD`).",
        subject="gold-vms on mabs-01",
        server="mabs-01",
        group="gold-vms",
        changes=(SHORTER,),
    ),
    Event(
        AT,
        EventLevel.INFO,
        EventName.DRIFT_CORRECTED,
        "Corrected gold-vms on mabs-01, which was changed outside reconciler: shortTerm.retention 3d -> 14d.",
        "hq",
        server="mabs-01",
        group="gold-vms",
        run="20260310T120005Z-abcdef",
        step="1:update gold-vms",
        changes=(FieldChange("shortTerm.retention", "3d", "14d", Direction.STRENGTHENS, Reason.CHANGED_OUTSIDE),),
    ),
    Event(
        AT,
        EventLevel.ERROR,
        EventName.JOB_FAILED,
        "Synchronization of sql-01 on mabs-01 failed: RCL4005: the disk is gone; it is tried again.",
        "hq",
        "RCL4005",
        "Check that the disk is there.",
        server="mabs-01",
        group="gold-vms",
        virtual_machine="sql-01",
        source=DataSource("hci-01", "00000001-0000-4000-8000-000000000000"),
        job="synchronization-1",
        job_kind=JobKind.SYNCHRONIZATION,
        attempt=2,
        retry_at=AT + timedelta(minutes=10),
    ),
    Event(AT, EventLevel.DEBUG, EventName.RUN_TICKED, "Looked at everything, 2 jobs due.", "hq"),
    Event(AT, EventLevel.INFO, EventName.RUN_STOPPED, "Stopped, as asked: 2 ticks.", "hq"),
)


def test_lines_of_text(snapshot: SnapshotAssertion) -> None:
    assert "".join(event_text(each, plain) for each in EVENTS) == snapshot
    assert "\x1b[31merror  \x1b[0m" in event_text(EVENTS[2], coloured)


def test_lines_of_json(snapshot: SnapshotAssertion) -> None:
    text = "".join(event_json(each) for each in EVENTS)
    assert text == snapshot
    assert len(text.splitlines()) == len(EVENTS)


def test_names_of_events_stay() -> None:
    """Collectors filter by them."""
    assert sorted(EventName) == [
        "change.applied",
        "change.failed",
        "cluster.reachable",
        "cluster.unreachable",
        "drift.corrected",
        "drift.ended",
        "drift.found",
        "fetch.failed",
        "fetch.recovered",
        "finding.cleared",
        "finding.raised",
        "history.accepted",
        "history.refused",
        "job.cancelled",
        "job.failed",
        "job.interrupted",
        "job.started",
        "job.succeeded",
        "policies.denied",
        "policies.right",
        "policies.taken",
        "policies.wrong",
        "pruning.paused",
        "pruning.resumed",
        "run.started",
        "run.stopped",
        "run.ticked",
        "server.reachable",
        "server.unreachable",
        "waiting.ended",
        "waiting.started",
    ]
