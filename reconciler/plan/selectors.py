"""Selectors: machines of a cluster and a rule as written -> the machines that match it.

Names match without regard to case, as Hyper-V's own names do; ``*`` and ``?`` are the only wildcards.
Labels match exactly. A rule with names and labels wants both.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from reconciler.model import DataSource, VirtualMachine
from reconciler.model.documents import MachineSelector


class Candidate(msgspec.Struct, frozen=True):
    """What a selector looks at: a machine as it is now, or as it was when it was last seen."""

    source: DataSource
    name: str
    labels: dict[str, str]


class Population:
    """The machines of one cluster, indexed by name and by label, so that a rule looks at few of them."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self.candidates = tuple(sorted(candidates, key=lambda candidate: candidate.source))
        self._by_name: dict[str, list[Candidate]] = defaultdict(list)
        self._by_label: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
        for candidate in self.candidates:
            self._by_name[candidate.name.casefold()].append(candidate)
            for label in candidate.labels.items():
                self._by_label[label].append(candidate)

    @classmethod
    def of(cls, cluster: str, machines: Iterable[VirtualMachine]) -> Population:
        """The machines that a snapshot of `cluster` shows."""
        return cls(Candidate(machine.source(cluster), machine.name, machine.labels) for machine in machines)

    def select(self, selector: MachineSelector) -> tuple[Candidate, ...]:
        """The machines that match, sorted by data source."""
        found = {candidate.source: candidate for candidate in self._few(selector) if matches(selector, candidate)}
        return tuple(found[source] for source in sorted(found))

    def _few(self, selector: MachineSelector) -> Iterable[Candidate]:
        if selector.labels:
            return min((self._by_label.get(label, []) for label in selector.labels.items()), key=len)
        if selector.names and not any(_is_pattern(name) for name in selector.names):
            return [found for name in selector.names for found in self._by_name.get(name.casefold(), [])]
        return self.candidates


def matches(selector: MachineSelector, candidate: Candidate) -> bool:
    """Whether the machine is one of those that the selector means."""
    if selector.names and not any(_glob(name).fullmatch(candidate.name) for name in selector.names):
        return False
    if any(candidate.labels.get(key) != value for key, value in selector.labels.items()):
        return False
    return not any(_glob(name).fullmatch(candidate.name) for name in selector.except_)


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    parts = (".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in pattern)
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
