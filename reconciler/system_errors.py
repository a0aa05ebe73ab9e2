"""What the system refused -> a sentence with path, room or account, and what to do about it."""

from __future__ import annotations

import errno
import getpass
import os
import shutil
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM)


def explained(error: OSError, path: str | Path | None = None, needed: int | None = None) -> tuple[str, str]:
    """What is wrong and what to do. `path` where the error itself names none; `needed` in bytes, where it is known."""
    place = Path(os.fsdecode(path if path is not None else error.filename)) if path or error.filename else None
    said = error.strerror or str(error)
    if place is None:
        return f"the system said: {said}", "Look at the disk; what was there before is unharmed."
    if error.errno in _FULL:
        room = f"{needed:,} bytes needed, " if needed is not None else ""
        what = f"the disk of {place} is full: {room}{_free(place)} free"
        return what, f"Free some space below {_existing(place)}, then run it again; what was there before is unharmed."
    if error.errno in _FORBIDDEN:
        what = f"{_account()} may not read or write {place}{_owned(place)}"
        return what, "Run it as an account that may, or give this one the right. Nothing was changed."
    if error.errno == errno.EROFS:
        what = f"{place} is on a file system that is mounted read-only"
        return what, "Mount it so that it can be written, or name another place. Nothing was changed."
    return f"the system said: {said} at {place}", "Look at the disk; what was there before is unharmed."


def _existing(place: Path) -> Path:
    """The folder that is there, the nearest one above the place."""
    return next((folder for folder in (place, *place.absolute().parents) if folder.is_dir()), Path("/"))


def _free(place: Path) -> str:
    try:
        return f"{shutil.disk_usage(_existing(place)).free:,} bytes"
    except OSError:
        return "an unknown number of bytes"


def _account() -> str:
    try:
        return f"the account {getpass.getuser()}"
    except (KeyError, OSError):
        return "this account"


def _owned(place: Path) -> str:
    """Whose it is, or the folder that it would be in."""
    for each in (place, *place.absolute().parents):
        try:
            mode = each.stat().st_mode & 0o7777
            return f": {'it' if each == place else each} belongs to {each.owner()}, mode {mode:04o}"
        except (OSError, KeyError, NotImplementedError):
            continue
    return ""
