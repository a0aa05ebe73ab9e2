"""Plans and what came of them -> text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from reconciler.model import (
    Change,
    Direction,
    FieldChange,
    Origin,
    Outcome,
    OutcomeState,
    Plan,
    ProtectionGroup,
    Reason,
    Verb,
    format_duration,
)
from reconciler.report.findings import findings_text
from reconciler.report.words import Paint, Tone, count, moment, safe

_SIGNS: dict[Verb, tuple[str, Tone]] = {
    Verb.CREATE: ("+", "good"),
    Verb.UPDATE: ("~", "change"),
    Verb.RENAME: ("~", "change"),
    Verb.STOP: ("-", "bad"),
    Verb.ADOPT: ("=", "change"),
}
_REASONS = {
    Reason.NEW_POLICY: "new policy",
    Reason.POLICY_CHANGED: "the policy changed",
    Reason.MACHINES_CHANGED: "the machines changed",
    Reason.CHANGED_OUTSIDE: "changed outside of the policies",
    Reason.RENAMED: "renamed",
    Reason.POLICY_REMOVED: "the policy was removed",
    Reason.SERVER_CHANGED: "the policy names another server",
    Reason.ADOPTED: "taken over as it is",
}


def plan_text(plan: Plan, zone: tzinfo, paint: Paint) -> str:
    """What would be done, why, and in which direction; then the findings."""
    lines = [f"Plan for site {plan.site}, as seen at {moment(plan.created_at, zone)}", ""]
    for step in plan.steps:
        lines += [*_change(step.change, plan.names, paint), ""]
    lines.append(paint(_sum(plan), "strong"))
    if plan.weakening:
        lines += _warning(plan, paint)
    text = "\n".join(lines) + "\n"
    return text + ("\n" + findings_text(plan.findings, paint) if plan.findings else "")


def origin_text(origin: Origin) -> str:
    """Where a saved plan comes from, in two lines."""
    dirty = ", with changes that are not committed" if origin.dirty else ""
    commit = f"policies of commit {origin.commit[:12]}{dirty}" if origin.commit else "policies of no Git commit"
    by = f"made by {safe(origin.actor)} on {safe(origin.host)}" + (f", {safe(origin.ci)}" if origin.ci else "")
    return f"Saved plan, {by}\n{commit}\n\n"


def _sum(plan: Plan) -> str:
    if not plan.steps:
        return "Nothing to do: the servers are as the policies say."
    verbs = [step.change.verb for step in plan.steps]
    changed = verbs.count(Verb.UPDATE) + verbs.count(Verb.RENAME)
    parts = ((verbs.count(Verb.CREATE), "create"), (changed, "change"), (verbs.count(Verb.STOP), "stop"))
    return ", ".join(f"{number} to {word}" for number, word in parts) + "."


def _warning(plan: Plan, paint: Paint) -> list[str]:
    groups = ", ".join(sorted({safe(step.change.group) for step in plan.weakening}))
    what = f"{count(len(plan.weakening), 'step')} would weaken protection: {groups}."
    return [paint(what, "bad") + " `reconciler apply` asks before it does that; --yes does not cover it."]


def _change(change: Change, names: dict[str, str], paint: Paint) -> list[str]:
    sign, tone = _SIGNS[change.verb]
    group = change.after or change.before
    shown = safe(group.display_name) if group else safe(change.group)
    where = f"  {paint(str(change.location), 'quiet')}" if change.location else ""
    head = f"  {paint(f'{sign} {change.verb}', tone)} {paint(shown, 'strong')} on {change.server}"
    lines = [f"{head}  ({_REASONS[change.reason]}){where}"]
    if change.verb is Verb.CREATE and change.after is not None:
        return lines + _created(change.after, names)
    if change.verb is Verb.STOP and change.before is not None:
        return lines + _stopped(change.before, names)
    return lines + [_field(field, names, paint) for field in change.fields]


def _created(group: ProtectionGroup, names: dict[str, str]) -> list[str]:
    term = group.short_term
    lines = [
        f"      + {_name(str(member.source), names)}" + (f" on {member.volume}" if member.volume else "")
        for member in group.members
    ]
    every = "before each recovery point" if term.synchronization is None else format_duration(term.synchronization)
    lines.append(
        f"      retention {format_duration(term.retention)}, synchronization {every}, "
        f"rpo {format_duration(term.rpo)}, at least {count(term.minimum_points, 'point')}"
    )
    return lines


def _stopped(group: ProtectionGroup, names: dict[str, str]) -> list[str]:
    lines = [f"      - {_name(str(member.source), names)}" for member in group.members]
    return [*lines, f"      no new points; existing points: {group.existing_points}"]


def _field(field: FieldChange, names: dict[str, str], paint: Paint) -> str:
    if field.path == "members":
        gained = field.before is None
        machine = _name(str(field.after if gained else field.before), names)
        what = paint(f"+ {machine}", "good") if gained else paint(f"- {machine}", "bad")
    else:
        what = f"~ {field.path}: {_value(field.before)} -> {_value(field.after)}"
    notes = [str(field.direction)] if field.direction is not Direction.NEUTRAL else []
    notes += [_REASONS[field.reason]] if field.reason is not Reason.POLICY_CHANGED else []
    notes += ["assumed: the server cannot show it"] if field.assumed else []
    notes += [_named(field.note, names)] if field.note else []
    where = f"  {paint(str(field.location), 'quiet')}" if field.location else ""
    return f"      {what}" + (f"  ({'; '.join(notes)})" if notes else "") + where


def _named(note: str, names: dict[str, str]) -> str:
    for source, name in names.items():
        note = note.replace(source, safe(name))
    return note


def _name(source: str, names: dict[str, str]) -> str:
    return safe(names.get(source, source))


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return " ".join(f"{key} {_value(each)}" for key, each in value.items())
    if isinstance(value, list):
        return "/".join(_value(each) for each in value)
    return str(value).lower() if isinstance(value, bool) else safe(str(value))


def applied_text(run: str, outcomes: Sequence[Outcome], left: int, paint: Paint) -> str:
    """What came of each step; then the sum with the run's id."""
    lines = []
    for outcome in outcomes:
        step = outcome.step.partition(":")[2]
        done = outcome.state in (OutcomeState.DONE, OutcomeState.ALREADY)
        word = "done" if done else str(outcome.state)
        reason = f"  {outcome.code}: {safe(outcome.reason)}" if outcome.reason else ""
        lines.append(f"  {paint(word, 'good' if done else 'bad')}  {safe(step)}{reason}")
    done_count = sum(outcome.state in (OutcomeState.DONE, OutcomeState.ALREADY) for outcome in outcomes)
    rest = f", {count(left, 'step')} left" if left else ""
    lines.append(f"Applied {count(done_count, 'step')}{rest} (run {run}).")
    return "\n".join(lines) + "\n"
