"""Evidence -> HTML in one file: what checking it found, and what it says of a virtual machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from reconciler.errors import Diagnostic
from reconciler.model import ChainCheck, format_duration
from reconciler.model.audit import Answer, Decision, KeptPoint, Protection
from reconciler.report.evidence import GONE, changed, is_whole
from reconciler.report.pages import Column, Grid, Toned, page
from reconciler.report.points import made_by
from reconciler.report.words import Tone, ago, count, moment

#: So many rows of one kind are shown; JSON and CSV have all.
_SHOWN = 500

_DIRECTIONS: dict[str, Tone] = {"strengthens": "good", "neutral": "quiet", "weakens": "change", "destroys": "bad"}


class Story(NamedTuple):
    """One data source: its state in a word and a sentence, and what the records say of it, each with how many rows
    are left out."""

    name: str
    source: str
    state: Toned
    told: str
    facts: tuple[tuple[str, str], ...]
    glass: tuple[str, ...]
    parts: tuple[Part, ...]


class Part(NamedTuple):
    """Rows of one kind: their heading, the rows, or what is said where there are none."""

    title: str
    grid: Grid
    none: str
    more: int


def chain_html(check: ChainCheck, site: str, where: str, signed_by: str) -> str:
    """The page of `evidence verify`."""
    whole = is_whole(check)
    facts = [
        ("folder", where),
        ("records", str(check.records)),
        ("segments", str(check.segments)),
        ("anchor", f"covers {count(check.anchored, 'record')}" if check.anchored else "none covers the records"),
        ("signed by", signed_by or "no valid signature was found"),
    ]
    facts += [("head", check.head)] if check.head else []
    return page(
        "chain.html",
        title=f"Evidence of {site}",
        whole=whole,
        verdict="The evidence is whole: every record is as it was written."
        if whole
        else "The evidence is not as it was written.",
        facts=facts,
        findings=check.findings[:_SHOWN],
        more=max(len(check.findings) - _SHOWN, 0),
    )


def answer_html(answer: Answer, zone: tzinfo, findings: Sequence[Diagnostic] = ()) -> str:
    """The page of `evidence query`. `findings` are those of the chain, where it is not whole."""
    return page(
        "answer.html",
        title=f"Evidence about {answer.machine}",
        at=moment(answer.at, zone),
        zone=str(zone),
        records=count(answer.records, "record"),
        whole=answer.whole,
        findings=findings if not answer.whole else (),
        stories=[_story(each, answer, zone) for each in answer.protections],
    )


def _story(told: Protection, answer: Answer, zone: tzinfo) -> Story:
    return Story(
        told.name or answer.machine,
        told.source,
        Toned("protected", "good") if told.group is not None else Toned("unprotected", "bad"),
        _sentence(told, zone),
        tuple(_facts(told, zone)),
        tuple(each.glass for each in told.decisions if each.glass),
        (
            _points(told, answer.at, zone),
            _lost(told, zone),
            _decisions(told, zone),
            _recoveries(told, zone),
        ),
    )


def _sentence(told: Protection, zone: tzinfo) -> str:
    if told.group is not None:
        return f"by {told.group.name} on {told.server} since {moment(told.since, zone)}"
    if told.since is not None:
        return f"since {moment(told.since, zone)}"
    return "no record says that a group had it by then"


def _facts(told: Protection, zone: tzinfo) -> list[tuple[str, str]]:
    facts = []
    if told.group is not None:
        term = told.group.short_term
        every = format_duration(term.synchronization) if term.synchronization else "before each recovery point"
        least = count(term.minimum_points, "point")
        facts += [("retention", f"{format_duration(term.retention)}, at least {least}"), ("synchronization", every)]
    if told.joined is not None:
        facts.append(("joined by" if told.group is not None else "ended by", _who(told.joined, zone)))
    last = told.verified
    if last is None:
        facts.append(("last verified", "nothing was verified until then"))
    else:
        repaired = f", {count(last.blocks_repaired, 'block')} repaired" if last.blocks_repaired else ""
        facts.append(("last verified", f"{moment(last.at, zone)} by {last.what}: {last.state}{repaired}"))
    return facts


def _who(decision: Decision, zone: tzinfo) -> str:
    host = decision.host.partition(" pid ")[0]
    by = f"{decision.actor or 'somebody unknown'}{f' on {host}' if host else ''}"
    commit = f", commit {decision.commit[:12]}" if decision.commit else ""
    return f"{by}, {moment(decision.at, zone)}{commit}"


def _points(told: Protection, at: datetime, zone: tzinfo) -> Part:
    columns = (
        Column("time", "moment"),
        Column("age", "number"),
        Column("point", "code"),
        Column("made by"),
        Column("server"),
    )
    rows = [
        (moment(each.time, zone), ago(at - each.time), each.id, made_by(each.kind), each.server) for each in told.points
    ]
    title = f"{count(len(rows), 'recovery point')} could have been recovered"
    return _part(title if rows else "Recovery points", columns, rows, "No recovery point was there.")


def _lost(told: Protection, zone: tzinfo) -> Part:
    columns = (
        Column("time", "moment"),
        Column("point", "code"),
        Column("server"),
        Column("why", "state"),
        Column("since", "time"),
    )
    rows = [_gone(each, zone) for each in told.lost]
    return _part(f"{count(len(rows), 'recovery point')} on record could not be recovered", columns, rows, "")


def _gone(point: KeptPoint, zone: tzinfo) -> tuple[str | Toned, ...]:
    why = Toned(GONE.get(point.why, point.why), "bad")
    return moment(point.time, zone), point.id, point.server, why, moment(point.gone_at, zone)


def _decisions(told: Protection, zone: tzinfo) -> Part:
    columns = (
        Column("time", "moment"),
        Column("step"),
        Column("direction", "state"),
        Column("group"),
        Column("by"),
        Column("commit", "code"),
        Column("changed", "message"),
        Column("approved by", "message"),
    )
    rows = [
        (
            moment(each.at, zone),
            each.verb,
            Toned(each.direction, _DIRECTIONS.get(each.direction, "quiet")),
            each.group,
            each.actor or "unknown",
            each.commit[:12],
            changed(each),
            _approvals(each),
        )
        for each in told.decisions
    ]
    return _part("What was decided, newest first", columns, rows, "")


def _approvals(decision: Decision) -> str | Toned:
    told = "; ".join(f"{each.by} until {each.until}: {each.reason} ({each.name})" for each in decision.approvals)
    return Toned("break-glass: approvals were bypassed", "bad") if decision.glass else told


def _recoveries(told: Protection, zone: tzinfo) -> Part:
    columns = (
        Column("time", "moment"),
        Column("outcome"),
        Column("asked for by"),
        Column("point", "code"),
        Column("to"),
        Column("files", "number"),
    )
    rows = [
        (
            moment(each.at, zone),
            each.state,
            each.asked_by or "unknown",
            each.point,
            each.folder or "its original place",
            str(each.files),
        )
        for each in told.recoveries
    ]
    return _part("Recoveries until then", columns, rows, "")


def _part(title: str, columns: tuple[Column, ...], rows: Sequence[tuple[str | Toned, ...]], none: str) -> Part:
    return Part(title, Grid("", columns, rows[:_SHOWN]), none, max(len(rows) - _SHOWN, 0))
