"""Which process a holder is: what cannot be seen from here is never known to be dead."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from reconciler.errors import LockHeld
from reconciler.state import ProcessIdentity, holder_identity, lives, open_memory

CODE = "from reconciler.state import holder_identity; print(holder_identity(), flush=True)"
TTL = timedelta(seconds=60)


def test_an_identity_says_itself_and_reads_back() -> None:
    mine = ProcessIdentity.mine()
    assert ProcessIdentity.parse(holder_identity()) == mine
    assert mine.boot
    assert mine.namespace
    assert (mine.visible, mine.alive) == (True, True)
    assert ProcessIdentity.parse("somebody") is None
    assert lives("somebody") is None


@pytest.mark.parametrize("change", [{"host": "other"}, {"boot": "0" * 12}, {"namespace": "1"}, {"boot": ""}])
def test_a_process_of_another_machine_boot_or_container_is_not_known_dead(change: dict[str, str]) -> None:
    """Its number may be free here, or somebody else's."""
    for pid in (os.getpid(), 2**22 - 3):
        other = msgspec.structs.replace(ProcessIdentity.mine(), pid=pid, **change)
        assert other.alive is None
        assert lives(str(other)) is None


def test_a_holder_of_version_0_1_counts_until_its_lease_ends() -> None:
    assert lives(f"{ProcessIdentity.mine().host} pid {2**22 - 3} started 5") is None


def test_one_that_died_and_one_with_its_number() -> None:
    said = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout.strip()
    assert lives(said) is False
    assert lives(str(msgspec.structs.replace(ProcessIdentity.mine(), start=1))) is False


def test_one_that_died_and_nobody_has_asked_after() -> None:
    child = subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = child.stdout.readline().strip()
    child.stdout.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert lives(said) is False
    child.wait()


def test_a_living_holder_in_another_container_keeps_its_lease(tmp_path: Path) -> None:
    """The real thing: a process namespace of its own under the same host name."""
    way = _container()
    if not way:
        pytest.skip("a process namespace cannot be made here (unshare)")
    code = f"{CODE}; import sys; sys.stdin.read()"
    child = subprocess.Popen(
        [*way, sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        said = child.stdout.readline().strip()
        assert lives(said) is None
        memory = open_memory(tmp_path / "hq.db")
        lease = memory.locks.acquire("site:hq", said, TTL)
        assert memory.locks.holder("site:hq") == lease
        with pytest.raises(LockHeld):
            memory.locks.acquire("site:hq", holder_identity(), TTL)
        memory.close()
    finally:
        child.stdin.close()
        child.stdout.close()
        deadline = time.monotonic() + 5
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
        child.wait()


def _container() -> list[str]:
    """The command that runs another one in a process namespace of its own; none where this account may not."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return []
    for more in ((), ("--user",)):
        way = [unshare, *more, "--pid", "--fork", "--mount-proc"]
        if subprocess.run([*way, "true"], capture_output=True).returncode == 0:
            return way
    return []
