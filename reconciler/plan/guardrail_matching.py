"""Matching: which guardrails look at a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reconciler.model.documents import GuardrailMatch, PolicySet
from reconciler.plan.globs import glob_matches


def guards(policies: PolicySet, document: Any) -> list[str]:
    """The names of the guardrails that look at the document, or at changes of it."""
    return [
        placed.document.metadata.name for placed in policies.guardrails if matches(placed.document.spec.match, document)
    ]


def read_by(policies: PolicySet, before: Any, after: Any, changed: Sequence[str]) -> list[str]:
    """The names of the guardrails that look at the document and whose expressions read its labels or its name, where
    those change, or a field that `changed` without weakening anything (paths): what such a rule says of the document
    may turn with them, unseen by its `match`."""
    words = [
        word
        for word, one, other in (
            ("labels", before.metadata.labels, after.metadata.labels),
            ("name", before.metadata.name, after.metadata.name),
        )
        if one != other
    ]
    return [
        placed.document.metadata.name
        for placed in policies.guardrails
        if matches(placed.document.spec.match, before)
        and any(
            ("metadata" in rule.expression and any(word in rule.expression for word in words))
            or any(path.rpartition(".")[2] in rule.expression for path in changed)
            for rule in placed.document.spec.validations
        )
    ]


def matches(match: GuardrailMatch, document: Any) -> bool:
    """By kind, labels and name; the operations are not looked at."""
    metadata = document.metadata
    if document.kind not in match.kinds or not match.labels.items() <= metadata.labels.items():
        return False
    return not match.names or any(glob_matches(name, metadata.name) for name in match.names)
