"""What every test gets: no network, no terminal settings, and hypothesis without deadlines."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from reconciler.cli import errors
from reconciler.cli.actions import review
from reconciler.cli.command_table import TABLE
from tests.shop import run, shop

__all__ = ["run", "shop"]

_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
settings.register_profile("test", max_examples=150, deadline=None, suppress_health_check=_CHECKS)
settings.register_profile("prove", max_examples=3000, deadline=None, suppress_health_check=_CHECKS)
settings.load_profile("prove" if os.environ.get("RECONCILER_PROVE") else "test")


@pytest.fixture(autouse=True)
def _quiet_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches out, and none depends on how its terminal is set."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else address
        if isinstance(address, tuple) and host not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {host}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _known_exit_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command ends with a code that its `--help` does not name."""
    run = errors.run

    def checked(words: list[str]) -> int:
        code = run(words)
        path = _command(words)
        if path is not None:
            assert code in TABLE[path].codes, f"{path} ended with {code}, which its line in cli/command_table.py lacks"
        return code

    monkeypatch.setattr(errors, "run", checked)


def _command(words: list[str]) -> str | None:
    for at, word in enumerate(words):
        for path in (" ".join(words[at : at + 2]), word):
            if path in TABLE:
                return path
    return None


@pytest.fixture
def written_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """`approve` writes approvals that cannot count, as a person with an editor can. That it writes none by itself is
    held by tests/journeys/test_approvals.py."""
    monkeypatch.setattr(review, "unapprovable", lambda spec, court: {})
    monkeypatch.setattr(review, "hopeless", lambda spec, court: "")
