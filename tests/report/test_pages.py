"""Every page of HTML: accessible as far as a page alone tells, one file that fetches nothing, readable colours."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from reconciler import report
from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import Direction
from reconciler.model.comparison import Comparison, CoverageShift, DocumentChange, DocumentField, DocumentVerb
from reconciler.report import comparison_html, plan_html
from reconciler.report.words import Part, parts
from tests.plans import ZONE, example, saved
from tests.support.html_page import Page, check_accessible, colours, contrast

STYLE = (Path(report.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")

#: What a stranger may have named something.
HOSTILE = "</td><script>alert(1)</script>\u202e`x` ##[error] '\"><img src=x onerror=alert(1)>"


def a_plan() -> str:
    return plan_html(example(), ZONE, origin=saved().origin)


def a_comparison(said: str = "gold") -> str:
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
    return comparison_html(Comparison(said, ".", changes, {"sha256:1": said}, (shift,), (finding,)))


PAGES: dict[str, Callable[[], str]] = {
    "plan": a_plan,
    "comparison": a_comparison,
    "a comparison that says hostile things": lambda: a_comparison(HOSTILE),
}


@pytest.fixture(params=list(PAGES))
def text(request: pytest.FixtureRequest) -> str:
    return PAGES[request.param]()


def test_a_page_is_accessible(text: str) -> None:
    check_accessible(Page(text))


def test_a_page_is_one_file_that_fetches_nothing_and_runs_only_its_own_script(text: str) -> None:
    assert not re.search(r"https?://|@import|url\(", text)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; base-uri 'none'; form-action 'none'")
    assert "unsafe" not in policy
    for name in ("style", "script"):
        (inner,) = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy


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
    assert parts("Run `reconciler diff`, then `x`.") == [
        Part("Run ", False),
        Part("reconciler diff", True),
        Part(", then ", False),
        Part("x", True),
        Part(".", False),
    ]
    assert parts("a ` alone") == [Part("a ` alone", False)]
    assert parts("") == []
    assert "<code>reconciler approve</code>" in a_comparison()
