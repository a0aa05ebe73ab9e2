"""What is checked out: the commit, whose work it is, and what differs from it on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from reconciler import files
from reconciler.errors import Refused, Unreachable, UsageError
from reconciler.gitrepo.call import git
from reconciler.gitrepo.objects import FOLDER, LINK, SUBMODULE, Entry, entries, head, objects, resolve


def state(folder: Path, *below: str) -> tuple[str, bool]:
    """The commit that is checked out, and whether anything `below` differs from it; "" outside of a repository."""
    commit = head(folder)
    return commit, bool(commit) and bool(changed_files(folder, *below))


def changed_files(folder: Path, *below: str) -> set[str]:
    """The files at and `below` some paths that differ from the commit that is checked out, or that it does not have.

    Compared here, byte for byte but for the ends of lines: Git would ask the filters that attributes name.
    """
    commit = resolve(folder, "HEAD")
    known = [each for path in below for each in entries(folder, commit, path).items()]
    held = {name: entry for name, entry in known if entry.mode != FOLDER}
    unwanted = ("--others", "--ignored", "--exclude-standard", "--directory", "-z", "--", *below)
    ignored = git(folder, "ls-files", *unwanted).decode("utf-8", "surrogateescape").split("\0")
    left_out = tuple(filter(None, ignored))
    every = (found for path in below for found in _on_disk(folder, path))
    here = {name: path for name, path in every if not _is_below(name, left_out)}
    both = [name for name in held.keys() & here.keys() if held[name].mode != SUBMODULE]
    contents = dict(objects(folder, sorted({held[name].object for name in both})))
    differing = held.keys() ^ here.keys()
    differing |= {name for name in both if not _is_same(here[name], held[name], contents[held[name].object])}
    return differing


def _on_disk(folder: Path, below: str) -> Iterator[tuple[str, Path]]:
    if (folder / below).is_symlink() or (folder / below).is_file():
        yield below, folder / below
        return
    for parent, folders, names in os.walk(folder / below):
        folders[:] = [name for name in folders if name != ".git"]
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in (*names, *links):
            path = Path(parent) / name
            yield path.relative_to(folder).as_posix(), path


def _is_below(name: str, folders: Sequence[str]) -> bool:
    return any(name == each or (each.endswith("/") and name.startswith(each)) for each in folders)


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
