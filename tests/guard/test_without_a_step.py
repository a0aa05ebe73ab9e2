"""What weakens in a group's document without any step: it waits, whole, and is not taken over unseen."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing

import pytest

from reconciler.cli.actions import apply
from reconciler.control.approving import site_guard
from reconciler.plan import pipeline
from reconciler.state import open_memory
from tests.shop import Shop
from tests.support.reviewed import ALICE, MALLORY, Reviewed

T2, T3, T4, T5 = (("--now", f"2026-03-10T{hour}:00Z") for hour in (13, 14, 15, 16))
LONG = """apiVersion: reconciler/v1
kind: Guardrail
metadata: {name: long}
spec:
  match: {kinds: [ProtectionGroup], labels: {tier: prod}}
  validations:
    - expression: object.spec.shortTerm.retention >= duration('96h')
      message: production keeps four days
"""
READS = (
    LONG.replace(", labels: {tier: prod}", "")
    .replace("expression: object", "expression: \"!('tier' in object.metadata.labels) || object")
    .replace("duration('96h')", "duration('96h')\"")
)


def labelled(shop: Shop, rule: str = LONG) -> Reviewed:
    shop.policy("{name: gold}", "{name: gold, labels: {tier: prod}}")
    wide(shop)
    return Reviewed(shop, files={"policies/rule.yaml": rule})


def wide(shop: Shop) -> None:
    shop.policy("[one, two]", "['o*', 't*']")


def label_off(site: Reviewed) -> None:
    site.edit(", labels: {tier: prod}", "")


def fewer_rules(site: Reviewed) -> None:
    """The same two virtual machines today, and none that is called so tomorrow."""
    site.edit("['o*', 't*']", "[one, two]")


def ignored(site: Reviewed) -> None:
    site.edit("  shortTerm", "  ignore: [{field: shortTerm.retention, reason: r}]\n  shortTerm")


WAYS: dict[str, Callable[[Reviewed], None]] = {
    "a label off": label_off,
    "rules that mean fewer": fewer_rules,
    "a field to ignore": ignored,
}


def document_of(site: Reviewed) -> dict[str, object]:
    """The group's document as it was last applied."""
    said = json.loads(site("catalog", "snapshot").out)
    (entry,) = said["ledger"]
    found: dict[str, object] = entry["document"]
    return found


@pytest.mark.parametrize("rule", [LONG, READS], ids=["matched by the label", "read by the rule"])
def test_a_label_taken_off_does_not_open_what_a_guardrail_denies(shop: Shop, rule: str) -> None:
    site = labelled(shop, rule)
    label_off(site)
    site.commit("tidy up", author=MALLORY)
    assert site("diff", "HEAD~1", "HEAD").code == 5
    said = site.tick(*T2)
    assert said.code == 5
    assert "RCL3103" in said.out + said.err
    site.edit("retention: 5d", "retention: 2d")
    site.commit("shorter", author=MALLORY)
    site.approved()
    for now in (T3, T4):
        assert site.tick(*now).code in (4, 5)
    assert site("apply", "--yes", *T5).code in (4, 5)
    assert site.groups() == {"gold": ("P5D", 2)}


def test_an_approved_label_and_an_approved_step_of_one_change_are_still_denied(shop: Shop) -> None:
    site = labelled(shop)
    label_off(site)
    site.edit("retention: 5d", "retention: 2d")
    site.commit("both", author=MALLORY)
    said = site.approve()
    assert said.code in (0, 4), said.err
    site.commit("approved", author=ALICE)
    assert site("plan", *T2).code == 4
    assert site.apply().code == 4
    assert site.groups() == {"gold": ("P5D", 2)}


@pytest.mark.parametrize("way", WAYS)
def test_what_makes_no_step_waits(shop: Shop, way: str) -> None:
    site = labelled(shop)
    before = document_of(site)
    WAYS[way](site)
    site.commit("tidy up", author=MALLORY)
    compared = site("diff", "HEAD~1", "HEAD", "--output", "json")
    assert compared.code == 5
    hashes = re.findall("sha256:[0-9a-f]{64}", compared.out)
    planned = site("plan", *T2)
    assert any(each in planned.out for each in hashes), planned.out
    assert site("plan", "--detailed-exitcode", *T2).code == 2
    assert site.tick(*T2).code == 5
    assert site("apply", "--yes", *T3).code == 5
    assert document_of(site) == before
    site.approved()
    assert site("apply", "--yes", *T4).code == 0
    after = document_of(site)
    assert after != before
    assert site.tick(*T5).code == 0
    site.git("revert", "--no-edit", "HEAD~1")
    assert site("apply", "--yes", *T5).code == 0
    WAYS[way](site)
    site.commit("once more", author=MALLORY)
    assert site("apply", "--yes", *T5).code == 5, "an approval counts once"


def test_the_older_rules_go_on_choosing(shop: Shop) -> None:
    wide(shop)
    site = Reviewed(shop)
    fewer_rules(site)
    site.commit("tidy up", author=MALLORY)
    assert site.tick(*T2).code == 5
    shop.cluster.add(3, "three")
    site.tick(*T3)
    assert site.groups() == {"gold": ("P5D", 3)}


def test_where_nobody_approves_a_person_in_a_terminal_does(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    wide(shop)
    site = Reviewed(shop, "prune: true")
    before = document_of(site)
    fewer_rules(site)
    site.commit("tidy up", author=MALLORY)
    assert site.tick(*T2).code == 5
    assert site("apply", "--yes", *T2).code == 5
    assert document_of(site) == before
    asked: list[str] = []
    monkeypatch.setattr(apply, "is_interactive", lambda: True)

    def yes(question: str) -> bool:
        asked.append(question)
        return True

    monkeypatch.setattr(apply, "ask", yes)
    assert site("apply", *T3).code == 0
    assert len(asked) == 1
    assert document_of(site) != before
    assert site.tick(*T4).code == 0


@pytest.mark.parametrize("way", WAYS)
def test_without_the_door_it_is_taken_over_unseen(shop: Shop, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `unagreed.unstepped`."""
    monkeypatch.setattr(pipeline, "unstepped", lambda *words: ())
    site = labelled(shop)
    before = document_of(site)
    WAYS[way](site)
    site.commit("tidy up", author=MALLORY)
    assert site.tick(*T2).code == 0
    assert document_of(site) != before


def test_a_move_beside_something_that_waits_waits_with_it(shop: Shop) -> None:
    site = labelled(shop)
    site.edit(", labels: {tier: prod}", "")
    site.edit("['o*', 't*']", "[one]")
    group = (site.root / "policies" / "site.yaml").read_text().partition("---\n")[2]
    other = group.replace("name: gold", "name: silver").replace("[one]", "[two]")
    site.write("policies/silver.yaml", other)
    site.commit("moved", author=MALLORY)
    said = site.tick(*T2)
    assert said.code == 5
    assert "waits too" in said.out + said.err
    assert site.groups() == {"gold": ("P5D", 2)}


# --- Exclusions ------------------------------------------------------------------------------------------------

SPARED = """apiVersion: reconciler/v1
kind: Exclusion
metadata: {name: spared}
spec:
  site: hq
  virtualMachines: {cluster: hci-01, names: [%s]}
  reason: no room
  owner: x@corp.example
  until: %s
"""
NONE_YET = ("--now", "2026-03-10T17:00Z")


def standing_of(site: Reviewed, name: str) -> str:
    said = json.loads(site("coverage", "--output", "json", *NONE_YET).out)
    return next(str(row["standing"]) for row in said["machines"] if row["name"] == name)


def excluded(site: Reviewed) -> None:
    site.write("policies/spared.yaml", SPARED % ("three", "2026-12-31"))


def test_an_exclusion_waits(shop: Shop) -> None:
    site = Reviewed(shop)
    shop.cluster.add(3, "three")
    excluded(site)
    site.commit("no room", author=MALLORY)
    assert site("diff", "HEAD~1", "HEAD").code == 5
    assert "Exclusion spared" in site("plan", *T2).out
    assert site.tick(*T2).code == 5
    assert site("apply", "--yes", *T2).code == 5
    assert standing_of(site, "three") != "excluded"
    site.approved()
    assert site.tick(*T3).code == 0
    assert standing_of(site, "three") == "excluded"


@pytest.mark.parametrize("change", [("three", "2028-12-31"), ("three, four", "2026-12-31")])
def test_an_exclusion_that_means_more_waits_and_the_older_one_counts(shop: Shop, change: tuple[str, str]) -> None:
    site = Reviewed(shop, files={"policies/spared.yaml": SPARED % ("three", "2026-12-31")})
    for number, name in ((3, "three"), (4, "four")):
        shop.cluster.add(number, name)
    site.write("policies/spared.yaml", SPARED % change)
    site.commit("no room", author=MALLORY)
    assert site("diff", "HEAD~1", "HEAD").code == 5
    assert site.tick(*T2).code == 5
    assert (standing_of(site, "three"), standing_of(site, "four")) == ("excluded", "unprotected")
    (site.root / "policies" / "spared.yaml").unlink()
    site.commit("room", author=MALLORY)
    assert site.tick(*T3).code == 0, "what goes counts at once"
    assert standing_of(site, "three") == "unprotected"


def test_an_exclusion_that_waits_does_not_keep_a_group_from_what_it_left(shop: Shop) -> None:
    site = Reviewed(shop, files={"policies/spared.yaml": SPARED % ("three", "2026-12-31")})
    for number, name in ((3, "three"), (4, "four")):
        shop.cluster.add(number, name)
    site.write("policies/spared.yaml", SPARED % ("four", "2026-12-31"))
    site.edit("[one, two]", "[one, two, three]")
    site.commit("the other one", author=MALLORY)
    assert site.tick(*T2).code == 5
    assert site.groups() == {"gold": ("P5D", 3)}


def test_a_state_that_knows_no_exclusions_begins_with_those_that_are_there(shop: Shop) -> None:
    site = Reviewed(shop, files={"policies/spared.yaml": SPARED % ("three", "2026-12-31")})
    with closing(open_memory(site.root / "var" / "hq.db")) as memory:
        told = memory.ledger.site_document()
        assert told is not None
        memory.ledger.record_site({key: each for key, each in told.items() if key != "exclusions"})
    assert site.tick(*T2).code == 0
    with closing(open_memory(site.root / "var" / "hq.db")) as memory:
        told = memory.ledger.site_document()
    assert told is not None
    assert [each["metadata"]["name"] for each in told["exclusions"]] == ["spared"]


def test_without_the_settled_exclusions_one_counts_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `settled.exclusions_now`."""
    monkeypatch.setattr(site_guard, "exclusions_now", lambda guard, policies, site: policies.exclusions)
    site = Reviewed(shop)
    shop.cluster.add(3, "three")
    excluded(site)
    site.commit("no room", author=MALLORY)
    site.tick(*T2)
    assert standing_of(site, "three") == "excluded"


def test_a_removal_that_goes_on_as_it_is_waits_for_somebody_else(shop: Shop) -> None:
    """Nothing stops the group (prune: false); its remover agrees to nothing once something would."""
    shop.policy("[one, two]", "[one]")
    path = shop.root / "policies" / "site.yaml"
    first, _, group = path.read_text().partition("---\n")
    path.write_text(first)
    shop.root.joinpath("policies", "gold.yaml").write_text(group)
    shop.root.joinpath("policies", "silver.yaml").write_text(group.replace("gold", "silver").replace("[one]", "[two]"))
    site = Reviewed(shop, f"prune: false\n  approvals: {{approvers: [{ALICE}, {MALLORY}]}}")
    site.git("rm", "-q", "policies/gold.yaml")
    site.commit("gone", author=MALLORY)
    told = site.tick()
    assert told.code == 5
    assert "its document was removed without approval; the group stays as it is" in told.out
    site.approved("HEAD~1", "HEAD", by=MALLORY)
    assert site.tick().code == 5
    site.approved("HEAD~2", "HEAD", by=ALICE)
    assert site.tick().code == 0
    assert set(site.groups()) == {"gold", "silver"}
