"""Windows, processes, accounts and terminals: the same calls by its own means. Files: `windows_files`.

What it does not have: an end of a child after so many seconds, and a way to wait for a pipe.
"""

from __future__ import annotations

import ctypes
import errno
import msvcrt
import os
import signal
import subprocess
import sys
import time
import winreg
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from subprocess import Popen
from typing import Any

from reconciler.system_calls import windows_kernel as kernel
from reconciler.system_calls.found import Process

assert sys.platform == "win32"

_INVALID_PARAMETER = 87

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


def apart() -> dict[str, Any]:
    """How a child is started that must not ask in our console, nor hear its Ctrl-C: in one of its own, without a
    window."""
    return {"creationflags": subprocess.CREATE_NO_WINDOW}


def program(name: str) -> str:
    """What starts the program: its place by PATH. Windows itself would look in the current folder first, where a
    stranger's repository may hold one of that name; relative entries of PATH lead there too. Where there is none, a
    place that does not exist."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        place = Path(folder.strip('"')) / f"{name}.exe"
        if place.is_absolute() and place.is_file():
            return str(place)
    return str(Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "not-found" / f"{name}.exe")


def typed(place: Path) -> str:
    """What a person types into PowerShell to start the program at this place."""
    return f"& '{place}'" if set(str(place)) & set(" '()&;,{}$`") else str(place)


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


def is_reader_gone(error: OSError) -> bool:
    """Whether it says that nobody reads any more what this process prints; Python tells it in two ways here."""
    return error.errno in (errno.EPIPE, errno.EINVAL) and error.filename is None
