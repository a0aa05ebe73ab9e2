"""Files: every durable step (fsync, rename, unlink, commit) and every opening of a file that somebody else made.

A test may `watch` the layer: its observer is called with each `Step` just before the step is done, and may
raise `OSError` (a full disk, a failing one) or kill the process. Nothing in production installs one.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import BufferedReader, BytesIO, TextIOWrapper
from pathlib import Path
from typing import Literal, NamedTuple

from reconciler import system_calls

Kind = Literal["write", "fsync", "rename", "unlink", "commit"]


class Step(NamedTuple):
    """One durable step about to be done: its kind and the path it touches."""

    kind: Kind
    path: str


Observer = Callable[[Step], None]
_observer: Observer | None = None


@contextmanager
def watch(observer: Observer) -> Iterator[None]:
    """Calls `observer` before every durable step, in whatever thread it is done."""
    global _observer
    previous, _observer = _observer, observer
    try:
        yield
    finally:
        _observer = previous


def announce(kind: Kind, path: str | os.PathLike[str]) -> None:
    """Tells the observer, if there is one, that a durable step is about to be done."""
    if _observer is not None:
        _observer(Step(kind, os.fspath(path)))


def fsync(descriptor: int, path: str | os.PathLike[str]) -> None:
    """Forces what was written to `descriptor` to the disk; `path` names it for the observer."""
    announce("fsync", path)
    os.fsync(descriptor)


def fsync_folder(folder: Path) -> None:
    """Forces a folder's entries (names made, renamed or removed) to the disk, where the system can."""
    announce("fsync", folder)
    system_calls.sync_folder(folder)


def rename(source: Path, target: Path) -> None:
    """Renames over `target`, then makes the new name durable. Atomic on one file system."""
    announce("rename", target)
    system_calls.replace(source, target)
    fsync_folder(target.parent)
    if source.parent != target.parent:
        fsync_folder(source.parent)


def put_new(source: Path, target: Path) -> None:
    """Gives `source` the name `target`, durably, and never takes it from another: raises `FileExistsError`. Where a
    file system has no hard links, whoever comes at that very moment is not seen."""
    announce("rename", target)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if not system_calls.has_no_hard_links(error):
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        system_calls.replace(source, target)
    fsync_folder(target.parent)
    with suppress(FileNotFoundError):
        system_calls.unlink(source)


def unlink(path: Path) -> None:
    """Removes a file if it is there, durably."""
    announce("unlink", path)
    with suppress(FileNotFoundError):
        system_calls.unlink(path)
    fsync_folder(path.parent)


_CALLED = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFDIR: "a folder",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a symbolic link",
}


class NotRegular(OSError):
    """What stands under the name is a pipe, a device, a folder, a socket or a link; `strerror` says which."""


class TooLarge(OSError):
    """The file holds more than whoever reads it is ready to take."""


def open_regular(path: Path, *, follow: bool = True) -> BufferedReader:
    """Opens a regular file for reading; it never waits and does nothing to what is no regular file.

    This is how every file is opened that a user or a stranger may have put there: a pipe would hold the whole site,
    a device reads as something else each time. With `follow` False a symbolic link is refused as well, which is
    for files that lie in a folder that others write to. Raises `NotRegular` for what is none, else the `OSError`
    of the system.
    """
    try:
        found = path.stat(follow_symlinks=follow)  # looked at first: opening a device may already do something
    except ValueError as error:  # a NUL, or a half of a letter
        raise NotRegular(errno.EINVAL, "a name that no file can have", str(path)) from error
    _check_regular(found.st_mode, path)
    descriptor = system_calls.open_stranger(path, follow=follow)
    try:
        _check_regular(os.fstat(descriptor).st_mode, path)  # it may be another one by now
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def check_regular(path: Path) -> None:
    """Raises `NotRegular` where something stands under the name, or where it leads to, that is no regular file: for
    what another library opens by itself."""
    with suppress(FileNotFoundError):
        _check_regular(path.stat().st_mode, path)


#: What is read whole is never larger (bytes), unless the reader says so.
LARGEST_WHOLE = 1 << 30


def read_regular(path: Path, largest: int = LARGEST_WHOLE, *, follow: bool = True) -> bytes:
    """The whole of a regular file, see `open_regular`. Raises `TooLarge` beyond `largest` bytes."""
    parts, size = [], 0
    with open_regular(path, follow=follow) as file:
        while part := file.read(min(_PART, largest + 1 - size)):
            parts.append(part)
            size += len(part)
            if size > largest:
                raise TooLarge(errno.EFBIG, f"larger than {largest:,} bytes", str(path))
    return b"".join(parts)


def read_text(path: Path, errors: str = "strict") -> str:
    """A regular file's text, UTF-8, every line end as a newline. Raises `TooLarge` beyond `LARGEST_WHOLE` bytes."""
    with TextIOWrapper(BytesIO(read_regular(path)), encoding="utf-8", errors=errors) as file:
        return file.read()


_PART = 1024 * 1024


def _check_regular(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        called = _CALLED.get(stat.S_IFMT(mode), "of an unknown kind")
        raise NotRegular(errno.EINVAL, f"{called}, not a regular file", str(path))


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Writes a file that is either as before or as `data`, never in between: temporary, fsync, rename. Two processes
    may do so at once: one of them is last."""
    write_parts(path, (data,), mode)


def write_parts(path: Path, parts: Iterable[bytes], mode: int = 0o600) -> None:
    """As `write_whole`, of parts that need not be in memory together. An error of the system names the file: one that
    comes from writing, as on a full disk, names none by itself."""
    beside = temporary(path)
    announce("write", path)
    descriptor = create(beside, mode)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.writelines(parts)
            handle.flush()
            fsync(handle.fileno(), path)
        rename(beside, path)
    except BaseException as error:
        with suppress(OSError):
            system_calls.unlink(beside)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def temporary(path: Path, ending: str = "part") -> Path:
    """A name beside `path` for what becomes it: nobody else's, whichever process and whichever computer writes there,
    and no longer than a name may be."""
    return path.with_name(bounded(f".{path.name}", f".{os.urandom(6).hex()}.{ending}"))


#: The longest name of a file, in bytes: that of ext4, XFS, Btrfs, ZFS, APFS.
LONGEST_NAME = 255


def bounded(stem: str, tail: str) -> str:
    """`stem` and `tail` as one name of at most `LONGEST_NAME` bytes: a stem that is too long is cut, and its hash put
    in, so that two long ones stay two."""
    room = LONGEST_NAME - len(tail.encode("utf-8", "surrogateescape"))
    whole = stem.encode("utf-8", "surrogateescape")
    if len(whole) <= room:
        return stem + tail
    mark = "~" + sha256(whole).hexdigest()[:16]
    return whole[: room - len(mark)].decode("utf-8", "ignore") + mark + tail


def create(path: Path, mode: int = 0o600) -> int:
    """Makes a temporary file anew and opens it for writing and reading: what lies there, a leftover or a link that
    somebody planted, is removed and never written through."""
    with suppress(FileNotFoundError):
        system_calls.unlink(path)
    return system_calls.open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode, follow=False)


def make_folder(path: Path, mode: int = 0o700) -> None:
    """Makes a folder and the missing ones above it, durably."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=mode, exist_ok=True)
        fsync_folder(folder.parent)


def remove_folder(path: Path) -> None:
    """Removes a folder and what is in it, if it is there."""
    announce("unlink", path)
    shutil.rmtree(path, ignore_errors=False) if path.exists() else None
    fsync_folder(path.parent)


def package_data(name: str) -> Path:
    """A folder that ships with the package (``schemas``, ``policies``), installed or in a checkout."""
    package = Path(__file__).parent
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name
