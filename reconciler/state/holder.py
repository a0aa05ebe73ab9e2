"""Which process this is: host, boot, process namespace, number and start, in words that tell whether it still lives.

A number alone is nobody: it is used again later, and at once in another container. Only where host, boot and namespace
are ours can the number be looked up; the start tells a process from a later one with its number.
"""

from __future__ import annotations

import os
import re
import socket

import msgspec

from reconciler import system_calls

_HOLDER = re.compile(
    r"(?P<host>\S+) pid (?P<pid>\d{1,10}) started (?P<start>\d{1,20})"
    r"(?: boot (?P<boot>[0-9a-f]{12}))?(?: namespace (?P<namespace>\d{1,20}))?"
)


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A process of some machine. `boot` is the beginning of the kernel's boot id, `namespace` the number of the process
    namespace; both are "" where the system does not tell, and then nothing of it can be looked up. `start` counts the
    clock's ticks from the boot, 0 where that is not known. On Windows they are what
    `system_calls.windows_processes` says."""

    host: str
    pid: int
    start: int
    boot: str = ""
    namespace: str = ""

    @classmethod
    def mine(cls) -> ProcessIdentity:
        """This process."""
        pid = os.getpid()
        start = system_calls.process(pid).start or 0
        return cls(socket.gethostname(), pid, start, system_calls.boot(), system_calls.namespace())

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
        mine = (socket.gethostname(), system_calls.boot(), system_calls.namespace())
        return all(mine) and (self.host, self.boot, self.namespace) == mine

    @property
    def alive(self) -> bool | None:
        """Whether it lives; None where that cannot be known from here."""
        if not self.visible:
            return None
        found = system_calls.process(self.pid)
        return found.lives and (not self.start or found.start is None or found.start == self.start)


def holder_identity() -> str:
    """This process, such as ``vault pid 812 started 95581 boot 5f0c1d2e3a4b namespace 4026531836``."""
    return str(ProcessIdentity.mine())


def lives(holder: str) -> bool | None:
    """Whether the holder's process lives; None where it is of another machine, boot or container, or of no form that
    says."""
    found = ProcessIdentity.parse(holder)
    return found.alive if found is not None else None
