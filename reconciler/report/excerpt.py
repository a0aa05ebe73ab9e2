"""Findings and the texts they are about -> blocks as compilers print them: the line of the file, what is meant
underlined, the help below.

What is quoted was written by strangers: each letter is shown as `escape` shows it, and the caret is put where the
letter really stands, whatever stands before it: tabs, wide letters, letters without a width, escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import accumulate

from reconciler.errors import Diagnostic, Location
from reconciler.report.escape import letters, safe
from reconciler.report.findings import TONES, finding_mark
from reconciler.report.messages import quoted
from reconciler.report.words import Paint, columns

#: How wide a block is where nobody says how wide the terminal is, in columns; never narrower than `_NARROWEST`.
WIDTH = 100
_NARROWEST = 40
#: How many further places are shown with their lines.
_MOST_PLACES = 3
_TAB = "    "

_KEY = re.compile(r"[^\s:#'\"\[\]{},][^:#]*?(?=\s*:(?:\s|$))")
_VALUE = re.compile(r".*?(?=\s+#|\s*$)")
_ITEM = re.compile(r"[^,\[\]{}]+?(?=\s*(?:[,\[\]{}]|\s#|$))")
_WORD = re.compile(r"[\w.-]+|[^\w\s]+")


def findings_blocks(
    findings: Iterable[Diagnostic], texts: Mapping[str, bytes], paint: Paint, width: int = WIDTH
) -> str:
    """A block for each, an empty line between them. `texts` is what was read of each file, by its name in locations;
    without it a block has the place and no line. `width` counts columns of the terminal."""
    return "\n".join(_block(finding, _Texts(texts), paint, max(width, _NARROWEST)) for finding in findings)


class _Texts:
    """The lines of files, split when somebody asks."""

    def __init__(self, texts: Mapping[str, bytes]) -> None:
        self._texts = texts

    def line(self, place: Location) -> str | None:
        data = self._texts.get(place.file)
        if data is None:
            return None
        lines = data.decode("utf-8-sig", "replace").split("\n")
        return lines[place.line - 1].removesuffix("\r") if place.line <= len(lines) else None


def _block(finding: Diagnostic, texts: _Texts, paint: Paint, width: int) -> str:
    lines = [
        f"{paint(finding_mark(finding), TONES[finding.severity])}: {paint(safe(quoted(finding.message)), 'strong')}"
    ]
    places = [finding.location] if finding.location is not None else []
    places += finding.also
    shown = places[:_MOST_PLACES]
    margin = " " * max((len(str(place.line)) for place in shown), default=1)
    for index, place in enumerate(shown):
        lines.append(f"{margin}{paint('-->', 'quiet')} {safe(str(place))}")
        line = texts.line(place)
        if line is not None:
            tone = TONES[finding.severity] if index == 0 else "quiet"
            excerpt, marked = _quoted(line, place.column - 1, width - len(margin) - 3)
            number = str(place.line).rjust(len(margin))
            lines += [
                paint(f"{margin} |", "quiet"),
                f"{paint(f'{number} |', 'quiet')} {excerpt}".rstrip(),
                f"{paint(f'{margin} |', 'quiet')} {' ' * marked.start}{paint('^' * len(marked), tone)}",
            ]
    if not places and finding.subject:
        lines.append(f"{margin}{paint('-->', 'quiet')} {safe(finding.subject)}")
    lines += [f"{margin} {paint('=', 'quiet')} also: {safe(str(place))}" for place in places[_MOST_PLACES:]]
    if finding.remedy:
        lines.append(f"{margin} {paint('= help:', 'quiet')} {safe(quoted(finding.remedy))}")
    return "\n".join(lines) + "\n"


def _quoted(line: str, at: int, width: int) -> tuple[str, range]:
    """The line as it is shown, cut around the place where it is longer than `width` columns, and which columns are
    underlined."""
    cells = [_TAB if raw == "\t" else cell for raw, cell in zip(line, letters(line), strict=True)]
    begins = [0, *accumulate(columns(cell) for cell in cells)]
    start = min(at, len(cells))
    end = max(min(meant(line, start), len(cells)), start)
    first, last = begins[start], max(begins[end], begins[start] + 1)
    if begins[-1] <= width:
        return "".join(cells), range(first, last)
    room = width - 6  # three dots on either side
    left = max(0, min(first - room // 3, begins[-1] - room))
    head = next(index for index, column in enumerate(begins) if column >= left)
    tail = max(index for index, column in enumerate(begins) if column <= begins[head] + room)
    dots, rest = "..." if head else "", "..." if tail < len(cells) else ""
    moved = len(dots) - begins[head]
    last = max(min(last, begins[tail]), first + 1)
    return dots + "".join(cells[head:tail]) + rest, range(first + moved, last + moved)


def meant(line: str, at: int) -> int:
    """Where what begins at a place of a line of YAML ends: a key, a value, an item of a list in brackets, a word of an
    expression; the next letter where it is none of them."""
    if at >= len(line) or line[at].isspace():
        return at + 1
    before, rest = line[:at].rstrip(), line[at:]
    if line[at] in "\"'":
        closing = rest.find(line[at], 1)
        return at + closing + 1 if closing > 0 else len(line.rstrip())
    if at > 0 and line[at - 1].isalnum() and line[at].isalnum():
        return at + 1  # in the middle of a word: one letter is meant
    inside = sum(before.count(sign) for sign in "[{") > sum(before.count(sign) for sign in "]}")
    found = None
    if not before or before.endswith(("-", "{", ",", "?")):
        found = _KEY.match(rest)
    if found is None and before.endswith((":", "-", ",", "[", "{")) and not before.endswith("--"):
        found = (_ITEM if inside else _VALUE).match(rest)
    found = found if found is not None and found[0] else _WORD.match(rest)
    return at + max(len(found[0]) if found is not None else 1, 1)
