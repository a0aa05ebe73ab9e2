"""Rules of strangers: what never ends or takes all memory is ended, denies, and harms nothing after it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler import expressions
from reconciler.errors import Severity
from reconciler.expressions import MIB_AT_MOST, evaluate, parent
from reconciler.model.documents import (
    GuardrailDocument,
    GuardrailMatch,
    GuardrailSpec,
    GuardrailValidation,
    Metadata,
    Placed,
)
from reconciler.parse.decode import _durations
from reconciler.plan.approval.guardrails import Subject, denied, judge
from reconciler.protocols import Answer, Question, evaluates_nothing
from tests.worlds import Nowhere

MANY = "[" + ",".join(["1"] * 300) + "]"
#: celmem.py and dos.py of the attack, within the size that is taken.
DOUBLING = "['a']" + ".map(a, a+a+a+a+a+a+a+a+a+a)" * 10 + ".size() > 0"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    parent._asking._over.clear()
    yield
    parent._asking._over.clear()


def ask(expression: str, **data: Any) -> Answer:
    return evaluate([Question(expression, dict.fromkeys(expressions.VARIABLES) | data)])[0]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 1 == 2", True),
        ("object.x > 3", False),
        ("'a' + object.name", "ab"),
        ("object.kept >= duration('336h')", True),
        ("object.names.all(n, object.names.exists(m, m == n))", True),
        ("{'a': [1].map(x, x)}.a.size() == 1", True),
    ],
)
def test_what_is_answered(expression: str, value: object) -> None:
    found = ask(expression, object={"x": 3, "name": "b", "kept": timedelta(days=14), "names": ["a", "b"]})
    assert (found.value, found.error) == (value, "")


def test_what_is_neither_true_nor_false_is_shown() -> None:
    assert ask("1 + 1") == Answer(None, "2", "")


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("nobody", "undeclared reference"),
        ("1 +", "mismatched input"),
        ("object.x", "x"),
        ("x" * 4097, "longer than 4096 bytes"),
        ("ä" * 2049, "longer than 4096 bytes"),
        ("[1].all(a, [1].all(b, [1].all(c, true)))", "nested more than 2 deep"),
        ("{'a': [1].map(a, [1].map(b, {1: [1].map(c, c)}))}.size() > 0", "nested more than 2 deep"),
        ("[1].all(a, !(size([[1].filter(b, [1].exists(c, c > b))]) > 0))", "nested more than 2 deep"),
        ("(" * 2000 + "true" + ")" * 2000, ""),
        ("!" * 4000 + "true", ""),
        ("true?" * 600 + "true" + ":false" * 600, ""),
        ("['\ud800']", ""),
    ],
    ids=range(12),
)
def test_what_has_no_answer_says_why(expression: str, why: str) -> None:
    found = ask(expression, object={})
    if why or found.value is not True:
        assert why in found.error
        assert found.value is None
        assert found.error
    assert ask("true").value is True


def test_what_is_run_through_in_a_row_is_not_nested() -> None:
    expression = "[1].map(a, a).map(a, a).map(a, a).map(a, a).exists(a, [a].exists(b, b == 1))"
    assert ask(expression).value is True


def test_an_expression_that_never_ends_is_ended_and_the_rest_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    expressions.close()
    monkeypatch.setattr(parent, "SECONDS_AT_MOST", 1.0)
    slow = "object.many.all(a, !object.text.matches('(a*)*(a*)*(a*)*b'))"
    data = dict.fromkeys(expressions.VARIABLES) | {"object": {"many": list(range(3000)), "text": "a" * 1_000_000}}
    began = time.monotonic()
    found = evaluate([Question(each, data) for each in ("true", slow, "1 == 1", slow, "false")])
    assert time.monotonic() - began < 30
    assert [each.value for each in found] == [True, None, True, None, False]
    assert found[1].error == found[3].error
    assert "longer than 1 s" in found[1].error


def test_the_alarm_ends_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the library does about it: a child that answers nothing any more is ended, and another one asked."""
    expressions.close()
    monkeypatch.setattr(parent, "SECONDS_AT_MOST", 1.0)
    monkeypatch.setattr(parent, "_PATIENCE_SECONDS", 0.0)
    assert ask("true").value is True
    child = parent._asking._child
    assert child is not None
    subprocess.run(["kill", "-STOP", str(child._process.pid)], check=True)
    found = ask("1 == 1")
    assert "longer than" in found.error
    assert ask("2 == 2").value is True
    expressions.close()


def test_an_expression_that_takes_all_memory_is_ended() -> None:
    found = ask(DOUBLING)
    assert found.value is None
    # On a machine that has much to do besides the alarm may come first.
    assert found.error in (f"it takes more than {MIB_AT_MOST} MiB of memory", "it takes longer than 2 s")
    assert ask("true").value is True


def test_an_expression_over_a_limit_is_not_tried_for_every_document() -> None:
    began = time.monotonic()
    found = evaluate([Question(DOUBLING, {})] * 200)
    assert all(each.error for each in found)
    assert time.monotonic() - began < 40


def test_many_rules_over_a_limit_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "_STARTS", 1)
    found = evaluate([Question(f"{DOUBLING} || {n} == 0", {}) for n in range(20)] + [Question("true", {})])
    assert all(each.error for each in found)
    assert ask("true").value is True


def test_where_no_child_can_be_started_everything_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    expressions.close()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert "cannot be started" in ask("true").error
    monkeypatch.setattr(sys, "executable", "/bin/false" if Path("/bin/false").exists() else "/usr/bin/false")
    assert "cannot be started" in ask("true").error
    monkeypatch.undo()
    assert ask("true").value is True


def _guardrail(enforce: str, expression: str) -> GuardrailDocument:
    spec = GuardrailSpec(
        match=GuardrailMatch(kinds=("ProtectionGroup",)),
        validations=(GuardrailValidation(expression=expression, message="m"),),
        enforce=enforce,  # type: ignore[arg-type]
    )
    return GuardrailDocument("reconciler/v1", "Guardrail", Metadata("g"), spec)


@pytest.mark.parametrize("enforce", ["deny", "approve", "warn"])
@pytest.mark.parametrize("expression", [DOUBLING, "x" * 5000, "[1].all(a, [1].all(b, [1].all(c, true)))"], ids=range(3))
def test_over_the_limit_denies_whatever_it_would_do(enforce: str, expression: str) -> None:
    found = judge(
        [(Placed(_guardrail(enforce, expression), Nowhere("x.yaml")), Subject("ProtectionGroup", "a"))], evaluate
    )
    assert [(each.code, each.severity) for each in found] == [("RCL3034", Severity.ERROR)]
    assert denied(found)


def test_where_nobody_evaluates_everything_is_denied() -> None:
    found = judge(
        [(Placed(_guardrail("warn", "true"), Nowhere("x.yaml")), Subject("ProtectionGroup", "a"))], evaluates_nothing
    )
    assert [each.code for each in found] == ["RCL3034"]


def test_the_child_ends_with_the_process_that_asked() -> None:
    code = (
        "from reconciler import expressions\n"
        "from reconciler.protocols import Question\n"
        "assert expressions.evaluate([Question('true', {})])[0].value\n"
        "from reconciler.expressions import parent\n"
        "print(parent._asking._child._process.pid, flush=True)\n"
        "import os; os._exit(0)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    process = Path("/proc") / ended.stdout.strip()
    deadline = time.monotonic() + 10
    while process.exists() and "Z" not in (process / "stat").read_text().split()[2] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process.exists() or "Z" in (process / "stat").read_text().split()[2]


@pytest.mark.parametrize(
    ("expression", "hours"),
    [
        ("a > duration('14d')", ["336h"]),
        ("a > duration('2w') || b > duration( \"15min\" )", ["336h", "15m"]),
        ("a > duration('') || b", ["336h for 14 days"]),
        ("a > duration('1h30m') && b > duration('-1.5h') && c > duration('0')", []),
        ("a > duration(params.least)", []),
        ("x == \"write duration('14d')\"", []),
        ("x == '''duration(\"14d\")''' // duration('14d')", []),
        (r"x == 'it\'s' && y > duration('90s') && z > duration('1d')", ["24h"]),
        ("myduration('14d')", []),
    ],
)
def test_durations_that_cel_does_not_have_are_found_among_texts_and_comments(expression: str, hours: list[str]) -> None:
    placed = Placed(_guardrail("deny", expression), Nowhere("x.yaml"))
    found = list(_durations(placed, ("spec", "validations", 0, "expression"), expression))
    assert [each.remedy.partition("write ")[2].rstrip(".") for each in found] == hours
