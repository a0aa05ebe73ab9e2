"""Recovering: which machine, which point, where to -> a journalled job, looked at before it starts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec

from reconciler.control.clock import newest_of, passed_over
from reconciler.control.dispatch import POLL_SECONDS, Watcher, run_jobs, start
from reconciler.control.job_leases import job_lease, running_here
from reconciler.control.lease import Holding
from reconciler.control.machines import find_machine, sources_called
from reconciler.control.observe import Observation
from reconciler.control.policies import FOLDER, read_or_last_good
from reconciler.control.propose import desired_now
from reconciler.control.site import Site, actor
from reconciler.control.stores import OlderCopy, StoreView, Use, views
from reconciler.errors import Diagnostic, ReconcilerError, Refused, Severity, TemporaryError, Unreachable
from reconciler.model import (
    Agreement,
    DataSource,
    Job,
    JobHandle,
    JobKind,
    JobRecord,
    JobState,
    JobStatus,
    Recovery,
    RecoveryPoint,
    RecoveryStep,
    RecoveryTarget,
)
from reconciler.plan import Seen, coverage
from reconciler.protocols import Fence, RecoveryPreview, UnfinishedRecovery

#: How long what somebody agreed to counts.
AGREED_FOR = timedelta(hours=24)

#: The code of a recovery of which some files are replaced and others are not.
HALF_DONE = "RCL7022"

#: How long it is said of a recovery that it was not carried out.
_SAID_FOR = timedelta(days=7)


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
    preview: RecoveryPreview
    warning: Diagnostic | None = None


def prepare(site: Site, observation: Observation, wish: Wish) -> Prepared:
    """Finds the machine and the point. Raises `UsageError` where the wish is not clear, `Refused` where it cannot
    be done; the reasons why the engine would refuse are in the preview."""
    if wish.folder:
        _check_folder(site, Path(wish.folder))
    server, point, warning = _point(site, observation, wish)
    recovery = Recovery(
        point=point.id,
        target=RecoveryTarget.FOLDER if wish.folder else RecoveryTarget.ORIGINAL,
        folder=wish.folder,
        disks=wish.disks,
        keep_original=wish.keep_original,
        asked_by=actor(),
        copy=server in observation.copies,
    )
    if recovery.copy and recovery.target is not RecoveryTarget.FOLDER:
        raise next(each for each in observation.troubles if each.diagnostic.subject == server)
    prepared = _prepared(site, _job(site, server, point.source, recovery))
    return msgspec.structs.replace(prepared, warning=warning)


def prepare_unfinished(site: Site, observation: Observation, machine: str, step: RecoveryStep) -> Prepared:
    """What going on with a recovery of the machine that is half done, or back, would do. Raises `Refused`, RCL7023,
    where there is none, and `Unreachable`, RCL7026, where that cannot be known."""
    source = find_machine(observation, machine)
    found = next(((server, each) for server, each in unfinished(site) if each.source == source), None)
    if found is None:
        for error in observation.troubles:
            if error.diagnostic.subject in site.engines:
                raise _not_to_be_seen(error.diagnostic, machine)
        raise Refused(
            "RCL7023",
            f"no recovery of {machine!r} is half done",
            "Ask for a recovery: `reconciler recover VM`.",
            subject=machine,
        )
    server, each = found
    recovery = Recovery(
        point=each.point,
        target=each.target,
        folder=each.folder,
        keep_original=each.keep_original,
        asked_by=actor(),
        step=step,
        of=each.job,
    )
    return _prepared(site, _job(site, server, source, recovery))


def _check_folder(site: Site, folder: Path) -> None:
    """Raises `Refused`, RCL7027, for a folder within what the site itself reads and writes: what is recovered there
    would be taken for policies, a part of a store, or a virtual machine's."""
    wanted = folder.resolve()
    for what, place in _kept_places(site):
        if wanted.is_relative_to(place.resolve()):
            raise Refused(
                "RCL7027",
                f"the folder {str(folder)!r} lies in {what}",
                "Choose a folder outside of it. Nothing was written.",
                subject=str(folder),
            )


def _kept_places(site: Site) -> Iterator[tuple[str, Path]]:
    spec = site.document.spec
    yield "the policies", site.folder / FOLDER
    yield "what the site remembers", site.folder / ".reconciler"
    for server in spec.servers:
        if server.engine.embedded is not None:
            yield f"the store of {server.name}", site.folder / server.engine.embedded.path
    for cluster in spec.clusters:
        if cluster.inventory.directory is not None:
            yield f"the cluster {cluster.name}", site.folder / cluster.inventory.directory.path
    if spec.state.sqlite is not None:
        yield "the evidence", (site.folder / spec.state.sqlite.path).with_suffix(".evidence")


def _not_to_be_seen(why: Diagnostic, machine: str) -> Unreachable:
    """What was recovered, and how far, is written down in the store alone."""
    return Unreachable(
        "RCL7026",
        f"whether a recovery of {machine!r} is half done cannot be seen: {why.message}",
        f"{why.remedy} Then run the command again. What was replaced meanwhile lies beside its place, in files whose "
        "names end in `.original-` and a number of letters: nothing removes them before the store is there again.",
        subject=machine,
    )


def _job(site: Site, server: str, source: DataSource, recovery: Recovery) -> Job:
    now = site.now()
    return Job(
        id=f"recover-{source.machine[:8]}-{now:%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}",
        kind=JobKind.RECOVERY,
        server=server,
        source=source,
        scheduled_for=now,
        reason="asked for",
        recovery=recovery,
    )


def _prepared(site: Site, job: Job) -> Prepared:
    """The job with its preview, and in it what would be agreed to: what stands at the target as it is shown."""
    preview = getattr(site.engines[job.server], "preview", None)
    if preview is None:
        raise Refused(
            "RCL7001",
            f"the engine of {job.server} cannot recover machines",
            "Recover with the server's own console.",
            subject=job.server,
        )
    assert job.recovery is not None
    shown: RecoveryPreview = preview(job)
    shown = msgspec.structs.replace(shown, notes=(*shown.notes, *_not_known(site, job)))
    agreed = Agreement(job.recovery.asked_by, site.now() + AGREED_FOR, shown.found)
    recovery = msgspec.structs.replace(job.recovery, agreed=agreed)
    return Prepared(msgspec.structs.replace(job, recovery=recovery), shown)


def _not_known(site: Site, job: Job) -> list[str]:
    """What a person should know that nothing here can tell them."""
    view = views(site).get(job.server)
    if isinstance(view, OlderCopy):
        return [f"this is an older copy, which is read alone: {view.diagnostic.message}"]
    if isinstance(view, StoreView) and view.use is Use.FOREIGN:
        return [
            f"the state does not know this store: what was applied to {job.server}, which recoveries were asked for "
            "and what was done since the point is not known"
        ]
    return []


def recover(site: Site, prepared: Prepared, held: Holding, run: str, watch: Watcher) -> JobRecord:
    """Does it, and waits for it."""
    run_jobs(site, (prepared.job,), held, run, watch)
    record = site.memory.jobs.get(prepared.job.id)
    assert record is not None
    return record


def recover_off_record(site: Site, prepared: Prepared, watch: Watcher) -> JobRecord:
    """Recovers to a folder where neither state nor evidence can be written. No lease is to be had there, so nothing is
    written to the store either: nothing of it is on record. One that was started already is waited for."""
    job, engine = prepared.job, site.engines[prepared.job.server]

    def unwritten() -> None:
        what = "the state cannot be written, so there is no lease to write to the store under"
        raise TemporaryError("RCL5006", what, "Make the state writable.", subject=job.id)

    record = JobRecord(job, JobStatus(JobState.RUNNING), 1, site.now())
    with site.stop.patient():
        handle = JobHandle(job.server, job.id)
        if job.id not in site.started or engine.poll(handle).state is JobState.INTERRUPTED:
            assert job.recovery is not None
            reading = msgspec.structs.replace(job, recovery=msgspec.structs.replace(job.recovery, copy=True))
            engine.start(reading, Fence(0, job_lease(job), unwritten))
        while not record.status.state.ended:
            time.sleep(POLL_SECONDS)
            if site.stop.asked:
                engine.cancel(handle)
            record = msgspec.structs.replace(record, status=engine.poll(handle))
            watch(record)
    return msgspec.structs.replace(record, ended_at=site.now())


def resume_recoveries(site: Site, held: Holding) -> tuple[JobRecord, ...]:
    """Settles recoveries whose process died: the engine carries on with one only while everything that was agreed
    still holds, and ends it else. Nothing is recovered that had not come so far as to be written down as ready."""
    resumed = []
    for record in running_here(site.memory, site.holder):
        engine = site.engines.get(record.job.server)
        recovery = record.job.recovery
        if record.job.kind is not JobKind.RECOVERY or engine is None or recovery is None:
            continue
        if engine.poll(JobHandle(record.job.server, record.job.id)).state is JobState.INTERRUPTED:
            settle = msgspec.structs.replace(recovery, step=RecoveryStep.SETTLE)
            start(site, msgspec.structs.replace(record.job, recovery=settle), held, record.run)
            run_jobs(site, (), held, record.run)
            ended = site.memory.jobs.get(record.job.id)
            resumed += [ended] if ended else []
    return tuple(resumed)


def unfinished(site: Site) -> tuple[tuple[str, UnfinishedRecovery], ...]:
    """The recoveries that never ended, with their servers."""
    return tuple(
        (server, each)
        for server, engine in sorted(site.engines.items())
        for each in getattr(engine, "unfinished", tuple)()
    )


def recovery_findings(site: Site) -> tuple[Diagnostic, ...]:
    """What is to be said of recoveries that did not come to their end: one that is half done, and one that was asked
    for last and not carried out."""
    found = []
    left = {each.job.id for each in running_here(site.memory, site.holder)} - set(site.started)
    at_work = {each.job.id for each in site.memory.jobs.running()} - left
    for server, each in unfinished(site):
        if each.job in at_work or not each.replaced:
            continue
        found.append(
            Diagnostic(
                HALF_DONE,
                Severity.ERROR,
                f"the recovery of {each.machine!r} to {each.point}, asked for by {each.asked_by or 'somebody'}, is "
                f"interrupted: {each.replaced} of {each.files} files are replaced",
                f"Finish it with `reconciler recover --continue {each.machine}`, or go back with `reconciler recover "
                f"--undo {each.machine}`. What was replaced is kept beside its place.",
                subject=f"{server} {each.job}",
            )
        )
    for (_, kind), record in sorted(site.memory.jobs.latest().items(), key=lambda item: item[1].job.id):
        status = record.status
        if kind is not JobKind.RECOVERY or status.state not in (JobState.FAILED, JobState.INTERRUPTED):
            continue
        if status.code == HALF_DONE or record.ended_at is None or site.now() - record.ended_at > _SAID_FOR:
            continue
        asked = record.job.recovery.asked_by if record.job.recovery else ""
        found.append(
            Diagnostic(
                "RCL7024",
                Severity.WARNING,
                f"{record.job.source} was not recovered, as {asked or 'somebody'} had asked: {status.reason}",
                "It is not done by itself. Ask for it anew, if it is still wanted.",
                subject=record.job.id,
            )
        )
    return tuple(found)


def _namesakes(site: Site, observation: Observation, machine: str, source: DataSource) -> str:
    """Which other virtual machines were called so and have recovery points, in words; "" where there are none."""
    told = []
    for other in sorted(sources_called(observation, machine) - {source}):
        times = [
            point.time for catalog in observation.readable.values() for point in catalog.points if point.source == other
        ]
        if times:
            newest = max(times).astimezone(site.zone)
            told.append(f"{other} with {_points(len(times))}, the newest of {newest:%Y-%m-%d %H:%M}")
    return " and ".join(told)


def _points(number: int) -> str:
    return f"{number} recovery point{'s' if number != 1 else ''}"


def _why_none(site: Site, observation: Observation, source: DataSource) -> str:
    """Why a virtual machine has no recovery point, as far as the policies say; "" where they say nothing."""
    try:
        desired = desired_now(site, read_or_last_good(site.folder).policies, observation)
    except ReconcilerError:
        return ""
    rows = coverage(Seen(observation.at, observation.clusters, observation.catalogs, desired))
    row = next((row for row in rows if row.source == source), None)
    return f"; it is {row.standing}: {row.why}" if row is not None and row.why else ""


def _point(site: Site, observation: Observation, wish: Wish) -> tuple[str, RecoveryPoint, Diagnostic | None]:
    """The point with its server, and what is to be said of it. Without a time or an id it is the newest whose time
    can be believed."""
    source = find_machine(observation, wish.machine)
    points = [
        (server, point)
        for server, catalog in observation.readable.items()
        for point in catalog.points
        if point.source == source
    ]
    fitting = [
        (server, point)
        for server, point in points
        if (not wish.point or point.id == wish.point) and (wish.at is None or point.time <= wish.at)
    ]
    others = _namesakes(site, observation, wish.machine, source)
    if fitting and (wish.point or wish.at is not None):
        return *max(fitting, key=lambda found: found[1].time), _other_of_the_name(wish.machine, source, others)
    now = site.now()
    best = newest_of(observation, fitting, now)
    if best is not None:
        ahead = passed_over((point for _, point in points), best[1], now)
        return *best, ahead or _other_of_the_name(wish.machine, source, others)
    if not points:
        for error in observation.troubles:  # what cannot be read is not taken for empty
            if error.diagnostic.subject in site.engines:
                raise error
    what = "at all" + ("" if points else _why_none(site, observation, source))
    if points and wish.point:
        what = f"with the id {wish.point!r}"
    elif points and wish.at is not None:
        what = f"at or before {wish.at:%Y-%m-%d %H:%M} UTC"
    raise Refused(
        "RCL7004",
        f"{wish.machine!r} has no recovery point {what}",
        f"Another virtual machine was called so: {others}. To recover that one, name it by its id."
        if others
        else "See `reconciler points` for what there is.",
        subject=wish.machine,
    )


def _other_of_the_name(machine: str, source: DataSource, others: str) -> Diagnostic | None:
    if not others:
        return None
    what = f"{machine!r} is {source} here; another virtual machine was called so: {others}"
    return Diagnostic("RCL7028", Severity.ADVICE, what, "To recover that one, name it by its id.", subject=machine)
