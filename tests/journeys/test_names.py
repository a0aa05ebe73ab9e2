"""Names and patterns through the commands: one answer everywhere, and an answer in time."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

from tests.fakes import machine_id
from tests.shop import Said, Shop, run, shop
from tests.support.hangs import no_longer_than_a_minute

__all__ = ["no_longer_than_a_minute", "run", "shop"]

CASES = Path(__file__).parent.parent / "cases"
T1 = ("--now", "2026-03-10T12:00Z")
STARS = "*a" * 14 + "*b"


def test_names_and_except_mean_the_same_by_a_letter(tmp_path: Path, run: Callable[..., Said]) -> None:
    """İ is not i, ı is not I: the group istanbul has one machine, the group rest the two others, and none has none."""
    site = shutil.copytree(CASES / "bugs/two-meanings-of-without-regard-to-case/site", tmp_path / "site")
    for config in site.rglob("vm.json"):
        (config.parent / "d.raw").write_bytes(b"x" * 5000)
    said = run("members", "istanbul", "-C", str(site), "--output", "json")
    names = {row["machine"] for row in json.loads(said.out)["members"]}
    said = run("members", "rest", "-C", str(site), "--output", "json")
    rest = {row["machine"] for row in json.loads(said.out)["members"]}
    every = {json.loads(config.read_text(encoding="utf-8"))["name"] for config in site.rglob("vm.json")}
    assert len(every) == 3
    assert {name for name in every if name[0] in "iI"} == names
    assert rest == every - names
    assert run("apply", "--yes", "-C", str(site), *T1).code == 0
    rows = json.loads(run("coverage", "--all", "--output", "json", "-C", str(site), *T1).out)["machines"]
    assert {row["name"]: row["group"] for row in rows} == {
        name: "istanbul" if name in names else "rest" for name in every
    }


def test_a_pattern_of_many_stars_is_answered(tmp_path: Path, run: Callable[..., Said]) -> None:
    site = shutil.copytree(CASES / "policies/v10-pattern-of-many-stars", tmp_path / "site")
    assert run("validate", "-C", str(site)).code == 0
    assert run("plan", "-C", str(site)).code in (0, 2)


def test_a_pattern_of_many_stars_is_compared(tmp_path: Path, run: Callable[..., Said]) -> None:
    site = shutil.copytree(CASES / "policies/d05-pattern-of-many-stars", tmp_path / "site")
    assert run("diff", str(site / "a"), str(site / "b")).code == 5


def test_many_stars_in_a_selector_an_exclusion_a_guardrail_and_adopt(shop: Shop) -> None:
    shop.cluster.add(3, "a" * 40)
    exclusion = {
        "apiVersion": "reconciler/v1",
        "kind": "Exclusion",
        "metadata": {"name": "ex"},
        "spec": {
            "site": "hq",
            "virtualMachines": {"cluster": "hci-01", "names": [STARS]},
            "reason": "being taken down",
            "owner": "infra",
            "until": "2029-12-31",
        },
    }
    rule = {
        "apiVersion": "reconciler/v1",
        "kind": "Guardrail",
        "metadata": {"name": "g"},
        "spec": {
            "match": {"kinds": ["ProtectionGroup"], "names": ["*i" * 20 + "*b"]},
            "validations": [{"expression": "true", "message": "m"}],
            "enforce": "deny",
        },
    }
    for name, document in (("ex", exclusion), ("rule", rule)):
        (shop.root / f"policies/{name}.yaml").write_text(json.dumps(document), encoding="utf-8")
    assert shop("validate").code == 0
    assert shop("plan", "--adopt", STARS, *T1).code in (0, 2)
    assert shop("apply", "--yes", *T1).code == 0
    assert shop("run", "--once", *T1).code == 0
    assert shop("coverage", *T1).code == 0


def test_a_machine_is_found_however_its_name_is_composed_and_two_alike_are_told_apart_by_their_ids(shop: Shop) -> None:
    shop.cluster.add(3, "b\u00fcro")
    shop.cluster.add(4, "Kiel")
    shop.policy("one, two", "one, two, B\u00dcRO, kiel")
    assert shop("apply", "--yes", *T1).code == 0
    assert shop("run", "--until-idle", *T1).code == 0
    out = shop.root / "out"
    for name in ("BÜRO", unicodedata.normalize("NFD", "büro"), "KIEL", machine_id(3).upper()):
        assert shop("recover", name, "--to", str(out / name), "--yes", *T1).code == 0, name
    shop.cluster.add(4, "BU\u0308RO")
    said = shop("recover", "büro", "--to", str(out / "none"), "--yes", *T1)
    assert said.code == 64
    assert machine_id(3) in said.err
    assert machine_id(4) in said.err
