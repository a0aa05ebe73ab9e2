"""THE COMMAND LINE: parse arguments, call one function of `control`, render, exit."""

from __future__ import annotations

import io
import os
import sys

_BARE_READ_DATA = "--read-data"


def main(arguments: list[str] | None = None) -> None:
    """The `reconciler` command. Ends the process with a code of docs/reference/exit-codes.md."""
    words = sys.argv[1:] if arguments is None else arguments
    if words == ["--version"]:
        from reconciler import __version__

        sys.stdout.write(f"reconciler {__version__}\n")
        sys.exit(0)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A letter that the terminal's encoding does not have is shown as an escape: nothing ends by it.
            stream.reconfigure(errors="backslashreplace")
    from reconciler.cli.errors import run

    code = run([f"{word}=1/1" if word == _BARE_READ_DATA else word for word in words])
    planning = sys.modules.get("reconciler.cli.actions.plan_from_files")
    if planning is not None and planning.kept:
        # Nothing is open any more; to let go of every machine would take a tenth of the time.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
