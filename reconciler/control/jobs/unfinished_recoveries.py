"""Recoveries that never ended -> carried on with while everything that was agreed still holds, or ended; and what is to
be said of them.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import msgspec

from reconciler.control.jobs.dispatch import run_jobs, start
from reconciler.control.jobs.leases import running_here
from reconciler.control.lease import TTL
from reconciler.control.site import Site
from reconciler.control.state.known_stores import views
from reconciler.errors import Diagnostic, LockHeld, ReconcilerError, Severity, Unreachable
from reconciler.model import JobHandle, JobKind, JobRecord, JobState, RecoveryStep
from reconciler.protocols import Recovers, UnfinishedRecovery

#: The code of a recovery of which some files are replaced and others are not.
HALF_DONE = "RCL7022"

#: The code of files of recoveries of which nothing is known, after a catalog was made anew.
UNKNOWN = "RCL7030"

#: The code of what a recovery staged that was cut off before anything was replaced.
STAGED = "RCL7029"

#: How long it is said of a recovery that it was not carried out.
_SAID_FOR = timedelta(days=7)


def resume_recoveries(site: Site) -> tuple[JobRecord, ...]:
    """Settles recoveries whose process died: the engine carries on with one only while everything that was agreed
    still holds, and ends it else. Nothing is recovered that had not come so far as to be written down as ready. One
    that another process settles is left to it."""
    resumed = []
    for record in running_here(site.memory, site.holder):
        engine = site.engines.get(record.job.server)
        recovery = record.job.recovery
        if record.job.kind is not JobKind.RECOVERY or engine is None or recovery is None:
            continue
        if isinstance(views(site).get(record.job.server), ReconcilerError):
            continue  # nothing is written to a store that is not ours as we left it
        if engine.poll(JobHandle(record.job.server, record.job.id)).state is JobState.INTERRUPTED:
            try:
                site.leases.take(site.memory, site.holder, record.job, TTL)
            except LockHeld:
                continue
            if site.memory.jobs.get(record.job.id) != record:  # another process was quicker
                site.leases.let_go(site.memory, record.job)
                continue
            settle = msgspec.structs.replace(recovery, step=RecoveryStep.SETTLE)
            start(site, msgspec.structs.replace(record.job, recovery=settle), None, record.run)
            run_jobs(site, (), None, record.run)
            ended = site.memory.jobs.get(record.job.id)
            resumed += [ended] if ended else []
    return tuple(resumed)


def unfinished(site: Site) -> tuple[tuple[str, UnfinishedRecovery], ...]:
    """The recoveries that never ended, with their servers. Of a server that cannot be looked at none is known; that it
    cannot is told by whoever observes it."""
    found: list[tuple[str, UnfinishedRecovery]] = []
    for server, engine in sorted(site.engines.items()):
        if isinstance(engine, Recovers):
            with suppress(Unreachable):
                found += [(server, each) for each in engine.unfinished()]
    return tuple(found)


def left_behind(site: Site) -> tuple[tuple[str, UnfinishedRecovery], ...]:
    """Those that no process is at work on."""
    left = {each.job.id for each in running_here(site.memory, site.holder)} - set(site.started)
    at_work = {each.job.id for each in site.memory.jobs.running()} - left
    return tuple((server, each) for server, each in unfinished(site) if each.job not in at_work)


def recovery_findings(site: Site) -> tuple[Diagnostic, ...]:
    """What is to be said of recoveries that did not come to their end: one that is half done, and one that was asked
    for last and not carried out."""
    found = []
    for server, each in left_behind(site):
        if each.staging:
            found.append(
                Diagnostic(
                    STAGED,
                    Severity.WARNING,
                    f"a recovery of {each.machine!r} was interrupted while it staged: nothing was replaced, "
                    "and what it "
                    f"had staged lies {'in ' + each.folder if each.folder else 'beside the files'}",
                    f"`reconciler recover --undo {each.machine}` removes it, and so does the next backup of it.",
                    subject=f"{server} {each.job}",
                )
            )
        if not each.replaced:
            continue
        found.append(
            Diagnostic(
                HALF_DONE,
                Severity.ERROR,
                f"the recovery of {each.machine!r} to {each.point}, asked for by {each.asked_by or 'somebody'}, is "
                f"interrupted: {each.replaced} of {each.files} files are replaced",
                f"Finish it with `reconciler recover --continue {each.machine}`, or undo it with `reconciler recover "
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
                "It is not repeated automatically. Start it again, if it is still wanted.",
                subject=record.job.id,
            )
        )
    return tuple(found)
