"""Reports of plans on the command line: several in one run, one that fails is never hidden, bad words are refused."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from reconciler.cli.options import PlanFormat
from tests.shop import Shop

T1 = ("--now", "2026-03-10T12:00Z")


def _reports(folder: Path) -> list[str]:
    return [word for each in PlanFormat for word in ("--report", f"{each}={folder / f'plan.{each}'}")]


def test_several_reports_in_one_run(shop: Shop) -> None:
    assert shop("plan", *T1, *_reports(shop.root)).code == 0
    for each in PlanFormat:
        path = shop.root / f"plan.{each}"
        assert path.read_text(encoding="utf-8")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads((shop.root / "plan.json").read_text())["site"] == "hq"
    assert ET.parse(shop.root / "plan.junit").find(".//testcase[@name='mabs-01/gold']") is not None
    assert (shop.root / "plan.markdown").read_text().startswith("<!-- reconciler:plan site=hq -->\n")
    assert (shop.root / "plan.text").read_text() == shop("plan", *T1).out


@pytest.mark.parametrize("bad", ["nowhere/plan.html", "folder", "n" * 300])
def test_a_report_that_fails_is_exit_1_and_the_others_are_there(shop: Shop, bad: str) -> None:
    (shop.root / "folder").mkdir()
    after = shop.root / "after.md"
    said = shop("plan", *T1, "--report", f"html={shop.root / bad}", "--report", f"markdown={after}")
    assert said.code == 1
    assert "RCL0013" in said.err
    assert bad in said.err
    assert "to create" in said.out
    assert "to create" in after.read_text()
    assert shop("plan", *T1, "--detailed-exitcode", "--report", f"html={shop.root / bad}").code == 1


def test_apply_does_its_work_and_says_what_was_not_written(shop: Shop) -> None:
    said = shop("apply", "--yes", *T1, "--report", f"html={shop.root / 'nowhere' / 'x'}", *_reports(shop.root))
    assert said.code == 1
    assert "RCL0013" in said.err
    assert "Applied 1 step" in said.out
    assert shop("plan", "--detailed-exitcode", *T1).code == 0
    assert "create" in (shop.root / "plan.text").read_text()
    shop.policy("retention: 5d", "retention: 2d")
    refused = shop("apply", "--yes", *T1, "--report", f"html={shop.root / 'nowhere' / 'x'}")
    assert refused.code == 1
    assert "RCL0013" in refused.err
    assert shop("apply", "--yes", *T1).err.strip() in refused.err


def test_a_saved_plan_in_every_format(shop: Shop) -> None:
    path = shop.root / "saved.json"
    shop("plan", "--out", str(path), *T1)
    for each in PlanFormat:
        said = shop.plain("show", str(path), "--output", each, *_reports(shop.root))
        assert said.code == 0
        assert (shop.root / f"plan.{each}").read_text() == said.out
    said = shop("apply", str(path), "--yes", *T1, "--report", f"text={shop.root / 'applied.txt'}")
    assert said.code == 0, said.err
    assert "Saved plan, made by" in (shop.root / "applied.txt").read_text()


def test_only_and_how_long(shop: Shop) -> None:
    said = shop("plan", *T1, "--only", "weakens, destroys")
    assert "1 step is not shown: only destroys, weakens is asked for." in said.out
    assert "create gold" not in said.out
    assert "create gold" in shop("plan", *T1, "--only", "strengthens").out
    for number in range(40):
        shop.cluster.add(10 + number, f"{'machine' * 9}-{number}")
    shop.policy("names: [one, two]", 'names: ["*"]')
    written = shop.root / "plan.md"
    words = ("--output", "markdown", "--max-bytes", "2000", "--report", f"markdown={written}")
    assert "Shortened to fit" in shop("plan", *T1, *words).out
    assert len(written.read_bytes()) <= 2000


@pytest.mark.parametrize(
    "words",
    [
        ("--report", "markdown"),
        ("--report", "pdf=plan.pdf"),
        ("--report", "html="),
        ("--report", "html=-"),
        ("--report", "html=same", "--report", "text=./same"),
        ("--only", "worse"),
        ("--only", "weakens", "--output", "json"),
        ("--max-bytes", "10"),
    ],
    ids=" ".join,
)
def test_bad_words_are_refused_before_anything_is_done(shop: Shop, words: tuple[str, ...]) -> None:
    said = shop("plan", *T1, *words)
    assert said.code == 64
    assert "RCL0003" in said.err
    assert said.out == ""


def test_a_reader_that_goes_away_hides_nothing(shop: Shop) -> None:
    words = [sys.executable, "-m", "reconciler", "plan", "-C", str(shop.root), *T1]
    words += ["--report", f"html={shop.root / 'nowhere' / 'x'}", "--report", f"text={shop.root / 'there'}"]
    ended = subprocess.run(
        ["sh", "-c", 'exec 3>&1; { "$@"; echo $? >&3; } | true', "sh", *words],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.stdout.strip() == "1"
    assert (shop.root / "there").exists()
