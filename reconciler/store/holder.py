"""Which process this is, in words that tell whether it still lives.

The start time of a process is told apart from that of a later one with the same number [proc(5), field 22].
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

_HOLDER = re.compile(r"(?P<host>.+) pid (?P<pid>\d+) started (?P<start>\d+)")


def holder_identity() -> str:
    """Host, process and start of this process, such as ``vault pid 812 started 95581``."""
    return f"{socket.gethostname()} pid {os.getpid()} started {_start_of(os.getpid()) or 0}"


def has_died(holder: str) -> bool:
    """Whether the holder was a process of this machine that is there no more; False where that cannot be known."""
    match = _HOLDER.fullmatch(holder)
    if match is None or match["host"] != socket.gethostname():
        return False
    pid = int(match["pid"])
    if not Path("/proc/self").exists():
        return not _answers(pid)
    start = _start_of(pid)
    return start is None or (match["start"] != "0" and start != int(match["start"]))


def lives(holder: str) -> bool | None:
    """Whether the holder's process lives; None where it is of another machine, or of no form that says."""
    match = _HOLDER.fullmatch(holder)
    if match is None or match["host"] != socket.gethostname():
        return None
    return not has_died(holder)


def _start_of(pid: int) -> int | None:
    """Clock ticks after boot at which a process began; None where there is none, or no /proc, or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    after_name = stat.rpartition(")")[2].split()
    return None if after_name[0] == "Z" else int(after_name[19])


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
