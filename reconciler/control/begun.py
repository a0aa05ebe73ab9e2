"""A note in the root that the site has a state, whose, and where: state and stores whose one disk is not mounted are
not taken for a site that begins."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from reconciler import encoded, files
from reconciler.errors import Unreachable
from reconciler.model import Lineage

_KEEP = ".reconciler"
_LONGEST = 4096


class Begun(msgspec.Struct, frozen=True, rename="camel"):
    """The state of a site: its identity, the path of its database, and when the note was written (UTC)."""

    state: str
    path: str
    at: datetime


def note_begun(root: Path, site: str, lineage: Lineage | None, path: Path, now: datetime) -> None:
    """Writes the note, where it does not say so already. The root may be read-only: then there is none."""
    if lineage is None:
        return
    said = begun(root, site)
    if said is None or (said.state, said.path) != (lineage.id, str(path)):
        with suppress(OSError):
            files.make_folder(root / _KEEP)
            files.write_whole(_place(root, site), msgspec.json.encode(Begun(lineage.id, str(path), now)))


def begun(root: Path, site: str) -> Begun | None:
    """The note; None where there is none that reads."""
    try:
        return encoded.read(files.read_regular(_place(root, site), _LONGEST), Begun)
    except (OSError, encoded.Wrong):
        return None


def state_gone(said: Begun, path: Path) -> Unreachable:
    """What is said where neither the state nor any store is there, and the site has begun."""
    return Unreachable(
        "RCL5041",
        f"there is no state {path}, and no store of a server: on {said.at:%Y-%m-%d} the state {said.state[:8]} was in "
        f"{said.path}",
        "If their disk is not mounted, mount it. If they are lost: `reconciler state restore BACKUP`; where there is "
        "no backup, `reconciler apply --adopt '*'` begins anew. Nothing was made.",
        subject=str(path),
    )


def _place(root: Path, site: str) -> Path:
    return root / _KEEP / f"state-{site}.json"
