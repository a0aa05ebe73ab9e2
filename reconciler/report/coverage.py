"""Coverage and membership -> text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

import msgspec

from reconciler.plan import CoverageState, MachineCoverage
from reconciler.report.escape import safe
from reconciler.report.words import Paint, Tone, called_apart, count, moment, table

#: How bad a state is, as a colour.
STATE_TONES: dict[CoverageState, Tone] = {
    CoverageState.PROTECTED: "good",
    CoverageState.EXCLUDED: "quiet",
    CoverageState.PAUSED: "change",
    CoverageState.PENDING: "change",
    CoverageState.LATE: "bad",
    CoverageState.DAMAGED: "bad",
    CoverageState.UNSEEN: "bad",
    CoverageState.UNPROTECTED: "bad",
}


class CoverageView(msgspec.Struct, frozen=True):
    """The virtual machines of a site as they stood at `at` (UTC). `catalog_seen` False: no server was asked, so that
    every one of a group counts as pending."""

    site: str
    at: datetime
    machines: tuple[MachineCoverage, ...]
    catalog_seen: bool = True


class MemberRow(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A virtual machine that a group's rule means, or no longer shows: `why` says by what it matches."""

    machine: str
    cluster: str
    id: str
    node: str
    rule: str
    why: str
    missing: bool = False


class NearMiss(msgspec.Struct, frozen=True, rename="camel"):
    """A virtual machine that a rule names, but for another of its fields."""

    machine: str
    cluster: str
    rule: str
    why: str


def coverage_text(
    machines: Sequence[MachineCoverage], zone: tzinfo, paint: Paint, *, every: bool, catalog_seen: bool
) -> str:
    """The sums, then the virtual machines that are not simply protected; with `every` all of them."""
    counts = {standing: sum(row.standing is standing for row in machines) for standing in CoverageState}
    lines = [
        f"{count(len(machines), 'virtual machine')}: "
        + ", ".join(state_count(standing, number, paint) for standing, number in counts.items())
    ]
    if not catalog_seen:
        lines.append("What the servers hold was not checked: every virtual machine of a group counts as pending.")
    shown = [row for row in machines if every or row.standing is not CoverageState.PROTECTED]
    names = called_apart((row.source, row.name) for row in machines)
    if shown:
        rows = [
            (
                row.standing,
                names[row.source],
                row.source.cluster,
                "+".join(row.levels) or row.level,
                row.group or "-",
                moment(row.newest, zone),
                row.why or "-",
            )
            for row in sorted(
                shown, key=lambda row: (-list(CoverageState).index(row.standing), row.source.cluster, row.name)
            )
        ]
        lines += ["", *table(("STATE", "VM", "CLUSTER", "LEVEL", "GROUP", "NEWEST POINT", "WHY"), rows, paint)]
    return "\n".join(lines) + "\n"


def state_count(state: CoverageState, number: int, paint: Paint) -> str:
    """How many are in a state; in its colour only where there are any."""
    return paint(f"{number} {state}", STATE_TONES[state] if number else "quiet")


def members_text(group: str, rows: Sequence[MemberRow], near: Sequence[NearMiss], paint: Paint) -> str:
    """Who is a member of the group and why; then who nearly is."""
    lines = [f"{safe(group)}: {count(len(rows), 'member')}"]
    if rows:
        cells = [
            (row.machine, row.cluster, row.node or "-", row.rule, row.why + (" (missing now)" if row.missing else ""))
            for row in rows
        ]
        lines += ["", *table(("VM", "CLUSTER", "NODE", "RULE", "MATCHES BY"), cells, paint)]
    if near:
        others = [(each.machine, each.cluster, each.rule, each.why) for each in near]
        lines += ["", "Not members:", *table(("VM", "CLUSTER", "RULE", "WHY NOT"), others, paint)]
    return "\n".join(lines) + "\n"
