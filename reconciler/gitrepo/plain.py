"""A work tree -> nothing, where every file by which Git finds its way there is a regular one, else a refusal.

A named pipe in the place of one of them holds Git, and who asks it, for ever. Whoever unpacks a tree, or shares the
folder, gets such files without a word.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from reconciler import files
from reconciler.errors import Refused

#: What Git reads before it looks at any object, from the folder of the repository.
_READ = (
    "HEAD",
    "commondir",
    "config",
    "config.worktree",
    "gitdir",
    "index",
    "info/attributes",
    "info/exclude",
    "info/grafts",
    "objects/info/alternates",
    "packed-refs",
    "shallow",
)
_LARGEST = 1024 * 1024
_MOST_INCLUDES = 100

#: A line of settings that takes in another file. Of any section: too many are looked at rather than one too few.
_INCLUDE = re.compile(r"\[[ \t]*[Ii][Nn][Cc][Ll][Uu][Dd][Ee]")
_PATH = re.compile(r"^[ \t]*(?:\[[^\n]*\])?[ \t]*[Pp][Aa][Tt][Hh][ \t]*=[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)


def check_plain(top: Path) -> None:
    """Raises `Refused`, RCL3109, for a work tree in whose repository a pipe or a device stands where a file is read.
    Only looks at what Git itself would open."""
    try:
        _check(top / ".git")
    except files.NotRegular as error:
        where = error.filename or str(top)
        raise Refused(
            "RCL3109",
            f"the Git repository {str(top)!r} cannot be read: {where} is {error.strerror}",
            "Remove it. Git would wait for it forever.",
            subject=str(top),
        ) from None


def _check(place: Path) -> None:
    """`.git`: a folder, or a file that names one."""
    folders = [place]
    if not place.is_dir():
        told = _text(place)
        if told is None or not told.startswith("gitdir:"):
            return
        folders = [place.parent / told.removeprefix("gitdir:").strip()]
    shared = _text(folders[0] / "commondir")
    if shared is not None:
        folders.append(folders[0] / shared.strip())
    for folder in folders:
        for name in _READ:
            _look(folder / name)
        head = _text(folder / "HEAD")
        if head is not None and head.startswith("ref:"):
            _look(folder / head.removeprefix("ref:").strip())
        for name in ("config", "config.worktree"):
            _included(folder / name)


def _included(settings: Path) -> None:
    """The files that settings take in, and those that they take in."""
    ahead, seen = [settings], set[Path]()
    while ahead and len(seen) < _MOST_INCLUDES:
        here = ahead.pop()
        text = _text(here) if here not in seen else None
        seen.add(here)
        if text is None or _INCLUDE.search(text) is None:
            continue
        for said in _PATH.findall(text.replace("\\\n", "")):
            named = said.strip('"').replace('\\"', '"').replace("\\\\", "\\")
            ahead.append(here.parent / os.path.expanduser(named))  # noqa: PTH111 - `Path` refuses what has no home


def _look(path: Path) -> None:
    try:
        files.open_regular(path).close()
    except files.NotRegular:
        if path.is_dir() or "\0" in str(path) or os.path.realpath(path) == os.devnull:
            return  # Git says by itself that this is no file, or finds nothing in it
        raise
    except OSError:
        return


def _text(path: Path) -> str | None:
    """What a file says; None where there is none, or it says too much. Raises `NotRegular`."""
    _look(path)
    try:
        return files.read_regular(path, _LARGEST).decode("utf-8", "surrogateescape")
    except OSError:
        return None
