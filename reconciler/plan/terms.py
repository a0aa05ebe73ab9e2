"""Terms: a group as written -> the same as it is compared, with every default filled in."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import msgspec

from reconciler.model import ConsistencyCheck, Member, ProtectionGroup, ShortTerm
from reconciler.model.documents import GroupDocument
from reconciler.model.units import Duration
from reconciler.schedule import longest_gap

#: How much later than the longest scheduled gap a point may be before it is late, where no `rpo` is written.
RPO_GRACE = timedelta(hours=1)


def group_of(document: GroupDocument, members: tuple[Member, ...]) -> ProtectionGroup:
    """The group with these members."""
    spec = document.spec
    check = spec.consistency_check
    return ProtectionGroup(
        name=document.metadata.name,
        display_name=spec.display_name or document.metadata.name.replace("-", " "),
        members=members,
        short_term=short_term_of(document),
        consistency_check=ConsistencyCheck(
            when_inconsistent=check.when_inconsistent,
            time=check.schedule.time.value if check.schedule else None,
            max_hours=check.schedule.max_hours if check.schedule else None,
        ),
        existing_points=spec.existing_points,
        colocate=spec.colocate,
        deletion_protection=spec.deletion_protection,
    )


def short_term_of(document: GroupDocument) -> ShortTerm:
    """The short-term protection, with its RPO."""
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
    rpo = written.rpo.delta if written.rpo else longest_gap(before_rpo) + RPO_GRACE
    return msgspec.structs.replace(before_rpo, rpo=rpo)


def selectors_hash(document: GroupDocument) -> str:
    """A hash of the membership rules as they are written."""
    selectors = (rule.virtual_machines for rule in document.spec.members)
    rules = [each for each in selectors if each is not None]
    return hashlib.sha256(msgspec.json.encode(rules, order="sorted")).hexdigest()[:16]
