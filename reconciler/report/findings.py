"""Findings -> lines, each with place, code, what is wrong, and what to do; editors and grep understand them."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.errors import Diagnostic, Severity
from reconciler.report.escape import safe
from reconciler.report.messages import quoted
from reconciler.report.words import Paint, Tone

TONES: dict[Severity, Tone] = {Severity.ERROR: "bad", Severity.WARNING: "change", Severity.ADVICE: "quiet"}


def findings_text(findings: Iterable[Diagnostic], paint: Paint) -> str:
    """One line for each: ``file:line:column: error[CODE]: what; help: what to do``."""
    return "".join(f"{finding_line(finding, paint)}\n" for finding in findings)


def finding_mark(finding: Diagnostic) -> str:
    """``error[RCL1016]``: how bad it is, and what explains it."""
    return f"{finding.severity}[{finding.code}]"


def finding_line(finding: Diagnostic, paint: Paint) -> str:
    """One finding in one line."""
    where = safe(str(finding.location) if finding.location else finding.subject)
    also = "".join(f" (also {safe(str(place))})" for place in finding.also)
    mark = paint(finding_mark(finding), TONES[finding.severity])
    help = f"; help: {safe(quoted(finding.remedy))}" if finding.remedy else ""
    return ": ".join(
        part for part in (where, mark, safe(quoted(finding.message)).removesuffix(".") + also + help) if part
    )
