"""Comparisons of two states of the policies -> text and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.model import Direction
from reconciler.model.comparison import Comparison, DocumentChange, DocumentField, DocumentVerb
from reconciler.report.escape import md, safe
from reconciler.report.findings import findings_text
from reconciler.report.messages import md_message
from reconciler.report.values import content, shown
from reconciler.report.words import Paint, Tone, count

SIGNS: dict[DocumentVerb, str] = {
    DocumentVerb.CREATED: "+",
    DocumentVerb.CHANGED: "~",
    DocumentVerb.RENAMED: "~",
    DocumentVerb.REMOVED: "-",
}
_TONES: dict[Direction, Tone] = {
    Direction.STRENGTHENS: "good",
    Direction.NEUTRAL: "quiet",
    Direction.WEAKENS: "bad",
    Direction.DESTROYS: "bad",
}


def by_risk(changes: Sequence[DocumentChange]) -> list[DocumentChange]:
    """The gravest first."""
    return sorted(changes, key=lambda change: (-change.direction.rank, change.kind, change.name))


def comparison_text(comparison: Comparison, paint: Paint) -> str:
    """The sum, then every document, the gravest first, with the hash of what needs an approval."""
    lines = [paint(summary(comparison), "strong")]
    for change in by_risk(comparison.changes):
        lines += ["", *_document(change, comparison, paint)]
    if comparison.shifts is not None:
        lines += ["", *_coverage(comparison, paint)]
    text = "\n".join(lines) + "\n"
    return text + ("\n" + findings_text(comparison.findings, paint) if comparison.findings else "")


def summary(comparison: Comparison) -> str:
    """One line: how many documents, in which directions, how much is not approved."""
    between = f"{safe(comparison.older)} -> {safe(comparison.newer)}"
    if not comparison.changes:
        return f"{between}: nothing differs."
    directions = [change.direction for change in comparison.changes]
    parts = [f"{directions.count(each)} {each}" for each in reversed(Direction) if each in directions]
    missing = len(comparison.unapproved)
    tail = f"; {count(missing, 'change is', 'changes are')} not approved" if missing else ""
    return f"{between}: {count(len(directions), 'document')}: {', '.join(parts)}{tail}."


def _document(change: DocumentChange, comparison: Comparison, paint: Paint) -> list[str]:
    where = f"  {paint(safe(str(change.location)), 'quiet')}" if change.location else ""
    former = f" (was {safe(change.formerly)})" if change.formerly else ""
    head = f"{SIGNS[change.verb]} {change.kind} {paint(safe(change.name), 'strong')}{former}"
    lines = [f"{head}  {paint(str(change.direction), _TONES[change.direction])}{where}"]
    for field in change.fields:
        lines += _field(change, field, comparison, paint)
    return lines


def _field(change: DocumentChange, field: DocumentField, comparison: Comparison, paint: Paint) -> list[str]:
    if field.field:
        mark = f"  {paint(str(field.direction), _TONES[field.direction])}"
        note = f"  ({safe(field.note)})" if field.note else ""
        told = shown(field)
        lines = [f"    {safe(field.field)}: {told.before} -> {told.after}{mark}{note}"]
    else:
        lines = [f"    {safe(key)}: {each}" for key, each in content(field).items()]
        lines += [f"    {safe(field.note)}"] if field.note else []
    if field.direction.needs_consent:
        by = comparison.approved.get(field.change_hash)
        said = paint(f"approved by {safe(by)}", "good") if by else paint("not approved", "bad")
        lines.append(f"      {field.change_hash}  {said}")
    return lines


def _coverage(comparison: Comparison, paint: Paint) -> list[str]:
    if not comparison.shifts:
        return ["No virtual machine gains or loses protection."]
    lines = [f"{count(len(comparison.shifts), 'virtual machine changes', 'virtual machines change')} place:"]
    for shift in comparison.shifts:
        tone = _TONES[shift.direction]
        lines.append(
            f"    {safe(shift.machine)} on {safe(shift.cluster)}: {safe(shift.before)} -> "
            f"{safe(shift.after)}  {paint(str(shift.direction), tone)}"
        )
    return lines


# --- Markdown --------------------------------------------------------------------------------------------------


def comparison_markdown(comparison: Comparison) -> str:
    """For a pull request: a table for each document, the gravest first."""
    lines = ["### What this change does to protection", "", md(summary(comparison)), ""]
    for change in by_risk(comparison.changes):
        former = f" (was {md(change.formerly)})" if change.formerly else ""
        lines.append(f"#### {SIGNS[change.verb]} {change.kind} {md(change.name)}{former}: **{change.direction}**")
        lines.append("")
        rows = [field for field in change.fields if field.field]
        if rows:
            lines += ["| field | before | after | direction |", "|---|---|---|---|"]
            lines += [
                f"| {md(row.field)} | {md(told.before)} | {md(told.after)} | {row.direction} |"
                for row, told in ((row, shown(row)) for row in rows)
            ]
            lines.append("")
        for field in change.fields:
            said = content(field)
            lines += [f"- {md(key)}: {md(each)}" for key, each in said.items()] + ([""] if said else [])
            if field.direction.needs_consent:
                by = comparison.approved.get(field.change_hash)
                lines.append(
                    f"- {md(field.field or 'the document')} `{field.change_hash}` "
                    + (f"approved by {md(by)}" if by else "**not approved**")
                )
        lines.append("")
    if comparison.shifts:
        lines += ["#### Virtual machines", "", "| virtual machine | before | after | direction |", "|---|---|---|---|"]
        lines += [
            f"| {md(each.machine)} | {md(each.before)} | {md(each.after)} | {each.direction} |"
            for each in comparison.shifts
        ]
        lines.append("")
    lines += [f"- {each.code} {md_message(each.message)}: {md_message(each.remedy)}" for each in comparison.findings]
    return "\n".join(lines).rstrip() + "\n"
