"""A site over engines that a test brings: its state on disk, no cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from reconciler.control.policy_folder import read_good
from reconciler.control.site import Site
from reconciler.protocols import Engine
from reconciler.state import holder_identity, open_memory
from reconciler.wiring import choose_site
from tests.fakes import SetClock
from tests.kill.test_kill import write_policies


def bare_site(root: Path, engines: Mapping[str, Engine]) -> Site:
    """The site `hq`, opened; a process may open it several times."""
    write_policies(root, "one, two", "5d")
    return Site(
        document=choose_site(read_good(root).policies, None),
        folder=root,
        zone=ZoneInfo("UTC"),
        inventories={},
        engines=engines,
        memory=open_memory(root / "var" / "hq.db"),
        clock=SetClock(),
        holder=holder_identity(),
    )
