"""Slips on the command line are answered with what was meant, and one code: nothing is guessed and done."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.shop import Said, Shop

T1 = ("--now", "2026-03-10T12:00Z")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("recvr",), "there is no command 'recvr'; help: Did you mean recover?"),
        (("store", "chek"), "there is no command 'chek'; help: Did you mean check?"),
        (("recover",), "missing argument VM; help: Usage: reconciler recover [OPTIONS] VM."),
        (("explain", "A", "b"), "unexpected argument b; help: Usage: reconciler explain [OPTIONS] CODE."),
        (("plan", "--detailed-exitcodes"), "Did you mean --detailed-exitcode?"),
        (("plan", "--format", "json"), "there is no option --format; help: Did you mean --output?"),
        (("plan", "-o", "jsn"), "--output: 'jsn' is not one of its values; help: Did you mean json?"),
        (("plan", "-o", "plan.json"), "To write a file give --out plan.json."),
        (("plan", "-o", "csv"), "Write one of text, json, markdown, html, sarif, junit."),
        (("jobs", "-n", "x"), "--limit: 'x' is not a whole number"),
        (("jobs", "--limit"), "the option --limit has no value"),
        (("-x",), "there is no option -x"),
        (("plan", "--bogus"), "there is no option --bogus; help: See "),
    ],
)
def test_a_slip_in_commands_and_options(run: Callable[..., Said], words: tuple[str, ...], told: str) -> None:
    said = run(*words)
    assert said.code == 64
    assert said.out == ""
    assert "RCL0003" in said.err
    assert told in said.err
    assert "--help'" in said.err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("members", "golt"), "gold"),
        (("plan", "--group", "golt", *T1), "gold"),
        (("plan", "--server", "mbs-01", *T1), "mabs-01"),
        (("apply", "--adopt", "golt", "--yes", *T1), "gold"),
        (("status", "--site", "hqs"), "hq"),
        (("points", "oen"), "one"),
        (("check", "tow"), "two"),
        (("recover", "ONEE", "--yes"), "one"),
        (("store", "rebuild", "mabs-1"), "mabs-01"),
        (("store", "declare-lost", "mbas-01", "--reason", "x"), "mabs-01"),
        (("store", "declare-lost", "mabs-01", "--volume", "vol-b", "--reason", "x"), "vol-a"),
        (("import", "--server", "mabs-1"), "mabs-01"),
        (("explain", "RCL1016x"), "RCL1016"),
    ],
)
def test_a_slip_in_names(shop: Shop, words: tuple[str, ...], meant: str) -> None:
    assert shop("apply", "--yes", *T1).code == 0
    said = shop(*words) if words[0] != "explain" else shop.plain(*words)
    assert said.code == 64
    assert f"Did you mean {meant}" in said.err


def test_a_slip_in_the_id_of_a_point(shop: Shop) -> None:
    assert shop("apply", "--yes", *T1).code == 0
    assert shop("run", "--until-idle", *T1).code == 0

    point = json.loads(shop("points", "one", "-o", "json").out)["points"][0]["point"]["id"]
    said = shop("recover", "one", "--point", point[:-1], "--to", str(shop.root / "out"), *T1)
    assert said.code == 6
    assert f"Did you mean {point}?" in said.err


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "--now", "0001-01-01"),
        ("drift", "--now", "9999-12-31T23:59:59-14:00"),
        ("status", "--now", "9999-12-31"),
        ("run", "--until-idle", "--now", "9999-12-31T23:00"),
        ("recover", "one", "--at", "0001-01-01"),
        ("evidence", "query", "one", "--at", "9999-12-31"),
    ],
)
def test_a_time_beyond_all_schedules(shop: Shop, words: tuple[str, ...]) -> None:
    assert shop("apply", "--yes", *T1).code == 0
    said = shop(*words)
    assert said.code == 64
    assert "is not in the years 1970 to 2999" in said.err
