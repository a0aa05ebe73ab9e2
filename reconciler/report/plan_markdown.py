"""A plan -> Markdown for a pull request, never longer than a number of bytes.

Where not everything fits, the gravest steps keep most: a step goes from full detail to its fields, to one line, to
being counted. The first line is a comment that names the site, by which CI finds the comment that it wrote before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from datetime import tzinfo
from itertools import takewhile
from typing import NamedTuple

from reconciler.errors import Diagnostic
from reconciler.model import Direction, Origin, Plan, Step, Verb
from reconciler.report import plan_words as words
from reconciler.report.escape import cell, code, md
from reconciler.report.messages import md_message
from reconciler.report.plan_headline import headline
from reconciler.report.words import count, cut, moment

#: How many bytes (UTF-8) a comment may have on GitHub; and the fewest in which a summary can be given.
MARKDOWN_BYTES = 65_536
MARKDOWN_LEAST = 2_000

_SITE = re.compile(r"[^A-Za-z0-9._]+")


class _Depth(NamedTuple):
    """How much of a step is told: machines of a row and of the impact, rows, characters of a value."""

    members: int
    machines: int
    rows: int
    wide: int
    hazards: bool


_FULL = _Depth(members=50, machines=20, rows=200, wide=400, hazards=True)
_FIELDS = _Depth(members=10, machines=0, rows=20, wide=100, hazards=False)
#: How many facts, findings and volumes are listed, and how long a line may be.
_LISTED, _WIDE = 20, 500


def marker(site: str) -> str:
    """The comment that names the site: the first line of every report of it."""
    return f"<!-- reconciler:plan site={_SITE.sub('-', site)[:63].strip('-')} -->"


def plan_markdown(
    plan: Plan,
    zone: tzinfo,
    max_bytes: int = MARKDOWN_BYTES,
    only: Collection[Direction] = (),
    origin: Origin | None = None,
    *,
    approvers: bool | None = None,
) -> str:
    """The report, at most `max_bytes` long; `approvers` as `plan_text` has it. Raises `ValueError` where `max_bytes`
    is less than `MARKDOWN_LEAST`."""
    if max_bytes < MARKDOWN_LEAST:
        raise ValueError(f"a plan cannot be told in {max_bytes} bytes; {MARKDOWN_LEAST} are the fewest")
    steps = words.chosen(plan, only)
    room = _Room(max_bytes)
    top = [marker(plan.site), f"### Backup plan for {md(cut(plan.site, 60))}", f"**{headline(plan)}**"]
    room.take("\n\n".join(top))
    room.take(_note([len(steps)] * 4))
    above = [block for block in _above(plan, zone, only, approvers) if room.fits(block)]
    below = [block for block in _below(plan, zone, origin) if room.fits(block)]
    shown, note = _fitted(steps, plan, zone, room)
    return "\n\n".join([*top, *above, *shown, *([note] if note else []), *below]) + "\n"


class _Room:
    """Bytes that are left; every block takes its own and those of the blank line after it."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, block: str) -> None:
        self.left -= _size(block)

    def fits(self, block: str) -> bool:
        """Takes the block's bytes where there are enough."""
        if _size(block) > self.left:
            return False
        self.take(block)
        return True


def _size(block: str) -> int:
    return len(block.encode()) + 2


def _fitted(steps: list[Step], plan: Plan, zone: tzinfo, room: _Room) -> tuple[list[str], str]:
    """As many steps as fit, each as full as fits, the gravest first; and what was left out."""
    blocks = list(takewhile(room.fits, map(_line, steps)))
    shown = steps[: len(blocks)]
    depth = dict.fromkeys(range(len(shown)), 0)
    for level, deep in ((1, _FIELDS), (2, _FULL)):
        for place, step in enumerate(shown):
            fuller = _step(step, plan, zone, deep)
            room.left += _size(blocks[place])
            if room.fits(fuller):
                blocks[place] = fuller
                depth[place] = level
            else:
                room.take(blocks[place])
    levels = list(depth.values())
    cuts = [levels.count(1), levels.count(0), len(steps) - len(shown)]
    return blocks, _note([len(steps), *cuts]) if any(cuts) else ""


def _note(numbers: list[int]) -> str:
    total, fields, lines, hidden = numbers
    parts = [f"{fields} without their virtual machines"] if fields else []
    parts += [f"{lines} in one line"] if lines else []
    parts += [f"{count(hidden, 'step')} not shown"] if hidden else []
    return f"_Shortened to fit, of {count(total, 'step')}: {', '.join(parts)}. `reconciler plan` shows everything._"


# --- Around the steps -------------------------------------------------------------------------------------------


def _above(plan: Plan, zone: tzinfo, only: Collection[Direction], approvers: bool | None) -> list[str]:
    seen = f"As seen at {moment(plan.created_at, zone)} ({md(str(zone))})."
    lines = [md_message(cut(fact.text, _WIDE)) for fact in words.facts(plan, zone)]
    findings = [_finding(finding) for finding in words.grave_findings(plan)]
    hidden, hint = words.hidden_text(plan, only), words.hint(plan, approvers)
    blocks = [seen, _listed(lines), _listed(findings), hint, hidden]
    return [block for block in blocks if block]


def _below(plan: Plan, zone: tzinfo, origin: Origin | None) -> list[str]:
    blocks = [_volumes(plan), _listed(_finding(finding) for finding in words.advice(plan))]
    if origin is not None:
        blocks.append(md("Saved plan, " + "; ".join(words.origin_lines(origin))))
    return [block for block in blocks if block]


def _finding(finding: Diagnostic) -> str:
    where = f"{code(str(finding.location))} " if finding.location else ""
    return f"{where}**{finding.code}** {md_message(cut(f'{finding.message}: {finding.remedy}', _WIDE))}"


def _listed(lines: Iterable[str]) -> str:
    every = list(lines)
    more = [f"and {len(every) - _LISTED} more"] if len(every) > _LISTED else []
    return "\n".join(f"- {line}" for line in [*every[:_LISTED], *more])


def _volumes(plan: Plan) -> str:
    if not plan.volumes:
        return ""
    rows = [[cell(each) for each in words.volume_cells(volume)] for volume in plan.volumes[:_LISTED]]
    lines = [_table_row(words.VOLUME_HEAD), _table_row(["---"] * len(words.VOLUME_HEAD)), *map(_table_row, rows)]
    more = len(plan.volumes) - _LISTED
    return "\n".join(lines) + (f"\n\nand {count(more, 'more volume')}" if more > 0 else "")


def _table_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


# --- A step -----------------------------------------------------------------------------------------------------


def _head(step: Step) -> str:
    change = step.change
    return f"{change.verb} {code(cut(words.title(change), 100))} on {code(change.server)}: **{change.direction}**"


def _line(step: Step) -> str:
    told = [words.impact_line(step)] if step.impact is not None and step.impact.expires_now else []
    told += ["not approved"] if step.change.needs_consent else []
    return f"- {_head(step)}" + (f", {', '.join(told)}" if told else "")


def _step(step: Step, plan: Plan, zone: tzinfo, deep: _Depth) -> str:
    change = step.change
    place = f"{code(str(change.location))}: " if change.location else ""
    wave = words.wave_of(step, plan, zone)
    meta = f"{place}{words.REASONS[change.reason]}" + (f"; {md(wave)}" if wave else "")
    blocks = [f"#### {_head(step)}", meta]
    if change.verb in (Verb.CREATE, Verb.STOP, Verb.ADOPT):
        what = "Released" if change.verb is Verb.STOP else "Members"
        blocks.append(f"{what}: {_machines(words.members_of(change, plan.names), deep, code)}")
    if change.verb is Verb.CREATE:
        blocks.append(words.terms(change))
    rows = words.rows(change, plan.names)
    blocks += _rows(rows[: deep.rows], deep)
    if len(rows) > deep.rows:
        blocks.append(f"and {count(len(rows) - deep.rows, 'more difference')}")
    if change.direction.needs_consent and not rows:
        blocks.append("**not approved**")
    blocks += _impact(step, plan, zone, deep)
    if deep.hazards and step.hazards:
        blocks.append("\n".join(f"- {_finding(hazard)}" for hazard in step.hazards))
    return "\n\n".join(blocks)


def _machines(names: tuple[str, ...], deep: _Depth, shown: Callable[[str], str]) -> str:
    more = f" and {len(names) - deep.members} more" if len(names) > deep.members else ""
    return ", ".join(shown(cut(name, 100)) for name in names[: deep.members]) + more if names else "no virtual machine"


def _rows(rows: list[words.Row], deep: _Depth) -> list[str]:
    fields = [row for row in rows if row.path]
    blocks = []
    if fields:
        lines = [_table_row(["field", "before", "after", "direction"]), _table_row(["---"] * 4)]
        for row in fields:
            there = _machines(row.machines, deep, cell)
            machines = ("", there) if row.gained else (there, "")
            values = machines if row.machines else tuple(cell(cut(each, deep.wide)) for each in (row.before, row.after))
            notes = "".join(f"; {md_message(cut(note, deep.wide))}" for note in row.notes)
            lines.append(_table_row([cell(row.path), *values, f"{row.direction}{notes}"]))
        blocks.append("\n".join(lines))
    said = [f"- {'; '.join(md_message(cut(note, deep.wide)) for note in row.notes)}" for row in rows if not row.path]
    said += [_consent(row) for row in rows if row.consent or row.approved_by]
    return [*blocks, "\n".join(said)] if said else blocks


def _consent(row: words.Row) -> str:
    what = code(row.path) if row.path else "the group"
    if row.consent:
        return f"- {what} **not approved**" + (f" {code(row.change_hash)}" if row.change_hash else "")
    return f"- {what} approved by {code(row.approved_by)}"


def _impact(step: Step, plan: Plan, zone: tzinfo, deep: _Depth) -> list[str]:
    line = words.impact_line(step)
    if not line or step.impact is None:
        return []
    machines = words.gravest_machines(step.impact, plan.names)
    lines = [f"- {md(line)}"]
    lines += [
        f"  - {code(cut(words.named(str(each.source), plan.names), 100))}: {words.machine_line(each, zone)}"
        for each in machines[: deep.machines]
    ]
    more = len(machines) - deep.machines
    return [
        "\n".join([*lines, *([f"  - and {count(more, 'more virtual machine')}"] if more > 0 and deep.machines else [])])
    ]
