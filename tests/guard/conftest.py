"""What the ways past the guard are tried on."""

from __future__ import annotations

import pytest

from reconciler.cli.actions import review
from tests.shop import Shop
from tests.support.reviewed import Reviewed, divided_of


@pytest.fixture(autouse=True)
def _own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


@pytest.fixture(autouse=True)
def _written_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever attacks writes the file of an approval himself: that `approve` writes none that could not count is held
    by tests/journeys/test_approvals.py."""
    monkeypatch.setattr(review, "unapprovable", lambda spec, court: {})
    monkeypatch.setattr(review, "hopeless", lambda spec, court: "")


@pytest.fixture
def divided(shop: Shop) -> Reviewed:
    return divided_of(shop)
