"""Events of a run -> one line each: text for people, JSON for collectors."""

from __future__ import annotations

from reconciler.model.run_events import Event, EventLevel
from reconciler.report.escape import json_line, safe
from reconciler.report.words import Paint, Tone

_TONES: dict[EventLevel, Tone] = {
    EventLevel.DEBUG: "quiet",
    EventLevel.INFO: "good",
    EventLevel.WARNING: "change",
    EventLevel.ERROR: "bad",
}


def event_text(event: Event, paint: Paint) -> str:
    """``2026-03-10T12:00:00Z warning waiting.started CODE FILE:LINE:COLUMN: what. Help: what to do.``"""
    time = event.time.strftime("%Y-%m-%dT%H:%M:%SZ")
    level = paint(f"{event.level:<7}", _TONES[event.level])
    where = f"{safe(str(event.location))}: " if event.location is not None else ""
    if event.location is None and event.subject and event.subject not in event.message:
        where = f"{safe(event.subject)}: "
    code = f"{event.code} " if event.code and event.code not in event.message else ""
    remedy = f" Help: {safe(event.help)}" if event.help else ""
    stop = "" if event.message.endswith((".", "!", "?")) else "."
    return f"{time} {level} {event.event:<18} {code}{where}{safe(event.message)}{stop}{remedy}\n"


def event_json(event: Event) -> str:
    """One object in one line, the time (UTC) and the event's name first."""
    return json_line(event) + "\n"
