"""Names: how any two of them are compared, whoever asks: a name -> its folded form, equal for names that are alike.

As Windows compares names ordinally without regard to case: letter by letter, by the one upper-case letter that
Unicode gives each (never by a longer spelling, never by a language), after the composed form (NFC), so that the two
ways to write "ü" are one. docs/adr/0015-one-meaning-of-letter-case.md says why.
"""

from __future__ import annotations

from unicodedata import normalize

#: No name is longer; what is gets no composed form, for composing takes square time over marks without a letter.
LONGEST = 1024

#: The dotless i and the long s stay what they are, as on Windows: else they would be i and s.
_KEPT = {0x0131: "\u0131", 0x017F: "\u017f"}


class _Upper(dict[int, str]):
    """The upper-case letter of each letter, found when it is first asked for."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        single = (form for form in (letter.upper(), letter.title(), letter) if len(form) == 1)
        upper = self[code] = next(single)
        return upper


_UPPER = _Upper(_KEPT)


def fold(name: str) -> str:
    """The form by which names are compared: alike are those whose folded forms are equal. Never to be shown, nor to
    be stored."""
    if name.isascii():
        return name.upper()
    composed = normalize("NFC", name) if len(name) <= LONGEST else name
    return composed.translate(_UPPER)


def alike(one: str, other: str) -> bool:
    """Whether the two are one name."""
    return one == other or fold(one) == fold(other)
