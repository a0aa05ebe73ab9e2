"""Leases: looked up before each write, taken away by token, taken by one of many, and guarding our own memory."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.errors import LockHeld, StaleFence
from reconciler.protocols import Lease
from reconciler.state import SqliteMemory, holder_identity, lives, open_memory
from tests.fakes import NOON

NAME, TTL = "site:hq", timedelta(seconds=60)
ELSEWHERE = "elsewhere pid 1 started 5"


@pytest.fixture
def memory(tmp_path: Path) -> SqliteMemory:
    return open_memory(tmp_path / "hq.db")


def test_a_lease_is_looked_up(memory: SqliteMemory) -> None:
    lease = memory.locks.acquire(NAME, ELSEWHERE, TTL)
    memory.locks.check(lease)
    memory.locks.release(lease)
    with pytest.raises(StaleFence):
        memory.locks.check(lease)
    memory.locks.acquire(NAME, holder_identity(), TTL)
    with pytest.raises(StaleFence) as stale:
        memory.locks.check(lease)
    assert stale.value.exit_code == 8
    assert holder_identity() in stale.value.diagnostic.message
    assert "lock show" in stale.value.diagnostic.remedy


def test_a_lease_is_taken_from_just_the_holder_that_was_shown(memory: SqliteMemory) -> None:
    shown = memory.locks.acquire(NAME, ELSEWHERE, TTL)
    memory.locks.release(shown)
    other = memory.locks.acquire(NAME, "third pid 2 started 5", TTL)
    with pytest.raises(LockHeld) as held:
        memory.locks.acquire(NAME, holder_identity(), TTL, taken_from=shown.token)
    assert "third pid 2" in held.value.diagnostic.message
    assert "lock show" in held.value.diagnostic.remedy
    mine = memory.locks.acquire(NAME, holder_identity(), TTL, taken_from=other.token)
    assert (mine.token, mine.took_over) == (3, "third pid 2 started 5")
    with pytest.raises(StaleFence):
        memory.locks.check(other)


def test_the_last_lease_is_shown_though_it_counts_no_more(tmp_path: Path) -> None:
    past = open_memory(tmp_path / "hq.db", lambda: datetime.now(UTC) - 2 * TTL)
    lease = past.locks.acquire(NAME, ELSEWHERE, TTL)
    memory = open_memory(tmp_path / "hq.db")
    assert memory.locks.holder(NAME) is None
    assert memory.locks.last(NAME) == lease
    past.locks.release(lease)
    assert memory.locks.last(NAME) is None
    assert memory.locks.token() == 1


def test_a_lease_of_a_clock_that_was_ahead_keeps_nobody_out(tmp_path: Path) -> None:
    """Its holder is gone in another container, which nobody can see from here; the clock is right again."""
    ahead = open_memory(tmp_path / "hq.db", lambda: datetime.now(UTC) + timedelta(days=365))
    left = ahead.locks.acquire(NAME, ELSEWHERE, TTL)
    here = open_memory(tmp_path / "hq.db")
    assert here.locks.holder(NAME) is None
    assert here.locks.acquire(NAME, holder_identity(), TTL).token == left.token + 1
    living = ahead.locks.acquire("loop:hq", holder_identity(), TTL)
    assert here.locks.holder("loop:hq") == living, "one that is seen to live continues"
    elsewhere = here.locks.acquire("job:mabs-01:x", ELSEWHERE, timedelta(minutes=10))
    assert here.locks.holder("job:mabs-01:x") == elsewhere


def test_a_memory_that_is_guarded_writes_nothing_for_a_holder_that_lost(tmp_path: Path) -> None:
    one, two = open_memory(tmp_path / "hq.db"), open_memory(tmp_path / "hq.db")
    lease = one.locks.acquire(NAME, ELSEWHERE, TTL)
    one.locks.guard(lease)
    one.marks.write("seen", NOON)
    newer = two.locks.acquire(NAME, holder_identity(), TTL, taken_from=lease.token)
    with pytest.raises(StaleFence):
        one.marks.write("seen", NOON + TTL)
    with pytest.raises(StaleFence):
        one.ledger.forget("mabs-01", "gold")
    assert two.marks.read("seen") == NOON
    two.locks.guard(newer)
    two.marks.write("seen", NOON + TTL)
    one.locks.guard(None)
    one.marks.write("seen", NOON)


def test_one_of_many_takes_an_expired_lease_over(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / str(number) / "hq.db"
        open_memory(path, lambda: datetime.now(UTC) - 2 * TTL).locks.acquire(NAME, ELSEWHERE, TTL)
        taken: list[Lease] = []
        refused: list[str] = []
        begin = threading.Barrier(6)

        def contend(
            path: Path = path,
            begin: threading.Barrier = begin,
            taken: list[Lease] = taken,
            refused: list[str] = refused,
        ) -> None:
            memory = open_memory(path)
            begin.wait()
            try:
                taken.append(memory.locks.acquire(NAME, holder_identity(), TTL))
            except LockHeld as error:
                refused.append(error.diagnostic.code)
            memory.close()

        threads = [threading.Thread(target=contend) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [(lease.token, lease.took_over) for lease in taken] == [(2, ELSEWHERE)]
        assert refused == ["RCL5003"] * 5


def test_whether_a_holder_lives() -> None:
    here = holder_identity()
    assert lives(here) is True
    assert lives(here.replace("started ", "started 1")) is False
    assert lives(ELSEWHERE) is None
    assert lives("somebody") is None
