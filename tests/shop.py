"""A small site, and the command run on it in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from reconciler.cli import errors
from tests.fakes import DiskCluster
from tests.kill.test_kill import write_policies


class Said(NamedTuple):
    code: int
    out: str
    err: str


class Shop:
    """The root of a site with machines `one` and `two`."""

    def __init__(self, root: Path, run: Callable[..., Said]) -> None:
        self.root = root
        self.cluster = DiskCluster(root / "cluster")
        self.cluster.add(1, "one")
        self.cluster.add(2, "two")
        write_policies(root, "one, two", "5d")
        self._run = run

    def __call__(self, *words: str) -> Said:
        return self._run(*words, "-C", str(self.root))

    def plain(self, *words: str) -> Said:
        """A command that has no root."""
        return self._run(*words)

    def policy(self, old: str, new: str) -> None:
        path = self.root / "policies" / "site.yaml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def act(*words: str) -> Said:
        capsys.readouterr()
        code = errors.run(list(words))
        caught = capsys.readouterr()
        return Said(code, caught.out, caught.err)

    return act


@pytest.fixture
def shop(tmp_path: Path, run: Callable[..., Said]) -> Shop:
    return Shop(tmp_path, run)
