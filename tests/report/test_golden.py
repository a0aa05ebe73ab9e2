"""Golden texts of what people read. `pytest tests/report --snapshot-update` writes them anew; look at them then."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.cli.actions.validate import explain
from reconciler.cli.options import Format
from reconciler.errors import codes
from tests.shop import Said, Shop
from tests.support.html_page import settled

T1 = ("--now", "2026-03-10T12:00Z")
T2 = ("--now", "2026-03-10T17:00Z")


def _settled(text: str) -> str:
    """Without what differs from machine to machine: free space, ids of runs, the folder of the test, which of the jobs
    that run at once ends first and after how many ticks."""
    text = re.sub(r"\d+ ticks?", "N ticks", text)
    text = re.sub(r"(?m)(?:^  succeeded  .*\n){2,}", lambda found: "".join(sorted(found[0].splitlines(True))), text)
    text = re.sub(r"\d+(\.\d+)? [KMGT]iB\n", "FREE\n", text)
    text = re.sub(r"run \d{8}T\d{6}Z-[0-9a-f]{6}", "run RUN", text)
    return re.sub(r"/\S*/test_\S*?/(?=policies|cluster)", "ROOT/", text)


def test_the_journey(shop: Shop, snapshot: SnapshotAssertion) -> None:
    shop.cluster.add(3, "three", notes="tier: iron")
    texts = [shop("plan", *T1).out, shop("apply", "--yes", *T1).out, shop("status", *T1).out]
    texts += [shop("run", "--until-idle", *T1).out, shop("status", *T1).out]
    shop.policy("retention: 5d, synchronization: 1h", "retention: 2d, synchronization: 15min")
    shop.policy("names: [one, two]", "names: [two, three, ghost-*]")
    shop.cluster.change(2, 1, seed=1)
    texts += [shop("plan", *T2).out, shop("run", "--until-idle", *T2).out, shop("plan", *T2).out]
    texts += [shop("points", "two").out, shop("jobs", "two").out]
    texts += [shop("recover", "one", "--to", "/nowhere/out", *T2).out]
    assert [_settled(text) for text in texts] == snapshot


def test_mistakes(shop: Shop, run: Callable[..., Said], snapshot: SnapshotAssertion) -> None:
    shop.policy("retention: 5d", "retentoin: 5m")
    shop.policy("prune: false", "prune: no")
    (shop.root / "policies" / "b.yaml").write_text("kind: Sight\n---\n- 1\n---\nkind: Exclusion\nmetadata: {name: X}\n")
    said = shop("validate")
    assert said.code == 65
    assert said.out + said.err == snapshot
    assert [run("frobnicate").err, run("plan", "--formt", "json").err, run("explain", "RCL9999").err] == snapshot


def test_every_explanation(capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion) -> None:
    said = []
    for code in sorted(codes()):
        explain(code, Format.text)
        said.append(capsys.readouterr().out)
    assert "\n".join(said) == snapshot


def test_what_is_read_before_anything_is_done(shop: Shop, snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    shop.cluster.add(3, "three", notes="tier: iron")
    exported = tmp_path / "inventory.json"
    shop("inventory", "snapshot", "--out", str(exported))
    shop.policy("names: [one, two]", 'names: ["t*"], except: [three]')
    offline = ("--inventory", str(exported))
    texts = [shop("members", "gold", *offline).out, shop("coverage", "--all", *offline).out]
    texts += [shop("preflight", "--all", *offline).out, shop("fmt", "--explain").out]
    assert texts == snapshot


def test_a_comparison(shop: Shop, snapshot: SnapshotAssertion, tmp_path: Path) -> None:
    exported = tmp_path / "inventory.json"
    shop("inventory", "snapshot", "--out", str(exported))
    shutil.copytree(shop.root / "policies", shop.root / "before" / "policies")
    shop.policy("names: [one, two]", "names: [two]")
    shop.policy("retention: 5d, synchronization: 1h", "retention: 2d, synchronization: 15min")
    (shop.root / "policies" / "x.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Exclusion\nmetadata: {name: scratch}\nspec: {site: hq, virtualMachines: "
        "{cluster: hci-01, names: [one]}, reason: <rebuilt> | nightly, owner: o, until: 2099-01-01}\n"
    )
    words = ("diff", "before", ".", "--author", "dev@corp.example", "--inventory", str(exported))
    texts = []
    for format in ("text", "markdown", "html", "json"):
        said = shop(*words, "--output", format)
        assert said.code == 5
        texts.append(settled(said.out))
    assert texts == snapshot
