"""Impact: a change, what there is now -> which recovery points expire sooner or later by it, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property
from itertools import groupby
from zoneinfo import ZoneInfo

import msgspec

from reconciler.model import (
    Capabilities,
    CatalogSnapshot,
    Change,
    DataSource,
    Impact,
    MachineImpact,
    PointFate,
    ProtectionGroup,
    RecoveryPoint,
    Replica,
    Verb,
)
from reconciler.plan.impact.expiry import (
    UNTOUCHED,
    Expiry,
    ExpiryRule,
    by_age_alone,
    ends,
    newest_first,
    of_inactive,
    of_member,
)


class Holding(msgspec.Struct, frozen=True):
    """What a server holds, to be looked up: points from new to old."""

    points: Mapping[DataSource, tuple[RecoveryPoint, ...]]
    replicas: Mapping[DataSource, Replica]
    groups: Mapping[str, ProtectionGroup]


class Past(msgspec.Struct, frozen=True, dict=True):
    """What changes are weighed against: catalogs and capabilities by server, the time (UTC), the site's zone, and
    bytes of a first copy by data source, where they are known.

    `moved` are members, with their server, that one change of the plan lets go of and another one takes: see `moved`.
    """

    catalogs: Mapping[str, CatalogSnapshot]
    capabilities: Mapping[str, Capabilities]
    now: datetime
    zone: ZoneInfo
    sizes: Mapping[DataSource, int] = {}
    moved: frozenset[tuple[str, DataSource]] = frozenset()

    @cached_property
    def holdings(self) -> Mapping[str, Holding]:
        """By server; made once."""
        return {server: _holding(catalog) for server, catalog in self.catalogs.items()}

    def prunes_itself(self, server: str) -> bool:
        """Whether the server decides by itself what expires."""
        able = self.capabilities.get(server)
        return able is not None and able.runs_jobs_itself


def impact(change: Change, past: Past) -> Impact | None:
    """What the change by itself does to the points of every data source that it touches; None if it touches none.

    A release that `past.moved` names is left out: the change that takes the member tells the whole way.
    """
    holding = past.holdings.get(change.server)
    touched = _touched(change) if holding is not None else frozenset[DataSource]()
    machines: list[MachineImpact] = []
    fates: list[PointFate] = []
    for source in sorted(touched):
        assert holding is not None
        points = holding.points.get(source)
        if points and not ((change.server, source) in past.moved and not _takes(change, source)):
            rules = _Rules(change, past, holding, source, points)
            found = _weigh(points, ends(points, rules.without()), ends(points, rules.after()), past.now, fates)
            machines.append(msgspec.structs.replace(found, expires_after_pause=_held_by_pause(rules)))
    exact = not past.prunes_itself(change.server)
    return Impact(tuple(machines), tuple(fates), exact) if machines else None


def moved(changes: Iterable[Change]) -> frozenset[tuple[str, DataSource]]:
    """Members, with their server, that one of the changes lets go of and another one takes. Give it the changes that
    are done together: only then is a member in a group again before its points are pruned."""
    lost: set[tuple[str, DataSource]] = set()
    taken: set[tuple[str, DataSource]] = set()
    for change in changes:
        before, after = members_of(change.before), members_of(change.after)
        lost |= {(change.server, source) for source in before - after}
        taken |= {(change.server, source) for source in after - before}
    return frozenset(lost & taken)


def members_of(group: ProtectionGroup | None) -> frozenset[DataSource]:
    """The group's members; none where there is no group."""
    return group.sources if group is not None else frozenset()


# --- Which data sources, under which rules -----------------------------------------------------------------------


def _holding(catalog: CatalogSnapshot) -> Holding:
    points: dict[DataSource, list[RecoveryPoint]] = {}
    for source, run in groupby(catalog.points, key=lambda point: point.source):
        points.setdefault(source, []).extend(run)
    return Holding(
        {source: tuple(newest_first(each)) for source, each in points.items()},
        {replica.source: replica for replica in catalog.replicas},
        {seen.group.name: seen.group for seen in catalog.groups},
    )


def _touched(change: Change) -> frozenset[DataSource]:
    if change.verb is Verb.ADOPT:
        return frozenset()
    before, after = members_of(change.before), members_of(change.after)
    if change.before is None or change.after is None or _expiry(change.before) != _expiry(change.after):
        return before | after
    return before ^ after


def _expiry(group: ProtectionGroup) -> tuple[object, ...]:
    """What of a group decides when its points expire."""
    term = group.short_term
    runs = (term.synchronization, term.express_full, term.recovery_points)
    pause = group.paused.ends_at if group.paused is not None else None
    return (term.retention, term.minimum_points, *runs, group.consistency_check, pause)


def _takes(change: Change, source: DataSource) -> bool:
    return change.after is not None and source in change.after.sources


class _Rules(msgspec.Struct, frozen=True):
    """The rules of one data source without the change, and after it; with `unpaused`, as if no group were paused."""

    change: Change
    past: Past
    holding: Holding
    source: DataSource
    points: tuple[RecoveryPoint, ...]
    unpaused: bool = False

    def without(self) -> ExpiryRule:
        replica = self._replica
        if replica is None:
            return UNTOUCHED
        before = self.change.before
        if before is not None and self.source in before.sources:
            return self._member(before, replica)
        group = self.holding.groups.get(replica.group) if replica.group is not None else None
        if group is not None:
            return self._member(group, replica)
        return self._fit(of_inactive(replica, replica.existing_points, self.past.now))

    def after(self) -> ExpiryRule:
        change, replica = self.change, self._replica
        if replica is None:
            return UNTOUCHED
        if change.after is not None and self.source in change.after.sources:
            return self._member(change.after, replica)
        last = change.after if change.after is not None else change.before
        assert last is not None
        return self._fit(of_inactive(replica, last.existing_points, self.past.now))

    @property
    def _replica(self) -> Replica | None:
        """A replica whose range the server does not tell lives under the group's."""
        replica, before = self.holding.replicas.get(self.source), self.change.before
        if replica is None or replica.retention is not None or before is None or not self._by_itself:
            return replica
        return msgspec.structs.replace(replica, retention=before.short_term.retention)

    def _member(self, group: ProtectionGroup, replica: Replica) -> ExpiryRule:
        group = msgspec.structs.replace(group, paused=None) if self.unpaused else group
        return self._fit(of_member(group, replica, self.points, self.past.now, self.past.zone))

    def _fit(self, rule: ExpiryRule) -> ExpiryRule:
        return by_age_alone(rule) if self._by_itself else rule

    @property
    def _by_itself(self) -> bool:
        return self.past.prunes_itself(self.change.server)


def _held_by_pause(rules: _Rules) -> int:
    """How many points the change would make expire at once, were it not for a pause that holds them."""
    if rules.after().paused_until is None:
        return 0
    now, going = rules.past.now, msgspec.structs.replace(rules, unpaused=True)
    pairs = zip(ends(rules.points, going.without()), ends(rules.points, going.after()), strict=True)
    return sum(1 for old, new in pairs if _is_over(new, now) and not _is_over(old, now))


def _is_over(end: Expiry, now: datetime) -> bool:
    return end.at is not None and end.at <= now


# --- One data source -----------------------------------------------------------------------------------------------


def _weigh(
    points: tuple[RecoveryPoint, ...], without: list[Expiry], after: list[Expiry], now: datetime, fates: list[PointFate]
) -> MachineImpact:
    """Compares the two ends of each point; those that move are added to `fates`, from old to new."""
    at_once = sooner = later = freed = 0
    oldest = newest = None
    for place in range(len(points) - 1, -1, -1):
        point, old, new = points[place], without[place], after[place]
        gone = _is_over(new, now)
        if not gone:
            oldest = oldest or point.time
            newest = point.time
        if old == new or (gone and _is_over(old, now)):
            continue
        if gone:
            at_once += 1
            freed += point.stored_bytes
        elif new.at is None:
            later += old.at is not None
        else:
            sooner += old.at is None or new.at < old.at
            later += old.at is not None and new.at > old.at
        fates.append(
            PointFate(
                point.id,
                point.source,
                point.time,
                point.stored_bytes,
                before=old.at,
                after=new.at,
                by_age=new.by_age,
                needs=new.needs,
            )
        )
    return MachineImpact(
        points[0].source,
        len(points),
        expires_now=at_once,
        expires_sooner=sooner,
        expires_later=later,
        oldest_before=points[-1].time,
        oldest_after=oldest,
        newest_before=points[0].time,
        newest_after=newest,
        freed_bytes=freed,
    )
