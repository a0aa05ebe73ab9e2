"""A process that something happens to at an aimed moment: ``python -m tests.kill.aimed WHAT MOMENT NUMBER COMMAND...``

WHAT is `kill` (SIGKILL), `interrupt` (SIGINT), `stop` (SIGSTOP, until somebody continues it) or `none`. MOMENT, counted
from 1 to NUMBER:

- `before` and `after`: the commit of a server's database that makes a step true there; `after` is right after it;
- `sent`: the engine is about to be asked, under a token that was looked up before;
- `started` and `journalled`: a step is about to be journalled as started, and has just been;
- `durable`: any durable step.

The lease lasts one second, or as many as WHAT says, such as ``stop:60``. At its end the process says how many steps it
made true on servers.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime, timedelta

from reconciler import files
from reconciler.cli import errors
from reconciler.control import lease
from reconciler.engines.embedded import EmbeddedEngine
from reconciler.model import Action
from reconciler.protocols import Fence
from reconciler.state.memory import SqliteJournal

SIGNALS = {"kill": signal.SIGKILL, "interrupt": signal.SIGINT, "stop": signal.SIGSTOP}


class Aim:
    def __init__(self, what: str, moment: str, number: int) -> None:
        self.what = what
        self.moment = moment
        self.number = number
        self.counts = dict.fromkeys(("before", "sent", "started", "journalled", "durable"), 0)
        self.committed = 0
        self._asked = self._committing = False

    def reached(self, moment: str) -> None:
        self.counts[moment] += 1
        if (moment, self.counts[moment]) == (self.moment, self.number):
            self.fire()

    def fire(self) -> None:
        if self.what == "none":
            return
        sys.stdout.flush()
        os.kill(os.getpid(), SIGNALS[self.what])

    def step(self, step: files.Step) -> None:
        self.reached("durable")
        if self._asked and step.kind == "commit" and step.path.endswith("server.db"):
            self.reached("before")
            self._committing = True

    def sent(self) -> None:
        self.reached("sent")
        self._asked = True

    def applied(self) -> None:
        self._asked = False
        if self._committing:
            self._committing = False
            self.committed += 1
            if (self.moment, self.number) == ("after", self.committed):
                self.fire()


def main() -> int:
    what, _, seconds = sys.argv[1].partition(":")
    aim = Aim(what, sys.argv[2], int(sys.argv[3]))
    lease.TTL = timedelta(seconds=float(seconds or 1))
    apply, started = EmbeddedEngine.apply, SqliteJournal.started

    def sent(self: EmbeddedEngine, action: Action, fence: Fence) -> str:
        aim.sent()
        ref = apply(self, action, fence)
        aim.applied()
        return ref

    def noted(self: SqliteJournal, run: str, step: str, at: datetime) -> None:
        aim.reached("started")
        started(self, run, step, at)
        aim.reached("journalled")

    EmbeddedEngine.apply = sent  # type: ignore[method-assign]
    SqliteJournal.started = noted  # type: ignore[method-assign]
    with files.watch(aim.step):
        code = errors.run(sys.argv[4:])
    sys.stdout.write(f"COMMITTED {aim.committed} DURABLE {aim.counts['durable']}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
