"""A command that blocks where it is told to: `python -m tests.cli.interrupted WHERE WORDS...`."""

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


def main(where: str, words: list[str]) -> None:
    from reconciler import cli, gitrepo
    from reconciler.cli import interrupts
    from reconciler.control import loop, status
    from reconciler.engines.embedded.engine import EmbeddedEngine
    from reconciler.inventory import directory

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
