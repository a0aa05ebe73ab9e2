"""Escaping: whatever a stranger writes does nothing where it is shown, and ordinary text is shown as it is."""

from __future__ import annotations

import html.parser
import json
from xml.dom import minidom

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.report import azure_text, findings_text, github_text, junit_text, plain, sarif_text
from reconciler.report.escape import cell, code, html_templates, json_text, md, safe, sarif, terminal, xml
from tests.hostile import NAMES, harms

#: Any text, lone surrogates and all, and much of what is dangerous.
TEXT = st.text() | st.lists(st.sampled_from([*NAMES, "::", "##", "[", "\n", "\x1b", "\ud800", " ", ":"])).map("".join)


@pytest.mark.parametrize(
    "name", ["erp-01", "Größe ä", "数据库", "a:b", "C::D", "# heading", "### three", "a/b.yaml:1:2"]
)
def test_ordinary_text_stays(name: str) -> None:
    assert safe(name) == terminal(name) == xml(name) == sarif(name) == name
    assert json.loads(json_text({"x": name})) == {"x": name}
    assert name in json_text([name])


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\nb", "a\\u000ab"),
        ("\x1b[2J", "\\u001b[2J"),
        ("a\u2028b", "a\\u2028b"),
        ("a\u202eb", "a\\u202eb"),
        ("\u009b", "\\u009b"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("::error::x", "\\u003a:error::x"),
        ("  ::x", "  \\u003a:x"),
        ("a ##vso[x]", "a \\u0023#vso[x]"),
        ("##[error]", "\\u0023#[error]"),
    ],
)
def test_what_is_written_out(raw: str, shown: str) -> None:
    assert safe(raw) == shown
    assert safe(shown) == shown


def test_our_colours_stay_and_no_other_sequence() -> None:
    assert terminal("\x1b[31mbad\x1b[0m\n\x1b[1mx\x1b[0m\n") == "\x1b[31mbad\x1b[0m\n\x1b[1mx\x1b[0m\n"
    assert terminal("\x1b[2J\x1b]0;t\x07") == "\\u001b[2J\\u001b]0;t\\u0007"
    assert terminal("a\n ::error::x\n##[b]") == "a\n \\u003a:error::x\n\\u0023#[b]"


@given(TEXT)
def test_nothing_harmful_is_left(text: str) -> None:
    for shown in (safe(text), md(text), code(text), cell(text), sarif(text), xml(text), terminal(text)):
        assert not harms(shown), (shown, harms(shown))
    for shown in (safe(text), md(text), code(text), cell(text), sarif(text)):
        assert "\n" not in shown
        assert "\r" not in shown
    assert terminal(safe(text)) == safe(text)


@given(TEXT, TEXT)
def test_findings_are_one_line_in_every_format(text: str, other: str) -> None:
    finding = Diagnostic("RCL1001", Severity.ERROR, text, other, Location(other or "x", 1, 2), text, (Location(text),))
    commands = github_text([finding]) + azure_text([finding])
    assert commands.count("\n") == 2
    assert not harms(commands, commands=True)
    line = findings_text([finding], plain)
    assert line.count("\n") == 1
    assert not harms(line)
    shown = sarif_text([finding], "1")
    assert not harms(shown)
    json.loads(shown)
    report = junit_text([finding], ["policies/a.yaml"])
    minidom.parseString(report)
    assert not harms(report)


@given(st.recursive(TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=8))
def test_json_stays_json(value: object) -> None:
    text = json_text({"value": value})
    assert not harms(text)
    found = json.loads(text)["value"]
    if isinstance(value, str) and not any("\ud800" <= each <= "\udfff" for each in value):
        assert found == value


_TEMPLATES = html_templates()


@given(TEXT)
@example("#[#")
def test_templates_escape_whatever_they_show(text: str) -> None:
    shown = (
        html_templates()
        .from_string("<p title='{{ x }}'>{{ x }}{% for y in [x] %}{{ y }}{% endfor %}</p>")
        .render(x=text)
    )

    class Reader(html.parser.HTMLParser):
        tags: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.append(f"{tag} {[name for name, _ in attrs]}")

    reader = Reader()
    reader.tags = []
    reader.feed(shown)
    assert reader.tags == ["p ['title']"]
    assert not harms(shown, html=True)


def test_no_link_of_a_stranger_in_sarif() -> None:
    assert sarif("[l](http://evil) and disks[0] (x)") == "\\[l](http://evil) and disks[0] (x)"
