"""Drift of a site: since when, what is in flight, and that looking changes nothing but our notes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from reconciler.control.drift.detect import drift_now, external_drift, settle_what_was_cut_off
from reconciler.control.drift.in_flight import in_flight
from reconciler.control.drift.sightings import learn_agreed, note_sightings
from reconciler.control.lease import holding
from reconciler.control.loop.tick import tick
from reconciler.control.observe import Observation, observe, observe_whole
from reconciler.control.planning.propose import desired_now, propose
from reconciler.errors import Unreachable
from reconciler.model import CatalogSnapshot, LedgerEntry, Outcome, OutcomeState, Plan, ProtectionGroup, Sighting
from reconciler.model.drift import Drift, DriftClass
from reconciler.protocols import Fence, Run
from tests.control.test_apply import Desk
from tests.drifting import put
from tests.kill.test_kill import write_policies

MINUTE = timedelta(minutes=1)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """The group gold is applied, as the memory says too."""
    desk = Desk(tmp_path)
    run(desk)
    yield desk
    desk.site.close()


def run(desk: Desk) -> None:
    with holding(desk.site) as held:
        tick(desk.site, desk.policies(), held)


def look(desk: Desk) -> Drift:
    return drift_now(desk.site, desk.policies().policies, observe(desk.site))


def ref(desk: Desk) -> str:
    return desk.site.memory.ledger.entries()[0].ref


def behind(desk: Desk, path: str, value: object) -> None:
    desk.server.groups[ref(desk)] = put(path, value)(desk.server.groups[ref(desk)])


def sighting(desk: Desk) -> Sighting:
    (one,) = desk.site.memory.ledger.sightings()
    return one


def noted(desk: Desk) -> int:
    return note_sightings(desk.site, observe(desk.site))


# --- Since when ------------------------------------------------------------------------------------------------


def test_a_tick_notes_that_a_group_is_as_we_left_it(desk: Desk) -> None:
    start = desk.clock.at
    assert sighting(desk) == Sighting("mabs-01", ref(desk), "gold", start)
    desk.clock.forward(timedelta(hours=1))
    run(desk)
    assert sighting(desk).as_left_at == start + timedelta(hours=1)


def test_a_note_is_not_written_again_and_again(desk: Desk) -> None:
    for _ in range(3):
        assert noted(desk) == 0
    desk.clock.forward(MINUTE - timedelta(seconds=1))
    assert noted(desk) == 0
    desk.clock.forward(timedelta(seconds=1))
    assert noted(desk) == 1
    behind(desk, "colocate", True)
    assert noted(desk) == 1
    desk.clock.forward(10 * MINUTE)
    assert noted(desk) == 0


def test_drift_names_the_two_observations_that_it_fell_between(desk: Desk) -> None:
    start = desk.clock.at
    desk.clock.forward(timedelta(hours=1))
    run(desk)
    behind(desk, "shortTerm.retention", timedelta(days=3))
    desk.clock.forward(timedelta(hours=1))
    (item,) = look(desk).items
    assert (item.klass, item.path, item.live) == (DriftClass.EXTERNAL, "shortTerm.retention", "3d")
    assert (item.after, item.first_seen) == (start + timedelta(hours=1), start + timedelta(hours=2))
    behind(desk, "shortTerm.retention", timedelta(days=2))
    desk.clock.forward(timedelta(hours=1))
    (item,) = look(desk).items
    assert (item.live, item.first_live) == ("2d", "3d")
    assert (item.after, item.first_seen) == (start + timedelta(hours=1), start + timedelta(hours=2))


def test_a_difference_that_went_away_and_comes_back_begins_anew(desk: Desk) -> None:
    start = desk.clock.at
    behind(desk, "colocate", True)
    desk.clock.forward(MINUTE)
    assert noted(desk) == 1
    assert sighting(desk).differs_since == start + MINUTE
    behind(desk, "colocate", False)
    desk.clock.forward(MINUTE)
    assert noted(desk) == 1
    assert sighting(desk) == Sighting("mabs-01", ref(desk), "gold", start + 2 * MINUTE)
    behind(desk, "colocate", True)
    desk.clock.forward(MINUTE)
    (item,) = look(desk).items
    assert (item.after, item.first_seen) == (start + 2 * MINUTE, start + 3 * MINUTE)


def test_an_apply_begins_anew(desk: Desk) -> None:
    behind(desk, "colocate", True)
    desk.clock.forward(MINUTE)
    assert noted(desk) == 1
    desk.clock.forward(MINUTE)
    (entry,) = desk.site.memory.ledger.entries()
    again = msgspec.structs.replace(entry, applied_at=desk.clock.at)
    desk.site.memory.ledger.record(again)
    desk.clock.forward(MINUTE)
    (item,) = look(desk).items
    assert (item.after, item.first_seen) == (again.applied_at, desk.clock.at)


def test_a_group_that_is_gone_is_seen_gone_at_a_time(desk: Desk) -> None:
    start = desk.clock.at
    desk.server.groups.clear()
    desk.clock.forward(timedelta(hours=2))
    (item,) = look(desk).items
    assert (item.klass, item.path, item.live) == (DriftClass.EXTERNAL, "", None)
    assert (item.after, item.first_seen) == (start, start + timedelta(hours=2))
    assert sighting(desk).shown is None


def test_nothing_is_noted_of_what_cannot_be_seen(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> CatalogSnapshot:
        raise Unreachable("RCL2001", "nobody answers", "Check the server.")

    before = sighting(desk)
    monkeypatch.setattr(desk.site.engines["mabs-01"], "observe", fail)
    desk.clock.forward(timedelta(hours=1))
    found = look(desk)
    assert found.items == ()
    assert [each.code for each in found.findings] == ["RCL2001"]
    assert sighting(desk) == before


def test_a_field_that_cannot_be_read_is_as_we_left_it(desk: Desk) -> None:
    desk.server.behaviour.unreadable = frozenset({"shortTerm.rpo", "existingPoints"})
    desk.clock.forward(MINUTE)
    assert noted(desk) == 1
    assert sighting(desk).differs_since is None
    assert look(desk).items == ()


def test_looking_changes_no_server_and_no_entry(desk: Desk) -> None:
    behind(desk, "colocate", True)
    write_policies(desk.root, "one", "9d")
    groups, entries = dict(desk.server.groups), desk.site.memory.ledger.entries()
    assert {each.klass for each in look(desk).items} == {DriftClass.EXTERNAL, DriftClass.PENDING}
    assert desk.server.groups == groups
    assert desk.site.memory.ledger.entries() == entries


def test_external_drift_is_there_for_the_evidence(desk: Desk) -> None:
    behind(desk, "colocate", True)
    write_policies(desk.root, "one", "9d")
    observation = observe(desk.site)
    (item,) = external_drift(desk.site, observation)
    assert (item.path, item.desired, item.applied, item.live) == ("colocate", None, False, True)
    desired = desired_now(desk.site, desk.policies().policies, observation)
    (item,) = external_drift(desk.site, observation, desired)
    assert (item.desired, item.location is not None) == (False, True)


def test_the_classes_that_are_asked_for_are_shown(desk: Desk) -> None:
    behind(desk, "colocate", True)
    write_policies(desk.root, "one, two", "9d")
    policies = desk.policies().policies
    found = drift_now(desk.site, policies, observe(desk.site), (DriftClass.PENDING,))
    assert found.classes == (DriftClass.PENDING,)
    assert {each.klass for each in found.items} == {DriftClass.PENDING}
    assert found.external == ()


# --- What both sides say ---------------------------------------------------------------------------------------


def test_the_ledger_learns_what_policy_and_server_say(desk: Desk) -> None:
    behind(desk, "shortTerm.retention", timedelta(days=9))
    write_policies(desk.root, "one, two", "9d")
    assert look(desk).external
    desk.clock.forward(MINUTE)
    run(desk)
    assert look(desk).items == ()
    (entry,) = desk.site.memory.ledger.entries()
    assert (entry.applied.short_term.retention, entry.applied_at) == (timedelta(days=9), desk.clock.at)
    assert sighting(desk) == Sighting("mabs-01", entry.ref, "gold", desk.clock.at)
    observation = observe_whole(desk.site)
    desired = desired_now(desk.site, desk.policies().policies, observation)
    assert learn_agreed(desk.site, desired, observation) == 0


def test_a_group_that_nobody_has_any_more_is_forgotten(desk: Desk) -> None:
    observation = observe_whole(desk.site)
    desired = msgspec.structs.replace(desired_now(desk.site, desk.policies().policies, observation), groups=())
    assert learn_agreed(desk.site, desired, observation) == 0
    desk.server.groups.clear()
    assert learn_agreed(desk.site, desired, observe_whole(desk.site)) == 1
    assert desk.site.memory.ledger.entries() == ()


# --- In flight -------------------------------------------------------------------------------------------------


def begun(desk: Desk, fence: int) -> Plan:
    """A run that has begun its first step; the server has done it, the ledger does not know yet."""
    write_policies(desk.root, "one, two", "9d")
    plan = propose(desk.site, desk.policies().policies, observe_whole(desk.site)).plan
    (step,) = plan.steps
    journal = desk.site.memory.journal
    journal.begin(Run("r1", "apply", "me", desk.site.holder, desk.clock.at, fence), plan)
    journal.started("r1", step.id, desk.clock.at)
    desk.site.engines["mabs-01"].apply(step.action, Fence(fence))
    return plan


def test_a_group_that_is_being_applied_is_in_flight(desk: Desk) -> None:
    with holding(desk.site) as held:
        plan = begun(desk, held.fence.token)
        found = look(desk)
        assert found.items == ()
        (flight,) = found.in_flight
        assert (flight.group, flight.run, flight.holder) == ("gold", "r1", desk.site.holder)
        before = sighting(desk)
        settle_what_was_cut_off(desk.site)
        desk.clock.forward(2 * MINUTE)
        assert noted(desk) == 0
        assert sighting(desk) == before
        journal = desk.site.memory.journal
        journal.finished("r1", Outcome(plan.steps[0].id, OutcomeState.DONE, desk.clock.at))
        assert in_flight(desk.site, observe(desk.site)) == ()
        journal.end("r1", desk.clock.at, "done")


def test_an_outcome_that_is_not_known_is_still_in_flight(desk: Desk) -> None:
    with holding(desk.site) as held:
        plan = begun(desk, held.fence.token)
        desk.site.memory.journal.finished("r1", Outcome(plan.steps[0].id, OutcomeState.UNKNOWN, desk.clock.at))
        assert [each.group for each in look(desk).in_flight] == ["gold"]
        desk.site.memory.journal.end("r1", desk.clock.at, "partial")


def test_a_run_that_was_cut_off_is_settled_first(desk: Desk) -> None:
    with holding(desk.site) as held:
        begun(desk, held.fence.token)
    found = look(desk)
    assert found.items == ()
    assert [(each.run, each.holder) for each in found.in_flight] == [("r1", "")]
    settle_what_was_cut_off(desk.site)
    found = look(desk)
    assert (found.items, found.in_flight) == ((), ())


def test_what_was_applied_while_we_looked_is_in_flight(desk: Desk) -> None:
    observation = observe(desk.site)
    (entry,) = observation.ledger
    desk.site.memory.ledger.record(_applied(entry, "new"))
    assert [each.group for each in in_flight(desk.site, observation)] == ["gold"]
    desk.site.memory.ledger.record(entry)
    assert in_flight(desk.site, observation) == ()
    late = msgspec.structs.replace(entry, applied_at=desk.clock.at + MINUTE)
    desk.site.memory.ledger.record(late)
    assert in_flight(desk.site, _with(observation, late)) == ()  # of a clock that was ahead
    desk.clock.forward(MINUTE)
    assert [each.group for each in in_flight(desk.site, _with(observation, late))] == ["gold"]


def _applied(entry: LedgerEntry, run: str) -> LedgerEntry:
    group: ProtectionGroup = put("colocate", True)(entry.applied)
    return msgspec.structs.replace(entry, applied=group, run=run)


def _with(observation: Observation, entry: LedgerEntry) -> Observation:
    return msgspec.structs.replace(observation, ledger=(entry,))
