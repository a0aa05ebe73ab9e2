"""Brought: a commit, a site -> whether something that the site keeps, or that is read beside it, comes with the commit.

A path of a commit means a place of ours where any file system would take the one for the other: another letter case,
the same letter written otherwise, letters that a file system passes over, the short name that Windows gives.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from reconciler import gitrepo
from reconciler.control.state.root_note import KEEP
from reconciler.errors import ReconcilerError, Refused
from reconciler.model.documents import SiteDocument
from reconciler.model.names import fold


class Kept(NamedTuple):
    """A place of the site: what it is, and the path as the policies name it. With `beside` what lies next to it under
    its name and an ending is a part of it: the logs of a database, copies that were put aside."""

    what: str
    path: str
    beside: bool = False


def kept_places(site: SiteDocument) -> Iterator[Kept]:
    """Where the site keeps what it knows and what it stored. A store is a folder, with all that lies in it."""
    yield Kept("what the site remembers", KEEP)
    for server in site.spec.servers:
        if server.engine.embedded is not None:
            yield Kept(f"the store of {server.name}", server.engine.embedded.path)
    if site.spec.state.sqlite is not None:
        path = Path(site.spec.state.sqlite.path)
        yield Kept("the state", path.as_posix(), beside=True)
        yield Kept("the evidence", path.with_suffix(".evidence").as_posix(), beside=True)


def check_not_brought(root: Path, site: SiteDocument, commit: str | None = None) -> None:
    """Raises `Refused`, RCL3110, where the state of the site, the note of it, its evidence, a store of its servers, or
    what SQLite reads beside one of them is a file of the repository that the policies come with: whoever may write them
    could bring a state by which he is the approver, and a checkout writes over files that Git was told to ignore.
    Looked at is the `commit`, else what is checked out."""
    try:
        commit = commit if commit is not None else gitrepo.head(root)
    except ReconcilerError:
        return  # no commit can make Git fail; where it does, backups go on, and no approval counts (`judging`)
    top = gitrepo.top_of(root)
    if not commit or top is None:
        return
    brought = next(_brought(root, commit, list(_wanted(root.resolve(), top, site))), None)
    if brought is not None:
        raise _refused(top / brought)


class _Want(NamedTuple):
    """The names that are left of a path, from the folder that is looked at."""

    names: tuple[str, ...]
    beside: bool


def _wanted(root: Path, top: Path, site: SiteDocument) -> Iterator[_Want]:
    """As the policies name it, and where that leads."""
    for kept in kept_places(site):
        for place in (Path(os.path.normpath(root / kept.path)), (root / kept.path).resolve()):
            if place.is_relative_to(top) and place != top:
                yield _Want(place.relative_to(top).parts, kept.beside)


def _brought(root: Path, commit: str, wanted: list[_Want]) -> Iterator[str]:
    """Looks a level deeper each time, in every folder that means the one on the way: a file, a link or a submodule in
    its place is one too."""
    level = {"": wanted}
    while level:
        deeper: dict[str, list[_Want]] = {}
        for folder, entries in gitrepo.listed(root, commit, level).items():
            for name, entry in entries.items():
                path = f"{folder}/{name}" if folder else name
                for want in level[folder]:
                    if not _means(name, want):
                        continue
                    if len(want.names) == 1 or entry.mode != gitrepo.FOLDER:
                        yield path
                    else:
                        deeper.setdefault(path, []).append(want._replace(names=want.names[1:]))
        level = deeper


def _means(name: str, want: _Want) -> bool:
    """Whether the name is, to some file system, the next one that is wanted, or of what lies beside the last one."""
    said, ours = _taken(name), _taken(want.names[0])
    if said == ours or _shortened(said, ours):
        return True
    if not want.beside or len(want.names) > 1:
        return False
    rest = said.lstrip(".").removeprefix(ours)
    return said.lstrip(".").startswith(ours) and not rest[:1].isalnum()


def _taken(name: str) -> str:
    """The name without what some file system passes over: letter case, marks that are not seen, dots and blanks at the
    end."""
    seen = name if name.isascii() else "".join(each for each in name if unicodedata.category(each) != "Cf")
    return fold(seen).rstrip(". ")


#: What Windows calls a file besides: up to six letters of its name, or two and four of a checksum.
_SHORT = re.compile(r"([^.~]{1,6})~[0-9]+(?:\..{1,3})?")


def _shortened(said: str, ours: str) -> bool:
    short = _SHORT.fullmatch(said)
    if short is None:
        return False
    plain = re.sub(r"[. ]", "", ours)
    return plain.startswith(short[1]) or (len(short[1]) > 4 and plain.startswith(short[1][:-4]))


def _refused(path: Path) -> Refused:
    return Refused(
        "RCL3110",
        f"{path} comes with the repository of the policies: it is nothing that was kept here",
        "If it is your own, committed by mistake: `git rm --cached`, and name it in .gitignore. Otherwise revert the "
        "commit that brought it (`git revert`), and if that overwrote yours: `reconciler state restore BACKUP`. "
        "Nothing was opened.",
        subject=str(path),
    )
