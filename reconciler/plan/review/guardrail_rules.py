"""The part of the rule book that is about guardrails: what one asks for -> whether others ask for all of it as well.

A rule's texts ask for nothing. ``a && b`` asks for `a` and for `b`, so a rule may be cut in two, or moved to another
guardrail, without any weakening; all else about an expression a person has to look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reconciler.model import Direction
from reconciler.model.documents import GuardrailMatch, GuardrailSpec, GuardrailValidation
from reconciler.plan.globs import glob_within

ENFORCE = ("warn", "approve", "deny")
_OPENING, _CLOSING = "([{", ")]}"


def validations(before: tuple[GuardrailValidation, ...], after: tuple[GuardrailValidation, ...]) -> Direction:
    """By what the expressions ask for, whatever their texts are."""
    old, new = asked(before), asked(after)
    if old == new:
        return Direction.NEUTRAL
    return Direction.STRENGTHENS if old < new else Direction.WEAKENS


def match(before: GuardrailMatch, after: GuardrailMatch) -> Direction:
    """One that looks at more is stronger, unless it leaves out something that it looked at."""
    return Direction.STRENGTHENS if match_within(before, after) else Direction.WEAKENS


def match_within(inner: GuardrailMatch, outer: GuardrailMatch) -> bool:
    """Whether `outer` looks at all that `inner` looks at. Rules over documents and rules over changes are two kinds."""
    if bool(inner.operations) != bool(outer.operations):
        return False
    names = not outer.names or (
        bool(inner.names) and all(any(glob_within(one, other) for other in outer.names) for one in inner.names)
    )
    return (
        set(inner.kinds) <= set(outer.kinds)
        and outer.labels.items() <= inner.labels.items()
        and names
        and set(inner.operations) <= set(outer.operations)
    )


def still_asked(lost: GuardrailSpec, others: Iterable[GuardrailSpec]) -> bool:
    """Whether other guardrails, taken together, ask for all that this one asked for, of all that it looked at, as
    strictly."""
    strict = ENFORCE.index(lost.enforce)
    there: set[str] = set()
    for other in others:
        same = other.params == lost.params and ENFORCE.index(other.enforce) >= strict
        if same and match_within(lost.match, other.match):
            there |= asked(other.validations)
    return asked(lost.validations) <= there


def asked(rules: Iterable[GuardrailValidation]) -> frozenset[str]:
    """Every single thing that the expressions ask for."""
    return frozenset(part for rule in rules for part in _conjuncts(rule.expression.strip()))


def _conjuncts(expression: str) -> Iterator[str]:
    """The sides of each ``&&`` that stands outside of brackets and texts; the whole where there is anything by which
    that could be misread: a choice beside it, a comment, a text that is no plain one."""
    depth, start, quote, parts = 0, 0, "", []
    place = 0
    while place < len(expression):
        letter, pair = expression[place], expression[place : place + 2]
        if quote:
            place += 1 if letter == "\\" else 0
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            plain = expression[place : place + 3] != letter * 3
            raw = place > 0 and expression[place - 1] in "rRbB"
            if not plain or raw:
                yield expression
                return
            quote = letter
        elif pair == "//" or (not depth and (pair == "||" or letter == "?")):
            yield expression
            return
        elif letter in _OPENING:
            depth += 1
        elif letter in _CLOSING:
            depth -= 1
        elif pair == "&&" and not depth:
            parts.append(expression[start:place].strip())
            start = place = place + 2
            continue
        place += 1
    parts.append(expression[start:].strip())
    yield from parts
