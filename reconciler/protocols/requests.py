"""What persons ask for while a loop lives, and what came of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from reconciler.model import Job


class RequestKind(StrEnum):
    """What a person can ask for while a loop lives."""

    CHECK = "check"
    RECOVER = "recover"
    CANCEL = "cancel"
    BACKUP = "backup"
    PAUSE = "pause"


class RequestState(StrEnum):
    """WAITING: nobody has taken it up. SERVED: somebody is at it. The others have ended: DONE, FAILED (with the reason
    in `answer`), WITHDRAWN by whoever asked, EXPIRED before anybody took it up."""

    WAITING = "waiting"
    SERVED = "served"
    DONE = "done"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"

    @property
    def ended(self) -> bool:
        return self not in (RequestState.WAITING, RequestState.SERVED)


class Request(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What somebody asks for: `subject` is the virtual machine, group or job by its id, `asked_by` the account, `until`
    (UTC) when it is asked for no more. `job` is the job to run, where one was prepared, with all that was agreed to,
    and `run` the run that it is on record under. `served_by` is the process that took it up, `answer` what came of it,
    for people."""

    id: str
    kind: RequestKind
    subject: str
    asked_by: str
    asked_at: datetime
    until: datetime
    state: RequestState = RequestState.WAITING
    answer: str = ""
    served_by: str = ""
    job: Job | None = None
    run: str = ""


class Requests(Protocol):
    """What persons ask for while a loop lives: rows that it serves at once. Asking needs no lease."""

    def ask(self, request: Request) -> None: ...
    def get(self, request: str) -> Request | None: ...
    def open(self) -> tuple[Request, ...]:
        """Those that have not ended, oldest first."""
        ...

    def take(self, request: str, holder: str) -> Request | None:
        """Takes a waiting request up; None where it is not waiting any more. One of many callers gets it."""
        ...

    def answer(self, request: str, state: RequestState, answer: str = "") -> None:
        """Ends it, unless it has ended."""
        ...

    def withdraw(self, request: str) -> bool:
        """Whoever asked asks no more; False where somebody has taken it up already, or it has ended."""
        ...
