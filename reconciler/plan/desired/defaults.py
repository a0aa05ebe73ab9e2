"""Terms: a group as written, its site's zone -> the same as it is compared, with every default filled in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from reconciler.errors import Location
from reconciler.model import ConsistencyCheck, Member, Pause, ProtectionGroup, ShortTerm
from reconciler.model.documents import GroupDocument, Paused, PolicySet
from reconciler.model.units import Duration
from reconciler.schedule import longest_gap

#: How much later than the longest scheduled gap a point may be before it is late, where no `rpo` is written.
RPO_GRACE = timedelta(hours=1)

_DAY = timedelta(days=1)
_UTC = ZoneInfo("UTC")


def zones_of(policies: PolicySet) -> Mapping[str, ZoneInfo]:
    """The zone of each site, by name."""
    return {placed.document.metadata.name: ZoneInfo(placed.document.spec.time_zone) for placed in policies.sites}


def zone_of(document: GroupDocument, zones: Mapping[str, ZoneInfo]) -> ZoneInfo:
    """The zone of the group's site; UTC where nothing is known of that site."""
    return zones.get(document.spec.site, _UTC)


def with_rpo(document: GroupDocument, zones: Mapping[str, ZoneInfo]) -> GroupDocument:
    """The document with the RPO that counts written out: from here on nobody has to know the zone."""
    if document.spec.short_term.rpo is not None:
        return document
    rpo = short_term_of(document, zone_of(document, zones)).rpo
    term = msgspec.structs.replace(document.spec.short_term, rpo=Duration(seconds=int(rpo.total_seconds())))
    return msgspec.structs.replace(document, spec=msgspec.structs.replace(document.spec, short_term=term))


def group_of(document: GroupDocument, members: tuple[Member, ...], zone: ZoneInfo) -> ProtectionGroup:
    """The group with these members, on a site in that zone."""
    spec = document.spec
    check = spec.consistency_check
    return ProtectionGroup(
        name=document.metadata.name,
        display_name=spec.display_name or document.metadata.name.replace("-", " "),
        members=members,
        short_term=short_term_of(document, zone),
        consistency_check=ConsistencyCheck(
            when_inconsistent=check.when_inconsistent,
            time=check.schedule.time.value if check.schedule else None,
            max_hours=check.schedule.max_hours if check.schedule else None,
        ),
        existing_points=spec.existing_points,
        colocate=spec.colocate,
        deletion_protection=spec.deletion_protection,
        paused=pause_of(spec.paused, zone) if spec.paused else None,
    )


def pause_of(written: Paused, zone: ZoneInfo) -> Pause:
    """The pause, which ends when its last day is over in that zone."""
    last = min(written.until, date.max - _DAY)
    ends_at = datetime.combine(last + _DAY, time(), zone).astimezone(UTC)
    return Pause(written.reason, written.owner, written.until, ends_at)


def short_term_of(document: GroupDocument, zone: ZoneInfo) -> ShortTerm:
    """The short-term protection, with its RPO: where none is written, the longest gap of the schedule and an hour."""
    written = document.spec.short_term
    interval = written.synchronization
    before_rpo = ShortTerm(
        retention=written.retention.delta,
        rpo=timedelta(0),
        synchronization=None if interval == "beforeRecoveryPoint" else Duration.parse(interval).delta,
        minimum_points=written.minimum_points,
        express_full=written.express_full.recurrence if written.express_full else None,
        recovery_points=written.recovery_points.recurrence if written.recovery_points else None,
    )
    rpo = written.rpo.delta if written.rpo else longest_gap(before_rpo, zone) + RPO_GRACE
    return msgspec.structs.replace(before_rpo, rpo=rpo)


def is_default_rpo(term: ShortTerm) -> bool:
    """Whether the RPO is the default of its schedule on a site whose clocks are never changed, as version 0.1 had it
    everywhere."""
    return term.rpo == longest_gap(term, _UTC) + RPO_GRACE


def selectors_hash(document: GroupDocument) -> str:
    """A hash of the membership rules as they are written."""
    selectors = (rule.virtual_machines for rule in document.spec.members)
    rules = [each for each in selectors if each is not None]
    return hashlib.sha256(msgspec.json.encode(rules, order="sorted")).hexdigest()[:16]


def in_other_sites(policies: PolicySet, site: str) -> dict[str, Location]:
    """The groups that the policies have in other sites, by their name and by every earlier one that no group has now ->
    where the document says so."""
    names = {placed.document.metadata.name for placed in policies.groups}
    found: dict[str, Location] = {}
    for placed in policies.groups:
        if placed.document.spec.site != site:
            earlier = (each for each in placed.document.spec.renamed_from if each not in names)
            place = placed.positions.at("spec", "site")
            found |= dict.fromkeys((placed.document.metadata.name, *earlier), place)
    return found
