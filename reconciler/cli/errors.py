"""The guard: whatever ends a command -> a message on stderr and the right exit code."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping

from typer import Exit
from typer.main import get_command

from reconciler import system_calls
from reconciler.cli.application import write_json
from reconciler.cli.commands import drift, evidence, policies, protection, shell, state
from reconciler.cli.commands import site as site_commands
from reconciler.cli.interrupts import listening
from reconciler.cli.options import app
from reconciler.cli.output_settings import SETTINGS, JsonMode
from reconciler.cli.usage import asks_for_json, usage_diagnostic
from reconciler.errors import MEANINGS, Diagnostic, ExitCode, PolicyError, ReconcilerError, Severity

#: Loading them puts their commands into the application, in this order.
COMMANDS = (policies, site_commands, protection, drift, evidence, state, shell)


def run(words: list[str]) -> int:
    """Runs the command; returns its exit code. The last event of an action that writes events tells it."""
    SETTINGS.reset()
    began = time.monotonic()
    code = _run(words)
    if SETTINGS.verbose:
        from reconciler.cli.terminal import detail

        detail(f"Ended with {int(code)} ({MEANINGS[ExitCode(code)]}) after {time.monotonic() - began:.1f} s.")
    if SETTINGS.json is JsonMode.EVENTS:
        from reconciler.cli.terminal import emit, note
        from reconciler.report.action_events import ended_event

        code = ExitCode.FAILURE if SETTINGS.lost and code == ExitCode.SUCCESS else code
        emit(ended_event(SETTINGS.command, code))
        if SETTINGS.lost:
            SETTINGS.json = JsonMode.NONE
            note(f"Events were lost: {SETTINGS.lost}")
    return code


def _run(words: list[str]) -> int:
    command = get_command(app)
    try:
        with listening() as listener:
            code = command.main(args=words, prog_name="reconciler", standalone_mode=False)
            if code == ExitCode.INTERRUPTED and listener is not None and listener.cut_off:  # typer made an exit of it
                raise KeyboardInterrupt
        sys.stdout.flush()
        return int(code or 0)
    except Exit as ended:
        return ended.exit_code
    except PolicyError as error:
        _say(*error.diagnostics, texts=error.texts)
        return error.exit_code
    except ReconcilerError as error:
        if not SETTINGS.json and error.diagnostic.code == "RCL0003" and asks_for_json(words):
            write_json(error.diagnostic.subject.partition(" ")[2])
        _say(error.diagnostic)
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        if isinstance(error, OSError) and system_calls.is_reader_gone(error):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.SUCCESS
        return _other(error, words)


def _other(error: Exception, words: list[str]) -> int:
    """Mistakes on the command line, as click tells them; anything else is a fault of ours."""
    shown = getattr(error, "format_message", None)
    if type(error).__name__ == "NoArgsIsHelpError" and shown is not None:  # a group of commands alone
        from reconciler.cli.terminal import out

        out(str(shown()))
        return ExitCode.SUCCESS
    if shown is not None:
        found = usage_diagnostic(error)
        if not SETTINGS.json and asks_for_json(words):  # what is wrong came before the option was read
            write_json(found.subject.partition(" ")[2])
        _say(found)
        return ExitCode.USAGE
    if type(error).__name__ == "Abort":  # what click makes of Ctrl-C
        return _interrupted()
    if isinstance(error, OSError):
        from reconciler.system_errors import explained, is_forbidden

        forbidden = is_forbidden(error)
        _say(Diagnostic("RCL4026" if forbidden else "RCL0007", Severity.ERROR, *explained(error)))
        return ExitCode.PRECONDITION_FAILED if forbidden else ExitCode.FAILURE
    from reconciler.cli.terminal import trace

    trace(error)
    _say(
        Diagnostic(
            "RCL9001",
            Severity.ERROR,
            f"internal error: {error!r}",
            "Please report it with the trace above. What was begun is in the journal.",
        )
    )
    return ExitCode.FAILURE


def _interrupted() -> int:
    from reconciler.cli.terminal import note

    note("Interrupted. What was begun is in the journal; run the command again to continue.")
    return ExitCode.INTERRUPTED


def _say(*findings: Diagnostic, texts: Mapping[str, bytes] | None = None) -> None:
    from reconciler.cli.terminal import tell

    tell(findings, texts)
