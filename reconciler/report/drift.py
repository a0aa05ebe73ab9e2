"""Drift -> text: by class, each thing with its group, field, values, place and when."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from reconciler.model import Direction
from reconciler.model.drift import Drift, DriftClass, DriftItem, InFlight
from reconciler.model.encode import inline
from reconciler.report.escape import safe
from reconciler.report.findings import findings_text
from reconciler.report.words import Paint, Tone, moment

_HEADS: dict[DriftClass, tuple[str, Tone]] = {
    DriftClass.EXTERNAL: ("changed outside reconciler", "bad"),
    DriftClass.PENDING: ("the policies are ahead of what was applied", "change"),
    DriftClass.NORMALISATION: ("the server made something else of what was applied", "quiet"),
    DriftClass.CHURN: ("the virtual machines changed", "quiet"),
}


def drift_text(drift: Drift, zone: tzinfo, paint: Paint) -> str:
    """The classes that have something, the gravest first; then what is in flight, and the sum."""
    lines = [paint(f"Drift of site {drift.site} at {moment(drift.at, zone)}", "strong"), ""]
    for klass in drift.classes:
        items = drift.of(klass)
        if items:
            head, tone = _HEADS[klass]
            lines.append(f"{paint(str(klass), tone)}: {head}")
            lines += [line for item in items for line in _item(item, drift.names, zone, paint)]
            lines.append("")
    if drift.in_flight:
        lines += ["in flight: the result is not known yet", *(_flight(each, zone) for each in drift.in_flight), ""]
    counts = ", ".join(f"{len(drift.of(klass))} {klass}" for klass in drift.classes)
    lines.append(paint(f"{counts}.", "strong") if drift.items else f"No drift: {counts}.")
    text = "\n".join(lines) + "\n"
    return text + ("\n" + findings_text(drift.findings, paint) if drift.findings else "")


def _item(item: DriftItem, names: dict[str, str], zone: tzinfo, paint: Paint) -> list[str]:
    field = item.path or "the whole group"
    about = f" of {safe(names.get(item.source, item.source))}" if item.source else ""
    where = f"  {paint(safe(str(item.location)), 'quiet')}" if item.location else ""
    head = f"  {paint(safe(item.group), 'strong')} on {safe(item.server)}: {safe(field)}{about}{where}"
    notes = [str(item.direction)] if item.direction is not Direction.NEUTRAL else []
    notes += [safe(item.note)] if item.note else []
    said = f"  ({'; '.join(notes)})" if notes else ""
    when = _when(item, zone)
    return [head, f"      {_values(item)}{said}", *([f"      {when}"] if when else [])]


def _values(item: DriftItem) -> str:
    if item.path == "machine" or item.path.startswith("machine."):
        return f"{_value(item.applied, item.path)} -> {_value(item.live, item.path)}"
    sides = (("desired", item.desired), ("last applied", item.applied), ("live", item.live))
    return ", ".join(f"{name} {_value(value, item.path)}" for name, value in sides)


def _value(value: Any, path: str) -> str:
    if path == "members":
        return "no" if value is None else "yes"
    return safe(inline(value))


def _when(item: DriftItem, zone: tzinfo) -> str:
    if item.after is None:
        return ""
    after = moment(item.after, zone)
    match item.klass:
        case DriftClass.EXTERNAL if item.first_seen is None:
            return f"changed after {after}"
        case DriftClass.EXTERNAL:
            then = f", as {_value(item.first_live, item.path)} then" if item.first_live is not None else ""
            return f"last matched at {after}, first differed at {moment(item.first_seen, zone)}{then}"
        case DriftClass.NORMALISATION:
            return f"since it was applied at {after}"
        case DriftClass.PENDING | DriftClass.CHURN:
            return f"last applied at {after}"


def _flight(flight: InFlight, zone: tzinfo) -> str:
    group = f"  {safe(flight.group)} on {safe(flight.server)}"
    if not flight.run:
        return f"{group}: it was applied meanwhile"
    who = f"{safe(flight.holder)} is at work" if flight.holder else "it was interrupted"
    return f"{group}: run {flight.run} since {moment(flight.since, zone)}, {who}"
