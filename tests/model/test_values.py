"""Values: whatever our own memory and reports hold as JSON comes back as it was."""

from __future__ import annotations

import msgspec
from hypothesis import given

from reconciler.model import CatalogSnapshot, ClusterSnapshot, Plan
from reconciler.model.documents import PolicySet
from tests.worlds import Game, clusters, policy_sets


@given(policy_sets(), policy_sets(), clusters())
def test_plans_and_snapshots_survive_json(first: PolicySet, second: PolicySet, seen: ClusterSnapshot) -> None:
    game = Game()
    game.apply(game.propose(first, seen))
    plan = game.propose(second, seen).plan
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
    assert msgspec.json.decode(msgspec.json.encode(seen), type=ClusterSnapshot) == seen
    held = game.held()
    assert msgspec.json.decode(msgspec.json.encode(held), type=CatalogSnapshot) == held
