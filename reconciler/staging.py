"""Staging: files written beside their target, then renamed over it: whole and atomically, or not at all.

Strangers may write where we restore to. A name that is made up here is new when it is opened and is no link, a target
is a regular file or nothing, and no name is longer than a file system takes.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
import shutil
import stat
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from reconciler import files, system_calls
from reconciler.errors import Refused
from reconciler.images import data_extents
from reconciler.model import FileState
from reconciler.protocols import Room, Which

#: The end of a name that is made up here, with its token.
_OURS = re.compile(r"\.original-([0-9a-f]{12})\Z|\.([0-9a-f]{12})\.staged\Z")

_DRIVE = re.compile(r"[A-Za-z]:")


class LocalStagedFile:
    """See `protocols.StagedFile`."""

    def __init__(self, path: Path, descriptor: int, *, writing: bool) -> None:
        self._path = path
        self._descriptor = descriptor
        self._writing = writing
        self.size = os.fstat(descriptor).st_size

    @classmethod
    def made(cls, path: Path, size: int) -> Self:
        """A new file of so many zeros."""
        files.announce("write", path)
        descriptor = files.create(path)
        try:
            system_calls.set_size(descriptor, size)
            return cls(path, descriptor, writing=True)
        except BaseException:
            os.close(descriptor)
            raise

    @classmethod
    def opened(cls, path: Path) -> Self:
        """A file that is there, for reading; no link, no pipe, no device."""
        with files.open_regular(path, follow=False) as file:
            return cls(path, os.dup(file.fileno()), writing=False)

    def extents(self) -> Iterator[tuple[int, int]]:
        return data_extents(self._descriptor, self.size)

    def write(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = system_calls.write_at(self._descriptor, view, offset)
            view, offset = view[written:], offset + written

    def read(self, offset: int, length: int) -> bytes:
        return system_calls.read_at(self._descriptor, length, offset)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._writing:
                files.fsync(self._descriptor, self._path)
        finally:
            os.close(self._descriptor)


class LocalTarget:
    """See `protocols.Target`: files under one folder. Paths are relative to it, with forward slashes; one that
    leads out of it is refused with RCL2012, one that the system takes for something else with RCL0040."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def resolve(self, path: str) -> Path:
        """The file's place. Raises `Refused`, RCL2012, where it would be outside the folder, RCL0040 where the system
        would take a part of the path for something else, such as Windows a device."""
        place = self.root / path
        if not _leads_out(path):
            _check_names(path)
            parent = Path(os.path.realpath(place.parent))
            if place.name and parent.is_relative_to(os.path.realpath(self.root)):
                return parent / place.name
        if _only_turns(path):
            what = f"the path {path!r} is written with '..': where that leads depends on links"
            remedy = "Write the path without '..'. Nothing was read or written."
        else:
            what = f"the path {path!r} leads out of {self.root}"
            remedy = "Correct the path; nothing outside the folder is read or written."
        raise Refused("RCL2012", what, remedy, subject=path)

    def stage(self, path: str, token: str, size: int) -> LocalStagedFile:
        staged = self._staged(path, token)
        files.make_folder(staged.parent)
        return LocalStagedFile.made(staged, size)

    def reopen(self, path: str, which: Which, token: str) -> LocalStagedFile:
        return LocalStagedFile.opened(self._named(path, which, token))

    def state(self, path: str, which: Which = Which.PLACE, token: str = "") -> FileState | None:
        try:
            place = self._named(path, which, token)
            found = place.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(found.st_mode):
            raise _no_place(path, "exists but is not a regular file")
        number, changed = system_calls.file_number(found), system_calls.changed_ns(place, found)
        return FileState(path, found.st_dev, number, found.st_size, found.st_mtime_ns, changed)

    def keep(self, path: str, token: str) -> None:
        place, original = self.resolve(path), self._named(path, Which.ORIGINAL, token)
        if not os.path.lexists(original) and os.path.lexists(place):
            check_target(place, path)
            files.announce("rename", original)
            _give_name(place, original, path)
            files.fsync_folder(place.parent)

    def put(self, path: str, token: str, mode: int, mtime_ns: int, *, replace: bool) -> None:
        staged, place = self._named(path, Which.STAGED, token), self.resolve(path)
        if self.state(path, Which.STAGED, token) is None:
            return
        check_target(place, path)
        staged.chmod(mode)
        os.utime(staged, ns=(mtime_ns, mtime_ns))
        if replace:
            files.rename(staged, place)
            return
        files.announce("rename", place)
        try:
            _give_name(staged, place, path)
        except FileExistsError:
            if not place.samefile(staged):
                raise _no_place(path, "has come to be there meanwhile") from None
        files.fsync_folder(place.parent)
        files.unlink(staged)

    def give_back(self, path: str, token: str) -> None:
        original = self._named(path, Which.ORIGINAL, token)
        if os.path.lexists(original):
            check_target(self.resolve(path), path)
            files.rename(original, self.resolve(path))

    def discard(self, path: str, which: Which, token: str) -> None:
        name = self._named(path, which, token)
        if os.path.lexists(name):
            files.unlink(name)

    def beside(self, path: str) -> tuple[tuple[str, str], ...]:
        place, found = self.resolve(path), []
        try:
            names = sorted(each.name for each in place.parent.iterdir())
        except OSError:
            return ()
        for name in names:
            match = _OURS.search(name)
            token = match[1] or match[2] if match is not None else ""
            if token and name in (self._named(path, which, token).name for which in (Which.STAGED, Which.ORIGINAL)):
                found.append((posixpath.join(posixpath.dirname(path), name), token))
        return tuple(found)

    def exists(self, path: str) -> bool:
        return os.path.lexists(self.resolve(path))

    def remove(self, path: str) -> None:
        files.unlink(self.resolve(path))

    def check(self, path: str) -> None:
        check_target(self.resolve(path), path)

    def room(self, path: str) -> Room:
        folder = self.resolve(path).parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return Room(folder.stat().st_dev, str(folder), shutil.disk_usage(folder).free)

    def _staged(self, path: str, token: str) -> Path:
        return self._named(path, Which.STAGED, token)

    def _named(self, path: str, which: Which, token: str) -> Path:
        """Never longer than a name may be, and the same for the same path and token alone."""
        place = self.resolve(path)
        if which is Which.PLACE:
            return place
        if which is Which.ORIGINAL:
            return place.with_name(files.bounded(place.name, f".original-{token}"))
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


def _give_name(there: Path, new: Path, path: str) -> None:
    """Gives a file a second name. Raises `FileExistsError`; `Refused`, RCL0042, where its file system has none."""
    try:
        os.link(there, new, follow_symlinks=False)
    except OSError as error:
        if not system_calls.has_no_hard_links(error):
            raise
        raise Refused(
            "RCL0042",
            f"the file system of {there.parent} gives {path!r} no second name (a hard link), or not to this account",
            "Recover to a folder (--to FOLDER) and move the files, or use NTFS, or ReFS of Windows Server 2022 or "
            "later. Nothing was changed.",
            subject=path,
        ) from error


def _check_names(path: str) -> None:
    """Raises `Refused`, RCL0040."""
    for part in path.replace("\\", "/").split("/"):
        problem = system_calls.name_problem(part) if part not in ("", ".", "..") else ""
        if problem:
            raise Refused(
                "RCL0040",
                f"the path {path!r} is none for this system: {part!r} has {problem}",
                "Recover to a folder (--to FOLDER), where such a file gets another name, or on a system that takes it. "
                "Nothing was read or written.",
                subject=path,
            )


def _no_place(path: str, what: str) -> Refused:
    remedy = "Check what is there; move it away, or recover to a folder (--to FOLDER)."
    return Refused("RCL7015", f"{path!r} {what}", remedy, subject=path)


def _only_turns(path: str) -> bool:
    """Whether '..' is all that is wrong with the path: as it is written it ends below its folder."""
    parts = path.replace("\\", "/").split("/")
    return ".." in parts and not _leads_out(posixpath.normpath("/".join(parts)))


def _leads_out(path: str) -> bool:
    """Whichever system wrote the path: a part that goes up, a root, a drive letter, a zero byte."""
    parts = path.replace("\\", "/").split("/")
    return not path or "\0" in path or ".." in parts or not parts[0] or _DRIVE.match(path) is not None
