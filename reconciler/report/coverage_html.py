"""Coverage -> HTML in one file: what is not protected first, by state, each with what the state means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import tzinfo
from typing import NamedTuple

from reconciler.model import DataSource
from reconciler.plan import AT_RISK, CoverageState, MachineCoverage
from reconciler.report.coverage import STATE_TONES, CoverageView
from reconciler.report.pages import Column, Grid, Tile, page
from reconciler.report.words import Tone, called_apart, count, moment

#: States that are no risk yet, and not what one may count on.
_WAITING = (CoverageState.PENDING, CoverageState.PAUSED)

#: What each state means, in a sentence.
_MEANING: Mapping[CoverageState, str] = {
    CoverageState.UNPROTECTED: "No protection group protects them.",
    CoverageState.UNSEEN: "Their cluster, their files or their backup server could not be read.",
    CoverageState.DAMAGED: "Their replica is inconsistent, or recovery points of them cannot be read.",
    CoverageState.LATE: "Their newest recovery point is older than the RPO of their group.",
    CoverageState.PENDING: "They are members of a group, and have no valid replica or no recovery point yet.",
    CoverageState.PAUSED: "Their group is paused, by a policy: no new recovery points are made, and none expire.",
    CoverageState.EXCLUDED: "An exclusion names them, with a reason.",
    CoverageState.PROTECTED: "Their replica is valid, and their newest recovery point is within the RPO.",
}

_COLUMNS = (
    Column("virtual machine", "name"),
    Column("cluster"),
    Column("level"),
    Column("group"),
    Column("newest point", "time"),
    Column("why", "message"),
)


class Section(NamedTuple):
    """The virtual machines that are in one state."""

    state: CoverageState
    tone: Tone
    meaning: str
    number: int
    grid: Grid | None


def coverage_html(view: CoverageView, zone: tzinfo, *, every: bool) -> str:
    """The whole page; with `every` the protected virtual machines are listed too."""
    names = called_apart((row.source, row.name) for row in view.machines)
    return page(
        "coverage.html",
        title=f"Backup coverage of {view.site}",
        seen=moment(view.at, zone),
        zone=str(zone),
        verdict=verdict(view.machines),
        tiles=state_tiles(view.machines),
        catalog_seen=view.catalog_seen,
        sections=[_section(state, view, names, zone, every) for state in reversed(CoverageState)],
        total=len(view.machines),
    )


def verdict(machines: Iterable[MachineCoverage]) -> str:
    """One sentence: how many are at risk, of how many."""
    states = [row.standing for row in machines]
    if not states:
        return "No virtual machine was seen."
    risky = sum(state in AT_RISK for state in states)
    whole = count(len(states), "virtual machine")
    waiting = [f"{states.count(state)} {state}" for state in _WAITING if state in states]
    tail = f"; {', '.join(waiting)}" if waiting else ""
    if risky:
        return f"{risky} of {whole} {'is' if risky == 1 else 'are'} not protected as the policies say{tail}."
    if waiting:
        return f"None of {whole} is at risk{tail}."
    return f"Every one of {whole} is protected or excluded."


def state_tiles(machines: Iterable[MachineCoverage]) -> list[Tile]:
    """How many virtual machines are in each state, the worst first; a colour only where there are any."""
    states = [row.standing for row in machines]
    return [
        Tile(str(states.count(state)), str(state), STATE_TONES[state] if state in states else None)
        for state in reversed(CoverageState)
    ]


def _section(
    state: CoverageState, view: CoverageView, names: Mapping[DataSource, str], zone: tzinfo, every: bool
) -> Section:
    mine = [row for row in view.machines if row.standing is state]
    listed = mine and (every or state is not CoverageState.PROTECTED)
    rows = [
        (
            names[row.source],
            row.source.cluster,
            "+".join(row.levels) or str(row.level),
            row.group,
            moment(row.newest, zone) if row.newest is not None else "none",
            row.why,
        )
        for row in mine
    ]
    grid = Grid("", _COLUMNS, rows, filtered=True, even=True) if listed else None
    return Section(state, STATE_TONES[state], _MEANING[state], len(mine), grid)
