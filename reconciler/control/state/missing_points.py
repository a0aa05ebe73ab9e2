"""Missing points: catalogs that were made anew, the jobs on record -> which points were made there and are not in them.

Data that is put back from an older copy is made a sound catalog of. The newest point of a virtual machine never
expires, so where the newest ones that jobs made are in no catalog they went with the data.
"""

from __future__ import annotations

import msgspec

from reconciler.control.site import Site
from reconciler.errors import Diagnostic, Severity
from reconciler.model import DataSource, ExistingPoints, JobKind, JobResult, JobState, Replica
from reconciler.protocols import StoreRebuild

#: So many jobs of each are looked at, the newest first.
_JOBS = 1000


def with_missing(site: Site, done: StoreRebuild) -> StoreRebuild:
    """The same, with a finding for each virtual machine whose newest points are missing from what was made anew."""
    if not done.replicas:
        return done
    seen = site.engines[done.server].observe()
    replicas = {replica.source: replica for replica in seen.replicas}
    newest = {point.source: point.time for point in seen.points}  # they are in the order of their times
    found = []
    for source in done.replicas:
        replica, there = replicas.get(source), newest.get(source)
        if replica is None or _may_be_empty(replica):
            continue
        lost = [
            each
            for each in _made(site, done.server, source)
            if each.point_time is not None and (there is None or each.point_time > there)
        ]
        if lost:
            found.append(_finding(replica, lost))
    return msgspec.structs.replace(done, findings=(*done.findings, *found))


def _may_be_empty(replica: Replica) -> bool:
    """Whether the newest point may have expired too: protection was stopped with `expireNow`."""
    return replica.group is None and replica.existing_points is ExistingPoints.EXPIRE_NOW


def _made(site: Site, server: str, source: DataSource) -> list[JobResult]:
    """The results of the jobs that made a point on the server."""
    return [
        record.status.result
        for record in site.memory.jobs.history(_JOBS, source)
        if record.job.server == server
        and record.job.kind is not JobKind.RECOVERY
        and record.status.state is JobState.SUCCEEDED
        and record.status.result is not None
        and record.status.result.point
    ]


def _finding(replica: Replica, lost: list[JobResult]) -> Diagnostic:
    times = sorted(each.point_time for each in lost if each.point_time is not None)
    name = replica.machine_name or replica.source.machine
    many = f"{len(lost)} recovery points" if len(lost) > 1 else "a recovery point"
    return Diagnostic(
        "RCL4028",
        Severity.ERROR,
        f"{many} of {name!r} that jobs made until {times[-1]:%Y-%m-%d %H:%M} UTC are in no copy that is there: the "
        "data of its replica store is older",
        "If the newer folder of the replica store is somewhere, put it in the place of this one and run `reconciler "
        "store rebuild` again, before the next job. Otherwise these points are lost.",
        subject=name,
    )
