"""members, coverage, inventory snapshot: what can be said with no server, or with one that is only read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from reconciler.cli.options import Format, Sheets
from reconciler.cli.report_files import Destinations
from reconciler.cli.session import find_root, session, target
from reconciler.cli.terminal import note, out, paint_for, tell
from reconciler.control.approving.site_guard import another_site
from reconciler.control.observe import observe, observe_whole
from reconciler.control.planning import without_servers
from reconciler.control.planning.propose import checks_now, desired_now
from reconciler.control.policy_folder import Policies, read_good
from reconciler.errors import Diagnostic, ExitCode, Severity, UsageError, worst
from reconciler.model.documents import SiteDocument
from reconciler.model.preflight import CheckState
from reconciler.model.units import parse_share
from reconciler.plan import AT_RISK, CoverageInputs, CoverageState, MachineCoverage
from reconciler.plan import coverage as covered
from reconciler.report import (
    CoverageView,
    Paint,
    coverage_csv,
    coverage_html,
    coverage_text,
    json_text,
    members_text,
    preflight_text,
)
from reconciler.report.words import count
from reconciler.snapshots import inventory_parts, write_inventory
from reconciler.state import Opening
from reconciler.wiring import SystemClock, choose_site, look


class Thresholds(NamedTuple):
    """What `coverage` fails below: a share of machines that are protected, a number that may be unprotected."""

    min_protected: str | None
    max_unprotected: int | None


def members(root: Path | None, name: str | None, output: Format, inventory: Path | None, group: str) -> int:
    """Who is in the group, and by what."""
    place = find_root(root)
    policies = read_good(place)
    document = choose_site(policies.policies, name)
    rows, near = without_servers.members(policies.policies, _sight(place, document, inventory), group)
    if output is Format.json:
        said = {"formatVersion": "1.0", "kind": "Members", "group": group, "members": rows, "nearMisses": near}
        out(json_text(said) + "\n")
    else:
        out(members_text(group, rows, near, paint_for(sys.stdout)))
    return ExitCode.SUCCESS


def coverage(
    root: Path | None,
    name: str | None,
    to: Destinations[Sheets],
    inventory: Path | None,
    thresholds: Thresholds,
    *,
    every: bool,
    now: str | None,
) -> int:
    """How every machine stands; 9 below a threshold."""
    place = find_root(root)
    policies = read_good(place)
    document = choose_site(policies.policies, name)
    least = _share(thresholds.min_protected)
    if inventory is not None:
        if least is not None:
            what = "--min-protected needs the servers, and --inventory asks none"
            raise UsageError("RCL0003", what, "Remove one of them; --max-unprotected works with both.")
        sight = _sight(place, document, inventory)
        desired = without_servers.desired_offline(policies.policies, sight)
        rows = covered(CoverageInputs(sight.now, sight.clusters, {}, desired, asked=False))
        view = CoverageView(document.metadata.name, sight.now, rows, catalog_seen=False)
        codes: list[ExitCode] = []
    else:
        view, codes = _as_held(place, name, policies, now)
    zone = ZoneInfo(document.spec.time_zone)
    to.show(lambda format, paint: _shown(view, format, zone, paint, every=every))
    low = _below(view.machines, least, thresholds.max_unprotected)
    tell(low)
    return worst([*codes, *([ExitCode.BELOW_THRESHOLD] if low else [])])


def _shown(view: CoverageView, format: Sheets, zone: tzinfo, paint: Paint, *, every: bool) -> str:
    rows = view.machines
    match format:
        case Sheets.text:
            return coverage_text(rows, zone, paint, every=every, catalog_seen=view.catalog_seen)
        case Sheets.json:
            counts = {str(state): sum(row.standing is state for row in rows) for state in CoverageState}
            said = {"formatVersion": "1.0", "kind": "Coverage", "counts": counts, "machines": rows}
            return json_text(said) + "\n"
        case Sheets.html:
            return coverage_html(view, zone, every=every)
        case Sheets.csv:
            return coverage_csv(view)


def preflight(root: Path | None, name: str | None, output: Format, inventory: Path | None, *, every: bool) -> int:
    """Every prerequisite; 6 when one fails that backups need."""
    place = find_root(root)
    policies = read_good(place)
    if inventory is not None:
        sight = _sight(place, choose_site(policies.policies, name), inventory)
        checks = without_servers.checks_offline(policies.policies, sight)
    else:
        with session(place, name, None, policies, Opening.READ) as site:
            observation = observe_whole(site)
            checks = checks_now(site, policies.policies, observation)
    if output is Format.json:
        out(json_text({"formatVersion": "1.0", "kind": "Preflight", "checks": checks}) + "\n")
    else:
        out(preflight_text(checks, paint_for(sys.stdout), every=every))
    failed = any(check.state is CheckState.FAILED and check.severity is Severity.ERROR for check in checks)
    return ExitCode.PRECONDITION_FAILED if failed else ExitCode.SUCCESS


def inventory_snapshot(root: Path | None, name: str | None, output: Path | None) -> int:
    """Writes what the clusters show."""
    place = find_root(root)
    if output is not None:
        target(output)
    document = choose_site(read_good(place).policies, name)
    clusters, troubles = look(place, document, SystemClock())
    for error in troubles:
        raise error
    if output is None:
        for part in inventory_parts(clusters.values(), lines=False):
            out(part.decode())
    else:
        write_inventory(output, clusters.values())
        machines = sum(len(seen.machines) for seen in clusters.values())
        note(f"{count(machines, 'virtual machine')} of {count(len(clusters), 'cluster')} written to {output}.")
    return ExitCode.SUCCESS


def _as_held(place: Path, name: str | None, policies: Policies, now: str | None) -> tuple[CoverageView, list[ExitCode]]:
    with session(place, name, now, policies, Opening.READ) as site:
        observation = observe(site)
        foreign = another_site(site)
        desired = desired_now(site, policies.policies, observation) if not foreign else None
        rows = covered(CoverageInputs(observation.at, observation.clusters, observation.catalogs, desired))
        tell([*foreign, *(error.diagnostic for error in observation.troubles)])
        view = CoverageView(site.name, observation.at, rows)
        return view, [error.exit_code for error in observation.troubles]


def _sight(place: Path, document: SiteDocument, inventory: Path | None) -> without_servers.Sight:
    """The site's clusters. Raises what keeps one from being seen."""
    now = datetime.now(UTC)
    clusters, troubles = look(place, document, SystemClock(), inventory)
    for error in troubles:
        raise error
    return without_servers.Sight(document, clusters, now, now.astimezone(ZoneInfo(document.spec.time_zone)).date())


def _share(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        share = parse_share(text)
    except ValueError:
        share = -1
    if not text.endswith("%") or not 0 <= share <= 1:
        raise UsageError("RCL0003", f"--min-protected: {text!r} is not a share", "Write it as 95%.")
    return share


def _below(rows: Sequence[MachineCoverage], least: float | None, most: int | None) -> list[Diagnostic]:
    counted = [row for row in rows if row.standing is not CoverageState.EXCLUDED]
    protected = sum(row.standing is CoverageState.PROTECTED for row in counted)
    at_risk = [row.standing for row in counted if row.standing in AT_RISK]
    found = []
    if least is not None and counted and protected / len(counted) < least:
        what = (
            f"{protected} of {len(counted)} virtual machines are protected, "
            f"{protected / len(counted):.1%}, not {least:.0%}"
        )
        found.append(Diagnostic("RCL6017", Severity.ERROR, what, "See the virtual machines above.", subject="coverage"))
    if most is not None and len(at_risk) > most:
        parts = ", ".join(f"{at_risk.count(each)} {each}" for each in CoverageState if each in at_risk)
        many = count(len(at_risk), "virtual machine is", "virtual machines are")
        what = f"{many} not protected ({parts}), more than {most}"
        remedy = "Protect the unprotected ones, or exclude them with a reason; for the others see the reasons above."
        found.append(Diagnostic("RCL6017", Severity.ERROR, what, remedy, subject="coverage"))
    return found
