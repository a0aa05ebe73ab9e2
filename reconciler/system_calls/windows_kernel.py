"""The functions of kernel32 that `windows` calls, with the types of what goes in and what comes back."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

assert sys.platform == "win32"

_kernel = ctypes.WinDLL("kernel32", use_last_error=True)
HANDLE, DWORD, _TEXT, _POINTER = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_wchar_p, ctypes.c_void_p


def _declared(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_kernel, name)
    function.restype, function.argtypes = result, arguments
    return function


create_file = _declared("CreateFileW", HANDLE, _TEXT, DWORD, DWORD, _POINTER, DWORD, DWORD, HANDLE)
close = _declared("CloseHandle", ctypes.c_int, HANDLE)
info = _declared("GetFileInformationByHandleEx", ctypes.c_int, HANDLE, ctypes.c_int, _POINTER, DWORD)
set_info = _declared("SetFileInformationByHandle", ctypes.c_int, HANDLE, ctypes.c_int, _POINTER, DWORD)
move = _declared("MoveFileExW", ctypes.c_int, _TEXT, _TEXT, DWORD)
open_process = _declared("OpenProcess", HANDLE, DWORD, ctypes.c_int, DWORD)
wait = _declared("WaitForSingleObject", DWORD, HANDLE, DWORD)
times = _declared("GetProcessTimes", ctypes.c_int, HANDLE, *[_POINTER] * 4)
peek = _declared("PeekNamedPipe", ctypes.c_int, HANDLE, _POINTER, DWORD, _POINTER, _POINTER, _POINTER)
console_mode = _declared("GetConsoleMode", ctypes.c_int, HANDLE, _POINTER)
set_console_mode = _declared("SetConsoleMode", ctypes.c_int, HANDLE, DWORD)
create_job = _declared("CreateJobObjectW", HANDLE, _POINTER, _TEXT)
set_job = _declared("SetInformationJobObject", ctypes.c_int, HANDLE, ctypes.c_int, _POINTER, DWORD)
into_job = _declared("AssignProcessToJobObject", ctypes.c_int, HANDLE, HANDLE)
memory_of = _declared("K32GetProcessMemoryInfo", ctypes.c_int, HANDLE, _POINTER, DWORD)


class BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = [
        ("process_time", ctypes.c_int64),
        ("job_time", ctypes.c_int64),
        ("flags", DWORD),
        ("least_set", ctypes.c_size_t),
        ("most_set", ctypes.c_size_t),
        ("processes", DWORD),
        ("affinity", ctypes.c_size_t),
        ("priority", DWORD),
        ("scheduling", DWORD),
    ]


class Limits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = [
        ("basic", BasicLimits),
        ("counters", ctypes.c_uint64 * 6),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("peak_process", ctypes.c_size_t),
        ("peak_job", ctypes.c_size_t),
    ]


class Memory(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS; the seventh of its sizes is what is committed."""

    _fields_ = [("size", DWORD), ("faults", DWORD), ("sizes", ctypes.c_size_t * 8)]
