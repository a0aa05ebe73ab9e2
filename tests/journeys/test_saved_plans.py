"""Saved plans: just what was looked at is done, stale and changed ones are refused, a cut-off apply is finished."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.kill.test_kill import steps_of, victim
from tests.shop import Said, Shop

T1 = ("--now", "2026-03-10T12:00Z")
SECRETS = {"HCI_READ": "hunter2-winrm", "RECONCILER_STATE": "postgresql://u:hunter2-db@h/d", "SMTP": "hunter2-mail"}


def _saved(shop: Shop, name: str = "plan.json") -> Path:
    path = shop.root / name
    assert shop("plan", "--out", str(path), *T1).code == 0
    return path


def _show(shop: Shop, *words: str) -> Said:
    return shop.plain("show", *words)


def test_the_saved_steps_are_done_not_derived_anew(shop: Shop) -> None:
    path = _saved(shop)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shop.policy("retention: 5d", "retention: 30d")
    said = shop("apply", str(path), "--yes", *T1)
    assert said.code == 0, said.err
    shop.policy("retention: 30d", "retention: 5d")
    assert shop("plan", "--detailed-exitcode", *T1).code == 0
    again = shop("apply", str(path), "--yes", *T1)
    assert again.code == 0
    assert "retention 5d" in _show(shop, str(path)).out.replace("Saved plan", "")


def test_a_stale_plan_names_the_object_and_the_values(shop: Shop) -> None:
    shop("apply", "--yes", *T1)
    shop.policy("retention: 5d", "retention: 9d")
    path = _saved(shop)
    shop.policy("retention: 9d", "retention: 7d")
    assert shop("apply", "--yes", *T1).code == 0
    said = shop("apply", str(path), "--yes", *T1)
    assert said.code == 6
    assert "the group gold on mabs-01 was changed meanwhile" in said.err
    assert "shortTerm.retention is 7d, the plan saw 5d and would leave 9d" in said.err


def test_weakening_in_a_saved_plan_is_not_covered_by_yes(shop: Shop) -> None:
    shop("apply", "--yes", *T1)
    shop.policy("retention: 5d", "retention: 2d")
    assert shop("apply", str(_saved(shop)), "--yes", *T1).code == 5


def test_a_changed_file_is_refused_and_versions_are_looked_at(shop: Shop) -> None:
    path = _saved(shop)
    text = path.read_text()
    path.write_text(text.replace('"retention": "P5D"', '"retention": "P1D"', 1).replace("gold", "cold", 1))
    said = shop("apply", str(path), "--yes", *T1)
    assert said.code == 6
    assert "RCL3041" in said.err
    told = json.loads(text)
    path.write_text(json.dumps(told | {"formatVersion": "2.0"}))
    assert "RCL3040" in _show(shop, str(path)).err
    path.write_text("{}")
    assert "RCL3040" in _show(shop, str(path)).err
    deep = "[" * 100_000 + "]" * 100_000
    for place in ('"kind": "SavedPlan", ', '"site": "hq", '):
        path.write_text(text.replace(place.strip(", "), f'{place}"x": {deep}', 1))
        assert "RCL3040" in _show(shop, str(path)).err
    assert _show(shop, str(shop.root / "none")).code == 64


def test_what_is_no_file_is_never_replaced(shop: Shop) -> None:
    (shop.root / "folder").mkdir()
    os.mkfifo(shop.root / "pipe")
    for name in ("folder", "pipe", "nowhere/plan.json"):
        said = shop("plan", "--out", str(shop.root / name), *T1)
        assert said.code == 64
        assert "RCL0012" in said.err
        assert shop("inventory", "snapshot", "--out", str(shop.root / name)).code == 64
    assert stat.S_ISFIFO((shop.root / "pipe").stat().st_mode)


def test_no_secret_is_in_a_plan(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_RUN_ID", "4711")
    monkeypatch.setenv("GITHUB_TOKEN", "hunter2-token")
    path = _saved(shop)
    texts = [path.read_text(), _show(shop, str(path)).out, _show(shop, str(path), "--output", "json").out]
    assert "4711" in texts[0]
    assert not any("hunter2" in text for text in texts)


@pytest.mark.parametrize("share", [5, 6, 7, 8, 9])
def test_an_apply_that_was_killed_is_resumed_as_it_was_agreed(
    shop: Shop, share: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site, _, group = (shop.root / "policies" / "site.yaml").read_text().partition("---\n")
    groups = [
        group.replace("name: gold", f"name: g{number}").replace("[one, two]", f"[vm{number}]") for number in range(4)
    ]
    for number in range(4):
        shop.cluster.add(10 + number, f"vm{number}")
    policy = shop.root / "policies" / "site.yaml"
    policy.write_text(site + "---\n" + "---\n".join(groups))
    path = _saved(shop)
    undisturbed = tmp_path_factory.mktemp("undisturbed") / "root"
    shutil.copytree(shop.root, undisturbed)
    whole = steps_of(victim(undisturbed, 0, "apply", str(path), "--yes", *T1))
    ended = victim(shop.root, whole * share // 10, "apply", str(path), "--yes", *T1)
    assert ended.returncode == -9
    written = policy.read_text()
    policy.write_text(written.replace("retention: 5d", "retention: 30d"))
    said = shop("resume", *T1)
    assert said.code == 0, said.err + said.out
    policy.write_text(written)
    assert shop("plan", "--detailed-exitcode", *T1).code == 0
    assert shop("resume", *T1).code == 0
    assert shop("resume", "20200101T000000Z-ffffff", *T1).code == 64
