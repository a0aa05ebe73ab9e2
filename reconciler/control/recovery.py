"""Recovering: which machine, which point, where to -> a journalled job, looked at before it starts."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

import msgspec

from reconciler.control.clock import newest_of, passed_over
from reconciler.control.dispatch import Watcher, run_jobs, start
from reconciler.control.lease import Holding
from reconciler.control.observe import Observation
from reconciler.control.site import Site, actor
from reconciler.errors import Diagnostic, Refused, UsageError
from reconciler.model import (
    DataSource,
    Job,
    JobHandle,
    JobKind,
    JobRecord,
    JobState,
    Recovery,
    RecoveryPoint,
    RecoveryTarget,
    vm_id,
)
from reconciler.model.names import fold
from reconciler.protocols import RecoveryPreview


class Wish(msgspec.Struct, frozen=True):
    """What a person asks for. `machine` is a name or an id; `at` the latest time the point may have, `point` its
    id; neither means the newest. `folder` "" means the original place. `disks` empty means the whole machine."""

    machine: str
    at: datetime | None = None
    point: str = ""
    folder: str = ""
    disks: tuple[str, ...] = ()
    keep_original: bool = False


class Prepared(msgspec.Struct, frozen=True):
    """A recovery that could start, what it would write and destroy, and what its user should know besides."""

    job: Job
    point: RecoveryPoint
    preview: RecoveryPreview
    warning: Diagnostic | None = None


def prepare(site: Site, observation: Observation, wish: Wish) -> Prepared:
    """Finds the machine and the point. Raises `UsageError` where the wish is not clear, `Refused` where it cannot
    be done; the reasons why the engine would refuse are in the preview."""
    now = site.now()
    server, point, warning = _point(observation, wish, now)
    job = Job(
        id=f"recover-{point.source.machine[:8]}-{now:%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}",
        kind=JobKind.RECOVERY,
        server=server,
        source=point.source,
        scheduled_for=now,
        reason="asked for",
        recovery=Recovery(
            point=point.id,
            target=RecoveryTarget.FOLDER if wish.folder else RecoveryTarget.ORIGINAL,
            folder=wish.folder,
            disks=wish.disks,
            keep_original=wish.keep_original,
            asked_by=actor(),
        ),
    )
    engine = site.engines[server]
    preview = getattr(engine, "preview", None)
    if preview is None:
        raise Refused(
            "RCL7001",
            f"the engine of {server} cannot recover machines",
            "Recover with the server's own console.",
            subject=server,
        )
    return Prepared(job, point, preview(job), warning)


def recover(site: Site, prepared: Prepared, held: Holding, run: str, watch: Watcher) -> JobRecord:
    """Does it, and waits for it."""
    run_jobs(site, (prepared.job,), held, run, watch)
    record = site.memory.jobs.get(prepared.job.id)
    assert record is not None
    return record


def resume_recoveries(site: Site, held: Holding) -> tuple[JobRecord, ...]:
    """Takes up recoveries whose process died: consent was given, and a cut-over must not stay half done."""
    resumed = []
    for record in site.memory.jobs.running():
        engine = site.engines.get(record.job.server)
        if record.job.kind is not JobKind.RECOVERY or engine is None:
            continue
        if engine.poll(JobHandle(record.job.server, record.job.id)).state is JobState.INTERRUPTED:
            start(site, record.job, held, record.run)
            run_jobs(site, (), held, record.run)
            ended = site.memory.jobs.get(record.job.id)
            resumed += [ended] if ended else []
    return tuple(resumed)


def find_machine(observation: Observation, machine: str) -> DataSource:
    """The data source that is called so, by name or by id; among the clusters and the catalogs."""
    wanted, identity = fold(machine), vm_id(machine)
    found = {
        each.source(cluster)
        for cluster, snapshot in observation.clusters.items()
        for each in snapshot.machines
        if wanted == fold(each.name) or identity == each.id
    }
    if not found:
        found = {
            replica.source
            for catalog in observation.catalogs.values()
            for replica in catalog.replicas
            if wanted == fold(replica.machine_name) or identity == replica.source.machine
        }
    if not found:
        raise UsageError(
            "RCL7002",
            f"no machine {machine!r} is known, neither to a cluster nor to a backup server",
            "See `reconciler status` for the names; an id works too.",
            subject=machine,
        )
    if len(found) > 1:
        ids = ", ".join(str(source) for source in sorted(found))
        raise UsageError(
            "RCL7003",
            f"{machine!r} is the name of {len(found)} machines: {ids}",
            "Name it by its id.",
            subject=machine,
        )
    return found.pop()


def _point(observation: Observation, wish: Wish, now: datetime) -> tuple[str, RecoveryPoint, Diagnostic | None]:
    """The point with its server, and what is to be said of it. Without a time or an id it is the newest whose time
    can be believed."""
    source = find_machine(observation, wish.machine)
    points = [
        (server, point)
        for server, catalog in observation.catalogs.items()
        for point in catalog.points
        if point.source == source
    ]
    fitting = [
        (server, point)
        for server, point in points
        if (not wish.point or point.id == wish.point) and (wish.at is None or point.time <= wish.at)
    ]
    if fitting and (wish.point or wish.at is not None):
        return *max(fitting, key=lambda found: found[1].time), None
    best = newest_of(observation, fitting, now)
    if best is not None:
        return *best, passed_over((point for _, point in points), best[1], now)
    what = "at all"
    if points and wish.point:
        what = f"with the id {wish.point!r}"
    elif points and wish.at is not None:
        what = f"at or before {wish.at:%Y-%m-%d %H:%M} UTC"
    raise Refused(
        "RCL7004",
        f"{wish.machine!r} has no recovery point {what}",
        "See `reconciler points` for what there is.",
        subject=wish.machine,
    )
