"""Waves: everything is done, in an order in which it can be, and no day takes more than the site allows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reconciler.model import (
    Change,
    Cost,
    ProtectionGroup,
    Verb,
    format_duration,
)
from reconciler.model.documents import BudgetPerDay, Budgets, ChangeWindow
from reconciler.plan.difference.dependencies import members_added, members_removed
from reconciler.plan.difference.split import joined
from reconciler.plan.rollout.budgets import NAMES, amounts, limits, why_blocked
from reconciler.plan.rollout.order import order
from reconciler.plan.rollout.waves import spread
from reconciler.schedule.change_windows import next_open, open_now
from tests.budgets import BERLIN, Site, allowance, budgets, local_midnight_after, sites, source
from tests.fakes import group
from tests.plan.test_windows import allow, deny

EXAMPLES = 500 if os.environ.get("RECONCILER_PROVE") else 60
proven = settings(max_examples=EXAMPLES)

DAYS = [
    (),
    (allow("08:00", "16:00", days="Mo Tu We Th"),),
    (allow("22:00", "04:00"), deny(dates=(date(2026, 3, 11),))),
    (deny("11:00", "15:00"),),
]
spents = st.sampled_from([Cost(), Cost(2, 30, 4, 1)])


def of(place: int, changes: Sequence[tuple[int, Change]]) -> list[Change]:
    return [change for wave, change in changes if wave == place]


# --- What holds of all of them -----------------------------------------------------------------------------------


@proven
@given(sites(), budgets())
def test_the_parts_come_to_the_whole(site: Site, limited: Budgets) -> None:
    at_once, bit_by_bit = site.twin(), site.twin()
    changes = site.changes()
    for change in changes:
        at_once.do(change)
    for _, part in spread(changes, allowance(site, limited), site.weigh).parts:
        bit_by_bit.do(part)
    assert bit_by_bit.groups() == at_once.groups() == {each.name: each for each in site.wanted}
    assert bit_by_bit.changes() == ()
    for one, other in zip(bit_by_bit.observe().replicas, at_once.observe().replicas, strict=True):
        assert (one.source, one.group, one.existing_points) == (other.source, other.group, other.existing_points)
        assert one.retention is not None
        assert other.retention is not None
        if one.group is None:  # what is only strengthened is done first, so points may be kept longer
            assert one.retention >= other.retention
            assert one.minimum_points >= other.minimum_points
        else:
            assert one == other


@proven
@given(sites(), budgets(), spents)
def test_no_day_takes_more_than_it_may(site: Site, limited: Budgets, spent: Cost) -> None:
    allowed = allowance(site, limited, spent=spent)
    done = spread(site.changes(), allowed, site.weigh)
    bounds = limits(allowed)
    lone = {each.message for each in done.findings if each.code == "RCL3060"}
    for wave in done.waves:
        today = wave.opens_at.astimezone(BERLIN).date() == site.clock.at.astimezone(BERLIN).date()
        costs = [amounts(site.weigh(part)[0]) for part in of(wave.number, done.parts)]
        for budget, bound in enumerate(bounds):
            before = amounts(spent)[budget] if today else 0
            takes = [each[budget] for each in costs if each[budget]]
            if bound is None or before + sum(takes) <= bound or not takes:
                continue
            assert len(takes) == 1
            assert not before
            assert any(NAMES[budget] in each for each in lone)
            (part,) = (p for p in of(wave.number, done.parts) if amounts(site.weigh(p)[0])[budget])
            _cannot_be_cut(part, budget, site)
    assert bool(lone) == any(
        bound is not None and amounts(site.weigh(part)[0])[budget] > bound
        for _, part in done.parts
        for budget, bound in enumerate(bounds)
    )


def _cannot_be_cut(part: Change, budget: int, site: Site) -> None:
    """Only one machine takes of the budget, or a setting that counts for all of them."""
    if budget in (0, 1):
        paying = [each for each in members_added(part) if budget == 0 or site.sizes[each]]
        held = {each.source for each in site.observe().replicas}
        assert len([each for each in paying if each not in held]) == 1
    elif budget == 3:
        settings_change = any(each.path != "members" and each.direction.needs_consent for each in part.fields)
        assert settings_change or len(members_removed(part)) == 1


@proven
@given(sites(), budgets(), st.sampled_from(DAYS), st.integers(0, 200))
def test_waves_open_in_windows_one_a_day(
    site: Site, limited: Budgets, windows: tuple[ChangeWindow, ...], hours: int
) -> None:
    site.clock.at += timedelta(hours=hours)
    done = spread(site.changes(), allowance(site, limited, windows=windows), site.weigh)
    days = [wave.opens_at.astimezone(BERLIN).date() for wave in done.waves]
    assert days == sorted(set(days))
    assert [wave.number for wave in done.waves] == list(range(1, len(days) + 1))
    assert {wave for wave, _ in done.parts} == {wave.number for wave in done.waves}
    assert [wave for wave, _ in done.parts] == sorted(wave for wave, _ in done.parts)
    for wave in done.waves:
        assert open_now(windows, wave.opens_at.astimezone(BERLIN))
        assert (wave.opens_at > site.clock.at) == bool(wave.because)
    if done.waves:
        assert done.waves[0].opens_at >= site.clock.at


@proven
@given(sites(), budgets())
def test_a_machine_that_moves_is_taken_on_the_day_on_which_it_is_let_go_of(site: Site, limited: Budgets) -> None:
    """Else nobody protected it meanwhile. Groups that swap machines are cut before they are spread: of them one lets
    go first, and may have to wait for the others."""
    changes = site.changes()
    assume(len(changes) == len(site.difference()))
    done = spread(changes, allowance(site, limited), site.weigh)
    left = {machine: wave for wave, part in done.parts for machine in members_removed(part)}
    for wave, part in done.parts:
        for machine in members_added(part):
            assert left.get(machine, wave) == wave


@proven
@given(sites(), budgets())
def test_parts_can_be_put_together_again(site: Site, limited: Budgets) -> None:
    parts = [part for _, part in spread(site.changes(), allowance(site, limited), site.weigh).parts]
    whole = {each.group: each for each in joined(parts)}
    assert len(whole) == len(joined(parts))
    assert {name: _sorted(each) for name, each in whole.items()} == {
        each.group: _sorted(each) for each in site.difference()
    }


def _sorted(change: Change) -> Change:
    fields = sorted(change.fields, key=lambda each: (each.path, str(each.before), str(each.after)))
    return msgspec.structs.replace(change, fields=tuple(fields))


@proven
@given(sites(), budgets(), st.randoms(use_true_random=False))
def test_the_order_of_input_never_matters(site: Site, limited: Budgets, chance: Any) -> None:
    changes = list(site.difference())
    allowed = allowance(site, limited)
    expected = spread(order(changes), allowed, site.weigh)
    chance.shuffle(changes)
    assert spread(order(changes), allowed, site.weigh) == expected


@proven
@given(sites(), budgets())
def test_parts_say_what_they_do(site: Site, limited: Budgets) -> None:
    """Fields and values of each part agree, and a group's parts follow on each other."""
    done = spread(site.changes(), allowance(site, limited), site.weigh)
    last: dict[str, int] = {}
    for place, (_, part) in enumerate(done.parts):
        old, new = part.before, part.after
        assert part.verb is _verb(old, new)
        last[part.ref or part.group] = place
        if old is None or new is None:
            continue
        assert part.fields
        members = {(each.before, each.after) for each in part.fields if each.path == "members"}
        out = {(str(each), None) for each in old.sources - new.sources}
        assert members == out | {(None, str(each)) for each in new.sources - old.sources}
        stayed = {each.source: each.volume for each in old.members}
        moved = [each for each in new.members if each.source in stayed and stayed[each.source] != each.volume]
        assert len([each for each in part.fields if each.path == "members.volume"]) == len(moved)
        for each in part.fields:
            if each.path == "shortTerm.retention":
                assert (each.before, each.after) == (_shown(old), _shown(new))
        changed = {"shortTerm.retention"} if old.short_term.retention != new.short_term.retention else set()
        assert changed == {each.path for each in part.fields} & {"shortTerm.retention"}
        assert part.direction.rank == max(each.direction.rank for each in part.fields)
    assert done.unfinished == set(range(len(done.parts))) - set(last.values())


def _verb(before: ProtectionGroup | None, after: ProtectionGroup | None) -> Verb:
    if before is None:
        return Verb.CREATE
    if after is None:
        return Verb.STOP
    return Verb.RENAME if before.name != after.name else Verb.UPDATE


def _shown(of_group: ProtectionGroup) -> str:
    return format_duration(of_group.short_term.retention)


# --- Day after day -----------------------------------------------------------------------------------------------


def live(site: Site, limited: Budgets, windows: tuple[ChangeWindow, ...] = ()) -> int:
    """Does each day what may be done and plans anew on the next; returns the days on which something was done."""
    for days in range(400):
        changes = site.changes()
        if not changes:
            return days
        site.clock.at = next_open(windows, site.clock.at, BERLIN) or site.clock.at
        allowed = allowance(site, limited, windows=windows)
        done = spread(changes, allowed, site.weigh)
        assert done.waves[0].opens_at == site.clock.at
        for part in of(1, done.parts):
            takes = site.weigh(part)[0]
            assert why_blocked(takes, allowed) == ""
            site.do(part)
            allowed = msgspec.structs.replace(allowed, spent=allowed.spent + takes)
        for machine in site.server.replicas:
            site.copied(machine)
        site.prune()
        site.clock.at = local_midnight_after(site.clock.at, BERLIN)
    raise AssertionError("it never ends")


@proven
@given(sites(), budgets(), st.sampled_from(DAYS))
def test_day_after_day_it_reaches_the_end(site: Site, limited: Budgets, windows: tuple[ChangeWindow, ...]) -> None:
    at_once = site.twin()
    foreseen = spread(site.changes(), allowance(site, limited, windows=windows), site.weigh)
    days = live(site, limited, windows)
    assert site.groups() == {each.name: each for each in at_once.wanted}
    assert days <= len(foreseen.waves) + 3  # points grow older meanwhile, so what a step lets expire changes


@proven
@given(st.lists(st.integers(0, 12), min_size=1, max_size=4), st.integers(1, 8))
def test_new_members_take_no_more_days_than_they_must(counts: list[int], limit: int) -> None:
    names = iter(range(1000))
    wanted = [group(f"g-{place}", *(source(next(names)) for _ in range(count))) for place, count in enumerate(counts)]
    site = Site((), wanted)
    least = max(1, -(-sum(counts) // limit))
    foreseen = spread(site.changes(), allowance(site, Budgets(BudgetPerDay(new_members=limit))), site.weigh)
    assert len(foreseen.waves) == least
    more = spread(site.changes(), allowance(site, Budgets(BudgetPerDay(new_members=limit + 3))), site.weigh)
    assert len(more.waves) <= least
    assert live(site, Budgets(BudgetPerDay(new_members=limit))) == least
