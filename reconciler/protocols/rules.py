"""What the pure core asks of whoever evaluates rules: expressions and data -> answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec


class Question(NamedTuple):
    """An expression, and what it can name: plain values, texts, numbers, lengths of time as `timedelta`."""

    expression: str
    data: Mapping[str, Any]


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """`value` is what the expression gives where that is true, false or a text, else None; `shown` is the same as text.
    With an `error` there is no value: it says why."""

    value: bool | str | None = None
    shown: str = ""
    error: str = ""


#: Answers every question, in order. Never raises for a question: one that has no answer has an error.
Evaluate = Callable[[Sequence[Question]], Sequence[Answer]]


def evaluates_nothing(questions: Sequence[Question]) -> list[Answer]:
    """Where nobody evaluates rules: no question has an answer, so what has guardrails is denied."""
    return [Answer(error="nothing here evaluates rules")] * len(questions)
