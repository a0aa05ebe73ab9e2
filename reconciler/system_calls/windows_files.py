"""Windows, files and locks: the same calls by its own means. The rest: `windows_processes`.

What it does not have: a way to force a folder's entries to the disk (`replace` asks for it with each rename instead),
and holes that can be asked for.
"""

from __future__ import annotations

import ctypes
import errno
import msvcrt
import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from reconciler.system_calls import windows_kernel as kernel
from reconciler.system_calls.forbidden_names import allowed, problem

assert sys.platform == "win32"

_INVALID = ctypes.c_void_p(-1).value
_SHARING_VIOLATION, _LOCK_VIOLATION = 32, 33
_INVALID_FUNCTION, _NOT_SUPPORTED = 1, 50


def _error(path: Path | None = None) -> OSError:
    number = ctypes.get_last_error()
    return OSError(0, ctypes.FormatError(number).strip(), None if path is None else str(path), number)


# --- Files -----------------------------------------------------------------------------------------------------

_READ, _WRITE = 0x80000000, 0x40000000
_SHARED = 1 | 2 | 4  # others may read, write, and rename or remove it meanwhile, as everywhere else
_CREATE_NEW, _OPEN_EXISTING, _OPEN_ALWAYS = 1, 3, 4
_NORMAL, _REPARSE_POINT = 0x80, 0x00200000
_NAME_SURROGATE = 0x20000000


def open_file(path: Path, flags: int, mode: int = 0o600, *, follow: bool = True) -> int:
    """Opens a file of ours; a descriptor for bytes, which no child inherits. With `follow` False a link under the name,
    symbolic or a junction, is refused with an `OSError`. Who may read it is decided by the folder."""
    bare = False
    if not follow:
        with suppress(FileNotFoundError):
            tag = path.lstat().st_reparse_tag
            if tag & _NAME_SURROGATE:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            bare = tag != 0  # of a file that the system keeps elsewhere: deduplicated, offline
    direct = not follow and not bare
    handle = kernel.create_file(
        str(path), _access(flags), _SHARED, None, _disposition(flags), _NORMAL | (_REPARSE_POINT if direct else 0), None
    )
    if handle == _INVALID:
        raise _error(path)
    descriptor = msvcrt.open_osfhandle(handle, flags & (os.O_APPEND | os.O_RDONLY) | os.O_BINARY | os.O_NOINHERIT)
    if direct and os.fstat(descriptor).st_file_attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT:
        os.close(descriptor)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return descriptor


def _access(flags: int) -> int:
    if flags & os.O_RDWR:
        return _READ | _WRITE
    return _WRITE if flags & os.O_WRONLY else _READ


def _disposition(flags: int) -> int:
    if flags & os.O_CREAT:
        return _CREATE_NEW if flags & os.O_EXCL else _OPEN_ALWAYS
    return _OPEN_EXISTING


def open_stranger(path: Path, *, follow: bool = True) -> int:
    """Opens for reading what somebody else may have put there; pipes and devices have names of their own here, which
    the caller refuses."""
    return open_file(path, os.O_RDONLY, follow=follow)


#: Reading at an offset moves the place in the file here: one at a time.
_at = threading.Lock()


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """Up to `length` bytes from `offset` on."""
    with _at:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, length)


def write_at(descriptor: int, data: memoryview, offset: int) -> int:
    """Writes at `offset`; how many bytes were written."""
    with _at:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, data)


_END_OF_FILE = 6


def set_size(descriptor: int, size: int) -> None:
    """Makes the file so long, in bytes; what is new reads as zeros. Python's own way would write them all first."""
    end = ctypes.c_int64(size)
    handle = msvcrt.get_osfhandle(descriptor)
    if not kernel.set_info(handle, _END_OF_FILE, ctypes.byref(end), ctypes.sizeof(end)):
        raise _error()


def next_data(descriptor: int, offset: int) -> int:
    """Nobody tells: EINVAL. Hyper-V takes no sparse disk files, so there is seldom a hole."""
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def next_hole(descriptor: int, offset: int) -> int:
    """Nobody tells: EINVAL."""
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def sync_folder(folder: Path) -> None:
    """Nothing: Windows forces no folder to the disk. Raises where there is no folder."""
    folder.stat()


_REPLACE_EXISTING, _WRITE_THROUGH = 1, 8

#: How long it is tried again where another program has a file open, such as a virus scanner that looks at it, in
#: seconds.
_PATIENCE_SECONDS = 2.0


def replace(source: Path, target: Path) -> None:
    """Renames over `target`, and waits until that is on the disk. A file that another program has open is refused."""

    def move() -> None:
        if not kernel.move(str(source), str(target), _REPLACE_EXISTING | _WRITE_THROUGH):
            raise _error(target)

    _patiently(move, target)


def unlink(path: Path) -> None:
    """Removes a file, a read-only one too. Raises `FileNotFoundError`."""
    _patiently(path.unlink, path)


def _patiently(act: Callable[[], None], path: Path) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    pause = 0.01
    while True:
        try:
            return act()
        except PermissionError:
            if _made_writable(path):
                continue
            if time.monotonic() > until:
                raise
        time.sleep(pause)
        pause = min(pause * 2, 0.2)


def _made_writable(path: Path) -> bool:
    """Whether the file was read-only, and is not any more: what may be replaced or removed is decided by its folder."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or not found.st_file_attributes & stat.FILE_ATTRIBUTE_READONLY:
            return False
        path.chmod(stat.S_IREAD | stat.S_IWRITE)
        return not path.lstat().st_file_attributes & stat.FILE_ATTRIBUTE_READONLY
    except OSError:
        return False


def has_no_hard_links(error: OSError) -> bool:
    """Whether it says that the file system has no hard links: FAT, ReFS before Windows Server 2022, many shares."""
    return error.winerror in (_INVALID_FUNCTION, _NOT_SUPPORTED)


def is_in_use(error: OSError) -> bool:
    """Whether it says that another program has the file open."""
    return error.winerror in (_SHARING_VIOLATION, _LOCK_VIOLATION)


def name_problem(name: str) -> str:
    """Why no file may have the name here; "" where it may."""
    return problem(name)


def allowed_name(name: str) -> str:
    """The nearest name that a file may have here."""
    return allowed(name)


def file_number(status: os.stat_result) -> int:
    """What tells a file from others of its file system, in 64 bits: ReFS has twice as many."""
    number = status.st_ino
    if number < 1 << 63:
        return number
    return int.from_bytes(sha256(number.to_bytes(16, "little")).digest()[:8], "little") >> 1


_READ_ATTRIBUTES, _FOLDERS_TOO, _BASIC_INFO = 0x80, 0x02000000, 0
_TO_1970 = 116_444_736_000_000_000


def changed_ns(file: Path | int, status: os.stat_result) -> int:
    """When anything of the file was changed last, its content, its names or its rights, in nanoseconds. What Python
    calls the change is its birth here, which stands for it where the file system keeps no such time."""
    if isinstance(file, int):
        return _changed_ns(msvcrt.get_osfhandle(file)) or status.st_ctime_ns
    handle = kernel.create_file(
        str(file), _READ_ATTRIBUTES, _SHARED, None, _OPEN_EXISTING, _FOLDERS_TOO | _REPARSE_POINT, None
    )
    if handle == _INVALID:
        return status.st_ctime_ns
    try:
        return _changed_ns(handle) or status.st_ctime_ns
    finally:
        kernel.close(handle)


def _changed_ns(handle: int) -> int:
    told = (ctypes.c_int64 * 5)()  # made, read, written, changed, attributes
    if not kernel.info(handle, _BASIC_INFO, ctypes.byref(told), ctypes.sizeof(told)) or told[3] <= 0:
        return 0
    return (int(told[3]) - _TO_1970) * 100


#: Between two looks at a lock that another one has, in seconds.
_LOOK_AGAIN = 0.02


def lock(descriptor: int, *, wait: bool) -> None:
    """Takes the file for this descriptor alone, until it is closed. Raises `BlockingIOError` where another one has it
    and it is not waited for."""
    import portalocker  # it loads much, and few commands take a lock

    while True:
        try:
            portalocker.lock(descriptor, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
            return
        except portalocker.LockException as error:
            # Wine gives no number for a lock that another one has; Windows never fails without one.
            taken = isinstance(error, portalocker.AlreadyLocked) or getattr(error.__cause__, "errno", None) == 0
            if not taken:
                raise OSError(errno.ENOLCK, str(error)) from error
            if not wait:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
        time.sleep(_LOOK_AGAIN)


def allocated_bytes(status: os.stat_result) -> int:
    """What a file takes on its volume: its length, unless it is compressed or sparse, which is not asked for."""
    return status.st_size


def ownership(path: Path) -> str:
    """What a person can see of who may do what. Raises an `OSError` where there is nothing."""
    read_only = path.stat().st_file_attributes & stat.FILE_ATTRIBUTE_READONLY
    return "is read-only" if read_only else "is there: another program may have it open; `icacls` shows who may do what"
