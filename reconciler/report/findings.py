"""Findings -> lines, each with place, code, what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.errors import Diagnostic, Severity
from reconciler.report.escape import safe
from reconciler.report.words import Paint, Tone

_TONES: dict[Severity, Tone] = {Severity.ERROR: "bad", Severity.WARNING: "change", Severity.ADVICE: "quiet"}


def findings_text(findings: Iterable[Diagnostic], paint: Paint) -> str:
    """One line for each: ``file:line:column: CODE: what: what to do``; a warning says that it is one."""
    return "".join(f"{finding_line(finding, paint)}\n" for finding in findings)


def finding_line(finding: Diagnostic, paint: Paint) -> str:
    where = safe(str(finding.location) if finding.location else finding.subject)
    also = "".join(f" (also {safe(str(place))})" for place in finding.also)
    mild = "" if finding.severity is Severity.ERROR else f" {finding.severity}"
    code = paint(finding.code + mild, _TONES[finding.severity])
    return ": ".join(part for part in (where, code, safe(finding.message) + also, safe(finding.remedy)) if part)
