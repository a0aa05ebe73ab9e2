"""POSIX: the calls as Linux has them, and every other system of that family where it can."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import shlex
import signal
import sys
from io import TextIOWrapper
from pathlib import Path
from subprocess import Popen
from typing import Any

from reconciler.system_calls.found import Process

assert sys.platform != "win32"

# --- Files -----------------------------------------------------------------------------------------------------


def open_file(path: Path, flags: int, mode: int = 0o600, *, follow: bool = True) -> int:
    """Opens a file of ours; a descriptor for bytes, which no child inherits. With `follow` False a symbolic link under
    the name is refused with an `OSError`."""
    return os.open(path, flags | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW), mode)


def open_stranger(path: Path, *, follow: bool = True) -> int:
    """Opens for reading what somebody else may have put there: never waits for the other end of a pipe, and takes no
    terminal."""
    careful = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    return os.open(path, careful | (0 if follow else os.O_NOFOLLOW))


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """Up to `length` bytes from `offset` on; the place from which others read stays."""
    return os.pread(descriptor, length, offset)


def write_at(descriptor: int, data: memoryview, offset: int) -> int:
    """Writes at `offset`; how many bytes were written."""
    return os.pwrite(descriptor, data, offset)


def set_size(descriptor: int, size: int) -> None:
    """Makes the file so long, in bytes; what is new reads as zeros and takes no room."""
    os.ftruncate(descriptor, size)


def next_data(descriptor: int, offset: int) -> int:
    """Where the next bytes are that may be no zeros. `OSError`: ENXIO where only a hole is left, EINVAL where the file
    system cannot tell."""
    return os.lseek(descriptor, offset, os.SEEK_DATA)


def next_hole(descriptor: int, offset: int) -> int:
    """Where the next hole begins; the end of a file is one."""
    return os.lseek(descriptor, offset, os.SEEK_HOLE)


def sync_folder(folder: Path) -> None:
    """Forces a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(source: Path, target: Path) -> None:
    """Renames over `target`, at once as others see it."""
    source.replace(target)


def unlink(path: Path) -> None:
    """Removes a file. Raises `FileNotFoundError`."""
    path.unlink()


def has_no_hard_links(error: OSError) -> bool:
    """Whether it says that the file system has no hard links."""
    return error.errno in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)


def is_in_use(error: OSError) -> bool:
    """Whether it says that another program has the file open, which here keeps nobody from anything."""
    return False


def name_problem(name: str) -> str:
    """Why no file may have the name here, beside what the system says itself; "" where it may."""
    return ""


def allowed_name(name: str) -> str:
    """The nearest name that a file may have here."""
    return name


def file_number(status: os.stat_result) -> int:
    """What tells a file from others of its file system, in 64 bits."""
    return status.st_ino


def changed_ns(file: Path | int, status: os.stat_result) -> int:
    """When anything of the file was changed last, its content, its names or its rights, in nanoseconds."""
    return status.st_ctime_ns


def lock(descriptor: int, *, wait: bool) -> None:
    """Takes the file for this descriptor alone, until it is closed. Raises `BlockingIOError` where another one has it
    and it is not waited for."""
    fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def allocated_bytes(status: os.stat_result) -> int:
    """What a file takes on its volume."""
    return status.st_blocks * 512


def ownership(path: Path) -> str:
    """Whose it is and who may do what, such as "belongs to root, mode 0700". Raises `KeyError` for an owner without a
    name."""
    return f"belongs to {path.owner()}, mode {path.stat().st_mode & 0o7777:04o}"


# --- Processes and signals -------------------------------------------------------------------------------------

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")

#: The signals that ask a process to end.
TERMINATING = (signal.SIGINT, signal.SIGTERM)


def interrupt(thread: int) -> None:
    """Gives the thread, the main one, a SIGTERM, whatever call it is in."""
    signal.pthread_kill(thread, signal.SIGTERM)


def boot() -> str:
    """12 hexadecimal digits within which the numbers of processes mean something, the kernel's boot; "" where the
    system does not tell."""
    try:
        return _BOOT.read_text(encoding="ascii").strip().replace("-", "")[:12]
    except (OSError, UnicodeDecodeError):
        return ""


def namespace() -> str:
    """The number of the process namespace; "" where the system does not tell."""
    try:
        return str(_NAMESPACE.stat().st_ino)
    except OSError:
        return ""


def process(pid: int) -> Process:
    """Whether the process lives, and the clock ticks after boot at which it began [proc(5), field 22]."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return Process(lives=False)
    except (PermissionError, OverflowError):
        pass
    fields = _stat_of(pid)
    if fields[:1] == ["Z"]:
        return Process(lives=False)
    return Process(lives=True, start=int(fields[19]) if len(fields) > 19 else None)


def _stat_of(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name; none where it cannot be read."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()


def limit_memory(child: Popen[bytes], mib: int) -> object:
    """What holds the limit on the memory of a child: here nothing, the child takes it upon itself."""
    return None


def wait_readable(descriptor: int, seconds: float) -> bool:
    """Waits until a pipe has bytes, or has ended; False where neither came in time."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def apart() -> dict[str, Any]:
    """How a child is started that must not ask in our terminal, nor hear its Ctrl-C."""
    return {"start_new_session": True}


def program(name: str) -> str:
    """What starts the program: its name, which the system looks for in PATH alone."""
    return name


def typed(place: Path) -> str:
    """What a person types to start the program at this place."""
    return shlex.quote(str(place))


# --- Accounts and terminals ------------------------------------------------------------------------------------


def account_name() -> str:
    """The account's name; its number where it has none."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def account_number() -> str:
    """The account that counts for what may be read and written."""
    return f"uid {os.geteuid()}"


def ready_output(stream: TextIOWrapper) -> None:
    """A letter that the terminal's encoding does not have is shown as an escape: nothing ends by it."""
    stream.reconfigure(errors="backslashreplace")


def is_reader_gone(error: OSError) -> bool:
    """Whether it says that nobody reads any more what this process prints."""
    return error.errno == errno.EPIPE
