"""ENGINES: each sees and changes backup on one kind of server. They are unaware of each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from reconciler.engines.plugin import contained
from reconciler.protocols import Clock, Disks

#: How long expired and deleted things can be brought back, where the site says nothing else.
DEFAULT_BIN = timedelta(days=7)


@dataclass(frozen=True)
class EngineSetup:
    """What an engine of the entry point group `reconciler.engines` is opened with.

    `name` is the server's in the policies. `settings` are what the policies say of the engine, as JSON values;
    relative paths in them count from `root`. `volumes` is the pool as (name, capacity in bytes), `disks` the files of
    the virtual machines by cluster, `bin` how long expired things can be brought back, `threads` how many each job may
    use.
    """

    name: str
    root: Path
    settings: Mapping[str, Any]
    volumes: tuple[tuple[str, int], ...]
    disks: Mapping[str, Disks]
    clock: Clock
    bin: timedelta = DEFAULT_BIN
    threads: int = 2


__all__ = ["DEFAULT_BIN", "EngineSetup", "contained"]
