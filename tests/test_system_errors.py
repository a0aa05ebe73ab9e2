"""What the system refuses is told with path, room, account and what to do."""

from __future__ import annotations

import errno
import getpass
import os
import sqlite3
from pathlib import Path

import pytest

from reconciler import system_errors
from reconciler.sqlite import unwritable
from reconciler.system_errors import explained


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_errors, "_free", lambda place: "12 bytes")
    path = tmp_path / "a" / "x.md"
    what, remedy = explained(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), path, 1234)
    assert what == f"the disk of {path} is full: 1,234 bytes needed, 12 bytes free"
    assert remedy == f"Free some space below {tmp_path}, then run it again; what was there before is unharmed."


def test_a_missing_right(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch(0o640)
    path.chmod(0o640)
    what, remedy = explained(PermissionError(errno.EACCES, "Permission denied", str(path)))
    owner = f"belongs to {path.owner()}, mode 0640"
    assert what == f"the account {getpass.getuser()!r} may not read or write {path}: it {owner}"
    assert remedy == "Run it as an account that may, or grant this one permission. What was there before is unharmed."
    what, _ = explained(PermissionError(errno.EACCES, "Permission denied"), tmp_path / "new")
    assert f": {tmp_path} belongs to " in what


def test_a_disk_that_is_read_only_and_everything_else() -> None:
    assert explained(OSError(errno.EROFS, "x", "/x/y"))[0] == "/x/y is on a file system that is mounted read-only"
    assert explained(OSError(errno.EIO, "Input/output error", "/x"))[0] == "the system said: Input/output error at /x"
    assert explained(OSError("odd"))[0] == "the system said: odd"


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    """The store of a first use, say: a disk that is not mounted behind a link."""
    (tmp_path / "store").symlink_to("/nowhere/disk")
    for path in (tmp_path / "store", tmp_path / "store" / "volumes"):
        what, remedy = explained(FileExistsError(errno.EEXIST, "File exists", str(path)))
        assert what == f"{tmp_path / 'store'} is a link to /nowhere/disk, which is missing"
        assert "mount it" in remedy


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EIO])
def test_what_may_happen_in_the_middle_of_a_run_does_not_say_that_nothing_was_changed(
    tmp_path: Path, number: int
) -> None:
    """Whoever says it where a file cannot be written does not know what was done on the servers before."""
    _, remedy = explained(OSError(number, os.strerror(number)), tmp_path / "file")
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    readonly = sqlite3.OperationalError("attempt to write a readonly database")
    readonly.sqlite_errorcode = sqlite3.SQLITE_READONLY
    told = [remedy, *(unwritable(tmp_path / "x.db", each).diagnostic.remedy for each in (full, readonly))]
    assert all("unharmed" in each for each in told)
    assert not [each for each in told if "nothing was changed" in each.casefold()]
