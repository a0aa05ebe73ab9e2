"""Tests of guardrails: cases written in YAML -> what each guardrail said, and whether that was expected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from reconciler import files
from reconciler.errors import Diagnostic, Location, PolicyError, Severity, UsageError
from reconciler.expressions import evaluate
from reconciler.model.documents import GuardrailDocument, Placed, PolicySet, Written
from reconciler.parse.load import LARGEST_FILE, load
from reconciler.parse.validate import typed
from reconciler.plan.approval.guardrails import Subject, judge

Verdict = Literal["allow", "deny", "approve", "warn", "error"]
_VERDICTS: dict[str, Verdict] = {"RCL3031": "deny", "RCL3032": "approve", "RCL3033": "warn", "RCL3034": "error"}

#: What a case leaves out of a document is taken from here, so that it says only what it is about.
_BASE: dict[str, dict[str, Any]] = {
    "ProtectionGroup": {
        "site": "hq",
        "server": "mabs-01",
        "members": [{"virtualMachines": {"cluster": "hci-01", "names": ["*"]}}],
        "shortTerm": {"retention": "14d", "synchronization": "1h"},
    },
    "Exclusion": {
        "site": "hq",
        "virtualMachines": {"cluster": "hci-01", "names": ["*"]},
        "reason": "r",
        "owner": "o",
        "until": "2099-12-31",
    },
    "Site": {
        "timeZone": "UTC",
        "prune": False,
        "state": {"sqlite": {"path": "var/hq.db"}},
        "clusters": [{"name": "hci-01", "inventory": {"directory": {"path": "clusters/hci-01"}}}],
        "servers": [
            {
                "name": "mabs-01",
                "engine": {"embedded": {"path": "var/s"}},
                "volumes": [{"name": "v", "capacity": "1 TB"}],
            }
        ],
    },
}


class Case(Written, frozen=True):
    """One case: documents in part (the rest is filled in), the change if it is about one, and what is expected."""

    name: str
    expect: Verdict
    object: dict[str, Any] | None = None
    old_object: dict[str, Any] | None = None
    change: dict[str, Any] | None = None


class Cases(Written, frozen=True):
    """The cases of one guardrail."""

    guardrail: str
    cases: tuple[Case, ...]


class CaseResult(msgspec.Struct, frozen=True, rename="camel"):
    """What came of a case."""

    guardrail: str
    name: str
    expected: Verdict
    got: Verdict
    said: str
    location: Location

    @property
    def passed(self) -> bool:
        return self.expected == self.got


def run_cases(policies: PolicySet, paths: list[Path]) -> tuple[CaseResult, ...]:
    """Every case of the files. Raises `PolicyError` for files that are wrong, `UsageError` for none."""
    results: list[CaseResult] = []
    rules = {placed.document.metadata.name: placed for placed in policies.guardrails}
    for path in paths:
        for document, cases in _read(path):
            if cases.guardrail not in rules:
                known = ", ".join(sorted(rules)) or "none"
                where = document.at("guardrail")
                raise PolicyError([_wrong(f"there is no guardrail {cases.guardrail!r}", f"Known: {known}.", where)])
            for number, case in enumerate(cases.cases):
                results.append(_run(rules[cases.guardrail], case, document.at("cases", number)))
    if not results:
        raise UsageError("RCL0003", "there is no case to run", "Name a file of cases; docs/reference/guardrails.md.")
    return tuple(results)


def _read(path: Path) -> Iterator[tuple[Any, Cases]]:
    try:
        data = files.read_regular(path, LARGEST_FILE)
    except OSError as error:
        remedy = "Name a file of cases."
        raise UsageError("RCL0003", f"{path} cannot be read: {error.strerror}", remedy, subject=str(path)) from error
    documents, wrong = load(str(path), data)
    if wrong:
        raise PolicyError(wrong, {str(path): data})
    for document in documents:
        try:
            yield document, msgspec.convert(document.root.plain(), Cases)
        except (msgspec.ValidationError, ValueError) as error:
            raise PolicyError(
                [_wrong(str(error), "See docs/reference/guardrails.md.", document.at())], {str(path): data}
            ) from error


def _run(placed: Placed[GuardrailDocument], case: Case, where: Location) -> CaseResult:
    guardrail = placed.document
    kind = guardrail.spec.match.kinds[0]
    subject = Subject(
        kind,
        case.name,
        _document(kind, case.object, guardrail, where),
        _document(kind, case.old_object, guardrail, where),
        _change(case.change),
        where,
    )
    said = judge([(placed, subject)], evaluate)
    got: Verdict = next((_VERDICTS[finding.code] for finding in said), "allow")
    return CaseResult(
        guardrail.metadata.name, case.name, case.expect, got, "; ".join(each.message for each in said), where
    )


def _change(change: dict[str, Any] | None) -> dict[str, Any] | None:
    if change is None:
        return None
    return {"verb": "update", "direction": "neutral", "fields": [], "gained": [], "lost": []} | change


def _document(kind: str, given: dict[str, Any] | None, guardrail: GuardrailDocument, where: Location) -> Any:
    if given is None:
        return None
    whole = _filled(
        {
            "apiVersion": "reconciler/v1",
            "kind": kind,
            "metadata": {"name": "case", "labels": dict(guardrail.spec.match.labels)},
            "spec": _BASE[kind],
        },
        given,
    )
    try:
        return typed(whole, kind)
    except (msgspec.ValidationError, ValueError) as error:
        raise PolicyError([_wrong(f"the case's {kind} is invalid: {error}", "Correct it.", where)]) from error


def _filled(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _filled(base[key], value) if both else value
    return merged


def _wrong(what: str, remedy: str, where: Location) -> Diagnostic:
    return Diagnostic("RCL1074", Severity.ERROR, what, remedy, where)
