"""Trees: folders and files as readers of policies see them, on disk or in a commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec


class Kind(StrEnum):
    """What stands under a name."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    REPOSITORY = "repository"  # a submodule: a folder whose files belong to commits of another repository
    OTHER = "other"  # a pipe, a device, a socket


class TreeEntry(msgspec.Struct, frozen=True):
    """One name of a folder. `target` is what a link says, as it is written."""

    name: str
    kind: Kind
    target: str = ""


class Tree(Protocol):
    """Paths are relative to the root, with `/` between names; the root itself is "". Names that are not UTF-8 have
    surrogates in them, as `os.fsdecode` makes them. No method follows a link."""

    def entries(self, folder: str) -> Sequence[TreeEntry]:
        """What a folder holds. Raises `OSError`."""
        ...

    def entry(self, path: str) -> TreeEntry | None:
        """What stands under a path; None for nothing. Raises `OSError`."""
        ...

    def read(self, paths: Iterable[str], largest: int) -> Mapping[str, bytes | OSError]:
        """The first `largest` bytes, at most, of regular files, or why they cannot be read."""
        ...
