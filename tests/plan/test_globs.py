"""Globs: what a pattern means, against a second reading that is slow; and patterns that were made to take for ever."""

from __future__ import annotations

import re
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.model.names import fold
from reconciler.plan.globs import beginning, glob_matches, glob_within, globs, globs_meet, is_pattern

_LETTERS = st.text("aAbBé?*", max_size=7)
_NAMES = st.text("aAbBé?*", max_size=9)
_ANY_NAME = st.text(max_size=10)


def _naive(pattern: str, name: str) -> bool:
    """By its definition, over folded texts."""

    @cache
    def fits(p: int, n: int) -> bool:
        if p == len(pattern):
            return n == len(name)
        if pattern[p] == "*":
            return fits(p + 1, n) or (n < len(name) and fits(p, n + 1))
        return n < len(name) and pattern[p] in ("?", name[n]) and fits(p + 1, n + 1)

    pattern, name = fold(pattern), fold(name)
    return fits(0, 0)


@given(_LETTERS, _NAMES)
@example("a*b?b*", "abab")
@example("?*?", "a")
@example("*ab*ab", "xabab")
@example("*ab*ab", "xab")
@example("*?b*", "ab")
@example("**", "")
def test_a_pattern_means_what_its_definition_says(pattern: str, name: str) -> None:
    assert glob_matches(pattern, name) is _naive(pattern, name)
    if glob_matches(pattern, name):
        assert fold(name).startswith(beginning(pattern))
    if not is_pattern(pattern):
        assert glob_matches(pattern, name) is (fold(pattern) == fold(name))


@given(st.text("abAB-1*?", max_size=8), st.text("abAB-1", max_size=9))
def test_ordinary_patterns_mean_what_they_meant_as_regular_expressions(pattern: str, name: str) -> None:
    written = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    assert glob_matches(pattern, name) is bool(re.fullmatch(written, name, re.IGNORECASE | re.DOTALL))


@given(_ANY_NAME)
def test_every_name_is_meant_by_itself_and_by_a_star(name: str) -> None:
    assert glob_matches(name.replace("*", "?"), name)
    assert glob_matches("*", name)
    assert glob_matches("*" + name + "*", name)


@given(st.lists(_LETTERS, max_size=4), _NAMES)
def test_of_several_one_is_enough(patterns: list[str], name: str) -> None:
    assert globs(tuple(patterns)).fits(name) is any(_naive(pattern, name) for pattern in patterns)


@given(_LETTERS, _LETTERS, st.text("aAbBé", max_size=9))
def test_within_is_never_said_wrongly_and_meeting_never_missed(inner: str, outer: str, name: str) -> None:
    if _naive(inner, name):
        if glob_within(inner, outer):
            assert _naive(outer, name)
        if _naive(outer, name):
            assert globs_meet(inner, outer)
            assert globs_meet(outer, inner)


@given(st.text("ab?*", max_size=4), st.text("ab?*", max_size=4))
def test_patterns_that_meet_have_a_name_in_common(one: str, other: str) -> None:
    def words(length: int) -> list[str]:
        return [""] if length == 0 else [letter + rest for letter in "ab" for rest in words(length - 1)]

    names = [word for length in range(9) for word in words(length)]
    assert globs_meet(one, other) is any(_naive(one, name) and _naive(other, name) for name in names)


@pytest.mark.parametrize(
    ("inner", "outer", "within"),
    [
        ("*", "*", True),
        ("a*b", "a*", True),
        ("*a*", "*", True),
        ("*", "?*", False),
        ("?", "*", True),
        ("\ue000", "*", True),
        ("*", "\ue000", False),  # a letter of the private use area is a letter like any other
        ("?", "\ue001", False),
        ("é", "e\u0301", True),
    ],
)
def test_within_by_hand(inner: str, outer: str, within: bool) -> None:
    assert glob_within(inner, outer) is within


_HOSTILE = [
    "*a" * 127 + "*b",
    "*" + "a?" * 120 + "*b",
    "*a?" * 80 + "b",
    "?" * 255 + "*",
    "*" * 256,
    "*ab" * 80,
]


@pytest.mark.parametrize("pattern", _HOSTILE)
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    """A million letters: with a matcher that goes back, none of these would end before the sun does."""
    name = "a" * 1_000_000
    assert glob_matches(pattern, name) is (pattern[-1] == "*")
    for other in _HOSTILE:
        glob_within(pattern, other)
        globs_meet(pattern, other)
