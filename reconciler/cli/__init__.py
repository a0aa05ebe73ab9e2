"""THE COMMAND LINE: parse arguments, call one function of `control`, render, exit."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from reconciler import system_calls


def main(arguments: list[str] | None = None) -> None:
    """The `reconciler` command. Ends the process with a code of docs/reference/exit-codes.md."""
    words = sys.argv[1:] if arguments is None else arguments
    _have_streams()
    if words == ["--version"]:
        from reconciler import __version__

        sys.stdout.write(f"reconciler {__version__}\n")
        sys.exit(0)
    if words[:1] == ["__complete"]:
        from reconciler.cli.completion import answer

        answer(words[1:])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            system_calls.ready_output(stream)
    from reconciler.cli.errors import run

    code = run(words)
    planning = sys.modules.get("reconciler.cli.actions.plan_from_files")
    if planning is not None and planning.kept:
        # Nothing is open any more; to let go of every machine would take a tenth of the time.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _have_streams() -> None:
    """A process may be started without standard streams: a service, a scheduled task, ``>&-`` in a shell. What would be
    written there goes nowhere; and no file that is opened later gets the number of such a stream."""
    nowhere = Path(os.devnull)
    sys.stdin = sys.stdin or nowhere.open(encoding="utf-8")
    sys.stdout = sys.stdout or nowhere.open("w", encoding="utf-8")
    sys.stderr = sys.stderr or nowhere.open("w", encoding="utf-8")
