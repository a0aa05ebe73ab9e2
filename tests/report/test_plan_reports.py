"""Plans in every format: golden texts, what comes from outside stays text, Markdown within its bytes, valid SARIF."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator
from markdown_it import MarkdownIt
from markdown_it.token import Token
from syrupy.assertion import SnapshotAssertion

from reconciler import __version__
from reconciler.cli.options import PlanFormat
from reconciler.cli.plan_reports import render
from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import (
    Change,
    CreateGroup,
    Direction,
    FieldChange,
    Impact,
    MachineImpact,
    Plan,
    Reason,
    Step,
    StopProtection,
    UpdateGroup,
    Verb,
    VolumeImpact,
    Wave,
)
from reconciler.report import coloured, plan_html, plan_markdown, plan_sarif, plan_text
from reconciler.report.escape import cell, code, md, safe
from reconciler.report.plan_markdown import MARKDOWN_LEAST
from reconciler.report.plan_words import by_risk
from reconciler.report.words import plain
from tests.plans import DAY, NAMES, NOW, ZONE, example, group, impact, saved, shortened, source
from tests.support.html_page import Page, settled

SARIF = Path(__file__).parent.parent / "data" / "sarif-schema-2.1.0.json"
GRAVE = (Direction.WEAKENS, Direction.DESTROYS)


@pytest.mark.parametrize("format", list(PlanFormat))
def test_every_format(format: PlanFormat, snapshot: SnapshotAssertion) -> None:
    text = render(saved(), format, ZONE).replace(f'"version": "{__version__}"', '"version": "VERSION"')
    assert settled(text) == snapshot


def test_only_what_weakens(snapshot: SnapshotAssertion) -> None:
    texts = [render(example(), each, ZONE, only=GRAVE) for each in (PlanFormat.text, PlanFormat.markdown)]
    assert texts == snapshot
    for text in (*texts, render(example(), PlanFormat.html, ZONE, only=GRAVE)):
        assert "4 steps are not shown: only destroys, weakens is asked for." in text
        assert "Bronze VMs" in text
        assert "Build farm" not in text


def test_a_plan_without_impact_waves_and_hashes(snapshot: SnapshotAssertion) -> None:
    """As it was before any of that was known."""
    bare = Plan("hq", NOW, tuple(_bare(step) for step in example().steps))
    assert [render(bare, PlanFormat.text, ZONE), render(bare, PlanFormat.markdown, ZONE)] == snapshot
    for format in PlanFormat:
        assert render(bare, format, ZONE)
        assert render(Plan("hq", NOW, ()), format, ZONE)
    assert "--yes does not cover it" in render(bare, PlanFormat.text, ZONE)


def _bare(step: Step) -> Step:
    fields = (msgspec.structs.replace(each, change_hash="", approved_by="") for each in step.change.fields)
    change = msgspec.structs.replace(step.change, fields=tuple(fields))
    return msgspec.structs.replace(step, change=change, impact=None, wave=1, hazards=())


def test_the_gravest_come_first_and_colours_are_only_colours() -> None:
    text = plan_text(example(), ZONE, plain)
    order = [text.index(each) for each in ("stop Bronze", "update Gold", "update Silver", "create ERP", "adopt Web")]
    assert order == sorted(order)
    assert re.sub(r"\x1b\[\d*m", "", plan_text(example(), ZONE, coloured)) == text


def test_many_machines_are_abbreviated() -> None:
    parts = [shortened(name, 14, 7) for name in NAMES]
    step = msgspec.structs.replace(example().steps[4], impact=impact(*parts))
    text = plan_text(msgspec.structs.replace(example(), steps=(step,)), ZONE, plain)
    assert f"and {len(NAMES) - 10} more virtual machines with {29 * (len(NAMES) - 10)} points at once" in text


# --- SARIF and JUnit -------------------------------------------------------------------------------------------


def test_sarif_is_valid_and_every_result_has_a_place() -> None:
    told = json.loads(plan_sarif(example(), "1.0"))
    Draft4Validator(json.loads(SARIF.read_text(encoding="utf-8"))).validate(told)
    (run,) = told["runs"]
    found = [(result["ruleId"], result["level"]) for result in run["results"]]
    assert found[:3] == [("RCL0015", "error"), ("RCL0014", "warning"), ("RCL0014", "error")]
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert places[1] == {
        "artifactLocation": {"uri": "policies/gold.yaml"},
        "region": {"startColumn": 1, "startLine": 2},
    }
    assert places[0]["artifactLocation"]["uri"] == "policies"
    empty = json.loads(plan_sarif(Plan("hq", NOW, ()), "1.0"))
    Draft4Validator(json.loads(SARIF.read_text(encoding="utf-8"))).validate(empty)


def test_a_code_of_a_newer_version_is_shown() -> None:
    newer = msgspec.structs.replace(example(), findings=(Diagnostic("RCL8999", Severity.WARNING, "new", "Wait."),))
    assert "RCL8999" in plan_sarif(newer, "1.0")


def test_junit_fails_what_needs_consent_or_has_an_error() -> None:
    wrong = Diagnostic("RCL3008", Severity.ERROR, "there already", "Rename it.", subject="web")
    plan = msgspec.structs.replace(example(), findings=(wrong,))
    tree = ET.fromstring(render(plan, PlanFormat.junit, ZONE))
    failed = {case.get("name"): case.find("failure") is not None for case in tree.iter("testcase")}
    assert failed == {
        "mabs-01/bronze": True,
        "mabs-01/gold": False,
        "mabs-01/silver": True,
        "mabs-01/erp": False,
        "mabs-01/platinum": False,
        "mabs-01/build-farm": False,
        "mabs-01/web": True,
        "findings": False,
    }


# --- HTML ------------------------------------------------------------------------------------------------------


def test_html_draws_every_step_and_volume() -> None:
    page = Page(plan_html(example(), ZONE))
    assert len(page.all("svg")) == 3 + len(example().volumes)
    assert len(page.all("article")) == len(example().steps)


def test_the_timeline_marks_what_expires_and_shades_what_stays() -> None:
    text = plan_html(example(), ZONE)
    gold = next(part for part in text.split("<article") if "Gold VMs" in part)
    assert len(re.findall(r"M[\d.]+ ", "".join(re.findall(r'class="once" d="([^"]*)"', gold)))) == 3 * 29
    assert len(re.findall(r"M[\d.]+ ", "".join(re.findall(r'class="sooner" d="([^"]*)"', gold)))) == 3 * 27
    before = re.findall(r'class="before" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', gold)
    after = re.findall(r'class="after" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', gold)
    assert len(before) == len(after) == 3
    for (x, width), (later, less) in zip(before, after, strict=True):
        assert float(later) > float(x)
        assert float(later) + float(less) == pytest.approx(float(x) + float(width), abs=0.2)


def test_a_timeline_draws_fifty_machines() -> None:
    machines = tuple(
        MachineImpact(
            msgspec.structs.replace(source("web-01"), machine=f"m-{number:03d}"), 4, 1, oldest_before=NOW - DAY
        )
        for number in range(60)
    )
    step = msgspec.structs.replace(example().steps[4], impact=Impact(machines))
    text = plan_html(msgspec.structs.replace(example(), steps=(step,)), ZONE)
    assert text.count("1 of 4 at once</text>") == 50
    assert "10 more virtual machines are not drawn" in text


# --- Properties ------------------------------------------------------------------------------------------------

NASTY = [
    "</article><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }} {% raw %}",
    "a|b`c``d|",
    "[link](https://evil.example) ![x](y)",
    "@everyone & <b>bold</b> **strong** _em_ ~~no~~",
    "<!-- -->-->",
    "```\n# x\n| a |",
    "\x1b[31m\x00\u202e",
    "Größe 備份 🗄️",
    "\\|",
    "-" * 300,
    "備" * 300,
]
words = st.one_of(st.sampled_from(NASTY), st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))


def _plan(texts: list[str], steps: int, members: int) -> Plan:
    """A plan of some size that says these texts wherever text comes from outside."""
    number = -1

    def said() -> str:
        nonlocal number
        number += 1
        return texts[number % len(texts)]

    made = []
    sources = [msgspec.structs.replace(source("web-01"), machine=f"m-{each:04d}") for each in range(members)]
    for place in range(steps):
        direction = list(Direction)[place % 4]
        own = group(f"g{place}", said(), NAMES[: place % 5], 7)
        fields = tuple(
            FieldChange("members", str(each), None, direction, Reason.MACHINES_CHANGED, note=said(), change_hash=said())
            for each in sources
        )
        fields += (
            FieldChange(
                said(), said(), [said(), {said(): said()}], direction, location=Location(said()), approved_by=said()
            ),
        )
        verb = (Verb.UPDATE, Verb.CREATE, Verb.STOP)[place % 3]
        change = Change(
            said(), said(), verb, Reason.POLICY_CHANGED, direction, fields, own, own, location=Location(said())
        )
        action = (
            UpdateGroup("s", "r", own, own),
            CreateGroup("s", own),
            StopProtection("s", "r", own, own.existing_points),
        )[place % 3]
        machines = tuple(MachineImpact(each, 9, 1, 1, 0, NOW - DAY, NOW, NOW, None, 5) for each in sources)
        hazard = Diagnostic("RCL3011", Severity.WARNING, said(), said(), Location(said()))
        made.append(Step(f"{place}", action, change, wave=1 + place % 2, impact=Impact(machines), hazards=(hazard,)))
    names = {str(each): said() for each in sources}
    findings = tuple(Diagnostic("RCL3011", Severity.ERROR, said(), said(), Location(said())) for _ in range(steps))
    volumes = tuple(VolumeImpact(said(), said(), 100, 50, 10, 5) for _ in range(members))
    waves = (Wave(1, NOW), Wave(2, NOW + DAY, said()))
    return Plan(said(), NOW, tuple(made), findings, names, said(), (said(),), waves, volumes)


def _blanked(texts: list[str]) -> list[str]:
    """As many texts that are all different where those are, and harmless."""
    return [f"x{texts.index(text)}" for text in texts]


plans = st.tuples(st.lists(words, min_size=1, max_size=7), st.integers(0, 9), st.integers(0, 4))


@given(words, words)
def test_a_name_reads_back_as_it_is(text: str, other: str) -> None:
    shown = safe(text).strip()
    (inline,) = [token for token in _tokens(f"x {code(text)} y") if token.type == "inline"]
    assert [each.content for each in inline.children or ()][1:-1] == ([shown] if shown else [])
    table = f"| a | b |\n|---|---|\n| {cell(text)} | {cell(other)} |"
    cells = [token.content for token in _tokens(table) if token.type == "code_inline"]
    assert cells == [each for each in (shown, safe(other).strip()) if each]
    (inline,) = [token for token in _tokens(f"x{md(text)}y") if token.type == "inline"]
    told = "".join(each.content for each in inline.children or ())
    assert told.replace("\u2060", "") == f"x{safe(text)}y".replace("\u2060", "")
    assert "://" not in told


@given(plans)
def test_html_says_what_comes_from_outside_as_text(drawn: tuple[list[str], int, int]) -> None:
    texts, steps, members = drawn
    page = Page(plan_html(_plan(texts, steps, members), ZONE))
    assert len(page.all("script")) == 1
    assert len(page.all("article")) == steps
    assert not page.all("img")
    if members == 0:
        plain_page = Page(plan_html(_plan(_blanked(texts), steps, members), ZONE))
        assert _without_code(page) == _without_code(plain_page)


def _without_code(page: Page) -> list[str]:
    """The names of the elements, but for what a text itself may ask for, by backticks."""
    return [tag.name for tag in page.tags if tag.name != "code"]


def _tokens(text: str) -> list[Token]:
    every = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    return [inner for token in every for inner in (token, *(token.children or ()))]


@given(plans, st.integers(MARKDOWN_LEAST, 30_000))
def test_markdown_stays_within_its_bytes_and_says_names_as_text(drawn: tuple[list[str], int, int], most: int) -> None:
    plan = _plan(*drawn)
    text = plan_markdown(plan, ZONE, most)
    assert len(text.encode()) <= most
    assert re.fullmatch(r"<!-- reconciler:plan site=[\w.-]* -->", text.splitlines()[0])
    assert text == plan_markdown(plan, ZONE, most)
    tokens = _tokens(text)
    kinds = [token.type for token in tokens]
    assert not {"link_open", "image", "html_inline", "s_open", "fence", "code_block"} & set(kinds)
    assert kinds.count("html_block") == 1
    assert kinds.count("heading_open") <= 1 + len(plan.steps)


@given(st.integers(0, 60), st.integers(0, 3), st.integers(MARKDOWN_LEAST, 60_000))
def test_markdown_counts_what_it_leaves_out(steps: int, members: int, most: int) -> None:
    texts = [f"{number:02d}-{'備' * (number * 37 % 60)}" for number in range(61)]
    plan = _plan(texts, steps, members)
    text = plan_markdown(plan, ZONE, most)
    headings = len(re.findall(r"^#### ", text, re.MULTILINE))
    lines = len(re.findall(r"^- (?:update|create|stop) ", text, re.MULTILINE))
    hidden = re.search(r"(\d+) steps? not shown", text)
    assert headings + lines + (int(hidden[1]) if hidden else 0) == steps
    shown = re.findall(r"^(?:#### |- )\w+ .*: \*\*(\w+)\*\*", text, re.MULTILINE)
    ranks = [Direction(each).rank for each in shown]
    titles = re.findall(r"^(?:#### |- )\w+ `(.*?)` on", text, re.MULTILINE)
    assert (
        titles == [each.change.after.display_name for each in by_risk(plan.steps) if each.change.after][: len(titles)]
    )
    assert ranks == sorted(ranks, reverse=True)


def test_markdown_degrades_from_detail_to_counts() -> None:
    plan = _plan(["name"], 40, 3)
    whole = len(plan_markdown(plan, ZONE, 10**7).encode())
    assert "Shortened" not in plan_markdown(plan, ZONE, whole + 500)
    shorter = plan_markdown(plan, ZONE, whole * 3 // 4)
    assert "without their virtual machines" in shorter
    assert "in one line" in plan_markdown(plan, ZONE, 10_000)
    assert "steps not shown" in plan_markdown(plan, ZONE, MARKDOWN_LEAST)
    with pytest.raises(ValueError, match="fewest"):
        plan_markdown(plan, ZONE, MARKDOWN_LEAST - 1)
