"""validate, explain."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from reconciler.cli.app import Format
from reconciler.cli.screen import note, out, paint_for
from reconciler.cli.session import find_root
from reconciler.errors import CATALOG, ExitCode, Severity, UsageError, sort_key
from reconciler.parse import read_policies
from reconciler.plan.lint import lint
from reconciler.report import findings_text, json_text
from reconciler.report.words import count


def validate(root: Path | None, output: Format) -> int:
    """Every mistake of the folder; 65 if there is one."""
    place = find_root(root)
    reading = read_policies(place)
    found = list(reading.diagnostics)
    if reading.policies is not None:
        found += lint(reading.policies, datetime.now(UTC).date())
    found = sorted(set(found), key=sort_key)
    errors = sum(each.severity is Severity.ERROR for each in found)
    if output is Format.json:
        out(
            json_text({"formatVersion": "1.0", "kind": "Diagnostics", "files": reading.files, "diagnostics": found})
            + "\n"
        )
    else:
        out(findings_text(found, paint_for(sys.stdout)))
        warnings = len(found) - errors
        note(f"{count(len(reading.files), 'file')}: {count(errors, 'mistake')}, {count(warnings, 'warning')}.")
    return ExitCode.INVALID_POLICY if errors else ExitCode.SUCCESS


def explain(code: str) -> int:
    """What a code means."""
    found = CATALOG.get(code.strip().upper())
    if found is None:
        raise UsageError("RCL0004", f"there is no code {code!r}", "Codes are RCL and four digits.")
    out(f"{code.strip().upper()}: {found.title}\n\n{found.cause}\n\nWhat to do: {found.remedy}\n")
    return ExitCode.SUCCESS
