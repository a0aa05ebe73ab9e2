"""A job in a thread of its own -> a status that anybody may read while it runs."""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from reconciler.errors import Diagnostic, Interrupted, ReconcilerError, Refused, Severity, TemporaryError
from reconciler.model import JobResult, JobState, JobStatus, Progress, format_size
from reconciler.system_errors import account

#: Wait before another try, where the error itself names none, in seconds.
_SOON = 60.0


class Running:
    """One job at work. `status` is replaced whole, so that a reader never sees half of one."""

    def __init__(self, work: Callable[[Running], JobResult], name: str) -> None:
        self.status = JobStatus(JobState.RUNNING)
        self.cancelled = threading.Event()
        self._work = work
        self._thread = threading.Thread(target=self._run, name=f"job-{name}", daemon=True)
        self._thread.start()

    def report(self, done: int, total: int) -> None:
        self.status = msgspec.structs.replace(self.status, progress=Progress(done, total))

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            result = self._work(self)
        except Exception as error:  # whatever it is becomes the job's status, which is recorded and shown
            self.status = msgspec.structs.replace(failed(error), progress=self.status.progress)
        else:
            self.status = JobStatus(JobState.SUCCEEDED, self.status.progress, result=result)


class Stopped(Refused):
    """A job that ended in the middle of something: a person decides what becomes of it, nothing goes on by itself."""


def failed(error: Exception) -> JobStatus:
    """What a job's status says of the error that ended it."""
    if isinstance(error, Stopped):
        return msgspec.structs.replace(_said(error.diagnostic, None), state=JobState.INTERRUPTED)
    if isinstance(error, Interrupted):
        return JobStatus(JobState.CANCELLED, code=error.diagnostic.code, reason=error.diagnostic.message)
    if isinstance(error, ReconcilerError):
        return _said(error.diagnostic, _again(error))
    if isinstance(error, OSError):
        return _said(_of_system(error), _SOON)
    return _said(_diagnostic("RCL9001", f"internal error: {error!r}", "Please report it."), None)


def _again(error: ReconcilerError) -> float | None:
    if isinstance(error, TemporaryError):
        return error.retry_after.total_seconds() if error.retry_after else _SOON
    return None


def _of_system(error: OSError) -> Diagnostic:
    where = f" at {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "Free some space on that disk, then run the job again. What was there before is unharmed."
        return _diagnostic("RCL4003", f"the disk is full{where}{_free(error.filename)}", remedy)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        read_only = "the file system is mounted read-only" if error.errno == errno.EROFS else f"{account()} may not"
        remedy = "Run it as the account that owns the folder, or make the folder writable. What is stored is unharmed."
        return _diagnostic("RCL4026", f"{read_only}: cannot write{where}", remedy)
    what = f"the disk said: {error.strerror or error}{where}"
    return _diagnostic("RCL4014", what, "Check the disk; what was there before is unharmed.")


def _free(path: object) -> str:
    """How much is free on the disk of the path, for people."""
    if not path:
        return ""
    try:
        return f" ({format_size(shutil.disk_usage(Path(str(path)).parent).free)} free)"
    except OSError:
        return ""


def _diagnostic(code: str, message: str, remedy: str) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, message, remedy)


def _said(diagnostic: Diagnostic, again: float | None) -> JobStatus:
    return JobStatus(
        JobState.FAILED,
        code=diagnostic.code,
        reason=diagnostic.message,
        remedy=diagnostic.remedy,
        retry_seconds=again,
    )
