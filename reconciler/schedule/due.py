"""Due: what a backup server holds, which jobs ran last, the time -> the jobs that should run now.

The applied groups are read from the catalog, never from policies. What is there decides whether a slot was answered,
by the one table `ANSWERS`: a recovery point, where the slot is to make one. So runs that were missed, however many,
come to one, and a job that failed, was cancelled or did something else answers nothing. Times that lie in the future
are not believed (`trust`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

import msgspec

from reconciler.model import (
    CatalogSnapshot,
    DataSource,
    ExistingPoints,
    Job,
    JobKind,
    JobRecord,
    JobState,
    PointKind,
    ProtectionGroup,
    RecoveryPoint,
    Recurrence,
    Replica,
    ReplicaState,
    ShortTerm,
)
from reconciler.schedule.calendar import (
    express_fulls,
    last_interval_slot,
    last_occurrence,
    next_interval_slot,
    next_occurrence,
)
from reconciler.schedule.retain import Range, retain
from reconciler.schedule.trust import Doubt, ahead, believable, believed, until

_BACKOFF = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
_SHORT = {
    JobKind.INITIAL_REPLICA: "initial",
    JobKind.SYNCHRONIZATION: "sync",
    JobKind.EXPRESS_FULL: "full",
    JobKind.CONSISTENCY_CHECK: "check",
    JobKind.PRUNING: "prune",
}
_PRIORITY = list(_SHORT)


class View(msgspec.Struct, frozen=True):
    """What `due` looks at. `latest` has the record of each data source and kind that was begun last, `doubt` when the
    clock was back last, `first_used_at` when the server's store was first used: the jobs of one that is lost answer
    nothing in the next (None where that is not known)."""

    now: datetime
    zone: ZoneInfo
    catalog: CatalogSnapshot
    latest: Mapping[tuple[DataSource, JobKind], JobRecord]
    running: tuple[JobRecord, ...] = ()
    prune_allowed: bool = True
    doubt: Doubt | None = None
    first_used_at: datetime | None = None


class Made(msgspec.Struct, frozen=True):
    """What there is of one data source at a moment: its replica and its recovery points."""

    replica: Replica
    points: Sequence[RecoveryPoint]
    now: datetime

    @property
    def newest(self) -> datetime | None:
        """The time of the newest point; None where the clock has gone back since it was made."""
        if _is_ahead(self.replica.synchronized_at, self.now):
            return None
        latest = until(self.replica, self.now)
        return max((each.time for each in self.points if each.time <= latest), default=None)

    @property
    def whole_at(self) -> datetime | None:
        """When all of the source was last read into a point; that point may have expired."""
        mark = self.replica.express_full_at
        if mark is not None or _is_ahead(self.replica.synchronized_at, self.now):
            return believed(mark, self.now)
        latest, kinds = until(self.replica, self.now), (PointKind.EXPRESS_FULL, PointKind.INITIAL_REPLICA)
        return max((each.time for each in self.points if each.kind in kinds and each.time <= latest), default=None)

    @property
    def checked_at(self) -> datetime | None:
        """When replica and source were last compared: by a check, else when the oldest point was made."""
        checked = believed(self.replica.checked_at, self.now)
        oldest = min((each.time for each in believable(self.points, self.now)), default=None)
        return checked or oldest or believed(self.replica.synchronized_at, self.now)


#: What there is, a slot -> whether the slot was answered. Kinds of jobs that are not here have no slots: they are due
#: by what state something is in.
ANSWERS: Mapping[JobKind, Callable[[Made, datetime], bool]] = {
    JobKind.SYNCHRONIZATION: lambda made, slot: _since(made.newest, slot),
    JobKind.EXPRESS_FULL: lambda made, slot: _since(made.whole_at, slot),
    JobKind.CONSISTENCY_CHECK: lambda made, slot: _since(made.checked_at, slot),
}


def answered(kind: JobKind, made: Made, slot: datetime) -> bool:
    """Whether the slot of such a job needs no run any more."""
    return ANSWERS[kind](made, slot)


def _is_ahead(mark: datetime | None, now: datetime) -> bool:
    return mark is not None and ahead(mark, now)


def _since(at: datetime | None, slot: datetime) -> bool:
    return at is not None and at >= slot


def backoff(attempt: int) -> timedelta | None:
    """How long to wait after the so-many-th failure; None when the next slot is to be waited for."""
    return _BACKOFF[attempt - 1] if 1 <= attempt <= len(_BACKOFF) else None


def due(view: View) -> tuple[Job, ...]:
    """At most one job for each data source, and none of a group that is paused; those that matter most come first."""
    busy = {record.job.source for record in view.running}
    groups = {group.group.name: group.group for group in view.catalog.groups}
    points: dict[DataSource, list[RecoveryPoint]] = defaultdict(list)
    for point in view.catalog.points:
        points[point.source].append(point)
    jobs = []
    for replica in view.catalog.replicas:
        if replica.source not in busy:
            group = groups.get(replica.group) if replica.group is not None else None
            if group is not None and group.pause_at(view.now):
                continue
            job = _due_for(view, replica, group, points[replica.source])
            jobs += [job] if job else []
    return tuple(sorted(jobs, key=lambda job: (_PRIORITY.index(job.kind), job.scheduled_for, job.source)))


def next_job(view: View, replica: Replica, group: ProtectionGroup | None) -> tuple[JobKind, datetime] | None:
    """What runs next for the replica, and when; None where nothing is scheduled."""
    if group is None:
        return None
    pause = group.pause_at(view.now)
    if pause is not None:
        return _after_pause(msgspec.structs.replace(view, now=pause.ends_at), replica, group)
    now = view.now
    if replica.state is ReplicaState.PENDING:
        return _retry(view, replica, JobKind.INITIAL_REPLICA) or (JobKind.INITIAL_REPLICA, now)
    if replica.state is ReplicaState.INCONSISTENT and group.consistency_check.when_inconsistent:
        return _retry(view, replica, JobKind.CONSISTENCY_CHECK) or (JobKind.CONSISTENCY_CHECK, now)
    term = group.short_term
    found = []
    if term.synchronization is not None:
        found.append((next_interval_slot(term.synchronization, view.zone, now), JobKind.SYNCHRONIZATION))
    fulls = express_fulls(term)
    full = next_occurrence(fulls, view.zone, now) if fulls else None
    if full is not None:
        found.append((full, JobKind.EXPRESS_FULL))
    found += [(at, kind) for kind in _SHORT if (retry := _retry(view, replica, kind)) for at in [retry[1]] if at > now]
    if not found:
        return None
    at, kind = min(found, key=lambda each: (each[0], -_PRIORITY.index(each[1])))
    return kind, at


def _after_pause(view: View, replica: Replica, group: ProtectionGroup) -> tuple[JobKind, datetime] | None:
    """What runs first as the pause ends, which is the time of this view: what was missed is made up for at once."""
    points = [point for point in view.catalog.points if point.source == replica.source]
    job = _due_for(msgspec.structs.replace(view, prune_allowed=False), replica, group, points)
    return (job.kind, view.now) if job is not None else next_job(view, replica, group)


def _retry(view: View, replica: Replica, kind: JobKind) -> tuple[JobKind, datetime] | None:
    record = view.latest.get((replica.source, kind))
    if record is None or record.status.state is not JobState.FAILED or record.retry_at is None:
        return None
    if ahead(record.started_at, view.now):
        return None
    return kind, record.retry_at


# --- One replica ---------------------------------------------------------------------------------------------


def _due_for(view: View, replica: Replica, group: ProtectionGroup | None, points: list[RecoveryPoint]) -> Job | None:
    if group is None:
        return _pruning(view, replica, None, points)
    if replica.state is ReplicaState.PENDING:
        return _job(view, replica, JobKind.INITIAL_REPLICA, _slot(view, group.short_term), "no initial replica yet")
    if replica.state is ReplicaState.INCONSISTENT:
        job = None
        if group.consistency_check.when_inconsistent:
            because = f"the replica is inconsistent: {replica.inconsistent_because}"
            slot = _slot(view, group.short_term)
            job = _job(view, replica, JobKind.CONSISTENCY_CHECK, slot, because)
        return job or _scheduled_check(view, replica, group, points)
    made = Made(replica, points, view.now)
    return (
        _express_full(view, made, group.short_term)
        or _synchronization(view, made, group.short_term)
        or _scheduled_check(view, replica, group, points)
        or _pruning(view, replica, group, points)
    )


def _slot(view: View, term: ShortTerm) -> datetime:
    """The slot that a job answers which is due by state, not by the clock: a failed one waits for the next."""
    return last_interval_slot(term.synchronization or timedelta(hours=24), view.zone, view.now)


def _express_full(view: View, made: Made, term: ShortTerm) -> Job | None:
    recurrence = express_fulls(term)
    slot = last_occurrence(recurrence, view.zone, view.now) if recurrence else None
    if slot is None or answered(JobKind.EXPRESS_FULL, made, slot):
        return None
    return _job(view, made.replica, JobKind.EXPRESS_FULL, slot, "scheduled")


def _synchronization(view: View, made: Made, term: ShortTerm) -> Job | None:
    if term.synchronization is None:
        return None
    slot = last_interval_slot(term.synchronization, view.zone, view.now)
    if answered(JobKind.SYNCHRONIZATION, made, slot):
        return None
    return _job(view, made.replica, JobKind.SYNCHRONIZATION, slot, "scheduled")


def _scheduled_check(view: View, replica: Replica, group: ProtectionGroup, points: list[RecoveryPoint]) -> Job | None:
    check = group.consistency_check
    if check.time is None:
        return None
    slot = last_occurrence(Recurrence((check.time,)), view.zone, view.now)
    made = Made(replica, points, view.now)
    if slot is None or made.checked_at is None or answered(JobKind.CONSISTENCY_CHECK, made, slot):
        return None
    job = _job(view, replica, JobKind.CONSISTENCY_CHECK, slot, "scheduled")
    return msgspec.structs.replace(job, max_hours=check.max_hours) if job else None


def _pruning(view: View, replica: Replica, group: ProtectionGroup | None, points: list[RecoveryPoint]) -> Job | None:
    if not view.prune_allowed:
        return None
    age = group.short_term.retention if group else replica.retention
    minimum = group.short_term.minimum_points if group else replica.minimum_points
    if group is None and replica.existing_points is ExistingPoints.KEEP_FOREVER:
        age = None
    destroyed = group is None and replica.existing_points is ExistingPoints.EXPIRE_NOW
    aged = points if view.doubt is None else [view.doubt.youngest(point) for point in points]
    expired = tuple(points) if destroyed else retain(aged, Range(age, minimum), view.now).expire
    if not expired:
        return None
    ids = tuple(sorted(point.id for point in expired))
    slot = max(point.time for point in expired)
    because = f"{len(ids)} points " + ("are not wanted any more" if destroyed else "are beyond the range")
    job = _job(view, replica, JobKind.PRUNING, slot, because, "/".join(ids))
    return msgspec.structs.replace(job, points=ids) if job else None


def _job(view: View, replica: Replica, kind: JobKind, slot: datetime, reason: str, what: str = "") -> Job | None:
    """The job for the slot, unless it is running, has failed for good, or waits for its next try."""
    job = Job(
        id=_id(kind, view, replica.source, slot, what or _after(replica, kind)),
        kind=kind,
        server=view.catalog.server,
        source=replica.source,
        scheduled_for=slot,
        group=replica.group or "",
        reason=reason,
    )
    record = view.latest.get((replica.source, kind))
    if record is None or record.job.id != job.id:
        return job
    if record.status.state is JobState.FAILED:
        again = record.retry_at is not None and record.retry_at <= view.now
        return job if again or _repaired_since(view, replica, record) else None
    if record.status.state is JobState.SUCCEEDED and kind is JobKind.INITIAL_REPLICA:
        # What it made is gone, with its volume for one; unless the catalog was read before it was done.
        return job if record.ended_at is not None and record.ended_at < view.catalog.taken_at else None
    if record.status.state is JobState.CANCELLED:  # by a stop, or by a person, who is to have some peace
        return job if record.retry_at is None or record.retry_at <= view.now else None
    return job if record.status.state is JobState.INTERRUPTED else None


def _repaired_since(view: View, replica: Replica, record: JobRecord) -> bool:
    """Whether a consistency check put right what the job may have failed for: then its slot still wants its point."""
    checked = believed(replica.checked_at, view.now)
    makes_a_point = record.job.kind in (JobKind.SYNCHRONIZATION, JobKind.EXPRESS_FULL)
    return makes_a_point and checked is not None and record.ended_at is not None and checked >= record.ended_at


def _after(replica: Replica, kind: JobKind) -> str:
    """What was done of the kind before. A clock that goes back comes to the same slot again, which is another need."""
    marks = {
        JobKind.SYNCHRONIZATION: replica.synchronized_at,
        JobKind.EXPRESS_FULL: replica.express_full_at,
        JobKind.CONSISTENCY_CHECK: replica.checked_at,
    }
    mark = marks.get(kind)
    return mark.isoformat() if mark is not None else ""


def _id(kind: JobKind, view: View, source: DataSource, slot: datetime, what: str) -> str:
    """The same need gives the same id, in whatever process."""
    store = f" {view.first_used_at.isoformat()}" if view.first_used_at is not None else ""
    seed = f"{kind} {view.catalog.server} {source} {slot.isoformat()} {what}{store}"
    return f"{_SHORT[kind]}-{source.machine[:8]}-{slot:%Y%m%dT%H%MZ}-{sha256(seed.encode()).hexdigest()[:6]}"
