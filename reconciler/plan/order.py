"""Ordering: changes -> the same changes, safest first, and never a machine in two groups on the way.

What strengthens comes before what weakens. A group lets go of a machine before another one takes it; groups that
swap machines are cut, so that one of them lets go first.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from reconciler.model import Change, DataSource, Verb
from reconciler.plan.narrow import released_part, remaining_part

_VERBS = [Verb.ADOPT, Verb.CREATE, Verb.RENAME, Verb.UPDATE, Verb.STOP]


def order(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The changes in the order in which they can be done; whatever order they came in."""
    waiting = {(change.server, change.group, change.verb): change for change in changes}
    done: list[Change] = []
    while waiting:
        ready = [change for change in waiting.values() if not _blockers(change, waiting.values())]
        if ready:
            change = min(ready, key=_rank)
            del waiting[change.server, change.group, change.verb]
            done.append(change)
        else:
            _untie(waiting, done)
    return tuple(done)


def _rank(change: Change) -> tuple[bool, int, str, str]:
    return (change.direction.needs_consent, _VERBS.index(change.verb), change.server, change.group)


def _lost(change: Change) -> frozenset[DataSource]:
    before = change.before.sources if change.before else frozenset()
    return before - (change.after.sources if change.after else frozenset())


def _gained(change: Change) -> frozenset[DataSource]:
    after = change.after.sources if change.after else frozenset()
    return after - (change.before.sources if change.before else frozenset())


def _blockers(change: Change, others: Iterable[Change]) -> list[Change]:
    """Changes of the same server that must let go first; and a rename that frees this one's name."""
    wanted = _gained(change)
    return [
        other
        for other in others
        if other is not change
        and other.server == change.server
        and (wanted & _lost(other) or (other.verb is Verb.RENAME and _takes_name(change, other)))
    ]


def _takes_name(change: Change, other: Change) -> bool:
    """Whether `change` makes a group under the name, or the display name, that `other` gives up."""
    if change.verb is not Verb.CREATE or change.after is None or other.before is None:
        return False
    return change.after.name == other.before.name or change.after.display_name == other.before.display_name


def _untie(waiting: dict[tuple[str, str, Verb], Change], done: list[Change]) -> None:
    """Breaks a ring of groups that wait for each other: the first of them lets go of what the others want."""
    for key in sorted(waiting, key=lambda key: _rank(waiting[key])):
        change = waiting[key]
        wanted = frozenset[DataSource]().union(
            *(_gained(other) for other in waiting.values() if other is not change and other.server == change.server)
        )
        if change.before is not None and change.after is not None and (release := _lost(change) & wanted):
            first = released_part(change, release)
            done.append(msgspec.structs.replace(first, group=change.before.name))
            waiting[key] = remaining_part(change, first)
            return
    raise AssertionError("groups wait for each other without holding what another one wants")
