"""Ways past the guard by declaring lost: what destroys recovery points needs somebody's approval, of just this loss."""

from __future__ import annotations

import shutil

import pytest

from reconciler.model import EvidenceKind
from reconciler.state import open_memory
from tests.shop import Said, Shop
from tests.support.reviewed import ALICE, BOB, BY, T1, Reviewed

WHY = ("--reason", "the array burnt", "--yes")


@pytest.fixture
def site(shop: Shop) -> Reviewed:
    """With points, and a store that is gone."""
    site = Reviewed(shop)
    assert site("run", "--until-idle", *T1).code == 0
    _burn(site)
    return site


def _burn(site: Reviewed) -> None:
    shutil.rmtree(site.root / "var" / "mabs-01")


def _declare(site: Reviewed, *words: str) -> Said:
    return site("store", "declare-lost", "mabs-01", *words, *WHY)


def _refused(site: Reviewed, *words: str) -> str:
    said = _declare(site, *words)
    assert (said.code, "RCL5049" in said.err) == (5, True), said
    assert site("plan", *T1).code == 69, "the store is missing as before"
    return said.err


def test_a_loss_needs_an_approval_that_is_used_once(site: Reviewed) -> None:
    said = _refused(site)
    assert "reconciler approve --lost mabs-01 --by EMAIL --reason TEXT --until DATE" in said
    shown = site.approve("--lost", "mabs-01")
    assert (shown.code, "one: newest point" in shown.out) == (0, True), shown
    assert "it is not committed" in _refused(site)
    site.commit("approved", author=ALICE)
    done = _declare(site)
    assert done.code == 0, done
    memory = open_memory(site.root / "var" / "hq.db")
    try:
        records = list(memory.evidence.records())
        uses = list(memory.approvals.all().values())
    finally:
        memory.close()
    (told,) = (each for each in records if each.body.get("what") == "declaredLost")
    (approval,) = (each for each in records if each.kind is EvidenceKind.APPROVAL)
    assert (approval.run, approval.body["by"]) == (told.run, ALICE)
    assert [use.used_up_at is not None for use in uses] == [True]
    assert site("run", "--until-idle", *T1).code == 0
    _burn(site)
    again = _refused(site)  # another store by now: the used approval names nothing of it, and is silent
    assert "no valid approval names it" in again
    assert "RCL3035" not in again


@pytest.mark.parametrize(("approved", "declared"), [((), ("--volume", "vol-a")), (("--volume", "vol-a"), ())])
def test_an_approval_is_for_just_this_loss(shop: Shop, approved: tuple[str, ...], declared: tuple[str, ...]) -> None:
    site = Reviewed(shop)
    assert site("run", "--until-idle", *T1).code == 0
    if declared:
        shutil.rmtree(site.root / "var" / "mabs-01" / "volumes" / "vol-a")
    else:
        _burn(site)
    site.approved("--lost", "mabs-01", *approved) if approved else _approve_whole(site)
    said = _declare(site, *declared)
    assert (said.code, "RCL5049" in said.err) == (5, True), said


def _approve_whole(site: Reviewed) -> None:
    """Of the whole store, while it was gone."""
    store = site.root / "var" / "mabs-01"
    store.rename(site.root / "away")
    site.approved("--lost", "mabs-01")
    (site.root / "away").rename(store)


def test_whoever_declares_a_loss_does_not_approve_it(site: Reviewed) -> None:
    assert site("approve", "--lost", "mabs-01", "--by", BOB, *BY).code == 0
    site.commit("approved", author=BOB)
    assert f"{BOB} wrote the change" in _refused(site)


def test_what_is_approved_is_one_of_three(site: Reviewed) -> None:
    for words in (("HEAD", "--lost", "mabs-01"), ("HEAD", "--volume", "vol-a"), ()):
        assert site("approve", *words, "--by", ALICE, *BY).code == 64
    assert site("approve", "--lost", "mabs-99", "--by", ALICE, *BY).code == 64
