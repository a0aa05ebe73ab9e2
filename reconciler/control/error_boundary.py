"""Bounds: what is done for one object -> done, or an error about that object alone; whatever else there is goes on.

The one way in which `control` goes on after an error: no other module catches what it did not expect.
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reconciler import files
from reconciler.errors import Diagnostic, Interrupted, LockHeld, PolicyError, ReconcilerError, StaleFence, Unreachable

#: These are about the whole process: somebody else is at work, or asks to stop. They pass every bound.
_FOR_ALL = (StaleFence, LockHeld, Interrupted)

#: Where the traces of faults are kept, below the root, and how many at most.
TRACES = Path(".reconciler") / "traces"
_MOST_TRACES = 20


class Bounds:
    """Collects what went wrong, object by object. `folder` is the root, where the trace of a fault of ours is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.troubles: list[ReconcilerError] = []

    @contextmanager
    def about(self, subject: str) -> Iterator[None]:
        """Runs what is inside for one object. What it raises becomes a trouble about that object."""
        try:
            yield
        except _FOR_ALL:
            raise
        except Exception as error:
            self.troubles.append(explained(error, subject, self._folder))

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """Every trouble as findings."""
        return tuple(
            finding
            for error in self.troubles
            for finding in (error.diagnostics if isinstance(error, PolicyError) else (error.diagnostic,))
        )


def explained(error: Exception, subject: str, folder: Path) -> ReconcilerError:
    """The error as one that says what to do. One that nobody foresaw is a fault of ours, RCL9001: its trace is kept in
    the root where that can be."""
    if isinstance(error, ReconcilerError):
        return error
    if isinstance(error, OSError):
        where = f" at {error.filename}" if error.filename else ""
        what = f"{subject} cannot be read or written: {error.strerror or error}{where}"
        told = Unreachable("RCL0021", what, "Check that file or disk; everything else continues.", subject=subject)
        told.__cause__ = error  # who asks whether it can be written there still learns it
        return told
    kept = _keep(error, folder)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (line {frames[-1].lineno} of {Path(frames[-1].filename).name})" if frames else ""
    remedy = f"Report it with {kept}. " if kept else "Report it. "
    what = f"internal error at {subject}: {error!r}{where}"
    return ReconcilerError("RCL9001", what, f"{remedy}Everything else continues.", subject=subject)


def _keep(error: Exception, folder: Path) -> str:
    """Writes the trace, once for each fault; its path, or "" where it cannot be written."""
    text = "".join(traceback.format_exception(error))
    place = "".join(f"{frame.filename}:{frame.lineno}\n" for frame in traceback.extract_tb(error.__traceback__))
    name = f"{hashlib.sha256(f'{type(error)}{place}'.encode()).hexdigest()[:12]}.txt"
    path = folder / TRACES / name
    with suppress(OSError):
        if not path.exists() and (not path.parent.is_dir() or len(list(path.parent.iterdir())) < _MOST_TRACES):
            files.make_folder(path.parent)
            files.write_whole(path, text.encode(errors="backslashreplace"))
        return str(TRACES / name) if path.exists() else ""
    return ""
