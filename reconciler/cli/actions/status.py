"""status, jobs, points."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import tzinfo
from pathlib import Path

from reconciler.cli.options import Format, Sheets
from reconciler.cli.report_files import Destinations
from reconciler.cli.session import find_root, session
from reconciler.cli.terminal import findings_for, out, paint_for, tell
from reconciler.control import status as control
from reconciler.control.observe import Observation, observe
from reconciler.control.planning.propose import state_lost
from reconciler.control.policy_source import source_of_run
from reconciler.control.virtual_machines import find_machine, sources_called
from reconciler.errors import Diagnostic, ExitCode, Severity, UsageError, worst
from reconciler.model import DataSource, Duration
from reconciler.report import (
    Paint,
    PointsView,
    Status,
    findings_text,
    groups_csv,
    jobs_text,
    json_text,
    plain,
    points_csv,
    points_html,
    points_text,
    status_html,
    status_text,
)
from reconciler.state import Opening

#: Findings of a server that was read which say that points may be there, or were, and cannot be shown.
_HIDES_POINTS = {
    "RCL4021": ExitCode.UNREACHABLE,
    "RCL4022": ExitCode.FAILURE,
    "RCL4023": ExitCode.FAILURE,
    "RCL4026": ExitCode.FAILURE,
}


def status(
    root: Path | None, name: str | None, to: Destinations[Sheets], now: str | None, heartbeat: str | None
) -> int:
    """Shows everything; with a `heartbeat` it is a check."""
    place = find_root(root)
    source = source_of_run(place)
    policies = source.read()
    with session(place, name, now, policies, Opening.READ) as site:
        observation = observe(site)
        shown = control.status(site, observation, policies.policies if policies.current else None, source.branch)
        codes = _codes(observation)
        codes += [ExitCode.UNREACHABLE for each in shown.findings if each.code in control.EVIDENCE]
        zone, findings = site.zone, policies.diagnostics
        told = findings_for(sys.stdout, findings, policies.seen)
        to.show(
            lambda format, paint: _shown(shown, findings, told, format, zone, paint),
            lambda format: _shown(shown, findings, findings_text(findings, plain), format, zone, plain),
        )
        if heartbeat is not None:
            low = control.below_threshold(shown, _duration(heartbeat).delta)
            tell(low)
            codes += [ExitCode.BELOW_THRESHOLD] if low else []
    return worst([*codes, *([] if policies.current else [ExitCode.INVALID_POLICY])])


def _shown(shown: Status, findings: Sequence[Diagnostic], told: str, format: Sheets, zone: tzinfo, paint: Paint) -> str:
    """`findings` are those of the policies, `told` the same as text."""
    match format:
        case Sheets.text:
            return status_text(shown, zone, paint) + told
        case Sheets.json:
            return json_text(shown) + "\n"
        case Sheets.html:
            return status_html(shown, zone, findings)
        case Sheets.csv:
            return groups_csv(shown)


def jobs(root: Path | None, name: str | None, output: Format, machine: str | None, limit: int) -> int:
    """Shows what ran."""
    with session(find_root(root), name, None, opening=Opening.READ) as site:
        observation = observe(site)
        records = site.memory.jobs.history(limit, _source(observation, machine))
        if output is Format.json:
            out(json_text({"formatVersion": "1.0", "kind": "Jobs", "jobs": records}) + "\n")
        else:
            out(jobs_text(records, control.names_of(observation), site.zone, paint_for(sys.stdout)))
    return ExitCode.SUCCESS


def points(root: Path | None, name: str | None, to: Destinations[Sheets], machine: str | None) -> int:
    """Shows what can be recovered."""
    with session(find_root(root), name, None, opening=Opening.READ) as site:
        observation = observe(site)
        wanted = sources_called(observation, machine) if machine is not None else None
        rows = control.points(observation, control.names_of(observation))
        mine = tuple(row for row in rows if wanted is None or row.point.source in wanted)
        hides = any(each.code in _HIDES_POINTS for each in observation.findings)
        unseen = hides or not set(observation.readable) >= set(site.engines)
        view, zone = PointsView(site.name, observation.at, mine, unseen), site.zone
        to.show(lambda format, paint: _listed(view, format, zone, paint))
        tell(each for each in observation.findings if each.severity is not Severity.ADVICE)
    hidden = [_HIDES_POINTS[each.code] for each in observation.findings if each.code in _HIDES_POINTS]
    return worst([*(error.exit_code for error in observation.troubles), *hidden])


def _listed(view: PointsView, format: Sheets, zone: tzinfo, paint: Paint) -> str:
    match format:
        case Sheets.text:
            return points_text(view.points, zone, paint) if view.points or not view.unseen else ""
        case Sheets.json:
            return json_text({"formatVersion": "1.0", "kind": "RecoveryPoints", "points": view.points}) + "\n"
        case Sheets.html:
            return points_html(view, zone)
        case Sheets.csv:
            return points_csv(view)


def _codes(observation: Observation) -> list[ExitCode]:
    """What could not be seen, and a state that does not know what is there."""
    lost = [ExitCode.PRECONDITION_FAILED] if state_lost(observation) is not None else []
    return [*(error.exit_code for error in observation.troubles), *lost]


def _source(observation: Observation, machine: str | None) -> DataSource | None:
    return find_machine(observation, machine) if machine is not None else None


def _duration(text: str) -> Duration:
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise UsageError("RCL0003", f"--heartbeat: {error}", "Write it as 15min or 2h.") from None
