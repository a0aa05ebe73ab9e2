"""The tools around policies: formats, fmt, init, schema, members, coverage, import, guardrails, as people use them."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator, Draft7Validator

from reconciler.parse.fmt import formatted
from reconciler.parse.load import load
from tests.shop import Said, Shop

ROOT = Path(__file__).parent.parent.parent
SARIF = ROOT / "tests" / "data" / "sarif-schema-2.1.0.json"
T1 = ("--now", "2026-03-10T12:00Z")


# --- Formats of validate ---------------------------------------------------------------------------------------


def _broken(shop: Shop) -> None:
    shop.policy("retention: 5d", "retentoin: 5d")


def test_sarif_is_valid_and_points_at_the_line(shop: Shop) -> None:
    _broken(shop)
    said = shop("validate", "--output", "sarif")
    assert said.code == 65
    told = json.loads(said.out)
    Draft4Validator(json.loads(SARIF.read_text(encoding="utf-8"))).validate(told)
    (run,) = told["runs"]
    assert "RCL1016" in {result["ruleId"] for result in run["results"]}
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "policies/site.yaml"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == sorted({r["ruleId"] for r in run["results"]})


def test_sarif_of_nothing_is_valid(shop: Shop) -> None:
    told = json.loads(shop("validate", "--output", "sarif").out)
    Draft4Validator(json.loads(SARIF.read_text(encoding="utf-8"))).validate(told)


def test_junit_has_a_case_for_each_file(shop: Shop) -> None:
    _broken(shop)
    (shop.root / "policies" / "fine.yaml").write_text("# nothing\n")
    tree = ET.fromstring(shop("validate", "--output", "junit").out)
    cases = {case.get("name"): case for case in tree.iter("testcase")}
    assert set(cases) == {"policies/site.yaml", "policies/fine.yaml"}
    assert cases["policies/site.yaml"].find("failure") is not None
    assert cases["policies/fine.yaml"].find("failure") is None


def test_annotations_of_github_and_azure(shop: Shop) -> None:
    _broken(shop)
    github = shop("validate", "--output", "github").out
    assert github.startswith("::error file=policies/site.yaml,line=")
    assert "title=RCL1016::unknown field" in github
    azure = shop("validate", "--output", "azure").out
    assert azure.startswith("##vso[task.logissue type=error;code=RCL1016;sourcepath=policies/site.yaml;linenumber=")


# --- fmt -------------------------------------------------------------------------------------------------------

_UGLY = """# about it
kind:   Exclusion   # the kind
apiVersion: reconciler/v1
metadata:    {name: x}
spec:
    site: hq
    virtualMachines:
        cluster: hci-01
        names:
        - a      # the first
        # between
        - "b"
    reason:  r
    owner: o
    until: 2099-01-01



"""


def test_fmt_keeps_comments_and_meaning(tmp_path: Path, run: Callable[..., Said]) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(_UGLY)
    assert run("fmt", "--check", str(path)).code == 2
    assert path.read_text() == _UGLY
    assert run("fmt", str(path)).code == 0
    text = path.read_text()
    assert [word for word in ("# about it", "# the kind", "# the first", "# between") if word not in text] == []
    assert "      - a" in text
    (before,), (after,) = load("x", _UGLY.encode())[0], load("x", text.encode())[0]
    assert before.root.plain() == after.root.plain()
    assert run("fmt", "--check", str(path)).code == 0


def test_fmt_leaves_a_wrong_file_alone(tmp_path: Path, run: Callable[..., Said]) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\na:   2\n")
    said = run("fmt", str(path))
    assert said.code == 65
    assert "RCL1007" in said.err
    assert path.read_text() == "a: 1\na:   2\n"


_scalars = st.sampled_from(["a", '"22:00"', "'x'", "14d", "5", "true", "2099-01-01", '""', "a b"])
_comments = st.sampled_from(["", "", "  # why", "   #  because"])


@st.composite
def _documents(draw: st.DrawFn, depth: int = 0, indent: str = "") -> str:
    lines = []
    for key in draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)):
        comment = draw(_comments)
        if draw(st.booleans()) and draw(st.booleans()):
            lines.append(f"{indent}# about {key}")
        match draw(st.integers(0, 3 if depth < 2 else 1)):
            case 0:
                lines.append(f"{indent}{key}: {draw(_scalars)}{comment}")
            case 1:
                items = ", ".join(draw(st.lists(_scalars, max_size=3)))
                lines.append(f"{indent}{key}:  [{items}]{comment}")
            case 2:
                lines.append(f"{indent}{key}:{comment}")
                step = draw(st.sampled_from(["", "  ", "    "]))
                lines += [f"{indent}{step}- {each}" for each in draw(st.lists(_scalars, min_size=1, max_size=3))]
            case _:
                lines.append(f"{indent}{key}:{comment}")
                lines.append(draw(_documents(depth + 1, indent + draw(st.sampled_from(["  ", "   ", "    "])))))
    return "\n".join(lines)


@given(st.lists(_documents(), min_size=1, max_size=3))
def test_fmt_is_idempotent_and_changes_no_meaning(parts: list[str]) -> None:
    text = ("\n---\n".join(parts) + "\n").encode()
    documents, wrong = load("x.yaml", text)
    if wrong:
        return
    after, found = formatted("x.yaml", text)
    assert not found
    again, mistakes = load("x.yaml", after)
    assert not mistakes
    assert [each.root.plain() for each in again] == [each.root.plain() for each in documents]
    assert formatted("x.yaml", after) == (after, ())
    assert after.decode().count("#") == text.decode().count("#")


def test_fmt_leaves_line_ends_as_windows_writes_them() -> None:
    """Git for Windows does, by default, and a check of the layout on a runner there would fail for all files."""
    unix = b"kind: Site\nspec:\n    a: [1,  2]   # why\n"
    (after, found), (windows, also) = (formatted("x", each) for each in (unix, unix.replace(b"\n", b"\r\n")))
    assert (found, also) == ((), ())
    assert windows == after.replace(b"\n", b"\r\n")
    assert formatted("x", windows) == (windows, ())
    mixed = after.replace(b"\n", b"\r\n", 1)
    assert formatted("x", mixed) == (after, ())


@given(st.binary(max_size=200))
def test_fmt_never_raises_and_never_loses_anything(data: bytes) -> None:
    after, _ = formatted("x.yaml", data)
    if after != data:
        assert [d.root.plain() for d in load("x", after)[0]] == [d.root.plain() for d in load("x", data)[0]]


def test_every_value_with_its_origin(shop: Shop) -> None:
    said = shop("fmt", "--explain")
    assert said.code == 0
    assert "shortTerm.minimumPoints: 3  # default" in said.out
    assert "shortTerm.rpo: 2h  # default: the longest gap between points, plus 1h" in said.out
    assert "shortTerm.retention: 5d  # policies/site.yaml:" in said.out


# --- schema ----------------------------------------------------------------------------------------------


def test_schemas_in_one_piece(run: Callable[..., Said]) -> None:
    whole = json.loads(run("schema").out)
    Draft7Validator.check_schema(whole)
    assert not list(Draft7Validator(whole).iter_errors(json.loads(json.dumps(_exclusion()))))
    assert list(Draft7Validator(whole).iter_errors(_exclusion() | {"sepc": {}}))
    assert json.loads(run("schema", "--kind", "exclusion").out)["title"] == "reconciler/v1 Exclusion"
    assert run("schema", "--kind", "Backup").code == 64


def _exclusion() -> dict[str, Any]:
    spec = {"site": "hq", "virtualMachines": {"cluster": "c", "names": ["a"]}, "reason": "r", "owner": "o"}
    return {
        "apiVersion": "reconciler/v1",
        "kind": "Exclusion",
        "metadata": {"name": "x"},
        "spec": spec | {"until": "2099-01-01"},
    }


# --- members, coverage, preflight ------------------------------------------------------------------------------


def test_members_says_by_what(shop: Shop) -> None:
    told = json.loads(shop("members", "gold", "--output", "json").out)
    assert {(row["machine"], row["why"]) for row in told["members"]} == {("one", "name one"), ("two", "name two")}
    assert shop("members", "nobody").code == 64


def test_coverage_and_its_thresholds(shop: Shop, tmp_path: Path) -> None:
    exported = tmp_path / "inventory.json"
    assert shop("inventory", "snapshot", "--out", str(exported)).code == 0
    said = shop("coverage", "--inventory", str(exported), "--max-unprotected", "0")
    assert said.code == 0
    assert "What the servers hold was not checked" in said.out
    shop.policy("names: [one, two]", "names: [one]")
    said = shop("coverage", "--inventory", str(exported), "--max-unprotected", "0")
    assert said.code == 9
    assert "RCL6017" in said.err
    assert shop("coverage", "--min-protected", "50%", *T1).code == 9
    shop("run", "--until-idle", *T1)
    assert shop("coverage", "--min-protected", "50%", *T1).code == 0
    assert shop("coverage", "--min-protected", "51%", *T1).code == 9
    told = json.loads(shop("coverage", "--output", "json", *T1).out)
    counts = {state: number for state, number in told["counts"].items() if number}
    assert counts == {"protected": 1, "unprotected": 1}
    assert shop("coverage", "--min-protected", "most").code == 64


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"formatVersion": "2.0", "kind": "Inventory", "clusters": []}'])
def test_an_inventory_that_is_none(shop: Shop, tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    said = shop("coverage", "--inventory", str(path))
    assert said.code == 6
    assert "RCL2021" in said.err
    assert shop("coverage", "--inventory", str(tmp_path / "none")).code == 69


def test_preflight_fails_for_what_backups_need(shop: Shop) -> None:
    assert shop("preflight").code == 0
    node = next((shop.root / "cluster" / "nodes").glob("*.json"))
    told = json.loads(node.read_text())
    node.write_text(json.dumps(told | {"agent": {"state": "missing"}}))
    said = shop("preflight")
    assert said.code == 6
    assert "RCL2210" in said.out
    assert "affects one, two" in said.out


# --- import ----------------------------------------------------------------------------------------------------


def test_what_is_imported_is_what_is_there(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    text = (shop.root / "policies" / "site.yaml").read_text()
    (shop.root / "policies" / "site.yaml").write_text(text.partition("\n---\n")[0] + "\n")
    for path in (shop.root / "var").glob("*.db*"):
        path.unlink()
    shutil.rmtree(shop.root / "var" / "state", ignore_errors=True)
    said = shop("import")
    assert said.code == 0, said.err
    lost = shop("plan", *T1)
    assert (lost.code, "RCL3012" in lost.err) == (6, True)
    assert shop("apply", "--yes", *T1).code == 6
    plan = json.loads(shop("plan", "--adopt", "*", "--output", "json", *T1).out)
    assert {step["action"]["action"] for step in plan["steps"]} == {"adopt"}
    assert shop("import").code == 64


# --- guardrails ------------------------------------------------------------------------------------------------

_RULE = """---
apiVersion: reconciler/v1
kind: Guardrail
metadata: {name: long}
spec:
  match: {kinds: [ProtectionGroup]}
  validations: [{expression: "object.spec.shortTerm.retention >= duration('240h')", message: ten days}]
  enforce: ENFORCE
"""


@pytest.mark.parametrize(("enforce", "code", "validated"), [("deny", 4, 4), ("approve", 5, 0), ("warn", 0, 0)])
def test_a_guardrail_over_policies(shop: Shop, enforce: str, code: int, validated: int) -> None:
    path = shop.root / "policies" / "rule.yaml"
    path.write_text(_RULE.replace("ENFORCE", enforce))
    assert shop("validate").code == validated
    said = shop("apply", "--yes", *T1)
    assert said.code == code
    assert "ten days" in said.out + said.err
    shop.policy("retention: 5d", "retention: 10d")
    assert shop("apply", "--yes", *T1).code == 0


def test_a_guardrail_over_changes(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    rule = _RULE.replace("ENFORCE", "deny").replace(
        "{kinds: [ProtectionGroup]}", "{kinds: [ProtectionGroup], operations: [update]}"
    )
    rule = rule.replace("object.spec.shortTerm.retention >= duration('240h')", "change.direction != 'weakens'")
    (shop.root / "policies" / "rule.yaml").write_text(rule)
    assert shop("plan", *T1).code == 0
    shop.policy("retention: 5d", "retention: 2d")
    assert shop("plan", *T1).code == 4


@pytest.mark.parametrize(
    ("expression", "where"),
    [("object.spec.nothing >= 1", "RCL3034"), ("1", "RCL3034"), ("objekt.x", "RCL1072"), ("object.a &&", "RCL1072")],
)
def test_a_rule_that_cannot_be_asked_denies(shop: Shop, expression: str, where: str) -> None:
    text = _RULE.replace("ENFORCE", "warn").replace("object.spec.shortTerm.retention >= duration('240h')", expression)
    (shop.root / "policies" / "rule.yaml").write_text(text)
    said = shop("validate")
    assert said.code in (4, 65)
    assert where in said.out


def test_a_duration_of_policies_in_a_rule_is_told_where_it_stands(shop: Shop) -> None:
    rule = _RULE.replace("ENFORCE", "deny").replace("duration('240h')", "duration('14d')")
    (shop.root / "policies" / "rule.yaml").write_text(rule)
    lines = rule.splitlines()
    line = next(number for number, text in enumerate(lines, start=1) if "14d" in text)
    said = shop("validate")
    assert said.code == 65
    place = f"policies/rule.yaml:{line}:{lines[line - 1].index('14d') + 1}"
    assert f"{place}: error[RCL1072]: expression: '14d' is not a duration to CEL" in said.out, (place, said.out)
    assert "write 336h" in said.out


def test_a_duration_of_policies_in_params_is_told_where_it_is_read(shop: Shop) -> None:
    rule = _RULE.replace("ENFORCE", "warn").replace("duration('240h')", "duration(params.least)")
    rule = rule.replace("  validations:", "  params: {least: 14d}\n  validations:")
    (shop.root / "policies" / "rule.yaml").write_text(rule)
    lines = (shop.root / "policies" / "rule.yaml").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, start=1) if "params.least" in text)
    said = shop("validate")
    assert said.code == 4
    column = lines[line - 1].index('"object.spec') + 1
    assert f"policies/rule.yaml:{line}:{column}" in said.out, said.out
    assert "also policies/site.yaml:" in said.out
    assert "no d: write duration('336h') for 14 days" in said.out


def test_cases_of_guardrails(run: Callable[..., Said], tmp_path: Path) -> None:
    said = run("policy", "test", "-C", str(ROOT))
    assert said.code == 0
    assert "0 failed" in said.out
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("guardrail: gold-keeps-14-days\ncases: [{name: case, object: {}, expect: deny}]\n")
    said = run("policy", "test", str(wrong), "-C", str(ROOT))
    assert said.code == 1
    assert "expected deny, got allow" in said.out
    wrong.write_text("guardrail: none\ncases: [{name: case, object: {}, expect: deny}]\n")
    assert run("policy", "test", str(wrong), "-C", str(ROOT)).code == 65
