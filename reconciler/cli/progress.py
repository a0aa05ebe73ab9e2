"""Progress: jobs as they run -> bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from reconciler.cli.terminal import bars_wanted, paint_for, show
from reconciler.model import JobRecord
from reconciler.report import job_line
from reconciler.report.action_events import job_event
from reconciler.report.escape import safe
from reconciler.report.jobs import KINDS

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: Jobs that take no longer get no bar.
_PATIENCE_SECONDS = 1.0


class JobsOnScreen:
    """Prints a line for each job that ended; draws a bar for those that take longer."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self._since: dict[str, float] = {}
        self._bars: dict[str, TaskID] = {}
        self._progress: Progress | None = None

    def show(self, record: JobRecord) -> None:
        job = record.job
        name = self.names.get(str(job.source), job.source.machine)
        if record.status.state.ended:
            self._since.pop(job.id, None)
            if job.id in self._bars and self._progress is not None:
                self._progress.remove_task(self._bars.pop(job.id))
                if not self._bars:
                    self._progress.stop()
                    self._progress = None
            show(job_event(record, name), lambda: job_line(record, name, paint_for(sys.stdout)) + "\n")
            return
        since = self._since.setdefault(job.id, time.monotonic())
        if bars_wanted() and time.monotonic() - since > _PATIENCE_SECONDS:
            self._draw(record, f"{KINDS[job.kind]} of {safe(name)}")

    def _draw(self, record: JobRecord, what: str) -> None:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

            console = Console(stderr=True, markup=False, emoji=False, highlight=False)
            columns = (
                TextColumn("  {task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TimeRemainingColumn(),
            )
            self._progress = Progress(*columns, console=console, transient=True)
            self._progress.start()
        if record.job.id not in self._bars:
            self._bars[record.job.id] = self._progress.add_task(what, total=None)
        done = record.status.progress
        self._progress.update(self._bars[record.job.id], completed=done.done, total=done.total or None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
