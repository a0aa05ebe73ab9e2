"""Reports: what a command shows and the formats asked for -> stdout and files; what could not be written is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar

from reconciler import files, system_calls
from reconciler.cli.session import target
from reconciler.cli.terminal import out, paint_for, sheet, show, tell
from reconciler.errors import (
    Diagnostic,
    ExitCode,
    PolicyError,
    ReconcilerError,
    Severity,
    UsageError,
    worst,
)
from reconciler.report import Paint, plain
from reconciler.report.action_events import ActionEvent
from reconciler.report.escape import terminal, terminal_sheet
from reconciler.system_errors import explained

#: The formats of a command.
F = TypeVar("F", bound=StrEnum)

#: The format whose lines end as RFC 4180 has them.
_SHEET = "csv"


class Destinations(Generic[F]):
    """Shows something in the formats that were asked for, and remembers what could not be written. `report` holds the
    values of `--report`: ``html=status.html``, ... Raises `UsageError`, RCL0003, for an unknown format, no file, or a
    file that is named twice."""

    def __init__(self, format: F, report: Sequence[str] | None = None) -> None:
        self.format = format
        self._sinks: list[tuple[F, Path]] = []
        self._failed: list[Diagnostic] = []
        for text in report or ():
            self._sinks.append(self._sink(text))

    def _sink(self, text: str) -> tuple[F, Path]:
        formats = {str(each): each for each in type(self.format)}
        word, _, name = text.partition("=")
        if word not in formats or name in ("", "-"):
            what = f"--report {text!r} is not FORMAT=FILE"
            known = ", ".join(formats)
            remedy = f"Write it as json=report.json; formats: {known}. --output prints one."
            raise UsageError("RCL0003", what, remedy)
        path = Path(name)
        if any(path.absolute() == other.absolute() for _, other in self._sinks):
            raise UsageError("RCL0003", f"two reports would be written to {name}", "Give each a file of its own.")
        return formats[word], path

    @property
    def formats(self) -> tuple[F, ...]:
        """Every format that is shown or written."""
        return (self.format, *(format for format, _ in self._sinks))

    def show(
        self,
        printed: Callable[[F, Paint], str],
        written: Callable[[F], str] | None = None,
        event: ActionEvent | None = None,
    ) -> None:
        """Writes every report, whole, for its owner's eyes alone, and prints the one of stdout; files first, since
        nobody may read stdout. `written` is what goes to files, where that differs; `event` what is printed of an
        action that writes events."""
        failed = []
        for format, path in self._sinks:
            text = written(format) if written is not None else printed(format, plain)
            failed += _written(format, path, text)
        self._failed += failed
        text = printed(self.format, paint_for(sys.stdout))
        if event is not None:
            show(event, lambda: text)
        elif self.format == _SHEET:
            sheet(text)
        else:
            out(text)
        tell(failed)

    def around(self, command: Callable[[], int]) -> int:
        """Runs the command. A report that was not written makes it end with 1, whatever else it says, but for 130."""
        try:
            code = ExitCode(command())
        except ReconcilerError as error:
            if not self._failed:
                raise
            findings = error.diagnostics if isinstance(error, PolicyError) else (error.diagnostic,)
            tell(findings)
            code = error.exit_code
        except OSError as error:
            if not self._failed or not system_calls.is_reader_gone(error):
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = ExitCode.FAILURE
        return worst([code, ExitCode.FAILURE]) if self._failed else code


def _written(format: StrEnum, path: Path, text: str) -> list[Diagnostic]:
    """Writes one report; RCL0013 where it could not be written."""
    data = (terminal_sheet(text) if format == _SHEET else terminal(text)).encode()
    try:
        files.write_whole(target(path), data, 0o600)
    except UsageError as error:
        return [_unwritten(format, path, error.diagnostic.message)]
    except OSError as error:
        return [_unwritten(format, path, *explained(error, path, len(data)))]
    return []


def _unwritten(
    format: StrEnum, path: Path, why: str, remedy: str = "Give the path of a file that can be written."
) -> Diagnostic:
    what = f"the {format} report was not written: {why}"
    return Diagnostic("RCL0013", Severity.ERROR, what, remedy, None, str(path))
