"""Linting: the documents of a site together, the day -> what contradicts or surprises across them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import format_duration
from reconciler.model.documents import GroupDocument, Placed, PolicySet
from reconciler.model.units import Duration


def lint(policies: PolicySet, today: date) -> tuple[Diagnostic, ...]:
    """Errors that need no inventory, and warnings of what time alone brings about."""
    return (
        *_exclusions(policies, today),
        *_ignored(policies, today),
        *_display_names(policies),
        *_renames(policies),
        *_servers(policies),
        *(finding for placed in policies.groups for finding in _short_term(placed)),
    )


def _exclusions(policies: PolicySet, today: date) -> Iterator[Diagnostic]:
    for placed in policies.exclusions:
        until = placed.document.spec.until
        if until < today:
            yield _say(
                "RCL1030",
                Severity.WARNING,
                f"the exclusion {placed.document.metadata.name} ended on {until}; it counts no more",
                f"Ask {placed.document.spec.owner}, then prolong it, or protect the machines.",
                placed.positions.at("spec", "until"),
            )


def _ignored(policies: PolicySet, today: date) -> Iterator[Diagnostic]:
    for placed in policies.groups:
        for index, rule in enumerate(placed.document.spec.ignore):
            if rule.until is not None and rule.until < today:
                what = f"the rule to ignore {rule.field} ended on {rule.until}; the field is compared again"
                place = placed.positions.at("spec", "ignore", index, "until")
                yield _say("RCL1036", Severity.WARNING, what, "Take it out, or prolong it.", place)


def _display_names(policies: PolicySet) -> Iterator[Diagnostic]:
    seen: dict[tuple[str, str, str], list[Location]] = defaultdict(list)
    for placed in policies.groups:
        spec = placed.document.spec
        name = spec.display_name or placed.document.metadata.name.replace("-", " ")
        path = ("spec", "displayName") if spec.display_name else ("metadata", "name")
        seen[spec.site, spec.server, name.casefold()].append(placed.positions.at(*path))
    for (_, server, name), places in seen.items():
        if len(places) > 1:
            yield _say(
                "RCL1032",
                Severity.ERROR,
                f"{len(places)} groups on {server} would be called {name!r}",
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
                    "Take it out of renamedFrom, or remove that group.",
                    placed.positions.at("spec", "renamedFrom", index),
                    names[former].positions.at("metadata", "name"),
                )


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


def _short_term(placed: Placed[GroupDocument]) -> Iterator[Diagnostic]:
    term = placed.document.spec.short_term
    if term.synchronization == "beforeRecoveryPoint":
        return
    interval = Duration.parse(term.synchronization).delta
    if term.rpo is not None and term.rpo.delta < interval:
        yield _say(
            "RCL1031",
            Severity.WARNING,
            f"an rpo of {term.rpo} cannot be held when points are {format_duration(interval)} apart",
            "Synchronize more often, or write a longer rpo.",
            placed.positions.at("spec", "shortTerm", "rpo"),
        )
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
