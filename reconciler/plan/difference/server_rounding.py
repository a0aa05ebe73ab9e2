"""Rounding: what was applied, what the server showed right after, what it shows now -> fields that it keeps otherwise.

A difference that comes from the server's own rounding is told once, never planned again and again.
"""

from __future__ import annotations

from typing import Any

import msgspec

from reconciler.model import LedgerEntry, Member, ProtectionGroup
from reconciler.plan.fields import FIELDS


class Rounded(msgspec.Struct, frozen=True):
    """A field that the server holds otherwise than it was applied; values in the policy's units. `source` is the
    data source of a `members.volume`, "" else."""

    path: str
    applied: Any
    held: Any
    source: str = ""


def rounded(entry: LedgerEntry, live: ProtectionGroup, wanted: ProtectionGroup) -> tuple[Rounded, ...]:
    """The fields of a group for which the policy still wants just what was applied, and the server still holds just
    what it made of it."""
    left = entry.observed
    if left is None:
        return ()
    found = []
    for field in FIELDS:
        applied, held = field.get(entry.applied), field.get(left)
        if applied != held and field.get(wanted) == applied and field.get(live) == held:
            found.append(Rounded(field.path, field.show(applied), field.show(held)))
    return (*found, *_volumes(entry.applied.members, left.members, live.members, wanted.members))


def with_server_values(wanted: ProtectionGroup, live: ProtectionGroup, kept: tuple[Rounded, ...]) -> ProtectionGroup:
    """The group as wanted, but for what the server rounds: that as it holds it. What compares equal to it needs no
    change."""
    paths = {each.path for each in kept}
    for field in FIELDS:
        if field.path in paths:
            wanted = field.put(wanted, field.get(live))
    sources = {each.source for each in kept if each.source}
    if sources:
        held = {each.source: each for each in live.members}
        members = (held[each.source] if str(each.source) in sources else each for each in wanted.members)
        wanted = msgspec.structs.replace(wanted, members=tuple(members))
    return wanted


def _volumes(
    applied: tuple[Member, ...], left: tuple[Member, ...], live: tuple[Member, ...], wanted: tuple[Member, ...]
) -> list[Rounded]:
    if left == applied:
        return []
    kept, now, wish = ({each.source: each.volume for each in members} for members in (left, live, wanted))
    return [
        Rounded("members.volume", each.volume, kept[each.source], str(each.source))
        for each in applied
        if each.source in kept
        and kept[each.source] != each.volume
        and now.get(each.source) == kept[each.source]
        and each.source in wish
        and wish[each.source] == each.volume
    ]
