"""Steps that were not tried -> a line each: which, why, and when they may be done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from reconciler.report.escape import safe
from reconciler.report.words import Paint, moment


def waiting_text(rows: Sequence[tuple[str, str, datetime | None]], zone: tzinfo, paint: Paint) -> str:
    """(step id, why, when it may be done: UTC, None where that is no matter of time) -> text."""
    lines = []
    for step, because, opens_at in rows:
        when = f"; not before {moment(opens_at, zone)}" if opens_at is not None else ""
        lines.append(f"  {paint('waits', 'change')}  {safe(step.partition(':')[2])}  {safe(because)}{when}\n")
    return "".join(lines)
