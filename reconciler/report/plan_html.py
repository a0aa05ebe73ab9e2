"""A plan -> HTML in one file that needs nothing else; what it shows comes escaped."""

from __future__ import annotations

from collections.abc import Collection
from datetime import tzinfo
from typing import NamedTuple

from reconciler.errors import Location
from reconciler.model import Direction, Origin, Plan, ProtectionGroup, Step, Verb, VolumeImpact, format_size
from reconciler.report import plan_timeline
from reconciler.report import plan_words as words
from reconciler.report.escape import safe
from reconciler.report.pages import page
from reconciler.report.plan_headline import headline
from reconciler.report.words import moment

#: How wide the bar of a volume is, in pixels.
_BAR = 400


class Card(NamedTuple):
    """A step as the template shows it."""

    step: Step
    title: str
    sign: str
    reason: str
    place: str
    wave: str
    settings: tuple[tuple[str, str], ...]
    rows: tuple[words.Row, ...]
    impact: str
    timeline: plan_timeline.Timeline | None


class Gauge(NamedTuple):
    """A volume: its cells, and in pixels what is used and stays so, what is freed and what initial replicas add."""

    cells: tuple[str, ...]
    used: float
    freed: float
    added: float
    too_small: bool


def plan_html(
    plan: Plan,
    zone: tzinfo,
    only: Collection[Direction] = (),
    origin: Origin | None = None,
    *,
    approvers: bool | None = None,
) -> str:
    """The whole page; `approvers` as `plan_text` has it."""
    directions = [step.change.direction for step in plan.steps]
    impacts = [step.impact for step in plan.steps if step.impact is not None]
    return page(
        "plan.html",
        title=f"Backup plan for {plan.site}",
        plan=plan,
        seen=moment(plan.created_at, zone),
        zone=str(zone),
        headline=headline(plan),
        tallies=[(each, directions.count(each)) for each in reversed(Direction) if each in directions],
        pending=len(plan.weakening),
        at_once=sum(each.expires_now for each in impacts) if impacts else None,
        copies=format_size(sum(step.cost.initial_bytes for step in plan.steps)),
        facts=words.facts(plan, zone),
        findings=[*words.grave_findings(plan), *words.advice(plan)],
        hint=words.hint(plan, approvers),
        cards=[_card(step, plan, zone) for step in words.chosen(plan, only)],
        hidden=words.hidden_text(plan, only),
        gauges=[_gauge(volume) for volume in plan.volumes],
        head=words.VOLUME_HEAD,
        bar=_BAR,
        origin=words.origin_lines(origin) if origin is not None else None,
        line=plan_timeline,
    )


def _place(location: Location | None) -> str:
    return safe(str(location)) if location is not None else ""


def _card(step: Step, plan: Plan, zone: tzinfo) -> Card:
    change = step.change
    whole = change.verb in (Verb.CREATE, Verb.STOP, Verb.ADOPT)
    group = change.after or change.before
    return Card(
        step=step,
        title=words.title(change),
        sign=words.SIGNS[change.verb][0],
        reason=words.REASONS[change.reason],
        place=_place(change.location),
        wave=words.wave_of(step, plan, zone),
        settings=_settings(group, words.members_of(change, plan.names)) if whole and group is not None else (),
        rows=tuple(words.rows(change, plan.names)),
        impact=words.impact_line(step),
        timeline=plan_timeline.timeline(step, plan, zone),
    )


def _settings(group: ProtectionGroup, members: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """What is set of a group that is created, stopped or adopted, in the policy's words; its members first."""
    from reconciler.plan.fields import FIELDS

    shown = [(field.path, field.show(field.get(group))) for field in FIELDS]
    told = [(path, words.value(found)) for path, found in shown if found is not None and found is not False]
    return (("members", ", ".join(members)), *told)


def _gauge(volume: VolumeImpact) -> Gauge:
    whole = max(volume.capacity_bytes, 1)

    def pixels(size: int) -> float:
        return round(_BAR * min(max(size, 0) / whole, 1.0), 1)

    freed = min(volume.freed_bytes, volume.used_before)
    used = pixels(volume.used_before - freed)
    given = round(min(pixels(freed), _BAR - used), 1)
    added = round(min(pixels(volume.added_bytes), _BAR - used - given), 1)
    return Gauge(words.volume_cells(volume), used, given, added, words.overfull(volume))
