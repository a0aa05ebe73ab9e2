"""Golden texts of every `--help`, and what holds of all of them. They are 80 columns wide, with nothing cut short."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from typer.main import get_command

from reconciler.cli import errors
from reconciler.cli.application import every_command
from reconciler.cli.command_table import TABLE, Panel
from reconciler.cli.options import app
from tests.shop import Said

assert errors.COMMANDS
ROOT: Any = get_command(app)
COMMANDS = dict(every_command(ROOT))
SHOWN = [path for path, command in COMMANDS.items() if not command.hidden]
GROUPS = ["", *(name for name, each in ROOT.commands.items() if hasattr(each, "commands"))]


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_every_command_has_a_line_in_the_table() -> None:
    assert sorted(TABLE) == sorted(SHOWN), "add the command to reconciler/cli/command_table.py"


@pytest.mark.parametrize("path", sorted(SHOWN))
def test_examples_are_lines_that_parse(path: str) -> None:
    assert TABLE[path].examples
    for example in TABLE[path].examples:
        program, *words = shlex.split(example)
        assert program == "reconciler"
        count = len(path.split())
        assert " ".join(words[:count]) == path
        COMMANDS[path].make_context(path, words[count:]).close()


@pytest.mark.parametrize("path", [*GROUPS, *SHOWN])
def test_every_help(run: Callable[..., Said], snapshot: SnapshotAssertion, path: str) -> None:
    said = run(*path.split(), "--help")
    assert said.code == 0
    assert said.err == ""
    for line in said.out.splitlines():
        assert len(line) <= 80
        assert "..." not in line.replace("[ARGS]...", "").replace("]...", "")
    assert said.out == snapshot
    if path in SHOWN:
        assert "\nExamples:\n" in said.out
        assert "\nExit codes:\n    0  success\n" in said.out


def test_the_panels_stand_in_their_order_with_every_command(run: Callable[..., Said]) -> None:
    text = run("--help").out
    places = [text.index(f"\n{panel}:\n") for panel in Panel]
    assert places == sorted(places)
    for path in SHOWN:
        assert f"\n  {path.partition(' ')[0]} " in text


def test_the_help_is_no_wider_on_a_wide_terminal(run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert max(map(len, run("plan", "--help").out.splitlines())) <= 80
