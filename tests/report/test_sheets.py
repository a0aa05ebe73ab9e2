"""Sheets of CSV: golden texts, RFC 4180, times in UTC, and no cell that a spreadsheet would take for a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from reconciler.report import answer_csv, chain_csv, coverage_csv, groups_csv, points_csv
from reconciler.report.escape import csv_cell, safe, terminal_sheet
from reconciler.report.sheets import Columns, sheet
from tests.support import report_samples as samples

SHEETS: dict[str, Callable[[str], str]] = {
    "coverage": lambda said: coverage_csv(samples.coverage_view(said)),
    "groups": lambda said: groups_csv(samples.status_view(said)),
    "points": lambda said: points_csv(samples.points_view(said, machines=1)),
    "chain": lambda said: chain_csv(samples.chain(said), said or "hq", said, samples.NOW),
    "answer": lambda said: answer_csv(samples.answer(said)),
}

#: What a cell of a formula begins with, as spreadsheets take it (OWASP, CSV injection).
FORMULA = re.compile("\\s*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def rows_of(text: str, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=delimiter == ","))


@pytest.mark.parametrize("name", list(SHEETS))
def test_a_sheet(name: str, snapshot: SnapshotAssertion) -> None:
    assert SHEETS[name]("").replace("\r\n", "\n") == snapshot


@pytest.mark.parametrize("name", list(SHEETS))
@pytest.mark.parametrize("said", ["", samples.HOSTILE])
def test_a_sheet_is_what_rfc_4180_says(name: str, said: str) -> None:
    text = SHEETS[name](said)
    assert text.endswith("\r\n")
    assert text.count("\r\n") == text.count("\n") == text.count("\r")
    rows = rows_of(text)
    assert len(rows) == text.count("\r\n")
    assert {len(row) for row in rows} == {len(rows[0])}
    assert len(set(rows[0])) == len(rows[0])
    assert all(re.fullmatch(r"[a-z][a-z_]*", each) for each in rows[0])
    assert terminal_sheet(text) == text


@pytest.mark.parametrize("name", list(SHEETS))
def test_no_cell_of_a_sheet_is_a_formula(name: str) -> None:
    for delimiter in ",;\t":
        for row in rows_of(SHEETS[name](samples.HOSTILE), delimiter):
            assert not [cell for cell in row if FORMULA.match(cell)], delimiter


TEXT = st.one_of(
    st.sampled_from(["=1+1", "a;=1", " =x", '";=x', "+", "@a\t=1", "'x", "\uff1d1", 'a,b"c\r\n']), st.text()
)


@given(TEXT, TEXT)
@example('x"', ";=1")
@example("=1+1", ";")
def test_a_cell_is_the_text_and_never_a_formula(one: str, other: str) -> None:
    line = f"{csv_cell(one)},{csv_cell(other)}\r\n"
    (row,) = rows_of(line)
    assert [cell.replace("'", "") for cell in row] == [safe(text).replace("'", "") for text in (one, other)]
    for delimiter in ",;\t":
        for each in rows_of(line, delimiter):
            assert not [cell for cell in each if FORMULA.match(cell)]


def test_values_of_a_cell() -> None:
    at = datetime.fromisoformat("2026-11-27T18:00:00.5+01:00")
    columns: Columns[int] = {
        "none": lambda row: None,
        "empty": lambda row: "",
        "yes": lambda row: True,
        "number": lambda row: row,
        "time": lambda row: at,
        "text": lambda row: 'sa"y',
    }
    assert sheet(columns, [3]) == 'none,empty,yes,number,time,text\r\n,,true,3,2026-11-27T17:00:00Z,"sa""y"\r\n'
    assert sheet(columns, []) == "none,empty,yes,number,time,text\r\n"
