"""Authors who are named by hand: they come to those that Git tells, and take nobody's place but without Git."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from reconciler.model import EvidenceKind
from reconciler.state import EvidenceFolder
from tests.shop import Shop
from tests.support.reviewed import ALICE, BOB, MALLORY, T1, Reviewed, divided_of

CAROL = "carol@corp.example"


@pytest.fixture(autouse=True)
def _own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


@pytest.fixture
def site(shop: Shop) -> Reviewed:
    return divided_of(shop)


def _plainly(site: Reviewed) -> None:
    site.replace("gold.yaml", "retention: 5d", "retention: 2d")
    site.commit("shorter", author=BOB)


def _without_an_address(site: Reviewed) -> None:
    site.replace("gold.yaml", "retention: 5d", "retention: 2d")
    site.git("-c", "user.email=", "commit", "-qam", "shorter", "--author=n <>")


def _another_history(site: Reviewed) -> None:
    """The commit that was applied is in no past of what is checked out."""
    _plainly(site)
    tree = site.git("rev-parse", "HEAD^{tree}")
    site.git("reset", "-q", "--soft", site.git("-c", f"user.email={BOB}", "commit-tree", "-m", "all of it", tree))


WAYS = (_plainly, _without_an_address, _another_history)


def named_by_himself(site: Reviewed, way: Callable[[Reviewed], None]) -> None:
    """Bob, an approver, wrote it and says yes to it; whoever applies it is told that Carol wrote it."""
    way(site)
    site.approved("base", "HEAD", by=BOB)


@pytest.mark.parametrize("way", WAYS)
def test_nobody_takes_the_place_of_those_that_git_tells(site: Reviewed, way: Callable[[Reviewed], None]) -> None:
    named_by_himself(site, way)
    plan = site.root / "plan.json"
    assert site("plan", "--out", str(plan), "--author", CAROL, *T1).code == 0
    for words in (("apply", "--yes"), ("apply", str(plan), "--yes")):
        said = site(*words, "--author", CAROL, *T1)
        assert said.code == 5, said
    assert site("diff", "base", "HEAD", "--author", CAROL).code == 5
    assert site.groups() == {"gold": ("P5D", 2)}


def test_who_is_named_besides_wrote_it_too(site: Reviewed) -> None:
    site.replace("gold.yaml", "retention: 5d", "retention: 2d")
    site.commit("shorter", author=MALLORY)
    site.approved("base", "HEAD", by=ALICE)
    assert site("diff", "base", "HEAD").code == 0
    assert site("diff", "base", "HEAD", "--author", ALICE).code == 5
    assert site.apply("--author", ALICE).code == 5
    assert site.groups() == {"gold": ("P5D", 2)}


def test_it_is_on_record_that_somebody_was_named(site: Reviewed) -> None:
    site.replace("gold.yaml", "retention: 5d", "retention: 2d")
    site.commit("shorter", author=MALLORY)
    site.approved("base", "HEAD", by=ALICE)
    assert site.apply("--author", CAROL, "--author", BOB).code == 0
    evidence = EvidenceFolder.of(site.root / "var" / "hq.db")
    runs = [each.body for each in evidence.records() if each.kind is EvidenceKind.RUN]
    assert [each.get("authors") for each in runs] == [None, [CAROL, BOB]]
    said = site("evidence", "query", "one")
    assert f"named as authors: {CAROL}, {BOB}" in said.out, said


def test_where_there_is_no_git_they_are_all_that_is_known(site: Reviewed) -> None:
    site.replace("gold.yaml", "retention: 5d", "retention: 2d")
    site.commit("shorter", author=MALLORY)
    site.approved("base", "HEAD", by=ALICE)
    shutil.rmtree(site.root / ".git")
    assert site.apply("--author", ALICE).code == 5
    assert site.apply().code == 5
    assert site.apply("--author", MALLORY).code == 0
    assert site.groups() == {"gold": ("P2D", 2)}
