# ruff: noqa: E501 - a text, and what becomes of it, each stand in one line
"""Edits of policy files: one place changes, every other byte stays; what means more than itself is refused."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.parse.edit import CannotEdit, with_value, without_document, without_value
from reconciler.parse.load import load
from reconciler.parse.write import yaml_text

PAUSE = {"reason": "storage move", "owner": "ops", "until": date(2026, 12, 4)}
LINE = "paused: {reason: storage move, owner: ops, until: 2026-12-04}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("spec:\n  site: hq\n", f"spec:\n  site: hq\n  {LINE}\n"),
        ("spec:\n  site: hq", f"spec:\n  site: hq\n  {LINE}\n"),
        ("spec:\r\n  site: hq\r\n", f"spec:\r\n  site: hq\r\n  {LINE}\r\n"),
        ("spec:\n  site: hq # here\n\n# end\n", f"spec:\n  site: hq # here\n  {LINE}\n\n# end\n"),
        ("spec:\n    a:\n      - b: [1,\n          2]  # two\nnext: 1\n", f"spec:\n    a:\n      - b: [1,\n          2]  # two\n    {LINE}\nnext: 1\n"),
        ("spec:\n  a:\n  - 'x'\n  - \"y\"\n", f"spec:\n  a:\n  - 'x'\n  - \"y\"\n  {LINE}\n"),
        ("spec:\n  a: |\n    text\n\nnext: 1\n", f"spec:\n  a: |\n    text\n  {LINE}\n\nnext: 1\n"),
        ("spec:\n  site: hq\n  a:\n", f"spec:\n  site: hq\n  a:\n  {LINE}\n"),
        ("x: &x {a: 1}\nspec:\n  site: hq\n  a: *x  # shared\n", f"x: &x {{a: 1}}\nspec:\n  site: hq\n  a: *x  # shared\n  {LINE}\n"),
        ("spec: {site: hq}\n", f"spec: {{site: hq, {LINE}}}\n"),
        ("spec: {site: hq,}\n", f"spec: {{site: hq, {LINE}}}\n"),
        ("spec: {\n  site: hq\n}\n", f"spec: {{\n  site: hq, {LINE}\n}}\n"),
        ("spec:\n  paused: {reason: old, owner: ops, until: 2026-12-01}\n  site: hq\n", f"spec:\n  {LINE}\n  site: hq\n"),
        (
            "spec:\n  paused:\n    # ticket 7\n    reason: 'old'  # why\n    until: 2026-12-01 # when\n  site: hq\n",
            "spec:\n  paused:\n    # ticket 7\n    reason: storage move  # why\n    until: 2026-12-04 # when\n    owner: ops\n  site: hq\n",
        ),
        (
            "spec:\n  paused:\n    until: 2026-12-04\n    owner: ops\n    reason: >-\n      a long\n      story\n  site: hq\n",
            "spec:\n  paused:\n    until: 2026-12-04\n    owner: ops\n    reason: storage move\n  site: hq\n",
        ),
    ],
)  # fmt: skip
def test_a_field_is_written_and_nothing_else(before: str, after: str) -> None:
    head = "apiVersion: r\n"
    assert with_value(head + before, 1, ("spec", "paused"), PAUSE) == head + after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"spec:\n  site: hq\n  {LINE}  # for now\n  a: 1\n", "spec:\n  site: hq\n  a: 1\n"),
        (f"spec:\n  {LINE}\n  site: hq\n", "spec:\n  site: hq\n"),
        ("spec:\n  site: hq\n  paused:\n    reason: >\n      long\n      text\n\n  a: 1\n", "spec:\n  site: hq\n\n  a: 1\n"),
        (f"spec:\n  site: hq\n  {LINE}", "spec:\n  site: hq\n"),
        (f"spec: {{site: hq, {LINE}}}\n", "spec: {site: hq}\n"),
        (f"spec: {{{LINE}, site: hq}}\n", "spec: {site: hq}\n"),
    ],
)  # fmt: skip
def test_a_field_is_taken_out_and_nothing_else(before: str, after: str) -> None:
    assert without_value(f"a: 1\n{before}", 1, ("spec", "paused")) == f"a: 1\n{after}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x: &x {site: hq}\nspec: *x\n", "an alias"),
        ("spec: &x {site: hq}\nother: *x\n", "an alias"),
        ("x: &x {reason: a, owner: o, until: 2026-12-01}\nspec:\n  paused: *x\n", "an alias"),
        ("spec:\n  paused: [1]\n", "something else"),
        ("spec: text\n", "a mapping of its own"),
        ("spec: {}\nspec2: [\n", "cannot read"),
    ],
)
def test_what_means_more_than_itself_is_refused(text: str, why: str) -> None:
    with pytest.raises(CannotEdit, match=why):
        with_value(text, 1, ("spec", "paused"), PAUSE)


THREE = "# head\na: 1\n---\n# the second\na: 2 # two\nb:\n  - x\n\n---\na: 3\n"


@pytest.mark.parametrize(
    ("text", "line", "after"),
    [
        (THREE, 2, "# the second\na: 2 # two\nb:\n  - x\n\n---\na: 3\n"),
        (THREE, 5, "# head\na: 1\n---\na: 3\n"),
        (THREE, 10, "# head\na: 1\n---\n# the second\na: 2 # two\nb:\n  - x\n\n"),
        ("a: 1\n", 1, ""),
        ("# only\n---\na: 1\n---\n", 3, ""),
        ("# yaml-language-server: $schema=s\na: 1\n---\na: 2\n", 2, "# yaml-language-server: $schema=s\n---\na: 2\n"),
        ("a: 1\n---\na: 2\n# after\n---\na: 3\n", 3, "a: 1\n# after\n---\na: 3\n"),
    ],
)  # fmt: skip
def test_a_document_is_taken_out_and_nothing_else(text: str, line: int, after: str) -> None:
    assert without_document(text, line) == after


_word = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp", "Cn", "Co")), max_size=30)
_value = st.one_of(_word, st.booleans(), st.integers(0, 99), st.lists(_word, max_size=3))


@given(st.dictionaries(_word.filter(bool), _value, min_size=1, max_size=5), _word.filter(str.strip), st.booleans())
def test_whatever_is_written_reads_back_and_comes_out_again(fields: dict[str, object], reason: str, flow: bool) -> None:
    """Of any mapping: with the pause it is the same and the pause; without it again the text that it was."""
    plain = {"spec": {"first": {"x": 1}} | {key: fields[key] for key in fields if key != "paused"}}
    text = yaml_text(plain)
    if flow:
        text = "spec: " + yaml_text({"a": 1, "b": [1, 2]})
    before = load("f.yaml", text.encode())
    if before[1]:
        return
    told = with_value(text, 1, ("spec", "paused"), {"reason": reason, "owner": "o"})
    (document,), wrong = load("f.yaml", told.encode())
    assert not wrong
    wanted = before[0][0].root.plain()
    wanted["spec"]["paused"] = {"reason": reason, "owner": "o"}
    assert document.root.plain() == wanted
    assert without_value(told, 1, ("spec", "paused")) == text
