"""ENGINES: each sees and changes backup on one kind of server. They are unaware of each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from reconciler.protocols import Clock, Disks

#: How long expired and deleted things can be brought back, where the site says nothing else.
DEFAULT_BIN = timedelta(days=7)


@dataclass(frozen=True)
class EngineSetup:
    """What an engine of the entry point group `reconciler.engines` is opened with.

    `name` is the server's in the policies, `path` its folder, `volumes` the pool as (name, capacity in bytes),
    `disks` the files of the machines by cluster, `bin` how long expired things can be brought back, `threads` how
    many each job may use.
    """

    name: str
    path: Path
    volumes: tuple[tuple[str, int], ...]
    disks: Mapping[str, Disks]
    clock: Clock
    bin: timedelta = DEFAULT_BIN
    threads: int = 2


__all__ = ["DEFAULT_BIN", "EngineSetup"]
