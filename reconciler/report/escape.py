"""Escaping: text from outside -> the same text where it can do nothing; one function for each place it is shown in.

Names of virtual machines, files, groups and people are written by strangers. What could move a cursor, end a line,
turn a line around, or be a command to a CI service is shown as an escape (``\\u001b``) everywhere; on top of that come
the escapes of the place: Markdown, XML, JSON, SARIF, the commands of GitHub and Azure. HTML is escaped by the template
engine, which hands every value to `safe` first. `cli.screen` and the tests in tests/report/test_escape.py hold that
nothing gets past.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from jinja2 import Environment

#: What a CI service takes for a command: ``##[...]`` and ``##word[...]`` anywhere in a line, ``::`` at its beginning.
_ANYWHERE = re.compile(r"##(?=[A-Za-z]*\[)")
_LEADING = re.compile(r"^([^\S\n]*):(?=:)", re.MULTILINE)

#: The colours that reports are painted with; no other sequence leaves this program.
_OURS = re.compile("(\x1b\\[(?:0|1|2|31|32|33)m)")
_ODD = re.compile(r"[^\x20-\x7e\n]")


# --- Terminals and plain text ----------------------------------------------------------------------------------


def safe(text: str) -> str:
    """One value, in one line: everything that could move a cursor, end the line, turn it around, or command a CI
    service is written out."""
    if not text.isprintable():
        text = "".join(_seen(letter) for letter in text)
    return _no_commands(text)


def letters(text: str) -> list[str]:
    """Each letter of a line as it is shown in the middle of another one; together they are what `safe` shows."""
    commands = {found.start() for found in _ANYWHERE.finditer(text)} if "##" in text else frozenset[int]()
    return ["\\u0023" if at in commands else _seen(letter) for at, letter in enumerate(text)]


def terminal(text: str) -> str:
    """A whole text with its line breaks and our own colours, right before it is written: what a report forgot to make
    `safe` is written out here."""
    if not (text.isascii() and text.replace("\n", "").isprintable()):
        parts = _OURS.split(text)
        parts[::2] = (_ODD.sub(lambda found: _seen(found[0]), part) for part in parts[::2])
        text = "".join(parts)
    return _no_commands(text)


def terminal_sheet(text: str) -> str:
    """A whole sheet of CSV, likewise: its lines end with CR and LF, and nowhere else is there either."""
    return terminal(text.replace("\r\n", "\n")).replace("\n", "\r\n")


def _seen(letter: str) -> str:
    """A letter, or its escape where it is a control, a format or a separator of lines, or half of a pair."""
    if unicodedata.category(letter)[0] != "C" and letter not in "\u2028\u2029":
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"


def _no_commands(text: str) -> str:
    if "##" in text:
        text = _ANYWHERE.sub(r"\\u0023#", text)
    return _LEADING.sub(r"\1\\u003a", text) if "::" in text else text


# --- Commands to CI services -----------------------------------------------------------------------------------

_GITHUB = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_GITHUB_FIELD = _GITHUB | {":": "%3A", ",": "%2C"}
_AZURE = {"%": "%AZP25", "\r": "%0D", "\n": "%0A", ";": "%3B", "]": "%5D"}


def github(text: str) -> str:
    """The message of a workflow command."""
    return _replaced(safe(text), _GITHUB)


def github_field(text: str) -> str:
    """A property of a workflow command."""
    return _replaced(safe(text), _GITHUB_FIELD)


def azure(text: str) -> str:
    """The message or a property of a logging command."""
    return _replaced(safe(text), _AZURE)


def _replaced(text: str, table: Mapping[str, str]) -> str:
    return "".join(table.get(letter, letter) for letter in text)


# --- Markdown --------------------------------------------------------------------------------------------------

_MARKUP = "\\`*_[]|#~"
_MENTION = re.compile(r"(?<!\w)@(?=\w)")
_RUNS = re.compile("`+")


def md(text: str) -> str:
    """The text with what Markdown would read as markup escaped, and what a forge would read as a mention or a link
    broken by a word joiner."""
    escaped = "".join(f"\\{letter}" if letter in _MARKUP else letter for letter in safe(text))
    joined = _MENTION.sub("@\u2060", escaped).replace("://", ":\u2060//")
    return joined.replace("&", "&amp;").replace("<", "&lt;")


def code(text: str) -> str:
    """The text as code, whatever backticks are in it; a dash where it is empty."""
    plain = safe(text).strip()
    if not plain:
        return "-"
    fence = "`" * (1 + max((len(run) for run in _RUNS.findall(plain)), default=0))
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def cell(text: str) -> str:
    """The same in a table."""
    return code(text).replace("|", "\\|")


# --- HTML and XML ----------------------------------------------------------------------------------------------


def html_templates() -> Environment:
    """The templates of the reports: whatever one shows is made `safe`, then escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("reconciler.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_finalized,
    )


def _finalized(value: Any) -> Any:
    """What a template is about to show. Markup comes from templates alone: it is what a block or a loop has made. Two
    values that stand beside each other could be a command together: so no value has a `#` of its own."""
    from markupsafe import Markup, escape

    if hasattr(value, "__html__") or not isinstance(value, str):
        return value
    return Markup("&#35;").join(escape(part) for part in safe(value).split("#"))


def xml(text: str) -> str:
    """Text for an XML writer, which escapes the markup itself: the characters that XML cannot hold are written out,
    line by line."""
    return "\n".join(safe(line) for line in text.split("\n"))


# --- CSV -------------------------------------------------------------------------------------------------------

#: What begins a formula where a sheet is opened, and the full-width letters that some programs take for them; at the
#: beginning of a cell, and behind a semicolon, which is what divides cells in some countries. One that
#: ends a cell would begin the next one with the end of the line.
_FORMULA = re.compile("(^|;)(?=\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20])|(;)(?=\\s*$)")


def csv_cell(text: str) -> str:
    """The text as a cell between quotes, in one line; an apostrophe stands before what a spreadsheet would take for a
    formula (OWASP, CSV injection)."""
    return '"' + _FORMULA.sub(r"\1\2'", safe(text)).replace('"', '""') + '"'


# --- JSON ------------------------------------------------------------------------------------------------------

_LINK = re.compile(r"\[(?=[^\]]*\]\()")


def json_text(value: Any) -> str:
    """A value as indented JSON. What no terminal and no CI service may see raw is written as JSON's own escapes."""
    return _escaped(msgspec.json.format(_encoded(value), indent=2).decode())


def json_line(value: Any) -> str:
    """The same in one line."""
    return _escaped(_encoded(value).decode())


def _encoded(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value, order="deterministic")
    except UnicodeEncodeError:
        return msgspec.json.encode(_paired(msgspec.to_builtins(value, str_keys=True)), order="deterministic")


def _escaped(text: str) -> str:
    if not text.isascii() or "\x7f" in text:
        text = _ODD.sub(lambda found: _in_json(found[0]), text)
    return _ANYWHERE.sub(r"\\u0023#", text) if "##" in text else text


def _in_json(letter: str) -> str:
    if _seen(letter) == letter:
        return letter
    halves = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{halves[at]:02x}{halves[at + 1]:02x}" for at in range(0, len(halves), 2))


def _paired(value: Any) -> Any:
    """The value with each half of a pair, which JSON cannot hold, written out."""
    if isinstance(value, str):
        return "".join(_seen(letter) if "\ud800" <= letter <= "\udfff" else letter for letter in value)
    if isinstance(value, dict):
        return {_paired(key): _paired(inner) for key, inner in value.items()}
    return [_paired(inner) for inner in value] if isinstance(value, list | tuple) else value


def sarif(text: str) -> str:
    """A message of SARIF, where ``[text](target)`` would be a link."""
    return _LINK.sub(r"\\[", safe(text))
