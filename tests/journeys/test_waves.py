"""Budgets and change windows where things are done: what is over waits for its day, and nothing is dropped."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from reconciler.state import open_memory
from tests.fakes import NOON
from tests.shop import Said, Shop


def _at(hours: float) -> tuple[str, str]:
    return ("--now", f"{NOON + timedelta(hours=hours):%Y-%m-%dT%H:%MZ}")


def _plan(shop: Shop, hours: float) -> dict[str, Any]:
    said = shop("plan", "--output", "json", *_at(hours))
    assert said.code == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


def _members(shop: Shop) -> int:
    told = json.loads(shop("status", "--output", "json").out)
    return sum(int(group["members"]) for group in told["groups"])


@pytest.fixture
def sparing(shop: Shop) -> Shop:
    """A site that takes in two machines a day."""
    for number in range(3, 6):
        shop.cluster.add(number, f"vm-{number}")
    shop.policy("[one, two]", "['*']")
    shop.policy("prune: false", "prune: false\n  budgets: {perDay: {newMembers: 2}}")
    return shop


def test_five_machines_come_in_on_three_days(sparing: Shop) -> None:
    plan = _plan(sparing, 0)
    assert [(step["wave"], step["cost"]["newMembers"]) for step in _with_waves(plan)] == [(1, 2), (2, 2), (3, 1)]
    assert [wave["opensAt"][:10] for wave in plan["waves"]] == ["2026-03-10", "2026-03-11", "2026-03-12"]
    said = sparing("apply", "--yes", *_at(0))
    assert said.code == 7
    assert "2 step(s) left" in said.err
    assert "perDay.newMembers" in said.out
    assert "2026-03-11" in said.out
    assert _members(sparing) == 2
    again = sparing("resume", *_at(1))
    assert again.code == 7
    assert _members(sparing) == 2  # the same day
    assert sparing("resume", *_at(24)).code == 7
    assert _members(sparing) == 4
    done = sparing("resume", *_at(48))
    assert done.code == 0, done.err + done.out
    assert _members(sparing) == 5
    assert _plan(sparing, 48)["steps"] == []


def _with_waves(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"wave": 1} | step for step in plan["steps"]]


def test_the_loop_goes_on_by_itself(sparing: Shop) -> None:
    for hours, members in ((0, 2), (1, 2), (24, 4), (48, 5)):
        said = sparing("run", "--until-idle", *_at(hours))
        assert said.code == 0, said.err + said.out
        assert _members(sparing) == members
    memory = open_memory(sparing.root / "var" / "hq.db")
    assert len(memory.journal.runs(100)) == 3  # no run was begun while nothing could be done
    memory.close()


def test_a_saved_plan_keeps_its_waves(sparing: Shop) -> None:
    path = sparing.root / "plan.json"
    assert sparing("plan", "--out", str(path), *_at(0)).code == 0
    assert sparing("apply", str(path), "--yes", *_at(0)).code == 7
    assert sparing("apply", str(path), "--yes", *_at(24)).code == 7
    said = sparing("apply", str(path), "--yes", *_at(48))
    assert said.code == 0, said.err + said.out
    assert _members(sparing) == 5


def test_outside_of_a_window_nothing_is_done(shop: Shop) -> None:
    windows = 'prune: false\n  changeWindows: [{allow: {from: "20:00", to: "22:00"}}, {deny: {dates: [2026-03-11]}}]'
    shop.policy("prune: false", windows)
    assert [wave["opensAt"] for wave in _plan(shop, 0)["waves"]] == ["2026-03-10T20:00:00Z"]
    said: Said = shop("apply", "--yes", *_at(0))
    assert said.code == 7
    assert "not before 2026-03-10 20:00" in said.out
    assert shop("run", "--once", *_at(1)).code == 0
    assert _members(shop) == 0
    assert shop("resume", *_at(32.5)).code == 7  # 20:30, of the day that is denied
    assert _members(shop) == 0
    done = shop("resume", *_at(56.5))
    assert done.code == 0, done.err + done.out
    assert _members(shop) == 2


def test_broken_glass_waits_for_nothing(sparing: Shop) -> None:
    assert sparing("apply", "--yes", "--break-glass", "all at once", *_at(0)).code == 0
    assert _members(sparing) == 5


def test_points_over_the_budget_expire_on_later_days(shop: Shop) -> None:
    for hours in range(0, 24 * 4, 8):
        shop("run", "--until-idle", *_at(hours))
    shop.policy("prune: false", "prune: false\n  budgets: {perDay: {expiredPoints: 8}}")
    shop.policy("retention: 5d", "retention: 1d")
    plan = _plan(shop, 96)
    assert len(plan["waves"]) > 1
    lost = [step["impact"]["machines"] for step in plan["steps"]]
    assert all(sum(each.get("expiresNow", 0) for each in machines) <= 8 for machines in lost)
    assert [step["change"]["fields"][0]["after"] for step in plan["steps"]][-1] == "1d"
