"""lock show, lock release: the holder is named, asked about, and on record when it loses the site."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pexpect
import pytest

from reconciler.model import EvidenceKind
from reconciler.protocols import Run
from reconciler.state import SqliteMemory, holder_identity, open_memory
from tests.fakes import NOON
from tests.journeys.test_terminal import _spawn
from tests.shop import Shop

T1 = ("--now", "2026-03-10T12:00Z")
ELSEWHERE = "vault-2 pid 812 started 95581"
MINUTE = timedelta(seconds=60)


@contextmanager
def memory_of(shop: Shop, ago: timedelta = timedelta(0)) -> Iterator[SqliteMemory]:
    memory = open_memory(shop.root / "var" / "hq.db", lambda: datetime.now(UTC) - ago)
    try:
        yield memory
    finally:
        memory.close()


def held_by(shop: Shop, holder: str, ago: timedelta = timedelta(0)) -> None:
    with memory_of(shop, ago) as memory:
        lease = memory.locks.acquire("site:hq", holder, MINUTE)
        memory.journal.begin(Run("run-1", "apply", "anna", holder, NOON, lease.token), None)


def test_a_site_that_is_free(shop: Shop) -> None:
    said = shop("lock", "show")
    assert (said.code, said.out) == (0, "hq is free: nobody holds its lease.\n")
    assert json.loads(shop("lock", "show", "--output", "json").out)["lease"] is None
    assert not (shop.root / "var").exists()
    none = shop("lock", "release")
    assert (none.code, "RCL5041" in none.err) == (69, True)


def test_a_holder_elsewhere_is_shown_with_its_run(shop: Shop) -> None:
    held_by(shop, ELSEWHERE)
    said = shop("lock", "show")
    assert said.code == 0
    for words in (
        "hq is held",
        ELSEWHERE,
        "on another host or in a container",
        "since",
        "until",
        "token",
        "run run-1 (apply) of anna",
    ):
        assert words in said.out
    told = json.loads(shop("lock", "show", "--output", "json").out)
    assert (told["held"], told["alive"], told["lease"]["token"]) == (True, None, 1)
    assert [run["id"] for run in told["runs"]] == ["run-1"]


def test_who_comes_second_is_told_who_and_where_to_look(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.cli.actions.apply._PATIENCE", timedelta(0))
    with memory_of(shop) as memory:
        memory.locks.acquire("site:hq", ELSEWHERE, MINUTE)
    said = shop("apply", "--yes", *T1)
    assert said.code == 8
    for words in (ELSEWHERE, "since", "until", "reconciler lock show"):
        assert words in said.err


def test_a_holder_that_expired_or_died_is_said_to_be_over(shop: Shop) -> None:
    held_by(shop, ELSEWHERE, ago=2 * MINUTE)
    assert "which is over" in shop("lock", "show").out
    dead = subprocess.run(
        [sys.executable, "-c", "from reconciler.state import holder_identity; print(holder_identity())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    with memory_of(shop) as memory:
        memory.locks.acquire("site:hq", dead, MINUTE)
    said = shop("lock", "show")
    assert "hq is free again" in said.out
    assert "died" in said.out
    assert shop("lock", "release").code == 0  # nobody is left who could be asked about
    assert "nobody holds" in shop("lock", "show").out


def test_a_release_wants_a_yes_and_is_on_record(shop: Shop) -> None:
    held_by(shop, ELSEWHERE)
    refused = shop("lock", "release")
    assert (refused.code, "RCL5007" in refused.err) == (5, True)
    assert "hq is held" in shop("lock", "show").out
    said = shop("lock", "release", "--yes")
    assert said.code == 0, said.err
    assert ELSEWHERE in said.out
    with memory_of(shop) as memory:
        assert memory.locks.last("site:hq") is None
        assert memory.locks.token() == 2
        run = memory.journal.runs()[0]
        assert (run.command, run.ended_as, run.fence) == ("lock release", "done", 2)
        (record,) = (each for each in memory.evidence.records() if each.kind is EvidenceKind.LOCK)
        assert (record.kind, record.body["what"]) == (EvidenceKind.LOCK, "released")
        assert (record.body["holder"], record.body["token"]) == (ELSEWHERE, 1)
        assert (record.body["actor"], record.body["process"]) == (run.actor, run.host)


@pytest.mark.parametrize(("answer", "code"), [("y", 5), ("yes", 0)])
def test_a_release_from_a_living_process_warns_and_asks(shop: Shop, answer: str, code: int) -> None:
    held_by(shop, holder_identity())
    child = _spawn(shop.root, "lock", "release")
    child.expect("process +lives")
    child.expect("Its process is running on this host")
    child.expect("Release its lease")
    child.sendline(answer)
    child.expect("Released" if code == 0 else "RCL5007")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == code
    with memory_of(shop) as memory:
        assert (memory.locks.last("site:hq") is None) is (code == 0)


def test_a_takeover_is_on_record_once(shop: Shop) -> None:
    with memory_of(shop, ago=2 * MINUTE) as memory:
        memory.locks.acquire("site:hq", ELSEWHERE, MINUTE)
    assert shop("apply", "--yes", *T1).code == 0
    with memory_of(shop) as memory:
        records = [record for record in memory.evidence.records() if record.kind is EvidenceKind.LOCK]
        assert [(record.body["what"], record.body["tookOver"]) for record in records] == [("takenOver", ELSEWHERE)]
        assert memory.journal.runs()[0].took_over == ELSEWHERE
    assert shop("apply", "--yes", *T1).code == 0
    with memory_of(shop) as memory:
        assert sum(record.kind is EvidenceKind.LOCK for record in memory.evidence.records()) == 1


def test_the_lease_is_shown_though_no_server_opens(shop: Shop) -> None:
    held_by(shop, ELSEWHERE)
    (shop.root / "var" / "mabs-01").write_text("no folder")
    assert ELSEWHERE in shop("lock", "show").out
    assert shop("lock", "release", "--yes").code == 0
