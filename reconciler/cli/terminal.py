"""The screen: the one place that writes to stdout and stderr. Whatever reaches it can do nothing to a terminal or a CI
service; it also knows whether colours are wanted and whether there is a terminal to ask at."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from shutil import get_terminal_size
from typing import IO

import msgspec

from reconciler.cli.output_settings import SETTINGS, JsonMode
from reconciler.errors import Diagnostic, Severity, codes
from reconciler.report import WIDTH, Paint, coloured, findings_blocks, findings_text, plain
from reconciler.report.action_events import ActionEvent, finding_event, note_event
from reconciler.report.escape import json_line, safe, terminal, terminal_sheet
from reconciler.report.messages import quoted


def paint_for(stream: IO[str]) -> Paint:
    """Colours for a terminal; --no-color, NO_COLOR and FORCE_COLOR decide otherwise."""
    if not SETTINGS.color or os.environ.get("NO_COLOR"):
        return plain
    return coloured if os.environ.get("FORCE_COLOR") or stream.isatty() else plain


def findings_for(
    stream: IO[str], findings: Iterable[Diagnostic], texts: Mapping[str, bytes] | None = None, *, whole: bool = False
) -> str:
    """Findings as they are shown there: with the lines of the files on a terminal or where they are asked for `whole`,
    else in one line each. `texts` is what was read of the files."""
    if whole or stream.isatty():
        width = get_terminal_size((WIDTH, 25)).columns if stream.isatty() else WIDTH
        return findings_blocks(findings, texts or {}, paint_for(stream), width)
    return findings_text(findings, paint_for(stream))


def out(text: str) -> None:
    """Data of the command."""
    if SETTINGS.json is JsonMode.EVENTS:
        emit(note_event(text))
        return
    sys.stdout.write(terminal(text))
    sys.stdout.flush()


def sheet(text: str) -> None:
    """Data of the command as CSV: UTF-8 and line ends as RFC 4180 has them, whatever the system's are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(terminal_sheet(text).encode())
    sys.stdout.buffer.flush()


def show(event: ActionEvent, text: Callable[[], str]) -> None:
    """Data of an action: as an event where those are asked for, else as text."""
    if SETTINGS.json is JsonMode.EVENTS:
        emit(event)
    else:
        out(text())


def emit(event: ActionEvent) -> None:
    """One event, in one line: on stdout among the events of an action, on stderr beside a report. Whoever reads no more
    stops nothing that has begun."""
    event = msgspec.structs.replace(event, time=datetime.now(UTC), command=SETTINGS.command)
    stream = sys.stdout if SETTINGS.json is JsonMode.EVENTS else sys.stderr
    try:
        stream.write(json_line(event) + "\n")
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            SETTINGS.lost = str(error)


def commands(text: str) -> None:
    """Commands to a CI service, which `report.annotations` made, as they are. Nothing else is written so."""
    sys.stdout.write(text)
    sys.stdout.flush()


def note(text: str) -> None:
    """Progress and remarks, one line each; none with --quiet."""
    if SETTINGS.quiet:
        return
    if SETTINGS.json:
        emit(note_event(text))
        return
    sys.stderr.write(safe(quoted(text)) + "\n")
    sys.stderr.flush()


def say(event: ActionEvent) -> None:
    """What came of an action, in one line: as an event, or its message as a remark."""
    if SETTINGS.json is JsonMode.EVENTS:
        emit(event)
    else:
        note(event.message)


def detail(text: str) -> None:
    """What is read and asked, one line each: only with --verbose."""
    if SETTINGS.verbose:
        note(text)


def tell(findings: Iterable[Diagnostic], texts: Mapping[str, bytes] | None = None) -> None:
    """Findings, after what was written to stdout: without advice where it is to be quiet, with what each code means
    where it is to be verbose."""
    shown = [each for each in findings if not SETTINGS.quiet or each.severity is not Severity.ADVICE]
    sys.stdout.flush()
    if SETTINGS.json:
        for each in shown:
            emit(finding_event(each))
        return
    sys.stderr.write(terminal(findings_for(sys.stderr, shown, texts)))
    if SETTINGS.verbose:
        known = codes()
        for code in sorted({each.code for each in shown} & set(known)):
            sys.stderr.write(f"{code}: {known[code].title}. {known[code].cause}\n")
    sys.stderr.flush()


def trace(error: BaseException) -> None:
    """Where a fault of ours came from."""
    import traceback

    if SETTINGS.json:
        emit(note_event("".join(traceback.format_exception(error))))
        return
    sys.stdout.flush()
    sys.stderr.write(terminal("".join(traceback.format_exception(error))))
    sys.stderr.flush()


def is_interactive() -> bool:
    """Whether a question can be asked: a terminal on both sides, no CI, and text for a person to read."""
    return not SETTINGS.json and sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")


def ask(question: str) -> bool:
    """Asks; only `yes` is yes."""
    sys.stdout.write(terminal(f"{question} Type 'yes' to continue: "))
    sys.stdout.flush()
    return sys.stdin.readline().strip() == "yes"


def bars_wanted() -> bool:
    """Whether bars may be drawn on stderr."""
    return sys.stderr.isatty() and not os.environ.get("CI") and not SETTINGS.quiet and not SETTINGS.json
