"""Owned groups: one group with its policy, ledger entry and live state -> how its fields and volumes do not agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from reconciler.model import DataSource, Direction, LedgerEntry, ProtectionGroup, Sighting
from reconciler.model.drift import DriftClass, DriftItem
from reconciler.plan.desired.state import DesiredGroup
from reconciler.plan.fields import FIELDS, ComparedField, taking


def _put_name(group: ProtectionGroup, value: Any) -> ProtectionGroup:
    return msgspec.structs.replace(group, name=value)


_NAME = ComparedField("name", lambda group: group.name, _put_name, str, lambda before, after: Direction.NEUTRAL)
COMPARED = (_NAME, *FIELDS)

_STAYS = "write what the server holds, or this stays"

#: Server and group, or server and reference.
Key = tuple[str, str]


class Owned(msgspec.Struct, frozen=True):
    """One group of ours with everything there is about it. `gone`: its server shows that it is not there."""

    entry: LedgerEntry
    desired: DesiredGroup | None
    live: ProtectionGroup | None
    unreadable: frozenset[str]
    sighting: Sighting | None
    gone: bool

    @property
    def left(self) -> ProtectionGroup:
        return self.entry.left

    def reads(self, path: str) -> bool:
        """Whether the field counts: it can be read back, and the policy does not tell to ignore it."""
        return path not in self.unreadable and not self.ignores(path)

    def ignores(self, path: str) -> bool:
        return self.desired is not None and path in self.desired.ignored

    def item(self, klass: DriftClass, path: str, **more: Any) -> DriftItem:
        written = "members" if path.startswith("machine") else path
        place = self.desired.place(written) if self.desired is not None else None
        after = more.pop("after", self.entry.applied_at)
        name = self.entry.group
        return DriftItem(klass, self.entry.server, name, path, location=place, after=after, **more)

    def external(self, path: str, then: Any, shown: Any, **more: Any) -> DriftItem:
        """What somebody changed; `shown` is how it looked when a difference was first seen, `then` as we left it.
        Both are equal where another field of the group was the first to differ."""
        noted = self.sighting
        after = self.entry.applied_at
        if noted is None:
            return self.item(DriftClass.EXTERNAL, path, after=after, **more)
        after = max(after, noted.as_left_at)
        since = noted.differs_since
        if since is None or since < self.entry.applied_at:
            return self.item(DriftClass.EXTERNAL, path, after=after, **more)
        if shown == then:
            return self.item(DriftClass.EXTERNAL, path, after=since, **more)
        first = shown if shown != more.get("live") else None
        return self.item(DriftClass.EXTERNAL, path, after=after, first_seen=since, first_live=first, **more)


def claims(desired: Iterable[DesiredGroup], ledger: Iterable[LedgerEntry]) -> dict[Key, DesiredGroup]:
    """Which group of the policies each of ours is, by server and the name that was last applied: the one of that
    name, else one that had it earlier while nobody uses it now."""
    groups = tuple(desired)
    owned = {(entry.server, entry.group) for entry in ledger}
    wanted = {(each.server, each.group.name) for each in groups}
    found: dict[Key, DesiredGroup] = {}
    for each in groups:
        for name in (each.group.name, *each.formerly):
            key = (each.server, name)
            if key in owned and (name == each.group.name or key not in wanted):
                found[key] = each
                break
    return found


def unchanged_since_apply(live: ProtectionGroup | None, entry: LedgerEntry, unreadable: frozenset[str]) -> bool:
    """Whether the server shows the group as it did after we last touched it, as far as it can be read."""
    return live is not None and (live == entry.left or taking(live, entry.left, unreadable) == entry.left)


def field_drift(group: Owned, field: ComparedField) -> Iterator[DriftItem]:
    """What one field of the group is in: none of the classes, one, or several."""
    if group.ignores(field.path):
        return
    applied, left = field.get(group.entry.applied), field.get(group.left)
    seen = group.live is not None and group.reads(field.path)
    live = field.get(group.live) if group.live is not None and seen else left
    wish = field.get(group.desired.group) if group.desired is not None else applied
    shown = None if group.live is None else field.show(live)
    values = {"desired": field.show(wish), "applied": field.show(applied), "live": shown}
    if group.desired is None:
        values["desired"] = None
    if live != left:
        noted = group.sighting.shown if group.sighting is not None else None
        first = field.show(field.get(noted)) if noted is not None else None
        yield group.external(field.path, field.show(left), first, direction=field.weigh(left, live), **values)
    if wish != applied and (group.gone or wish != live):
        note = "the server cannot show it" if field.path in group.unreadable else ""
        yield group.item(DriftClass.PENDING, field.path, direction=field.weigh(applied, wish), note=note, **values)
    if left != applied and seen and live == left and (group.desired is None or wish != live):
        note = _STAYS if group.desired is not None else ""
        yield group.item(DriftClass.NORMALISATION, field.path, note=note, **values)


def volume_drift(group: Owned) -> Iterator[DriftItem]:
    """The preferred volume of each member that stays one."""
    path = "members.volume"
    if group.ignores(path):
        return
    applied = {each.source: each.volume for each in group.entry.applied.members}
    left = {each.source: each.volume for each in group.left.members}
    live = {each.source: each.volume for each in group.live.members} if group.live is not None else {}
    wish = {each.source: each.volume for each in group.desired.group.members} if group.desired is not None else applied
    noted = group.sighting.shown.members if group.sighting is not None and group.sighting.shown is not None else ()
    first = {each.source: each.volume for each in noted}
    for source in sorted(set(applied) & set(left) & set(wish)):
        kept, given, wanted = left[source], applied[source], wish[source]
        seen = source in live and path not in group.unreadable
        now = live[source] if seen else kept
        values = {"applied": given, "live": None if group.live is None else now, "source": str(source)}
        if group.desired is not None:
            values["desired"] = wanted
        if now != kept:
            yield group.external(path, kept, first.get(source, kept), **values)
        if wanted not in (given, now):
            yield group.item(DriftClass.PENDING, path, **values)
        if kept != given and seen and now == kept and (group.desired is None or wanted != now):
            note = _STAYS if group.desired is not None else ""
            yield group.item(DriftClass.NORMALISATION, path, note=note, **values)


def membership(group: Owned, source: DataSource) -> dict[str, Any]:
    """The data source on each side where it is a member."""
    wish = group.desired.group.sources if group.desired is not None else frozenset()
    live = group.live.sources if group.live is not None else frozenset()
    sides = {"desired": wish, "applied": group.entry.applied.sources, "live": live}
    return {
        "source": str(source),
        **{side: str(source) if source in members else None for side, members in sides.items()},
    }
