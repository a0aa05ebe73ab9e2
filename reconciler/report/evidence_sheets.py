"""Evidence -> CSV for a spreadsheet: a check of the chain, and what the records say of a virtual machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from reconciler.model import ChainCheck
from reconciler.model.audit import Answer, Consent, Protection
from reconciler.report.evidence import changed, is_whole
from reconciler.report.sheets import Columns, Value, sheet


class _Check(NamedTuple):
    """A line of `chain_csv`: the check itself, or a finding of it."""

    row: str
    severity: str = ""
    code: str = ""
    place: str = ""
    message: str = ""
    remedy: str = ""


def chain_csv(check: ChainCheck, site: str, signed_by: str, at: datetime) -> str:
    """A line for the check, which says whether the chain is whole, and a line for each finding."""
    rows = [_Check("check")]
    rows += [
        _Check(
            "finding",
            each.severity,
            each.code,
            str(each.location) if each.location else each.subject,
            each.message,
            each.remedy,
        )
        for each in check.findings
    ]

    def once(value: Value) -> Callable[[_Check], Value]:
        return lambda row: value if row.row == "check" else None

    columns: Columns[_Check] = {
        "as_of": lambda row: at,
        "site": lambda row: site,
        "row": lambda row: row.row,
        "whole": once(is_whole(check)),
        "records": once(check.records),
        "segments": once(check.segments),
        "anchored_records": once(check.anchored),
        "signed_by": once(signed_by),
        "head": once(check.head),
        "severity": lambda row: row.severity,
        "code": lambda row: row.code,
        "place": lambda row: row.place,
        "message": lambda row: row.message,
        "remedy": lambda row: row.remedy,
    }
    return sheet(columns, rows)


class _Event(NamedTuple):
    """A line of `answer_csv`: what the records say of one moment of one data source. `seq` is the record's."""

    told: Protection
    row: str
    time: datetime | None
    seq: int = 0
    what: str = ""
    direction: str = ""
    group: str = ""
    server: str = ""
    by: str = ""
    host: str = ""
    run: str = ""
    commit: str = ""
    plan: str = ""
    consent: str = ""
    approved_by: str = ""
    glass: str = ""
    changed: str = ""
    point: str = ""
    gone_at: datetime | None = None
    why: str = ""
    recovered_to: str = ""


def answer_csv(answer: Answer) -> str:
    """A line for the state of each data source at that time, and for each decision, recovery point, recovery and
    verification on record."""
    columns: Columns[_Event] = {
        "as_of": lambda row: answer.at,
        "evidence_whole": lambda row: answer.whole,
        "virtual_machine": lambda row: row.told.name or answer.machine,
        "source": lambda row: row.told.source,
        "row": lambda row: row.row,
        "time": lambda row: row.time,
        "what": lambda row: row.what,
        "direction": lambda row: row.direction,
        "group": lambda row: row.group,
        "server": lambda row: row.server,
        "by": lambda row: row.by,
        "host": lambda row: row.host,
        "run": lambda row: row.run,
        "commit": lambda row: row.commit,
        "plan_hash": lambda row: row.plan,
        "consent": lambda row: row.consent,
        "approved_by": lambda row: row.approved_by,
        "break_glass": lambda row: row.glass,
        "changed": lambda row: row.changed,
        "point": lambda row: row.point,
        "gone_at": lambda row: row.gone_at,
        "why": lambda row: row.why,
        "recovered_to": lambda row: row.recovered_to,
        "record": lambda row: row.seq or None,
    }
    return sheet(columns, [event for told in answer.protections for event in _events(told)])


def _events(told: Protection) -> Iterator[_Event]:
    yield _Event(
        told,
        "state",
        told.since,
        what="protected" if told.group is not None else "unprotected",
        group=told.group.name if told.group is not None else "",
        server=told.server,
    )
    for step in told.decisions:
        yield _Event(
            told,
            "decision",
            step.at,
            step.seq,
            what=step.verb,
            direction=step.direction,
            group=step.group,
            server=step.server,
            by=step.actor,
            host=step.host.partition(" pid ")[0],
            run=step.run,
            commit=step.commit,
            plan=step.plan_hash,
            consent=step.consent,
            approved_by="; ".join(_approval(each) for each in step.approvals),
            glass=step.glass,
            changed=changed(step, cut=False),
        )
    for point in told.points:
        yield _Event(told, "point", point.time, point.seq, what=point.kind, server=point.server, point=point.id)
    for point in told.lost:
        yield _Event(
            told,
            "lostPoint",
            point.time,
            point.seq,
            what=point.kind,
            server=point.server,
            point=point.id,
            gone_at=point.gone_at,
            why=point.why,
        )
    for done in told.recoveries:
        to = done.folder or done.target
        yield _Event(
            told, "recovery", done.at, done.seq, what=done.state, by=done.asked_by, point=done.point, recovered_to=to
        )
    if told.verified is not None:
        last = told.verified
        yield _Event(told, "verification", last.at, last.seq, what=f"{last.what}: {last.state}")


def _approval(approval: Consent) -> str:
    return f"{approval.by} ({approval.name}, until {approval.until}: {approval.reason})"
