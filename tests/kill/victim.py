"""A process that is killed: ``python -m tests.kill.victim STEP COMMAND...`` runs a command of the product and kills
itself with SIGKILL right before its durable step number STEP; with STEP 0 it lives, and says how many there were."""

from __future__ import annotations

import os
import signal
import sys

from reconciler import files
from reconciler.cli import errors, progress
from reconciler.control.jobs import dispatch
from reconciler.control.loop import loop
from reconciler.model import JobRecord, JobState


class Reaper:
    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    def __call__(self, step: files.Step) -> None:
        self.count += 1
        if self.count == self.at:
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    reaper = Reaper(int(sys.argv[1]))
    dispatch.JOBS_AT_ONCE = 1
    loop.JOBS_AT_ONCE = 1  # type: ignore[attr-defined]
    show = progress.JobsOnScreen.show

    def told(self: progress.JobsOnScreen, record: JobRecord) -> None:
        show(self, record)
        if record.status.state is JobState.SUCCEEDED and record.status.result and record.status.result.point:
            sys.stdout.write(f"POINT {record.status.result.point}\n")
            sys.stdout.flush()

    progress.JobsOnScreen.show = told  # type: ignore[method-assign]
    with files.watch(reaper):
        code = errors.run(sys.argv[2:])
    sys.stdout.write(f"STEPS {reaper.count}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
