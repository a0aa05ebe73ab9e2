"""What is shown without a command, and where the root may stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.shop import Said, Shop


@pytest.mark.parametrize(
    "words", [(), ("store",), ("policy",), ("evidence",), ("lock",), ("-C", "nowhere"), ("-C", "nowhere", "store")]
)
def test_a_group_of_commands_alone_shows_its_help(run: Callable[..., Said], words: tuple[str, ...]) -> None:
    said = run(*words)
    assert said.code == 0
    assert said.err == ""
    assert said.out.startswith("Usage: reconciler")
    assert "\\u000a" not in said.out


@pytest.mark.parametrize("given", ["-C", "--root", "--root="])
def test_the_root_stands_before_or_behind_the_command(
    shop: Shop,
    run: Callable[..., Said],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    given: str,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    root = [f"{given}{shop.root}"] if given.endswith("=") else [given, str(shop.root)]
    behind = run("validate", *root)
    assert behind.code == 0
    assert run(*root, "validate") == behind
    assert run(*root, "policy", "test").code == run("policy", "test", *root).code


def test_a_root_without_policies_is_told(run: Callable[..., Said], tmp_path: Path) -> None:
    assert run("-C", str(tmp_path), "validate").code == 65
