"""What is found out about a process, the same on every system."""

from __future__ import annotations

from typing import NamedTuple


class Process(NamedTuple):
    """Whether a process lives, and when it began in units of its system; None where that cannot be told."""

    lives: bool
    start: int | None = None
