"""A command that blocks where it is told to: `python -m tests.journeys.interrupted WHERE WORDS...`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any


def blocked(*given: object, **named: object) -> Any:
    """Reads from a pipe that nobody ever writes into, as from a disk that does not answer."""
    end, _other = os.pipe()
    sys.stderr.write("BLOCKED\n")
    sys.stderr.flush()
    return os.read(end, 1)


def busy(*given: object, **named: object) -> Any:
    """A call of C that takes for ever and looks at no signal."""
    import sqlite3

    sys.stderr.write("BLOCKED\n")
    sys.stderr.flush()
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT 1 FROM n) SELECT count(*) FROM n"
    return sqlite3.connect(":memory:").execute(endless).fetchone()


def stopped_child() -> None:
    """The child that evaluates rules does not answer any more."""
    import signal

    from reconciler.expressions import parent

    send = parent._Child._send

    def sending(child: Any, value: object) -> None:
        if not isinstance(value, tuple):  # after it has started
            os.kill(child._process.pid, signal.SIGSTOP)
            sys.stderr.write(f"child {child._process.pid}\nBLOCKED\n")
            sys.stderr.flush()
        send(child, value)

    parent._Child._send = sending  # type: ignore[method-assign,assignment]


def main(where: str, words: list[str]) -> None:
    from reconciler import cli, gitrepo
    from reconciler.cli import interrupts
    from reconciler.control import lease, status
    from reconciler.control.loop import loop
    from reconciler.control.state import backup_file
    from reconciler.engines.embedded.engine import EmbeddedEngine
    from reconciler.inventory import directory
    from reconciler.staging import LocalStagedFile

    after: Callable[..., Any] = loop._Worker._rest
    match where:
        case "observe":
            directory.DirectoryInventory.observe = blocked  # type: ignore[method-assign]
        case "server":
            EmbeddedEngine.observe = blocked  # type: ignore[method-assign]
        case "job":
            directory.FileReader.read = blocked  # type: ignore[method-assign]
            interrupts.PATIENCE_SECONDS, interrupts.GONE_SECONDS = 2.0, 4.0
        case "git":
            gitrepo.resolve = blocked
        case "status":
            status.status = blocked
        case "inspect":
            setattr(directory, "inspect", blocked)  # noqa: B010
        case "backup":
            backup_file._sum = blocked
        case "copy":
            setattr(backup_file, "copy_database", busy)  # noqa: B010
            interrupts.PATIENCE_SECONDS, interrupts.GONE_SECONDS = 2.0, 4.0
        case "staging":
            LocalStagedFile.write = blocked  # type: ignore[method-assign]
            interrupts.PATIENCE_SECONDS, interrupts.GONE_SECONDS = 2.0, 4.0
        case "rules":
            stopped_child()
        case "lease":
            wait = lease._acquire

            def waiting(*given: Any) -> Any:
                sys.stderr.write("BLOCKED\n")
                sys.stderr.flush()
                return wait(*given)

            lease._acquire = waiting  # type: ignore[assignment]
        case "rest":

            def rest(worker: Any, seconds: float) -> None:
                sys.stderr.write("BLOCKED\n")
                sys.stderr.flush()
                after(worker, seconds)

            loop._Worker._rest = rest  # type: ignore[method-assign,assignment]
        case _:
            raise ValueError(where)
    cli.main(words)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
