"""A commit as a tree: what its folders hold, links and submodules as such."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from reconciler.gitrepo.objects import FOLDER, LINK, SUBMODULE, Entry, entries, read_objects
from reconciler.protocols import Kind, TreeEntry

#: A file of more is not read: its first bytes alone cannot be had.
_LARGEST = 64 * 1024 * 1024
_LONGEST_TARGET = 4_096
_KINDS = {FOLDER: Kind.FOLDER, LINK: Kind.LINK, SUBMODULE: Kind.REPOSITORY}


class CommitTree:
    """A `Tree`. What is below one name of the root is listed when it is first asked for. `held` is content by the ids
    of objects, which is added to: who reads many commits has them share it."""

    def __init__(self, root: Path, commit: str, held: dict[str, bytes | None] | None = None) -> None:
        self._contents = held if held is not None else {}
        self._root = root
        self._commit = commit
        self._known: dict[str, Entry] = {}
        self._held: dict[str, list[str]] = {}
        self._targets: dict[str, str] = {}
        self._listed: set[str] = set()

    def entries(self, folder: str) -> list[TreeEntry]:
        """See `Tree`."""
        self._list(folder.partition("/")[0])
        return [self._of(path) for path in self._held.get(folder, [])]

    def entry(self, path: str) -> TreeEntry | None:
        """See `Tree`."""
        self._list(path.partition("/")[0])
        return self._of(path) if path in self._known else None

    def read(self, paths: Iterable[str], largest: int) -> Mapping[str, bytes | OSError]:
        """See `Tree`."""
        wanted = list(paths)
        ids = {self._known[path].object for path in wanted}
        contents = self._contents
        contents.update(read_objects(self._root, ids - contents.keys(), _LARGEST))
        found: dict[str, bytes | OSError] = {}
        for path in wanted:
            data = contents[self._known[path].object]
            found[path] = OSError(errno.EFBIG, "too large", path) if data is None else data[:largest]
        return found

    def _list(self, top: str) -> None:
        if top in self._listed or "" in self._listed:
            return
        self._listed.add(top)
        links = []
        for path, entry in entries(self._root, self._commit, top or ".").items():
            if path not in self._known:
                self._known[path] = entry
                self._held.setdefault(path.rpartition("/")[0], []).append(path)
                links += [path] if entry.mode == LINK else []
        targets = read_objects(self._root, [self._known[path].object for path in links], _LONGEST_TARGET)
        self._targets.update((path, os.fsdecode(targets[self._known[path].object] or b"/")) for path in links)

    def _of(self, path: str) -> TreeEntry:
        kind = _KINDS.get(self._known[path].mode, Kind.FILE)
        return TreeEntry(path.rpartition("/")[2], kind, self._targets.get(path, ""))
