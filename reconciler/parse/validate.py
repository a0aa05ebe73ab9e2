"""Validating: one document -> every mistake in it, at its place, in plain words.

jsonschema finds the mistakes; what it says of them is put in the words of the policy language here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, Protocol

import msgspec

from reconciler.errors import Diagnostic, Severity
from reconciler.model.documents import REFERENCE_PATTERN
from reconciler.model.encode import decode
from reconciler.parse.nodes import Document, Node
from reconciler.parse.schema import KINDS, schema_of
from reconciler.parse.wording import nearest, of_choice, of_pattern, of_type, shown

_BLANK = "A space is missing after the colon: "
_API_VERSION = "reconciler/v1"
Path = tuple[str | int, ...]


class _Found(Protocol):
    """A mistake as jsonschema tells it."""

    absolute_path: Any
    context: Any
    instance: Any
    relative_path: Any
    schema: Any
    validator: Any
    validator_value: Any


def kind_of(document: Document) -> tuple[str, list[Diagnostic]]:
    """The document's kind, or "" with what is wrong with it."""
    return _kind(document)


def validate(document: Document, kind: str) -> tuple[Any, list[Diagnostic]]:
    """The document as its type; or None, with everything that is wrong with it.

    msgspec decides quickly whether there is anything to say, and jsonschema says it (ADR 5).
    """
    plain = document.root.plain()
    if kind != "Preset" and not _has_null(plain):
        with suppress(msgspec.ValidationError, ValueError):
            return typed(plain, kind), []
    found = list(_nulls(document, document.root, ()))
    empty = {diagnostic.location for diagnostic in found}
    for error in _validator(kind).iter_errors(plain):
        found += [each for each in _told(document, error) if each.location not in empty]
    if not found:
        try:
            return typed(plain, kind), []
        except (msgspec.ValidationError, ValueError) as error:
            found.append(_error("RCL1019", str(error), "Correct it as the reference says.", document))
    return None, _without_echoes(list(dict.fromkeys(found)))


def typed(plain: Any, kind: str) -> Any:
    """A document's JSON value as its type. Raises `msgspec.ValidationError` where it is none."""
    return decode(plain, KINDS[kind])


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))
    return any(map(_has_null, value)) if isinstance(value, list) else value is None


@lru_cache(maxsize=8)
def _validator(kind: str) -> Any:
    from jsonschema import Draft7Validator, FormatChecker, validators

    # 4.0 is a whole number to JSON Schema, and none to msgspec, which decides.
    checker = Draft7Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    strict: Any = validators.extend(Draft7Validator, type_checker=checker)  # type: ignore[no-untyped-call]
    return strict(schema_of(kind), format_checker=FormatChecker(formats=("date",)))


def _kind(document: Document) -> tuple[str, list[Diagnostic]]:
    if not isinstance(document.root.children, dict):
        what = "a policy document is a mapping with apiVersion, kind, metadata and spec"
        return "", [_error("RCL1014", what, "Write it as one.", document)]
    node = document.root.child("kind")
    kind = node.plain() if node else None
    if isinstance(kind, str) and kind in KINDS:
        return kind, []
    if kind is None:
        choices = ", ".join(KINDS)
        return "", [_error("RCL1017", "the field kind is missing", f"Write one of {choices}.", document)]
    return "", [_error("RCL1015", f"unknown kind {shown(kind)}", nearest(str(kind), [*KINDS]), document, ("kind",))]


def _without_echoes(found: list[Diagnostic]) -> list[Diagnostic]:
    """A field that is misspelt, or lacks the blank after its colon, is not also said to be missing."""
    meant = {each.remedy.removeprefix("Did you mean ").partition("?")[0] for each in found if each.code == "RCL1016"}
    meant |= {each.remedy.removeprefix(_BLANK).partition(":")[0] for each in found if each.remedy.startswith(_BLANK)}
    return [each for each in found if each.code != "RCL1017" or each.message.split(" ")[2] not in meant]


def _nulls(document: Document, node: Node, path: Path) -> Iterator[Diagnostic]:
    """A field that is written without a value is a slip, never a wish."""
    if isinstance(node.children, dict):
        for key, child in node.children.items():
            yield from _nulls(document, child, (*path, key))
    elif isinstance(node.children, list):
        for index, child in enumerate(node.children):
            yield from _nulls(document, child, (*path, index))
    elif node.value is None:
        remedy = "Write a value, or leave the field out."
        if path and isinstance(path[-1], str) and re.search(r":\S", path[-1]):
            remedy = f"{_BLANK}{path[-1].replace(':', ': ', 1)}."
        yield Diagnostic("RCL1020", Severity.ERROR, f"{_field(path)} has no value", remedy, document.at_key(*path))


# --- What jsonschema found, in our words ---------------------------------------------------------------------


def _told(document: Document, error: _Found) -> list[Diagnostic]:
    path: Path = tuple(error.absolute_path)
    if error.instance is None:
        return []
    match error.validator:
        case "additionalProperties":
            return _unknown_fields(document, error, path)
        case "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            return [_missing(document, name, error, path) for name in missing]
        case "anyOf":
            return _any_of(document, error, path)
        case "minProperties" | "maxProperties":
            return [_one_of(document, list(error.schema.get("properties", {})), error, path)]
        case "oneOf":
            choices = [each["required"][0] for each in error.validator_value]
            return [_one_of(document, choices, error, path)]
        case _:
            return [_wrong_value(document, error, path)]


def _wrong_value(document: Document, error: _Found, path: Path) -> Diagnostic:
    what, remedy = _value(error, document.node(*path).written)
    code = "RCL1018" if error.validator == "type" else "RCL1019"
    if path == ("apiVersion",):
        remedy = f"Write {_API_VERSION}."
    return _error(code, f"{_field(path)} {what}", remedy, document, path)


def _unknown_fields(document: Document, error: _Found, path: Path) -> list[Diagnostic]:
    known = list(error.schema.get("properties", {}))
    if not isinstance(error.validator_value, bool):
        return []
    return [
        Diagnostic(
            "RCL1016",
            Severity.ERROR,
            f"unknown field {shown(name)}" + (f" in {_field(path)}" if path else ""),
            nearest(str(name), known),
            document.at_key(*path, name),
        )
        for name in error.instance
        if name not in known
    ]


def _missing(document: Document, name: str, error: _Found, path: Path) -> Diagnostic:
    description = _description(error.schema.get("properties", {}).get(name, {}))
    what = f"the field {name} is missing" + (f" in {_field(path)}" if path else "")
    return _error("RCL1017", what, f"Write it{': ' + description if description else ''}.", document, path)


def _any_of(document: Document, error: _Found, path: Path) -> list[Diagnostic]:
    """The options that fit the value's type, if there is one; else what the options are."""
    of_type = [each for each in error.context or () if each.validator != "type" or len(each.relative_path)]
    nested = [each for each in of_type if isinstance(error.instance, dict) and each.validator != "enum"]
    if nested:
        return [said for each in nested for said in _told(document, each)]
    choices = [choice for option in error.validator_value for choice in option.get("enum", [])]
    what = f"{_field(path)} {shown(error.instance, document.node(*path).written)} is not known"
    remedy = f"{of_choice(error.instance, choices)[:-1]}, or a mapping." if choices else "Correct it."
    return [_error("RCL1019", what, remedy, document, path)]


def _one_of(document: Document, choices: list[str], error: _Found, path: Path) -> Diagnostic:
    written = [name for name in choices if name in error.instance]
    what = f"has {' and '.join(written)}" if written else "has none of them"
    remedy = f"Write exactly one of {', '.join(choices)}."
    return _error("RCL1021", f"{_field(path)} {what}", remedy, document, path)


def _value(error: _Found, written: str) -> tuple[str, str]:
    if error.schema.get("pattern") == REFERENCE_PATTERN:
        # It may be the secret itself; it is not shown.
        return "is not a reference to a secret", "Write env:NAME or file:PATH; a secret never stands in a policy."
    seen, limit = shown(error.instance, written), error.validator_value
    match error.validator:
        case "type":
            return of_type(error.instance, limit, error.schema, written)
        case "enum":
            return f"{seen} is not known", of_choice(error.instance, limit)
        case "const":
            return f"is {seen}", f"Write {limit}."
        case "pattern":
            return of_pattern(error.instance, error.schema)
        case "minItems":
            return "is empty", "Write at least one item."
        case "maxItems":
            return f"has {len(error.instance)} items", f"Write at most {limit}."
        case "minLength":
            return "is empty", "Write a text."
        case "maxLength":
            return f"has {len(error.instance)} characters", f"Write at most {limit}."
        case "minimum":
            return f"is {seen}", f"Write {limit} or more."
        case "maximum":
            return f"is {seen}", f"Write {limit} or less."
        case "format":
            return f"{seen} is not a date", "Write it as 2027-03-01."
        case _:
            return f"{seen} is wrong", "See `reconciler schema`."


def _description(schema: dict[str, Any]) -> str:
    return str(schema.get("description", "")).rstrip(".")


def _field(path: Path) -> str:
    """The path as people write it: members[0].virtualMachines; without the `spec` that everything is in."""
    text = ""
    for step in path[1:] if len(path) > 1 and path[0] == "spec" else path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "the document"


def _error(code: str, what: str, remedy: str, document: Document, path: Path = ()) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, what, remedy, document.at(*path))
