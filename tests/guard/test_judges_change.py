"""Who may approve changes together with something that was approved: all of that change is judged by the older rules,
where it is compared and where it is done, and nothing that came later is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guard.test_security_inputs import _key, keys
from tests.shop import Shop
from tests.support.reviewed import ALICE, APPROVERS, BOB, MALLORY, Reviewed, divided_of

__all__ = ["keys"]
T = tuple(("--now", f"2026-03-10T{hour}:00Z") for hour in range(12, 23))
BOTH = f"approvers: [{ALICE}, {BOB}]"


def shorter(site: Reviewed) -> None:
    site.replace("gold.yaml", "retention: 5d", "retention: 3d")
    site.commit("shorter", author=MALLORY)


def leaves(site: Reviewed, folder: Path) -> None:
    site.replace("site.yaml", BOTH, f"approvers: [{ALICE}]")


def nobody(site: Reviewed, folder: Path) -> None:
    site.replace("site.yaml", f"  approvals: {{{BOTH}}}", "")


def signers(site: Reviewed, folder: Path) -> None:
    site.replace("site.yaml", BOTH, f"{BOTH}, allowedSigners: policies/allowed_signers")
    site.write("policies/allowed_signers", f"{ALICE} {_key(folder, 'alice')}\n")


RULES: dict[str, Callable[[Reviewed, Path], None]] = {
    "he leaves": leaves,
    "nobody approves any more": nobody,
    "with signatures from now on": signers,
}


def both(site: Reviewed, folder: Path, change: Callable[[Reviewed, Path], None]) -> None:
    """Bob approves a shorter retention; then, in the same push, the rules by which he may, which Alice approves."""
    shorter(site)
    site.approved(by=BOB)
    change(site, folder)
    site.commit("approvers", author=MALLORY)
    site.approved(by=ALICE)


@pytest.mark.parametrize("way", RULES)
def test_all_of_one_push_is_judged_by_the_older_rules(shop: Shop, keys: Path, way: str) -> None:
    site = divided_of(shop)
    both(site, keys, RULES[way])
    assert site("diff", "base", "HEAD").code == 0
    assert site.tick(*T[1]).code == 0
    assert site.groups() == {"gold": ("P3D", 2)}
    assert site.tick(*T[2]).code == 0


def test_also_what_apply_does(shop: Shop, keys: Path) -> None:
    site = divided_of(shop)
    both(site, keys, leaves)
    assert site("apply", "--yes", *T[1]).code == 0
    assert site.groups() == {"gold": ("P3D", 2)}


def test_also_where_he_approved_his_own(shop: Shop) -> None:
    """That nobody approves his own counts at once, since it is stricter."""
    apart(shop)
    site = Reviewed(shop, APPROVERS.replace(BOTH, f"{BOTH}, selfApproval: true"))
    site.git("tag", "base")
    site.replace("gold.yaml", "retention: 5d", "retention: 3d")
    site.commit("shorter", author=BOB)
    site.approved(by=BOB)
    site.replace("site.yaml", ", selfApproval: true", "")
    site.commit("stricter", author=MALLORY)
    assert site("diff", "base", "HEAD").code == 0
    assert site.tick(*T[1]).code == 0
    assert site.groups() == {"gold": ("P3D", 2)}


def windowed_of(shop: Shop) -> Reviewed:
    """Open while it is applied first, and from six o'clock on."""
    apart(shop)
    hours = [f'{{allow: {{from: "{start}", to: "{end}"}}}}' for start, end in (("12:00", "13:00"), ("18:00", "23:00"))]
    site = Reviewed(shop, f"{APPROVERS}\n  changeWindows: [{', '.join(hours)}]")
    site.git("tag", "base")
    return site


def apart(shop: Shop) -> None:
    """The group in a file of its own."""
    path = shop.root / "policies" / "site.yaml"
    text, _, group = path.read_text().partition("---\n")
    path.write_text(text)
    (shop.root / "policies" / "gold.yaml").write_text(group)


def test_also_what_has_to_wait_for_its_time(shop: Shop, keys: Path) -> None:
    site = windowed_of(shop)
    both(site, keys, leaves)
    assert site("diff", "base", "HEAD").code == 0
    for now in T[2:4]:
        site.tick(*now)
        assert site.groups() == {"gold": ("P5D", 2)}
    assert site.tick(*T[7]).code == 0
    assert site.groups() == {"gold": ("P3D", 2)}


def test_it_is_used_up_by_that(shop: Shop, keys: Path) -> None:
    site = divided_of(shop)
    both(site, keys, leaves)
    assert site.tick(*T[1]).code == 0
    site.replace("gold.yaml", "retention: 3d", "retention: 5d")
    site.commit("longer", author=MALLORY)
    assert site.tick(*T[2]).code == 0
    shorter(site)
    assert site.tick(*T[3]).code == 5
    assert site.groups() == {"gold": ("P5D", 2)}


def test_what_he_approves_later_does_not_count(shop: Shop, keys: Path) -> None:
    """Whether or not the push that he left with is settled by then."""
    site = windowed_of(shop)
    both(site, keys, leaves)
    site.tick(*T[2])
    site.replace("gold.yaml", "retention: 3d", "retention: 2d")
    site.commit("shorter", author=MALLORY)
    site.approve("base", "HEAD", by=BOB)
    site.commit("approved", author=BOB)
    assert site.tick(*T[7]).code == 5
    assert site.groups() == {"gold": ("P5D", 2)}


def test_what_he_approved_of_something_else_is_lost_with_him(shop: Shop) -> None:
    """An approval that was never used, of a change that was given up."""
    site = divided_of(shop)
    shorter(site)
    site.approved(by=BOB)
    yes = site.git("rev-parse", "HEAD")
    site.git("reset", "-q", "--hard", "base")
    site.git("cherry-pick", yes)
    site.replace("site.yaml", BOTH, f"approvers: [{ALICE}]")
    site.commit("approvers", author=MALLORY)
    site.approved(by=ALICE)
    assert site.tick(*T[1]).code == 0
    shorter(site)
    assert site.tick(*T[2]).code == 5
    assert site.groups() == {"gold": ("P5D", 2)}


def comes(site: Reviewed) -> None:
    """Mallory is to be an approver, which Alice approves, and approved what Bob wrote already."""
    site.replace("gold.yaml", "retention: 5d", "retention: 3d")
    site.commit("shorter", author=BOB)
    site.replace("site.yaml", BOTH, f"approvers: [{ALICE}, {BOB}, {MALLORY}]")
    site.commit("approvers", author=BOB)
    site.approved(by=ALICE)
    before = {*(site.root / "policies" / "approvals").iterdir()}
    site.approve("HEAD~3", "HEAD~2")
    (path,) = {*(site.root / "policies" / "approvals").iterdir()} - before
    path.write_text(path.read_text().replace(ALICE, MALLORY))
    site.commit("approved", author=MALLORY)


@pytest.mark.parametrize("ticks", [1, 3])
def test_a_new_approver_cannot_have_brought_his_own_approval(shop: Shop, ticks: int) -> None:
    site = divided_of(shop)
    comes(site)
    assert site("diff", "base", "HEAD").code == 5
    for now in T[1 : 1 + ticks]:
        assert site.tick(*now).code == 5
    assert site("apply", "--yes", *T[5]).code == 5
    assert site.groups() == {"gold": ("P5D", 2)}


def test_without_the_note_diff_and_run_judge_differently(
    shop: Shop, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The defence: `counted.still_counting`."""
    monkeypatch.setattr("reconciler.control.approving.site_guard.still_counting", lambda *words: {})
    site = divided_of(shop)
    both(site, keys, leaves)
    assert site("diff", "base", "HEAD").code == 0
    assert site.tick(*T[1]).code == 5
