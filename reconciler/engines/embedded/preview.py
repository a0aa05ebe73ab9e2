"""Previews: a recovery job, its replica store -> what is shown before it is asked for; which recoveries never ended."""

from __future__ import annotations

from reconciler.engines.embedded.intent import Intent, Phase, decode, moved
from reconciler.engines.embedded.look import look, look_at_unfinished, no_such_point, recovery_of, target_of
from reconciler.engines.embedded.replica import ReplicaStore
from reconciler.errors import Refused
from reconciler.model import Job, Recovery, RecoveryPoint
from reconciler.protocols import Disks, RecoveryPreview, UnfinishedRecovery


def preview(job: Job, store: ReplicaStore, disks: Disks) -> RecoveryPreview:
    """What a recovery would write and destroy."""
    recovery = recovery_of(job)
    point = _point(store, recovery.point)
    if point is None:
        raise no_such_point(recovery.point)
    looked = look(job, store, disks)
    return RecoveryPreview(
        machine=point.machine_name,
        point=point.id,
        point_time=point.time,
        writes=tuple(_shown(recovery, each.path) for each in looked.placed),
        destroys=looked.destroys,
        bytes=sum(each.file.size for each in looked.placed),
        refusals=looked.refusals,
        notes=looked.notes,
        found=looked.found,
    )


def preview_unfinished(job: Job, store: ReplicaStore, disks: Disks) -> RecoveryPreview:
    """What going on with a recovery that is half done, or back, would write and destroy."""
    recovery = recovery_of(job)
    body = store.planned_cut_over(recovery.of)
    if body is None:
        raise nothing_unfinished(recovery.of)
    intent = decode(body)
    looked = look_at_unfinished(job, intent, disks)
    point = _point(store, intent.point)
    done = len(moved(target_of(intent.target, intent.folder, disks), intent))
    return RecoveryPreview(
        machine=store.facts().machine_name,
        point=intent.point,
        point_time=point.time if point else intent.until,
        writes=tuple(_shown(recovery, path) for path in looked.writes),
        destroys=looked.destroys,
        bytes=0,
        refusals=looked.refusals,
        notes=(_how_far(intent, done),),
        found=looked.found,
    )


def unfinished_of(store: ReplicaStore, disks: Disks) -> list[UnfinishedRecovery]:
    """The recoveries of a machine that never ended, also those that were cut off while they staged."""
    found = []
    for job, body in store.cut_overs().items():
        intent = decode(body)
        target = target_of(intent.target, intent.folder, disks)
        found.append(
            UnfinishedRecovery(
                job=job,
                source=store.source,
                machine=store.facts().machine_name,
                point=intent.point,
                target=intent.target,
                folder=intent.folder,
                keep_original=intent.keep_original,
                asked_by=intent.by,
                until=intent.until,
                replaced=len(moved(target, intent)),
                files=len(intent.files),
                staging=intent.phase is Phase.STAGING,
            )
        )
    return found


def _how_far(intent: Intent, done: int) -> str:
    if intent.phase is Phase.STAGING:
        return "nothing was replaced; what was staged for it is removed"
    return f"{done} of {len(intent.files)} files are replaced already, for {intent.by or 'somebody'}"


def nothing_unfinished(what: str) -> Refused:
    return Refused(
        "RCL7023",
        "there is no recovery to continue or to undo",
        "Ask for a recovery: `reconciler recover VM`.",
        subject=what,
    )


def _point(store: ReplicaStore, point: str) -> RecoveryPoint | None:
    return next((each for each in store.points() if each.id == point), None)


def _shown(recovery: Recovery, path: str) -> str:
    return f"{recovery.folder}/{path}" if recovery.folder else path
