"""What is ours: groups are adopted by name, protected from deletion, stopped with what becomes of their points; a plan
may be limited."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.control.policy_folder import read_good
from reconciler.model import CreateGroup, ExistingPoints, Ownership
from reconciler.protocols import Fence
from reconciler.state import open_memory
from reconciler.wiring import RehearsedClock, choose_site, open_site
from tests.fakes import NOON, first_use, machine_id
from tests.shop import Shop

T1 = ("--now", "2026-03-10T12:00Z")


def _at(hours: int) -> tuple[str, str]:
    return ("--now", f"{NOON + timedelta(hours=hours):%Y-%m-%dT%H:%MZ}")


def _steps(shop: Shop, *words: str) -> list[tuple[str, str]]:
    said = shop("plan", "--output", "json", *T1, *words)
    assert said.code == 0, said.err
    return [(step["change"]["verb"], step["change"]["group"]) for step in json.loads(said.out)["steps"]]


def _second_group(shop: Shop) -> None:
    path = shop.root / "policies" / "site.yaml"
    site, _, group = path.read_text().partition("---\n")
    silver = group.replace("name: gold", "name: silver").replace("[one, two]", "[two]")
    path.write_text(site + "---\n" + group.replace("[one, two]", "[one]") + "---\n" + silver)


def _forget(shop: Shop) -> None:
    """The state is lost; the server goes on."""
    for path in (shop.root / "var").glob("hq*"):
        path.rename(path.with_name(f"lost-{path.name}"))


def test_after_import_adopt_alone_is_planned_and_then_nothing(shop: Shop) -> None:
    _second_group(shop)
    shop("apply", "--yes", *T1)
    _forget(shop)
    site, _, _ = (shop.root / "policies" / "site.yaml").read_text().partition("---\n")
    (shop.root / "policies" / "site.yaml").write_text(site)
    assert shop("import").code == 0
    refused = shop("apply", "--yes", *T1)
    assert (refused.code, "RCL3012" in refused.err, "--adopt" in refused.err) == (6, True, True)
    for command in ("plan", "status", "drift"):
        told = shop(command, *T1)
        assert (told.code, "RCL3012" in told.out + told.err) == (6, True), command
        assert "No changes" not in told.out + told.err
    assert _steps(shop, "--adopt", "gold") == [("adopt", "gold")]
    assert _steps(shop, "--adopt", "*") == [("adopt", "gold"), ("adopt", "silver")]
    done = shop("apply", "--yes", "--adopt", "*", *T1)
    assert done.code == 0, done.err
    assert shop("plan", "--detailed-exitcode", *T1).code == 0
    with_memory = open_memory(shop.root / "var" / "hq.db")
    assert [(each.group, each.ownership) for each in with_memory.ledger.entries()] == [
        ("gold", Ownership.ADOPTED),
        ("silver", Ownership.ADOPTED),
    ]
    assert with_memory.ledger.entries()[0].document["metadata"] == {"name": "gold"}
    with_memory.close()


def test_what_differs_is_changed_after_it_was_adopted(shop: Shop) -> None:
    shop("apply", "--yes", *T1)
    _forget(shop)
    shop.policy("retention: 5d", "retention: 9d")
    refused = shop("plan", *T1)
    assert (refused.code, "RCL3012" in refused.err) == (6, True)
    assert _steps(shop, "--adopt", "gold") == [("adopt", "gold"), ("update", "gold")]
    assert shop("apply", "--yes", "--adopt", "gold", *T1).code == 0
    assert _steps(shop) == []
    shop.policy("retention: 9d", "retention: 5d")
    _forget_again = shop("apply", "--yes", "--adopt", "gold", *T1)
    assert _forget_again.code == 5  # it is ours by now, and shorter is weaker


def test_a_group_that_others_made_meanwhile_is_not_taken_by_a_saved_plan(shop: Shop) -> None:
    path = shop.root / "plan.json"
    shop("plan", "--out", str(path), *T1)
    policies = read_good(shop.root).policies
    site = open_site(shop.root, choose_site(policies, None), RehearsedClock(NOON))
    plan = json.loads(path.read_text())
    assert plan["plan"]["steps"][0]["action"]["action"] == "createGroup"
    from reconciler.control.planning.plan_file import read

    action = read(path).plan.steps[0].action
    assert isinstance(action, CreateGroup)
    first_use(site.engines["mabs-01"], site.memory.lineage())
    site.engines["mabs-01"].apply(action, Fence(1))
    site.close()
    said = shop("apply", str(path), "--yes", *T1)
    assert said.code == 7
    assert "does not own it" in said.out


def test_a_saved_plan_changes_nothing_that_the_ledger_does_not_have(shop: Shop) -> None:
    shop("apply", "--yes", *T1)
    shop.policy("retention: 5d", "retention: 9d")
    path = shop.root / "plan.json"
    shop("plan", "--out", str(path), *T1)
    _forget(shop)
    gone = shop("apply", str(path), "--yes", *T1)
    assert (gone.code, "RCL3012" in gone.err) == (6, True)
    (shop.root / ".reconciler" / "state-hq.json").unlink()  # nothing tells any more that there was one
    said = shop("apply", str(path), "--yes", *T1)
    assert (said.code, "RCL3008" in said.err, "the state was lost" in said.err) == (6, True, True)


def test_a_group_that_is_protected_from_deletion_stays(shop: Shop) -> None:
    shop.policy("prune: false", "prune: true")
    shop.policy("  shortTerm:", "  deletionProtection: true\n  shortTerm:")
    _second_group(shop)
    shop("apply", "--yes", *T1)
    path = shop.root / "policies" / "site.yaml"
    written = path.read_text()
    site, gold, silver = written.split("---\n")
    path.write_text(site + "---\n" + silver)
    said = shop("plan", *T1)
    assert "RCL3043" in said.out
    assert _steps(shop) == []
    path.write_text(
        site + "---\n" + gold.replace("deletionProtection: true", "deletionProtection: false") + "---\n" + silver
    )
    assert _steps(shop) == [("update", "gold")]
    assert shop("apply", "--yes", *T1).code == 5  # giving up the protection weakens
    assert shop("apply", "--yes", "--break-glass", "it is to go", *T1).code == 0
    path.write_text(site + "---\n" + silver)
    assert _steps(shop) == [("stop", "gold")]


@pytest.mark.parametrize("existing", list(ExistingPoints))
def test_what_becomes_of_points_when_protection_stops(shop: Shop, existing: ExistingPoints) -> None:
    shop.policy("prune: false", "prune: true")
    shop.policy("  shortTerm:", f"  existingPoints: {existing}\n  shortTerm:")
    for hours in range(5):
        assert shop("run", "--until-idle", *_at(hours)).code == 0

    def points() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(shop("points", "--output", "json").out)["points"]
        return found

    assert len(points()) == 10
    shop.policy("[one, two]", "[two]")
    said = shop("plan", "--output", "json", *_at(5))
    (step,) = json.loads(said.out)["steps"]
    wanted = "destroys" if existing is ExistingPoints.EXPIRE_NOW else "weakens"
    assert step["change"]["direction"] == wanted
    assert shop("apply", "--yes", "--break-glass", "asked for", *_at(5)).code == 0
    for hours in (5, 30, 24 * 20):
        shop("run", "--until-idle", "--confirm-clock", *_at(hours))
    left = [each["point"]["source"]["machine"] for each in points()].count(machine_id(1))
    assert left == {ExistingPoints.RETAIN: 3, ExistingPoints.KEEP_FOREVER: 5, ExistingPoints.EXPIRE_NOW: 0}[existing]


def test_a_plan_that_is_limited_says_so(shop: Shop) -> None:
    _second_group(shop)
    assert _steps(shop, "--group", "silver") == [("create", "silver")]
    assert _steps(shop, "--server", "mabs-01") == [("create", "gold"), ("create", "silver")]
    said = shop("plan", "--group", "silver", *T1)
    assert "group silver" in said.out
    for words in (("--group", "slver"), ("--server", "mabs-02"), ("--adopt", "slver")):
        wrong = shop("plan", *words, *T1)
        assert (wrong.code, "RCL3046" in wrong.err) == (64, True)
    assert shop("apply", "--yes", "--group", "silver", *T1).code == 0
    assert _steps(shop) == [("create", "gold")]
    path = shop.root / "plan.json"
    shop("plan", "--out", str(path), *T1)
    assert shop("apply", str(path), "--group", "gold", *T1).code == 64


def test_a_machine_that_a_group_outside_of_the_scope_holds_is_not_taken(shop: Shop) -> None:
    _second_group(shop)
    shop("apply", "--yes", *T1)
    path = shop.root / "policies" / "site.yaml"
    path.write_text(
        path.read_text().replace("[one]", "[one, two]").replace("names: [two]}", "names: [two], except: [two]}")
    )
    assert ("update", "gold") in _steps(shop)
    assert _steps(shop, "--group", "gold") == []
    assert "RCL3017" in shop("plan", "--group", "gold", *T1).out


def test_old_states_are_read(tmp_path: Path) -> None:
    """A state database of the version before opens, and gains what is new."""
    import sqlite3
    from importlib import resources

    path = tmp_path / "old.db"
    first = resources.files("reconciler.state.sql").joinpath("0001_state.sql").read_text()
    with sqlite3.connect(path) as old:
        old.executescript(first)
        old.execute("PRAGMA user_version=1")
    old.close()
    memory = open_memory(path)
    assert memory.journal.broken_glass() == ()
    assert memory.ledger.site_document() is None
    memory.close()


def test_a_plan_of_a_part_takes_over_no_document_outside_of_it(shop: Shop) -> None:
    """Else what weakens there would look as if somebody had agreed to it, and nobody had written it."""
    _second_group(shop)
    shop("apply", "--yes", *T1)
    path = shop.root / "policies" / "site.yaml"
    head, silver = path.read_text().rsplit("---\n", 1)
    assert "retention: 5d" in silver
    path.write_text(f"{head}---\n{silver.replace('retention: 5d', 'retention: 2d')}")
    before = _hashes(shop)
    assert shop("apply", "--group", "gold", "--yes", *T1).code == 0
    assert _hashes(shop) == before


def _hashes(shop: Shop) -> list[str]:
    steps = json.loads(shop("plan", "--output", "json", *T1).out)["steps"]
    return [field["changeHash"] for step in steps for field in step["change"]["fields"]]
