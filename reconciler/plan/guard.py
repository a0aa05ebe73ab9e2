"""Guarding: guardrails, documents and changes -> what they deny, want approved, or warn of.

Rules are CEL (cel-expr-python, Google's own), compiled once. A rule that cannot be evaluated denies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import Change, FieldChange, LedgerEntry
from reconciler.model.comparison import DocumentChange
from reconciler.model.documents import (
    GroupDocument,
    GuardrailDocument,
    GuardrailMatch,
    GuardrailValidation,
    Placed,
    PolicySet,
)
from reconciler.model.units import ClockTime, Duration
from reconciler.plan.globs import glob_matches
from reconciler.plan.matching import looks_at
from reconciler.plan.terms import with_rpo, zones_of

#: What the expressions can name.
VARIABLES = ("object", "oldObject", "change", "params")

_CODES = {"deny": "RCL3031", "approve": "RCL3032", "warn": "RCL3033"}
_NOT_EVALUATED = "RCL3034"
_DENIES = {"RCL3031", "RCL3034"}
_POSITION = re.compile(r"<input>:(\d+):(\d+): (.*)")


class Subject(msgspec.Struct, frozen=True):
    """What a rule is asked about: the document as it is to be and as it was, how it changes, and where it stands.
    `labels` are what is known of a document that is gone."""

    kind: str
    name: str
    document: Any = None
    older: Any = None
    change: Mapping[str, Any] | None = None
    location: Location | None = None
    labels: Mapping[str, str] | None = None


class BadExpression(Exception):
    """An expression that does not compile: what is wrong, and at which line and column of it (from 1)."""

    def __init__(self, what: str, line: int, column: int) -> None:
        super().__init__(what)
        self.what, self.line, self.column = what, line, column


def denied(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The findings that forbid."""
    return tuple(each for each in findings if each.code in _DENIES)


def wants_approval(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The findings that want somebody's approval."""
    return tuple(each for each in findings if each.code == _CODES["approve"])


def guard_documents(policies: PolicySet) -> tuple[Diagnostic, ...]:
    """What the rules over documents say of those that there are."""
    every: list[Placed[Any]] = [*policies.sites, *policies.groups, *policies.exclusions]
    zones = zones_of(policies)
    subjects = [_document(placed, zones) for placed in every] if policies.guardrails else []
    return guard(policies.guardrails, subjects)


def guard(guardrails: Iterable[Placed[GuardrailDocument]], subjects: Iterable[Subject]) -> tuple[Diagnostic, ...]:
    """What the rules say of the subjects: rules over changes of those that change, the others of the rest."""
    asked = list(subjects)
    return tuple(
        finding
        for placed in guardrails
        for subject in asked
        if _matches(placed.document.spec.match, subject)
        for finding in judge(placed.document, subject)
    )


def judge(guardrail: GuardrailDocument, subject: Subject) -> list[Diagnostic]:
    """What one guardrail says of one subject."""
    spec = guardrail.spec
    data = {
        "object": view(subject.document) if subject.document is not None else None,
        "oldObject": view(subject.older) if subject.older is not None else None,
        "change": _native(subject.change) if subject.change is not None else None,
        "params": _native(spec.params),
    }
    return [
        finding
        for validation in spec.validations
        if (finding := _asked(guardrail, validation, data, subject)) is not None
    ]


def _asked(
    guardrail: GuardrailDocument, validation: GuardrailValidation, data: Mapping[str, Any], subject: Subject
) -> Diagnostic | None:
    name, enforce = guardrail.metadata.name, guardrail.spec.enforce
    answer, error = evaluate(validation.expression, data)
    if answer is True:
        return None
    about = f"{subject.kind} {subject.name}"
    if error or answer is not False:
        what = error or f"it gives {answer!r}, not true or false"
        remedy = "Correct the expression; has(...) asks whether a field is there. Until then it denies."
        said = f"the guardrail {name} cannot be evaluated on {about}: {what}"
        return Diagnostic(_NOT_EVALUATED, Severity.ERROR, said, remedy, subject.location, about)
    message = validation.message or validation.expression
    if validation.message_expression:
        text, error = evaluate(validation.message_expression, data)
        message = text if isinstance(text, str) and not error else message
    severity = Severity.ERROR if enforce == "deny" else Severity.WARNING
    remedy = {
        "deny": "Change the policy so that it holds.",
        "approve": "Change the policy, or have it approved.",
        "warn": "Think about it; nothing is stopped.",
    }[enforce]
    return Diagnostic(
        _CODES[enforce], severity, f"{about}: {message} (guardrail {name})", remedy, subject.location, about
    )


def _matches(match: GuardrailMatch, subject: Subject) -> bool:
    if subject.kind not in match.kinds:
        return False
    if match.operations:
        if subject.change is None or subject.change["verb"] not in match.operations:
            return False
    elif subject.change is not None:
        return False
    documents = [each for each in (subject.document, subject.older) if each is not None]
    if documents:
        return any(looks_at(match, document) for document in documents)
    named = not match.names or any(glob_matches(name, subject.name) for name in match.names)
    return named and (subject.labels is None or match.labels.items() <= subject.labels.items())


# --- Subjects --------------------------------------------------------------------------------------------------


def _document(placed: Placed[Any], zones: Mapping[str, ZoneInfo]) -> Subject:
    document = _effective(placed.document, zones)
    return Subject(document.kind, document.metadata.name, document, location=placed.positions.at())


def compared(changes: Iterable[DocumentChange], older: PolicySet, newer: PolicySet) -> list[Subject]:
    """The changes between two states of the policies, as rules see them."""
    before, after = _by_name(older), _by_name(newer)
    return [
        Subject(
            change.kind,
            change.name,
            after.get((change.kind, change.name)),
            before.get((change.kind, change.formerly or change.name)),
            {
                "verb": str(change.verb),
                "direction": str(change.direction),
                "fields": [
                    {"field": f.field, "before": f.before, "after": f.after, "direction": str(f.direction)}
                    for f in change.fields
                ],
            },
            change.location,
        )
        for change in changes
    ]


def planned(
    changes: Iterable[Change], policies: PolicySet, names: Mapping[str, str], ledger: Iterable[LedgerEntry]
) -> list[Subject]:
    """The changes of a plan, as rules see them. `gained` and `lost` are machines by name."""
    zones = zones_of(policies)
    groups = {placed.document.metadata.name: with_rpo(placed.document, zones) for placed in policies.groups}
    labels = {(entry.server, entry.group): entry.labels for entry in ledger}
    found = []
    for change in changes:
        moved = [field for field in change.fields if field.path == "members"]
        seen = {
            "verb": str(change.verb),
            "direction": str(change.direction),
            "reason": str(change.reason),
            "server": change.server,
            "fields": [_planned_field(field) for field in change.fields if field.path != "members"],
            "gained": [names.get(str(field.after), str(field.after)) for field in moved if field.after is not None],
            "lost": [names.get(str(field.before), str(field.before)) for field in moved if field.before is not None],
        }
        document = groups.get(change.group) if change.after is not None else None
        known = labels.get((change.server, change.group))
        found.append(Subject("ProtectionGroup", change.group, document, None, seen, change.location, known))
    return found


def _planned_field(field: FieldChange) -> dict[str, Any]:
    path = f"spec.{field.path}"
    return {"field": path, "before": field.before, "after": field.after, "direction": str(field.direction)}


def _by_name(policies: PolicySet) -> dict[tuple[str, str], Any]:
    every: list[Placed[Any]] = [*policies.sites, *policies.groups, *policies.exclusions]
    zones = zones_of(policies)
    return {(each.document.kind, each.document.metadata.name): _effective(each.document, zones) for each in every}


def _effective(document: Any, zones: Mapping[str, ZoneInfo]) -> Any:
    """A group with the RPO that counts."""
    return with_rpo(document, zones) if isinstance(document, GroupDocument) else document


# --- Values ----------------------------------------------------------------------------------------------------


def view(document: Any) -> dict[str, Any]:
    """A document as rules see it: every default filled in, what is not there left out; durations are durations, sizes
    bytes, clock times and dates texts."""
    seen: dict[str, Any] = _native(document)
    if isinstance(document, GroupDocument) and document.spec.short_term.rpo is None:
        seen = _native(with_rpo(document, {}))
    return seen


def _native(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {
            field.encode_name: _native(inner)
            for field in msgspec.structs.fields(value)
            if (inner := getattr(value, field.name)) is not None
        }
    if isinstance(value, Duration):
        return _duration(value.delta)
    if isinstance(value, Mapping):
        return {key: _native(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_native(inner) for inner in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, ClockTime | date):
        return str(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _duration(delta: timedelta) -> Any:
    from google.protobuf.duration_pb2 import Duration as Told

    told = Told()
    told.FromTimedelta(delta)
    return told


# --- CEL -------------------------------------------------------------------------------------------------------


def evaluate(expression: str, data: Mapping[str, Any]) -> tuple[Any, str]:
    """The value, and "" or why there is none."""
    from cel_expr_python import cel

    try:
        result = compiled(expression).eval(data=dict(data))
    except BadExpression as error:
        return None, error.what
    if result.type() == cel.Type.ERROR:
        return None, str(result.value()).partition(": ")[2]
    return result.value(), ""


@lru_cache(maxsize=1024)
def compiled(expression: str) -> Any:
    """The expression, ready to run. Raises `BadExpression`."""
    try:
        return _environment().compile(expression)
    except RuntimeError as error:
        found = _POSITION.search(str(error))
        if found is None:
            raise BadExpression(str(error), 1, 1) from None
        raise BadExpression(found[3].split("\n")[0], int(found[1]), int(found[2])) from None


@lru_cache(maxsize=1)
def _environment() -> Any:
    from cel_expr_python import cel

    return cel.NewEnv(variables=dict.fromkeys(VARIABLES, cel.Type.DYN))
