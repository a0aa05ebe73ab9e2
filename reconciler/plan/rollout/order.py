"""Ordering: changes -> the same changes, safest first, and never a machine in two groups on the way.

What strengthens comes before what weakens. A group lets go of a machine or a name before another one takes it;
groups that swap machines are cut, so that one of them lets go first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush

import msgspec

from reconciler.model import Change, DataSource, Verb
from reconciler.plan.difference.dependencies import members_added, members_removed, names_freed, names_taken
from reconciler.plan.difference.split import remainder, split

_VERBS = [Verb.ADOPT, Verb.CREATE, Verb.RENAME, Verb.UPDATE, Verb.STOP]

Key = tuple[str, str, Verb]


def order(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The changes in the order in which they can be done; whatever order they came in."""
    waiting = {(change.server, change.group, change.verb): change for change in changes}
    done: list[Change] = []
    while waiting:
        _take_ready(waiting, done)
        if waiting:
            _untie(waiting, done)
    return tuple(done)


def _rank(change: Change) -> tuple[bool, int, str, str]:
    return (change.direction.needs_consent, _VERBS.index(change.verb), change.server, change.group)


def _take_ready(waiting: dict[Key, Change], done: list[Change]) -> None:
    """Moves to `done`, safest first, all that waits for nothing but what was moved before it."""
    blockers = _blockers(waiting)
    behind: dict[Key, list[Key]] = {}
    for key, others in blockers.items():
        for other in others:
            behind.setdefault(other, []).append(key)
    ready = [(_rank(change), key) for key, change in waiting.items() if key not in blockers]
    heapify(ready)
    while ready:
        _, key = heappop(ready)
        done.append(waiting.pop(key))
        for after in behind.get(key, ()):
            blockers[after].discard(key)
            if not blockers[after]:
                heappush(ready, (_rank(waiting[after]), after))


def _blockers(waiting: Mapping[Key, Change]) -> dict[Key, set[Key]]:
    """Of each change that has some: the changes of its server that must let go of a machine or a name first."""
    holders: dict[tuple[str, object], list[Key]] = {}
    for key, change in waiting.items():
        for thing in (*members_removed(change), *names_freed(change)):
            holders.setdefault((change.server, thing), []).append(key)
    blockers: dict[Key, set[Key]] = {}
    if not holders:
        return blockers
    for key, change in waiting.items():
        wanted = (*members_added(change), *names_taken(change))
        others = {other for thing in wanted for other in holders.get((change.server, thing), ())} - {key}
        if others:
            blockers[key] = others
    return blockers


def _untie(waiting: dict[Key, Change], done: list[Change]) -> None:
    """Breaks a ring of groups that wait for each other: the first of them lets go of what the others want.

    A ring that no machine holds together is one of display names; its first change is done as it is, and the server
    decides.
    """
    ranked = sorted(waiting, key=lambda key: _rank(waiting[key]))
    wanted_by: dict[tuple[str, DataSource], set[Key]] = {}
    for key, change in waiting.items():
        for source in members_added(change):
            wanted_by.setdefault((change.server, source), set()).add(key)
    for key in ranked:
        change = waiting[key]
        release = frozenset(s for s in members_removed(change) if wanted_by.get((change.server, s), set()) - {key})
        if change.before is not None and change.after is not None and release:
            first = msgspec.structs.replace(split(change, change.before, lose=release), group=change.before.name)
            rest = remainder(change, first)
            done.append(first)
            del waiting[key]
            if rest is not None:
                waiting[key] = rest
            return
    done.append(waiting.pop(ranked[0]))
