"""Names: which of them are one, by hand and for every letter that there is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.names import LONGEST, alike, fold

#: Letters with two cases stand below.
_LETTERS = 0x20000


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("sql-01", "SQL-01", True),
        ("München", "MÜNCHEN", True),
        ("mu\u0308nchen", "M\u00dcNCHEN", True),  # one form in two letters, the other in one
        ("\u212bngström", "\u00e5ngström", True),  # the sign for ångström is that letter
        ("Όσος", "ΌΣΟΣ", True),
        ("ǆ", "Ǆ", True),
        ("ǅ", "ǆ", True),
        ("ᾳ", "ᾼ", True),
        ("ᾳ", "ΑΙ", False),
        ("straße", "STRAßE", True),
        ("straße", "STRASSE", False),
        ("straße", "STRAẞE", False),
        ("ﬁle", "FILE", False),
        ("İzmir", "izmir", False),
        ("İzmir", "i\u0307zmir", False),
        ("ızmir", "izmir", False),
        ("ızmir", "IZMIR", False),
        ("ﬁ", "fi", False),
        ("ſql", "sql", False),
        ("kelvin", "\u212aelvin", True),
        ("a", "а", False),  # Latin, Cyrillic
        ("", "", True),
    ],
)
def test_which_names_are_one(one: str, other: str, same: bool) -> None:
    assert alike(one, other) is alike(other, one) is (fold(one) == fold(other)) is same


def test_every_letter_folds_to_one_letter_that_folds_to_itself() -> None:
    for code in range(_LETTERS):
        letter = chr(code)
        folded = fold(letter)
        assert len(folded) == len(unicodedata.normalize("NFC", letter)), hex(code)
        assert fold(folded) == folded, hex(code)


def test_every_pair_of_upper_and_lower_that_unicode_has_one_to_one_is_one_name_but_for_two() -> None:
    apart = {
        letter for letter in map(chr, range(_LETTERS)) if len(letter.upper()) == 1 and not alike(letter, letter.upper())
    }
    assert apart == {"ı", "ſ"}


@given(st.text(max_size=12), st.text(max_size=12))
def test_however_a_name_is_composed_it_is_one(one: str, other: str) -> None:
    assert alike(one, unicodedata.normalize("NFC", one))
    assert alike(one, unicodedata.normalize("NFD", one))
    composed = unicodedata.normalize("NFC", one)
    assert len(fold(one)) == len(composed)
    if alike(one, other):
        assert len(composed) == len(unicodedata.normalize("NFC", other))


def test_a_name_that_is_none_takes_no_long_time() -> None:
    marks = "a" + "\u0315\u0316" * 500_000  # to compose it takes a quarter of an hour
    assert len(fold(marks)) == len(marks) > LONGEST
    assert not alike(marks, marks + "b")
