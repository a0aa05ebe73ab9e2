"""Groups that go on under another name: which pairs are offered, with which line, and what is never concluded."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.errors import Severity
from reconciler.model import Verb
from reconciler.model.documents import GroupDocument
from reconciler.plan import compare
from reconciler.plan.renamed_groups import RENAMED, in_comparison
from tests.worlds import Game, by_name, by_tier, cluster, document, machine, policies

SEEN = cluster(*(machine(number, f"vm-{number}", "gold") for number in range(1, 5)))
FOUR = ("vm-1", "vm-2", "vm-3", "vm-4")


def offers(old: list[GroupDocument], new: list[GroupDocument], *, prune: bool = True) -> list[str]:
    """The remedies of what a comparison and a plan offer, which have to be one."""
    before, after = policies(old), policies(new)
    compared = in_comparison(compare(before, after), before, after)
    game = Game()
    game.apply(game.propose(before, SEEN))
    planned = [each for each in game.propose(after, SEEN, prune=prune).plan.findings if each.code == RENAMED]
    assert {each.remedy for each in planned} == {each.remedy for each in compared}
    assert all(each.severity is Severity.ADVICE for each in (*planned, *compared))
    return [each.remedy for each in compared]


def test_a_group_under_another_name_is_offered_with_the_line_to_write() -> None:
    for rules in (by_name(*FOUR), by_tier("gold")):
        (remedy,) = offers([document("gold", rules)], [document("platinum", rules)])
        assert "write `renamedFrom: [gold]` under the spec of platinum (policies/platinum.yaml:" in remedy
        assert len(offers([document("gold", rules)], [document("platinum", rules)], prune=False)) == 1


@pytest.mark.parametrize(("kept", "offered"), [(4, 1), (3, 1), (2, 1), (1, 0)])
def test_nearly_the_same_members_are_enough(kept: int, offered: int) -> None:
    new = document("platinum", by_name(*FOUR[:kept]))
    assert len(offers([document("gold", by_name(*FOUR))], [new])) == offered


def test_the_members_of_a_plan_count_however_their_rules_are_written() -> None:
    game = Game()
    game.apply(game.propose(policies([document("gold", by_name(*FOUR))]), SEEN))
    plan = game.propose(policies([document("platinum", by_tier("gold"))]), SEEN).plan
    assert [each.subject for each in plan.findings if each.code == RENAMED] == ["platinum"]


def test_a_slip_in_renamed_from_is_corrected_and_other_names_stay() -> None:
    old = document("gold-vms", by_tier("gold"))
    new = document("platinum", by_tier("gold"), renamed_from=("silver", "gold-vsm"))
    (remedy,) = offers([old], [new])
    assert "write `renamedFrom: [silver, gold-vms]` there" in remedy


def test_what_is_said_already_or_goes_on_is_not_offered() -> None:
    old = document("gold", by_tier("gold"))
    assert not offers([old], [document("platinum", by_tier("gold"), renamed_from=("gold",))])
    assert not offers([old], [])
    assert not offers([old], [replace(old, spec=replace(old.spec, display_name="Other"))])
    elsewhere = replace(old.spec, site="branch")
    assert not in_comparison((), policies([old]), policies([replace(old, spec=elsewhere)]))


def test_each_group_is_offered_once_to_the_one_that_shares_the_most() -> None:
    old = [document("a", by_name("vm-1", "vm-2")), document("b", by_name("vm-3", "vm-4"))]
    new = [document("c", by_name("vm-3", "vm-4")), document("d", by_name("vm-1"))]
    remedies = offers(old, new)
    assert len(remedies) == 2
    assert any("`renamedFrom: [b]` under the spec of c" in each for each in remedies)
    assert any("`renamedFrom: [a]` under the spec of d" in each for each in remedies)


def test_an_offer_changes_nothing_of_what_stopping_needs() -> None:
    game = Game()
    game.apply(game.propose(policies([document("gold", by_tier("gold"))]), SEEN))
    proposal = game.propose(policies([document("platinum", by_tier("gold"))]), SEEN)
    assert any(each.code == RENAMED for each in proposal.plan.findings)
    stops = [step.change for step in proposal.plan.steps if step.change.verb is Verb.STOP]
    assert [each.group for each in stops] == ["gold"]
    assert all(each.needs_consent for each in stops)
    assert not [step for step in proposal.permitted.steps if step.change.verb is Verb.STOP]
