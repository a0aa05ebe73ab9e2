"""Cutting over: an intent -> the staged files in their places, or everything as it was.

What is replaced keeps a second name until the last rename is done. A check that fails before the first rename ends the
intent; after it nothing more is written, and a person decides between going on and going back.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from reconciler.engines.embedded.backup import Work
from reconciler.engines.embedded.intent import (
    Intent,
    Phase,
    Stands,
    digest_at,
    encode,
    file_differs,
    moved,
    original_is_there,
    same,
    stands,
)
from reconciler.engines.embedded.jobs import Stopped
from reconciler.errors import Diagnostic, Refused, Severity
from reconciler.model import JobResult, PowerState, RecoveryTarget, VirtualMachine
from reconciler.protocols import Disks, Target, Which


def carry_out(work: Work, job: str, target: Target, intent: Intent, *, read: bool) -> JobResult:
    """Does what the intent of the job `job` says, if all of it holds. With `read` the bytes of everything are looked at
    first, as after a pause; without it this process has just done so."""
    because = differs(work, target, intent, read=read)
    if because is not None:
        raise _ended(work, job, target, intent, because)
    try:
        for file in intent.files:
            if file.before is not None:
                target.keep(file.path, intent.token)
        for file in intent.files:
            because = machine_differs(work.disks, work.job.source.machine, target, intent)
            because = because or file_differs(target, intent, file, _still, read=False)
            if because is not None:
                raise _ended(work, job, target, intent, because)
            replace = file.before is not None
            target.put(file.path, intent.token, file.mode, file.mtime_ns, replace=replace)
        left = [file.path for file in intent.files if stands(target, file) is not Stands.AFTER]
        if left:
            raise _ended(work, job, target, intent, f"{left[0]!r} is not in its place")
        if intent.anew is not None:
            work.disks.make_known(work.job.source.machine, intent.anew.config, intent.anew.name, intent.anew.node)
    except OSError as error:
        if not moved(target, intent):
            withdraw(work, job, target, intent)
            raise
        raise half_done(target, intent, f"{error.strerror or error} at {error.filename}") from error
    renamed = msgspec.structs.replace(intent, phase=Phase.RENAMED)
    work.store.plan_cut_over(job, encode(renamed))
    return finish(work, job, target, renamed)


def finish(work: Work, job: str, target: Target, intent: Intent, *, done_by: str = "") -> JobResult:
    """Everything is in its place: removes what is not wanted any more, and makes the job true."""
    for file in intent.files:
        target.discard(file.path, Which.STAGED, intent.token)
        if not intent.keep_original:
            target.discard(file.path, Which.ORIGINAL, intent.token)
    for state in intent.remove:
        if same(target.state(state.path), state):
            work.disks.remove(state.path)
    files = {file.path: file.reported for file in intent.files}
    result = JobResult(point=intent.point, machine_name=work.store.facts().machine_name, files=files)
    work.store.end_cut_over(done_by or work.job.id, work.clock.now(), result, of=job)
    return result


def undo(work: Work, job: str, target: Target, intent: Intent) -> JobResult:
    """Gives back what was there. What has changed since by other hands is left as it is, its original beside it."""
    because = machine_differs(work.disks, work.job.source.machine, target, intent)
    if because is not None:
        raise Refused("RCL7021", f"nothing was given back: {because}", "Fix that, and ask again.", subject=job)
    gone = [file.path for file in moved(target, intent) if not original_is_there(target, intent, file)]
    if gone:
        what = f"what {gone[0]!r} was before is not beside it any more"
        raise Refused(
            "RCL7021", what, "Continue instead (--continue), or recover to a folder (--to FOLDER).", subject=job
        )
    if intent.anew is not None:
        work.disks.make_unknown(work.job.source.machine)
    for file in reversed(intent.files):
        at = stands(target, file)
        if at is Stands.AFTER and file.before is None:
            target.remove(file.path)
        elif at is Stands.AFTER or (file.before is not None and not target.exists(file.path)):
            target.give_back(file.path, intent.token)
        elif at is Stands.BEFORE:
            target.discard(file.path, Which.ORIGINAL, intent.token)
        target.discard(file.path, Which.STAGED, intent.token)
    result = JobResult(machine_name=work.store.facts().machine_name)
    work.store.end_cut_over(work.job.id, work.clock.now(), result, of=job)
    return result


def drop(work: Work, job: str, target: Target, intent: Intent) -> JobResult:
    """Goes back from an intent that was cut off while it staged: what was staged is removed, and the job is true."""
    withdraw(work, job, target, intent)
    result = JobResult(machine_name=work.store.facts().machine_name)
    work.store.end_cut_over(work.job.id, work.clock.now(), result, of=job)
    return result


def withdraw(work: Work, job: str, target: Target, intent: Intent) -> None:
    """Ends an intent of which nothing was done: what was staged is removed, and the second names."""
    for file in intent.files:
        with suppress(Refused):  # a path that is no place any more has nothing of ours
            target.discard(file.path, Which.STAGED, intent.token)
            target.discard(file.path, Which.ORIGINAL, intent.token)
    work.store.withdraw_cut_over(job)


# --- Whether it still holds ----------------------------------------------------------------------------------


def differs(work: Work, target: Target, intent: Intent, *, read: bool) -> str | None:
    """Why the intent must not be carried out now, None if everything is as it was agreed."""
    if work.clock.now() > intent.until:
        return f"it was confirmed only until {intent.until:%Y-%m-%d %H:%M} UTC"
    because = machine_differs(work.disks, work.job.source.machine, target, intent)
    if because is not None:
        return because
    for file in intent.files:
        because = file_differs(target, intent, file, work.safe_point, read=read)
        if because is not None:
            return because
    for state in intent.remove:
        if not same(target.state(state.path), state):
            return f"{state.path!r} is not what it was when this was confirmed"
        if read and digest_at(target, state.path, Which.PLACE, "", work.safe_point) != state.digest:
            return f"{state.path!r} was written to since this was confirmed"
    return None


def machine_differs(disks: Disks, identity: str, target: Target, intent: Intent) -> str | None:
    """Why the machine is not as it was agreed: it is on, its files lie elsewhere, another one names them."""
    if intent.target is RecoveryTarget.FOLDER:
        return None
    if intent.anew is None or identity in disks.resource_groups():
        try:
            machine = disks.machine(identity)
        except Refused as error:
            return error.diagnostic.message
        refused = machine_refusals(machine, disks)
        if refused:
            return refused[0].message
        if intent.anew is not None and machine.config != intent.anew.config:
            return "the cluster knows a virtual machine of this id again"
        if intent.disks and not moved(target, intent) and files_of(machine) != intent.disks:
            return "the files of the virtual machine lie elsewhere by now"
    paths = [file.path for file in intent.files] + [state.path for state in intent.remove]
    owned = disks.other_owners(identity, paths)
    return f"{min(owned)!r} is named by another virtual machine by now" if owned else None


def machine_refusals(machine: VirtualMachine, disks: Disks) -> list[Diagnostic]:
    """Why the machine's files must not be replaced as it is now."""
    found = []
    if machine.power is not PowerState.OFF:
        state = machine.power if isinstance(machine.power, str) else "in an unknown state"
        remedy = "Shut it down first; its disks would be replaced under it."
        found.append(refusal("RCL7008", machine.name, f"is {state}", remedy))
    group = machine.resource_group
    if isinstance(group, str) and machine.id not in disks.resource_groups():
        remedy = "Recover it to an alternate location (--to FOLDER), then make it highly available again."
        found.append(refusal("RCL7009", machine.name, f"has lost its cluster resource group {group!r}", remedy))
    return found


def files_of(machine: VirtualMachine) -> tuple[str, ...]:
    """The paths of the machine's files."""
    return tuple(sorted([disk.path for disk in machine.disks] + [machine.config]))


def refusal(code: str, subject: str, what: str, remedy: str) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, f"{subject!r} {what}", remedy, subject=subject)


# --- Ends ----------------------------------------------------------------------------------------------------


def half_done(target: Target, intent: Intent, because: str) -> Stopped:
    """What a recovery ends with when something is in the way after its first rename."""
    done = len(moved(target, intent))
    return Stopped(
        "RCL7022",
        f"the recovery is half done, {done} of {len(intent.files)} files are replaced: {because}",
        "Check the files, then finish it with `reconciler recover --continue VM` or undo it with `reconciler recover "
        "--undo VM`. "
        "What was replaced is beside its place.",
        subject=intent.point,
    )


def _ended(work: Work, job: str, target: Target, intent: Intent, because: str) -> Refused:
    if moved(target, intent):
        return half_done(target, intent, because)
    withdraw(work, job, target, intent)
    return Refused(
        "RCL7021",
        f"the recovery was not carried out: {because}",
        "Nothing was replaced. Check the target, and start the recovery again.",
        subject=intent.point,
    )


def _still() -> None:
    """Between renames nobody is asked whether to stop."""
