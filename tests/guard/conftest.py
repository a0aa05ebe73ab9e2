"""What the ways past the guard are tried on."""

from __future__ import annotations

import pytest

from tests.shop import Shop
from tests.support.reviewed import Reviewed, divided_of


@pytest.fixture(autouse=True)
def _own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


@pytest.fixture(autouse=True)
def _by_hand(written_by_hand: None) -> None:
    """Whoever attacks writes the file of an approval himself."""


@pytest.fixture
def divided(shop: Shop) -> Reviewed:
    return divided_of(shop)
