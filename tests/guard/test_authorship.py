"""Ways past the guard by hiding who wrote a change, so that he can approve it himself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from reconciler import gitrepo
from reconciler.control import review
from reconciler.control.approving import authorship
from tests.shop import Shop
from tests.support.reviewed import ALICE, BOB, MALLORY, T1, Reviewed

#: Mallory is an approver too: he may approve what others write.
RULES = f"prune: true\n  approvals: {{approvers: [{ALICE}, {MALLORY}]}}"


@pytest.fixture
def site(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Reviewed:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return two_groups_of(shop)


def two_groups_of(shop: Shop) -> Reviewed:
    text = (shop.root / "policies" / "site.yaml").read_text()
    _, _, group = text.partition("---\n")
    other = group.replace("name: gold", "name: silver").replace("[one, two]", "[two]")
    (shop.root / "policies" / "silver.yaml").write_text(other)
    (shop.root / "policies" / "site.yaml").write_text(text.replace("[one, two]", "[one]"))
    site = Reviewed(shop, RULES)
    site.git("config", "user.email", "robot@corp.example")
    site.git("tag", "base")
    return site


def _mine(site: Reviewed, older: str = "base") -> str:
    """The text of Mallory's approval of what is in the work tree, which does not count where it stands."""
    said = site("approve", older, "--by", MALLORY, "--reason", "I want", "--until", "2099-12-31", "--yes")
    assert said.code == 0, said.err
    (document,) = (site.root / "policies" / "approvals").glob("*.yaml")
    text = document.read_text()
    document.unlink()
    document.parent.rmdir()
    return text


def _over_the_group(site: Reviewed) -> None:
    """His approval is laid over the file of the group that goes."""
    path = site.root / "policies" / "silver.yaml"
    path.unlink()
    path.write_text(_mine(site))
    site.commit("x", author=MALLORY)


def _over_the_group_and_a_harmless_change(site: Reviewed) -> None:
    _over_the_group(site)
    site.edit("retention: 5d", "retention: 6d")
    site.commit("longer", author=BOB)


def _weaken(site: Reviewed, author: str, committer: str = "", message: str = "shorter") -> None:
    site.edit("retention: 5d", "retention: 3d")
    site.commit(message, author=author, committer=committer)


def _approve(site: Reviewed) -> None:
    text = _mine(site)
    site.write("policies/approvals/a.yaml", text)
    site.commit("approved", author=MALLORY)


def _plainly(site: Reviewed) -> None:
    _weaken(site, MALLORY)
    _approve(site)


def _in_other_letters(site: Reviewed) -> None:
    _weaken(site, MALLORY.upper())
    _approve(site)


def _under_another_name(site: Reviewed) -> None:
    """The author is made up; who made the commit is told by Git."""
    _weaken(site, BOB, committer=MALLORY)
    _approve(site)


def _squashed(site: Reviewed) -> None:
    """A squash of his branch under another's name keeps him as a co-author."""
    _weaken(site, BOB, message=f"shorter\n\nCo-authored-by: Mallory <{MALLORY}>")
    _approve(site)


def _back_and_forth(site: Reviewed) -> None:
    """Bob reverts it and reverts the revert: the last commits that touch the file are Bob's."""
    _weaken(site, MALLORY)
    site.edit("retention: 3d", "retention: 5d")
    site.commit("Revert", author=BOB)
    site.edit("retention: 5d", "retention: 3d")
    site.commit("Revert the revert", author=BOB)
    _approve(site)


def _moved_by_another(site: Reviewed) -> None:
    """Bob renames the file: it is new, and his."""
    _weaken(site, MALLORY)
    site.git("mv", "policies/site.yaml", "policies/all.yaml")
    site.commit("moved", author=BOB)
    _approve(site)


def _by_a_merge(site: Reviewed) -> None:
    """What weakens is in no commit but the merge, which Mallory made."""
    site.git("checkout", "-qb", "side")
    site.write("policies/notes.txt", "n")
    site.commit("notes", author=BOB)
    site.git("checkout", "-q", "main")
    site.write("policies/more.txt", "n")
    site.commit("more", author=BOB)
    site.git("-c", f"user.email={MALLORY}", "merge", "-q", "--no-commit", "side")
    site.edit("retention: 5d", "retention: 3d")
    site.commit("Merge", author=MALLORY)
    _approve(site)


def _together_with_an_approval(site: Reviewed) -> None:
    """The change stands in one file with an approval."""
    _weaken(site, MALLORY)
    text = _mine(site)
    policy = site.policy.read_text()
    site.policy.write_text(policy + "---\n" + text)
    site.commit("approved", author=MALLORY)


WAYS: dict[str, Callable[[Reviewed], None]] = {
    each.__name__.strip("_"): each
    for each in (
        _plainly,
        _over_the_group,
        _over_the_group_and_a_harmless_change,
        _in_other_letters,
        _under_another_name,
        _squashed,
        _back_and_forth,
        _moved_by_another,
        _by_a_merge,
        _together_with_an_approval,
    )
}


@pytest.mark.parametrize("way", WAYS)
def test_who_wrote_it_does_not_approve_it(site: Reviewed, way: str) -> None:
    before = site.groups()
    WAYS[way](site)
    said = site("diff", "base", "HEAD")
    assert said.code == 5, said.out
    assert f"{MALLORY} wrote the change" in said.out
    applied = site.apply()
    assert applied.code == 5, applied.out
    assert set(site.groups()) == set(before)
    assert site.groups()["silver"] == before["silver"]
    assert int(site.groups()["gold"][0][1:-1]) >= 5


@pytest.mark.parametrize("way", ["over_the_group_and_a_harmless_change"])
def test_without_the_older_side_he_gets_through(site: Reviewed, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `_approvals_alone` looks at both sides; and who brought the file, which Bob did first."""
    monkeypatch.setattr(review, "unbrought", lambda *words: "")
    real = authorship._approvals_alone
    monkeypatch.setattr(authorship, "_approvals_alone", lambda older, newer: real(authorship.EMPTY, newer))
    WAYS[way](site)
    assert site("diff", "base", "HEAD").code == 0


@pytest.mark.parametrize("way", ["under_another_name", "squashed"])
def test_without_committers_and_co_authors_he_gets_through(
    site: Reviewed, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = gitrepo.commits

    def authors_alone(folder: Path, older: str, newer: str) -> list[gitrepo.Commit]:
        found = real(folder, older, newer)
        return [msgspec.structs.replace(each, committer=each.author, co_authors=()) for each in found]

    monkeypatch.setattr(gitrepo, "commits", authors_alone)
    WAYS[way](site)
    assert site("diff", "base", "HEAD").code == 0


def test_somebody_else_approves_it(site: Reviewed) -> None:
    _weaken(site, MALLORY)
    said = site("approve", "base", "HEAD", "--by", ALICE, "--reason", "r", "--until", "2099-12-31", "--yes")
    assert said.code == 0, said.err
    site.commit("approved", author=ALICE)
    assert site("diff", "base", "HEAD").code == 0
    assert site("apply", "--yes", *T1).code == 0
