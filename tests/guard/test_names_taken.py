"""Ways past the guard by an approval of what is done to one group, and another group that takes its name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from reconciler.model import comparison
from tests.shop import Shop
from tests.support.reviewed import ALICE, BY, MALLORY, T1, Reviewed, divided_of

T2 = ("--now", "2026-03-10T13:00Z")
RENAMES = ("renamed together with the change", "renamed before")


@pytest.fixture
def site(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Reviewed:
    """Two groups: gold of machine one, which is production, and silver of machine two, for tests."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    shop.policy("[one, two]", "[one]")
    path = shop.root / "policies" / "site.yaml"
    first, _, group = path.read_text().partition("---\n")
    path.write_text(first)
    (shop.root / "policies" / "gold.yaml").write_text(group)
    (shop.root / "policies" / "silver.yaml").write_text(group.replace("gold", "silver").replace("[one]", "[two]"))
    site = Reviewed(shop)
    site.git("tag", "base")
    assert site.groups() == {"gold": ("P5D", 1), "silver": ("P5D", 1)}
    return site


def _approval(site: Reviewed, how: str) -> dict[str, str]:
    """Alice approves less for the tests, on a branch that is never merged; her documents."""
    site.git("checkout", "-qb", "tests")
    site.replace("silver.yaml", "retention: 5d", "retention: 2d")
    site.commit("shorter for tests", author=MALLORY)
    if how == "a plan":
        plan = site.root / "plan.json"
        assert site("plan", "--out", str(plan), *T1).code in (0, 2)
        said = site("approve", "--plan", str(plan), "--by", ALICE, *BY)
    else:
        said = site.approve("HEAD~1", "HEAD")
    assert said.code == 0, said.err
    folder = site.root / "policies" / "approvals"
    texts = {path.name: path.read_text() for path in folder.glob("*.yaml")}
    site.git("add", "-A", "policies")
    site.git("stash")
    site.git("checkout", "-q", "main")
    return texts


def _rename(site: Reviewed, file: str, old: str, new: str) -> None:
    site.replace(file, f"name: {old}", f"name: {new}")
    site.replace(file, "  site: hq", f"  renamedFrom: [{old}]\n  site: hq")


def _take_the_name(site: Reviewed, texts: dict[str, str], when: str) -> None:
    """Production is called silver, and gets what was approved for the tests."""
    _rename(site, "silver.yaml", "silver", "tests")
    site.commit("a better name", author=MALLORY)
    assert site("run", "--once", *T1).code == 0
    site.replace("silver.yaml", "  renamedFrom: [silver]\n", "")
    _rename(site, "gold.yaml", "gold", "silver")
    if when == "renamed before":
        site.commit("a better name, too", author=MALLORY)
        assert site("run", "--once", *T1).code == 0
    site.git("tag", "before")
    site.replace("gold.yaml", "retention: 5d", "retention: 2d")
    site.commit("tidy", author=MALLORY)
    for name, text in texts.items():
        site.write(str(Path("policies") / "approvals" / name), text)
    site.commit("approved", author=ALICE)


@pytest.mark.parametrize("when", RENAMES)
@pytest.mark.parametrize("how", ["a change", "a plan"])
def test_an_approval_is_of_the_group_not_of_its_name(site: Reviewed, how: str, when: str) -> None:
    _take_the_name(site, _approval(site, how), when)
    assert site("diff", "before", "HEAD").code == 5
    for words in (("run", "--once"), ("apply", "--yes")):
        assert site(*words, *T2).code == 5, words
    assert "P2D" not in {retention for retention, _ in site.groups().values()}


@pytest.mark.parametrize("how", ["a change", "a plan"])
def test_without_what_tells_the_group_it_serves_the_other_one(
    site: Reviewed, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The defence: what a hash is `of`."""
    real = comparison.change_hash

    def by_name(*words: Any) -> str:
        return real(*words[:6])

    for module in ("review.compare", "approval.change_hashes"):
        monkeypatch.setattr(sys.modules[f"reconciler.plan.{module}"], "change_hash", by_name)
    _take_the_name(site, _approval(site, how), "renamed before")
    site("run", "--once", *T2)
    assert "P2D" in {retention for retention, _ in site.groups().values()}


def test_what_was_approved_counts_for_the_group_itself(site: Reviewed) -> None:
    """Other fields of it may have changed since."""
    texts = _approval(site, "a change")
    site.replace("silver.yaml", "synchronization: 1h", "synchronization: 30min")
    site.commit("oftener", author=MALLORY)
    site.replace("silver.yaml", "retention: 5d", "retention: 2d")
    site.commit("shorter for tests", author=MALLORY)
    for name, text in texts.items():
        site.write(str(Path("policies") / "approvals" / name), text)
    site.commit("approved", author=ALICE)
    assert site("diff", "HEAD~2", "HEAD").code == 0
    assert site("run", "--once", *T2).code == 0
    assert site.groups()["silver"] == ("P2D", 1)


RULE = """apiVersion: reconciler/v1
kind: Guardrail
metadata: {name: NAME}
spec:
  match: {kinds: [ProtectionGroup], names: [GROUP]}
  validations: [{expression: "object.spec.shortTerm.retention >= duration('24h')"}]
"""


def test_nor_of_the_name_of_a_guardrail(site: Reviewed) -> None:
    """What was approved for the rule of the tests is not approved for that of production, which takes its name."""
    for name, group in (("tests-rule", "silver"), ("prod-rule", "gold")):
        site.write(f"policies/{name}.yaml", RULE.replace("NAME", name).replace("GROUP", group))
    site.commit("rules")
    assert site("apply", "--yes", *T1).code == 0
    site.git("checkout", "-qb", "tests")
    site.replace("tests-rule.yaml", "spec:\n", "spec:\n  enforce: warn\n")
    site.commit("warn for tests", author=MALLORY)
    site.approved()
    approval = site.git("rev-parse", "HEAD")
    site.git("checkout", "-q", "main")
    site.replace("tests-rule.yaml", "name: tests-rule", "name: t-rule")
    site.replace("prod-rule.yaml", "name: prod-rule", "name: tests-rule")
    site.commit("better names", author=MALLORY)
    site("run", "--once", *T1)
    site.git("tag", "before")
    site.replace("prod-rule.yaml", "spec:\n", "spec:\n  enforce: warn\n")
    site.commit("tidy", author=MALLORY)
    site.git("-c", f"user.email={ALICE}", "cherry-pick", approval)
    assert site("diff", "before", "HEAD").code == 5
    assert site("run", "--once", *T2).code == 5


# --- Members that go along ---------------------------------------------------------------------------------------


def _narrowed(shop: Shop) -> Reviewed:
    """One machine less is approved, and another one loses the name by which it is a member."""
    site = divided_of(shop)
    site.replace("gold.yaml", "names: [one, two]", 'names: ["one*", "two*"]')
    site.commit("patterns")
    assert site("run", "--once", *T1).code == 0
    site.git("tag", "before")
    site.replace("gold.yaml", 'names: ["one*", "two*"]', 'names: ["one*"]')
    site.commit("no tests", author=MALLORY)
    site.approved("before", "HEAD")
    stated = shop.cluster.disk(1).with_name("vm.json")
    stated.write_text(stated.read_text().replace('"name": "one"', '"name": "x-one"'))
    return site


def test_what_was_approved_takes_no_other_machine_along(shop: Shop) -> None:
    site = _narrowed(shop)
    assert site("run", "--once", *T2).code == 5
    assert site.groups()["gold"] == ("P5D", 1)
    assert "x-one" in site("plan", *T2).out


def test_without_the_former_rules_it_does(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `former.still_meant`, by which the difference tells why each machine leaves."""
    diff = sys.modules["reconciler.plan.difference.diff"]
    monkeypatch.setattr(diff, "still_meant", lambda entry, selectors, clusters: lambda source: True)
    site = _narrowed(shop)
    site("run", "--once", *T2)
    assert site.groups().get("gold", ("", 0))[1] == 0
