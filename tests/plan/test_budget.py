"""Budgets: what a change costs, whether it fits today, how it is cut, and the example of the documentation."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from reconciler.model import (
    Change,
    Cost,
    Direction,
    ExistingPoints,
    Impact,
    MachineImpact,
    ProtectionGroup,
    Reason,
    Size,
    Verb,
)
from reconciler.model.documents import BudgetPerDay, Budgets
from reconciler.parse import read_policies
from reconciler.plan.difference.dependencies import members_added, members_removed
from reconciler.plan.rollout.budgets import Allowance, cost, limits, why_blocked, with_replica
from reconciler.plan.rollout.waves import Spread, spread
from tests.budgets import BERLIN, SERVER, Site, allowance, source
from tests.fakes import group
from tests.plan.test_windows import allow, deny
from tests.worlds import NOW

ROOT = Path(__file__).parent.parent.parent


def of_days(days: int, name: str, *numbers: int) -> ProtectionGroup:
    made = group(name, *map(source, numbers))
    term = msgspec.structs.replace(made.short_term, retention=timedelta(days=days))
    return msgspec.structs.replace(made, short_term=term)


def per_day(**limit: int) -> Budgets:
    if "initial_replication" in limit:
        limit["initial_replication"] = Size(limit["initial_replication"])
    return Budgets(BudgetPerDay(**limit))  # type: ignore[arg-type]


def planned(site: Site, limited: Budgets, **more: object) -> Spread:
    return spread(site.changes(), allowance(site, limited, **more), site.weigh)


# --- What a change costs -----------------------------------------------------------------------------------------


def test_what_a_change_costs() -> None:
    site = Site(
        [group("a", source(1), source(2)), group("b", source(3))], [group("a", source(2), source(3), source(4))]
    )
    site.sizes = {source(3): 70, source(4): 30}
    (stop, update) = site.changes()
    assert stop.verb is Verb.STOP
    assert site.weigh(stop)[0] == Cost(weakened_members=1)
    assert site.weigh(update)[0] == Cost(new_members=1, initial_bytes=30, weakened_members=1)
    impact = Impact((MachineImpact(source(1), 9, expires_now=4), MachineImpact(source(2), 9, expires_now=1)))
    assert cost(update, site.sizes, impact) == Cost(2, 100, 5, 1)
    shorter = Site([of_days(5, "a", 1, 2)], [of_days(4, "a", 1, 2)]).changes()[0]
    assert cost(shorter, {}, None) == Cost(weakened_members=2)
    longer = Site([of_days(5, "a", 1, 2)], [of_days(6, "a", 1, 2)]).changes()[0]
    assert cost(longer, {}, None) == Cost()
    approved = tuple(msgspec.structs.replace(each, approved_by="someone") for each in shorter.fields)
    assert cost(msgspec.structs.replace(shorter, fields=approved), {}, None) == Cost(weakened_members=2)


def test_a_copy_that_is_still_to_be_made_is_none() -> None:
    site = Site([group("a", source(1))], [])
    assert with_replica({SERVER: site.observe()}) == {(SERVER, source(1))}
    site.server.replicas.clear()
    site.do(Change(SERVER, "b", Verb.CREATE, Reason.NEW_POLICY, Direction.STRENGTHENS, after=group("b", source(2))))
    assert with_replica({SERVER: site.observe()}) == frozenset()


@pytest.mark.parametrize(
    ("share", "population", "least", "expected"),
    [
        ("20%", 40, None, 8),
        ("29%", 100, None, 29),
        ("20%", 9, None, 1),
        ("1%", 5, None, 1),
        ("0%", 50, None, 1),
        ("0.5%", 1000, None, 5),
        ("20%", 4, None, None),
        ("20%", 4, 4, 1),
        ("20%", 40, 50, None),
        ("150%", 10, None, 15),
    ],
)
def test_a_share_is_of_whole_machines(share: str, population: int, least: int | None, expected: int | None) -> None:
    limited = Budgets(None, share, least)
    assert limits(Allowance(limited, (), BERLIN, NOW, population=population)) == (None, None, None, expected)


# --- What fits today ---------------------------------------------------------------------------------------------

LIMITED = Budgets(BudgetPerDay(Size(2 * 10**12), 20, 50), "20%")


@pytest.mark.parametrize(
    ("spent", "takes", "said"),
    [
        (Cost(), Cost(20, 2 * 10**12, 50, 8), ""),
        (Cost(18), Cost(2), ""),
        (Cost(18), Cost(3), "perDay.newMembers: 18 of 20 are spent today, and the step takes 3"),
        (Cost(20), Cost(0, 0, 50), ""),
        (
            Cost(initial_bytes=10**12),
            Cost(initial_bytes=1500 * 10**9),
            "perDay.initialReplication: 1 TB of 2 TB are spent today, and the step takes 1500 GB",
        ),
        (Cost(), Cost(expired_points=51), ""),
        (
            Cost(expired_points=1),
            Cost(expired_points=51),
            "perDay.expiredPoints: 1 of 50 are spent today, and the step takes 51",
        ),
        (
            Cost(weakened_members=8),
            Cost(weakened_members=1),
            "shareAtOnce: 8 of 8 are spent today, and the step takes 1",
        ),
        (Cost(99, 10**15, 99, 99), Cost(), ""),
    ],
)
def test_what_fits(spent: Cost, takes: Cost, said: str) -> None:
    assert why_blocked(takes, Allowance(LIMITED, (), BERLIN, NOW, spent, 40)) == said


def test_nothing_fits_outside_the_windows() -> None:
    windows = (allow("08:00", "12:00"), deny(dates=(date(2026, 3, 11),)))
    closed = Allowance(None, windows, BERLIN, NOW)
    assert why_blocked(Cost(), closed) == "no change window is open now; it opens at 2026-03-12 08:00"
    assert why_blocked(Cost(), Allowance(None, windows, BERLIN, NOW - timedelta(hours=2))) == ""
    assert why_blocked(Cost(), Allowance(None, (deny(),), BERLIN, NOW)) == "no change window is open now"


# --- How it is cut -----------------------------------------------------------------------------------------------


def test_without_budgets_nothing_is_cut_and_nothing_is_weighed() -> None:
    site = Site([group("a", source(1))], [group("a", *map(source, range(60))), group("b", source(99))])
    changes = site.changes()

    def weigh(change: Change) -> tuple[Cost, Impact | None]:
        raise AssertionError("nobody asked")

    done = spread(changes, allowance(site, None), weigh)
    assert [part for _, part in done.parts] == list(changes)
    (wave,) = done.waves
    assert (wave.number, wave.opens_at, wave.because) == (1, NOW, "")
    assert spread((), allowance(site, None), weigh) == Spread()


def test_what_waits_for_nothing_is_not_delayed() -> None:
    before = [group("a", *map(source, range(4))), group("b", source(10))]
    wanted = [group("b", source(0), source(3), source(10)), group("c", source(20))]
    done = planned(Site(before, wanted), Budgets(None, "20%"))
    waves = {(part.group, part.verb): [w for w, p in done.parts if p.group == part.group] for _, part in done.parts}
    assert waves[("c", Verb.CREATE)] == [1]
    assert [(wave, part.group, str(part.verb)) for wave, part in done.parts] == [
        (1, "c", "create"),
        (1, "a", "update"),
        (1, "b", "update"),
        (2, "a", "update"),
        (3, "a", "update"),
        (4, "a", "stop"),
        (4, "b", "update"),
    ]
    assert done.waves[1].because == "over what a day may take: shareAtOnce 1"


def test_a_retention_is_shortened_bit_by_bit() -> None:
    site = Site([of_days(10, "a", 1)], [of_days(2, "a", 1)])
    site.points(source(1), [timedelta(days=age, hours=1) for age in range(10)])
    done = planned(site, per_day(expired_points=3))
    assert [part.after.short_term.retention.days for _, part in done.parts if part.after] == [7, 4, 2]
    assert [(f.before, f.after) for _, part in done.parts for f in part.fields] == [
        ("10d", "7d"),
        ("7d", "4d"),
        ("4d", "2d"),
    ]
    assert [site.weigh(part)[0].expired_points for _, part in done.parts] == [3, 3, 1]
    assert [wave for wave, _ in done.parts] == [1, 2, 3]
    assert done.unfinished == {0, 1}


def test_a_retention_is_shortened_by_hours_where_a_day_holds_too_much() -> None:
    site = Site([of_days(4, "a", 1)], [of_days(3, "a", 1)])
    site.points(source(1), [timedelta(hours=age, minutes=30) for age in range(96)])
    allowed = per_day(expired_points=10)
    shown = [part.fields[0].after for _, part in planned(site, allowed).parts]
    assert shown == ["86h", "76h", "3d"]
    (only,) = planned(site, allowed, whole_days=frozenset({SERVER})).parts
    assert only[1].fields[0].after == "3d"
    codes = [each.code for each in planned(site, allowed, whole_days=frozenset({SERVER})).findings]
    assert codes == ["RCL3060"]


def test_a_stop_that_destroys_lets_go_of_some_first() -> None:
    before = msgspec.structs.replace(group("a", *map(source, range(3))), existing_points=ExistingPoints.EXPIRE_NOW)
    site = Site([before], [])
    for number in range(3):
        site.points(source(number), [timedelta(hours=age) for age in range(5)])
    (stop,) = site.changes()
    fields = tuple(
        msgspec.structs.replace(each, change_hash="sha256:1", approved_by="security") for each in stop.fields
    )
    stop = msgspec.structs.replace(stop, fields=fields)
    done = spread([stop], allowance(site, per_day(expired_points=10)), site.weigh)
    (_, first), (_, last) = done.parts
    assert (first.verb, last.verb) == (Verb.UPDATE, Verb.STOP)
    assert [site.weigh(part)[0].expired_points for part in (first, last)] == [10, 5]
    assert first.direction == last.direction == stop.direction
    assert not first.needs_consent
    assert {(each.change_hash, each.approved_by) for each in first.fields} == {("sha256:1", "security")}
    assert last.fields == stop.fields


def test_a_step_that_cannot_be_cut_has_a_day_to_itself() -> None:
    site = Site([], [group("a", source(1), source(2), source(3))])
    site.sizes = {source(1): 10, source(2): 500, source(3): 10}
    done = planned(site, per_day(initial_replication=100))
    assert [[str(each.source)[-41:-33] for each in part.after.members] for _, part in done.parts if part.after] == [
        ["00000001", "00000003"],
        ["00000001", "00000002", "00000003"],
    ]
    (finding,) = done.findings
    assert finding.code == "RCL3060"
    assert finding.message == (
        "one step of a alone exceeds the budget perDay.initialReplication: 500 B of 100 B of a day"
    )


def test_no_window_ever_is_said_and_nothing_is_dropped() -> None:
    site = Site([], [group("a", *map(source, range(3)))])
    done = planned(site, per_day(new_members=1), windows=(deny(),))
    assert [each.code for each in done.findings] == ["RCL3061"]
    assert len(done.parts) == 3
    assert done.waves[0].opens_at > NOW + timedelta(days=399)


def test_what_was_spent_today_is_not_spent_again() -> None:
    site = Site([], [group("a", *map(source, range(3)))])
    done = planned(site, per_day(new_members=2), spent=Cost(new_members=1))
    assert [len(part.after.members) for _, part in done.parts if part.after] == [1, 3]
    full = planned(site, per_day(new_members=2), spent=Cost(new_members=2))
    assert [wave.number for wave in full.waves] == [1, 2]
    assert full.waves[0].opens_at == datetime(2026, 3, 10, 23, tzinfo=UTC)
    assert full.waves[0].because == "over what a day may take: perDay.newMembers 2"


def test_what_was_spent_today_is_nothing_to_the_day_of_the_next_window() -> None:
    site = Site([], [group("a", source(1), source(2))])
    more = {"windows": (allow("08:00", "09:00"),), "spent": Cost(new_members=2)}
    (wave,) = planned(site, per_day(new_members=2), **more).waves
    assert wave.opens_at == datetime(2026, 3, 11, 7, tzinfo=UTC)
    assert wave.because == "no change window is open before"


def test_a_part_waits_only_for_the_budget_that_it_takes_of() -> None:
    before = group("b", *map(source, range(5)))
    wanted = [group("b", source(0), source(90)), group("c", *map(source, range(10, 20)))]
    done = planned(Site([before], wanted), Budgets(BudgetPerDay(new_members=2), "20%"))
    assert [
        (wave, len(members_removed(part)), len(members_added(part))) for wave, part in done.parts if part.group == "b"
    ] == [
        (1, 1, 0),
        (2, 1, 0),
        (3, 1, 0),
        (4, 1, 0),
        (6, 0, 1),
    ]


def test_a_machine_that_moves_does_not_wait_for_new_ones() -> None:
    before = [group("a", *map(source, range(50, 55))), group("b", source(99))]
    wanted = [group("a", source(50)), group("b", *map(source, range(40)), *map(source, range(51, 55)), source(99))]
    site = Site(before, wanted)
    site.sizes = {source(number): 100 for number in range(40)}
    done = planned(site, Budgets(BudgetPerDay(new_members=9, initial_replication=Size(900)), "20%"))
    moves = [source(number) for number in range(51, 55)]
    left = {each: wave for wave, part in done.parts for each in members_removed(part)}
    taken = {each: wave for wave, part in done.parts for each in members_added(part)}
    assert [left[each] for each in moves] == [1, 2, 3, 4]
    assert [taken[each] for each in moves] == [1, 2, 3, 4]


def test_points_that_go_together_do_not_go_with_those_of_a_machine_that_is_let_go_of() -> None:
    """One machine's three points fit into the day; the twelve that a shorter retention ends at once never do."""
    before = msgspec.structs.replace(of_days(9, "a", *range(5)), existing_points=ExistingPoints.EXPIRE_NOW)
    after = msgspec.structs.replace(of_days(2, "a", *range(1, 5)), existing_points=ExistingPoints.EXPIRE_NOW)
    site = Site([before], [after])
    site.points(source(0), [timedelta(hours=age) for age in range(3)])
    for number in range(1, 5):
        site.points(source(number), [*(timedelta(hours=age) for age in range(3)), *[timedelta(days=5)] * 3])
    done = planned(site, per_day(expired_points=4))
    assert [(wave, site.weigh(part)[0].expired_points) for wave, part in done.parts] == [(1, 3), (2, 12)]
    assert [each.code for each in done.findings] == ["RCL3060"]


# --- The example of the documentation ------------------------------------------------------------------------------

DOCUMENT = (ROOT / "docs" / "reference" / "budgets.md").read_text(encoding="utf-8")
SITE = """apiVersion: reconciler/v1
kind: Site
metadata: {name: hq}
spec:
  timeZone: Europe/Berlin
  prune: true
  state: {sqlite: {path: var/state.db}}
  clusters: [{name: hci-01, inventory: {directory: {path: clusters/hci-01}}}]
  servers: [{name: mabs-01, engine: {embedded: {path: var/mabs-01}}, volumes: [{name: vol-a, capacity: 80 TB}]}]
"""


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    (written,) = re.findall(r"^```yaml\n(.*?)^```$", DOCUMENT, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "site.yaml").write_text(SITE + written, encoding="utf-8")
    reading = read_policies(tmp_path)
    assert reading.policies is not None, reading.diagnostics
    spec = reading.policies.sites[0].document.spec

    sql = group("sql", *map(source, range(100, 128)))
    before = [sql, group("old", *map(source, range(200, 212)))]
    wanted = [group("sql", *map(source, range(100, 131))), group("web", *map(source, range(45)))]
    site = Site(before, wanted)
    site.sizes = {source(number): 40 * 10**9 for number in range(45)}
    site.sizes |= {source(number): 900 * 10**9 for number in range(128, 131)}
    site.clock.at = datetime(2026, 3, 10, 16, tzinfo=UTC)
    done = planned(site, spec.budgets or Budgets(), windows=spec.change_windows)
    rows = [
        f"| {wave.number} | {wave.opens_at.astimezone(BERLIN):%a %d %B, %H:%M} | {_said(done, wave.number)} |"
        for wave in done.waves
    ]
    assert "\n".join(rows) in DOCUMENT


def _said(done: Spread, number: int) -> str:
    return "; ".join(_words(part) for wave, part in done.parts if wave == number)


def _words(part: Change) -> str:
    had = len(part.before.members) if part.before else 0
    has = len(part.after.members) if part.after else 0
    return f"{part.verb} {part.group}: {had} -> {has} virtual machines"
