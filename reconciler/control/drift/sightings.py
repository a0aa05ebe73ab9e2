"""Sightings: what was observed -> a note of when each group of ours was last as we left it, and since when it is not.

So that external drift can be told with the two observations that it fell between.
"""

from __future__ import annotations

from datetime import timedelta

from reconciler.control.drift.in_flight import in_flight
from reconciler.control.observe import Observation
from reconciler.control.site import Site
from reconciler.model import LedgerEntry, ProtectionGroup, Sighting
from reconciler.plan import DesiredState
from reconciler.plan.drift.convergence import agreed
from reconciler.plan.drift.group_drift import unchanged_since_apply
from reconciler.schedule import ahead

#: How old a note of a group that is as we left it may get before it is written anew.
FRESH = timedelta(minutes=1)


def note_sightings(site: Site, observation: Observation) -> int:
    """Notes of each group of ours whether it is as we left it; returns how many notes were written.

    A note is written only where something changed, or the last one is older than a minute. A difference keeps the
    moment and the look of its first sight until the group is as we left it again, or is applied. Nothing is noted of
    servers that were not seen, and of groups that a run is changing.
    """
    noted = {(each.server, each.ref): each for each in site.memory.ledger.sightings()}
    moving = {(each.server, each.group) for each in in_flight(site, observation)}
    live = {(name, each.ref): each.group for name, seen in observation.catalogs.items() for each in seen.groups}
    notes = []
    for entry in observation.ledger:
        if entry.server not in observation.catalogs or (entry.server, entry.group) in moving:
            continue
        key = (entry.server, entry.ref)
        sighting = _sighting(site, observation, entry, live.get(key), noted.get(key))
        if sighting is not None:
            notes.append(sighting)
    if notes:
        site.memory.ledger.sight(*notes)
    return len(notes)


def _sighting(
    site: Site,
    observation: Observation,
    entry: LedgerEntry,
    live: ProtectionGroup | None,
    last: Sighting | None,
) -> Sighting | None:
    """The note to write; None where the last one still says it."""
    at = observation.catalogs[entry.server].taken_at
    if last is not None and (last.group != entry.group or last.as_left_at < entry.applied_at):
        last = None  # of a time before the group was applied
    if unchanged_since_apply(live, entry, unreadable(site).get(entry.server, frozenset())):
        fresh = last is not None and not ahead(last.as_left_at, at) and at - last.as_left_at < FRESH
        settled = fresh and last is not None and last.differs_since is None
        return None if settled else Sighting(entry.server, entry.ref, entry.group, at)
    if last is not None and last.differs_since is not None:
        return None
    since = last.as_left_at if last is not None else entry.applied_at
    return Sighting(entry.server, entry.ref, entry.group, since, at, live)


def unreadable(site: Site) -> dict[str, frozenset[str]]:
    """The fields that each server cannot show."""
    return {name: engine.capabilities.unreadable for name, engine in site.engines.items()}


def learn_agreed(site: Site, desired: DesiredState, observation: Observation) -> int:
    """Lets the ledger learn where policies and servers say the same though no plan made it so; returns how many of its
    entries changed. Needs the lease; the observation has to be of the time that it is held."""
    found = agreed(desired, observation.ledger, observation.catalogs, unreadable(site), site.now())
    for entry in found.entries:
        site.memory.ledger.record(entry)
    for entry in found.over:
        site.memory.ledger.forget(entry.server, entry.group)
    return len(found.entries) + len(found.over)
