"""Staging: files written beside their target, then renamed over it: whole and atomically, or not at all.

Strangers may write where we restore to. A name that is made up here is new when it is opened and is no link, a target
is a regular file or nothing, and no name is longer than a file system takes.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from reconciler import files
from reconciler.errors import Refused
from reconciler.protocols import Room

_DRIVE = re.compile(r"[A-Za-z]:")


class LocalStagedFile:
    """See `protocols.StagedFile`."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        files.announce("write", path)
        self._descriptor = files.create(path)
        try:
            os.ftruncate(self._descriptor, size)
        except BaseException:
            os.close(self._descriptor)
            raise

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
        if not _leads_out(path):
            parent = Path(os.path.realpath(place.parent))
            if place.name and parent.is_relative_to(os.path.realpath(self.root)):
                return parent / place.name
        raise Refused(
            "RCL2012",
            f"the path {path!r} leads out of {self.root}",
            "Correct the path; nothing outside the folder is read or written.",
            subject=path,
        )

    def stage(self, path: str, token: str, size: int) -> LocalStagedFile:
        staged = self._staged(path, token)
        files.make_folder(staged.parent)
        return LocalStagedFile(staged, size)

    def staged(self, path: str, token: str) -> bool:
        return _regular(self._staged(path, token))

    def cut_over(self, path: str, token: str, mode: int, mtime_ns: int, *, keep_original: bool) -> None:
        staged, place = self._staged(path, token), self.resolve(path)
        if not _regular(staged):
            return
        check_target(place, path)
        if keep_original and place.exists():
            self._keep(place, token)
        staged.chmod(mode)
        os.utime(staged, ns=(mtime_ns, mtime_ns))
        files.rename(staged, place)

    def _keep(self, place: Path, token: str) -> None:
        """A second name for what stands there, so that the first one is never without a file."""
        original = place.with_name(files.bounded(place.name, f".original-{token}"))
        if not original.exists():
            files.announce("rename", original)
            original.hardlink_to(place)
            files.fsync_folder(place.parent)

    def discard(self, path: str, token: str) -> None:
        staged = self._staged(path, token)
        if os.path.lexists(staged):
            files.unlink(staged)

    def exists(self, path: str) -> bool:
        return os.path.lexists(self.resolve(path))

    def check(self, path: str) -> None:
        check_target(self.resolve(path), path)

    def room(self, path: str) -> Room:
        folder = self.resolve(path).parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return Room(folder.stat().st_dev, str(folder), shutil.disk_usage(folder).free)

    def _staged(self, path: str, token: str) -> Path:
        """Never as long as the name of its target may be, and the same for the same path and token alone."""
        place = self.resolve(path)
        return place.with_name(f".{sha256(os.fsencode(place.name)).hexdigest()[:16]}.{token}.staged")


def check_target(place: Path, path: str) -> None:
    """Raises `Refused`, RCL7015, where something stands at a target that is no regular file: a link would lead
    elsewhere, a device or a pipe is nothing to be replaced."""
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ENAMETOOLONG):
            raise _no_place(path, f"cannot be a file: {error.strerror}") from error
        raise
    if not stat.S_ISREG(mode):
        raise _no_place(path, "exists but is not a regular file")


def _no_place(path: str, what: str) -> Refused:
    remedy = "Look at what is there; move it away, or recover to a folder (--to FOLDER)."
    return Refused("RCL7015", f"{path!r} {what}", remedy, subject=path)


def _regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _leads_out(path: str) -> bool:
    """Whichever system wrote the path: a part that goes up, a root, a drive letter, a zero byte."""
    parts = path.replace("\\", "/").split("/")
    return not path or "\0" in path or ".." in parts or not parts[0] or _DRIVE.match(path) is not None
