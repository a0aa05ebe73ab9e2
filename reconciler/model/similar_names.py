"""Similar names: a word with a slip and the names there are -> the one that was probably meant, and how to say so."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

from reconciler.model.names import alike, fold

#: Where many names are known and none is near.
SEE_STATUS = "See `reconciler status` for the names."

#: So many names are listed where none is near.
_LISTED = 14
#: Names are compared letter by letter; of more than these only those as long as the word, give or take two.
_COMPARED = 5000


def meant(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, whatever its letter case; None where none is near."""
    names = list(known)
    if len(names) > _COMPARED:
        names = [each for each in names if abs(len(each) - len(word)) <= 2]
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    close = close or [each for each in names if alike(each, word)]
    close = close or [each for each in names if len(each) > 1 and alike(word[: len(each)], each)]
    if close:
        return close[0]
    folded = {fold(each): each for each in names}
    near = get_close_matches(fold(word), folded, n=1, cutoff=0.7)
    return folded[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``Did you mean web-01?``, with the letter that only looks like another; "" where no name is near."""
    close = meant(word, known)
    return f"Did you mean {close}?{_otherwise(word, close)}" if close is not None else ""


def did_you_mean_or_known(word: str, known: Iterable[str]) -> str:
    """The same, or which names there are, where they are few; "" where they are many."""
    names = sorted(set(known))
    few = f"Known here: {', '.join(names) or 'none'}." if len(names) <= _LISTED else ""
    return did_you_mean(word, names) or few


def _otherwise(word: str, known: str) -> str:
    """Which letters only look like those that were meant."""
    if word.isascii() or len(word) != len(known):
        return ""
    other = [(at, letter) for at, letter in enumerate(word) if letter != known[at]]
    if not other or any(letter.isascii() for _, letter in other):
        return ""
    at, letter = other[0]
    name = unicodedata.name(letter, "").lower()
    return f" Its {_ordinal(at + 1)} letter is U+{ord(letter):04X}{f' ({name})' if name else ''}, not {known[at]}."


def _ordinal(number: int) -> str:
    words = ("first", "second", "third", "fourth", "fifth")
    return words[number - 1] if number <= len(words) else f"{number}th"
