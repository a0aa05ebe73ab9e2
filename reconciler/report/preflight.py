"""Prerequisites -> text."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model.preflight import Check, CheckState
from reconciler.report.escape import safe
from reconciler.report.words import Paint, Tone

_TONES: dict[CheckState, Tone] = {CheckState.PASSED: "good", CheckState.FAILED: "bad", CheckState.UNKNOWN: "change"}


def preflight_text(checks: Sequence[Check], paint: Paint, *, every: bool) -> str:
    """The sum, then what failed and what is not known; with `every` what passed as well."""
    counts = {state: sum(check.state is state for check in checks) for state in CheckState}
    lines = [", ".join(paint(f"{number} {state}", _TONES[state]) for state, number in counts.items()) + "."]
    order = [CheckState.FAILED, CheckState.UNKNOWN, *([CheckState.PASSED] if every else [])]
    for state in order:
        lines += [_line(check, paint) for check in checks if check.state is state]
    return "\n".join(lines) + "\n"


def _line(check: Check, paint: Paint) -> str:
    word = str(check.state) if check.state is not CheckState.FAILED else f"failed {check.severity}"
    affected = f" (affects {', '.join(map(safe, check.machines))})" if check.machines else ""
    remedy = f": {safe(check.remedy)}" if check.remedy and check.state is not CheckState.PASSED else ""
    return f"  {paint(word, _TONES[check.state])}  {check.code}  {safe(check.message)}{affected}{remedy}"
