"""Ways past the guard by a plan file that somebody wrote who may not approve: each is judged by what it would do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reconciler.errors import Refused
from reconciler.model import Direction
from reconciler.plan import anew
from tests.shop import Shop
from tests.support.reviewed import ALICE, BY, T1, Reviewed, forge

Plan = dict[str, Any]


@pytest.fixture
def site(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Reviewed:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return Reviewed(shop)


def _saved(site: Reviewed, old: str = "retention: 5d", new: str = "retention: 1d") -> Path:
    site.edit(old, new)
    site.commit("shorter")
    path = site.root / "plan.json"
    assert site("plan", "-o", str(path), *T1).code == 0
    return path


def _relabelled(file: Plan) -> None:
    (step,) = file["plan"]["steps"]
    step["change"]["direction"] = "strengthens"
    for field in step["change"]["fields"]:
        field["direction"] = "strengthens"
        field["before"], field["after"] = "1d", "5d"
    step["impact"] = None
    step["cost"] = {}


def _stop_called_an_update(file: Plan) -> None:
    (step,) = file["plan"]["steps"]
    action = step["action"]
    step["action"] = {
        "action": "stopProtection",
        "server": action["server"],
        "ref": action["ref"],
        "before": action["before"],
        "existingPoints": "expireNow",
    }
    step["change"] |= {"direction": "neutral", "verb": "update", "after": action["before"]}
    for field in step["change"]["fields"]:
        field["direction"] = "neutral"


def _stop_without_fields(file: Plan) -> None:
    _stop_called_an_update(file)
    file["plan"]["steps"][0]["change"]["fields"] = []


def _said_to_be_approved(file: Plan) -> None:
    (step,) = file["plan"]["steps"]
    for field in step["change"]["fields"]:
        field["approvedBy"] = "approval-1"
    file["plan"]["approvals"] = [
        {
            "name": "approval-1",
            "by": ALICE,
            "reason": "r",
            "until": "2099-01-01",
            "changes": [field["changeHash"] for field in step["change"]["fields"]],
        }
    ]


def _hash_of_another(file: Plan) -> None:
    """The hashes are those of something that was approved once, or is about to be."""
    for field in file["plan"]["steps"][0]["change"]["fields"]:
        field["changeHash"] = "sha256:" + "0" * 64


def _members_dropped(file: Plan) -> None:
    action = file["plan"]["steps"][0]["action"]
    action["after"]["members"] = action["after"]["members"][:1]
    action["after"]["shortTerm"] = action["before"]["shortTerm"]


def _no_step_of_its_own_name(file: Plan) -> None:
    step = file["plan"]["steps"][0]
    step["change"]["group"] = step["change"]["fields"][0]["path"] = "displayName"
    step["change"]["server"] = "elsewhere"


FORGED: dict[str, Callable[[Plan], None]] = {
    "relabelled": _relabelled,
    "a stop called an update": _stop_called_an_update,
    "a stop without fields": _stop_without_fields,
    "said to be approved": _said_to_be_approved,
    "hashes of another change": _hash_of_another,
    "members dropped": _members_dropped,
    "another name": _no_step_of_its_own_name,
}


@pytest.mark.parametrize("way", FORGED)
def test_a_forged_plan_is_judged_by_what_it_would_do(site: Reviewed, way: str) -> None:
    path = forge(_saved(site), FORGED[way])
    said = site("apply", str(path), "--yes", *T1)
    assert said.code == 5, said.out + said.err
    assert "RCL3013" in said.err
    assert site.groups() == {"gold": ("P5D", 2)}


def _twice(file: Plan) -> None:
    steps = file["plan"]["steps"]
    steps.append(json.loads(json.dumps(steps[0])))


def _not_following(file: Plan) -> None:
    _twice(file)
    last = file["plan"]["steps"][1]
    last["id"] = "2:mabs-01/gold"
    last["action"]["before"]["shortTerm"]["retention"] = "P9D"


def _another_server(file: Plan) -> None:
    file["plan"]["steps"][0]["action"]["server"] = "elsewhere"


@pytest.mark.parametrize("forger", [_twice, _not_following, _another_server])
def test_steps_that_are_of_no_plan_are_refused(site: Reviewed, forger: Callable[[Plan], None]) -> None:
    path = forge(_saved(site), forger)
    said = site("apply", str(path), "--yes", *T1)
    assert said.code == 6
    assert "RCL3101" in said.err
    assert site.groups() == {"gold": ("P5D", 2)}


def test_show_and_approve_tell_what_it_would_do(site: Reviewed) -> None:
    path = forge(_saved(site), _stop_called_an_update)
    said = site.shop.plain("show", str(path))
    assert "stop" in said.out
    assert "RCL3102" in said.out
    assert "verb update, which is stop; direction neutral, which is weakens" in said.out
    approve = site("approve", "--plan", str(path), "--by", ALICE, *BY)
    assert approve.code == 0
    assert "stop" in approve.out


def test_names_that_the_file_made_up_are_not_shown(site: Reviewed) -> None:
    def renamed(file: Plan) -> None:
        file["plan"]["names"] = dict.fromkeys(file["plan"]["names"], "a harmless test machine")

    path = forge(_saved(site, "[one, two]", "[two]"), renamed)
    said = site("apply", str(path), "--yes", *T1)
    assert said.code == 5
    assert "harmless" not in said.out
    assert "one" in said.out


def test_a_document_that_the_file_made_up_is_not_remembered(site: Reviewed) -> None:
    """Else the next plan would take it for what was applied, and what differs from it for approved."""

    def remembered(file: Plan) -> None:
        for step in file["plan"]["steps"]:
            step["remember"]["document"]["spec"]["shortTerm"]["retention"] = "1d"
            step["remember"]["labels"] = {"forged": "yes"}

    path = forge(_saved(site, "retention: 5d", "retention: 9d"), remembered)
    assert site("apply", str(path), "--yes", *T1).code == 0
    held = json.loads(site("catalog", "snapshot", *T1[:0]).out)
    (entry,) = held["ledger"]
    assert entry["document"]["spec"]["shortTerm"]["retention"] == "9d"
    assert "forged" not in entry.get("labels", {})


def test_a_plan_that_was_not_forged_is_told_as_it_is(site: Reviewed) -> None:
    path = _saved(site)
    assert "RCL3102" not in site.shop.plain("show", str(path)).out
    assert site("approve", "--plan", str(path), "--by", ALICE, *BY).code == 0
    site.commit("approved", author=ALICE)
    said = site("apply", str(path), "--yes", *T1)
    assert said.code == 0, said.err + said.out
    assert site.groups() == {"gold": ("P1D", 2)}


def test_what_a_resumed_run_was_told_counts_a_day(site: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    site.edit("retention: 5d", "retention: 1d")
    site.commit("shorter")

    def failing(*args: Any, **kwargs: Any) -> Any:
        raise Refused("RCL9999", "the line is down", "Again.")

    with monkeypatch.context() as patched:
        patched.setattr("reconciler.engines.embedded.engine.EmbeddedEngine.apply", failing)
        site.apply("--break-glass", "the disk is full")
    late = site("resume", "--now", "2026-03-12T12:00Z")
    assert late.code == 5
    assert site.groups() == {"gold": ("P5D", 2)}


def test_without_the_retelling_the_forger_gets_through(site: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence that the tests above rest on: `_change`, which tells a step by its action."""
    path = forge(_saved(site), _relabelled)
    told = json.loads(path.read_text())["plan"]["steps"][0]["change"]
    real = anew._change

    def believing(action: Any) -> Any:
        change = real(action)
        milder = tuple(msgspec.structs.replace(each, direction=Direction.STRENGTHENS) for each in change.fields)
        return msgspec.structs.replace(change, fields=milder, direction=Direction.STRENGTHENS, group=told["group"])

    monkeypatch.setattr(anew, "_change", believing)
    said = site("apply", str(path), "--yes", *T1)
    assert said.code == 0, said.err
    assert site.groups() == {"gold": ("P1D", 2)}
