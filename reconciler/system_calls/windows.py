"""Windows: the same calls by its own means.

What it does not have: a way to force a folder's entries to the disk (`replace` asks for it with each rename instead),
holes that can be asked for, and an end of a child after so many seconds.
"""

from __future__ import annotations

import ctypes
import errno
import msvcrt
import os
import signal
import stat
import sys
import threading
import time
import winreg
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from io import TextIOWrapper
from pathlib import Path
from subprocess import Popen

from reconciler.system_calls import windows_kernel as kernel
from reconciler.system_calls.forbidden_names import allowed, problem
from reconciler.system_calls.found import Process

assert sys.platform == "win32"

_INVALID = ctypes.c_void_p(-1).value
_ACCESS_DENIED, _SHARING_VIOLATION, _LOCK_VIOLATION, _INVALID_PARAMETER = 5, 32, 33, 87
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


# --- Processes and signals -------------------------------------------------------------------------------------

#: The signals that ask a process to end. Ctrl-Break is also what a console's closing, a logoff and a shutdown come as.
TERMINATING = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)


def interrupt(thread: int) -> None:
    """Gives the main thread a SIGTERM. A call that waits for the disk is not cut short by it."""
    signal.raise_signal(signal.SIGTERM)


def boot() -> str:
    """12 hexadecimal digits within which the numbers of processes mean something: the installation's own id. When a
    process began is told to 100 ns, so that no later boot has the same one."""
    try:
        access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Cryptography", 0, access) as key:
            return str(winreg.QueryValueEx(key, "MachineGuid")[0]).replace("-", "").lower()[:12]
    except OSError:
        return ""


def namespace() -> str:
    """The digit 0; "" within a container, where processes of the host are not seen."""
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control") as key:
            winreg.QueryValueEx(key, "ContainerType")
    except OSError:
        return "0"
    return ""


_QUERY_LIMITED, _SYNCHRONIZE = 0x1000, 0x00100000


def process(pid: int) -> Process:
    """Whether the process lives, and when it began, in units of 100 ns since 1601."""
    if pid > 0xFFFFFFFF:
        return Process(lives=True)
    handle = kernel.open_process(_QUERY_LIMITED | _SYNCHRONIZE, 0, pid)
    if not handle:
        return Process(lives=ctypes.get_last_error() != _INVALID_PARAMETER)
    try:
        if kernel.wait(handle, 0) == 0:
            return Process(lives=False)
        began, *others = ctypes.c_uint64(), ctypes.c_uint64(), ctypes.c_uint64(), ctypes.c_uint64()
        told = kernel.times(handle, ctypes.byref(began), *map(ctypes.byref, others))
        return Process(lives=True, start=began.value if told else None)
    finally:
        kernel.close(handle)


_PROCESS_MEMORY, _KILL_ON_CLOSE, _EXTENDED_LIMITS, _COMMITTED = 0x100, 0x2000, 9, 6


class _Job:
    """A job object; the child in it ends with it."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def __del__(self) -> None:
        kernel.close(self._handle)


def limit_memory(child: Popen[bytes], mib: int) -> object:
    """Gives a child no more memory than it has now and so much. What is returned holds the limit, and the child's life:
    it ends with it. None where the system refuses, such as within a job that allows none inside."""
    handle = int(child._handle)  # type: ignore[attr-defined]
    now = kernel.Memory(size=ctypes.sizeof(kernel.Memory))
    made = kernel.create_job(None, None)
    if not made:
        return None
    job = _Job(made)
    if not kernel.memory_of(handle, ctypes.byref(now), now.size):
        return None
    limits = kernel.Limits(process_memory=now.sizes[_COMMITTED] + mib * 1024 * 1024)
    limits.basic.flags = _PROCESS_MEMORY | _KILL_ON_CLOSE
    if not kernel.set_job(made, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)):
        return None
    return job if kernel.into_job(made, handle) else None


def wait_readable(descriptor: int, seconds: float) -> bool:
    """Waits until a pipe has bytes, or has ended; False where neither came in time. Nothing here waits for a pipe: it
    is looked at, ever less often."""
    handle = msvcrt.get_osfhandle(descriptor)
    until = time.monotonic() + seconds
    pause = 0.0
    while True:
        there = kernel.DWORD()
        if not kernel.peek(handle, None, 0, None, ctypes.byref(there), None) or there.value:
            return True
        if time.monotonic() > until:
            return False
        time.sleep(pause)
        pause = min(pause + 0.0005, 0.02)


def program(name: str) -> str:
    """What starts the program: its place by PATH. Windows itself would look in the current folder first, where a
    stranger's repository may hold one of that name; relative entries of PATH lead there too. Where there is none, a
    place that does not exist."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        place = Path(folder.strip('"')) / f"{name}.exe"
        if place.is_absolute() and place.is_file():
            return str(place)
    return str(Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "not-found" / f"{name}.exe")


# --- Accounts and terminals ------------------------------------------------------------------------------------


def account_name() -> str:
    """The account's name, as the system has it: not what a variable says."""
    return os.getlogin()


def account_number() -> str:
    """The account that counts for what may be read and written; people know it by its name here."""
    return f"account {os.getlogin()}"


_VIRTUAL_TERMINAL = 0x0004


def ready_output(stream: TextIOWrapper) -> None:
    """UTF-8 and bare newlines, so that what is written to a file or a pipe is the same on every system; in a console
    that is not told to show colours, colours are switched on."""
    stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline=None if stream.isatty() else "\n")
    with suppress(OSError, ValueError):
        handle, mode = msvcrt.get_osfhandle(stream.fileno()), kernel.DWORD()
        if kernel.console_mode(handle, ctypes.byref(mode)):
            kernel.set_console_mode(handle, mode.value | _VIRTUAL_TERMINAL)
