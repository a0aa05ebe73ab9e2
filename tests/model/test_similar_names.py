"""A slip in a name finds the name that was meant, in any letter case, and quickly among many."""

from __future__ import annotations

import time

import pytest

from reconciler.model.similar_names import did_you_mean, did_you_mean_or_known, meant


@pytest.mark.parametrize(
    ("word", "close"),
    [
        ("web-1", "web-01"),
        ("WEB01", "web-01"),
        ("wbe-01", "web-01"),
        ("SQL SERVER", "SQL Server 1"),
        ("gold", None),
        ("", None),
    ],
)
def test_what_was_meant(word: str, close: str | None) -> None:
    assert meant(word, ["web-01", "app-01", "SQL Server 1"]) == close


def test_a_letter_that_only_looks_like_another_is_named() -> None:
    assert did_you_mean("w\u0435b", ["web"]).endswith("Its second letter is U+0435 (cyrillic small letter ie), not e.")


def test_few_names_are_listed_and_many_are_not() -> None:
    assert did_you_mean_or_known("zzz", ["b", "a"]) == "Known here: a, b."
    assert did_you_mean_or_known("zzz", []) == "Known here: none."
    assert did_you_mean_or_known("zzz", [f"name-{each}" for each in range(20)]) == ""


def test_among_very_many_it_is_quick() -> None:
    names = [f"vm-{each:06d}" for each in range(100_000)]
    began = time.process_time()
    assert meant("vm-0777777", names) is not None
    assert time.process_time() - began < 5
