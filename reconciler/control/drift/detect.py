"""Drift: a site and its policies -> where they do not agree with what is there. Changes no server."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.control.applying.settle_interrupted import settle
from reconciler.control.approving.site_guard import another_site
from reconciler.control.clock import future_times
from reconciler.control.drift.in_flight import in_flight
from reconciler.control.drift.sightings import note_sightings, unreadable
from reconciler.control.evidence.record import record_drift
from reconciler.control.lease import holding, where_it_can_be
from reconciler.control.observe import Observation
from reconciler.control.planning.propose import desired_now, state_lost
from reconciler.control.site import Site
from reconciler.errors import ReconcilerError
from reconciler.model import FieldChange, Reason
from reconciler.model.documents import PolicySet
from reconciler.model.drift import Drift, DriftClass, DriftItem, InFlight
from reconciler.plan import DesiredState
from reconciler.plan.drift.classify import Sides, drift
from reconciler.plan.drift.group_drift import unchanged_since_apply


def drift_now(
    site: Site, policies: PolicySet, observation: Observation, classes: Collection[DriftClass] = tuple(DriftClass)
) -> Drift:
    """Everything that does not agree, of these classes. Notes what was seen, so that a later look can tell since when
    it is so; where somebody is at work on the site, that is left to him."""
    where_it_can_be(site, lambda _: note_and_record(site, observation))
    lost = state_lost(observation)
    foreign = another_site(site)
    desired = desired_now(site, policies, observation) if not foreign else None
    moving = in_flight(site, observation)
    wanted = tuple(klass for klass in DriftClass if klass in classes)
    items = tuple(item for item in _items(site, observation, desired, moving) if item.klass in wanted)
    return Drift(
        site=site.name,
        at=observation.at,
        classes=wanted,
        items=items,
        in_flight=moving,
        names={each.source: desired.names[each.source] for each in items if desired and each.source in desired.names},
        findings=(
            *foreign,
            *(error.diagnostic for error in observation.troubles),
            *((lost,) if lost is not None else ()),
            *future_times(site, observation),
        ),
    )


def external_drift(site: Site, observation: Observation, desired: DesiredState | None = None) -> tuple[DriftItem, ...]:
    """What somebody changed on the servers, for the evidence. Without `desired` what the policies tell to ignore is in
    it too, and no item has a desired value or a place."""
    found = _items(site, observation, desired, in_flight(site, observation))
    return tuple(item for item in found if item.klass is DriftClass.EXTERNAL)


def drifted(site: Site, observation: Observation, desired: DesiredState | None) -> tuple[DriftItem, ...]:
    """What somebody changed on the servers and is not corrected: nothing is worked out where every group is as it was
    left."""
    hidden = unreadable(site)
    live = {(name, each.ref): each.group for name, seen in observation.catalogs.items() for each in seen.groups}
    owned = (each for each in observation.ledger if each.server in observation.catalogs)
    for entry in owned:
        if not unchanged_since_apply(live.get((entry.server, entry.ref)), entry, hidden.get(entry.server, frozenset())):
            return external_drift(site, observation, desired)
    return ()


def note_and_record(site: Site, observation: Observation) -> None:
    """Notes when each group of ours was last as we left it; a change by somebody else is put on record with the two
    observations that it fell between, once. Needs the lease."""
    if not note_sightings(site, observation):
        return
    fresh: dict[tuple[str, str], list[DriftItem]] = {}
    for item in external_drift(site, observation):
        if item.first_seen == observation.catalogs[item.server].taken_at:
            fresh.setdefault((item.server, item.group), []).append(item)
    for (server, group), items in sorted(fresh.items()):
        fields = [
            FieldChange(each.path, each.applied, each.live, each.direction, Reason.CHANGED_OUTSIDE) for each in items
        ]
        record_drift(site, server, group, str(DriftClass.EXTERNAL), fields, (items[0].after, items[0].first_seen))


def _items(
    site: Site, observation: Observation, desired: DesiredState | None, moving: tuple[InFlight, ...]
) -> tuple[DriftItem, ...]:
    sides = Sides(
        desired,
        observation.ledger,
        observation.catalogs,
        observation.clusters,
        unreadable(site),
        {(each.server, each.ref): each for each in site.memory.ledger.sightings()},
        frozenset((each.server, each.group) for each in moving),
    )
    return drift(sides)


def settle_what_was_cut_off(site: Site) -> None:
    """Brings our own memory in line with what a run that died had done, where nobody is at work. Where that cannot be
    found out now, the groups of that run are shown as in flight."""
    if not site.memory.writable or not site.memory.journal.open_runs():
        return
    try:
        with holding(site):
            settle(site)
    except ReconcilerError:
        return
