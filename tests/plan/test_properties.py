"""The invariants of a plan, held against a server in memory."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import (
    ClusterSnapshot,
    CreateGroup,
    DataSource,
    ProtectionGroup,
    StopProtection,
    UpdateGroup,
)
from reconciler.model.documents import PolicySet
from reconciler.plan import Proposal
from reconciler.protocols import Fence
from tests.fakes import group
from tests.worlds import Game, backwards, clusters, policy_sets

_fields = st.sampled_from([frozenset[str](), frozenset({"existingPoints"}), frozenset({"members.volume"})])


@given(policy_sets(), clusters(), _fields)
def test_after_apply_the_plan_is_empty(wanted: PolicySet, seen: ClusterSnapshot, lost: frozenset[str]) -> None:
    game = Game(lost)
    game.apply(game.propose(wanted, seen))
    assert game.propose(wanted, seen).plan.steps == ()


@given(policy_sets(), policy_sets(), clusters(), clusters())
def test_from_any_state_one_apply_reaches_the_policies(
    first: PolicySet, second: PolicySet, seen: ClusterSnapshot, later: ClusterSnapshot
) -> None:
    game = Game()
    game.apply(game.propose(first, seen))
    proposal = game.propose(second, later)
    game.apply(proposal)
    if proposal.desired.incomplete or _shrank(proposal):
        return  # what it knows of the cluster has grown: it may be believed now; or groups were not stopped
    assert game.propose(second, later).plan.steps == ()
    applied = {each.group.name for each in game.held().groups}
    assert applied == {placed.document.metadata.name for placed in second.groups}


@given(policy_sets(), policy_sets(), clusters())
def test_the_order_of_documents_and_machines_never_changes_a_plan(
    first: PolicySet, second: PolicySet, seen: ClusterSnapshot
) -> None:
    game = Game()
    game.apply(game.propose(first, seen))
    turned = msgspec.structs.replace(seen, machines=seen.machines[::-1])
    game_ledger = dict(reversed(list(game.ledger.items())))
    plan = game.propose(second, seen).plan
    game.ledger = game_ledger
    assert game.propose(backwards(second), turned).plan == plan


@given(policy_sets(), clusters())
def test_a_group_outside_the_ledger_is_never_touched(wanted: PolicySet, seen: ClusterSnapshot) -> None:
    game = Game()
    names = [placed.document.metadata.name for placed in wanted.groups]
    foreign = group(names[0] if names else "theirs", DataSource("other", "x"))
    game.engine.apply(CreateGroup("mabs-01", foreign), Fence(1))
    proposal = game.propose(wanted, seen)
    assert all(step.change.group != foreign.name for step in proposal.plan.steps)
    assert not names or "RCL3008" in {finding.code for finding in proposal.plan.findings}
    game.apply(proposal)
    assert foreign in [each.group for each in game.held().groups]


@given(policy_sets(), policy_sets(), clusters(), clusters())
def test_what_is_done_without_consent_weakens_nothing(
    first: PolicySet, second: PolicySet, seen: ClusterSnapshot, later: ClusterSnapshot
) -> None:
    game = Game()
    game.apply(game.propose(first, seen))
    before = {each.group.name: each.group for each in game.held().groups}
    proposal = game.propose(second, later)
    mild = proposal.permitted
    assert not mild.weakening
    game.apply(proposal, mild)
    after = {each.group.name: each.group for each in game.held().groups}
    assert set(before) <= set(after)
    for name, was in before.items():
        _not_weaker(was, after[name])
    again = game.propose(second, later)
    game.apply(again)
    if not proposal.desired.incomplete and not again.desired.incomplete and not _shrank(again):
        assert game.propose(second, later).plan.steps == ()


def _shrank(proposal: Proposal) -> bool:
    """Whether policies that seem lost kept groups from being stopped."""
    return "RCL3062" in {finding.code for finding in proposal.plan.findings}


def _not_weaker(was: ProtectionGroup, now: ProtectionGroup) -> None:
    assert was.sources <= now.sources
    assert was.short_term.retention <= now.short_term.retention
    assert was.short_term.minimum_points <= now.short_term.minimum_points
    assert (was.short_term.synchronization or now.short_term.rpo) >= (
        now.short_term.synchronization or was.short_term.rpo
    )


@given(policy_sets(), clusters())
def test_a_cluster_that_is_not_there_removes_nobody(wanted: PolicySet, seen: ClusterSnapshot) -> None:
    game = Game()
    game.apply(game.propose(wanted, seen))
    nobody = msgspec.structs.replace(seen, machines=())
    for step in game.propose(wanted, nobody).plan.steps:
        assert not isinstance(step.action, StopProtection)
        if isinstance(step.action, UpdateGroup):
            assert step.action.before.sources <= step.action.after.sources


@given(policy_sets(), clusters())
def test_without_prune_nothing_is_stopped(wanted: PolicySet, seen: ClusterSnapshot) -> None:
    game = Game()
    game.apply(game.propose(wanted, seen))
    proposal = game.propose(PolicySet((), (), ()), seen, prune=False)
    assert proposal.plan.steps == ()
    codes = [finding.code for finding in proposal.plan.findings]
    assert codes.count("RCL3009") == len(game.ledger)


@given(policy_sets(), policy_sets(), clusters())
def test_the_hash_covers_the_steps_alone(first: PolicySet, second: PolicySet, seen: ClusterSnapshot) -> None:
    game = Game()
    one, other = game.propose(first, seen).plan, game.propose(second, seen).plan
    same = [step.action for step in one.steps] == [step.action for step in other.steps]
    assert (one.plan_hash == other.plan_hash) == same
