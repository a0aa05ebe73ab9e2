"""The copy of the last good policies: what is not as it was kept is none, and says so as wrong policies do."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.control.policy_folder import read_or_last_good
from reconciler.errors import PolicyError
from tests.shop import Shop, run, shop

__all__ = ["run", "shop"]


def _broken(shop: Shop) -> Path:
    """A site whose policies were kept, and are wrong now; the folder of what was kept."""
    assert read_or_last_good(shop.root).current
    site = shop.root / "policies" / "site.yaml"
    site.write_text(site.read_text() + "\n---\nkind: [\n")
    assert not read_or_last_good(shop.root).current
    return shop.root / ".reconciler"


@pytest.mark.parametrize("pointer", [b"\xff\x00" * 2048, b"../policies", b"last-good-0123", b"", b"x" * 100_000])
def test_a_pointer_that_names_no_copy_is_none(shop: Shop, pointer: bytes) -> None:
    (_broken(shop) / "last-good").write_bytes(pointer)
    with pytest.raises(PolicyError):
        read_or_last_good(shop.root)


def test_a_copy_that_was_changed_is_none(shop: Shop) -> None:
    kept = next(_broken(shop).rglob("site.yaml"))
    kept.write_text(kept.read_text().replace("retention: 5d", "retention: 6d"))
    with pytest.raises(PolicyError):
        read_or_last_good(shop.root)


def test_a_damaged_pointer_is_written_anew(shop: Shop) -> None:
    assert read_or_last_good(shop.root).kept
    pointer = shop.root / ".reconciler" / "last-good"
    before = pointer.read_bytes()
    pointer.write_bytes(b"\xff" * 4096)
    assert read_or_last_good(shop.root).kept
    assert pointer.read_bytes() == before
