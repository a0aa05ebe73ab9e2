"""A policy folder that vanished, or lost half of its files: no group is stopped for it, in whatever shape it comes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import Change, Direction, FieldChange, Reason, Verb
from reconciler.plan import PlanInputs, desired_state
from reconciler.plan.checks.vanished_policies import too_many_policies_missing, without_removals
from reconciler.plan.difference.diff import diff
from tests.fakes import group
from tests.worlds import Game, by_name, cluster, document, machine, policies


def names(count: int) -> set[str]:
    return {f"g-{number}" for number in range(count)}


@pytest.mark.parametrize(
    ("owned", "left", "too_many"),
    [
        (0, 0, False),
        (1, 0, True),
        (1, 1, False),
        (2, 0, True),
        (4, 2, False),
        (4, 1, False),
        (4, 0, True),
        (5, 3, False),
        (5, 2, True),
        (6, 3, True),
        (6, 4, False),
        (100, 51, False),
        (100, 50, True),
    ],
)
def test_how_many_are_too_many(owned: int, left: int, too_many: bool) -> None:
    assert too_many_policies_missing(names(owned), names(left)) is too_many
    with_new_ones = too_many_policies_missing(names(owned), names(left) | {"new-1", "new-2"})
    assert with_new_ones is (too_many and owned >= 5)  # few groups may all be replaced by others


def test_the_site_says_from_how_many_groups_on_half_counts() -> None:
    assert not too_many_policies_missing(names(8), names(2), minimum_population=10)
    assert too_many_policies_missing(names(2), names(1), minimum_population=2)


def test_a_group_that_was_renamed_is_not_gone() -> None:
    assert not too_many_policies_missing(names(2), {"x", "y"}, formerly=names(2))
    assert not too_many_policies_missing(names(6), {"g-0", "g-1", "g-2", "x"}, formerly={"g-3"})


def stop(name: str, *approved: str) -> Change:
    fields = tuple(
        FieldChange("", name, None, Direction.WEAKENS, Reason.POLICY_REMOVED, approved_by=a) for a in approved
    )
    return Change("mabs-01", name, Verb.STOP, Reason.POLICY_REMOVED, Direction.WEAKENS, fields, group(name), None)


def test_what_is_approved_goes() -> None:
    changes = [stop("g-0", "yes"), stop("g-1", ""), stop("g-2", "yes", ""), stop("g-3")]
    kept, (finding,) = without_removals(changes, names(4), set())
    assert [each.group for each in kept] == ["g-0"]
    assert finding.code == "RCL3062"
    assert "4 of 4 groups" in finding.message
    assert "g-1, g-2, g-3" in finding.message
    approved = [stop(name, "yes") for name in sorted(names(4))]
    assert without_removals(approved, names(4), set()) == (tuple(approved), ())


def test_a_group_that_moves_to_another_server_is_stopped_where_it_was() -> None:
    moved = msgspec.structs.replace(stop("g-0", ""), reason=Reason.SERVER_CHANGED)
    kept, findings = without_removals([moved, stop("g-1", "")], names(6), {"g-0"})
    assert kept == (moved,)
    assert len(findings) == 1


@given(st.sets(st.sampled_from(sorted(names(9)))), st.sets(st.sampled_from(sorted(names(9)))), st.integers(1, 9))
def test_either_few_are_gone_or_none_is_stopped(owned: set[str], desired: set[str], least: int) -> None:
    gone = owned - desired
    changes = [stop(name, "") for name in sorted(gone)]
    kept, findings = without_removals(changes, owned, desired, minimum_population=least)
    if kept:
        assert kept == tuple(changes)
        assert not findings
        assert desired
        assert len(owned) < least or 2 * len(gone) < len(owned)
    assert bool(findings) == (bool(gone) and not kept)
    if too_many_policies_missing(owned, desired, minimum_population=least):
        for name in sorted(desired & owned):  # with one file fewer it is not believed either
            assert too_many_policies_missing(owned, desired - {name}, minimum_population=least)


# --- Every shape, through the steps of a plan ------------------------------------------------------------------------

SEEN = cluster(*(machine(number, f"vm-{number}") for number in range(6)))
DOCUMENTS = [document(f"g-{number}", by_name(f"vm-{number}")) for number in range(6)]


@pytest.mark.parametrize(
    ("count", "stopped"),
    [(0, 0), (1, 0), (2, 0), (3, 0), (4, 2), (5, 1), (6, 0)],
    ids=str,
)
@pytest.mark.parametrize("first", [lambda documents, n: documents[:n], lambda documents, n: documents[6 - n :]])
def test_files_that_are_gone(count: int, stopped: int, first: Callable[[list[object], int], list[object]]) -> None:
    game = Game()
    game.apply(game.propose(policies(DOCUMENTS), SEEN))
    situation: PlanInputs = game.situation(SEEN)
    desired = desired_state(policies(first(DOCUMENTS, count)), situation)  # type: ignore[arg-type]
    changes = diff(desired, situation).changes
    assert len(changes) == 6 - count
    owned = {entry.group for entry in situation.ledger}
    kept, findings = without_removals(changes, owned, {each.group.name for each in desired.groups})
    assert len(kept) == stopped
    assert [each.code for each in findings] == (["RCL3062"] if count <= 3 else [])
