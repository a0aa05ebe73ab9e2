"""Plans and what came of them -> text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import tzinfo

from reconciler.model import Direction, Origin, Outcome, OutcomeState, Plan, Step, Verb
from reconciler.report import plan_words as words
from reconciler.report.escape import safe
from reconciler.report.findings import finding_line, findings_text
from reconciler.report.messages import quoted
from reconciler.report.plan_headline import headline
from reconciler.report.words import Paint, count, moment, table

#: How many machines are listed where there are many: of members that come, and of points that change.
_MEMBERS, _MACHINES = 50, 10


def plan_text(
    plan: Plan, zone: tzinfo, paint: Paint, only: Collection[Direction] = (), *, approvers: bool | None = None
) -> str:
    """The summary; what was found to be wrong; the steps, the gravest first, or only those of the directions `only`;
    the volumes; advice. `approvers` says whether the site names some, None where that is not known."""
    seen = f"Plan for site {safe(plan.site)}, as seen at {moment(plan.created_at, zone)} ({zone})"
    blocks = [[seen], [paint(headline(plan), "strong"), *_facts(plan, zone, paint)]]
    blocks.append([finding_line(finding, paint) for finding in words.grave_findings(plan)])
    blocks += [_step(step, plan, zone, paint) for step in words.chosen(plan, only)]
    blocks.append([words.hidden_text(plan, only)])
    if plan.volumes:
        blocks.append(table(words.VOLUME_HEAD, [words.volume_cells(each) for each in plan.volumes], paint))
    blocks.append([quoted(words.hint(plan, approvers))])
    blocks.append([findings_text(words.advice(plan), paint).rstrip("\n")])
    return "\n\n".join("\n".join(block) for block in blocks if any(block)) + "\n"


def origin_text(origin: Origin) -> str:
    """Where a saved plan comes from, in two lines."""
    by, commit = words.origin_lines(origin)
    return f"Saved plan, {by}\n{commit}\n\n"


def _facts(plan: Plan, zone: tzinfo, paint: Paint) -> list[str]:
    return [paint(quoted(fact.text), fact.tone) for fact in words.facts(plan, zone)]


def _step(step: Step, plan: Plan, zone: tzinfo, paint: Paint) -> list[str]:
    change = step.change
    sign, tone = words.SIGNS[change.verb]
    direction = paint(str(change.direction), words.TONES[change.direction])
    where = f"  {paint(safe(str(change.location)), 'quiet')}" if change.location else ""
    what = f"{paint(f'{sign} {change.verb}', tone)} {paint(words.title(change), 'strong')} on {safe(change.server)}"
    lines = [f"  {what}  {direction}  ({words.REASONS[change.reason]}){where}"]
    if change.verb is Verb.CREATE:
        lines += [*_members(words.members_of(change, plan.names), "+"), f"      {words.terms(change)}"]
    elif change.verb is Verb.STOP:
        lines += _members(words.members_of(change, plan.names), "-")
    elif change.verb is Verb.ADOPT:
        lines += ["      owned from now on; the server is not changed"]
    for row in words.rows(change, plan.names):
        lines += _row(row, paint)
    if change.direction.needs_consent and not change.fields:
        lines.append("      " + paint("not approved", "bad"))
    lines += _impact(step, plan, zone, paint)
    lines += [f"      {finding_line(hazard, paint)}" for hazard in step.hazards]
    wave = words.wave_of(step, plan, zone)
    return lines + ([f"      {wave}"] if wave else [])


def _row(row: words.Row, paint: Paint) -> list[str]:
    notes = [str(row.direction)] if row.direction is not Direction.NEUTRAL and row.path else []
    notes += [f"approved by {row.approved_by}"] if row.approved_by else []
    tail = "; ".join([*notes, *row.notes])
    tail = f"  ({tail})" if tail and row.path else tail
    tail += f"  {paint(row.place, 'quiet')}" if row.place and row.path else ""
    if row.path == "members":
        sign = "+" if row.gained else "-"
        machines = _members(row.machines, sign, paint, shorten=row.gained)
        lines = [line + tail for line in machines]
    else:
        what = f"~ {row.path}: {row.before} -> {row.after}{tail}" if row.path else tail
        lines = [f"      {what}"] if what else []
    if row.consent:
        lines.append("          " + paint(f"not approved {row.change_hash}".rstrip(), "bad"))
    return lines


def _members(machines: Sequence[str], sign: str, paint: Paint | None = None, *, shorten: bool = True) -> list[str]:
    shown = machines[:_MEMBERS] if shorten else machines
    lines = [f"{sign} {machine}" for machine in shown]
    more = len(machines) - len(shown)
    lines += [f"{sign} {more} more"] if more else []
    return [f"      {paint(line, 'good' if sign == '+' else 'bad') if paint else line}" for line in lines]


def _impact(step: Step, plan: Plan, zone: tzinfo, paint: Paint) -> list[str]:
    line = words.impact_line(step)
    if not line or step.impact is None:
        return []
    lines = [f"      {paint(line, 'bad' if step.impact.expires_now else 'quiet')}"]
    machines = words.gravest_machines(step.impact, plan.names)
    lines += [
        f"        {words.named(str(each.source), plan.names)}: {words.machine_line(each, zone)}"
        for each in machines[:_MACHINES]
    ]
    rest = machines[_MACHINES:]
    if rest:
        points = sum(each.expires_now for each in rest)
        lines.append(f"        and {count(len(rest), 'more virtual machine')} with {count(points, 'point')} at once")
    return lines


def applied_text(run: str, outcomes: Sequence[Outcome], left: int, paint: Paint) -> str:
    """What came of each step; then the sum with the run's id."""
    lines: list[str] = []
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
