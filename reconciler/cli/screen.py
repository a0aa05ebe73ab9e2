"""The screen: where text goes, whether it may have colours, whether somebody is there to answer."""

from __future__ import annotations

import os
import sys
from typing import IO

from reconciler.report import Paint, coloured, plain


def paint_for(stream: IO[str]) -> Paint:
    """Colours for a terminal; NO_COLOR and FORCE_COLOR decide otherwise."""
    if os.environ.get("NO_COLOR"):
        return plain
    return coloured if os.environ.get("FORCE_COLOR") or stream.isatty() else plain


def out(text: str) -> None:
    """Data of the command."""
    sys.stdout.write(text)
    sys.stdout.flush()


def note(text: str) -> None:
    """Progress and remarks."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def somebody_there() -> bool:
    """Whether a question can be asked: a terminal on both sides, and no CI."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not os.environ.get("CI")


def ask(question: str) -> bool:
    """Asks; only `yes` is yes."""
    sys.stdout.write(f"{question} Only `yes` is taken for a yes: ")
    sys.stdout.flush()
    return sys.stdin.readline().strip() == "yes"


def bars_wanted() -> bool:
    """Whether bars may be drawn on stderr."""
    return sys.stderr.isatty() and not os.environ.get("CI")
