"""Text that does not mean what it shows, what is told behind a mistake, and values quoted as they are written."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import Diagnostic
from reconciler.parse import read_policies, read_texts
from reconciler.parse.load import load, quick
from reconciler.parse.text import plain_text, readable
from tests.parse.test_bad_documents import SITE

GROUP = """apiVersion: reconciler/v1
kind: ProtectionGroup
metadata: {name: g}
spec:
  site: hq
  server: mabs-01
  members: [{virtualMachines: {cluster: hci-01, names: [a]}}]
  shortTerm: {retention: 14d, synchronization: 1h}
"""
REFUSED = [
    *"\x00\x07\x0b\x0c\x1b\x7f\x80\x85\x9f\u2028\u2029",
    *"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    *"\xad\u200b\u2060\u2063\u2800\u3164\ufeff\ufff9\ufffe\uffff\u180e\U000e0041",
    *"\xa0\u2003\u202f\u3000",
]


def _told(text: str | bytes, name: str = "policies/g.yaml") -> list[Diagnostic]:
    data = text if isinstance(text, bytes) else text.encode()
    return list(read_texts({name: data, "policies/site.yaml": SITE.encode()}, "policies").diagnostics)


def _placed(text: str | bytes) -> list[tuple[int, int, str]]:
    return [(each.location.line, each.location.column, each.code) for each in _told(text) if each.location]


# --- What is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", REFUSED, ids=lambda letter: f"U+{ord(letter):04X}")
def test_a_letter_that_does_not_mean_what_it_shows_is_refused_at_its_place(letter: str) -> None:
    text = f"a: 1\nb: x{letter}y\n"
    again, (told,) = readable("x.yaml", text.encode())
    assert (told.code, told.location.line, told.location.column) == ("RCL1004", 2, 5)  # type: ignore[union-attr]
    assert f"U+{ord(letter):04X}" in told.message
    assert again == text.replace(letter, "\ufffd")
    assert plain_text(text.encode()) is None
    assert quick(text.encode()) is None


def test_a_carriage_return_alone_ends_no_line() -> None:
    _, told = readable("x.yaml", b"a: 1 # x\rb: 2\r\nc: 3\n")
    assert [(each.location.line, each.location.column) for each in told if each.location] == [(1, 9)]
    assert readable("x.yaml", b"a: 1\r\nb: 2\r\n") == ("a: 1\r\nb: 2\r\n", [])


@pytest.mark.parametrize(
    "text",
    [
        "# l’hôte\xa0: à sauver\n",
        "a: 1 # prix\u202f: 3\n",
        "# ⚠️ 👩‍💻 ok ☎️\n",
        "a: نمی‌خواهم\n",
        "a: größe\n",
        "a: Ω\n",
        "a: 日本\n",
        "\ufeffa: 1\n",
    ],
)
def test_what_people_write_is_taken(text: str) -> None:
    assert readable("x.yaml", text.encode())[1] == []
    assert plain_text(text.encode()) in (None, text.removeprefix("\ufeff"))


def test_files_saved_otherwise() -> None:
    for encoding, called in (("utf-16", "UTF-16"), ("utf-32", "UTF-32")):
        (told,) = readable("x.yaml", "a: 1".encode(encoding))[1]
        assert told.message == f"the file is saved as {called}"
    _, (told,) = readable("x.yaml", b"\xef\xbb\xbfa: 1\nb: \xf6\n")
    assert (str(told.location), told.code) == ("x.yaml:2:4", "RCL1004")


_ODD = st.text(st.sampled_from([*REFUSED, *"ab :#\n-'\"\r", "ä", "\u200d", "\ufe0f", "😀"]), max_size=40)


@given(_ODD)
def test_the_parser_s_lines_are_those_that_editors_show(text: str) -> None:
    seen, told = readable("x.yaml", text.encode())
    plain = plain_text(text.encode())
    assert plain is None or (plain == seen and not told)
    assert seen.count("\n") == text.count("\n")
    # a word at the end of each line stands where \n alone counts
    lines = "".join(f"- x{number} # {line}\n" for number, line in enumerate(seen.split("\n")))
    events = [each for each in yaml.parse(lines, Loader=yaml.CSafeLoader) if isinstance(each, yaml.ScalarEvent)]
    marks = [each.start_mark for each in events]
    assert [mark.line for mark in marks if mark is not None] == list(range(len(events)))
    assert len(events) == seen.count("\n") + 1


def test_every_sort_of_letter_that_nobody_sees_is_refused_but_joiners() -> None:
    """What Unicode calls a control, a format, or a separator of lines is known to the list."""
    every = (chr(number) for number in range(0x11_0000) if not 0xD800 <= number < 0xE000)
    unseen = {letter for letter in every if unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp")}
    scripts = {letter for letter in unseen if unicodedata.name(letter, "").startswith(_SIGNS)}
    fine = {"\t", "\n", "\r", "\u200c", "\u200d"}
    missed = {letter for letter in unseen - fine - scripts if not readable("x", f"a{letter}b".encode())[1]}
    assert missed == set()


#: Formats that are shown: signs of Arabic, Syriac, Kaithi and Egyptian numbers and brackets.
_SIGNS = ("ARABIC ", "SYRIAC ABB", "KAITHI NUM", "EGYPTIAN HIER")


# --- Every mistake at once -------------------------------------------------------------------------------------


def test_reading_goes_on_behind_what_is_broken() -> None:
    broken = 'a: [1\n---\nkind: Fill\n---\nb: \'x\n---\nkind: Fulfil\n--- # and so on\nc: "\\q"\n---\nkind: Last\n'
    assert _placed(broken) == [
        (1, 4, "RCL1005"),
        (3, 7, "RCL1015"),
        (5, 4, "RCL1005"),
        (7, 7, "RCL1015"),
        (9, 5, "RCL1005"),
        (11, 7, "RCL1015"),
    ]


def test_a_right_document_behind_a_broken_one_and_a_refused_letter() -> None:
    text = GROUP.replace("site: hq", "site: hq # \u200b") + "---\n- [\n---\n" + GROUP.replace("{name: g}", "{nam: h}")
    assert _placed(text) == [(5, 14, "RCL1004"), (11, 1, "RCL1005"), (14, 12, "RCL1016")]


def test_advice_hides_no_mistake(tmp_path: Path) -> None:
    """A reference to nothing is told beside advice; only beside mistakes it may be an echo."""
    policies = tmp_path / "policies"
    policies.mkdir()
    texts = {"site.yaml": SITE, "g.yaml": GROUP.replace("site: hq", "site: hp"), ".hidden.yaml": GROUP}
    for name, text in texts.items():
        (policies / name).write_text(text, encoding="utf-8")
    assert [each.code for each in read_policies(tmp_path).diagnostics] == ["RCL1092", "RCL1024"]


# --- Where and how it is quoted --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    ["1.10", "12e5", "1e3", "0x1F", "0o17", "0b11", "1_000", ".inf", "-.INF", ".nan", "2026-01-01", "010", "+7"],
)
def test_what_is_quoted_back_is_what_was_written(written: str) -> None:
    told = _told(GROUP.replace("names: [a]", f"labels: {{release: {written}}}"))
    assert f'"{written}"' in " ".join(each.remedy for each in told), told
    quoted = GROUP.replace("names: [a]", f'labels: {{release: "{written}"}}')
    assert not [each for each in _told(quoted) if each.severity == "error"]


def test_dates_are_fine_where_dates_are_meant() -> None:
    text = """apiVersion: reconciler/v1
kind: Exclusion
metadata: {name: e}
spec: {site: hq, virtualMachines: {cluster: hci-01, names: [a]}, reason: x, owner: o, until: 2027-03-01}
"""
    assert _told(text) == []
    assert quick(text.encode()) is not None


MESSAGES = [
    ("retention: 14d", "retention: 14", "RCL1018", "A length of time needs a unit: 14d."),
    ("retention: 14d", 'retention: "14"', "RCL1019", "A length of time needs a unit: 14d."),
    ("retention: 14d", "retention: 14m", "RCL1019", "Minutes or months? 14min, 14mo."),
    ("retention: 14d", "retention: 14d, rpo: 5 h", "RCL1019", "A length of time has no space: 5h."),
    ("retention: 14d", "retention: 14d, minimumPoints: 4.0", "RCL1018", "Write 4."),
    ("retention: 14d", "retention: 14d, minimumPoints: 4.5", "RCL1018", "Write a whole number."),
    ("retention: 14d", "retention: 14d, minimumPoints: 1e400", "RCL1018", "Write a whole number."),
    ("synchronization: 1h", "synchronization: 120min", "RCL1019", "Write 2h: 120min is 2h."),
    (
        "synchronization: 1h",
        "synchronization: 20min",
        "RCL1019",
        "Write one of 15min, 30min, 45min, 1h, 2h, 4h, 6h, 12h, 24h",
    ),
    ("  site: hq", "  displayName: " + "x" * 65 + "\n  site: hq", "RCL1019", "Shorten it."),
    ("{name: g}", "{name:g}", "RCL1020", "A space is missing after the colon: name: g."),
    ("{name: g}", "{name: {{ name }}}", "RCL1012", "Render the template first."),
    ("names: [a]", "names: [*-prod]", "RCL1010", 'quoted: "*-prod"'),
    ("names: [a]", "names: [*prod*]", "RCL1005", 'quoted: "*prod*"'),
    ("names: [a]", "names: [!prod]", "RCL1005", 'quoted: "!prod"'),
    ("names: [a]", 'names: ["a\\d"]', "RCL1005", "use single quotes"),
    ("names: [a]", 'names: ["a]', "RCL1005", "Close it with the same quote."),
    ("names: [a]", "names: [@a]", "RCL1005", 'Quote it: "@a".'),
    ("names: [a]", "names: [a", "RCL1005", "Close it with"),
    ("  site: hq", "  ѕite: hq\n  site: hq", "RCL1016", "Its first letter is U+0455"),
    ("1h}", "1h}\n  consistencyCheck: {schedule: {time: 22:00}}", "RCL1008", 'Quote it: "22:00".'),
]


@pytest.mark.parametrize(
    ("old", "new", "code", "remedy"), MESSAGES, ids=[new.strip()[:30] for _, new, _, _ in MESSAGES]
)
def test_what_to_do_is_said_for_what_was_written(old: str, new: str, code: str, remedy: str) -> None:
    assert old in GROUP
    told = [each for each in _told(GROUP.replace(old, new)) if each.severity == "error"]
    assert any(each.code == code and remedy in each.remedy for each in told), told


def test_a_size_needs_a_unit_and_a_day_its_short_name() -> None:
    site = SITE.replace("capacity: 1 GB}]}", "capacity: 80000}]}")
    told = read_texts({"s.yaml": site.encode()}, "x").diagnostics
    assert [each.remedy for each in told] == ["A size needs a unit: 80000 GB or 80 TB."]
    weekly = GROUP.replace("1h}", '1h, expressFull: {times: ["22:00"], days: [Saturday]}}')
    assert "Did you mean Sa?" in [each.remedy for each in _told(weekly)]


RULE = "apiVersion: reconciler/v1\nkind: Guardrail\nmetadata: {name: r}\nspec:\n  match: {kinds: [ProtectionGroup]}\n"


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        ("expression: |\n        true || || false", (8, 17)),
        ("expression: |-\n\n        true &&\n        true || || false", (10, 17)),
        ("expression: |2\n          true || || false", (8, 19)),
        ("expression: true || || false", (7, 27)),
        ("expression: 'true || || false'", (7, 28)),
        ('expression: "true || \\u007c| false"', (7, 19)),
        ("expression: >\n        true ||\n        || false", (7, 19)),
        ("expression: true ||\n        || false", (7, 19)),
    ],
)
def test_places_in_texts_of_several_lines(expression: str, place: tuple[int, int]) -> None:
    text = f"{RULE}  validations:\n    - {expression}\n      message: x\n"
    (told,) = [each for each in _told(text) if each.code == "RCL1072"]
    assert "does not expect this '||'" in told.message
    assert told.location is not None
    assert (told.location.line, told.location.column) == place


def test_letters_of_several_scripts_are_told() -> None:
    told = _told(GROUP.replace("names: [a]", "names: [еrp-*, größe, Ωmega-1, 日本-erp, αβγ, имя]"))
    assert [(each.code, each.severity) for each in told] == [("RCL1097", "advice")] * 2
    assert "U+0072" in told[0].message


# --- Bounds ----------------------------------------------------------------------------------------------------

_LAUGHS = "\n".join(f"  a{at}: &a{at} [{','.join([f'*a{at - 1}' if at else 'x'] * 9)}]" for at in range(9))
BOMBS = {
    "billion laughs": (f"apiVersion: reconciler/v1\nspec:\n{_LAUGHS}\n", "RCL1010"),
    "deep lists": ("a: " + "[" * 200_000, "RCL1013 RCL1005"),
    "deep blocks": ("\n".join(" " * at + "a:" for at in range(1500)), "RCL1013"),
    "open maps": ("a: " + "{a: " * 60_000, "RCL1013"),
    "complex keys": ("? " * 100_000 + "a", "RCL1013"),
    "nested lists in a line": ("- " * 500_000 + "a", "RCL1013"),
    "tags": ("a: " + "!!x " * 100_000, "RCL1011 RCL1005"),
    "a text of 4 MB": ("x: '" + "a" * 4_100_000 + "'", "RCL1013"),
    "documents": ("---\n" * 900_000, "RCL1013"),
    "wrong documents": (
        "apiVersion: reconciler/v1\nkind: ProtectionGroup\nmetadata: {name: x}\n---\n" * 9_000,
        "RCL1096",
    ),
    "broken documents": ("a: [\n---\n" * 9_000, "RCL1005"),
    "odd blanks": ("\xa0#" * 1_000_000, "RCL1004"),
    "templates": ("a: " + "{{" * 100_000, "RCL1012"),
    "keys": ("\n".join(f"k{at}: 1" for at in range(150_000)), "RCL1010"),
    "aliases": ("a: &a [x]\nb: [" + ",".join(["*a"] * 300_000) + "]", "RCL1010"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_made_to_take_for_ever_is_answered(name: str) -> None:
    text, codes = BOMBS[name]
    told = read_texts({"x.yaml": text.encode()}, "x").diagnostics
    assert {each.code for each in told} & set(codes.split())
    assert len(told) < 1_100


@pytest.mark.parametrize(
    ("field", "value"),
    [("newMembers", "-1"), ("expiredPoints", "-1"), ("newMembers", "1000000001"), ("newMembers", "9" * 30)],
)
def test_numbers_have_bounds(field: str, value: str) -> None:
    site = SITE + f"  budgets: {{perDay: {{{field}: {value}}}}}\n"
    told = read_texts({"s.yaml": site.encode()}, "x").diagnostics
    assert {each.code for each in told} <= {"RCL1018", "RCL1019"}
    assert all(f"budgets.perDay.{field}" in each.message for each in told)
    assert told


def test_no_pattern_lets_a_line_break_end_a_text() -> None:
    for old, new in (("{name: g}", "{name: |\n g\n  }"), ("site: hq", "site: |\n    hq"), ("14d", '"14d\\n"')):
        told = [each for each in _told(GROUP.replace(old, new)) if each.severity == "error"]
        assert told
        assert (1, 1) not in {(each.location.line, each.location.column) for each in told if each.location}
    assert load("x.yaml", b"a: 1")[1] == ()
