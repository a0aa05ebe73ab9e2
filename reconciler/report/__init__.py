"""REPORTS: values -> what people read (text) and what programs read (JSON)."""

from reconciler.report.annotations import azure_text, github_text, junit_text, sarif_text
from reconciler.report.backups import Backup, backups_text
from reconciler.report.comparison import comparison_markdown, comparison_text
from reconciler.report.comparison_html import comparison_html
from reconciler.report.conditions import LastFailure
from reconciler.report.coverage import CoverageView, MemberRow, NearMiss, coverage_text, members_text
from reconciler.report.coverage_html import coverage_html
from reconciler.report.drift import drift_text
from reconciler.report.escape import json_text
from reconciler.report.evidence import answer_text, chain_text, is_whole
from reconciler.report.evidence_html import answer_html, chain_html
from reconciler.report.evidence_sheets import answer_csv, chain_csv
from reconciler.report.excerpt import WIDTH, findings_blocks
from reconciler.report.findings import findings_text
from reconciler.report.jobs import job_line, jobs_text
from reconciler.report.memory import Holdings, LeaseView, holdings_text, lease_text
from reconciler.report.plan import applied_text, origin_text, plan_text
from reconciler.report.plan_ci import plan_junit, plan_sarif
from reconciler.report.plan_html import plan_html
from reconciler.report.plan_markdown import MARKDOWN_BYTES, plan_markdown
from reconciler.report.points import PointRow, PointsView, points_text
from reconciler.report.points_html import points_html
from reconciler.report.preflight import preflight_text
from reconciler.report.recovery import recovered_text, recovery_text, store_check_text, store_rebuild_text
from reconciler.report.run_log import event_json, event_text
from reconciler.report.sheets import coverage_csv, groups_csv, points_csv
from reconciler.report.status import GroupPause, GroupStatus, ReplicaStatus, Status, status_text
from reconciler.report.status_html import status_html
from reconciler.report.waiting import waiting_text
from reconciler.report.words import Paint, coloured, plain

__all__ = [
    "Backup",
    "backups_text",
    "answer_csv",
    "chain_csv",
    "answer_html",
    "chain_html",
    "is_whole",
    "PointsView",
    "points_html",
    "points_csv",
    "groups_csv",
    "status_html",
    "CoverageView",
    "coverage_html",
    "coverage_csv",
    "MARKDOWN_BYTES",
    "WIDTH",
    "GroupPause",
    "GroupStatus",
    "Holdings",
    "LastFailure",
    "LeaseView",
    "MemberRow",
    "NearMiss",
    "Paint",
    "PointRow",
    "ReplicaStatus",
    "Status",
    "answer_text",
    "applied_text",
    "azure_text",
    "chain_text",
    "coloured",
    "comparison_html",
    "comparison_markdown",
    "comparison_text",
    "coverage_text",
    "drift_text",
    "event_json",
    "event_text",
    "findings_blocks",
    "findings_text",
    "github_text",
    "holdings_text",
    "job_line",
    "jobs_text",
    "json_text",
    "junit_text",
    "lease_text",
    "members_text",
    "origin_text",
    "plain",
    "plan_html",
    "plan_junit",
    "plan_markdown",
    "plan_sarif",
    "plan_text",
    "points_text",
    "preflight_text",
    "recovered_text",
    "recovery_text",
    "sarif_text",
    "status_text",
    "store_check_text",
    "store_rebuild_text",
    "waiting_text",
]
