"""Sites of one repository: what is of the one is not approved by the other's approvers, and what is approved of the one
is done there."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from reconciler.control import review as comparing
from tests.shop import Shop
from tests.support.reviewed import ALICE, BY, MALLORY, T1, Reviewed, divided_of

EVE = "eve@corp.example"
RULE = """apiVersion: reconciler/v1
kind: Guardrail
metadata: {name: long-enough}
spec:
  match: {kinds: [ProtectionGroup]}
  validations: [{expression: "object.spec.shortTerm.retention >= duration('48h')", message: two days}]
"""
SPARED = """apiVersion: reconciler/v1
kind: Exclusion
metadata: {name: spared}
spec:
  site: dr
  virtualMachines: {cluster: hci-01, names: [nobody]}
  reason: no room
  owner: x@corp.example
  until: 2026-12-31
"""


@pytest.fixture(autouse=True)
def _own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")


def beside(site: Reviewed, rules: str = f"prune: true\n  approvals: {{approvers: [{EVE}]}}") -> Reviewed:
    """A second site, dr, whose approver is Eve; the tag `both` is where it came."""
    dr = re.sub(r"prune: true(\n  approvals: .*)?", rules, site.policy.read_text())
    dr = dr.replace("name: hq", "name: dr").replace("var/", "var/dr/").replace("mabs-01", "mabs-02")
    site.write("policies/dr.yaml", dr)
    site.write("policies/rule.yaml", RULE)
    site.write("policies/spared.yaml", SPARED)
    site.commit("dr")
    site.git("tag", "both")
    assert site("apply", "--yes", "--site", "hq", *T1).code == 0
    return site


def nobodys(shop: Shop) -> Reviewed:
    """The site hq names no approvers: who is at its terminal says yes."""
    return beside(divided_of(shop, "prune: true"))


def _shorter(site: Reviewed) -> None:
    site.replace("gold.yaml", "retention: 5d", "retention: 3d")


def _no_group(site: Reviewed) -> None:
    (site.root / "policies" / "gold.yaml").unlink()


def _own_approvers(site: Reviewed) -> None:
    site.edit("prune: true", f"prune: true\n  approvals: {{approvers: [{MALLORY}]}}")


def _excluded(site: Reviewed) -> None:
    site.write("policies/two.yaml", SPARED.replace("spared", "two").replace("site: dr", "site: hq"))


def _exclusion_of_the_other(site: Reviewed) -> None:
    """For hq it is a new one."""
    site.replace("spared.yaml", "site: dr", "site: hq")


def _rule_of_both(site: Reviewed) -> None:
    (site.root / "policies" / "rule.yaml").unlink()


WAYS = (_shorter, _no_group, _own_approvers, _excluded, _exclusion_of_the_other, _rule_of_both)


def approved_by_eve(site: Reviewed, way: Callable[[Reviewed], None]) -> None:
    way(site)
    site.commit("tidy up", author=MALLORY)
    said = site("diff", "both", "HEAD")
    assert said.code == 5, said.out
    hashes = [word for word in said.out.split() if word.startswith("sha256:")]
    site.write("policies/approvals/eve.yaml", approval_of(hashes, "dr"))
    site.commit("approved", author=EVE)


def approval_of(hashes: list[str], site: str, number: int = 1) -> str:
    """As `approve` writes it."""
    return (
        f"apiVersion: reconciler/v1\nkind: Approval\nmetadata: {{name: eve-{number}}}\nspec:\n"
        f"  changes: [{', '.join(hashes)}]\n  approvedBy: {EVE}\n  reason: x\n  until: 2027-12-31\n"
        f'  id: "{number:032x}"\n  site: {site}\n'
    )


@pytest.mark.parametrize("way", WAYS)
def test_nobody_of_another_site_says_yes_for_one_without_approvers(shop: Shop, way: Callable[[Reviewed], None]) -> None:
    site = nobodys(shop)
    approved_by_eve(site, way)
    said = site("diff", "both", "HEAD")
    assert said.code == 5, said.out
    before = site.groups()
    site("run", "--once", "--site", "hq", *T1)
    assert site.groups() == before


def test_without_the_look_at_whose_it_is_somebody_does(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `compare.judged_by`."""
    site = nobodys(shop)
    monkeypatch.setattr(comparing, "judged_by", lambda *words: ("dr",))
    approved_by_eve(site, _shorter)
    assert site("diff", "both", "HEAD").code == 0


def test_an_approver_is_not_asked_for_what_is_none_of_his_sites(shop: Shop) -> None:
    site = nobodys(shop)
    _shorter(site)
    site.commit("shorter", author=MALLORY)
    said = site("approve", "both", "HEAD", "--by", EVE, *BY)
    assert (said.code, "site hq: nobody: the site has no 'approvals'" in said.err) == (64, True), said
    assert not (site.root / "policies" / "approvals").exists()


def test_what_is_of_both_is_approved_where_somebody_can(shop: Shop) -> None:
    """The site with approvers takes it over; the other one's person is asked in a terminal."""
    site = nobodys(shop)
    assert site("apply", "--yes", "--site", "dr", *T1).code == 0
    _rule_of_both(site)
    site.commit("no rule", author=MALLORY)
    said = site("approve", "both", "HEAD", "--by", EVE, *BY)
    assert (said.code, "The site hq names no approvers" in said.err) == (0, True), said
    site.commit("approved", author=EVE)
    assert site("diff", "both", "HEAD").code == 5
    dr, hq = (site("plan", "--site", name, *T1) for name in ("dr", "hq"))
    assert ("RCL3103" in dr.out + dr.err, "RCL3103" in hq.out + hq.err) == (False, True), (dr, hq)


def test_each_site_is_judged_by_its_own(shop: Shop) -> None:
    """Where both name approvers."""
    site = beside(divided_of(shop))
    _shorter(site)
    site.replace("spared.yaml", "[nobody]", "[nobody, two]")
    site.commit("shorter", author=MALLORY)
    said = site("approve", "both", "HEAD", "--by", ALICE, *BY)
    assert said.code == 64, said
    hashes = [word for word in site("diff", "both", "HEAD").out.split() if word.startswith("sha256:")]
    for number, name in enumerate(("hq", "dr"), start=1):
        site.write(f"policies/approvals/{name}.yaml", approval_of(hashes, name, number))
        site.commit("approved", author=EVE)
        said = site("diff", "both", "HEAD")
        assert said.code == 5, said.out
        assert ("1 change is not approved" in said.out) == (name == "dr"), said.out


# --- A group that moves ----------------------------------------------------------------------------------------


def _moved(site: Reviewed, *edits: tuple[str, str], author: str = MALLORY) -> None:
    for old, new in (("site: hq", "site: dr"), ("server: mabs-01", "server: mabs-02"), *edits):
        site.replace("gold.yaml", old, new)
    site.commit("to dr", author=author)


def both_asking(shop: Shop, *edits: tuple[str, str]) -> Reviewed:
    """Both sites are applied, and both name approvers."""
    path = shop.root / "policies" / "site.yaml"
    for old, new in edits:
        path.write_text(path.read_text().replace(old, new))
    site = beside(divided_of(shop))
    assert site("apply", "--yes", "--site", "dr", *T1).code == 0
    return site


_RENAMED = ("name: gold", "name: silver")
_FORMERLY = ("site: dr", "site: dr\n  renamedFrom: [gold]")
_SHORTER = ("retention: 5d", "retention: 3d")


@pytest.mark.parametrize("edits", [(), (_SHORTER,), (_RENAMED, _FORMERLY)], ids=["alone", "shorter", "renamed"])
def test_a_group_that_moves_to_another_site_is_stopped_by_the_yes_of_the_comparison(
    shop: Shop, edits: tuple[tuple[str, str], ...]
) -> None:
    site = both_asking(shop)
    _moved(site, *edits)
    shown = site("plan", "--site", "hq", *T1)
    assert "(the policy names another site)" in shown.out, shown
    assert "was removed" not in shown.out
    assert site("run", "--once", "--site", "hq", *T1).code == 5
    assert site.groups()["gold"] == ("P5D", 2)
    assert site("approve", "both", "HEAD", "--by", ALICE, *BY).code == 0
    site.commit("approved", author=ALICE)
    assert site("diff", "both", "HEAD").code == 0
    said = site("run", "--once", "--site", "hq", *T1)
    assert said.code == 0, said
    assert site.groups() == {}
    for name in ("hq", "dr"):
        later = site("run", "--once", "--site", name, "--now", "2026-03-10T13:00Z")
        assert (later.code, "RCL3035" in later.out + later.err) == (0, False), later
    assert site("status", "--check", "--site", "hq", "--now", "2026-03-10T13:00Z").code in (0, 9)


def test_who_approves_the_move_approves_no_removal(shop: Shop) -> None:
    """And the other way round."""
    site = both_asking(shop)
    _no_group(site)
    site.commit("no gold", author=MALLORY)
    assert site("approve", "both", "HEAD", "--by", ALICE, *BY).code == 0
    site.commit("approved", author=ALICE)
    site.git("checkout", "-q", "both", "--", "policies/gold.yaml")
    _moved(site)
    assert site("run", "--once", "--site", "hq", *T1).code == 5
    assert site.groups()["gold"] == ("P5D", 2)


def test_what_is_destroyed_by_a_move_is_told_so(shop: Shop) -> None:
    site = both_asking(shop, ("  shortTerm:", "  existingPoints: expireNow\n  shortTerm:"))
    _moved(site)
    said = site("diff", "both", "HEAD")
    assert said.out.count("destroys") >= 2, said.out
    assert "the old site makes no more points of this group; existing points: expireNow" in said.out
    assert site("approve", "both", "HEAD", "--by", ALICE, *BY).code == 0
    site.commit("approved", author=ALICE)
    assert site("run", "--once", "--site", "hq", *T1).code == 0
    assert site.groups() == {}


def test_approvals_of_another_site_are_no_news(shop: Shop) -> None:
    site = both_asking(shop)
    _shorter(site)
    site.commit("shorter", author=MALLORY)
    assert site("approve", "both", "HEAD", "--by", ALICE, *BY).code == 0
    site.commit("approved", author=ALICE)
    for words in (("run", "--once"), ("plan",), ("apply", "--yes")):
        said = site(*words, "--site", "dr", *T1)
        assert "RCL3035" not in said.out + said.err, said
    site.write("policies/approvals/eve.yaml", approval_of([f"sha256:{1:064x}"], "nowhere"))
    site.commit("approved", author=EVE)
    said = site("plan", "--site", "dr", *T1)
    assert "it is for the site nowhere, not for dr" in said.out + said.err, said
