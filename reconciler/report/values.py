"""Values of a change -> text: what differs is never cut where somebody has to agree to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reconciler.model.comparison import DocumentField
from reconciler.model.encode import inline
from reconciler.report.escape import safe

_WIDE = 100


class Shown(NamedTuple):
    """A value before and after, each in one line."""

    before: str
    after: str


def shown(field: DocumentField) -> Shown:
    """What a field was and becomes. Long lists and maps are shown by what comes and goes in them; of what needs an
    approval all of that, of the rest the beginning."""
    whole = Shown(safe(inline(field.before)), safe(inline(field.after)))
    if max(map(len, whole)) <= _WIDE:
        return whole
    before, after, same = _apart(field.before, field.after)
    kept = f" (and {same} as before)" if same else ""
    found = Shown(safe(inline(before)) + kept, safe(inline(after)) + kept)
    return found if field.direction.needs_consent else Shown(_cut(found.before), _cut(found.after))


def content(field: DocumentField) -> dict[str, str]:
    """What a document that came or went says, field by field."""
    whole = field.after if field.after is not None else field.before
    if field.field or not isinstance(whole, dict):
        return {}
    told = {key: safe(inline(each)) for key, each in whole["spec"].items()}
    return told if field.direction.needs_consent else {key: _cut(each) for key, each in told.items()}


def _cut(text: str) -> str:
    return text if len(text) <= _WIDE else text[: _WIDE - 3] + "..."


def _apart(before: Any, after: Any) -> tuple[Any, Any, int]:
    """The parts of two values that the other one has not, and how many parts are the same in both."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        old, new, same = {}, {}, 0
        for key in (*before, *(key for key in after if key not in before)):
            if key in before and key in after:
                if before[key] == after[key]:
                    same += 1
                    continue
                old[key], new[key], inner = _apart(before[key], after[key])
                same += inner
            elif key in before:
                old[key] = before[key]
            else:
                new[key] = after[key]
        return old, new, same
    if _is_list(before) and _is_list(after):
        gone = [each for each in before if each not in after]
        come = [each for each in after if each not in before]
        if not gone and not come:  # the order, or how often
            return before, after, 0
        same = sum(each in after for each in before)
        if len(gone) == len(come) == 1 and isinstance(gone[0], Mapping) and isinstance(come[0], Mapping):
            old, new, inner = _apart(gone[0], come[0])
            return [old], [new], same + inner
        return gone, come, same
    return before, after, 0


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
