"""What the system refused -> a sentence with path, room or account, and what to do about it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from reconciler import system_calls
from reconciler.errors import ReconcilerError

#: What is true wherever in a run the system refuses something: what was done on servers before stays done.
_UNHARMED = "What was there before is unharmed."

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM)

#: The codes of our errors that say the same as these numbers: nothing can be written there now.
_CANNOT_WRITE = ("RCL5006", "RCL4026", "RCL5005", "RCL5021")


def cannot_write(error: BaseException) -> bool:
    """Whether it says that nothing can be written now, since a disk is full or read-only, or this account may not: what
    only reads, or only notes what it saw, goes on without."""
    if isinstance(error, OSError):
        return error.errno in (*_FULL, *_FORBIDDEN, errno.EROFS)
    if not isinstance(error, ReconcilerError):
        return False
    system = error.__cause__ if error.diagnostic.code == "RCL0021" else None
    return error.diagnostic.code in _CANNOT_WRITE or (isinstance(system, OSError) and cannot_write(system))


def is_forbidden(error: OSError) -> bool:
    """Whether it says that this account may not, or nobody may, since the file system is mounted read-only."""
    return error.errno in (*_FORBIDDEN, errno.EROFS)


def explained(error: OSError, path: str | Path | None = None, needed: int | None = None) -> tuple[str, str]:
    """What is wrong and what to do. `path` where the error itself names none; `needed` in bytes, where it is known."""
    place = Path(os.fsdecode(path if path is not None else error.filename)) if path or error.filename else None
    said = error.strerror or str(error)
    if place is None:
        return f"the system said: {said}", "Check the disk; what was there before is unharmed."
    if error.errno in _FULL:
        room = f"{_size(needed)} needed, " if needed is not None else ""
        what = f"the disk of {place} is full: {room}{_free(place)} free"
        return what, f"Free some space below {_existing(place)}, then run it again; what was there before is unharmed."
    if system_calls.is_in_use(error):
        what = f"another program has {place} open"
        return (
            what,
            "Close it there, or wait until it is done with it, then run it again. " + _UNHARMED,
        )
    if error.errno in _FORBIDDEN:
        what = f"{account()} may not read or write {place}{_owned(place)}"
        return what, "Run it as an account that may, or grant this one permission. " + _UNHARMED
    if error.errno in (errno.EEXIST, errno.ENOENT, errno.ENOTDIR) and (link := _dangling(place)) is not None:
        what = f"{link} is a link to {link.readlink()}, which is missing"
        return (
            what,
            "If its disk is not mounted, mount it; else correct the link, or remove it. " + _UNHARMED,
        )
    if error.errno == errno.EROFS:
        what = f"{place} is on a file system that is mounted read-only"
        return what, "Mount it so that it can be written, or name another place. " + _UNHARMED
    return f"the system said: {said} at {place}", "Check the disk; what was there before is unharmed."


def _dangling(place: Path) -> Path | None:
    """The link that leads nowhere, the path itself or a folder above it."""
    return next((each for each in (place, *place.absolute().parents) if each.is_symlink() and not each.exists()), None)


def _existing(place: Path) -> Path:
    """The folder that is there, the nearest one above the place."""
    return next((folder for folder in (place, *place.absolute().parents) if folder.is_dir()), Path("/"))


def _size(count: int) -> str:
    """Bytes for people; this floor lies below that of `model.units`."""
    return f"{count:,} bytes" if count < 2**20 else f"{count / 2**20:,.1f} MiB"


def _free(place: Path) -> str:
    try:
        return _size(shutil.disk_usage(_existing(place)).free)
    except OSError:
        return "an unknown amount"


def _owned(place: Path) -> str:
    """Whose it is, or the folder that it would be in."""
    for each in (place, *place.absolute().parents):
        try:
            return f": {'it' if each == place else each} {system_calls.ownership(each)}"
        except (OSError, KeyError):
            continue
    return ""


def account() -> str:
    """The account that this process runs under, for people."""
    return f"the account {system_calls.account_name()!r}"
