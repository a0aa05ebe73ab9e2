"""Selectors: machines of a cluster and a rule as written -> the machines that match it, and why.

Names match as `model.names` compares them and `plan.globs` reads patterns; ``*`` and ``?`` are the only wildcards.
Labels match exactly. A rule with several fields wants all of them; within a list one is enough. What is not known
of a machine matches nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

import msgspec

from reconciler.model import KnownMember, Level, VirtualMachine
from reconciler.model.documents import HostSelector, MachineSelector
from reconciler.model.names import fold
from reconciler.plan.globs import beginning, glob_matches, globs, is_pattern

#: What a selector looks at: a machine as it is now, or as it was when it was last seen. "" and () are unknown.
Candidate = KnownMember


def remembered(member: KnownMember) -> Candidate:
    """A member as the ledger knows it, as a whole machine."""
    source = member.source
    whole = source.level is Level.HOST and not source.protect
    return member if whole else msgspec.structs.replace(member, source=source.home)


class Population:
    """The machines of one cluster, indexed by what selectors ask for, so that a rule looks at few of them."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self.candidates = tuple(sorted(candidates, key=lambda candidate: candidate.source))
        self._labels: dict[str, dict[str, list[Candidate]]] = {}

    @classmethod
    def of(cls, cluster: str, machines: Iterable[VirtualMachine]) -> Population:
        """The machines that a snapshot of `cluster` shows."""
        population = cls(())
        ordered = sorted(machines, key=lambda machine: machine.id)
        population.candidates = tuple([Candidate.of(cluster, machine) for machine in ordered])
        return population

    @cached_property
    def machines(self) -> dict[str, Candidate]:
        """The machines by id."""
        return {candidate.source.machine: candidate for candidate in self.candidates}

    def select(self, selector: MachineSelector) -> tuple[Candidate, ...]:
        """The machines that match, sorted by data source."""
        few, mixed = self._few(selector)
        found = tuple(_matching(selector, few))
        if not mixed:
            return found
        once = {each.source: each for each in found}
        return tuple(once[source] for source in sorted(once))

    def _few(self, selector: MachineSelector) -> tuple[Sequence[Candidate], bool]:
        """A set of machines that holds all that match, the smallest that an index gives; and whether it may be out of
        order or hold one twice."""
        choices: list[tuple[Sequence[Candidate], bool]] = [
            (self._by_label(key).get(value, ()), False) for key, value in selector.labels.items()
        ]
        if selector.names:
            choices.append(([found for name in selector.names for found in self._beginning(name)], True))
        if selector.nodes and not any(map(is_pattern, selector.nodes)):
            choices.append(([found for node in selector.nodes for found in self._by_node.get(fold(node), ())], True))
        return min(choices, key=lambda choice: len(choice[0]), default=(self.candidates, False))

    def _by_label(self, key: str) -> dict[str, list[Candidate]]:
        found = self._labels.get(key)
        if found is None:
            found = self._labels[key] = defaultdict(list)
            for candidate in self.candidates:
                value = candidate.labels.get(key)
                if value is not None:
                    found[value].append(candidate)
        return found

    @cached_property
    def _by_node(self) -> dict[str, list[Candidate]]:
        found: dict[str, list[Candidate]] = defaultdict(list)
        for candidate in self.candidates:
            found[fold(candidate.node)].append(candidate)
        return found

    @cached_property
    def _named(self) -> tuple[list[str], list[Candidate]]:
        """The folded names, in order, and whose each is."""
        named = sorted(((fold(each.name), each) for each in self.candidates), key=lambda pair: pair[0])
        return [name for name, _ in named], [each for _, each in named]

    def _beginning(self, pattern: str) -> Sequence[Candidate]:
        """The machines whose names begin as the pattern does, up to its first wildcard."""
        names, named = self._named
        head = beginning(pattern)
        first = bisect_left(names, head)
        if not is_pattern(pattern):
            return named[first : bisect_right(names, head)]
        return named[first : bisect_right(names, head, key=lambda name: name[: len(head)])] if head else named


def _matching(selector: MachineSelector, few: Sequence[Candidate]) -> Iterable[Candidate]:
    """Those of the machines that match. Labels are looked at first, names without patterns not at all."""
    for key, value in selector.labels.items():
        few = [each for each in few if each.labels.get(key) == value]
    rest = msgspec.structs.replace(selector, labels={}, except_=())
    if rest != MachineSelector(selector.cluster):
        few = [each for each in few if matches(rest, each)]
    if selector.except_:
        spared = globs(selector.except_)
        few = [each for each in few if not spared.fits(each.name)]
    return few


def matches(selector: MachineSelector, candidate: Candidate) -> bool:
    """Whether the machine is one of those that the selector means."""
    return not unmet(selector, candidate)


def unmet(selector: MachineSelector, candidate: Candidate) -> str:
    """Why the machine is not one of those that the selector means; "" if it is."""
    if selector.names and not _any(selector.names, (candidate.name,)):
        return "its name does not match"
    for key, value in selector.labels.items():
        if candidate.labels.get(key) != value:
            return f"its label {key} is {candidate.labels.get(key, 'not there')}, not {value}"
    if selector.nodes and not _any(selector.nodes, (candidate.node,)):
        return f"it is on {candidate.node or 'an unknown node'}"
    if selector.volumes and not _any(selector.volumes, candidate.volumes):
        return f"it is on {' and '.join(candidate.volumes) or 'unknown volumes'}"
    if selector.operating_systems and not _any(selector.operating_systems, candidate.systems):
        return f"its guest is {' '.join(candidate.systems) or 'unknown'}"
    if selector.replica_role is not None and selector.replica_role != candidate.role:
        return f"its replica role is {candidate.role or 'unknown'}"
    return "it is excepted" if selector.except_ and _any(selector.except_, (candidate.name,)) else ""


def unsure(selector: MachineSelector, candidate: Candidate) -> str:
    """What is not known of the machine although the selector asks for it; "" if nothing is."""
    if selector.nodes and not candidate.node:
        return "the node"
    if selector.volumes and not candidate.volumes:
        return "the volumes"
    if selector.operating_systems and not candidate.systems:
        return "the guest's operating system"
    return "the replica role" if selector.replica_role is not None and not candidate.role else ""


def reasons(selector: MachineSelector, candidate: Candidate) -> tuple[str, ...]:
    """What of the selector a machine fits by that matches: the patterns and labels themselves."""
    found = [f"name {name}" for name in selector.names if glob_matches(name, candidate.name)][:1]
    found += [f"label {key}={value}" for key, value in sorted(selector.labels.items())]
    found += [f"node {each}" for each in selector.nodes if _any((each,), (candidate.node,))]
    found += [f"volume {each}" for each in selector.volumes if _any((each,), candidate.volumes)]
    found += [f"operating system {each}" for each in selector.operating_systems if _any((each,), candidate.systems)]
    return (*found, *([f"replica role {selector.replica_role}"] if selector.replica_role else []))


def _any(patterns: tuple[str, ...], values: Sequence[str]) -> bool:
    return bool(patterns) and any(map(globs(patterns).fits, values))


def host_matches(selector: HostSelector, name: str) -> bool:
    """Whether the host is one of those that the selector means."""
    if selector.names and not _any(selector.names, (name,)):
        return False
    return not _any(selector.except_, (name,))
