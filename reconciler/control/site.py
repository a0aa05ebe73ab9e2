"""The site as the loop works on it: everything concrete, chosen by `wiring`, behind its protocol."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from reconciler import system_calls
from reconciler.control.jobs.leases import JobLeases
from reconciler.errors import Interrupted
from reconciler.model.documents import SiteDocument
from reconciler.protocols import Clock, Engine, Inventory, Memory


class Stop:
    """Somebody asked to stop: no new step and no new job begins; what runs is brought to a safe point."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._heard = False
        self._patient = 0

    @contextmanager
    def patient(self) -> Iterator[None]:
        """What is inside looks at `asked` often, and brings what runs to a safe point: it is not cut off at once. For
        the main thread alone."""
        self._patient += 1
        try:
            yield
        finally:
            self._patient -= 1

    @property
    def is_patient(self) -> bool:
        return self._patient > 0

    def hear(self) -> None:
        """As `ask`, for a signal's handler: it takes no lock, and wakes nobody who waits."""
        self._heard = True

    def ask(self) -> None:
        self.event.set()

    @property
    def asked(self) -> bool:
        return self._heard or self.event.is_set()

    def wait(self, seconds: float) -> bool:
        """Waits up to so long; True once somebody asked."""
        return self.event.wait(seconds)

    def check(self, run: str = "") -> None:
        """Raises `Interrupted` if somebody asked."""
        if self.asked:
            where = f" during run {run}" if run else ""
            raise Interrupted(
                "RCL0005",
                f"interrupted{where}",
                "Start the command again: it continues from what was done.",
                subject=run,
            )


@dataclass(frozen=True)
class Site:
    """One site, opened. `document` is what counts, `written` what the policies say; `folder` is the root; `holder` says
    which process this is, for the lease; `started` are the ids of the jobs that it started, each with the moment by a
    clock that never jumps (seconds, `time.monotonic`), `cancelled` those of them that a person cancelled, `leases`
    those that they run under. `elsewhere` are the stores of other sites of the policies: who uses them, and their
    paths. `unnamed`: no person said which site this is to be. `commit` is the one that its policies were read from, ""
    where they are those of the work tree."""

    document: SiteDocument
    folder: Path
    zone: ZoneInfo
    inventories: Mapping[str, Inventory]
    engines: Mapping[str, Engine]
    memory: Memory
    clock: Clock
    holder: str
    stop: Stop = field(default_factory=Stop)
    written: SiteDocument | None = None
    started: dict[str, float] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    leases: JobLeases = field(default_factory=JobLeases)
    elsewhere: tuple[tuple[str, Path], ...] = ()
    unnamed: bool = False
    commit: str = ""

    @property
    def name(self) -> str:
        return self.document.metadata.name

    @property
    def prune(self) -> bool:
        """Whether groups that vanished from the policies may be stopped."""
        return self.document.spec.prune

    def now(self) -> datetime:
        """This moment by the site's clock, UTC."""
        return self.clock.now()

    def close(self) -> None:
        """Ends what runs, and lets go of every file."""
        for engine in self.engines.values():
            engine.close()
        self.leases.close(self.memory)
        self.memory.close()


def actor() -> str:
    """Who is at work: the account's name, or its number where it has none."""
    return system_calls.account_name()
