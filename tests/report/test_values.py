"""What is shown of a change that somebody has to agree to is all that differs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import Direction
from reconciler.model.comparison import DocumentField
from reconciler.report.values import content, shown

NAMES = st.lists(st.from_regex(r"[a-z]{3,8}-[0-9]{4}", fullmatch=True), unique=True, min_size=20, max_size=80)


def _field(
    before: Any, after: Any, direction: Direction = Direction.WEAKENS, path: str = "spec.members"
) -> DocumentField:
    return DocumentField(path, before, after, direction, "sha256:0")


@given(NAMES, st.data())
def test_what_comes_and_goes_is_shown_whatever_stays(names: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(names))
    rules = [{"virtualMachines": {"cluster": "hci-01", "names": names}}]
    fewer = [{"virtualMachines": {"cluster": "hci-01", "names": [each for each in names if each != gone]}}]
    told = shown(_field(rules, fewer))
    assert gone in told.before
    assert gone not in told.after
    assert told.before != told.after


def test_a_new_name_in_a_long_list_is_shown() -> None:
    names = [f"lab-{number:03}" for number in range(60)]
    told = shown(_field(names, [*names[:40], "sql-*", *names[40:]]))
    assert told == ("[] (and 60 as before)", "[sql-*] (and 60 as before)")


@pytest.mark.parametrize(("direction", "whole"), [(Direction.WEAKENS, True), (Direction.STRENGTHENS, False)])
def test_a_document_that_weakens_is_shown_whole(direction: Direction, whole: bool) -> None:
    names = [f"lab-{number:03}" for number in range(40)] + ["sql-*"]
    field = _field(None, {"kind": "Exclusion", "spec": {"virtualMachines": {"names": names}}}, direction, "")
    assert ("sql-*" in content(field)["virtualMachines"]) is whole


def test_another_order_is_no_difference_that_is_hidden() -> None:
    names = [f"lab-{number:03}" for number in range(60)]
    told = shown(_field(names, names[::-1]))
    assert told.before != told.after
