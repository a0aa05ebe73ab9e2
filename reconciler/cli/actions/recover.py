"""recover, check, store check."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import msgspec

from reconciler.cli.actions.requests import asked_of_loop
from reconciler.cli.confirm import confirm
from reconciler.cli.options import Format
from reconciler.cli.output_settings import SETTINGS
from reconciler.cli.progress import JobsOnScreen
from reconciler.cli.session import find_root, parse_time, session
from reconciler.cli.terminal import emit, note, out, paint_for, show, tell
from reconciler.control.applying.settle_interrupted import settle
from reconciler.control.approving.agreement import mandate_of
from reconciler.control.evidence.record import evidence_trouble, record_end
from reconciler.control.jobs.dispatch import poll, run_jobs
from reconciler.control.jobs.recovery import (
    Prepared,
    RecoveryRequest,
    asked_for,
    prepare,
    prepare_unfinished,
    recover_off_record,
)
from reconciler.control.jobs.recovery import recover as control_recover
from reconciler.control.jobs.requests import ask as ask_loop
from reconciler.control.jobs.requests import loop_of, wait_for
from reconciler.control.jobs.unfinished_recoveries import resume_recoveries
from reconciler.control.lease import holding, where_it_can_be
from reconciler.control.observe import Observation, observe
from reconciler.control.site import Site
from reconciler.control.state.known_stores import views
from reconciler.control.status import names_of
from reconciler.control.virtual_machines import find_machine
from reconciler.errors import ExitCode, LockHeld, ReconcilerError, Refused, UsageError, worst
from reconciler.model import Job, JobKind, JobRecord, JobState, RecoveryStep, RecoveryTarget
from reconciler.model.audit import Confirmation
from reconciler.protocols import ChecksStore, Request, RequestKind, RequestState, StoreCheck
from reconciler.report import json_text, recovered_text, recovery_text, store_check_text
from reconciler.report.action_events import ActionEvent, ActionEventName, job_event
from reconciler.state import Opening
from reconciler.system_errors import cannot_write

_QUESTIONS = {
    RecoveryStep.RECOVER: "\nRecover this?",
    RecoveryStep.CONTINUE: "\nFinish this recovery?",
    RecoveryStep.UNDO: "\nGo back to what was there before?",
}
_PATIENCE = timedelta(seconds=30)
_PART = re.compile(r"(\d{1,4})/(\d{1,4})")


class Options(msgspec.Struct, frozen=True):
    """What the command line asks for."""

    machine: str
    point: str
    at: str | None
    to: Path | None
    disks: tuple[str, ...]
    keep_original: bool
    step: RecoveryStep = RecoveryStep.RECOVER


def step_of(go_on: bool, undo: bool) -> RecoveryStep:
    """Raises `UsageError` where both are asked for."""
    if go_on and undo:
        raise UsageError("RCL0003", "--continue and --undo are opposites", "Give one of them.")
    return RecoveryStep.CONTINUE if go_on else RecoveryStep.UNDO if undo else RecoveryStep.RECOVER


def recover(root: Path | None, name: str | None, now: str | None, options: Options, *, yes: bool) -> int:
    """Finds the point, shows what would happen, asks, does it."""
    _check_step(options)
    place = find_root(root)
    opening = Opening.EITHER if options.to is not None else Opening.CREATE
    with session(place, name, now, opening=opening) as site:
        settled = _settled(site, options)
        on_record = settled is not None
        observation = observe(site)
        for record in _finished(observation, options, settled or ()):
            _show_end(record, options)
            return ExitCode.SUCCESS
        prepared = _prepare(site, observation, options)
        if not on_record:
            prepared = _said_off_record(prepared)
        shown = recovery_text(prepared.preview, site.now(), site.zone, paint_for(sys.stdout), options.step)
        show(_preview_event(prepared, options), lambda: shown)
        tell([prepared.warning] if prepared.warning is not None else [])
        _refuse(prepared)
        confirmation = confirm(_QUESTIONS[options.step], "RCL7011", "nothing was recovered", yes=yes)
        run, ended = _carried_out(site, prepared, observation, confirmation, on_record)
        _told_of_owed(site, run)
        if isinstance(ended, Request):
            return _not_begun(site, ended)
        record = ended
        if record.status.state is JobState.SUCCEEDED:
            _show_end(record, options)
            return ExitCode.SUCCESS
        if site.stop.asked:
            note(f"Interrupted (run {run})." if run else "Interrupted.")
            return ExitCode.INTERRUPTED
        if SETTINGS.json:
            emit(_end_event(record, options))
        else:
            note(f"{record.status.code}: {record.status.reason}. {record.status.remedy}")
        if record.status.state is JobState.INTERRUPTED:
            return ExitCode.PARTIAL_APPLY
        return ExitCode.PRECONDITION_FAILED if record.status.code == "RCL7021" else ExitCode.FAILURE


def _preview_event(prepared: Prepared, options: Options) -> ActionEvent:
    return ActionEvent(
        event=ActionEventName.RECOVERY_SHOWN,
        message=f"{options.step} of {options.machine}",
        subject=options.machine,
        job=prepared.job.id,
        value=prepared.preview,
    )


def _end_event(record: JobRecord, options: Options) -> ActionEvent:
    event = job_event(record, options.machine)
    return msgspec.structs.replace(event, event=ActionEventName.RECOVERY_ENDED, value=None)


def _show_end(record: JobRecord, options: Options) -> None:
    back = "The former state is restored.\n"
    text = recovered_text(record) if options.step is not RecoveryStep.UNDO else back
    show(_end_event(record, options), lambda: text)


def _told_of_owed(site: Site, run: str) -> None:
    """Says where a recovery is on record meanwhile, where the evidence could not take it."""
    unfit = evidence_trouble(site)
    if run and unfit is not None:
        note(f"The evidence could not be written. This is on record in the state meanwhile, as run {run}.")
        note(f"{unfit.code}: {unfit.message}. {unfit.remedy}")


def _settled(site: Site, options: Options) -> tuple[JobRecord, ...] | None:
    """Cleans up after a process that died: the recoveries that were settled. A loop that lives does that itself. None
    where nothing can be written: a recovery to a folder needs no word in the state, whose disk may be the one that
    fails."""
    try:
        if site.memory.writable and loop_of(site) is not None:
            return ()
        return clean_up(site, finish=options.step is not RecoveryStep.UNDO)
    except (ReconcilerError, OSError) as error:
        if options.to is None or (site.memory.writable and not cannot_write(error)):
            raise
        return None


def _finished(observation: Observation, options: Options, settled: Iterable[JobRecord]) -> Iterator[JobRecord]:
    """The recovery that is to be gone on with, where settling it has finished it already: nothing had changed."""
    if options.step is RecoveryStep.CONTINUE:
        source = find_machine(observation, options.machine)
        yield from (each for each in settled if each.job.source == source and each.status.state is JobState.SUCCEEDED)


def _said_off_record(prepared: Prepared) -> Prepared:
    why = "the state cannot be written, so nothing of this recovery will be on record, nor in the store"
    preview = msgspec.structs.replace(prepared.preview, notes=(*prepared.preview.notes, why))
    return msgspec.structs.replace(prepared, preview=preview)


def _carried_out(
    site: Site, prepared: Prepared, observation: Observation, confirmation: Confirmation, on_record: bool
) -> tuple[str, JobRecord | Request]:
    """Does it, or has the loop do it that lives; the id of the run, "" off the record, and what came of it: the request
    where the loop did not begin it. What cannot be put on record any more in the middle, as the disk fills up, is done
    off it where nothing of a virtual machine is replaced."""
    with JobsOnScreen(names_of(observation)) as screen:
        try:
            if on_record:
                run = asked_for(site, mandate_of(site, "recover", confirmation))
                ended = _by_loop(site, prepared, run) if loop_of(site) is not None else None
                if ended is None:
                    ended = control_recover(site, prepared, run, screen.show)
                    where_it_can_be(site, lambda held: None)  # the stores learn how far the state has come
                elif isinstance(ended, Request) and ended.state is not RequestState.SERVED:
                    record_end(site, run, str(ended.state), 0, 0)
                return run, ended
        except (ReconcilerError, OSError) as error:
            recovery = prepared.job.recovery
            if recovery is None or recovery.target is not RecoveryTarget.FOLDER or not cannot_write(error):
                raise
            note("The state cannot be written any more: what comes of this recovery is not on record.")
        return "", recover_off_record(site, prepared, screen.show)


def _by_loop(site: Site, prepared: Prepared, run: str) -> JobRecord | Request | None:
    """Asks the loop, and waits: what came of it, or the request that was not begun. None where the loop is gone and had
    not begun: it is to be done here."""
    note("The loop that runs on this site does it. Ctrl-C withdraws what it has not begun.")
    job = prepared.job
    ended = wait_for(site, ask_loop(site, RequestKind.RECOVER, str(job.source), job, run))
    if ended.state is RequestState.WITHDRAWN and not site.stop.asked:
        note("The loop is gone and had not begun; it is done here.")
        clean_up(site)
        return None
    if ended.state is RequestState.SERVED and not site.stop.asked:
        note("The loop is gone; what it had begun is brought to an end here.")
        clean_up(site)
    record = site.memory.jobs.get(job.id)
    return record if record is not None and record.status.state.ended else ended


def _not_begun(site: Site, request: Request) -> ExitCode:
    """Says why the loop has not begun it, or not ended it by now."""
    if request.state is RequestState.SERVED and site.stop.asked:
        note("The loop continues with it; see `reconciler jobs`.")
    elif site.stop.asked:
        note("Withdrawn: nothing was replaced.")
    elif request.state is RequestState.EXPIRED:
        note("Another job of this virtual machine ran all the while; nothing was replaced. See `reconciler jobs`.")
        return ExitCode.LOCK_HELD
    else:
        note(request.answer or "The loop did not begin it; nothing was replaced. Run the command again.")
    return ExitCode.INTERRUPTED if site.stop.asked else ExitCode.FAILURE


def _check_step(options: Options) -> None:
    if options.step is RecoveryStep.RECOVER:
        return
    if options.point or options.at or options.to or options.disks or options.keep_original:
        what = "--continue and --undo are about the recovery that is half done, with the point and the place it has"
        raise UsageError("RCL0003", what, "Give the virtual machine alone.", subject=options.machine)


def _prepare(site: Site, observation: Observation, options: Options) -> Prepared:
    if options.step is not RecoveryStep.RECOVER:
        return prepare_unfinished(site, observation, options.machine, options.step)
    wish = RecoveryRequest(
        machine=options.machine,
        at=parse_time(options.at, site.zone) if options.at else None,
        point=options.point,
        folder=str(options.to.absolute()) if options.to else "",
        disks=options.disks,
        keep_original=options.keep_original,
    )
    return prepare(site, observation, wish)


def check(root: Path | None, name: str | None, now: str | None, machines: list[str]) -> int:
    """Consistency checks now, of the machines named or of all that have a replica."""
    with session(find_root(root), name, now, opening=Opening.WRITE) as site:
        if loop_of(site) is None:
            clean_up(site)
        observation = observe(site)
        jobs = _checks(site, observation, machines)
        codes = _not_seen(observation, jobs, machines)
        if not jobs and not codes:
            note("No replica is there to be checked.")
        if jobs and loop_of(site) is not None:
            asked = asked_of_loop(site, RequestKind.CHECK, [(str(job.source), job) for job in jobs])
            codes.append(asked.code)
            jobs = list(asked.left)
            if jobs:  # the loop died: what it had at hand is settled first
                clean_up(site)
        with JobsOnScreen(names_of(observation)) as screen:
            ended = run_jobs(site, jobs, None, "", screen.show)
        if site.stop.asked:
            return ExitCode.INTERRUPTED
    failed = any(record.status.state is not JobState.SUCCEEDED for record in ended)
    return worst([*codes, ExitCode.FAILURE if failed else ExitCode.SUCCESS])


def _not_seen(observation: Observation, jobs: list[Job], machines: list[str]) -> list[ExitCode]:
    """Tells why servers could not be looked at, where what is to be checked may be on them; the codes of that."""
    found = {job.source for job in jobs}
    if not observation.troubles or (machines and all(find_machine(observation, each) in found for each in machines)):
        return []
    tell([error.diagnostic for error in observation.troubles])
    return [error.exit_code for error in observation.troubles]


def store_check(root: Path | None, name: str | None, output: Format, read_data: str | None) -> int:
    """Checks every store of the site."""
    part = _part(read_data)
    found: list[StoreCheck] = []
    away: list[ReconcilerError] = []
    with session(find_root(root), name, None, opening=Opening.READ) as site:
        judged = views(site)
        for server, engine in site.engines.items():
            if not isinstance(engine, ChecksStore):
                continue
            try:
                view = judged.get(server)
                if isinstance(view, ReconcilerError):
                    raise view
                found.append(engine.check_store(part))
            except ReconcilerError as error:
                away.append(error)
                found.append(StoreCheck(server, 0, 0, 0, 0, 0, (error.diagnostic,)))
    if output is Format.json:
        out(json_text({"formatVersion": "1.0", "kind": "StoreChecks", "checks": found}) + "\n")
    else:
        out("".join(store_check_text(each, paint_for(sys.stdout)) for each in found))
    if any(error.exit_code is ExitCode.UNREACHABLE for error in away):
        return ExitCode.UNREACHABLE
    return ExitCode.FAILURE if any(each.findings for each in found) else ExitCode.SUCCESS


def clean_up(site: Site, *, finish: bool = True) -> tuple[JobRecord, ...]:
    """After a process that died; the recoveries that were settled. Whoever asks to go back is not gone on with before
    (`finish` False). Whoever is at work on the site has cleaned up the runs: only jobs are waited for here."""
    try:
        with holding(site):
            settle(site)
    except LockHeld:
        pass
    settled = resume_recoveries(site) if finish else ()
    for record in settled:
        done = record.status.state is JobState.SUCCEEDED
        end = "its conditions still hold, and it was finished" if done else f"{record.status.reason}"
        note(f"The recovery {record.job.id} had been interrupted: {end}.")
    poll(site)
    return settled


def _refuse(prepared: Prepared) -> None:
    if prepared.preview.refusals:
        first = prepared.preview.refusals[0]
        raise Refused(first.code, first.message, first.remedy, subject=first.subject)


def _checks(site: Site, observation: Observation, machines: list[str]) -> list[Job]:
    wanted = {find_machine(observation, machine) for machine in machines}
    now = site.now()
    return [
        Job(
            id=f"check-{replica.source.machine[:8]}-{now:%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}",
            kind=JobKind.CONSISTENCY_CHECK,
            server=catalog.server,
            source=replica.source,
            scheduled_for=now,
            group=replica.group or "",
            reason="asked for",
        )
        for catalog in observation.catalogs.values()
        for replica in catalog.replicas
        if (replica.source in wanted if machines else replica.group is not None)
    ]


def _part(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = _PART.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(
            "RCL0003", f"--read-data={text} is not a part", "Write n/m, such as 1/7 on Mondays, 2/7 on Tuesdays."
        )
    return int(match[1]), int(match[2])
