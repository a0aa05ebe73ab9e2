"""A plan -> the words and numbers that its reports share: summary, steps by risk, differences, impact, waves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from reconciler.errors import Diagnostic, Severity
from reconciler.model import (
    Change,
    Direction,
    FieldChange,
    Impact,
    MachineImpact,
    Origin,
    Plan,
    PointFate,
    Reason,
    Step,
    Verb,
    VolumeImpact,
    Wave,
    format_duration,
    format_size,
)
from reconciler.report.escape import safe
from reconciler.report.point_ends import kept_less, kept_longer
from reconciler.report.words import Tone, count, moment

SIGNS: dict[Verb, tuple[str, Tone]] = {
    Verb.CREATE: ("+", "good"),
    Verb.UPDATE: ("~", "change"),
    Verb.RENAME: ("~", "change"),
    Verb.STOP: ("-", "bad"),
    Verb.ADOPT: ("=", "change"),
}
REASONS = {
    Reason.NEW_POLICY: "new policy",
    Reason.POLICY_CHANGED: "the policy changed",
    Reason.MACHINES_CHANGED: "the virtual machines changed",
    Reason.CHANGED_OUTSIDE: "changed outside reconciler",
    Reason.RENAMED: "renamed",
    Reason.POLICY_REMOVED: "the policy was removed",
    Reason.SERVER_CHANGED: "the policy names another server",
    Reason.SITE_CHANGED: "the policy names another site",
    Reason.ADOPTED: "adopted",
}
TONES: dict[Direction, Tone] = {
    Direction.STRENGTHENS: "good",
    Direction.NEUTRAL: "quiet",
    Direction.WEAKENS: "bad",
    Direction.DESTROYS: "bad",
}
#: What is done about the hashes of a plan: whether the site names approvers is not known, it names none, it names some.
_SIGN = "runs `reconciler approve --plan FILE --by EMAIL --reason TEXT --until DATE` on the saved plan and commits what"
_ASKED = "`reconciler apply` asks in a terminal before it weakens anything; --yes does not cover it."
APPROVE = f"{_ASKED} Where the site names approvers, one of them {_SIGN} it writes."
_BY_APPROVERS = f"The site names approvers: one of them {_SIGN} it writes."
Only = frozenset[Direction]


class Fact(NamedTuple):
    """One line of a summary."""

    text: str
    tone: Tone


class Row(NamedTuple):
    """One difference as it is told. `machines` are the members that come or go together, else `before` and `after` are
    the values. `consent` says whether it needs an approval; `change_hash` is given only then."""

    path: str
    before: str
    after: str
    direction: Direction
    notes: tuple[str, ...] = ()
    place: str = ""
    machines: tuple[str, ...] = ()
    gained: bool = False
    consent: bool = False
    change_hash: str = ""
    approved_by: str = ""


# --- Steps ------------------------------------------------------------------------------------------------------


def by_risk(steps: Sequence[Step]) -> list[Step]:
    """The gravest first; of the same direction as the plan has them."""
    return sorted(steps, key=lambda step: -step.change.direction.rank)


def chosen(plan: Plan, only: Collection[Direction]) -> list[Step]:
    """The steps to show, the gravest first; without `only` all of them."""
    return [step for step in by_risk(plan.steps) if not only or step.change.direction in only]


def hidden_text(plan: Plan, only: Collection[Direction]) -> str:
    """What `only` leaves out, "" for nothing."""
    hidden = len(plan.steps) - len(chosen(plan, only))
    words = ", ".join(direction for direction in reversed(Direction) if direction in only)
    return f"{count(hidden, 'step is', 'steps are')} not shown: only {words} is asked for." if hidden else ""


def title(change: Change) -> str:
    """What the group is called."""
    group = change.after or change.before
    return safe(group.display_name) if group else safe(change.group)


def named(source: str, names: dict[str, str]) -> str:
    """What a data source is called."""
    return safe(names.get(source, source))


def told(note: str, names: dict[str, str]) -> str:
    """A note with names for data sources."""
    for source, name in names.items():
        note = note.replace(source, name)
    return safe(note)


def value(found: Any) -> str:
    """A value in one line, in the policy's words; none for nothing."""
    if found is None:
        return "none"
    if isinstance(found, dict):
        return " ".join(f"{safe(str(key))} {value(each)}" for key, each in found.items())
    if isinstance(found, list | tuple):
        return "/".join(value(each) for each in found)
    return str(found).lower() if isinstance(found, bool) else safe(str(found))


def members_of(change: Change, names: dict[str, str]) -> tuple[str, ...]:
    """The members of a group that comes, goes or is adopted, with their volumes."""
    group = change.after or change.before
    return tuple(
        named(str(member.source), names) + (f" on {safe(member.volume)}" if member.volume else "")
        for member in (group.members if group else ())
    )


def terms(change: Change) -> str:
    """The protection that a group gets, in one line."""
    assert change.after is not None
    term = change.after.short_term
    every = "before each recovery point" if term.synchronization is None else format_duration(term.synchronization)
    return (
        f"retention {format_duration(term.retention)}, synchronization {every}, "
        f"rpo {format_duration(term.rpo)}, at least {count(term.minimum_points, 'point')}"
    )


def rows(change: Change, names: dict[str, str]) -> list[Row]:
    """The differences in the change's order; members that come or go for the same reason are one."""
    made: list[Row] = []
    places: dict[Row, int] = {}
    machines: dict[int, list[str]] = {}
    for field in change.fields:
        row = _row(field, names)
        if field.path != "members":
            made.append(row)
            continue
        if row not in places:
            places[row] = len(made)
            made.append(row)
        machines.setdefault(places[row], []).append(named(str(field.after or field.before), names))
    return [row._replace(machines=tuple(machines.get(place, ()))) for place, row in enumerate(made)]


def _row(field: FieldChange, names: dict[str, str]) -> Row:
    member = field.path == "members"
    notes = [REASONS[field.reason]] if field.reason is not Reason.POLICY_CHANGED and field.path else []
    notes += ["assumed: the server cannot show it"] if field.assumed else []
    notes += [told(field.note, names)] if field.note else []
    grave = field.direction.needs_consent
    return Row(
        path=safe(field.path),
        before="" if member else value(field.before),
        after="" if member else value(field.after),
        direction=field.direction,
        notes=tuple(notes),
        place=safe(str(field.location)) if field.location else "",
        gained=member and field.before is None,
        consent=field.needs_consent,
        change_hash=safe(field.change_hash) if grave else "",
        approved_by=safe(field.approved_by) if grave else "",
    )


# --- Summary ----------------------------------------------------------------------------------------------------


def facts(plan: Plan, zone: tzinfo) -> list[Fact]:
    """What a reader has to know before the steps: scope, consent, points, initial replicas, waves, approvals."""
    said: list[Fact] = []
    if plan.scope:
        part = ", ".join(map(safe, plan.scope))
        said.append(Fact(f"Partial: limited to {part}; the rest of the site was not planned.", "change"))
    if plan.weakening:
        groups = sorted({title(step.change) for step in plan.weakening})
        needs = count(len(plan.weakening), "step needs", "steps need")
        said.append(Fact(f"{needs} an approval: {few(groups)}.", "bad"))
    said += _points(plan)
    copies = sum(step.cost.new_members for step in plan.steps)
    size = sum(step.cost.initial_bytes for step in plan.steps)
    if copies or size:
        said.append(Fact(f"Initial replicas: {count(copies, 'virtual machine')}, {format_size(size)}.", "quiet"))
    said += [Fact(wave_line(plan, wave, zone), "quiet") for wave in waves_told(plan)]
    for approval in plan.approvals:
        points = approval.expired_points
        most = f", for at most {count(points, 'point')}" if points else ""
        most = ", no recovery point may be lost" if points == 0 else most
        line = f"Approved by {safe(approval.by)} until {approval.until}: {safe(approval.reason)}"
        said.append(Fact(f"{line} ({safe(approval.name)}{most}).", "good"))
    return said


def _points(plan: Plan) -> list[Fact]:
    impacts = [step.impact for step in plan.steps if step.impact is not None]
    now = sum(each.expires_now for each in impacts)
    said = []
    if now:
        freed = sum(each.freed_bytes for each in impacts)
        back = f", which frees at most {format_size(freed)}" if freed else ""
        said.append(Fact(f"{count(now, 'recovery point expires', 'recovery points expire')} at once{back}.", "bad"))
    if less := kept_less(impacts):
        said.append(Fact(f"{less}.", "change"))
    held = sum(each.expires_after_pause for each in impacts)
    if held:
        what = count(held, "recovery point expires", "recovery points expire")
        said.append(Fact(f"{what} as soon as the pause is over.", "bad"))
    emptied = sorted({named(str(m.source), plan.names) for each in impacts for m in each.machines if loses_all(m)})
    if emptied:
        said.append(Fact(f"No recovery point is left for {few(emptied)}.", "bad"))
    return said


def waves_told(plan: Plan) -> tuple[Wave, ...]:
    """The waves, where there is anything to say of them."""
    plain = len(plan.waves) < 2 and all(not wave.because and wave.opens_at <= plan.created_at for wave in plan.waves)
    return () if plain else plan.waves


def wave_line(plan: Plan, wave: Wave, zone: tzinfo) -> str:
    """How many steps a wave has, and when they may be done."""
    size = sum(step.wave == wave.number for step in plan.steps)
    return f"Wave {wave.number}: {count(size, 'step')}, {opening(wave, plan.created_at, zone)}."


def opening(wave: Wave, at: datetime, zone: tzinfo) -> str:
    """When a wave's steps may be done, and what keeps them till then."""
    when = "at once" if wave.opens_at <= at else f"opens {moment(wave.opens_at, zone)}"
    return when + (f": {safe(wave.because)}" if wave.because else "")


def wave_of(step: Step, plan: Plan, zone: tzinfo) -> str:
    """The wave of a step, "" where it can be done at once."""
    for wave in plan.waves:
        if wave.number == step.wave and (wave.number > 1 or wave.opens_at > plan.created_at):
            return f"wave {wave.number}, {opening(wave, plan.created_at, zone)}"
    return f"wave {step.wave}" if step.wave > 1 else ""


def grave_findings(plan: Plan) -> list[Diagnostic]:
    """Errors first, then warnings."""
    ranks = (Severity.ERROR, Severity.WARNING)
    return [finding for rank in ranks for finding in plan.findings if finding.severity is rank]


def advice(plan: Plan) -> list[Diagnostic]:
    return [finding for finding in plan.findings if finding.severity is Severity.ADVICE]


def hint(plan: Plan, approvers: bool | None) -> str:
    """What to do about what needs an approval, "" where nothing does; `approvers` says whether the site names
    some, None where that is not known."""
    if not plan.weakening:
        return ""
    if approvers is None:
        return APPROVE
    return _BY_APPROVERS if approvers else _ASKED


def few(words: Sequence[str], most: int = 10) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


# --- Impact -----------------------------------------------------------------------------------------------------


def loses_all(machine: MachineImpact) -> bool:
    """Whether no point is left of a machine that has some."""
    return machine.newest_before is not None and machine.newest_after is None


def gravest_machines(impact: Impact, names: dict[str, str]) -> list[MachineImpact]:
    """Those that lose most first."""
    return sorted(
        impact.machines,
        key=lambda each: (
            not loses_all(each),
            -each.expires_now,
            -each.expires_sooner,
            named(str(each.source), names),
            each.source,
        ),
    )


def impact_line(step: Step) -> str:
    """What a step does to recovery points, in one line; "" where that is not known or nothing worth a word."""
    impact = step.impact
    if impact is None:
        return ""
    parts = []
    if impact.expires_now:
        parts.append(f"{count(impact.expires_now, 'recovery point expires', 'recovery points expire')} at once")
    parts += [part for part in (kept_less([impact]), kept_longer([impact])) if part]
    if impact.expires_after_pause:
        parts.append(f"{count(impact.expires_after_pause, 'expires', 'expire')} as soon as the pause is over")
    if not parts:
        grave = step.change.direction.needs_consent
        return "no recovery point expires sooner" if grave else ""
    line = ", ".join(parts)
    line += f"; {format_size(impact.freed_bytes)} freed at most" if impact.freed_bytes else ""
    return line + ("" if impact.exact else " (estimated from its documentation: the server prunes by its own rules)")


def machine_line(machine: MachineImpact, zone: tzinfo) -> str:
    """What becomes of one machine's points."""
    parts = [f"{machine.expires_now} of {count(machine.points, 'point')} at once"] if machine.expires_now else []
    parts += [f"{machine.expires_sooner} sooner"] if machine.expires_sooner else []
    parts += [f"{machine.expires_after_pause} as the pause ends"] if machine.expires_after_pause else []
    parts += [f"{machine.expires_later} later"] if machine.expires_later else []
    parts += [_moved("oldest", machine.oldest_before, machine.oldest_after, zone)]
    parts += [_moved("newest", machine.newest_before, machine.newest_after, zone)]
    parts += ["no point is left"] if loses_all(machine) else []
    return ", ".join(parts)


def _moved(word: str, before: datetime | None, after: datetime | None, zone: tzinfo) -> str:
    if before == after:
        return f"{word} {moment(before, zone)} as before"
    return f"{word} {moment(before, zone)} -> {moment(after, zone)}"


def at_once(fate: PointFate, at: datetime) -> bool:
    """Whether a point expires at the first pruning."""
    return fate.after is not None and fate.after <= at


# --- Volumes ----------------------------------------------------------------------------------------------------


def overfull(volume: VolumeImpact) -> bool:
    """Whether the plan needs more than the volume has."""
    return volume.used_before + volume.added_bytes - volume.freed_bytes > volume.capacity_bytes


def volume_cells(volume: VolumeImpact) -> tuple[str, ...]:
    """Server, volume, total, free before, free after, what initial replicas add, what expiring points give back."""
    after = "too small" if overfull(volume) else format_size(volume.free_after)
    return (
        safe(volume.server),
        safe(volume.volume),
        format_size(volume.capacity_bytes),
        format_size(volume.free_before),
        after,
        format_size(volume.added_bytes),
        format_size(volume.freed_bytes),
    )


VOLUME_HEAD = ("server", "volume", "total", "free before", "free after", "initial replicas", "freed at most")


def origin_lines(origin: Origin) -> tuple[str, str]:
    """Who made a saved plan where, and of which policies."""
    dirty = ", with changes that are not committed" if origin.dirty else ""
    commit = f"policies of commit {safe(origin.commit[:12])}{dirty}" if origin.commit else "policies of no Git commit"
    by = f"made by {safe(origin.actor)} on {safe(origin.host)}" + (f", {safe(origin.ci)}" if origin.ci else "")
    return by, commit
