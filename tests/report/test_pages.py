"""Every page of HTML: accessible as far as a page alone tells, one file that fetches nothing, readable colours."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler import report
from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import Direction
from reconciler.model.comparison import (
    ChangeOrigin,
    Comparison,
    CoverageShift,
    DocumentChange,
    DocumentField,
    DocumentVerb,
)
from reconciler.report import (
    CoverageView,
    PointsView,
    answer_html,
    chain_html,
    comparison_html,
    coverage_html,
    plan_html,
    points_html,
    status_html,
)
from reconciler.report.escape import terminal
from reconciler.report.messages import Part, md_message, parts, quoted
from tests.plans import ZONE, example, saved
from tests.support import report_samples as samples
from tests.support.html_page import Page, check_accessible, colours, contrast, settled

STYLE = (Path(report.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")


def a_plan() -> str:
    return plan_html(example(), ZONE, origin=saved().origin)


def a_comparison(said: str = "") -> str:
    said = said or "gold"
    place = Location("policies/gold.yaml", 3, 5)
    fields = (
        DocumentField("spec.retention", "14d", "7d", Direction.WEAKENS, "sha256:1", place, note=said),
        DocumentField("spec.synchronization", "6h", "1h", Direction.STRENGTHENS, "sha256:2", place),
        DocumentField("spec.displayName", said, "Gold", Direction.NEUTRAL, "sha256:3", place),
    )
    whole = DocumentField(
        "", {"spec": {"virtualMachines": {"names": [said]}, "reason": said}}, None, Direction.DESTROYS, "sha256:4"
    )
    changes = (
        DocumentChange("ProtectionGroup", said, DocumentVerb.RENAMED, Direction.WEAKENS, fields, place, formerly=said),
        DocumentChange("ProtectionGroup", "old", DocumentVerb.REMOVED, Direction.DESTROYS, (whole,), None),
    )
    shift = CoverageShift(said, "hci-01", "gold", "unprotected", Direction.WEAKENS)
    finding = Diagnostic("RCL3036", Severity.ERROR, f"{said} is not approved", "Run `reconciler approve`.", place)
    commit = ChangeOrigin("4f1c2d9a7be0" * 3 + "4f1c", f"{said}@corp.example", samples.NOW)
    origins = {"sha256:1": (ChangeOrigin("", ""), commit), "sha256:4": (msgspec.structs.replace(commit, exact=False),)}
    return comparison_html(Comparison(said, ".", changes, {"sha256:1": said}, (shift,), (finding,), origins))


def _pages(said: str) -> dict[str, Callable[[], str]]:
    broken = samples.answer(said, whole=False)
    return {
        "comparison": lambda: a_comparison(said),
        "coverage": lambda: coverage_html(samples.coverage_view(said), ZONE, every=True),
        "status": lambda: status_html(samples.status_view(said), ZONE, samples.status_view(said).findings),
        "points": lambda: points_html(samples.points_view(said, unseen=True), ZONE),
        "chain": lambda: chain_html(samples.chain(said), said or "hq", said or "evidence", said),
        "answer": lambda: answer_html(samples.answer(said), ZONE),
        "an answer of broken evidence": lambda: answer_html(broken, ZONE, samples.chain(said).findings),
    }


PAGES: dict[str, Callable[[], str]] = {
    "plan": a_plan,
    **_pages(""),
    **{f"{name}, hostile": make for name, make in _pages(samples.HOSTILE).items()},
    "no coverage": lambda: coverage_html(CoverageView("hq", samples.NOW, ()), ZONE, every=False),
    "no points": lambda: points_html(PointsView("hq", samples.NOW, ()), ZONE),
}


@pytest.fixture(params=list(PAGES))
def text(request: pytest.FixtureRequest) -> str:
    return PAGES[request.param]()


def test_a_page_is_accessible(text: str) -> None:
    check_accessible(Page(text))


@pytest.mark.parametrize("name", list(_pages("")))
def test_a_page(name: str, snapshot: SnapshotAssertion) -> None:
    assert settled(PAGES[name]()) == snapshot


def test_a_page_is_one_file_that_fetches_nothing_and_runs_only_its_own_script(text: str) -> None:
    assert not re.search(r"https?://|@import|url\(", text)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; base-uri 'none'; form-action 'none'")
    assert "unsafe" not in policy
    for name in ("style", "script"):
        (inner,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


def test_a_page_is_written_to_a_terminal_as_it_is(text: str) -> None:
    """What would be written out there is not in it: a stylesheet of another digest would not be applied."""
    assert terminal(text) == text


def test_nothing_is_hidden_from_who_runs_no_script(text: str) -> None:
    hidden = [tag for tag in Page(text).tags if "hidden" in tag.attrs]
    assert {tag.attrs["class"] for tag in hidden} <= {"tools"}


@pytest.mark.parametrize(
    "at",
    [pytest.param(at, id=at) for at in PAGES if "hostile" in at],
)
def test_what_strangers_named_stays_text(at: str) -> None:
    text = PAGES[at]()
    page = Page(text)
    assert not page.all("img")
    assert len(page.all("script")) == 1
    assert "\u202e" not in text
    assert "##[" not in text


# --- Colours ---------------------------------------------------------------------------------------------------

_INK = ("fg", "soft", "link", "good", "change", "bad", "neutral")


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_text_can_be_read(mode: str) -> None:
    """WCAG AA: 4.5 for text on the page, on a panel, and on the tint that it may stand on."""
    shown = colours(STYLE)[mode]
    pairs = [*product(_INK, ("bg", "panel")), *((ink, f"{ink}-tint") for ink in ("good", "change", "bad"))]
    pairs += product(("fg", "soft"), ("good-tint", "change-tint", "bad-tint"))
    found = {pair: contrast(shown[pair[0]], shown[pair[1]]) for pair in pairs}
    assert not {pair: ratio for pair, ratio in found.items() if ratio < 4.5}


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_what_is_drawn_can_be_told_apart(mode: str) -> None:
    """WCAG AA: 3 for the borders of fields and for what a drawing means by its colour."""
    shown = colours(STYLE)[mode]
    marks = ("good", "change", "bad", "neutral", "link", "soft")
    assert not [mark for mark in marks if contrast(shown[mark], shown["bg"]) < 3]
    assert not [mark for mark in ("bad", "change", "good") if contrast(shown[mark], shown["range"]) < 2]


def test_no_colour_is_named_outside_the_two_modes() -> None:
    rest = STYLE[STYLE.index("* { box-sizing") :]
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b|\brgba?\(|\bhsla?\(", rest)
    used = set(re.findall(r"var\(--([\w-]+)", rest))
    assert used - {"tone", "tint"} <= set(colours(STYLE)["light"])
    assert set(colours(STYLE)["light"]) <= used | {"good", "change", "bad", "neutral"}


def test_the_worse_value_is_never_green() -> None:
    """14d to 7d: the old value is plain, the new one a warning; only what strengthens is green."""
    for text in (a_comparison(), a_plan()):
        assert '<td class="value" data-label="before">14d</td>' in text
        assert '<td class="value new weakens" data-label="after">7d</td>' in text
    tones = dict(re.findall(r"\.(weakens|destroys|strengthens|neutral)\b[^{}]*\{ --tone: var\(--(\w+)\)", STYLE))
    assert tones == {"weakens": "change", "destroys": "bad", "strengthens": "good", "neutral": "neutral"}


def test_messages_show_code_as_code() -> None:
    message = "Run `reconciler diff`, then `x|y` <b>."
    assert parts(message) == [
        Part("Run ", False),
        Part("reconciler diff", True),
        Part(", then ", False),
        Part("x|y", True),
        Part(" <b>.", False),
    ]
    assert quoted(message) == "Run 'reconciler diff', then 'x|y' <b>."
    assert md_message(message) == "Run `reconciler diff`, then `x|y` &lt;b>."
    assert parts("a ` alone") == [Part("a ` alone", False)]
    assert quoted("a ` alone") == "a ` alone"
    assert md_message("a ` alone") == "a \\` alone"
    assert parts("") == []
    assert "<code>reconciler approve</code>" in a_comparison()


# --- Large sites -----------------------------------------------------------------------------------------------


def test_a_large_site_is_a_page_that_can_be_sent() -> None:
    """5,000 virtual machines, of which 5,000 are listed; 60,000 points."""
    assert len(coverage_html(samples.coverage_view(protected=5_000), ZONE, every=True)) < 3_000_000
    assert len(coverage_html(samples.coverage_view(protected=5_000), ZONE, every=False)) < 30_000
    view = samples.points_view(machines=1_000)
    text = points_html(view, ZONE)
    assert len(text) < 3_000_000
    assert text.count('<table class="calendar">') <= 2 * 50
    assert "The calendars of the last 950 are not drawn here" in text


def test_only_months_with_points_are_drawn() -> None:
    """A point of 1970, or of 9999, does not make a page of a thousand months."""
    rows = samples.points_view(machines=1).points[:1]
    moved = [
        msgspec.structs.replace(
            rows[0], point=msgspec.structs.replace(rows[0].point, time=datetime(year, 12, 30, tzinfo=UTC))
        )
        for year in (1970, 2026, 9999)
    ]
    text = points_html(PointsView("hq", samples.NOW, tuple(moved)), ZONE)
    assert [text.index(f"<h3>December {year}</h3>") for year in (9999, 2026, 1970)]
    assert text.count("<h3>") == 3
