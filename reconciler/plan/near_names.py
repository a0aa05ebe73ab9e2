"""Near names: what somebody wrote that means nothing, the names that there are -> those that were probably meant.

Names are compared as `model.names` folds them. A pattern is near a name where few letters would have to be others;
what a ``*`` stands for costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from heapq import nlargest

from reconciler.model.names import fold
from reconciler.plan.globs import is_pattern

#: How many near names are given.
MOST = 3

#: How many names are compared letter by letter: those that share the most with what was written.
_COMPARED = 300

#: Whatever is longer was not mistyped, and would take long to compare.
_LONGEST = 64


def near_names(written: str, known: Iterable[str]) -> tuple[str, ...]:
    """The known names that are nearest to a name or pattern, at most `MOST`; none where none is near."""
    wanted = fold(written)
    letters = len(wanted) - wanted.count("*") - wanted.count("?")
    if letters < 3 or len(wanted) > _LONGEST:
        return ()
    most_edits = 1 if letters <= 4 else 2
    parts = _parts(wanted)
    named = {fold(name): name for name in known if len(name) <= _LONGEST}
    likely = nlargest(_COMPARED, sorted(named), key=lambda name: sum([part in name for part in parts]))
    edits = {name: edits for name in likely if (edits := _edits(wanted, name)) <= most_edits}
    fewest = min(edits.values(), default=0)
    found = sorted(name for name, number in edits.items() if number == fewest)
    return tuple([named[name] for name in found[:MOST]])


def begun_names(written: str, known: Iterable[str]) -> tuple[str, ...]:
    """The known names that begin with a name that is written without a wildcard: a name is matched whole."""
    beginning = fold(written)
    if is_pattern(written) or not beginning:
        return ()
    return tuple(sorted(name for name in known if fold(name).startswith(beginning) and fold(name) != beginning))


def suggestion(written: str, known: Collection[str]) -> str:
    """What to write instead of a name or pattern that means none of the known names; "" where nothing is near."""
    longer = begun_names(written, known)
    if longer:
        more = f" and {len(longer) - MOST} more" if len(longer) > MOST else ""
        return f"A name is matched whole: write {written}* for {', '.join(longer[:MOST])}{more}."
    found = near_names(written, known)
    if not found:
        return ""
    return f"Did you mean {found[0]}?" if len(found) == 1 else f"Near it: {', '.join(found)}."


def _parts(wanted: str) -> tuple[str, ...]:
    """Short pieces of the letters that are written, by which a name is found quickly."""
    pieces = [piece for piece in wanted.replace("?", "*").split("*") if piece]
    return tuple(piece[place : place + 2] for piece in pieces for place in range(0, len(piece), 2))


def _edits(pattern: str, name: str) -> int:
    """How many letters have to be put in, left out, replaced or swapped with their neighbour so that the folded
    pattern means the folded name. Takes time in the product of their lengths."""
    before: list[int] = []
    row = list(range(len(name) + 1))
    last = ""
    for letter in pattern:
        above, older, before = row, before, row
        row = [above[0] + (letter != "*")]
        for place, other in enumerate(name, start=1):
            if letter == "*":
                row.append(min(above[place], row[place - 1]))
                continue
            cost = min(
                above[place] + 1,
                row[place - 1] + 1,
                above[place - 1] + (letter not in (other, "?")),
            )
            if older and place > 1 and letter == name[place - 2] and last == other:
                cost = min(cost, older[place - 2] + 1)
            row.append(cost)
        last = letter
    return row[-1]
