"""Idle patterns: a selector as written, what its cluster shows -> a finding for each name, pattern and label of it that
means nothing there, with the names that are near.

One that means nothing among others that do is told too: the rule goes on working, without what was mistyped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

import msgspec

from reconciler.errors import Diagnostic, Severity
from reconciler.model import ClusterSnapshot
from reconciler.model.documents import MachineSelector, Positions
from reconciler.model.names import fold
from reconciler.plan.globs import globs, is_pattern
from reconciler.plan.near_names import MOST, suggestion
from reconciler.plan.selectors import Candidate, Population, unmet, unsure

#: A whole rule that means nothing, and a part of one that does.
IDLE_RULE, IDLE_PATTERN = "RCL3001", "RCL3120"

#: For how many patterns of one rule near names are looked for; how many more there are is said in one line.
_TOLD = 5

_LATER = "A virtual machine that appears later is included automatically."


class SelectorPlace(msgspec.Struct, frozen=True):
    """Where a selector is written, and whose it is: `the group NAME` or `the exclusion NAME`."""

    whose: str
    positions: Positions
    path: tuple[str | int, ...]


class Known:
    """Names that there are of one kind, gathered when they are first asked for."""

    def __init__(self, gather: Callable[[], Iterable[str]]) -> None:
        self._gather = gather
        self._meant: dict[str, bool] = {}
        self._near: dict[str, str] = {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted({each for each in self._gather() if each}))

    @cached_property
    def _folded(self) -> frozenset[str]:
        return frozenset(map(fold, self.names))

    def has(self, pattern: str) -> bool:
        """Whether the pattern means one of them. Many rules of a site share a pattern: each is looked for once."""
        if not is_pattern(pattern):
            return fold(pattern) in self._folded
        if pattern not in self._meant:
            self._meant[pattern] = any(map(globs((pattern,)).fits, self.names))
        return self._meant[pattern]

    def near(self, written: str, taken: Known) -> str:
        """What to write instead of a pattern that means none of them; "" where nothing is near, but for names that
        are taken."""
        if taken.names:
            return suggestion(written, [each for each in self.names if each not in taken.names])
        if written not in self._near:
            self._near[written] = suggestion(written, self.names)
        return self._near[written]


class ClusterNames:
    """What the patterns of selectors are held against: the virtual machines of a cluster that are there, those that
    the ledger remembers, and what the cluster shows of itself."""

    def __init__(self, shown: ClusterSnapshot, now: Population, gone: Population | None = None) -> None:
        self.everybody = (*now.candidates, *(gone.candidates if gone is not None else ()))
        self.now = now
        self.machines = Known(lambda: (each.name for each in self.everybody))
        self.nodes = Known(lambda: [each.name for each in shown.nodes] + [each.node for each in self.everybody])
        self.volumes = Known(
            lambda: [each.name for each in shown.volumes] + [of for each in self.everybody for of in each.volumes]
        )


class _Idle(msgspec.Struct, frozen=True):
    """One pattern or label that means nothing: where in the selector, what it is, and what it may mean instead."""

    path: tuple[str | int, ...]
    what: str
    hint: str


def idle_rule(
    selector: MachineSelector, place: SelectorPlace, names: ClusterNames, severity: Severity = Severity.WARNING
) -> Diagnostic:
    """What to say of a rule that means no virtual machine at all."""
    idle = list(_idle(selector, (), names))[:_TOLD]
    what = f"this rule of {place.whose} matches no virtual machine of {selector.cluster}"
    if idle:
        what += f": {' and '.join(each.what for each in idle)} {'matches' if len(idle) == 1 else 'match'} nothing there"
    elif nearly := _nearly(selector, names):
        what += f": {nearly}"
    unknown = sorted({of for each in names.now.candidates if (of := unsure(selector, each))})
    what += f"; {' and '.join(unknown)} of some virtual machines is not known" if unknown else ""
    hints = dict.fromkeys(each.hint for each in idle if each.hint)
    remedy = " ".join(hints) or f"Check names and labels against the cluster. {_LATER}"
    return Diagnostic(IDLE_RULE, severity, what, remedy, place.positions.at(*place.path))


def _nearly(selector: MachineSelector, names: ClusterNames) -> str:
    """Why the virtual machines are not meant that are named, or labelled, as the rule wants it; "" for none."""
    first = MachineSelector(selector.cluster, names=selector.names, labels={} if selector.names else selector.labels)
    if first == MachineSelector(selector.cluster):
        return ""
    near = [f"{each.name} is not selected: {unmet(selector, each)}" for each in names.now.select(first)]
    more = f" and {len(near) - MOST} more like it" if len(near) > MOST else ""
    return "; ".join(near[:MOST]) + more


def idle_patterns(
    selector: MachineSelector,
    place: SelectorPlace,
    names: ClusterNames,
    matched: Sequence[Candidate],
    severity: Severity = Severity.WARNING,
) -> Iterator[Diagnostic]:
    """What to say of the patterns of a rule that mean nothing although others of it do. `matched` are the virtual
    machines that the rule means."""
    written = [*selector.names, *selector.except_, *selector.nodes, *selector.volumes]
    if len(written) < 2 and not selector.except_:
        return
    found = list(_idle(selector, matched, names))
    for each in found[:_TOLD]:
        mild = each.path[0] == "except"  # nothing is unprotected for it
        yield Diagnostic(
            IDLE_PATTERN,
            Severity.ADVICE if mild else severity,
            f"{each.what} of {place.whose} matches nothing on {selector.cluster}",
            each.hint or f"Correct it, or remove it. {_LATER}",
            place.positions.at(*place.path, *each.path),
        )
    if len(found) > _TOLD:
        what = f"{len(found) - _TOLD} more patterns of {place.whose} match nothing on {selector.cluster}"
        yield Diagnostic(IDLE_PATTERN, severity, what, "Correct them, or remove them.", place.positions.at(*place.path))


def _idle(selector: MachineSelector, matched: Sequence[Candidate], names: ClusterNames) -> Iterator[_Idle]:
    """Every pattern and label that means nothing, in the order of the fields."""
    taken = Known(lambda: (each.name for each in matched))
    yield from _of("names", "the name", selector.names, taken, names.machines)
    if not matched:  # whom a rule means has every label of it
        yield from _labels(selector, names)
    # One that excepts nobody yet is usual: only what looks mistyped is told.
    excepted = _of("except", "the excepted name", selector.except_, _NONE, names.machines)
    yield from (each for each in excepted if each.hint)
    nodes = Known(lambda: (each.node for each in matched))
    yield from _of("nodes", "the node", selector.nodes, nodes, names.nodes)
    volumes = Known(lambda: (volume for each in matched for volume in each.volumes))
    yield from _of("volumes", "the volume", selector.volumes, volumes, names.volumes)


_NONE = Known(tuple)


def _of(field: str, what: str, patterns: Iterable[str], taken: Known, known: Known) -> Iterator[_Idle]:
    """The idle patterns of one field. `taken` are the names that the whole rule means already: a pattern that means
    one of them is at work, and what was mistyped was not meant to be another spelling of one."""
    idle = [(place, each) for place, each in enumerate(patterns) if not taken.has(each) and not known.has(each)]
    for number, (place, written) in enumerate(idle):
        near = known.near(written, taken) if number < _TOLD else ""
        yield _Idle((field, place), f"{what} {written!r}", near)


def _labels(selector: MachineSelector, names: ClusterNames) -> Iterator[_Idle]:
    for key, value in sorted(selector.labels.items()):
        values = {each.labels[key] for each in names.everybody if key in each.labels}
        if value in values:
            continue
        if values:
            hint = suggestion(value, values) or f"Labels {key} that are there: {', '.join(sorted(values)[:_TOLD])}."
        else:
            hint = suggestion(key, {each for seen in names.everybody for each in seen.labels})
        yield _Idle(("labels", key), f"the label {key}: {value}", hint)
