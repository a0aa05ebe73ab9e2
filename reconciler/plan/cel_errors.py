"""What CEL says of an expression -> plain words without the names of its parser's parts, and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

_FUNCTIONS = (
    *("all", "contains", "duration", "endsWith", "exists", "exists_one", "filter", "has", "int", "map"),
    *("matches", "size", "startsWith", "string", "timestamp"),
)

_UNEXPECTED = re.compile(r"Syntax error: (?:extraneous|mismatched) input '(.+?)' expecting .*", re.DOTALL)
_UNREADABLE = re.compile(r"Syntax error: (?:no viable alternative at input|token recognition error at:) '(.+?)\s*'")
_MISSING = re.compile(r"Syntax error: missing '?(.+?)'? at '(.+?)'")
_UNDECLARED = re.compile(r"undeclared reference to '([^'.]+)[^']*' \(in container '.*'\)")
_OVERLOAD = re.compile(
    r"(?:found no matching overload for|No matching overloads found ?:) '?(_?[^\w'@(]+_?|@?\w+).*", re.DOTALL
)
_TYPES = re.compile(r"\((\w+(?:, ?\w+)*)\)'?$")
_KEY = re.compile(r'Key not found in map : "?(.+?)"?')
_INDEX = re.compile(r"Index error: index=(-?\d+) size=(\d+)")
_CALLED = {
    "bool": "true or false",
    "bytes": "bytes",
    "double": "a number",
    "dyn": "a value",
    "int": "a whole number",
    "int64": "a whole number",
    "list": "a list",
    "map": "a mapping",
    "null_type": "null",
    "string": "a text",
    "uint64": "a whole number",
}
_HAS = "Ask with has(...) first whether the field is there."


def plain(what: str, names: Sequence[str] = ()) -> tuple[str, str]:
    """What is wrong in plain words, and what to do; CEL's own words where none are known. `names` are those that an
    expression can use."""
    what = what.removesuffix(" [INVALID_ARGUMENT]")
    if found := _UNEXPECTED.fullmatch(what) or _UNREADABLE.fullmatch(what):
        return _unexpected(found[1])
    if found := _MISSING.fullmatch(what):
        place = "at the end" if found[2] == "<EOF>" else f"before {found[2]!r}"
        return f"{found[1]!r} is missing {place}", f"Write {found[1]!r} there."
    if found := _UNDECLARED.fullmatch(what):
        close = get_close_matches(found[1], (*names, *_FUNCTIONS), n=1)
        known = f"Rules know {', '.join(names)}."
        return f"CEL knows no {found[1]!r}", f"Did you mean {close[0]}?" if close else known
    if found := _OVERLOAD.fullmatch(what):
        return _overload(found[1].strip("_@ "), _TYPES.search(what))
    if found := _KEY.fullmatch(what):
        return f"there is no field {found[1]!r}", _HAS
    if found := _INDEX.fullmatch(what):
        return f"the list has {found[2]} items, and no item {found[1]}", "Items count from 0; ask with size(...) first."
    if what == "Applying SELECT to non-message type":
        remedy = "Ask first: object is null when something is deleted, oldObject when it is created."
        return "it reads a field of something that has no fields, or is null", remedy
    if what == "String to Duration conversion failed":
        remedy = "CEL has h, m and s, and no d: write duration('336h') for 14 days, here and in params."
        return "a text is not a duration to CEL", remedy
    return what, "Correct the expression; docs/reference/guardrails.md has examples."


def begins(what: str, line: str, column: int) -> int:
    """The column (from 1) where what is meant begins: of an unknown name CEL tells where what follows it stands."""
    found = _UNDECLARED.match(what)
    return line.rfind(found[1], 0, column) + 1 or column if found else column


def _unexpected(token: str) -> tuple[str, str]:
    if token == "<EOF>":
        return "the expression is not complete", "Write the rest of it: a value or a closing bracket is missing."
    if token.startswith(("'", '"')):
        return f"the quote in {token} is never closed", "Close it with the same quote."
    if token == "=":
        return "CEL does not expect this '='", "Write == to compare."
    if not token[:1].isalnum():
        return f"CEL does not expect this {token!r}", "Remove it, or write the value that is missing before it."
    return f"CEL does not expect this {token!r}", "Put an operator such as ==, && or || between two values."


def _overload(operator: str, types: re.Match[str] | None) -> tuple[str, str]:
    called = f"{operator}(...)" if operator.isidentifier() and operator != "in" else operator
    if types is None:
        return f"{called} does not go with these values", "Give it true or false: compare with == or >."
    kinds = [_CALLED.get(each.strip(), each.strip()) for each in types[1].split(",")]
    return f"{called} does not go with {' and '.join(kinds)}", "Use values of one kind; string(x) and int(x) convert."
