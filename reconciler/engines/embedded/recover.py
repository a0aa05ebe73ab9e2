"""Recovery: a point, a target -> the machine's files, staged beside the target, verified, then renamed over it.

What is about to be done is written down twice: the paths before anything is staged, and once everything is staged and
verified, what stands at the target and what goes there (`intent.py`). A recovery that was cut off before its first
rename never goes on by itself, unless it had come so far and all of that still holds.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from datetime import timedelta

import msgspec
from blake3 import blake3

from reconciler.engines.embedded import cutover
from reconciler.engines.embedded.backup import Work
from reconciler.engines.embedded.blocks import BLOCK, HOLE, NAME, name_of
from reconciler.engines.embedded.intent import (
    VERSION,
    Intent,
    Phase,
    PlannedFile,
    Stands,
    decode,
    encode,
    moved,
    stands,
    token_of,
    with_digest,
)
from reconciler.engines.embedded.jobs import Stopped
from reconciler.engines.embedded.look import (
    Looked,
    Placed,
    lengths,
    look,
    recovery_of,
    states,
    target_of,
    touched_by,
)
from reconciler.engines.embedded.maps import FileMap, file_digest
from reconciler.engines.embedded.packs import PackReader
from reconciler.errors import Damaged, PermanentError, ReconcilerError, Refused
from reconciler.model import Agreement, FileState, JobResult, RecoveryStep, format_size
from reconciler.protocols import StagedFile, Target, Which
from reconciler.system_errors import account

#: How long what somebody agreed to counts.
AGREED_FOR = timedelta(hours=24)

#: How many blocks of a staged file are read back at once.
_RUN = 32
_ZEROS = bytes(_RUN * BLOCK)

#: Of a file with more holes than this no BLAKE3 of the whole is told: hashing a terabyte of zeros takes longer than
#: writing what is not zeros. Its blocks are verified all the same.
_HOLES_HASHED = 64 * 1024**3

#: How many holes are passed over at once.
_MANY = 4096
_MANY_HOLES = HOLE * _MANY


def recover(work: Work) -> JobResult:
    """Stages, verifies, writes the intent down, cuts over; or what the step of the job says of an earlier one."""
    recovery = recovery_of(work.job)
    job = recovery.of or work.job.id
    body = work.store.planned_cut_over(job)
    intent = decode(body) if body is not None else None
    if recovery.step is RecoveryStep.RECOVER and intent is None:
        return _afresh(work)
    if recovery.step in (RecoveryStep.RECOVER, RecoveryStep.SETTLE) and not recovery.of:
        return _settle(work, intent)
    if intent is not None and intent.phase is Phase.STAGING and recovery.step is RecoveryStep.UNDO:
        return cutover.drop(work, job, target_of(intent.target, intent.folder, work.disks), intent)
    if intent is None or intent.phase is Phase.STAGING:
        raise Refused(
            "RCL7023",
            "there is no recovery to continue or to undo",
            "Ask for a recovery: `reconciler recover VM`.",
            subject=job,
        )
    target = target_of(intent.target, intent.folder, work.disks)
    if intent.phase is Phase.RENAMED:
        return cutover.finish(work, job, target, intent)
    if recovery.step is RecoveryStep.SETTLE:  # which of the two it was, going on or back, is a person's to say again
        raise cutover.half_done(target, intent, "continuing or undoing it was interrupted")
    _as_agreed(work, states(target, touched_by(intent)))
    if recovery.step is RecoveryStep.UNDO:
        return cutover.undo(work, job, target, intent)
    return _go_on(work, job, target, intent)


# --- Afresh --------------------------------------------------------------------------------------------------


def _afresh(work: Work) -> JobResult:
    recovery = recovery_of(work.job)
    _end_earlier(work)
    looked = look(work.job, work.store, work.disks)
    if looked.refusals:
        first = looked.refusals[0]
        raise Refused(first.code, first.message, first.remedy, subject=first.subject)
    agreed = _as_agreed(work, looked.found)
    target = target_of(recovery.target, recovery.folder, work.disks)
    intent = Intent(
        version=VERSION,
        phase=Phase.STAGING,
        token=token_of(work.job.id),
        point=recovery.point,
        target=recovery.target,
        by=agreed.by,
        until=agreed.until,
        files=tuple(PlannedFile(each.path) for each in looked.placed),
        folder=recovery.folder,
        keep_original=recovery.keep_original,
        disks=looked.disks,
        anew=looked.anew,
    )
    work.store.plan_cut_over(work.job.id, encode(intent))
    try:
        ready = _ready(work, target, intent, looked)
        work.safe_point()
        if states(target, touched_by(ready)) != looked.found:
            raise _not_as_agreed("what is to be replaced was changed while the files were staged", work.job.id)
        work.store.plan_cut_over(work.job.id, encode(ready))
    except BaseException as error:
        _clear_away(work, target, intent, error)
        if isinstance(error, Damaged):
            work.store.set_inconsistent(error.diagnostic.message)
        raise
    return cutover.carry_out(work, work.job.id, target, ready, read=False)


def _as_agreed(work: Work, found: tuple[FileState, ...]) -> Agreement:
    """What was agreed to, if that is what is there. Raises `Refused`, RCL7021."""
    recovery = recovery_of(work.job)
    now = work.clock.now()
    agreed = recovery.agreed
    if agreed is None:
        return Agreement(recovery.asked_by, now + AGREED_FOR, found)
    if now > agreed.until:
        raise _not_as_agreed(f"it was confirmed only until {agreed.until:%Y-%m-%d %H:%M} UTC", work.job.id)
    if agreed.files != found:
        before = {state.path: state for state in agreed.files}
        changed = [state.path for state in found if before.pop(state.path, None) != state] or sorted(before)
        raise _not_as_agreed(f"{changed[0]!r} is not what it was when it was shown", work.job.id)
    return agreed


def _not_as_agreed(because: str, job: str) -> Refused:
    return Refused(
        "RCL7021",
        f"the recovery was not carried out: {because}",
        "Nothing was replaced. Check the target, and start the recovery again.",
        subject=job,
    )


def _end_earlier(work: Work) -> None:
    """What earlier recoveries of the machine left behind: what was never begun is ended, what is all done is finished.
    One that is half done is left to a person."""
    for job, body in work.store.cut_overs().items():
        intent = decode(body)
        target = target_of(intent.target, intent.folder, work.disks)
        if intent.phase is Phase.RENAMED:
            cutover.finish(work, job, target, intent, done_by=job)
        elif not moved(target, intent):
            cutover.withdraw(work, job, target, intent)


def _ready(work: Work, target: Target, intent: Intent, looked: Looked) -> Intent:
    """Everything staged and verified, and the digest of everything that is to be destroyed."""
    recovery = recovery_of(work.job)
    total = sum(sum(lengths(each.file)) for each in looked.placed)
    before = {state.path: state for state in looked.found}
    if not recovery.keep_original:
        before = {path: with_digest(target, state, work.safe_point) for path, state in before.items()}
    done = 0
    files = []
    with PackReader(work.store.packs) as reader:
        for each in looked.placed:
            try:
                digest, reported = _stage(work, target, intent.token, each, reader, (done, total))
            except OSError as error:
                raise _not_writable(error, target, each, total - done) from error
            done += sum(lengths(each.file))
            staged = target.state(each.path, Which.STAGED, intent.token)
            assert staged is not None
            files.append(
                PlannedFile(
                    path=each.path,
                    mode=each.file.mode,
                    mtime_ns=each.file.mtime_ns,
                    digest=digest,
                    staged=(staged.device, staged.inode),
                    reported=reported,
                    before=before.get(each.path),
                )
            )
    remove = tuple(before[path] for path in looked.remove if path in before)
    return msgspec.structs.replace(intent, phase=Phase.READY, files=tuple(files), remove=remove)


def _stage(
    work: Work, target: Target, token: str, placed: Placed, reader: PackReader, progress: tuple[int, int]
) -> tuple[str, str]:
    """Writes one file beside its place and reads it back; its digest, and the BLAKE3 of the whole."""
    done, total = progress
    if placed.content is not None:
        with target.stage(placed.path, token, len(placed.content)) as staged:
            staged.write(0, placed.content)
            return _verify_content(staged, placed.content, placed.path)
    with target.stage(placed.path, token, placed.file.size) as staged:
        for index, name in placed.file.stored():
            staged.write(index * BLOCK, work.store.read_block(name, reader))
            done += placed.file.length_at(index)
            if index % 16 == 0:
                work.progress(done, total)
        return _verify(staged, placed.file)


def _not_writable(error: OSError, target: Target, placed: Placed, needed: int) -> ReconcilerError:
    """What the target's disk said, with what a person needs to know: where, how much, who."""
    room = target.room(placed.path)
    where = error.filename or placed.path
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = f"{room.folder} is full: {format_size(needed)} needed, {format_size(room.free_bytes)} free"
        remedy = "Free space there, or recover to another folder (--to FOLDER). Nothing was replaced."
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        what = f"{account()} may not write {where}: {error.strerror}"
        remedy = f"Grant {account()} permission to write in {room.folder}, or recover to another folder (--to FOLDER)."
    else:
        what = f"{where} cannot be written: {error.strerror or error}"
        remedy = f"Check the disk of {room.folder}, or recover to another folder (--to FOLDER). Nothing was replaced."
    return PermanentError("RCL7025", what, remedy, subject=placed.path)


def _clear_away(work: Work, target: Target, intent: Intent, because: BaseException) -> None:
    """Removes what was staged. Where not even that works, the first error is the one that is told."""
    try:
        cutover.withdraw(work, work.job.id, target, intent)
    except (OSError, ReconcilerError) as error:
        because.add_note(f"staged files could not be removed: {error}")


def _verify_content(staged: StagedFile, content: bytes, path: str) -> tuple[str, str]:
    data = staged.read(0, len(content))
    if data != content:
        raise _not_as_written(path, "as a whole")
    names = b"".join(name_of(data[start : start + BLOCK]) for start in range(0, len(data), BLOCK))
    return file_digest(len(data), names).hex(), blake3(data).hexdigest()


def _verify(staged: StagedFile, file: FileMap) -> tuple[str, str]:
    """Reads back what was written and checks every block of it, and from what was read the digest that the point has
    of the file; returns that, and the BLAKE3 of the whole file.

    Holes are not read: the staged file was made anew, so what nobody wrote to is zeros.
    """
    whole = blake3()
    names = bytearray()
    hashed = sum(count for _, count, hole in _runs(file) if hole) * BLOCK <= _HOLES_HASHED
    for start, count, hole in _runs(file):
        offset = start * BLOCK
        length = min(count * BLOCK, file.size - offset)
        if hole:
            names += HOLE * count
            for done in range(0, length if hashed else 0, len(_ZEROS)):
                whole.update(_ZEROS[: length - done])
            continue
        data = memoryview(staged.read(offset, length))
        whole.update(data)
        for index in range(start, start + count):
            place = (index - start) * BLOCK
            name = name_of(data[place : place + BLOCK])
            if name != file.name_at(index):
                raise _not_as_written(file.file_name, f"at byte {index * BLOCK}")
            names += name
    digest = file_digest(file.size, names)
    if digest != file.digest:
        raise _not_as_written(file.file_name, "as a whole")
    return digest.hex(), whole.hexdigest() if hashed else ""


def _not_as_written(name: str, where: str) -> Damaged:
    return Damaged(
        "RCL7010",
        f"{name!r} did not read back as it was written, {where}",
        "The target was not touched. Check the disk that it lies on, and recover elsewhere.",
        subject=name,
    )


def _runs(file: FileMap) -> Iterator[tuple[int, int, bool]]:
    """(first block, how many, whether they are holes), covering the file. What is no hole is no longer than is read at
    once; holes are passed over by the thousand."""
    start = 0
    while start < file.blocks:
        hole = file.name_at(start) == HOLE
        end = start + 1
        if hole:
            while file.names[end * NAME : (end + _MANY) * NAME] == _MANY_HOLES:
                end += _MANY
        while end < file.blocks and (hole or end - start < _RUN) and (file.name_at(end) == HOLE) == hole:
            end += 1
        yield start, end - start, hole
        start = end


# --- After a pause -------------------------------------------------------------------------------------------


def _settle(work: Work, intent: Intent | None) -> JobResult:
    """What becomes of a recovery whose process died. It goes on only where everything had been staged, and all that
    was agreed still holds, byte for byte; else it ends, and is to be asked for anew."""
    job = work.job.id
    if intent is None:
        raise _cut_off(job)
    target = target_of(intent.target, intent.folder, work.disks)
    if intent.phase is Phase.STAGING:
        cutover.withdraw(work, job, target, intent)
        raise _cut_off(job)
    if intent.phase is Phase.RENAMED:
        return cutover.finish(work, job, target, intent)
    return cutover.carry_out(work, job, target, intent, read=True)


def _cut_off(job: str) -> Stopped:
    return Stopped(
        "RCL7020",
        "the recovery was interrupted before anything was replaced, and does not continue automatically",
        "Nothing was replaced. Start it again, if it is still wanted.",
        subject=job,
    )


def _go_on(work: Work, job: str, target: Target, intent: Intent) -> JobResult:
    """Goes on with one that is half done: somebody has looked at what stands there now, and wants it replaced."""
    recovery = recovery_of(work.job)
    files = []
    for file in intent.files:
        if stands(target, file) is Stands.AFTER:
            files.append(file)
            continue
        now = target.state(file.path)
        before = with_digest(target, now, work.safe_point) if now and not intent.keep_original else now
        files.append(msgspec.structs.replace(file, before=before))
    agreed = recovery.agreed or Agreement(recovery.asked_by, work.clock.now() + AGREED_FOR, ())
    anew = msgspec.structs.replace(intent, by=agreed.by, until=agreed.until, files=tuple(files))
    because = cutover.differs(work, target, anew, read=True)
    if because is not None:
        raise cutover.half_done(target, anew, because)
    work.store.plan_cut_over(job, encode(anew))
    return cutover.carry_out(work, job, target, anew, read=False)
