"""Matching: which guardrails look at a document."""

from __future__ import annotations

from typing import Any

from reconciler.model.documents import GuardrailMatch, PolicySet
from reconciler.plan.globs import glob_matches


def guards(policies: PolicySet, document: Any) -> list[str]:
    """The names of the guardrails that look at the document, or at changes of it."""
    return [
        placed.document.metadata.name
        for placed in policies.guardrails
        if looks_at(placed.document.spec.match, document)
    ]


def looks_at(match: GuardrailMatch, document: Any) -> bool:
    """By kind, labels and name; the operations are not looked at."""
    metadata = document.metadata
    if document.kind not in match.kinds or not match.labels.items() <= metadata.labels.items():
        return False
    return not match.names or any(glob_matches(name, metadata.name) for name in match.names)
