"""Linting: the documents of a site together, the day -> what contradicts or surprises across them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import msgspec

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import format_duration
from reconciler.model.documents import GroupDocument, GroupSpec, Later, Placed, PolicySet, Window
from reconciler.model.names import fold
from reconciler.model.units import ClockTime, Duration
from reconciler.plan.desired.defaults import short_term_of, zone_of, zones_of
from reconciler.schedule import longest_gap
from reconciler.schedule.change_windows import within, working_hours

#: How many names and places a finding lists.
_SHOWN = 5

#: How far from today a pause may end.
LONGEST_PAUSE = timedelta(days=90)

_NO_REASONS = {"", "X", "NONE", "N/A", "NA", "TODO", "TBD", "TEST", "REASON", "BECAUSE", "LATER", "UNKNOWN"}


def lint(policies: PolicySet, today: date) -> tuple[Diagnostic, ...]:
    """Errors that need no inventory, and warnings of what time alone brings about."""
    zones = zones_of(policies)
    return (
        *_exclusions(policies, today),
        *_ignored(policies, today),
        *_pauses(policies, today),
        *_display_names(policies),
        *_renames(policies),
        *_servers(policies),
        *(finding for placed in policies.groups for finding in _short_term(placed, zone_of(placed.document, zones))),
        *(finding for placed in policies.groups for finding in _times(placed, zone_of(placed.document, zones))),
        *_alike(policies),
        *_apart(policies),
    )


def _times(placed: Placed[GroupDocument], zone: ZoneInfo) -> Iterator[Diagnostic]:
    spec = placed.document.spec
    check, window = spec.consistency_check.schedule, spec.backup_window
    full = spec.short_term.express_full
    at = placed.positions.at
    if check is not None:
        busy = window is not None and within(window, check.time.value)
        end = (check.time.value.hour + check.max_hours) % 24
        checked = Window(check.time, ClockTime(check.time.value.replace(hour=end)))
        meets = full is not None and any(within(checked, each.value) for each in full.times)
        if busy or meets:
            what = f"the consistency check at {check.time} runs while the group is backed up"
            place = at("spec", "consistencyCheck", "schedule")
            yield _say("RCL1080", Severity.WARNING, what, "Move one of them.", place)
    if isinstance(spec.replica_creation, Later):
        then = spec.replica_creation.at
        if then is not None and working_hours(then):
            what = f"the initial replica is made at {spec.replica_creation.later}, in working hours"
            place = at("spec", "replicaCreation")
            yield _say("RCL1083", Severity.ADVICE, what, "Choose an evening or a weekend.", place)
    if spec.short_term.synchronization == "beforeRecoveryPoint" and spec.short_term.recovery_points is not None:
        gap = longest_gap(short_term_of(placed.document, zone), zone)
        if gap > spec.short_term.retention.delta:
            what = f"points are up to {format_duration(gap)} apart and kept for {spec.short_term.retention}"
            place = at("spec", "shortTerm", "retention")
            yield _say("RCL1085", Severity.WARNING, what, "Make points more often, or keep them longer.", place)


def _alike(policies: PolicySet) -> Iterator[Diagnostic]:
    """Groups that differ in nothing but members and names."""
    same: dict[GroupSpec, list[Placed[GroupDocument]]] = defaultdict(list)
    for placed in policies.groups:
        spec = placed.document.spec
        policy = msgspec.structs.replace(spec, members=(), display_name=None, renamed_from=(), storage=None)
        same[policy].append(placed)
    for alike in same.values():
        if len(alike) > 1:
            names = sorted(each.document.metadata.name for each in alike)
            shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
            places = sorted(each.positions.at() for each in alike)[:_SHOWN]
            what = f"{len(alike)} groups have one policy: {shown}"
            remedy = "Join them, or give the shared fields to a preset."
            yield _say("RCL1081", Severity.ADVICE, what, remedy, *places)


def _apart(policies: PolicySet) -> Iterator[Diagnostic]:
    """Groups without colocation on servers that have it."""
    able = {
        (site.document.metadata.name, server.name)
        for site in policies.sites
        for server in site.document.spec.servers
        if server.engine.mabs is not None
    }
    for placed in policies.groups:
        spec = placed.document.spec
        if (spec.site, spec.server) in able and not spec.colocate:
            what = f"{placed.document.metadata.name} does not colocate its data sources"
            place = placed.positions.at("spec", "colocate")
            yield _say("RCL1082", Severity.ADVICE, what, "Write colocate: true to save space.", place)


def _exclusions(policies: PolicySet, today: date) -> Iterator[Diagnostic]:
    for placed in policies.exclusions:
        until = placed.document.spec.until
        if until < today:
            yield _say(
                "RCL1030",
                Severity.WARNING,
                f"the exclusion {placed.document.metadata.name} ended on {until}; it is no longer in effect",
                f"Ask {placed.document.spec.owner}, then extend it, or protect the virtual machines.",
                placed.positions.at("spec", "until"),
            )
        if fold(placed.document.spec.reason.strip(" .-?")) in _NO_REASONS:
            what = (
                f"the exclusion {placed.document.metadata.name} gives no real reason: {placed.document.spec.reason!r}"
            )
            remedy = "Write why these virtual machines need no backup; an auditor will ask."
            yield _say("RCL1086", Severity.WARNING, what, remedy, placed.positions.at("spec", "reason"))


def _ignored(policies: PolicySet, today: date) -> Iterator[Diagnostic]:
    for placed in policies.groups:
        for index, rule in enumerate(placed.document.spec.ignore):
            if rule.until is not None and rule.until < today:
                what = f"the rule to ignore {rule.field} ended on {rule.until}; the field is compared again"
                place = placed.positions.at("spec", "ignore", index, "until")
                yield _say("RCL1036", Severity.WARNING, what, "Remove it, or extend it.", place)


def _pauses(policies: PolicySet, today: date) -> Iterator[Diagnostic]:
    for placed in policies.groups:
        pause, name = placed.document.spec.paused, placed.document.metadata.name
        if pause is None:
            continue
        until, why = placed.positions.at("spec", "paused", "until"), placed.positions.at("spec", "paused", "reason")
        if pause.until < today:
            what = f"the pause of {name} ended on {pause.until}; its jobs run again"
            yield _say("RCL1111", Severity.ADVICE, what, "Remove it.", until)
        elif pause.until - today > LONGEST_PAUSE:
            last = today + LONGEST_PAUSE
            what = f"{name} is paused until {pause.until}, longer than {LONGEST_PAUSE.days} days from today"
            remedy = f"End it by {last} and extend it then, or stop the group if it needs no backup any more."
            yield _say("RCL1110", Severity.ERROR, what, remedy, until)
        else:
            what = f"{name} is paused until {pause.until} by {pause.owner}: {pause.reason}"
            remedy = (
                "Until then no backup of it is made and nothing of it expires; it resumes automatically the day after."
            )
            yield _say("RCL1112", Severity.ADVICE, what, remedy, until)
        if fold(pause.reason.strip(" .-?")) in _NO_REASONS:
            what = f"the pause of {name} gives no real reason: {pause.reason!r}"
            remedy = "Write why it must not be backed up now; an auditor will ask."
            yield _say("RCL1113", Severity.WARNING, what, remedy, why)


def _display_names(policies: PolicySet) -> Iterator[Diagnostic]:
    seen: dict[tuple[str, str, str], list[Placed[GroupDocument]]] = defaultdict(list)
    for placed in policies.groups:
        spec = placed.document.spec
        name = spec.display_name or placed.document.metadata.name.replace("-", " ")
        seen[spec.site, spec.server, fold(name)].append(placed)
    for (_, server, _), same in seen.items():
        if len(same) > 1:
            spec = same[0].document.spec
            name = spec.display_name or same[0].document.metadata.name.replace("-", " ")
            paths = [
                ("spec", "displayName") if placed.document.spec.display_name else ("metadata", "name")
                for placed in same
            ]
            places = [placed.positions.at(*path) for placed, path in zip(same, paths, strict=True)]
            yield _say(
                "RCL1032",
                Severity.ERROR,
                f"{len(same)} groups on {server} would be called {name!r}",
                "Give one of them another displayName.",
                *sorted(places),
            )


def _renames(policies: PolicySet) -> Iterator[Diagnostic]:
    names = {placed.document.metadata.name: placed for placed in policies.groups}
    for placed in policies.groups:
        for index, former in enumerate(placed.document.spec.renamed_from):
            if former in names:
                yield _say(
                    "RCL1033",
                    Severity.ERROR,
                    f"{former} is said to be an earlier name, but a group is called so now",
                    "Remove it from renamedFrom, or remove that group.",
                    placed.positions.at("spec", "renamedFrom", index),
                    names[former].positions.at("metadata", "name"),
                )
    yield from _same_origin(policies)


def _same_origin(policies: PolicySet) -> Iterator[Diagnostic]:
    """Two groups that both say that they are an earlier one."""
    claims: dict[tuple[str, str], dict[str, Location]] = defaultdict(dict)
    for placed in policies.groups:
        for index, former in enumerate(placed.document.spec.renamed_from):
            place = placed.positions.at("spec", "renamedFrom", index)
            claims[placed.document.spec.site, former].setdefault(placed.document.metadata.name, place)
    for (_, former), places in sorted(claims.items()):
        if len(places) > 1:
            what = f"{' and '.join(sorted(places))} all say that they were {former}"
            remedy = f"Keep it in one of them: that one continues what {former} protects."
            yield _say("RCL3091", Severity.ERROR, what, remedy, *sorted(places.values()))


def _servers(policies: PolicySet) -> Iterator[Diagnostic]:
    folders: dict[str, list[Location]] = defaultdict(list)
    for placed in policies.sites:
        for index, server in enumerate(placed.document.spec.servers):
            if server.engine.embedded is not None:
                place = placed.positions.at("spec", "servers", index, "engine", "embedded", "path")
                folders[server.engine.embedded.path.strip("/")].append(place)
    for folder, places in folders.items():
        if len(places) > 1:
            what = f"{len(places)} servers would write into {folder}"
            yield _say("RCL1035", Severity.ERROR, what, "Give each a folder of its own.", *sorted(places))


def _short_term(placed: Placed[GroupDocument], zone: ZoneInfo) -> Iterator[Diagnostic]:
    term = placed.document.spec.short_term
    if term.rpo is not None and (gap := longest_gap(short_term_of(placed.document, zone), zone)) > term.rpo.delta:
        yield _say(
            "RCL1031",
            Severity.WARNING,
            f"an rpo of {term.rpo} cannot be held when points are up to {format_duration(gap)} apart",
            "Make points more often, or write a longer rpo.",
            placed.positions.at("spec", "shortTerm", "rpo"),
        )
    if term.synchronization == "beforeRecoveryPoint":
        return
    interval = Duration.parse(term.synchronization).delta
    if term.retention.delta < interval * term.minimum_points:
        yield _say(
            "RCL1034",
            Severity.WARNING,
            f"{term.minimum_points} points need {format_duration(interval * term.minimum_points)}, longer than the "
            f"retention of {term.retention}; the floor keeps them",
            "Write a longer retention, or a shorter interval.",
            placed.positions.at("spec", "shortTerm", "retention"),
        )


def _say(code: str, severity: Severity, what: str, remedy: str, place: Location, *also: Location) -> Diagnostic:
    return Diagnostic(code, severity, what, remedy, place, also=also)
