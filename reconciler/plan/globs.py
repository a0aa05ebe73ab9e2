"""Globs: a pattern with ``*`` (any letters, none too) and ``?`` (one letter) -> which names it means.

Names are compared folded (`model.names`). Every answer takes time linear in the name, whatever the pattern: each
piece between two stars is looked for once, from the left, and the first place that is found is kept; there is
nothing to go back to.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from reconciler.model.names import fold


class _Piece:
    """What stands between two stars. With a ``?`` in it, bit n of `_places[letter]` says that the letter may be its
    n-th; `_else` is that of all other letters."""

    __slots__ = ("_else", "_places", "length", "text")

    def __init__(self, text: str, barred: str) -> None:
        self.text = text
        self.length = len(text)
        self._places: dict[str, int] = {}
        self._else = sum(1 << place for place, letter in enumerate(text) if letter == "?")
        if self._else:
            for place, letter in enumerate(text):
                self._places[letter] = self._places.get(letter, self._else) | 1 << place
            self._places["?"] = self._else
            self._places.update(dict.fromkeys(barred, 0))

    def stands(self, name: str, start: int) -> bool:
        """Whether the name goes on with the piece at `start`."""
        if not self._else:
            return name.startswith(self.text, start)
        part = name[start : start + self.length]
        if len(part) < self.length:
            return False
        return all(self._places.get(letter, self._else) >> place & 1 for place, letter in enumerate(part))

    def find(self, name: str, start: int, end: int) -> int:
        """The first place in name[start:end] where the piece stands, -1 for none."""
        if not self._else:
            return name.find(self.text, start, end)
        begun, whole = 0, 1 << self.length - 1
        for place in range(start, end):
            begun = (begun << 1 | 1) & self._places.get(name[place], self._else)
            if begun & whole:
                return place - self.length + 1
        return -1


class _Glob:
    """One pattern that has a wildcard."""

    __slots__ = ("_head", "_least", "_middle", "_starred", "_tail")

    def __init__(self, folded: str, barred: str = "") -> None:
        head, *rest = (_Piece(text, barred) for text in folded.split("*"))
        self._head = head
        self._starred = bool(rest)
        self._tail = rest.pop() if rest else _Piece("", barred)
        self._middle = tuple(piece for piece in rest if piece.length)
        self._least = head.length + self._tail.length + sum(piece.length for piece in self._middle)

    def fits(self, name: str) -> bool:
        """Whether the folded name is meant."""
        end = len(name) - self._tail.length
        if len(name) < self._least or not (self._starred or len(name) == self._least):
            return False
        if not self._head.stands(name, 0) or not self._tail.stands(name, end):
            return False
        start = self._head.length
        for piece in self._middle:
            found = piece.find(name, start, end)
            if found < 0:
                return False
            start = found + piece.length
        return True


class Globs:
    """Several patterns, of which one is enough."""

    __slots__ = ("_globs", "_names")

    def __init__(self, patterns: Iterable[str]) -> None:
        folded = {fold(pattern) for pattern in patterns}
        self._names = frozenset(pattern for pattern in folded if not is_pattern(pattern))
        self._globs = tuple(_Glob(pattern) for pattern in sorted(folded - self._names))

    def fits(self, name: str) -> bool:
        """Whether one of the patterns means the name."""
        folded = fold(name)
        return folded in self._names or any(glob.fits(folded) for glob in self._globs)


@lru_cache(maxsize=4096)
def globs(patterns: tuple[str, ...]) -> Globs:
    """The patterns, read once."""
    return Globs(patterns)


def glob_matches(pattern: str, name: str) -> bool:
    """Whether the pattern means the name."""
    return globs((pattern,)).fits(name)


def is_pattern(text: str) -> bool:
    """Whether there is a wildcard in it."""
    return "*" in text or "?" in text


def beginning(pattern: str) -> str:
    """How the folded form of every name begins that the pattern means."""
    return fold(pattern).partition("*")[0].partition("?")[0]


@lru_cache(maxsize=4096)
def globs_meet(one: str, other: str) -> bool:
    """Whether some name is meant by both. Takes time in the product of their lengths."""
    one, other = fold(one), fold(other)
    both = [True] + [False] * len(other)  # whether what stands before in the two can mean one text
    for place, right in enumerate(other, start=1):
        both[place] = right == "*" and both[place - 1]
    for left in one:
        before, both[0] = both[0], left == "*" and both[0]
        for place, right in enumerate(other, start=1):
            above = both[place]
            if "*" in (left, right):
                both[place] = above or both[place - 1]  # the star means nothing, or what the other one has there
            else:
                both[place] = before and ("?" in (left, right) or left == right)
            before = above
    return both[-1]


@lru_cache(maxsize=4096)
def glob_within(inner: str, outer: str) -> bool:
    """Whether every name that `inner` means is meant by `outer` as well. May say no where it is so, never yes where
    it is not: `outer` has to fit the letters of `inner`, its ``*`` alone a ``*`` among them."""
    return _Glob(fold(outer), barred="*").fits(fold(inner))
