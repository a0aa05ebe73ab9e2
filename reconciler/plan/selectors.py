"""Selectors: machines of a cluster and a rule as written -> the machines that match it, and why.

Names match without regard to case, as Hyper-V's own names do; ``*`` and ``?`` are the only wildcards.
Labels match exactly. A rule with several fields wants all of them; within a list one is enough. What is not known
of a machine matches nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec
from msgspec import UNSET

from reconciler.model import DataSource, KnownMember, ReplicationMode, VirtualMachine
from reconciler.model.documents import HostSelector, MachineSelector


class Candidate(msgspec.Struct, frozen=True):
    """What a selector looks at: a machine as it is now, or as it was when it was last seen. "" and () are unknown.

    `systems` are the guest's family and version, `role` its part in Hyper-V Replica: primary, replica or none.
    """

    source: DataSource
    name: str
    labels: dict[str, str] = {}
    node: str = ""
    volumes: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    role: str = ""

    @classmethod
    def of(cls, cluster: str, machine: VirtualMachine) -> Candidate:
        """The machine as a snapshot of `cluster` shows it."""
        volumes = {disk.volume for disk in machine.disks if isinstance(disk.volume, str)}
        systems = (machine.guest_system, machine.guest_version)
        return cls(
            machine.source(cluster),
            machine.name,
            machine.labels,
            machine.node,
            tuple(sorted(volumes)),
            tuple(each for each in systems if isinstance(each, str) and each),
            _role(machine),
        )

    @classmethod
    def remembered(cls, member: KnownMember) -> Candidate:
        """A member as the ledger knows it."""
        return cls(
            member.source.home, member.name, member.labels, member.node, member.volumes, member.systems, member.role
        )

    @property
    def known(self) -> KnownMember:
        """What the ledger is to remember of it."""
        return KnownMember(self.source, self.name, self.labels, self.node, self.volumes, self.systems, self.role)


def _role(machine: VirtualMachine) -> str:
    if machine.replication is UNSET:
        return ""
    mode = machine.replication.mode
    return str(mode) if mode in (ReplicationMode.NONE, ReplicationMode.PRIMARY) else "replica"


class Population:
    """The machines of one cluster, indexed by name, label and node, so that a rule looks at few of them."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self.candidates = tuple(sorted(candidates, key=lambda candidate: candidate.source))
        self._by_label: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
        self._by_node: dict[str, list[Candidate]] = defaultdict(list)
        named = sorted(((each.name.casefold(), each) for each in self.candidates), key=lambda pair: pair[0])
        self._names = [name for name, _ in named]
        self._named = [each for _, each in named]
        for candidate in self.candidates:
            self._by_node[candidate.node.casefold()].append(candidate)
            for label in candidate.labels.items():
                self._by_label[label].append(candidate)

    @classmethod
    def of(cls, cluster: str, machines: Iterable[VirtualMachine]) -> Population:
        """The machines that a snapshot of `cluster` shows."""
        return cls(Candidate.of(cluster, machine) for machine in machines)

    def select(self, selector: MachineSelector) -> tuple[Candidate, ...]:
        """The machines that match, sorted by data source."""
        found = {each.source: each for each in self._few(selector) if matches(selector, each)}
        return tuple(found[source] for source in sorted(found))

    def _few(self, selector: MachineSelector) -> Iterable[Candidate]:
        """A set of machines that holds all that match: the smallest that an index gives."""
        choices: list[Sequence[Candidate]] = [self._by_label.get(label, []) for label in selector.labels.items()]
        if selector.names:
            choices.append([found for name in selector.names for found in self._beginning(name)])
        if selector.nodes and not any(map(_is_pattern, selector.nodes)):
            choices.append([found for node in selector.nodes for found in self._by_node.get(node.casefold(), [])])
        return min(choices, key=len, default=self.candidates)

    def _beginning(self, pattern: str) -> Sequence[Candidate]:
        """The machines whose names begin as the pattern does, up to its first wildcard."""
        head = re.split(r"[*?]", pattern, maxsplit=1)[0].casefold()
        first = bisect_left(self._names, head)
        if head == pattern.casefold():
            return self._named[first : bisect_right(self._names, head)]
        return self._named[first : bisect_right(self._names, head + "\U0010ffff")] if head else self._named


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
    found = [f"name {name}" for name in selector.names if _glob(name).fullmatch(candidate.name)][:1]
    found += [f"label {key}={value}" for key, value in sorted(selector.labels.items())]
    found += [f"node {each}" for each in selector.nodes if _any((each,), (candidate.node,))]
    found += [f"volume {each}" for each in selector.volumes if _any((each,), candidate.volumes)]
    found += [f"operating system {each}" for each in selector.operating_systems if _any((each,), candidate.systems)]
    return (*found, *([f"replica role {selector.replica_role}"] if selector.replica_role else []))


def _any(patterns: Iterable[str], values: Sequence[str]) -> bool:
    return any(_glob(pattern).fullmatch(value) for pattern in patterns for value in values)


@lru_cache(maxsize=4096)
def globs_meet(one: str, other: str) -> bool:
    """Whether some name matches both patterns."""
    if not one and not other:
        return True
    if one[:1] == "*":
        return globs_meet(one[1:], other) or (bool(other) and globs_meet(one, other[1:]))
    if other[:1] == "*":
        return globs_meet(other, one)
    if not one or not other:
        return False
    same = "?" in (one[0], other[0]) or one[0].casefold() == other[0].casefold()
    return same and globs_meet(one[1:], other[1:])


@lru_cache(maxsize=4096)
def glob_within(inner: str, outer: str) -> bool:
    """Whether every name that matches `inner` matches `outer` as well. May say no where it is so, never yes where
    it is not."""
    many, one = "\ue000", "\ue001"
    parts = {"*": ".*", "?": f"[^{many}]"}
    pattern = "".join(parts.get(letter) or re.escape(letter) for letter in outer)
    return re.fullmatch(pattern, inner.replace("*", many).replace("?", one), re.IGNORECASE | re.DOTALL) is not None


def host_matches(selector: HostSelector, name: str) -> bool:
    """Whether the host is one of those that the selector means."""
    if selector.names and not _any(selector.names, (name,)):
        return False
    return not _any(selector.except_, (name,))


def glob_matches(pattern: str, name: str) -> bool:
    """Whether the name fits the pattern."""
    return _glob(pattern).fullmatch(name) is not None


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    parts = (".*" if letter == "*" else "." if letter == "?" else re.escape(letter) for letter in pattern)
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
