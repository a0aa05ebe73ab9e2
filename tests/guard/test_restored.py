"""A state that is restored from a backup: what was used of approvals since is not new again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from reconciler.control.state import restore
from reconciler.state import Opening, open_memory
from tests.shop import Said, Shop
from tests.support.reviewed import ALICE, BOB, MALLORY, Reviewed, divided_of

T = tuple(("--now", f"2026-03-10T{hour}:00Z") for hour in range(12, 22))


def change(site: Reviewed, old: str, new: str) -> None:
    site.replace("gold.yaml", f"retention: {old}", f"retention: {new}")
    site.commit("retention", author=MALLORY)


def used_since_the_backup(site: Reviewed) -> None:
    """What Alice approved is done after the backup and taken back; at last it is written again, by nobody's leave."""
    assert site("state", "backup", str(site.root / "backup.tar")).code == 0
    change(site, "5d", "3d")
    site.approved()
    assert site.tick(*T[1]).code == 0
    assert site.groups() == {"gold": ("P3D", 2)}
    change(site, "3d", "5d")
    assert site.tick(*T[2]).code == 0
    change(site, "5d", "3d")


def there(site: Reviewed) -> None:
    """It reads."""


def gone(site: Reviewed) -> None:
    for path in (site.root / "var").glob("hq.db*"):
        path.unlink()


def overwritten(site: Reviewed) -> None:
    path = site.root / "var" / "hq.db"
    path.write_bytes(b"nothing of a state" * 400)


LOST: dict[str, Callable[[Reviewed], None]] = {"it reads": there, "it is gone": gone, "it cannot be read": overwritten}


def restored(site: Reviewed) -> Said:
    said = site("state", "restore", str(site.root / "backup.tar"), "--yes")
    assert said.code == 0, said.err
    return said


@pytest.mark.parametrize("how", LOST)
def test_what_was_used_stays_used(shop: Shop, how: str) -> None:
    site = divided_of(shop)
    used_since_the_backup(site)
    LOST[how](site)
    said = restored(site)
    for now in T[3:5]:
        assert site.tick(*now).code == 5
    assert site("apply", "--yes", *T[5]).code == 5
    assert site.groups() == {"gold": ("P5D", 2)}
    told = site("plan", *T[5]).out
    if how == "it reads":
        assert "taken over from the state that was there: 1 approval." in said.err
        assert "it was used up on" in told
    else:
        assert "are no longer in effect: 1 approval." in said.err
        assert "whether it was used is not known since the state was restored on" in told
    site.approve("HEAD~1", "HEAD", by=BOB)
    site.commit("approved", author=BOB)
    assert site.tick(*T[6]).code == 0
    assert site.groups() == {"gold": ("P3D", 2)}


def test_what_was_not_used_counts_on_where_the_state_tells(shop: Shop) -> None:
    site = divided_of(shop)
    assert site("state", "backup", str(site.root / "backup.tar")).code == 0
    change(site, "5d", "3d")
    site.approved(by=ALICE)
    restored(site)
    assert site.tick(*T[3]).code == 0
    assert site.groups() == {"gold": ("P3D", 2)}


def test_what_the_backup_knows_is_not_doubted(shop: Shop) -> None:
    site = divided_of(shop)
    change(site, "5d", "3d")
    site.approved()
    assert site.tick(*T[1]).code == 0
    assert site("state", "backup", str(site.root / "backup.tar")).code == 0
    gone(site)
    restored(site)
    with closing(open_memory(site.root / "var" / "hq.db", opening=Opening.READ)) as memory:
        (use,) = memory.approvals.all().values()
    assert use.used_up_at is not None
    assert use.unknown_since is None


def test_without_the_note_it_is_used_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `restoring._note_uses`."""
    monkeypatch.setattr(restore, "_note_uses", lambda *words: None)
    site = divided_of(shop)
    used_since_the_backup(site)
    restored(site)
    assert site.tick(*T[3]).code == 0
    assert site.groups() == {"gold": ("P3D", 2)}
