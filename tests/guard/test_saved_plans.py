"""Ways past the guard by a plan file that somebody wrote who may not approve: each is judged by what it would do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies

from reconciler.cli import errors
from reconciler.control.approving import agreement
from reconciler.errors import Refused
from reconciler.model import Direction
from reconciler.model import Plan as ReadPlan
from reconciler.plan.approval import recompute
from tests.shop import Said, Shop
from tests.support.reviewed import ALICE, BY, T1, Reviewed, forge, sealed

Plan = dict[str, Any]

PROVE = bool(os.environ.get("RECONCILER_PROVE"))


@pytest.fixture
def site(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Reviewed:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return Reviewed(shop)


def _saved(site: Reviewed, old: str = "retention: 5d", new: str = "retention: 1d") -> Path:
    site.edit(old, new)
    site.commit("shorter")
    path = site.root / "plan.json"
    assert site("plan", "--out", str(path), *T1).code == 0
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


def test_a_plan_of_a_schedule_is_done_as_it_is(site: Reviewed) -> None:
    """Its values are no plain texts."""
    path = _saved(site, "shortTerm: {", "shortTerm: {expressFull: {times: ['20:00']}, ")
    said = site("apply", str(path), "--yes", *T1)
    assert said.code == 0, said.err
    assert site("plan", "--detailed-exitcode", *T1).code == 0


# --- What no policy asks for -----------------------------------------------------------------------------------


def _renamed(file: Plan) -> None:
    action = file["plan"]["steps"][0]["action"]
    action["action"] = "renameGroup"
    action["after"] = action["before"] | {"name": "zzz", "displayName": "zzz"}


def _renamed_and_told_so(file: Plan) -> None:
    """As it would be told by ourselves: there is nothing in the file that is otherwise."""
    _renamed(file)
    _told_anew(file)


def _told_anew(file: Plan) -> None:
    plan = msgspec.convert(file["plan"], ReadPlan)
    file["plan"] = msgspec.to_builtins(recompute.retold(plan))


def _a_group_of_its_own(file: Plan) -> None:
    (step,) = file["plan"]["steps"]
    action = step["action"]
    group = action["after"] | {"name": "extra", "displayName": "extra"}
    source = {"cluster": "hci-01", "machine": "00000009-0000-4000-8000-000000000009"}
    step["action"] = {
        "action": "createGroup",
        "server": action["server"],
        "group": group | {"members": [{"source": source}]},
    }
    _told_anew(file)


def _a_machine_besides(file: Plan) -> None:
    action = file["plan"]["steps"][0]["action"]
    source = {"cluster": "hci-01", "machine": "ffffffff-0000-4000-8000-000000000009"}
    action["after"]["members"].append({"source": source})
    _told_anew(file)


ODD: dict[str, Callable[[Plan], None]] = {
    "another name": _renamed,
    "another name, told as it is": _renamed_and_told_so,
    "a group of its own": _a_group_of_its_own,
    "a virtual machine besides": _a_machine_besides,
}


@pytest.mark.parametrize("way", ODD)
@pytest.mark.parametrize("more", [(), ("--break-glass", "quick")])
def test_what_no_policy_asks_for_is_not_done_by_yes_alone(site: Reviewed, way: str, more: tuple[str, ...]) -> None:
    path = forge(_saved(site, new="retention: 9d"), ODD[way])
    said = site("apply", str(path), "--yes", *more, *T1)
    assert said.code == 5, said.out + said.err
    assert "RCL3107" in said.out + said.err
    assert site.groups() == {"gold": ("P5D", 2)}
    assert site.plan()["steps"][0]["action"]["action"] == "updateGroup"


def test_a_person_may_do_it_nevertheless(site: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    path = forge(_saved(site, new="retention: 9d"), _renamed_and_told_so)
    for module in ("reconciler.cli.confirm.is_interactive", "reconciler.cli.confirm.ask"):
        monkeypatch.setattr(module, lambda *words: True)
    said = site("apply", str(path), *T1)
    assert said.code == 0, said.out + said.err
    assert "RCL3107" in said.out
    assert site.groups() == {"zzz": ("P5D", 2)}


def test_without_the_look_at_who_asks_for_it_it_is_done(site: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `anew.unasked`."""
    path = forge(_saved(site, new="retention: 9d"), _renamed_and_told_so)
    monkeypatch.setattr(agreement, "unasked", lambda *words: "")
    assert site("apply", str(path), "--yes", *T1).code == 0


# --- Values ----------------------------------------------------------------------------------------------------

#: What stands in the place of a value: all that JSON has, and times, spans and numbers at the ends of what there is.
STRANGE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    10**9,
    2**53,
    2**63 - 1,
    10**30,
    -0.0,
    1.5e308,
    "",
    "x" * 5_000,
    "P99999999D",
    "PT0.000001S",
    "-P5D",
    "P1D",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-12:00",
    "2026-03-10T12:00:00",
    "23:59:60",
    "12:00:00+05:00",
    "2026-02-30",
    [],
    {},
    [[]],
    {"": None},
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key in value:
            found += _places(value[key], (*path, key))
    elif isinstance(value, list):
        for at in range(len(value)):
            found += _places(value[at], (*path, at))
    return found


def _at(file: Plan, path: tuple[Any, ...]) -> Any:
    here: Any = file
    for step in path[:-1]:
        here = here[step]
    return here


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a plan, for attempts of which none may change anything."""

    def by(*words: str) -> Said:
        return Said(errors.run(list(words)), "", "")

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        patched.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
        site = Reviewed(Shop(tmp_path_factory.mktemp("kept"), by))
        site("run", "--until-idle", *T1)
        _saved(site, "shortTerm: {retention: 5d,", "shortTerm: {expressFull: {times: ['20:00']}, retention: 1d,")
    return site.root


@settings(
    max_examples=3_000 if PROVE else 40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=strategies.data())
def test_any_value_in_a_plan_ends_in_a_clear_answer(
    kept: Path, data: strategies.DataObject, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each value of the file replaced by any other: shown, approved or applied, it ends with what is wrong or with what
    it waits for, in time, and changes nothing."""
    plan = json.loads((kept / "plan.json").read_text())
    places = [path for path in _places(plan) if path[0] != "seal"]
    for _ in range(data.draw(strategies.integers(1, 2))):
        path = data.draw(strategies.sampled_from(places))
        with suppress(KeyError, IndexError, TypeError):
            _at(plan, path)[path[-1]] = data.draw(strategies.sampled_from(STRANGE))
    (kept / "forged.json").write_text(sealed(plan))
    file, root = str(kept / "forged.json"), ("-C", str(kept))
    command = data.draw(
        strategies.sampled_from(
            [
                ("show", file),
                ("apply", file, "--yes", *T1, *root),
                ("approve", "--plan", file, "--by", ALICE, *BY, "--out", str(kept / "approval.yaml"), *root),
            ]
        )
    )
    (kept / "approval.yaml").unlink(missing_ok=True)
    code = errors.run(list(command))
    said = capsys.readouterr()
    assert "RCL9001" not in said.out + said.err, said.err
    assert code in ((5, 6, 64) if command[0] == "apply" else (0, 6, 64)), (command, said.err)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("retention", "P99999999D"),
        ("retention", "P449D"),
        ("retention", "PT23H"),
        ("minimumPoints", 2),
        ("minimumPoints", 449),
        ("minimumPoints", 2**40),
        ("synchronization", "PT1S"),
        ("expressFull", {"times": ["12:00:00"], "daysOfMonth": [31], "months": ["Feb"]}),
        ("expressFull", {"times": ["12:00:00+01:00"]}),
        ("expressFull", {"times": []}),
        ("rpo", "PT0S"),
    ],
)
def test_what_no_policy_can_say_no_plan_can(site: Reviewed, field: str, value: Any) -> None:
    def stretched(file: Plan) -> None:
        file["plan"]["steps"][0]["action"]["after"]["shortTerm"][field] = value

    path = forge(_saved(site, new="retention: 9d"), stretched)
    for command in (("apply", str(path), "--yes", *T1), ("show", str(path))):
        said = site(*command) if command[0] == "apply" else site.shop.plain(*command)
        assert (said.code, "RCL3101" in said.err) == (6, True), said.err
    assert site.groups() == {"gold": ("P5D", 2)}


def test_a_pause_ends_as_the_day_says_that_people_read(site: Reviewed) -> None:
    """An approval is of the day; a moment that is years after it would never end."""

    def endless(file: Plan) -> None:
        pause = {"reason": "moved", "owner": ALICE, "until": "2026-03-20", "endsAt": "2126-03-21T00:00:00Z"}
        file["plan"]["steps"][0]["action"]["after"]["paused"] = pause

    path = forge(_saved(site, new="retention: 9d"), endless)
    said = site("apply", str(path), "--yes", *T1)
    assert (said.code, "paused" in said.err, "RCL3101" in said.err) == (6, True, True), said.err


@pytest.mark.parametrize("name", ["\x1b[31mred\n::error::x", "a_b", "x" * 65])
def test_nor_a_name(site: Reviewed, name: str) -> None:
    def called(file: Plan) -> None:
        action = file["plan"]["steps"][0]["action"]
        action["after"] |= {"displayName": name}

    def renamed(file: Plan) -> None:
        called(file)
        file["plan"]["steps"][0]["action"]["after"]["name"] = name

    saved = _saved(site, new="retention: 9d")
    for change in (called, renamed):
        said = site("apply", str(forge(saved, change)), "--yes", *T1)
        assert (said.code, "RCL3101" in said.err, "\x1b" in said.err) == (6, True, False), said.err


def test_without_the_look_at_values_it_ends_in_a_trace(site: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `sound.wrong_value` and `sound.wrong_group`."""
    for name in ("wrong_value", "wrong_group"):
        monkeypatch.setattr(recompute, name, lambda *words: "")

    def huge(file: Plan) -> None:
        file["plan"]["steps"][0]["action"]["after"]["shortTerm"]["retention"] = "P99999999D"

    assert site("run", "--until-idle", *T1).code == 0
    said = site("apply", str(forge(_saved(site, new="retention: 9d"), huge)), "--yes", *T1)
    assert "RCL9001" in said.err


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
        file["plan"]["names"] = dict.fromkeys(file["plan"]["names"], "a harmless test virtual machine")

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
    """The defence that the tests above rest on: `_change`, which tells a step by its action; and the look at what the
    file tells."""
    monkeypatch.setattr(agreement, "told_otherwise", lambda plan: ())
    path = forge(_saved(site), _relabelled)
    told = json.loads(path.read_text())["plan"]["steps"][0]["change"]
    real = recompute._change

    def believing(action: Any) -> Any:
        change = real(action)
        milder = tuple(msgspec.structs.replace(each, direction=Direction.STRENGTHENS) for each in change.fields)
        return msgspec.structs.replace(change, fields=milder, direction=Direction.STRENGTHENS, group=told["group"])

    monkeypatch.setattr(recompute, "_change", believing)
    said = site("apply", str(path), "--yes", *T1)
    assert said.code == 0, said.err
    assert site.groups() == {"gold": ("P1D", 2)}
