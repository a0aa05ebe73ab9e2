"""Which process this is: host, boot, process namespace, number and start, in words that tell whether it still lives.

A number alone is nobody: it is used again later, and at once in another container. Only where host, boot and namespace
are ours can the number be looked up; the start tells a process from a later one with its number [proc(5), field 22].
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import msgspec

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")
_HOLDER = re.compile(
    r"(?P<host>\S+) pid (?P<pid>\d{1,10}) started (?P<start>\d{1,20})"
    r"(?: boot (?P<boot>[0-9a-f]{12}))?(?: namespace (?P<namespace>\d{1,20}))?"
)


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A process of some machine. `boot` is the beginning of the kernel's boot id, `namespace` the number of the process
    namespace; both are "" where the system does not tell, and then nothing of it can be looked up. `start` counts the
    clock's ticks from the boot, 0 where that is not known."""

    host: str
    pid: int
    start: int
    boot: str = ""
    namespace: str = ""

    @classmethod
    def mine(cls) -> ProcessIdentity:
        """This process."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _start_of(pid) or 0, _boot(), _namespace())

    @classmethod
    def parse(cls, text: str) -> ProcessIdentity | None:
        """What `str` made of one, by version 0.1 too; None for anything else."""
        found = _HOLDER.fullmatch(text)
        if found is None:
            return None
        return cls(found["host"], int(found["pid"]), int(found["start"]), found["boot"] or "", found["namespace"] or "")

    def __str__(self) -> str:
        boot = f" boot {self.boot}" if self.boot else ""
        namespace = f" namespace {self.namespace}" if self.namespace else ""
        return f"{self.host} pid {self.pid} started {self.start}{boot}{namespace}"

    @property
    def visible(self) -> bool:
        """Whether its number means the same here: this host, this boot, this namespace, and all of them known."""
        mine = (socket.gethostname(), _boot(), _namespace())
        return all(mine) and (self.host, self.boot, self.namespace) == mine

    @property
    def alive(self) -> bool | None:
        """Whether it lives; None where that cannot be known from here."""
        if not self.visible:
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except (PermissionError, OverflowError):
            pass
        ticks = _start_of(self.pid)
        if ticks is None:
            return not _is_zombie(self.pid)
        return not self.start or ticks == self.start


def holder_identity() -> str:
    """This process, such as ``vault pid 812 started 95581 boot 5f0c1d2e3a4b namespace 4026531836``."""
    return str(ProcessIdentity.mine())


def lives(holder: str) -> bool | None:
    """Whether the holder's process lives; None where it is of another machine, boot or container, or of no form that
    says."""
    found = ProcessIdentity.parse(holder)
    return found.alive if found is not None else None


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip().replace("-", "")[:12]
    except (OSError, UnicodeDecodeError):
        return ""


def _namespace() -> str:
    try:
        return str(_NAMESPACE.stat().st_ino)
    except OSError:
        return ""


def _stat_of(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name; none where it cannot be read."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()


def _start_of(pid: int) -> int | None:
    """Clock ticks after boot at which a process began; None where there is none, or no /proc, or it is a zombie."""
    fields = _stat_of(pid)
    return int(fields[19]) if len(fields) > 19 and fields[0] != "Z" else None


def _is_zombie(pid: int) -> bool:
    return _stat_of(pid)[:1] == ["Z"]
