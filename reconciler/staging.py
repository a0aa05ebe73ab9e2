"""Staging: files written beside their target, then renamed over it: whole and atomically, or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from reconciler import files
from reconciler.errors import Refused


class LocalStagedFile:
    """See `protocols.StagedFile`."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        files.announce("write", path)
        self._descriptor = files.create(path)
        os.ftruncate(self._descriptor, size)

    def write(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view, offset = view[written:], offset + written

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                files.fsync(self._descriptor, self._path)
        finally:
            os.close(self._descriptor)


class LocalTarget:
    """See `protocols.Target`: files under one folder. Paths are relative to it, with forward slashes; one that
    leads out of it is refused with RCL2012."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def resolve(self, path: str) -> Path:
        """The file's place. Raises `Refused`, RCL2012, where it would be outside the folder."""
        place = self.root / path
        parent = Path(os.path.realpath(place.parent))
        root = Path(os.path.realpath(self.root))
        if not place.name or ".." in Path(path).parts or "\0" in path or not parent.is_relative_to(root):
            raise Refused(
                "RCL2012",
                f"the path {path!r} leads out of {self.root}",
                "Correct the path; nothing outside the folder is read or written.",
                subject=path,
            )
        return parent / place.name

    def stage(self, path: str, token: str, size: int) -> LocalStagedFile:
        staged = self._staged(path, token)
        files.make_folder(staged.parent)
        return LocalStagedFile(staged, size)

    def staged(self, path: str, token: str) -> bool:
        return self._staged(path, token).exists()

    def cut_over(self, path: str, token: str, mode: int, mtime_ns: int, *, keep_original: bool) -> None:
        staged, place = self._staged(path, token), self.resolve(path)
        if not staged.exists():
            return
        if keep_original and place.exists():
            self._keep(place, token)
        staged.chmod(mode)
        os.utime(staged, ns=(mtime_ns, mtime_ns))
        files.rename(staged, place)

    def _keep(self, place: Path, token: str) -> None:
        """A second name for what stands there, so that the first one is never without a file."""
        original = place.with_name(f"{place.name}.original-{token}")
        if not original.exists():
            files.announce("rename", original)
            original.hardlink_to(place)
            files.fsync_folder(place.parent)

    def discard(self, path: str, token: str) -> None:
        staged = self._staged(path, token)
        if staged.exists():
            files.unlink(staged)

    def exists(self, path: str) -> bool:
        return os.path.lexists(self.resolve(path))

    def free_bytes(self, path: str) -> int:
        folder = self.resolve(path).parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return shutil.disk_usage(folder).free

    def _staged(self, path: str, token: str) -> Path:
        place = self.resolve(path)
        return place.with_name(f".{place.name}.{token}.staged")
