"""Files that are too large are refused before they are read whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.control.authoring.guardrail_tests import run_cases
from reconciler.control.planning import plan_file
from reconciler.errors import ReconcilerError, Refused, UsageError
from reconciler.model.documents import PolicySet
from reconciler.snapshots import form, read_catalog, read_inventory


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """Ten gigabytes, none of which are on the disk."""
    path = tmp_path / "huge.json"
    path.write_bytes(b"{")
    os.truncate(path, 10 << 30)
    return path


@pytest.mark.parametrize("read", [read_inventory, read_catalog], ids=["inventory", "catalog"])
def test_an_exported_document(huge: Path, read: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form, "LARGEST_DOCUMENT", 1 << 20)
    with pytest.raises(Refused, match="larger than 1,048,576 bytes"):
        read(huge)


def test_a_line_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form, "LARGEST_LINE", 1 << 20)
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"formatVersion": "1.0", "kind": "Inventory", "lines": 1}\n{"x": "')
    os.truncate(path, 10 << 30)
    with pytest.raises(Refused, match="a line of more than"):
        read_inventory(path)


def test_a_saved_plan(huge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_file, "LARGEST_PLAN", 1 << 20)
    with pytest.raises(UsageError, match="larger than 1,048,576 bytes"):
        plan_file.read(huge)


def test_cases_of_guardrails(huge: Path) -> None:
    with pytest.raises(ReconcilerError, match="larger than"):
        run_cases(PolicySet((), (), ()), [huge])
