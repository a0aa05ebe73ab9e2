"""The guard: whatever ends a command -> a message on stderr and the right exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from typer import Exit
from typer.main import get_command

from reconciler.cli.commands import drift, evidence, policies, protection, shell, state
from reconciler.cli.commands import site as site_commands
from reconciler.cli.interrupts import listening
from reconciler.cli.options import app
from reconciler.cli.output_settings import SETTINGS
from reconciler.errors import Diagnostic, ExitCode, PolicyError, ReconcilerError, Severity

#: Loading them puts their commands into the application, in this order.
COMMANDS = (policies, site_commands, protection, drift, evidence, state, shell)


def run(words: list[str]) -> int:
    """Runs the command; returns its exit code."""
    SETTINGS.reset()
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
        _say(error.diagnostic)
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.SUCCESS
    except Exception as error:
        return _other(error)


def _other(error: Exception) -> int:
    """Mistakes on the command line, as click tells them; anything else is a fault of ours."""
    shown = getattr(error, "format_message", None)
    if type(error).__name__ == "NoArgsIsHelpError" and shown is not None:  # a group of commands alone
        from reconciler.cli.terminal import out

        out(str(shown()))
        return ExitCode.SUCCESS
    if shown is not None:
        from reconciler.cli.usage import usage_diagnostic

        _say(usage_diagnostic(error))
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
