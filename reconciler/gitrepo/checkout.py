"""What is checked out: the commit, whose work it is, and what differs from it on disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from reconciler import files
from reconciler.errors import Refused, Unreachable, UsageError
from reconciler.gitrepo.call import git
from reconciler.gitrepo.objects import FOLDER, LINK, SUBMODULE, Entry, entries, objects, resolve


def changed_files(folder: Path, below: str, read: Iterable[str] = ()) -> set[str]:
    """The files that were `read` and that the commit which is checked out does not have as they are, and what it has
    at and `below` a path and is not there as it has it.

    Compared here with its objects, byte for byte but for the ends of lines: Git leaves out what it was told to ignore,
    or not to look at, and would ask the filters that attributes name.
    """
    commit = resolve(folder, "HEAD")
    names = set(read)
    outside = sorted(name for name in names if name != below and not name.startswith(f"{below}/"))
    known = entries(folder, commit, below, *outside)
    held = {name: entry for name, entry in known.items() if entry.mode != FOLDER}
    both = [name for name in held if held[name].mode != SUBMODULE]
    contents = dict(objects(folder, sorted({held[name].object for name in both})))
    differing = names - held.keys()
    differing |= {name for name in both if not _is_same(folder / name, held[name], contents[held[name].object])}
    return differing | {name for name in held.keys() - set(both) if not (folder / name).is_dir()}


def _is_same(path: Path, entry: Entry, content: bytes) -> bool:
    try:
        if path.is_symlink() or entry.mode == LINK:
            return path.is_symlink() and entry.mode == LINK and os.fsencode(path.readlink()) == content
        data = files.read_regular(path)
    except OSError:
        return False
    return data == content or data.replace(b"\r\n", b"\n") == content.replace(b"\r\n", b"\n")


def identity(folder: Path) -> str:
    """The e-mail that a commit would be made under here; "" where none is set."""
    try:
        return git(folder, "config", "--get", "user.email", own_settings=True).decode().strip()
    except (UsageError, Unreachable, Refused):
        return ""
