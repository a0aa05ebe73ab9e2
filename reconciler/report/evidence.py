"""Evidence -> text: what checking it found, and what it says of a machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

from reconciler.errors import Severity
from reconciler.model import ChainCheck, format_duration
from reconciler.model.audit import Answer, Confirmation, Decision, Protection
from reconciler.model.encode import inline
from reconciler.model.kept_points import DECLARED_LOST, NOT_THERE
from reconciler.report.escape import safe
from reconciler.report.findings import findings_text
from reconciler.report.points import made_by
from reconciler.report.words import Paint, ago, count, moment, table

#: How many findings are told one by one.
_MOST = 20

#: How many recovery points, decisions and recoveries are told one by one.
_SHOWN = 10


def chain_text(check: ChainCheck, where: str, signed_by: str, paint: Paint) -> str:
    """What was read, whether it is whole, and every place where it is not."""
    verdict = paint("whole", "good") if is_whole(check) else paint("not as it was written", "bad")
    anchored = f"an anchor covers {count(check.anchored, 'record')}" if check.anchored else "no anchor covers them"
    signed = f", signed by {safe(signed_by)}" if signed_by else ""
    lines = [
        f"Evidence in {safe(where)}: {count(check.records, 'record')} in {count(check.segments, 'segment')}: {verdict}",
        f"  {anchored}{signed}",
        *([f"  head {check.head}"] if check.head else []),
    ]
    text = "\n".join(lines) + "\n"
    if check.findings:
        text += "\n" + findings_text(check.findings[:_MOST], paint)
        more = len(check.findings) - _MOST
        text += f"... and {more} more.\n" if more > 0 else ""
    return text


def is_whole(check: ChainCheck) -> bool:
    """Whether the chain is as it was written, as far as the check went."""
    return all(each.severity is not Severity.ERROR for each in check.findings)


def answer_text(answer: Answer, zone: tzinfo, paint: Paint) -> str:
    """What protected the machine then, who agreed, what could have been recovered."""
    return "\n".join(_protection(each, answer, zone, paint) for each in answer.protections)


def _protection(told: Protection, answer: Answer, zone: tzinfo, paint: Paint) -> str:
    name = safe(told.name or answer.machine)
    lines = [
        paint(f"{name} ({told.source}) at {moment(answer.at, zone)}", "strong"),
        *(_protected(told, zone, paint) if told.group is not None else _unprotected(told, zone, paint)),
        *_points(told, answer.at, zone, paint),
        *_verified(told, zone),
        *_recoveries(told, zone),
        *_decisions(told, zone, paint),
    ]
    return "\n".join(lines) + "\n"


def _protected(told: Protection, zone: tzinfo, paint: Paint) -> list[str]:
    assert told.group is not None
    term = told.group.short_term
    every = format_duration(term.synchronization) if term.synchronization else "before each recovery point"
    by, least = f"{safe(told.group.name)} on {safe(told.server)}", count(term.minimum_points, "point")
    lines = [
        f"  {paint('protected', 'good')} by {by} since {moment(told.since, zone)}",
        f"  points are kept for {format_duration(term.retention)}, at least {least}; synchronized: {every}",
    ]
    if told.joined is not None:
        lines += _who(told.joined, "joined by", zone)
    latest = told.decisions[0] if told.decisions else None
    if latest is not None and latest is not told.joined:
        lines += _who(latest, "as it was by", zone)
    return lines


def _unprotected(told: Protection, zone: tzinfo, paint: Paint) -> list[str]:
    if told.since is None:
        return [f"  {paint('unprotected', 'bad')}: no record says that a group had it by then"]
    lines = [f"  {paint('unprotected', 'bad')} since {moment(told.since, zone)}"]
    return lines + (_who(told.joined, "ended by", zone) if told.joined is not None else [])


#: How a run was confirmed, for people. What another version wrote is shown as it is.
_CONFIRMED: dict[str, str] = {
    Confirmation.OPTION: "confirmed with --yes",
    Confirmation.BREAK_GLASS: "confirmed with --break-glass",
    Confirmation.TERMINAL: "confirmed in a terminal",
    Confirmation.AUTOMATIC: "applied automatically",
}


def _who(decision: Decision, label: str, zone: tzinfo) -> list[str]:
    """Run, commit, person, plan; and who approved or confirmed it."""
    at = f"{moment(decision.at, zone)}, {decision.verb} ({decision.direction})"
    host = decision.host.partition(" pid ")[0]
    by = f"{decision.actor or 'unknown'}{f' on {host}' if host else ''}"
    origin = [f"run {decision.run}"]
    origin += [f"commit {decision.commit[:12]}"] if decision.commit else []
    origin += [f"plan {decision.plan_hash[:12]}"] if decision.plan_hash else []
    origin += [f"CI {decision.ci}"] if decision.ci else []
    origin += [_CONFIRMED.get(decision.consent, f"confirmation: {decision.consent}")] if decision.consent else []
    origin += [f"named as authors: {', '.join(decision.authors)}"] if decision.authors else []
    lines = [f"  {label:<12} {safe(by)}, {at}", f"               {safe(', '.join(origin))}"]
    lines += (
        f"               approved by {safe(each.by)} until {each.until}: {safe(each.reason)} ({safe(each.name)})"
        for each in decision.approvals
    )
    if decision.glass:
        lines.append(f"               BREAK-GLASS, approvals were bypassed: {safe(decision.glass)}")
    return lines


def _points(told: Protection, at: datetime, zone: tzinfo, paint: Paint) -> list[str]:
    if not told.points:
        return ["  No recovery point was there.", *_lost(told, zone, paint)]
    lines = [f"  {count(len(told.points), 'recovery point')} could have been recovered, newest first:"]
    rows = [
        (moment(each.time, zone), ago(at - each.time), each.id, made_by(each.kind), each.server)
        for each in told.points[:_SHOWN]
    ]
    lines += table(("TIME", "AGE", "POINT", "MADE BY", "SERVER"), rows, paint, "    ")
    return [*lines, *_more(told.points), *_lost(told, zone, paint)]


#: Why a point could not be recovered any more.
GONE = {DECLARED_LOST: "declared lost", NOT_THERE: "not in the store any more"}


def _lost(told: Protection, zone: tzinfo, paint: Paint) -> list[str]:
    if not told.lost:
        return []
    lines = [
        f"  {paint(count(len(told.lost), 'recovery point'), 'bad')} on record could not be recovered, newest first:"
    ]
    rows = [
        (moment(each.time, zone), each.id, each.server, GONE.get(each.why, each.why), moment(each.gone_at, zone))
        for each in told.lost[:_SHOWN]
    ]
    lines += table(("TIME", "POINT", "SERVER", "WHY", "SINCE"), rows, paint, "    ")
    return lines + _more(told.lost)


def _verified(told: Protection, zone: tzinfo) -> list[str]:
    last = told.verified
    if last is None:
        return ["  Nothing was verified until then."]
    repaired = f", {count(last.blocks_repaired, 'block')} repaired" if last.blocks_repaired else ""
    return [f"  Last verified {moment(last.at, zone)} by {last.what}: {last.state}{repaired}"]


def _recoveries(told: Protection, zone: tzinfo) -> list[str]:
    if not told.recoveries:
        return []
    lines = [f"  {count(len(told.recoveries), 'recovery', 'recoveries')} until then:"]
    lines += [
        f"    {moment(each.at, zone)}  {each.state}, asked for by {safe(each.asked_by or 'unknown')}: "
        f"point {each.point} to {safe(each.folder or 'its original place')}, {count(each.files, 'file')}"
        for each in told.recoveries[:_SHOWN]
    ]
    return lines + _more(told.recoveries)


def _decisions(told: Protection, zone: tzinfo, paint: Paint) -> list[str]:
    if not told.decisions:
        return []
    rows = [
        (moment(each.at, zone), each.verb, each.direction, each.group, each.actor or "-", changed(each))
        for each in told.decisions[:_SHOWN]
    ]
    lines = ["  What was decided, newest first:"]
    lines += table(("TIME", "STEP", "DIRECTION", "GROUP", "BY", "CHANGED"), rows, paint, "    ")
    return lines + _more(told.decisions)


def changed(decision: Decision, *, cut: bool = True) -> str:
    """What a step changed, field by field, in one line; long values are cut unless they are wanted whole."""
    told = [f"{field.get('path') or 'the group'} {_change(field, cut=cut)}" for field in decision.fields]
    return "; ".join(told) or "-"


def _change(field: dict[str, Any], *, cut: bool) -> str:
    return f"{_value(field.get('before'), cut=cut)} -> {_value(field.get('after'), cut=cut)}"


def _value(value: Any, *, cut: bool) -> str:
    text = inline(value)
    return text if not cut or len(text) <= 40 else text[:37] + "..."


def _more(told: Sequence[object]) -> list[str]:
    return [f"    ... and {len(told) - _SHOWN} more"] if len(told) > _SHOWN else []
