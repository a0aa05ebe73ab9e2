"""Durable writes: every fsync, rename, unlink and commit of the product goes through this one layer.

A test may `watch` the layer: its observer is called with each `Step` just before the step is done, and may
raise `OSError` (a full disk, a failing one) or kill the process. Nothing in production installs one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

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
    """Forces a folder's entries (names made, renamed or removed) to the disk."""
    announce("fsync", folder)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """Renames over `target`, then makes the new name durable. Atomic on one file system."""
    announce("rename", target)
    source.replace(target)
    fsync_folder(target.parent)
    if source.parent != target.parent:
        fsync_folder(source.parent)


def unlink(path: Path) -> None:
    """Removes a file if it is there, durably."""
    announce("unlink", path)
    path.unlink(missing_ok=True)
    fsync_folder(path.parent)


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Writes a file that is either as before or as `data`, never in between: temporary, fsync, rename. Two processes
    may do so at once: one of them is last."""
    write_parts(path, (data,), mode)


def write_parts(path: Path, parts: Iterable[bytes], mode: int = 0o600) -> None:
    """As `write_whole`, of parts that need not be in memory together."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    announce("write", path)
    descriptor = create(temporary, mode)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.writelines(parts)
            handle.flush()
            fsync(handle.fileno(), path)
        rename(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def create(path: Path, mode: int = 0o600) -> int:
    """Makes a temporary file anew and opens it for writing and reading: what lies there, a leftover or a link that
    somebody planted, is removed and never written through."""
    with suppress(FileNotFoundError):
        path.unlink()
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)


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
