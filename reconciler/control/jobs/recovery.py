"""Recovering: which machine, which point, where to -> a journalled job, looked at before it starts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec

from reconciler.control.applying.apply import Authority
from reconciler.control.approving.moved_endpoints import elsewhere_by_now
from reconciler.control.evidence.record import record_end, record_run
from reconciler.control.jobs.dispatch import POLL_SECONDS, Watcher, run_jobs
from reconciler.control.jobs.leases import job_lease
from reconciler.control.jobs.point_lookup import find_point
from reconciler.control.jobs.unfinished_recoveries import left_behind, unfinished
from reconciler.control.observe import Observation
from reconciler.control.policy_folder import FOLDER
from reconciler.control.site import Site, actor
from reconciler.control.state.committed_files import kept_places
from reconciler.control.state.known_stores import OlderCopy, OlderState, StoreView, Use, views
from reconciler.control.virtual_machines import find_machine
from reconciler.errors import (
    Diagnostic,
    LockHeld,
    ReconcilerError,
    Refused,
    TemporaryError,
    Unreachable,
)
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
    RecoveryStep,
    RecoveryTarget,
)
from reconciler.protocols import Fence, Recovers, RecoveryPreview, Run, UnfinishedRecovery

#: How long what somebody agreed to counts.
AGREED_FOR = timedelta(hours=24)


class RecoveryRequest(msgspec.Struct, frozen=True):
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


def prepare(site: Site, observation: Observation, wish: RecoveryRequest) -> Prepared:
    """Finds the machine and the point. Raises `UsageError` where the wish is not clear, `Refused` where it cannot
    be done; the reasons why the engine would refuse are in the preview."""
    if wish.folder:
        _check_folder(site, Path(wish.folder))
    server, point, warning = find_point(site, observation, wish.machine, wish.point, wish.at)
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
    found = next(((server, each) for server, each in _to_be_ended(site, step) if each.source == source), None)
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


def _to_be_ended(site: Site, step: RecoveryStep) -> list[tuple[str, UnfinishedRecovery]]:
    """The recoveries that the step can be about: what was cut off while it staged can only be gone back from, and comes
    last."""
    found = [each for each in unfinished(site) if not each[1].staging]
    return found + ([each for each in left_behind(site) if each[1].staging] if step is RecoveryStep.UNDO else [])


def _check_folder(site: Site, folder: Path) -> None:
    """Raises `Refused`, RCL7027, for a folder within what the site itself reads and writes: what is recovered there
    would be taken for policies, a part of a store, or a virtual machine's."""
    wanted = folder.resolve()
    for what, place in _own_places(site):
        if wanted.is_relative_to(place.resolve()):
            raise Refused(
                "RCL7027",
                f"the folder {str(folder)!r} lies in {what}",
                "Choose a folder outside of it. Nothing was written.",
                subject=str(folder),
            )


def _own_places(site: Site) -> Iterator[tuple[str, Path]]:
    yield "the policies", site.folder / FOLDER
    for kept in kept_places(site.document):
        yield kept.what, site.folder / kept.path
    for cluster in site.document.spec.clusters:
        if cluster.inventory.directory is not None:
            yield f"the cluster {cluster.name}", site.folder / cluster.inventory.directory.path


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
    engine = site.engines[job.server]
    if not isinstance(engine, Recovers):
        raise Refused(
            "RCL7001",
            f"the engine of {job.server} cannot recover virtual machines",
            "Recover with the server's own console.",
            subject=job.server,
        )
    assert job.recovery is not None
    try:
        shown = engine.preview(job)
    except Unreachable as error:  # the cluster: the engine needs it, and knows nothing of the policies
        raise elsewhere_by_now(site, "cluster", job.source.cluster, error) from error.__cause__
    shown = msgspec.structs.replace(shown, notes=(*shown.notes, *_not_known(site, job)))
    agreed = Agreement(job.recovery.asked_by, site.now() + AGREED_FOR, shown.found)
    recovery = msgspec.structs.replace(job.recovery, agreed=agreed)
    return Prepared(msgspec.structs.replace(job, recovery=recovery), shown)


def _not_known(site: Site, job: Job) -> list[str]:
    """What a person should know that nothing here can tell them."""
    view = views(site).get(job.server)
    if isinstance(view, OlderCopy):
        return [f"this is an older copy, which is read alone: {_said(view)}"]
    if isinstance(view, OlderState):
        return [f"the store is read alone, and points may be there that the state knows nothing of: {_said(view)}"]
    if isinstance(view, StoreView) and view.use is Use.FOREIGN:
        return [
            f"the state does not know this store: what was applied to {job.server}, which recoveries were asked for "
            "and what was done since the point is not known"
        ]
    return []


def _said(error: ReconcilerError) -> str:
    return error.diagnostic.message


def asked_for(site: Site, mandate: Authority) -> str:
    """Puts on record who asks for a recovery, and how they agreed; returns the id of the run. Its end is on record with
    the recovery's own, by whoever carries it out. No lease is needed to ask, so it has no token."""
    now = site.now()
    run = Run(
        id=f"{now:%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}",
        command=mandate.command,
        actor=actor(),
        host=site.holder,
        started_at=now,
        fence=0,
        commit=mandate.commit,
        ci=mandate.ci,
    )
    record_run(site, run, "", mandate.confirmation)
    return run.id


def recover(site: Site, prepared: Prepared, run: str, watch: Watcher) -> JobRecord:
    """Does it under the lease of its replica store, and waits for it. Raises `LockHeld` where another process is at
    that store for long."""
    try:
        run_jobs(site, (prepared.job,), None, run, watch)
    except LockHeld as error:
        record_end(site, run, error.diagnostic.code, 0, 0)
        raise
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
