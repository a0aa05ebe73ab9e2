"""backup: recovery points now."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from reconciler.cli.actions.recover import clean_up
from reconciler.cli.output_settings import SETTINGS
from reconciler.cli.progress import JobsOnScreen
from reconciler.cli.session import find_root, session
from reconciler.cli.terminal import emit, note, out, paint_for, tell
from reconciler.control.jobs.dispatch import Watcher, run_jobs
from reconciler.control.jobs.on_demand import backups
from reconciler.control.jobs.requests import ask, loop_of, wait_for
from reconciler.control.observe import Observation, observe
from reconciler.control.site import Site
from reconciler.control.status import names_of
from reconciler.errors import ExitCode, UsageError, worst
from reconciler.model import Job, format_duration
from reconciler.model.run_events import EventLevel
from reconciler.protocols import Request, RequestKind, RequestState
from reconciler.report import Backup, backups_text
from reconciler.report.action_events import ActionEvent, ActionEventName
from reconciler.state import Opening


def backup(
    root: Path | None,
    name: str | None,
    now: str | None,
    wanted: Sequence[str],
    *,
    reason: str,
    wait: bool,
) -> ExitCode:
    """A recovery point of each virtual machine that is meant. 6 where one cannot be backed up now, 1 where a job
    failed; the others are made all the same."""
    with session(find_root(root), name, now, opening=Opening.WRITE) as site:
        loop = loop_of(site) is not None
        if not loop:
            if not wait:
                what = "--no-wait needs a loop that does it meanwhile, and none lives on this site"
                raise UsageError("RCL6065", what, "Remove it, or start `reconciler run`.")
            clean_up(site)
        observation = observe(site)
        asked = backups(observation, wanted, reason, site.now())
        tell(asked.refused)
        for line in asked.notes:
            note(line)
        codes = [ExitCode.PRECONDITION_FAILED] if asked.refused else []
        names = names_of(observation)
        if not wait:
            _left_to_the_loop(site, asked.jobs, names)
            return worst(codes)
        with JobsOnScreen(names) as screen:
            watch: Watcher = screen.show
            jobs, late = _by_loop(site, asked.jobs, watch) if loop and asked.jobs else (asked.jobs, [])
            if jobs:
                run_jobs(site, jobs, None, "", watch)
        codes += late
        made = [_made(site, observation, job, names) for job in asked.jobs]
        if SETTINGS.json:
            for each in made:
                emit(_backup_event(each))
        else:
            out(backups_text(made, site.zone, paint_for(sys.stdout)))
        if any(not each.point for each in made):
            codes.append(ExitCode.INTERRUPTED if site.stop.asked else ExitCode.FAILURE)
    return worst(codes)


def _left_to_the_loop(site: Site, jobs: Sequence[Job], names: dict[str, str]) -> None:
    for job in jobs:
        ask(site, RequestKind.BACKUP, str(job.source), job)
        out(f"{names.get(str(job.source), job.source.machine)}: asked for as {job.id}\n")
    if jobs:
        note("The loop that runs on this site does it; see `reconciler jobs`.")


def _by_loop(site: Site, jobs: Sequence[Job], watch: Watcher) -> tuple[tuple[Job, ...], list[ExitCode]]:
    """Has the loop do it, and waits: the jobs that are left, since the loop was gone before it began them; and what
    came of those that were not begun."""
    note("The loop that runs on this site does it. Ctrl-C withdraws what it has not begun.")
    left: list[Job] = []
    codes: list[ExitCode] = []
    for request in [ask(site, RequestKind.BACKUP, str(job.source), job) for job in jobs]:
        ended = wait_for(site, request)
        record = site.memory.jobs.get(request.job.id) if request.job is not None else None
        if record is not None and record.status.state.ended:
            watch(record)
        elif ended.state is RequestState.WITHDRAWN and ended.job is not None and not site.stop.asked:
            left.append(ended.job)
        else:
            codes.append(_not_ended(site, ended))
    if left:
        note("The loop is gone and had not begun; it is done here.")
        clean_up(site)
    return tuple(left), codes


def _not_ended(site: Site, request: Request) -> ExitCode:
    """Says why the loop has not begun it, or not ended it by now."""
    if request.state is RequestState.SERVED:
        note("The loop continues with it, or the next one does; see `reconciler jobs`.")
    elif request.state is RequestState.EXPIRED:
        note("Another job of this virtual machine ran all the while. See `reconciler jobs`, then run this again.")
        return ExitCode.LOCK_HELD
    elif request.state is not RequestState.WITHDRAWN:
        note(request.answer or "The loop did not begin it. Run the command again.")
    return ExitCode.INTERRUPTED if site.stop.asked else ExitCode.FAILURE


def _backup_event(each: Backup) -> ActionEvent:
    """What came of one virtual machine, with its recovery point as the server shows it."""
    return ActionEvent(
        event=ActionEventName.BACKUP_ENDED,
        level=EventLevel.INFO if each.point else EventLevel.ERROR,
        message=f"{each.machine}: recovery point {each.point}" if each.point else f"{each.machine}: no recovery point",
        subject=each.machine,
        result="succeeded" if each.point else "failed",
        job=each.job,
        code=each.code,
        value=each,
    )


def _made(site: Site, before: Observation, job: Job, names: dict[str, str]) -> Backup:
    """What came of the job, with what the server says of its point."""
    asked = Backup(names.get(str(job.source), job.source.machine), job.server, job.source, job.group, job.id, job.kind)
    record = site.memory.jobs.get(job.id)
    if record is None:
        return msgspec.structs.replace(asked, why="it was not begun")
    status, result = record.status, record.status.result
    if result is None or not result.point:
        why = " ".join(f"{part.rstrip('.')}." for part in (status.reason, status.remedy) if part)
        return msgspec.structs.replace(asked, state=status.state, code=status.code, why=why or str(status.state))
    points = site.engines[job.server].observe().points
    point = next((each for each in points if each.id == result.point and each.source == job.source), None)
    groups = {seen.group.name: seen.group for seen in before.catalogs[job.server].groups}
    group = groups[job.group]
    retention, pause = group.short_term.retention, group.pause_at(site.now())
    kept = result.point_time + retention if result.point_time is not None else None
    return msgspec.structs.replace(
        asked,
        state=status.state,
        point=result.point,
        time=result.point_time,
        consistency=point.consistency if point is not None else None,
        read_bytes=result.read_bytes,
        stored_bytes=result.stored_bytes,
        retention=format_duration(retention),
        kept_until=max(kept, pause.ends_at) if kept is not None and pause is not None else kept,
    )
