"""Ways past the guard by text that shows something else than it means."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.reviewed import ALICE, MALLORY, Reviewed, stopped


def _comment_that_ends(mark: str) -> Callable[[Reviewed], None]:
    """What follows the mark is a line of its own for a parser, and a comment for the eye."""

    def act(site: Reviewed) -> None:
        path = site.root / "policies" / "gold.yaml"
        path.write_text(
            path.read_text() + f"  # kept as long as ever{mark}  existingPoints: expireNow\n", encoding="utf-8"
        )

    return act


def _turned_around(site: Reviewed) -> None:
    """Marks of direction show the value back to front."""
    site.replace("gold.yaml", "retention: 5d", "retention: 2d, rpo: 25h")
    path = site.root / "policies" / "gold.yaml"
    path.write_text(path.read_text() + "# \u202ed5 yllaer si siht\u202c\n", encoding="utf-8")


def _look_alike_approver(site: Reviewed) -> None:
    """A Cyrillic letter in the address of an approver: another person."""
    site.replace("gold.yaml", "retention: 5d", "retention: 2d")
    site.commit("shorter", author=MALLORY)
    site.approved("base", "HEAD", by=ALICE)
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    document.write_text(document.read_text().replace(ALICE, ALICE.replace("c", "\u0441", 1)), encoding="utf-8")


def _look_alike_key(site: Reviewed) -> None:
    """A field that only looks like the one that is there."""
    site.replace("gold.yaml", "retention: 5d", "ret\u0435ntion: 5d")


def _invisible(site: Reviewed) -> None:
    """A zero-width letter in a name of a virtual machine: it matches none."""
    site.replace("gold.yaml", "[one, two]", '["o\u200bne", two]')


def _full_width(site: Reviewed) -> None:
    site.replace("gold.yaml", "[one, two]", '["\uff4fne", two]')


WAYS: dict[str, Callable[[Reviewed], None]] = {
    "a line separator": _comment_that_ends("\u2028"),
    "a paragraph separator": _comment_that_ends("\u2029"),
    "a next line": _comment_that_ends("\u0085"),
    "turned around": _turned_around,
    "an approver": _look_alike_approver,
    "a key": _look_alike_key,
    "invisible": _invisible,
    "full width": _full_width,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_shows_something_else_is_stopped(divided: Reviewed, way: str) -> None:
    WAYS[way](divided)
    divided.commit("a comment", author=MALLORY)
    stopped(divided)
