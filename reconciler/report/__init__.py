"""REPORTS: values -> what people read (text) and what programs read (JSON)."""

from reconciler.report.findings import findings_text
from reconciler.report.jobs import job_line, jobs_text
from reconciler.report.plan import applied_text, plan_text
from reconciler.report.points import PointRow, points_text
from reconciler.report.recovery import recovered_text, recovery_text, store_check_text
from reconciler.report.status import GroupStatus, ReplicaStatus, Status, status_text
from reconciler.report.words import Paint, coloured, json_text, plain

__all__ = [
    "GroupStatus",
    "Paint",
    "PointRow",
    "ReplicaStatus",
    "Status",
    "applied_text",
    "coloured",
    "findings_text",
    "job_line",
    "jobs_text",
    "json_text",
    "plain",
    "plan_text",
    "points_text",
    "recovered_text",
    "recovery_text",
    "status_text",
    "store_check_text",
]
