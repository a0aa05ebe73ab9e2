"""Guarding: guardrails, documents and changes -> what they deny, want approved, or warn of.

Rules are CEL. Whoever asks hands in what evaluates them; a rule that cannot be evaluated denies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import Enum
from typing import Any, NamedTuple
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
from reconciler.model.encode import decode
from reconciler.model.units import ClockTime, Duration
from reconciler.plan import cel_errors
from reconciler.plan.desired.defaults import with_rpo, zones_of
from reconciler.plan.globs import glob_matches
from reconciler.plan.guardrail_matching import matches
from reconciler.protocols import Answer, Evaluate, Question

_CODES = {"deny": "RCL3031", "approve": "RCL3032", "warn": "RCL3033"}
_NOT_EVALUATED = "RCL3034"
_DENIES = {"RCL3031", "RCL3034"}


class Subject(msgspec.Struct, frozen=True):
    """What a rule is asked about: the document as it is to be and as it was, how it changes, and where it stands.
    `labels` are what is known of a document that is gone; `known_as` is the document as it was last applied: a rule
    that looked at that one is asked too, though its labels may be gone."""

    kind: str
    name: str
    document: Any = None
    older: Any = None
    change: Mapping[str, Any] | None = None
    location: Location | None = None
    labels: Mapping[str, str] | None = None
    known_as: Any = None


def denied(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The findings that forbid."""
    return tuple(each for each in findings if each.code in _DENIES)


def wants_approval(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The findings that want somebody's approval."""
    return tuple(each for each in findings if each.code == _CODES["approve"])


def guard_documents(
    policies: PolicySet, evaluate: Evaluate, applied: Mapping[str, Any] | None = None
) -> tuple[Diagnostic, ...]:
    """What the rules over documents say of those that there are. `applied` are the groups' documents as they were last
    applied, by name: whoever takes a label off does not take its group out of a rule by the same change."""
    every: list[Placed[Any]] = [*policies.sites, *policies.groups, *policies.exclusions]
    zones = zones_of(policies)
    subjects = [_document(placed, zones, applied or {}) for placed in every] if policies.guardrails else []
    return guard(policies.guardrails, subjects, evaluate)


def last_applied(ledger: Iterable[LedgerEntry]) -> dict[str, GroupDocument]:
    """The groups' documents as they were last applied, by name, as far as they are known."""
    return {entry.group: decode(entry.document, GroupDocument) for entry in ledger if entry.document}


def guard(
    guardrails: Iterable[Placed[GuardrailDocument]], subjects: Iterable[Subject], evaluate: Evaluate
) -> tuple[Diagnostic, ...]:
    """What the rules say of the subjects: rules over changes of those that change, the others of the rest."""
    asked = list(subjects)
    pairs = [
        (placed, subject) for placed in guardrails for subject in asked if _matches(placed.document.spec.match, subject)
    ]
    return tuple(judge(pairs, evaluate))


class _Asked(NamedTuple):
    """A rule of a guardrail by its number, whom it is asked about, what it can name, and its place among all that is
    asked."""

    place: int
    guardrail: Placed[GuardrailDocument]
    number: int
    subject: Subject
    data: Mapping[str, Any]

    @property
    def validation(self) -> GuardrailValidation:
        return self.guardrail.document.spec.validations[self.number]


def judge(pairs: Sequence[tuple[Placed[GuardrailDocument], Subject]], evaluate: Evaluate) -> list[Diagnostic]:
    """What each guardrail says of the subject beside it. Asked subject by subject, so that each is handed over once;
    told guardrail by guardrail."""
    views: dict[int, Mapping[str, Any]] = {}
    asked: list[_Asked] = []
    for place, (guardrail, subject) in enumerate(pairs):
        if id(subject) not in views:
            views[id(subject)] = _seen(subject)
        spec = guardrail.document.spec
        data = {**views[id(subject)], "params": _native(spec.params)}
        asked += (_Asked(place, guardrail, number, subject, data) for number in range(len(spec.validations)))
    order = {key: place for place, key in enumerate(views)}
    asked.sort(key=lambda each: order[id(each.subject)])
    answers = evaluate([Question(each.validation.expression, each.data) for each in asked])
    broken = [
        (each, answer) for each, answer in zip(asked, answers, strict=True) if answer.error or answer.value is not True
    ]
    wordy = [each for each, answer in broken if answer.value is False and each.validation.message_expression]
    texts = evaluate([Question(each.validation.message_expression, each.data) for each in wordy]) if wordy else []
    worded = {id(each): text for each, text in zip(wordy, texts, strict=True)}
    broken.sort(key=lambda found: found[0].place)
    return [_said(each, answer, worded.get(id(each))) for each, answer in broken]


def _seen(subject: Subject) -> Mapping[str, Any]:
    """What rules can name of a subject."""
    return {
        "object": view(subject.document) if subject.document is not None else None,
        "oldObject": view(subject.older) if subject.older is not None else None,
        "change": _native(subject.change) if subject.change is not None else None,
    }


def _said(asked: _Asked, answer: Answer, text: Answer | None) -> Diagnostic:
    """What a rule that does not hold, or that has no answer, says."""
    name, enforce = asked.guardrail.document.metadata.name, asked.guardrail.document.spec.enforce
    about, location = f"{asked.subject.kind} {asked.subject.name}", asked.subject.location
    if answer.error or answer.value is not False:
        what, remedy = f"it gives {answer.shown}, not true or false", "Compare with == or >."
        if answer.error:
            what, remedy = cel_errors.plain(answer.error)
        said = f"the guardrail {name} cannot be evaluated on {about}: {what}"
        where = asked.guardrail.positions.at("spec", "validations", asked.number, "expression")
        also = (location,) if location is not None else ()
        return Diagnostic(_NOT_EVALUATED, Severity.ERROR, said, f"{remedy} Until then it denies.", where, about, also)
    message = asked.validation.message or asked.validation.expression
    if text is not None and isinstance(text.value, str) and not text.error:
        message = text.value
    severity = Severity.ERROR if enforce == "deny" else Severity.WARNING
    remedy = {
        "deny": "Change the policy so that it holds.",
        "approve": "Change the policy, or have it approved.",
        "warn": "Think about it; nothing is stopped.",
    }[enforce]
    return Diagnostic(_CODES[enforce], severity, f"{about}: {message} (guardrail {name})", remedy, location, about)


def _matches(match: GuardrailMatch, subject: Subject) -> bool:
    if subject.kind not in match.kinds:
        return False
    if match.operations:
        if subject.change is None or subject.change["verb"] not in match.operations:
            return False
    elif subject.change is not None:
        return False
    documents = [each for each in (subject.document, subject.older, subject.known_as) if each is not None]
    if documents:
        return any(matches(match, document) for document in documents)
    named = not match.names or any(glob_matches(name, subject.name) for name in match.names)
    return named and (subject.labels is None or match.labels.items() <= subject.labels.items())


# --- Subjects --------------------------------------------------------------------------------------------------


def _document(placed: Placed[Any], zones: Mapping[str, ZoneInfo], applied: Mapping[str, Any]) -> Subject:
    document = _effective(placed.document, zones)
    before = _before(document, applied)
    return Subject(document.kind, document.metadata.name, document, location=placed.positions.at(), known_as=before)


def _before(document: Any, applied: Mapping[str, Any]) -> Any:
    """The group's document as it was last applied, under its name or an earlier one."""
    if not isinstance(document, GroupDocument):
        return None
    names = (document.metadata.name, *document.spec.renamed_from)
    return next((applied[name] for name in names if name in applied), None)


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
    owned = tuple(ledger)
    labels = {(entry.server, entry.group): entry.labels for entry in owned}
    applied = last_applied(owned) if policies.guardrails else {}
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
        former = change.before.name if change.before is not None else change.group
        before = applied.get(change.group) or applied.get(former)
        found.append(Subject("ProtectionGroup", change.group, document, None, seen, change.location, known, before))
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
        return value.delta
    if isinstance(value, Mapping):
        return {key: _native(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_native(inner) for inner in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, ClockTime | date):
        return str(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
