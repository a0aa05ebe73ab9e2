"""Oracles: real peers that tests compare with."""

from __future__ import annotations

import os

import pytest

from tests.run import ORACLES, which


def need(program: str) -> str:
    """Where the program is; skips the test where it is not, and fails it in the project's own CI."""
    found = which(program)
    if found is not None:
        return found
    reason = f"{program} is not installed (Debian: {ORACLES.get(program, program)})"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
