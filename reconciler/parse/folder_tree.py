"""A folder on disk as a tree: what stands in it, without following a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from reconciler import files
from reconciler.protocols import Kind, TreeEntry


class FolderTree:
    """A `Tree`. A link that stands in a folder's place when it is opened is not followed further."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self, folder: str) -> list[TreeEntry]:
        """See `Tree`."""
        with os.scandir(self._root / folder) as found:
            return [self._of(entry) for entry in found]

    def entry(self, path: str) -> TreeEntry | None:
        """See `Tree`."""
        place = self._root / path
        try:
            kind = _kind(place.lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return TreeEntry(place.name, kind, place.readlink().as_posix() if kind is Kind.LINK else "")

    def read(self, paths: Iterable[str], largest: int) -> Mapping[str, bytes | OSError]:
        """See `Tree`."""
        return {path: self._read(path, largest) for path in paths}

    def _read(self, path: str, largest: int) -> bytes | OSError:
        try:
            with files.open_regular(self._root / path, follow=False) as file:
                return file.read(largest)
        except OSError as error:
            return error

    def _of(self, entry: os.DirEntry[str]) -> TreeEntry:
        if entry.is_file(follow_symlinks=False):
            return TreeEntry(entry.name, Kind.FILE)
        if entry.is_dir(follow_symlinks=False):
            return TreeEntry(entry.name, Kind.FOLDER)
        if entry.is_symlink():
            return TreeEntry(entry.name, Kind.LINK, Path(entry.path).readlink().as_posix())
        return TreeEntry(entry.name, Kind.OTHER)


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.FOLDER
    return Kind.LINK if stat.S_ISLNK(mode) else Kind.OTHER
