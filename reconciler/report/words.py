"""Words: how times, sizes, tables and colours look in every report."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import accumulate
from typing import Literal

from reconciler.model import DataSource
from reconciler.model.names import fold
from reconciler.report.escape import safe

Tone = Literal["good", "change", "bad", "quiet", "strong"]
Paint = Callable[[str, Tone], str]

#: How wide a cell may be, but for the last one of its row.
_WIDEST = 64

_ANSI = {"good": "32", "change": "33", "bad": "31", "quiet": "2", "strong": "1"}


def plain(text: str, tone: Tone) -> str:
    """No colour."""
    return text


def coloured(text: str, tone: Tone) -> str:
    """ANSI colours."""
    return f"\x1b[{_ANSI[tone]}m{text}\x1b[0m" if text else text


def moment(at: datetime | None, zone: tzinfo) -> str:
    """A time in the site's zone, to the minute."""
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M") if at is not None else "-"


def ago(delta: timedelta) -> str:
    """A length of time in its largest fitting unit: 5 min, 3 h, 12 d."""
    seconds = max(0, int(delta.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 172_800 else f"{seconds // 86_400} d"


def count(number: int, one: str, many: str | None = None) -> str:
    """``1 point``, ``2 points``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def cut(text: str, most: int) -> str:
    """The text, or its first `most` characters less three, and dots."""
    return text if len(text) <= most else text[: most - 3] + "..."


def called_apart(machines: Iterable[tuple[DataSource, str]]) -> dict[DataSource, str]:
    """What each data source is called where several are shown: by its name, with its id behind it where another
    virtual machine has that name too."""
    named = dict(machines)
    machines_of: dict[str, set[str]] = {}
    for source, name in named.items():
        machines_of.setdefault(fold(name), set()).add(f"{source.cluster}/{source.machine}")
    return {
        source: name if len(machines_of[fold(name)]) == 1 else f"{name} ({source.cluster}/{source.machine})"
        for source, name in named.items()
    }


def columns(text: str) -> int:
    """How many columns of a terminal the text takes: two for a wide letter, none for one that stands on the letter
    before it. (Emoji of several letters may take fewer than is counted.)"""
    if text.isascii():
        return len(text)
    return sum(_columns_of(letter) for letter in text)


def _columns_of(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def table(head: Sequence[str], rows: Sequence[Sequence[str]], paint: Paint, indent: str = "") -> list[str]:
    """Columns as wide as their widest cell; the last one is not filled up."""
    cells = [[*(_short(safe(cell)) for cell in row[:-1]), safe(row[-1])] for row in rows]
    widths = [max(columns(row[place]) for row in [list(head), *cells]) for place in range(len(head))]
    lines = [paint(_row(head, widths, indent), "quiet")]
    return lines + [_row(row, widths, indent) for row in cells]


def _short(cell: str) -> str:
    """A cell that would push all others away is cut."""
    if columns(cell) <= _WIDEST:
        return cell
    ends = accumulate(columns(letter) for letter in cell)
    return cell[: sum(end <= _WIDEST - 3 for end in ends)] + "..."


def _row(row: Sequence[str], widths: Sequence[int], indent: str) -> str:
    filled = (cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True))
    return (indent + "  ".join(filled)).rstrip()
