"""A note in the root that the site has a state, whose, and where: state and stores whose one disk is not mounted are
not taken for a site that begins."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from reconciler import encoded, files
from reconciler.errors import Refused, Unreachable
from reconciler.model import Lineage

#: The folder in the root with what the site remembers.
KEEP = ".reconciler"
_RAN = f"{KEEP}/run.json"
_LONGEST = 4096
_NOTE = re.compile(r"state-(.+)\.json", re.DOTALL)


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
            files.make_folder(root / KEEP)
            files.write_whole(_place(root, site), msgspec.json.encode(Begun(lineage.id, str(path), now)))


def begun(root: Path, site: str) -> Begun | None:
    """The note; None where there is none that reads."""
    try:
        return encoded.read(files.read_regular(_place(root, site), _LONGEST), Begun)
    except (OSError, encoded.Wrong):
        return None


class Ran(msgspec.Struct, frozen=True):
    """The site that `run` ran in this root when nobody named one."""

    site: str


def note_ran(root: Path, site: str) -> None:
    """Remembers which site `run` takes where nobody names one. The root may be read-only: then nothing is."""
    path = root / _RAN
    with suppress(OSError):
        if not path.exists() or _ran(root) != site:
            files.make_folder(path.parent)
            files.write_whole(path, msgspec.json.encode(Ran(site)))


def ran_here(root: Path) -> str:
    """The site that `run` ran here without its name, else the only one that has a state that was used from here; ""
    where that is not known. Neither note can come with the policies: `brought.check_not_brought`."""
    if (root / _RAN).exists():
        return _ran(root)
    noted = _noted(root)
    return noted[0] if len(noted) == 1 and begun(root, noted[0]) is not None else ""


def _ran(root: Path) -> str:
    try:
        return encoded.read(files.read_regular(root / _RAN, _LONGEST), Ran).site
    except (OSError, encoded.Wrong):
        return ""


def check_place(
    root: Path, site: str, path: Path, lineage: Callable[[], Lineage | None], others: Iterable[str] | None
) -> None:
    """Raises `Refused`, RCL3106, where the root has a note of a state, and the one that is about to be used is not it:
    nothing is there and nothing is said to have been, or another one is. With an empty state no change of approvers,
    guardrails or anything else would be one. `lineage` tells who the state there is; `others` are the sites that the
    policies have, None: not known."""
    said = begun(root, site)
    if said is None and _place(root, site).exists():
        raise Refused(
            "RCL3106",
            f"the note {_place(root, site)} of the state that the site {site} was applied with cannot be read",
            "Something wrote over it. If the state is the one that the site always had, remove the note: it is written "
            "again. Nothing was opened.",
            subject=str(_place(root, site)),
        )
    if said is not None:
        elsewhere = Path(said.path) != path
        found = lineage() if elsewhere and path.exists() else None
        if elsewhere and (found is None or found.id != said.state):
            there = "another one is" if path.exists() else "there is none"
            raise _other_state(said, site, path, f"{path}, where {there}")
        return
    known = None if others is None or path.exists() else frozenset(others)
    for name in _noted(root) if known is not None else ():
        earlier = begun(root, name)
        if known is not None and name not in known and earlier is not None:
            raise _other_state(earlier, name, path, f"another site, {site}, which begins, in the place of {name}")


def _other_state(said: Begun, site: str, path: Path, now: str) -> Refused:
    return Refused(
        "RCL3106",
        f"here the site {site} was applied with the state {said.state[:8]} in {said.path}; the policies name {now}",
        "Put the site and its `state` back as they were, or move the state there first. If this is to start again: "
        "`reconciler apply --adopt '*'`. Nothing was made.",
        subject=str(path),
    )


def _noted(root: Path) -> list[str]:
    """The sites of which the root has a note."""
    found = (_NOTE.fullmatch(each.name) for each in (root / KEEP).glob("state-*.json"))
    return sorted(each[1] for each in found if each is not None)


def state_gone(said: Begun, path: Path) -> Unreachable:
    """What is said where neither the state nor any store is there, and the site has begun."""
    return Unreachable(
        "RCL5041",
        f"there is no state {path}, and no store of a server: on {said.at:%Y-%m-%d} the state {said.state[:8]} was in "
        f"{said.path}",
        "If their disk is not mounted, mount it. If they are lost: `reconciler state restore BACKUP`; where there is "
        "no backup, `reconciler apply --adopt '*'` starts again. Nothing was made.",
        subject=str(path),
    )


def state_lost(said: Begun, path: Path) -> Refused:
    """What is said where the state is gone and a store is there."""
    return Refused(
        "RCL3012",
        f"there is no state {path}, and servers hold what it knew: on {said.at:%Y-%m-%d} it was in {said.path}",
        "Restore the state with `reconciler state restore`, correct `state` in the site, or take the groups over "
        "with `reconciler apply --adopt NAME` ('*' for all). Nothing was changed.",
        subject=str(path),
    )


def _place(root: Path, site: str) -> Path:
    return root / KEEP / f"state-{site}.json"
