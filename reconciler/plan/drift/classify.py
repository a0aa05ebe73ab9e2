"""Drift: desired state, ledger, catalogs, clusters -> what does not agree, each thing in one of four classes.

Of each field there are four values: desired, last applied, what the server showed right after (left), and live. Live
that is not as left was changed by somebody (external). Desired that is neither as applied nor as live is still to be
done (pending). Left that is not as applied was rounded by the server (normalisation). What the machines did is churn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

import msgspec

from reconciler.model import (
    CatalogSnapshot,
    ClusterSnapshot,
    DataSource,
    Direction,
    LedgerEntry,
    Sighting,
)
from reconciler.model.drift import DriftClass, DriftItem
from reconciler.plan.desired.state import DesiredGroup, DesiredState
from reconciler.plan.drift.group_drift import COMPARED, Key, Owned, claims, field_drift, membership, volume_drift
from reconciler.plan.drift.previous_rules import FormerRules, known_as
from reconciler.plan.fields import of_release
from reconciler.plan.selectors import Candidate

_ORDER = {klass: number for number, klass in enumerate(DriftClass)}


class Sides(msgspec.Struct, frozen=True):
    """Everything that is compared. `desired` None: only what the servers show is looked at, nothing is pending.

    Catalogs and clusters by name, only those that could be seen; `unreadable` fields of each server, which are
    assumed to be as applied; `sightings` by server and reference; `moving` are groups, by server and name, that a run
    is changing just now: nothing is said of them.
    """

    desired: DesiredState | None
    ledger: tuple[LedgerEntry, ...]
    catalogs: Mapping[str, CatalogSnapshot]
    clusters: Mapping[str, ClusterSnapshot]
    unreadable: Mapping[str, frozenset[str]] = {}
    sightings: Mapping[Key, Sighting] = {}
    moving: Set[Key] = frozenset()


def drift(sides: Sides) -> tuple[DriftItem, ...]:
    """All drift, gravest class first, then by server, group and field. Pure."""
    found = [item for item in _Classifier(sides).items() if (item.server, item.group) not in sides.moving]
    return tuple(sorted(found, key=_sort_key))


def _sort_key(item: DriftItem) -> tuple[Any, ...]:
    order = (_ORDER[item.klass], -item.direction.rank)
    return (*order, item.server, item.group, item.path, item.source, str(item.desired), str(item.live))


class _Classifier:
    def __init__(self, sides: Sides) -> None:
        self.sides = sides
        self.groups = sides.desired.groups if sides.desired is not None else ()
        self.owned = {(entry.server, entry.group): entry for entry in sides.ledger}
        self.owner = {source: entry.group for entry in sides.ledger for source in entry.applied.sources}
        self.live = {(name, each.ref): each.group for name, seen in sides.catalogs.items() for each in seen.groups}
        known = {source.home for source in self.owner}
        known |= {member.source.home for each in self.groups for member in each.group.members}
        self.machines = {
            source: Candidate.of(name, machine)
            for name, seen in sides.clusters.items()
            for machine in seen.machines
            if (source := machine.source(name)) in known
        }
        self.unseen = {DataSource(name, each.id) for name, seen in sides.clusters.items() for each in seen.unseen}

    def items(self) -> Iterator[DriftItem]:
        claimed = claims(self.groups, self.sides.ledger)
        old = {(each.server, each.group.name) for each in claimed.values()}
        names = {name for _, name in self.owned}
        for desired in self.groups:
            if (desired.server, desired.group.name) not in old and desired.group.name not in names:
                yield self._new(desired)
        for key, entry in sorted(self.owned.items()):
            live = self.live.get((entry.server, entry.ref))
            gone = live is None and entry.server in self.sides.catalogs
            sighting = self.sides.sightings.get((entry.server, entry.ref))
            unreadable = self.sides.unreadable.get(entry.server, frozenset())
            group = Owned(entry, claimed.get(key), live, unreadable, sighting, gone)
            yield from self._whole(group)
            yield from (item for field in COMPARED for item in field_drift(group, field))
            yield from self._members(group)
            yield from volume_drift(group)
            yield from self._machines(group)

    # --- Whole groups ------------------------------------------------------------------------------------

    def _new(self, desired: DesiredGroup) -> DriftItem:
        return DriftItem(
            DriftClass.PENDING,
            desired.server,
            desired.group.name,
            "",
            desired=desired.group.display_name,
            direction=Direction.STRENGTHENS,
            location=desired.place(""),
            note="a new policy",
        )

    def _whole(self, group: Owned) -> Iterator[DriftItem]:
        entry, applied = group.entry, group.entry.applied
        if group.gone:
            noted = group.sighting
            shown = noted.shown.display_name if noted is not None and noted.shown is not None else None
            wish = group.desired.group.display_name if group.desired is not None else None
            yield group.external(
                "",
                group.left.display_name,
                group.left.display_name if shown is not None else None,
                desired=wish,
                applied=applied.display_name,
                direction=of_release(applied.existing_points),
                note="the group is gone from the server",
            )
        if group.desired is not None or self.sides.desired is None or group.gone:
            return
        moved = next((each for each in self.groups if each.group.name == entry.group), None)
        if moved is not None:
            values = {"desired": moved.server, "applied": entry.server, "live": entry.server}
            item = group.item(DriftClass.PENDING, "server", **values, note="the policy names another server")
            yield msgspec.structs.replace(item, location=moved.place("server"))
            return
        note = "no policy has it any longer" + (
            "; it is protected from deletion" if applied.deletion_protection else ""
        )
        direction = of_release(applied.existing_points)
        live = group.live.display_name if group.live is not None else None
        yield group.item(
            DriftClass.PENDING, "", applied=applied.display_name, live=live, direction=direction, note=note
        )

    # --- Members -----------------------------------------------------------------------------------------

    def _members(self, group: Owned) -> Iterator[DriftItem]:
        applied, left = group.entry.applied.sources, group.left.sources
        live = group.live.sources if group.live is not None else None if not group.gone else frozenset()
        wish = group.desired.group.sources if group.desired is not None else None
        if live is not None and not group.gone:
            yield from self._outside(group, live)
        for source in sorted(applied - left):
            if live is not None and source not in live and wish is not None and source in wish:
                note = "the server did not take it as a member"
                yield group.item(DriftClass.NORMALISATION, "members", note=note, **membership(group, source))
        if wish is None or group.desired is None:
            return
        old = FormerRules.of(group.entry, group.desired.selectors)
        for source in sorted(wish - applied):
            if live is None or source not in live:
                yield self._wanted(group, source, old)
        for source in sorted(applied - wish):
            if live is None or source in live:
                yield self._unwanted(group, source, old)

    def _outside(self, group: Owned, live: frozenset[DataSource]) -> Iterator[DriftItem]:
        left = group.left.sources
        noted = group.sighting.shown if group.sighting is not None else None
        for source in sorted(live ^ left):
            lost = source in left
            shown = str(source) if noted is not None and source in noted.sources else None
            yield group.external(
                "members",
                str(source) if lost else None,
                shown,
                direction=of_release(group.left.existing_points) if lost else Direction.STRENGTHENS,
                note="removed on the server" if lost else "added on the server",
                **membership(group, source),
            )

    def _wanted(self, group: Owned, source: DataSource, old: FormerRules) -> DriftItem:
        machine = self.machines.get(source.home)
        values = membership(group, source)
        if old.changed and not (old.known and machine is not None and old.mean(source, machine)):
            note = "the rules match it now"
            return group.item(DriftClass.PENDING, "members", direction=Direction.STRENGTHENS, note=note, **values)
        former = self.owner.get(source)
        note = (
            f"the virtual machine matches now; it was in {former}"
            if former
            else "the virtual machine is new, or matches now"
        )
        return group.item(DriftClass.CHURN, "members", direction=Direction.STRENGTHENS, note=note, **values)

    def _unwanted(self, group: Owned, source: DataSource, old: FormerRules) -> DriftItem:
        machine = self.machines.get(source.home) or known_as(group.entry, source)
        direction = of_release(group.entry.applied.existing_points)
        values = membership(group, source)
        if old.changed and (not old.known or machine is None or old.mean(source, machine)):
            note = "the rules no longer match it"
            return group.item(DriftClass.PENDING, "members", direction=direction, note=note, **values)
        note = "the virtual machine no longer matches"
        return group.item(DriftClass.CHURN, "members", direction=direction, note=note, **values)

    # --- Machines ----------------------------------------------------------------------------------------

    def _machines(self, group: Owned) -> Iterator[DriftItem]:
        sources = group.entry.applied.sources
        for member in group.entry.members:
            source, home = member.source, member.source.home
            if source not in sources or source.cluster not in self.sides.clusters or home in self.unseen:
                continue
            now = self.machines.get(home)
            if now is None:
                note = "gone from the cluster; it stays a member as long as the rules match what it was called"
                text = str(source)
                yield group.item(DriftClass.CHURN, "machine", applied=member.name, source=text, note=note)
                continue
            pairs = (
                ("machine.name", member.name, now.name),
                ("machine.node", member.node, now.node),
                ("machine.volumes", list(member.volumes), list(now.volumes)),
            )
            for path, known, shown in pairs:
                if known and shown and known != shown:
                    yield group.item(DriftClass.CHURN, path, applied=known, live=shown, source=str(source))
            if member.labels != now.labels:
                values = {"applied": member.labels, "live": now.labels, "source": str(source)}
                yield group.item(DriftClass.CHURN, "machine.labels", **values)
