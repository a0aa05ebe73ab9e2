"""Plans by example: what a person would say to each."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from reconciler.model import (
    DataSource,
    Direction,
    Duration,
    ExistingPoints,
    Level,
    Reason,
    UpdateGroup,
    Verb,
    VirtualMachine,
)
from reconciler.model.documents import (
    ExclusionDocument,
    ExclusionSpec,
    GroupDocument,
    MachineSelector,
    Metadata,
    ProtectedParts,
    ShortTermPolicy,
    Times,
)
from reconciler.model.groups import Weekday
from reconciler.model.units import ClockTime
from reconciler.plan import CoverageInputs, CoverageState, coverage, desired_state
from reconciler.protocols import Fence
from tests.fakes import machine_id
from tests.worlds import NOW, Game, by_name, by_tier, cluster, document, machine, policies

A, B, C = (machine(number, f"vm-{letter}", "gold") for number, letter in enumerate("abc", start=1))


def excluded(name: str, until: date = date(2099, 1, 1)) -> ExclusionDocument:
    spec = ExclusionSpec("hq", MachineSelector("hci-01", names=(name,)), "why", "who", until)
    return ExclusionDocument("reconciler/v1", "Exclusion", Metadata("scratch"), spec)


def term(retention: str = "5d", synchronization: str = "1h", **more: object) -> ShortTermPolicy:
    return ShortTermPolicy(Duration.parse(retention), synchronization, **more)  # type: ignore[arg-type]


def codes(game: Game, *groups: GroupDocument, exclusions: tuple[ExclusionDocument, ...] = ()) -> list[str]:
    seen = cluster(A, B, C)
    found = game.propose(policies(groups, exclusions), seen).plan.findings
    return [each.code for each in found if each.code not in ("RCL2107", "RCL3028")]


def test_a_new_machine_that_matches_becomes_a_member() -> None:
    game, wanted = Game(), policies([document("gold", by_tier("gold"))])
    game.apply(game.propose(wanted, cluster(A, B)))
    (step,) = game.propose(wanted, cluster(A, B, C)).plan.steps
    assert (step.change.verb, step.change.direction, step.change.reason) == (
        Verb.UPDATE,
        Direction.STRENGTHENS,
        Reason.MACHINES_CHANGED,
    )


def test_a_rule_that_changed_is_told_from_machines_that_changed() -> None:
    game = Game()
    game.apply(game.propose(policies([document("gold", by_name("vm-a"))]), cluster(A, B)))
    (step,) = game.propose(policies([document("gold", by_name("vm-a", "vm-b"))]), cluster(A, B)).plan.steps
    assert step.change.reason is Reason.POLICY_CHANGED


def test_a_vanished_machine_stays_until_the_rule_no_longer_means_it() -> None:
    game, wanted = Game(), policies([document("gold", by_tier("gold"))])
    game.apply(game.propose(wanted, cluster(A, B, C)))
    proposal = game.propose(wanted, cluster(A, B))
    assert proposal.plan.steps == ()
    assert "RCL3002" in {finding.code for finding in proposal.plan.findings}
    (step,) = game.propose(policies([document("gold", by_name("vm-a", "vm-b"))]), cluster(A, B)).plan.steps
    assert step.change.direction is Direction.WEAKENS


@pytest.mark.parametrize("shown", [(), (A,)])
def test_from_a_cluster_that_shows_too_little_nobody_is_removed(shown: tuple[VirtualMachine, ...]) -> None:
    game = Game()
    game.apply(game.propose(policies([document("gold", by_name("vm-a", "vm-b", "vm-c"))]), cluster(A, B, C)))
    narrower = policies([document("gold", by_name("vm-a"))])
    assert game.propose(narrower, cluster(*shown)).plan.steps == ()
    assert game.propose(policies([]), cluster(*shown)).plan.steps == ()
    (step,) = game.propose(narrower, cluster(A, B)).plan.steps
    assert step.change.direction is Direction.WEAKENS


def test_another_machine_under_an_old_name_is_another_machine() -> None:
    game, wanted = Game(), policies([document("gold", by_tier("gold"))])
    game.apply(game.propose(wanted, cluster(A, B)))
    twin = msgspec.structs.replace(B, id=machine_id(9))
    proposal = game.propose(wanted, cluster(A, twin))
    assert "RCL3005" in {finding.code for finding in proposal.plan.findings}
    (step,) = proposal.plan.steps
    assert step.change.after is not None
    assert len(step.change.after.members) == 3


def test_excluded_and_protected_names_both_lines() -> None:
    game = Game()
    wanted = policies([document("gold", by_tier("gold"))], [excluded("vm-b")])
    (finding,) = [f for f in game.propose(wanted, cluster(A, B)).plan.findings if f.code == "RCL3003"]
    assert finding.location is not None
    assert {finding.location.file, finding.also[0].file} == {"policies/gold.yaml", "policies/scratch.yaml"}


def test_an_exclusion_that_ended_counts_no_more() -> None:
    over = excluded("vm-b", date(2026, 3, 9))
    assert codes(Game(), document("gold", by_tier("gold")), exclusions=(over,)) == ["RCL1030"]
    assert codes(Game(), document("gold", by_name("vm-a")), exclusions=(excluded("vm-b", date(2026, 3, 10)),)) == []


def test_one_machine_in_two_groups_names_both_lines() -> None:
    game = Game()
    wanted = policies([document("gold", by_tier("gold")), document("silver", by_name("VM-A"))])
    (finding,) = [f for f in game.propose(wanted, cluster(A)).plan.findings if f.code == "RCL3004"]
    assert finding.location is not None
    assert {finding.location.file, finding.also[0].file} == {"policies/gold.yaml", "policies/silver.yaml"}


def test_a_rename_keeps_what_there_is() -> None:
    game = Game()
    game.apply(game.propose(policies([document("gold", by_tier("gold"))]), cluster(A)))
    proposal = game.propose(policies([document("platinum", by_tier("gold"), renamed_from=("gold",))]), cluster(A))
    (step,) = proposal.plan.steps
    assert (step.change.verb, step.change.direction) == (Verb.RENAME, Direction.NEUTRAL)
    game.apply(proposal)
    assert [each.group.name for each in game.held().groups] == ["platinum"]


def test_a_new_name_without_renamed_from_is_a_new_group() -> None:
    game = Game()
    game.apply(game.propose(policies([document("gold", by_tier("gold"))]), cluster(A)))
    proposal = game.propose(policies([document("platinum", by_tier("gold"))]), cluster(A))
    assert [step.change.verb for step in proposal.plan.steps] == [Verb.STOP, Verb.CREATE]


def test_a_machine_that_moves_between_groups_is_let_go_first() -> None:
    game = Game()
    game.apply(
        game.propose(
            policies([document("a", by_name("vm-a", "vm-b")), document("b", by_name("vm-c"))]), cluster(A, B, C)
        )
    )
    proposal = game.propose(
        policies([document("a", by_name("vm-a")), document("b", by_name("vm-b", "vm-c"))]), cluster(A, B, C)
    )
    assert [step.change.group for step in proposal.plan.steps] == ["a", "b"]
    assert proposal.permitted.steps == ()
    game.apply(proposal)


def test_groups_that_swap_machines_do() -> None:
    game = Game()
    game.apply(game.propose(policies([document("a", by_name("vm-a")), document("b", by_name("vm-b"))]), cluster(A, B)))
    wanted = policies([document("a", by_name("vm-b")), document("b", by_name("vm-a"))])
    game.apply(game.propose(wanted, cluster(A, B)))
    assert game.propose(wanted, cluster(A, B)).plan.steps == ()


def test_drift_says_that_it_came_from_outside() -> None:
    game, wanted = Game(), policies([document("gold", by_tier("gold"))])
    game.apply(game.propose(wanted, cluster(A)))
    entry = game.ledger["gold"]
    shorter = msgspec.structs.replace(entry.applied.short_term, retention=timedelta(days=2))
    outside = msgspec.structs.replace(entry.applied, short_term=shorter)
    game.engine.apply(UpdateGroup("mabs-01", entry.ref, entry.applied, outside), Fence(1))
    (step,) = game.propose(wanted, cluster(A)).plan.steps
    assert (step.change.reason, step.change.direction) == (Reason.CHANGED_OUTSIDE, Direction.STRENGTHENS)


def test_a_group_that_was_deleted_on_the_server_is_made_again() -> None:
    game, wanted = Game(), policies([document("gold", by_tier("gold"))])
    game.apply(game.propose(wanted, cluster(A)))
    game.server.groups.clear()
    (step,) = game.propose(wanted, cluster(A)).plan.steps
    assert (step.change.verb, step.change.reason) == (Verb.CREATE, Reason.CHANGED_OUTSIDE)


UP, DOWN = Direction.STRENGTHENS, Direction.WEAKENS
FOREVER = ExistingPoints.KEEP_FOREVER
_FULL = Times((ClockTime.parse("22:00"),), (Weekday.SATURDAY,))
_FULLS = Times((ClockTime.parse("22:00"),), (Weekday.SATURDAY, Weekday.SUNDAY))


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [
        ({"short_term": term("5d")}, {"short_term": term("14d")}, UP),
        ({"short_term": term("14d")}, {"short_term": term("5d")}, DOWN),
        (
            {"short_term": term(synchronization="4h", rpo=Duration.parse("9h"))},
            {"short_term": term(synchronization="1h", rpo=Duration.parse("9h"))},
            UP,
        ),
        ({"short_term": term(rpo=Duration.parse("2h"))}, {"short_term": term(rpo=Duration.parse("3h"))}, DOWN),
        ({"short_term": term(minimum_points=5)}, {"short_term": term(minimum_points=4)}, DOWN),
        ({"short_term": term()}, {"short_term": term(express_full=_FULL)}, UP),
        ({"short_term": term(express_full=_FULLS)}, {"short_term": term(express_full=_FULL)}, DOWN),
        ({"display_name": "Gold"}, {"display_name": "Silver"}, Direction.NEUTRAL),
        ({"existing_points": ExistingPoints.RETAIN}, {"existing_points": FOREVER}, UP),
        ({"existing_points": FOREVER}, {"existing_points": ExistingPoints.RETAIN}, DOWN),
    ],
)
def test_directions(before: dict[str, object], after: dict[str, object], direction: Direction) -> None:
    game = Game()
    game.apply(game.propose(policies([document("gold", by_tier("gold"), **before)]), cluster(A)))
    (step,) = game.propose(policies([document("gold", by_tier("gold"), **after)]), cluster(A)).plan.steps
    assert step.change.direction is direction
    assert all(field.location is not None for field in step.change.fields)


def test_the_strengthening_half_of_a_change_needs_no_consent() -> None:
    game = Game()
    game.apply(game.propose(policies([document("gold", by_name("vm-a"), short_term=term("5d"))]), cluster(A, B)))
    wanted = policies([document("gold", by_name("vm-a", "vm-b"), short_term=term("2d"))])
    proposal = game.propose(wanted, cluster(A, B))
    mild = proposal.permitted
    game.apply(proposal, mild)
    (held,) = game.held().groups
    assert len(held.group.members) == 2
    assert held.group.short_term.retention == timedelta(days=5)


def test_every_machine_stands_in_exactly_one_place() -> None:
    game = Game()
    iron = machine(7, "vm-z")
    wanted = policies([document("gold", by_name("vm-a"))], [excluded("vm-b")])
    seen = cluster(A, B, C, iron)
    proposal = game.propose(wanted, seen)
    rows = coverage(
        CoverageInputs(datetime(2026, 3, 10, tzinfo=UTC), {"hci-01": seen}, {"mabs-01": game.held()}, proposal.desired)
    )
    assert {row.name: row.standing for row in rows} == {
        "vm-a": CoverageState.PENDING,
        "vm-b": CoverageState.EXCLUDED,
        "vm-c": CoverageState.UNPROTECTED,
        "vm-z": CoverageState.UNPROTECTED,
    }
    assert next(row for row in rows if row.name == "vm-a").why == "not applied yet"
    assert all(row.source == DataSource("hci-01", row.source.machine) for row in rows)


# --- Levels ----------------------------------------------------------------------------------------------------


def test_both_levels_of_one_machine_are_different_data() -> None:
    seen = cluster(machine(1, "one"), machine(2, "two"))
    inside = msgspec.structs.replace(by_name("one"), level="guest", protect=ProtectedParts(volumes=("E:", "D:")))
    wanted = policies([document("hosts", by_name("one")), document("guests", inside)])
    desired = desired_state(wanted, Game().situation(seen))
    assert not desired.findings
    sources = {each.group.name: [member.source for member in each.group.members] for each in desired.groups}
    assert [(source.level, source.protect) for source in sources["guests"]] == [(Level.GUEST, "volumes=D:,E:")]
    rows = {row.name: row for row in coverage(CoverageInputs(NOW, {"hci-01": seen}, {}, desired, asked=False))}
    assert rows["one"].standing is CoverageState.PENDING
    assert rows["one"].levels == (Level.GUEST, Level.HOST)
    assert rows["two"].standing is CoverageState.UNPROTECTED
    twice = policies([document("a", inside), document("b", inside)])
    assert [finding.code for finding in desired_state(twice, Game().situation(seen)).findings] == ["RCL3004"]


def test_a_guest_that_is_gone_stays_a_member() -> None:
    inside = msgspec.structs.replace(by_name("*"), level="guest", protect=ProtectedParts(volumes=("E:",)))
    game = Game()
    both = cluster(machine(1, "one"), machine(2, "two"), machine(3, "three"))
    game.apply(game.propose(policies([document("g", inside)]), both))
    fewer = game.propose(policies([document("g", inside)]), cluster(machine(1, "one"), machine(2, "two")))
    assert not fewer.plan.steps
    assert "RCL3002" in {finding.code for finding in fewer.plan.findings}


def test_from_a_cluster_that_cannot_be_believed_no_machine_moves_to_another_group() -> None:
    game = Game()
    game.apply(game.propose(policies([document("a", by_name("vm-a", "vm-b", "vm-c"))]), cluster(A, B, C)))
    (held,) = game.held().groups
    less = msgspec.structs.replace(held.group, members=held.group.members[1:])
    game.engine.apply(UpdateGroup("mabs-01", held.ref, held.group, less), Fence(1))  # somebody took vm-a out
    wanted = policies([document("a", by_name("vm-b", "vm-c")), document("b", by_name("vm-a"))])
    proposal = game.propose(wanted, cluster(C))
    assert "RCL3017" in {finding.code for finding in proposal.plan.findings}
    game.apply(proposal)
    assert {each.group.name: len(each.group.members) for each in game.held().groups} == {"a": 3, "b": 0}
    assert game.propose(wanted, cluster(C)).plan.steps == ()
