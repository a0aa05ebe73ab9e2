"""Findings as compilers print them: the line of the file, what is meant underlined, the help below."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.plan import CoverageState
from reconciler.report import Paint, coloured, findings_blocks, findings_text, plain
from reconciler.report.coverage import state_count
from reconciler.report.escape import letters, safe, terminal
from reconciler.report.excerpt import meant
from reconciler.report.words import columns, table
from tests.shop import Said, Shop

TEXT = """\
apiVersion: reconciler/v1
\tkind: Sight
metadata: {name: "中文 ✓", labels: [e\u0301te\u0301, \x1b[2J]}
spec:
  members:
    - virtualMachines: {cluster: hci-01, names: [*-prod, web-01]}  # all of them
  rules: object.rpo  == old.rpo ##vso[task.complete]
  long: """ + " ".join(["words"] * 40)


def _found(line: int, column: int, severity: Severity = Severity.ERROR, **more: object) -> Diagnostic:
    message = "unknown field \x1b[31msever"
    base = Diagnostic("RCL1016", severity, message, "Did you mean server?", Location("policies/a.yaml", line, column))
    return msgspec.structs.replace(base, **more)


FINDINGS = [
    _found(1, 1),
    _found(2, 1, Severity.WARNING),
    _found(3, 18),
    _found(3, 28, Severity.ADVICE),
    _found(3, 35),
    _found(6, 48),
    _found(7, 22),
    _found(8, 150),
    _found(8, 9),
    _found(9, 1),
    _found(4, 1, also=tuple(Location("policies/a.yaml", line, 3) for line in range(5, 9))),
    _found(1, 1, location=None, subject="hq/\u202eevil"),
    _found(1, 1, location=None, remedy=""),
]


@pytest.mark.parametrize("paint", [plain, coloured])
def test_blocks(paint: Paint, snapshot: SnapshotAssertion) -> None:
    shown = findings_blocks(FINDINGS, {"policies/a.yaml": TEXT.encode()}, paint, 80)
    assert shown == snapshot
    assert terminal(shown) == shown
    assert findings_text(FINDINGS, paint) == snapshot


def test_a_line_that_is_not_in_hand_is_not_quoted() -> None:
    shown = findings_blocks([_found(1, 1)], {}, plain)
    assert "-->" in shown
    assert "|" not in shown


@settings(max_examples=60)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), max_size=60), st.data())
def test_the_caret_stands_under_its_letter(line: str, data: st.DataObject) -> None:
    """Whatever stands before it, and wherever the line is cut."""
    at = data.draw(st.integers(0, len(line)))
    width = data.draw(st.integers(40, 120))
    file = line.encode()
    shown = findings_blocks([_found(1, at + 1)], {"policies/a.yaml": b"\xef\xbb\xbf" + file}, plain, width)
    quoted, carets = shown.splitlines()[3][4:], shown.splitlines()[4][4:]
    assert safe(shown.replace("\n", "")) == shown.replace("\n", "")
    assert columns(quoted) <= max(width, 40)
    if at < len(line) and not line[at].isspace():
        letter = letters(line)[at]
        where = len(carets) - len(carets.lstrip())
        before = 0
        while before < len(quoted) and columns(quoted[:before]) < where:
            before += 1
        while columns(letter) and columns(quoted[before]) == 0:  # what stands on the letter before it
            before += 1
        assert quoted[before:].startswith(letter), (line, at, shown)


@pytest.mark.parametrize(
    ("line", "at", "what"),
    [
        ("  sever: hv", 2, "sever"),
        ("  - name of it: hv", 4, "name of it"),
        ("a: some words # why", 3, "some words"),
        ("a: 'some: words' # why", 3, "'some: words'"),
        ('a: "never closed', 3, '"never closed'),
        ("{a: 1, b: two words, c: 3}", 7, "b"),
        ("{a: 1, b: two words, c: 3}", 10, "two words"),
        ("- [10, 20]", 3, "10"),
        ("  object.x == old", 11, "=="),
        ("  object.x == old", 14, "old"),
        ("name: аbc", 7, "b"),
        ("a\tb", 1, "\t"),
        ("a: ", 3, ""),
    ],
)
def test_what_is_meant(line: str, at: int, what: str) -> None:
    assert line[at : meant(line, at)] == what


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("colour", ["", "1"])
def test_on_a_terminal_in_a_pipe_and_as_asked_for(
    shop: Shop,
    run: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
    snapshot: SnapshotAssertion,
    colour: str,
) -> None:
    shop.policy("retention: 5d", "retentoin: 5m")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR" if colour else "NO_COLOR", "1")
    piped, short, full = (shop("validate", *words).out for words in ((), ("-o", "short"), ("-o", "full")))
    shown, said = _Terminal(), _Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setattr(sys, "stderr", said)
    shop("validate")
    assert shown.getvalue() == full + "\n"  # what comes after it stands apart
    shop("plan")
    assert full in said.getvalue()
    before = shown.getvalue()
    shop("validate", "-o", "short")
    assert shown.getvalue() == before + short == before + piped
    assert re.search(r"^policies/site.yaml:\d+:\d+: \S*error\[RCL1016\]", piped, re.MULTILINE)
    assert (full, piped) == snapshot


def test_tables_stand_in_columns_of_the_terminal() -> None:
    names = ["web-01", "中文服务器", "e\u0301te\u0301", "中" * 60]
    lines = table(("NAME", "STATE"), [(name, "valid") for name in names], plain)
    starts = {columns(line[: line.rindex("  ") + 2]) for line in lines}
    assert len(starts) == 1
    assert lines[-1].startswith("中" * 30 + "...")


def test_a_state_that_nobody_is_in_is_not_red() -> None:
    assert state_count(CoverageState.LATE, 0, coloured) == "\x1b[2m0 late\x1b[0m"
    assert state_count(CoverageState.LATE, 1, coloured) == "\x1b[31m1 late\x1b[0m"
