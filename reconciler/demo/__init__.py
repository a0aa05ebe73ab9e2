"""The demo: builds a site with real disk images, plays it, and says what was proven."""

from __future__ import annotations

from pathlib import Path


def play(folder: Path) -> int:
    """Plays the demo in the folder; returns the exit code."""
    from reconciler.demo.play import play

    return play(folder)


__all__ = ["play"]
