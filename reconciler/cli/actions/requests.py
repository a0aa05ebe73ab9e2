"""What is asked of the loop that lives on a site: check, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from reconciler.cli.session import find_root, session
from reconciler.cli.terminal import note, say
from reconciler.control.jobs.dispatch import poll
from reconciler.control.jobs.leases import running_here
from reconciler.control.jobs.requests import ask, wait_for
from reconciler.control.observe import observe
from reconciler.control.site import Site
from reconciler.control.virtual_machines import sources_called
from reconciler.errors import ExitCode, UsageError, worst
from reconciler.model import Job
from reconciler.protocols import Request, RequestKind, RequestState
from reconciler.report.action_events import ActionEvent, ActionEventName
from reconciler.state import Opening


class Asked(NamedTuple):
    """What came of what a loop was asked for, and the jobs that it did not begin before it was gone."""

    code: ExitCode
    left: tuple[Job, ...] = ()


def asked_of_loop(site: Site, kind: RequestKind, wanted: Sequence[tuple[str, Job | None]]) -> Asked:
    """Asks the loop for each subject, waits, and shows what came of it. Ctrl-C withdraws what it has not taken up yet;
    what it has goes on."""
    note("The loop that runs on this site does it. Ctrl-C withdraws what it has not begun.")
    requests = [ask(site, kind, subject, job) for subject, job in wanted]
    codes: list[ExitCode] = []
    left: list[Job] = []
    for request in requests:
        ended = wait_for(site, request)
        if ended.state is RequestState.WITHDRAWN and ended.job is not None and not site.stop.asked:
            note(f"{ended.subject}: the loop is gone and had not begun; it is done here.")
            left.append(ended.job)
            continue
        gone = "the loop ended before it began; run the command again" if not site.stop.asked else "withdrawn"
        said = gone if ended.state is RequestState.WITHDRAWN else ended.answer or str(ended.state)
        say(_ended(ended, f"{ended.subject}: {said}"))
        if ended.state is RequestState.SERVED:
            note("The loop continues with it; see `reconciler jobs`.")
        codes.append(ExitCode.SUCCESS if ended.state is RequestState.DONE else ExitCode.FAILURE)
    return Asked(ExitCode.INTERRUPTED if site.stop.asked else worst(codes), tuple(left))


def _ended(request: Request, text: str) -> ActionEvent:
    name, result = ActionEventName.REQUEST_ENDED, str(request.state)
    return ActionEvent(event=name, message=text, subject=request.subject, result=result)


def cancel(root: Path | None, name: str | None, subject: str) -> ExitCode:
    """Asks whoever runs a job to end it at its next block. `subject` is a job's id, or the id or the name of the
    virtual machine whose job it is, where no other one has that name."""
    with session(find_root(root), name, None, opening=Opening.WRITE) as site:
        running = [
            record.job.id
            for record in site.memory.jobs.running()
            if subject in (record.job.id, record.job.source.machine, str(record.job.source))
        ]
        if not running:  # by its name, which is looked up only where no id is meant
            with suppress(UsageError):
                called = sources_called(observe(site), subject)
                running = [each.job.id for each in site.memory.jobs.running() if called == {each.job.source}]
        if not running:
            what = f"no job of {subject!r} is running"
            raise UsageError(
                "RCL5050", what, "See `reconciler jobs` for ids of jobs and virtual machines.", subject=subject
            )
        return worst([_cancelled(site, job) for job in running])


def _cancelled(site: Site, job: str) -> ExitCode:
    """Asks the process that runs the job, loop or command, and waits. A job that no process is at any more is brought
    to its end here."""
    if not _at_work(site, job):
        poll(site)
        note(f"{job}: the process that ran it is gone; it ends as interrupted.")
        return ExitCode.SUCCESS
    note("The process that runs it is asked. Ctrl-C withdraws that.")
    ended = wait_for(site, ask(site, RequestKind.CANCEL, job), lambda: _at_work(site, job))
    if ended.state is RequestState.WITHDRAWN:
        note(f"{job}: " + ("withdrawn" if site.stop.asked else "it had ended by then"))
        return ExitCode.INTERRUPTED if site.stop.asked else ExitCode.FAILURE
    say(_ended(ended, f"{job}: {ended.answer or str(ended.state)}"))
    return ExitCode.SUCCESS if ended.state is RequestState.DONE else ExitCode.FAILURE


def _at_work(site: Site, job: str) -> bool:
    """Whether a process that lives runs the job, as far as can be known."""
    left = {record.job.id for record in running_here(site.memory, site.holder)}
    return any(record.job.id == job and job not in left for record in site.memory.jobs.running())
