"""Drift: every event is in the class that its own nature gives it, and in no other."""

from __future__ import annotations

import os
from datetime import date, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Severity
from reconciler.model import Direction, Sighting
from reconciler.model.documents import IgnoreRule
from reconciler.model.drift import DriftClass, DriftItem
from reconciler.plan import IGNORABLE
from reconciler.plan.drift.classify import Sides, drift
from tests.drifting import (
    CHURN,
    EXTERNAL,
    HELD,
    NARROW,
    NORMALISATION,
    PENDING,
    WRITTEN,
    Event,
    Play,
    labels,
    mixtures,
    only,
    pairs,
    put,
    rounding_of,
    same_value,
    singles,
    vm,
)
from tests.worlds import NOW, by_tier

#: How many mixtures of events; each class is in at least 200 of them.
COUNT = 10_000 if os.environ.get("RECONCILER_PROVE") else 600
PARTS = 10

SINGLES, PAIRS, MIXTURES = singles(), pairs(), mixtures(COUNT)


def test_there_are_enough_events() -> None:
    assert len(SINGLES) >= 150
    assert len(SINGLES) + len(PAIRS) >= 300
    assert len({each.name for each in SINGLES}) == len(SINGLES)


def test_each_class_has_enough_cases() -> None:
    for klass in DriftClass:
        cases = [each for each in MIXTURES if any(klass is label[0] for event in each for label in event.labels)]
        assert len(cases) >= 200, klass


@pytest.mark.parametrize("part", range(PARTS))
def test_mixtures_of_events_are_all_said(part: int) -> None:
    for events in MIXTURES[part::PARTS]:
        play = Play(rounding_of(events))
        for event in events:
            event.act(play)
        assert play.labels() == frozenset().union(*(event.labels for event in events)), [each.name for each in events]


@pytest.mark.parametrize("event", SINGLES, ids=str)
def test_an_event_is_in_its_class_alone(event: Event) -> None:
    play = Play(event.rounds, event.unreadable)
    assert play.labels() == (event.labels if event.rounds else set())
    event.act(play)
    assert play.labels() == event.labels
    if event.applies:
        play.apply()
        play.apply()
        assert play.labels() == event.stays


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda event: event.name)
def test_two_events_are_both_said(one: Event, other: Event) -> None:
    play = Play(one.rounds or other.rounds)
    one.act(play)
    other.act(play)
    assert play.labels() == one.labels | other.labels


@pytest.mark.parametrize("path", HELD)
def test_what_policy_and_server_were_both_changed_to_is_not_pending(path: str) -> None:
    play = Play()
    play.behind("gold", put(path, HELD[path][0]))
    play.ledger["gold"] = msgspec.structs.replace(play.ledger["gold"], document={}, selectors="")
    desired = play.desired()
    wish = next(each for each in desired.groups if each.group.name == "gold")
    followed = msgspec.structs.replace(wish, group=put(path, HELD[path][0])(wish.group))
    groups = tuple(followed if each is wish else each for each in desired.groups)
    seen = play.situation()
    sides = Sides(msgspec.structs.replace(desired, groups=groups), tuple(seen.ledger), seen.catalogs, seen.clusters)
    assert {(each.klass, each.group, each.path) for each in drift(sides)} == labels(EXTERNAL, "gold", path)


def test_the_ledger_learns_what_both_sides_say() -> None:
    play = Play()
    play.write_term("gold", retention=WRITTEN["shortTerm.retention"][0][1]["retention"])
    play.behind("gold", put("shortTerm.retention", timedelta(days=30)))
    assert play.labels() == labels(EXTERNAL, "gold", "shortTerm.retention")
    play.learn()
    assert play.labels() == set()
    assert play.ledger["gold"].applied.short_term.retention == timedelta(days=30)


def test_a_policy_that_writes_what_the_server_holds_ends_the_normalisation() -> None:
    play = Play(only("gold", put("shortTerm.retention", timedelta(days=30))))
    assert play.labels() == labels(NORMALISATION, "gold", "shortTerm.retention")
    play.write_term("gold", retention=WRITTEN["shortTerm.retention"][0][1]["retention"])
    assert play.labels() == set()
    play.learn()
    play.write_term("gold", retention=WRITTEN["shortTerm.retention"][1][1]["retention"])
    assert play.labels() == labels(PENDING, "gold", "shortTerm.retention")


def test_a_third_value_is_pending_over_what_was_rounded() -> None:
    play = Play(only("gold", put("shortTerm.retention", timedelta(days=30))))
    play.write_term("gold", retention=WRITTEN["shortTerm.retention"][1][1]["retention"])
    expected = labels(PENDING, "gold", "shortTerm.retention") | labels(NORMALISATION, "gold", "shortTerm.retention")
    assert play.labels() == expected


def test_a_change_over_what_was_rounded_is_external_alone() -> None:
    play = Play(only("gold", put("shortTerm.retention", timedelta(days=30))))
    play.behind("gold", put("shortTerm.retention", timedelta(days=3)))
    (item,) = play.items()
    assert (item.klass, item.desired, item.applied, item.live) == (EXTERNAL, "14d", "14d", "3d")
    assert item.direction is Direction.WEAKENS
    play.behind("gold", put("shortTerm.retention", timedelta(days=14)))
    assert play.labels() == labels(EXTERNAL, "gold", "shortTerm.retention")


def test_what_the_server_rounds_is_not_planned_but_told() -> None:
    play = Play(only("gold", put("shortTerm.retention", timedelta(days=21))))
    for each in ("shortTerm.retention", "displayName"):
        plan = play.propose().plan
        (told,) = (finding for finding in plan.findings if finding.code == "RCL3080")
        assert told.severity is Severity.WARNING
        assert "mabs-01 holds 21d where 14d was applied: shortTerm.retention of gold" in told.message
        paths = {field.path for step in plan.steps for field in step.change.fields}
        assert paths == ({"displayName"} if each == "displayName" else set())
        play.write("gold", display_name="Another")
    play.apply()
    assert not play.propose().plan.steps
    play.behind("gold", put("shortTerm.retention", timedelta(days=3)))
    (step,) = play.propose().plan.steps
    assert [(field.path, field.before, field.after) for field in step.change.fields] == [
        ("shortTerm.retention", "3d", "14d")
    ]


def test_a_deleted_group_is_external_and_its_edit_pending() -> None:
    play = Play()
    play.behind("gold", None)
    play.write_term("gold", minimum_points=9)
    expected = labels(EXTERNAL, "gold", "") | labels(PENDING, "gold", "shortTerm.minimumPoints")
    assert play.labels() == expected


def test_a_group_that_nobody_wants_and_nobody_has_is_forgotten() -> None:
    play = Play()
    play.behind("gold", None)
    del play.documents["gold"]
    assert play.labels() == labels(EXTERNAL, "gold", "")
    play.learn()
    assert play.labels() == set()
    assert set(play.ledger) == {"silver"}


def test_a_member_that_both_sides_let_go_is_external_alone() -> None:
    play = Play()
    gone = play.machines["g3"].source("hci-01")
    play.behind(
        "gold",
        lambda group: msgspec.structs.replace(
            group, members=tuple(each for each in group.members if each.source != gone)
        ),
    )
    play.write("gold", members=(NARROW,))
    assert play.labels() == labels(EXTERNAL, "gold", "members")


def test_a_new_machine_is_churn_although_the_rules_changed_too() -> None:
    play = Play()
    play.machines["born"] = vm(50, "born", "gold")
    play.write("gold", members=(NARROW,))
    said = {(each.klass, each.desired is not None, each.source) for each in play.items()}
    assert said == {
        (CHURN, True, str(play.machines["born"].source("hci-01"))),
        (PENDING, False, str(play.machines["g3"].source("hci-01"))),
    }


def test_without_the_former_rules_their_hash_decides() -> None:
    play = Play()
    play.ledger["gold"] = msgspec.structs.replace(play.ledger["gold"], document={})
    play.machines["born"] = vm(50, "born", "gold")
    assert play.labels() == labels(CHURN, "gold", "members")
    play.write("gold", members=(by_tier("gold", but=("z",)),))
    assert play.labels() == labels(PENDING, "gold", "members")


@pytest.mark.parametrize("path", [path for path in WRITTEN if path in IGNORABLE])
def test_what_the_policy_tells_to_ignore_is_no_drift(path: str) -> None:
    play = Play()
    play.write("gold", ignore=(IgnoreRule(path, "by hand for now", date(2026, 12, 31)),))
    play.behind("gold", put(path, HELD[path][0]))
    assert play.labels() == set()
    play.write("gold", ignore=(IgnoreRule(path, "by hand for now", date(2026, 1, 31)),))
    assert play.labels() == labels(EXTERNAL, "gold", path)


def test_what_cannot_be_seen_is_not_judged() -> None:
    play = Play()
    play.behind("gold", None)
    play.machines.clear()
    seen = play.situation()
    assert drift(Sides(play.desired(), tuple(seen.ledger), {}, {})) == ()
    assert {each.klass for each in drift(Sides(None, tuple(seen.ledger), seen.catalogs, {}))} == {EXTERNAL}


def test_nothing_is_said_of_a_group_that_is_being_changed() -> None:
    play = Play()
    play.behind("gold", put("colocate", True))
    play.behind("silver", put("colocate", True))
    seen = play.situation()
    sides = Sides(
        play.desired(), tuple(seen.ledger), seen.catalogs, seen.clusters, moving=frozenset({("mabs-01", "gold")})
    )
    assert [item.group for item in drift(sides)] == ["silver"]


# --- Since when ------------------------------------------------------------------------------------------------


def _external(play: Play, sighting: Sighting) -> DriftItem:
    seen = play.situation()
    sides = Sides(
        play.desired(),
        tuple(seen.ledger),
        seen.catalogs,
        seen.clusters,
        sightings={(sighting.server, sighting.ref): sighting},
    )
    (item,) = drift(sides)
    return item


def test_external_drift_fell_between_two_observations() -> None:
    play = Play()
    entry = play.ledger["gold"]
    play.behind("gold", put("shortTerm.retention", timedelta(days=3)))
    changed = play.server.groups[entry.ref]
    left_at, seen_at = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    sighting = Sighting("mabs-01", entry.ref, "gold", left_at)
    item = _external(play, sighting)
    assert (item.after, item.first_seen, item.first_live) == (left_at, None, None)
    sighting = Sighting("mabs-01", entry.ref, "gold", left_at, seen_at, changed)
    item = _external(play, sighting)
    assert (item.after, item.first_seen, item.first_live) == (left_at, seen_at, None)
    play.behind("gold", put("shortTerm.retention", timedelta(days=2)))
    item = _external(play, sighting)
    assert (item.after, item.first_seen, item.first_live, item.live) == (left_at, seen_at, "3d", "2d")


def test_a_field_that_changed_after_another_one_is_of_later() -> None:
    play = Play()
    entry = play.ledger["gold"]
    other = put("colocate", True)(play.server.groups[entry.ref])
    play.behind("gold", put("shortTerm.retention", timedelta(days=3)))
    left_at, seen_at = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    item = _external(play, Sighting("mabs-01", entry.ref, "gold", left_at, seen_at, other))
    assert (item.after, item.first_seen) == (seen_at, None)


def test_a_sighting_from_before_the_last_apply_does_not_count() -> None:
    play = Play()
    entry = play.ledger["gold"]
    play.behind("gold", put("colocate", True))
    old = NOW - timedelta(hours=2)
    item = _external(play, Sighting("mabs-01", entry.ref, "gold", old, old + timedelta(hours=1)))
    assert (item.after, item.first_seen) == (NOW, None)


# --- Properties ------------------------------------------------------------------------------------------------

_QUIET = [each for each in SINGLES if each.rounds is None and not each.unreadable]


@given(st.lists(st.sampled_from(_QUIET), max_size=4, unique_by=lambda event: event.name), st.randoms())
def test_whatever_happens_the_order_of_what_is_read_does_not_matter(events: list[Event], chance: object) -> None:
    play = _played(events)
    seen, desired = play.situation(), play.desired()
    ledger = tuple(seen.ledger)
    sides = Sides(desired, ledger, seen.catalogs, seen.clusters)
    other = Sides(
        msgspec.structs.replace(desired, groups=desired.groups[::-1]), ledger[::-1], seen.catalogs, seen.clusters
    )
    assert drift(sides) == drift(other)


@given(st.lists(st.sampled_from(_QUIET), max_size=4, unique_by=lambda event: event.name))
def test_whatever_happens_an_item_has_what_its_class_means(events: list[Event]) -> None:
    for item in _played(events).items():
        if item.path == "server" or item.path.startswith("machine"):
            continue
        if item.klass is EXTERNAL:
            assert item.live != item.applied
        if item.klass is PENDING:
            assert item.desired not in (item.applied, item.live) or item.path == "members" or item.live is None


@given(st.lists(st.sampled_from(_QUIET), max_size=4, unique_by=lambda event: event.name))
def test_whatever_was_changed_behind_is_external(events: list[Event]) -> None:
    """Against the plain definition: a group on the server that is not as it was left."""
    play = _played(events)
    changed = {entry.group for entry in play.ledger.values() if play.server.groups.get(entry.ref) != entry.applied}
    assert {item.group for item in play.items() if item.klass is EXTERNAL} == changed


def _played(events: list[Event]) -> Play:
    play = Play()
    for event in events:
        try:
            event.act(play)
        except KeyError:  # a group or a machine that an earlier event took away
            continue
    return play


def test_both_sides_may_say_the_same() -> None:
    by_name = {each.name: each for each in SINGLES}
    assert same_value(by_name["git silver colocate 0"], by_name["server silver colocate 0"])
    assert not same_value(by_name["git silver displayName 0"], by_name["server silver displayName 0"])
