"""Wording: a value that does not fit -> what is wrong with it, quoted as it stands in the file, and what to write."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from reconciler.model.similar_names import did_you_mean
from reconciler.model.units import DURATION_PATTERN, SIZE_PATTERN, Duration
from reconciler.secrets import redacted

_TYPES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}
#: Units as people spell them, without a plural's s.
_SPELT = {
    "s": "s",
    "sec": "s",
    "second": "s",
    "min": "min",
    "minute": "min",
    "h": "h",
    "hr": "h",
    "hour": "h",
    "d": "d",
    "day": "d",
    "w": "w",
    "week": "w",
    "mo": "mo",
    "mon": "mo",
    "month": "mo",
    "y": "y",
    "yr": "y",
    "year": "y",
}
_NO_BLANK = re.compile(r"([A-Za-z]\w*):(\S.*)")
_UNITS = r"(s|min|h|d|w|mo|y)"
#: So many fields are listed where none is near: as many as a group's document has.
_LISTED = 24
_AT_MOST = re.compile(r"at most ([0-9]+)")


def shown(value: Any, written: str = "") -> str:
    """A value in one line, as it was written where that is known, secrets and all beyond 80 letters left out."""
    text = written or (repr(value) if isinstance(value, str) else str(value))
    text = redacted(text.lower() if isinstance(value, bool) and not written else text)
    return text if len(text) <= 80 else text[:77] + "..."


def of_type(value: Any, wanted: str, schema: dict[str, Any], written: str) -> tuple[str, str]:
    """A value of another type than is wanted."""
    what = f"is {_kind_of(value)}, {shown(value, written)}"
    pattern = schema.get("pattern")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if wanted == "string" and pattern == SIZE_PATTERN:
            return what, _size(written)
        if wanted == "string" and pattern == DURATION_PATTERN:
            return what, f"A length of time needs a unit: {written}d."
        if wanted == "integer":
            whole = abs(value) < 10**15 and value == int(value)  # an infinite one is not below
            return what, f"Write {int(value)}." if whole else "Write a whole number."
    if found := _NO_BLANK.fullmatch(str(value)) if wanted == "object" else None:
        return what, f"A space is missing after the colon: {found[1]}: {found[2]}."
    quote = f' Quote it as written: "{written}".' if wanted == "string" and written else ""
    return what, f"Write {_TYPES.get(wanted, wanted)}.{quote}"


def of_pattern(value: str, schema: dict[str, Any]) -> tuple[str, str]:
    """A text that does not look as it should."""
    description = str(schema.get("description", "")).rstrip(".")
    fits = _AT_MOST.search(description)
    if value.endswith("\n"):
        return "ends in a line break, which does not fit", "Write it in one line, without | or >."
    if fits and len(value) > int(fits[1]):
        return f"has {len(value)} characters; {fits[1]} fit", "Shorten it."
    what = f"{shown(value)} does not fit"
    if schema.get("pattern") == DURATION_PATTERN:
        return what, _duration(value)
    if schema.get("pattern") == SIZE_PATTERN and value.isdecimal():
        return what, _size(value)
    return what, f"Write {description or 'it as the reference says'}."


def _size(number: str) -> str:
    """In which units a bare number was meant: what is large was counted in a smaller one."""
    if number.isdecimal() and int(number) >= 1000 and int(number) % 1000 == 0:
        return f"A size needs a unit: {number} GB or {int(number) // 1000} TB."
    return f"A size needs a unit: {number} TB or {number} TiB."


def _duration(value: str) -> str:
    if value.isascii() and value.isdecimal():
        return f"A length of time needs a unit: {value}d."
    if found := re.fullmatch(r"([0-9]{1,6})\s*[mM]", value):
        return f"Minutes or months? {found[1]}min, {found[1]}mo."
    if found := re.fullmatch(rf"([0-9]{{1,6}})\s+{_UNITS}", value):
        return f"A length of time has no space: {found[1]}{found[2]}."
    if found := re.fullmatch(r"([0-9]{1,6})\s*([a-zA-Z]+)", value):
        unit = _SPELT.get(found[2].lower().rstrip("s"))
        if unit is not None:
            return f"Write {found[1]}{unit}."
    return "A length of time is a whole number and s, min, h, d, w, mo or y: 15min, 14d."


def of_choice(value: Any, choices: Iterable[Any]) -> str:
    """What to write in place of a value that is none of some."""
    known = [str(each) for each in choices]
    lengths = {each: length for each in known if (length := _length(each)) is not None}
    own = _length(str(value))
    if own is not None and lengths:
        same = [each for each, length in lengths.items() if length == own]
        if same:
            return f"Write {same[0]}: {value} is {same[0]}."
        by_length = {length: each for each, length in sorted(lengths.items(), reverse=True)}
        rest = [each for each in known if each not in lengths]
        return f"Write one of {', '.join([*(by_length[length] for length in sorted(by_length)), *rest])}."
    return nearest(str(value), known)


def _length(text: str) -> Duration | None:
    try:
        return Duration.parse(text)
    except ValueError:
        return None


def nearest(word: str, known: list[str]) -> str:
    """The known word that was meant, or which there are."""
    listed = f"Known here: {', '.join(known)}." if len(known) <= _LISTED else "See `reconciler schema`."
    return did_you_mean(word, known) or listed


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return names.get(type(value), "nothing")
