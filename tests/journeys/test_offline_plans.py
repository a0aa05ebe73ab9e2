"""Plans from exported files: the same as with the servers there, and refused where the files are not whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.shop import Said, Shop

T1 = ("--now", "2026-03-10T12:00Z")
T2 = ("--now", "2026-03-10T18:00Z")


class Files(NamedTuple):
    inventory: Path
    catalog: Path

    def plan(self, shop: Shop, *words: str) -> Said:
        return shop("plan", "--inventory", str(self.inventory), "--catalog", str(self.catalog), *words)


def _export(shop: Shop, form: str = "json") -> Files:
    exported = Files(shop.root / f"inventory.{form}", shop.root / f"catalog.{form}")
    assert shop("inventory", "snapshot", "--out", str(exported.inventory)).code == 0
    assert shop("catalog", "snapshot", "--out", str(exported.catalog)).code == 0
    return exported


def _plan(said: Said) -> dict[str, Any]:
    assert said.code in (0, 2), said.err
    plan: dict[str, Any] = json.loads(said.out)
    return plan


def _protected(shop: Shop) -> None:
    assert shop("run", "--until-idle", *T1).code == 0
    shop.cluster.add(3, "three")
    shop.policy("[one, two]", "[two, three]")
    shop.policy("retention: 5d", "retention: 9d")


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_a_plan_from_files_is_the_plan_with_the_servers(shop: Shop, form: str) -> None:
    _protected(shop)
    exported = _export(shop, form)
    there = _plan(shop("plan", "--output", "json", *T2))
    away = shop.root / "away"
    away.mkdir()
    for name in ("var", "cluster"):
        (shop.root / name).rename(away / name)
    then = _plan(exported.plan(shop, "--output", "json", *T2))
    assert len(then["steps"]) == 1
    assert then["steps"] == there["steps"]
    assert then["planHash"] == there["planHash"]
    assert then["findings"] == there["findings"]
    assert not (shop.root / "var").exists()
    assert exported.plan(shop, "--detailed-exitcode").code == 2


def test_a_plan_from_files_says_when_it_was_seen_and_can_be_applied(shop: Shop) -> None:
    _protected(shop)
    exported = _export(shop)
    path = shop.root / "plan.json"
    said = exported.plan(shop, "--out", str(path))
    assert said.code == 0, said.err
    assert f"From {exported.inventory}: hci-01 as seen at 2" in said.out
    assert f"From {exported.catalog}: mabs-01 as seen at 2" in said.out
    held = json.loads(exported.catalog.read_text())
    seen = json.loads(path.read_text())["origin"]["seen"]
    assert seen["mabs-01"] == held["servers"][0]["takenAt"]
    assert json.loads(path.read_text())["plan"]["createdAt"] == max(seen.values())
    assert "hci-01" in shop.plain("show", str(path), "--output", "json").out


def test_with_one_file_the_other_side_is_looked_at(shop: Shop) -> None:
    _protected(shop)
    exported = _export(shop)
    there = _plan(shop("plan", "--output", "json", *T2))["planHash"]
    for option, path in (("--inventory", exported.inventory), ("--catalog", exported.catalog)):
        assert _plan(shop("plan", option, str(path), "--output", "json", *T2))["planHash"] == there
    shutil.rmtree(shop.root / "cluster")
    assert _plan(shop("plan", "--inventory", str(exported.inventory), "--output", "json", *T2))["planHash"] == there
    said = shop("plan", "--catalog", str(exported.catalog), *T2)
    assert said.code == 64
    assert "RCL2025" in said.err
    assert "--inventory FILE" in said.err


def test_a_site_whose_servers_nothing_drives_is_planned_from_files(shop: Shop) -> None:
    _protected(shop)
    exported = _export(shop)
    shop.policy("synchronization: 1h", 'synchronization: 1h, expressFull: {times: ["20:00"]}')
    mabs = "mabs: {endpoint: mabs-01.corp.example, transport: ntlm, credential: env:MABS}"
    shop.policy("embedded: {path: var/mabs-01}", mabs)
    assert exported.plan(shop).code == 0
    said = shop("plan", "--inventory", str(exported.inventory), *T2)
    assert said.code == 64
    assert "RCL2025" in said.err
    assert "mabs" in said.err


def test_files_of_another_site_or_without_a_server_are_refused(shop: Shop) -> None:
    exported = _export(shop)
    held = json.loads(exported.catalog.read_text())
    for changed in (held | {"site": "elsewhere"}, held | {"servers": []}):
        exported.catalog.write_text(json.dumps(changed))
        said = exported.plan(shop)
        assert said.code == 6
        assert "RCL2024" in said.err
    exported.catalog.write_text(json.dumps(held))
    seen = json.loads(exported.inventory.read_text())
    exported.inventory.write_text(json.dumps(seen | {"clusters": []}))
    said = exported.plan(shop)
    assert said.code == 6
    assert "lacks its cluster 'hci-01'" in said.err


def test_to_the_terminal_it_is_one_document(shop: Shop) -> None:
    _protected(shop)
    told = json.loads(shop("catalog", "snapshot").out)
    assert (told["kind"], told["formatVersion"], told["site"]) == ("Catalog", "1.0", "hq")
    (server,) = told["servers"]
    assert [group["group"]["name"] for group in server["groups"]] == ["gold"]
    assert {point["kind"] for point in server["points"]} == {"initialReplica"}
    assert [entry["applied"]["name"] for entry in told["ledger"]] == ["gold"]
