"""The saved plan as others read it: its schema, its page of the reference, its hashes, and newer versions of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft7Validator, FormatChecker

from reconciler.control.observe import Observation
from reconciler.control.planning import plan_file
from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import (
    Action,
    Adopt,
    Change,
    CreateGroup,
    Direction,
    ExistingPoints,
    FieldChange,
    KnownMember,
    Origin,
    Plan,
    ProtectionGroup,
    Reason,
    Remembrance,
    RenameGroup,
    SavedPlan,
    Step,
    StopProtection,
    UpdateGroup,
    Verb,
)
from reconciler.model.impact import Cost, Impact, MachineImpact, PointFate, VolumeImpact
from reconciler.model.plans import Approved, Wave
from reconciler.parse.schema import plan_schema
from tests.control.test_perpetual import Theatre, read, theatre
from tests.control.test_perpetual import embedded as embedded_engines
from tests.fakes import NOON, group
from tests.policy_strategies import Scene, Stage, histories
from tests.shop import Shop
from tests.worlds import machine

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "plan-format.md").read_text(encoding="utf-8")
T1 = ("--now", "2026-03-10T12:00Z")
VALIDATOR = Draft7Validator(plan_schema(), format_checker=FormatChecker(formats=("date",)))

#: Every type that stands in a saved plan and has fields of its own there.
DESCRIBED = (
    SavedPlan,
    Origin,
    Plan,
    Step,
    Change,
    FieldChange,
    Wave,
    Approved,
    Impact,
    MachineImpact,
    PointFate,
    VolumeImpact,
    Cost,
    Diagnostic,
    Remembrance,
    KnownMember,
    ProtectionGroup,
    CreateGroup,
    UpdateGroup,
    RenameGroup,
    StopProtection,
    Adopt,
)


def _wrong(text: str | bytes) -> list[str]:
    return [f"{list(error.absolute_path)}: {error.message}" for error in VALIDATOR.iter_errors(json.loads(text))]


def _sha256(value: Any) -> str:
    """Of canonical JSON, by nothing of ours."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _sealed(told: dict[str, Any]) -> str:
    return json.dumps(told | {"seal": _sha256(told | {"seal": ""})})


def full() -> SavedPlan:
    """A plan in which every field of every type has a value, with every sort of action."""
    source, other = machine(1, "one").source("hci-01"), machine(2, "two").source("hci-01")
    before, after = group("gold", source), group("gold", other, deletion_protection=True)
    place = Location("policies/a.yaml", 3, 5)
    finding = Diagnostic("RCL3001", Severity.WARNING, "m", "r", place, "s", (place,))
    field = FieldChange(
        "shortTerm.retention", "5d", "2d", Direction.WEAKENS, Reason.CHANGED_OUTSIDE, place, True, "n", "sha256:0", "a"
    )
    impact = Impact(
        (MachineImpact(source, 9, 1, 2, 3, NOON, NOON, NOON, NOON, 5),),
        (PointFate("p", source, NOON, 5, NOON, None, NOON, 2),),
        exact=False,
    )
    known = KnownMember(source, "one", {"a": "b"}, "n1", ("csv-01",), ("windows",), "none")
    remember = Remembrance((known,), "abc", {"tier": "gold"}, {"kind": "ProtectionGroup"})
    actions: tuple[Action, ...] = (
        CreateGroup("mabs-01", after),
        UpdateGroup("mabs-01", "pg-1", before, after),
        RenameGroup("mabs-01", "pg-1", before, after),
        StopProtection("mabs-01", "pg-1", before, ExistingPoints.EXPIRE_NOW),
        Adopt("mabs-01", "pg-1", before),
    )
    change = Change(
        "mabs-01", "gold", Verb.UPDATE, Reason.ADOPTED, Direction.DESTROYS, (field,), before, after, "pg-1", place
    )
    steps = tuple(
        Step(str(number), action, change, remember, 2, impact, (finding,), Cost(1, 2, 3, 4), "ab", "cd")
        for number, action in enumerate(actions)
    )
    plan = Plan(
        "hq",
        NOON,
        steps,
        (finding,),
        {str(source): "one"},
        "ef",
        ("group gold",),
        (Wave(1, NOON), Wave(2, NOON, "the budget of the day is spent")),
        (VolumeImpact("mabs-01", "vol-a", 10, 5, 3, 1),),
        (Approved("a", "security@corp.example", "r", date(2027, 1, 1), ("sha256:0",), 12),),
    )
    return SavedPlan(Origin("me", "host", "1", "c0ffee", True, "CI", {"hci-01": NOON}), plan)


def test_a_plan_that_has_everything_fits_the_schema_and_comes_back(tmp_path: Path) -> None:
    plan = full()
    plan_file.save(tmp_path / "p", plan.plan, plan.origin)
    assert _wrong((tmp_path / "p").read_bytes()) == []
    assert msgspec.structs.replace(plan_file.read(tmp_path / "p"), seal="") == plan


def test_plans_that_chance_made_fit_the_schema(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(histories(3))
    def one(history: tuple[Stage, list[Scene]]) -> None:
        stage, scenes = history
        with theatre(stage, embedded_engines) as house:
            for scene in scenes:
                _one(house, scene)

    def _one(house: Theatre, scene: Scene) -> None:
        for cluster in scene.clusters:
            house.inventories[cluster.name].cluster = cluster
        policies = read(scene)
        site = house.site(policies)
        plan = house.apply(site, policies).plan
        origin = plan_file.origin_of(site, Observation(NOON, {}, {}, ()))
        plan_file.save(tmp_path / "p", plan, origin)
        assert _wrong((tmp_path / "p").read_bytes()) == []
        assert plan_file.read(tmp_path / "p").plan == plan
        told = json.loads((tmp_path / "p").read_bytes())
        assert told["seal"] == _sha256(told | {"seal": ""})
        assert told["plan"]["planHash"] == _sha256([step["action"] for step in told["plan"]["steps"]])
        seen.update(str(step.change.verb) for step in plan.steps)

    one()
    assert {"create", "update", "stop"} <= set(seen)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda told: told.pop("origin"),
        lambda told: told.update(kind="Plan"),
        lambda told: told.update(formatVersion="2.0"),
        lambda told: told["plan"]["steps"][0]["action"].update(action="deleteGroup"),
        lambda told: told["plan"]["steps"][0].update(wave="2"),
        lambda told: told["plan"]["steps"][0]["change"].pop("verb"),
        lambda told: told["plan"]["approvals"][0].update(until="soon"),
    ],
)
def test_the_schema_refuses_what_is_no_plan(spoil: Any, tmp_path: Path) -> None:
    plan = full()
    plan_file.save(tmp_path / "p", plan.plan, plan.origin)
    told = json.loads((tmp_path / "p").read_bytes())
    spoil(told)
    assert _wrong(json.dumps(told))


def test_a_newer_minor_version_is_shown_and_a_newer_major_one_refused(shop: Shop) -> None:
    path = shop.root / "plan.json"
    assert shop("plan", "--out", str(path), *T1).code == 0
    told = json.loads(path.read_bytes())
    plain = shop.plain("show", str(path)).out
    told["formatVersion"] = told["plan"]["formatVersion"] = "1.9"
    told["novelty"] = told["origin"]["novelty"] = told["plan"]["novelty"] = {"a": [1]}
    told["plan"]["steps"][0]["novelty"] = told["plan"]["steps"][0]["action"]["novelty"] = "x"
    path.write_text(_sealed(told), encoding="utf-8")
    assert _wrong(path.read_bytes()) == []
    said = shop.plain("show", str(path))
    assert (said.code, said.out) == (0, plain)
    assert shop.plain("show", str(path), "--output", "json").code == 0
    path.write_text(_sealed(told).replace('"x"', '"y"', 1), encoding="utf-8")
    assert "RCL3041" in shop.plain("show", str(path)).err
    path.write_text(_sealed(told | {"formatVersion": "2.0"}), encoding="utf-8")
    for words in (("show", str(path)), ("apply", str(path), "--yes", "-C", str(shop.root), *T1)):
        refused = shop.plain(*words)
        assert refused.code == 6
        assert "RCL3040" in refused.err


def test_the_schema_is_printed(shop: Shop) -> None:
    said = shop.plain("schema", "--kind", "SavedPlan")
    assert said.code == 0
    assert said.out == (ROOT / "schemas" / "plan.schema.json").read_text(encoding="utf-8")
    assert "additionalProperties" not in said.out.replace('"additionalProperties": {', "")


@pytest.mark.parametrize("kind", DESCRIBED, ids=lambda kind: kind.__name__)
def test_every_field_is_on_the_page(kind: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        assert any(f"{name}{end}" in PAGE for end in ("`", "[]`", "[].")), f"{kind.__name__}.{name}"


def test_the_example_on_the_page_is_a_saved_plan(tmp_path: Path) -> None:
    example = PAGE.partition("```json\n")[2].partition("\n```")[0]
    assert _wrong(example) == []
    (tmp_path / "p").write_text(example, encoding="utf-8")
    step = plan_file.read(tmp_path / "p").plan.steps[0]
    told = json.loads(example)
    assert told["plan"]["planHash"] == _sha256([each["action"] for each in told["plan"]["steps"]])
    for held, value in ((step.base_hash, step.change.before), (step.desired_hash, step.change.after)):
        assert held == hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()
