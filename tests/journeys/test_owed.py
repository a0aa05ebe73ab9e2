"""Evidence that is gone, cut, changed or cannot be written stops no backup and no recovery: what it could not take is
kept in the state, and is on record once it is back, or was declared lost."""

from __future__ import annotations

import errno
import json
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from reconciler import files
from reconciler.errors import TemporaryError
from reconciler.model import EvidenceKind, Record
from reconciler.state import open_memory
from tests.journeys.test_missing import at, lived, tree  # noqa: F401
from tests.journeys.test_unwritable import _no_step
from tests.shop import Shop


def records(shop: Shop) -> list[Record]:
    memory = open_memory(shop.root / "var" / "hq.db")
    try:
        return list(memory.evidence.records())
    finally:
        memory.close()


def owed(shop: Shop) -> int:
    memory = open_memory(shop.root / "var" / "hq.db")
    try:
        return len(memory.evidence.owed())
    finally:
        memory.close()


def points(shop: Shop) -> int:
    return len(json.loads(shop("points", "--output", "json").out)["points"])


def gone(folder: Path) -> None:
    shutil.rmtree(folder)


def cut(folder: Path) -> None:
    last = max(folder.glob("*.jsonl"))
    last.write_bytes(last.read_bytes()[:-40])


def flipped(folder: Path) -> None:
    last = max(folder.glob("*.jsonl"))
    data = bytearray(last.read_bytes())
    data[-10] ^= 1
    last.write_bytes(data)


def unreadable(folder: Path) -> None:
    last = max(folder.glob("*.jsonl"))
    data = last.read_bytes()
    last.write_bytes(data[: data[:-1].rfind(b"\n") + 1] + b"\xff\x00\n")


HARMS = pytest.mark.parametrize("harm", [gone, cut, flipped, unreadable])


def live_without(shop: Shop, elsewhere: Path) -> None:
    """Backups, recoveries and a change of the policies, while the evidence cannot be written."""
    shop.policy("5d", "9d")
    for hour in (12, 13):
        run = shop("run", "--once", *at(hour))
        assert (run.code, "RCL5042" in run.out, "2 jobs succeeded" in run.out) == (69, True, True), run
        assert "0 steps applied" in run.out
    shown = shop("status", *at(13))
    assert (shown.code, "RCL5042" in shown.out, "kept in the state" in shown.out) == (69, True, True), shown
    assert shop("status", "--check", *at(13)).code == 69
    assert shop("recover", "one", "--to", str(elsewhere), "--yes", *at(13)).code == 0
    applied = shop("apply", "--yes", *at(13))
    assert (applied.code, "RCL5042" in applied.err) == (69, True), applied


@HARMS
def test_jobs_go_on_without_the_evidence_and_are_on_record_once_it_is_back(
    lived: Shop,  # noqa: F811
    tmp_path: Path,
    harm: Callable[[Path], None],
) -> None:
    folder, copy = lived.root / "var" / "hq.evidence", tmp_path / "copy"
    shutil.copytree(folder, copy)
    known, there = len(records(lived)), points(lived)
    harm(folder)
    harmed = tree(folder) if folder.exists() else {}
    live_without(lived, tmp_path / "safe")
    assert points(lived) == there + 4
    assert (tree(folder) if folder.exists() else {}) == harmed, "what is left is compared with a copy"
    shutil.rmtree(folder, ignore_errors=True)
    copy.rename(folder)
    run = lived("run", "--once", *at(13))
    assert (run.code, "1 step applied" in run.out) == (0, True), run
    kinds = Counter(each.kind for each in records(lived)[known:])
    assert kinds[EvidenceKind.POINT] == 4
    assert kinds[EvidenceKind.RECOVERY] == 1
    assert lived("evidence", "verify").code == 0
    assert owed(lived) == 0
    assert lived("status", "--check", *at(13)).code == 0


@HARMS
def test_what_is_owed_is_in_the_chain_that_begins_where_one_is_declared_lost(
    lived: Shop,  # noqa: F811
    tmp_path: Path,
    harm: Callable[[Path], None],
) -> None:
    folder = lived.root / "var" / "hq.evidence"
    harm(folder)
    live_without(lived, tmp_path / "safe")
    done = lived("evidence", "declare-lost", "--reason", "the disk burnt", "--yes")
    assert done.code == 0, done
    found = records(lived)
    assert [each.kind for each in found[:2]] == [EvidenceKind.RUN, EvidenceKind.STATE]
    kinds = Counter(each.kind for each in found)
    assert (kinds[EvidenceKind.POINT], kinds[EvidenceKind.RECOVERY], owed(lived)) == (4, 1, 0)
    assert lived("evidence", "verify").code == 0
    run = lived("run", "--once", *at(13))
    assert (run.code, "1 step applied" in run.out) == (0, True), run


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_jobs_go_on_where_the_evidence_cannot_be_written(lived: Shop, tmp_path: Path, number: int) -> None:  # noqa: F811
    folder = lived.root / "var" / "hq.evidence"
    known, there = len(records(lived)), points(lived)
    with _no_step(folder, number):
        run = lived("run", "--once", *at(12))
        assert (run.code, "RCL5021" in run.out, "2 jobs succeeded" in run.out) == (69, True, True), run
        assert "kept in the state" in lived("status", *at(12)).out
        assert lived("recover", "one", "--to", str(tmp_path / "safe"), "--yes", *at(12)).code == 0
        lived.policy("5d", "9d")
        applied = lived("apply", "--yes", *at(12))
        assert (applied.code, "RCL5021" in applied.err) == (69, True), applied
    assert (points(lived), owed(lived) > 3) == (there + 2, True)
    run = lived("run", "--until-idle", *at(12))
    assert (run.code, "1 step applied" in run.out) == (0, True), run
    kinds = Counter(each.kind for each in records(lived)[known:])
    assert (kinds[EvidenceKind.POINT], kinds[EvidenceKind.RECOVERY], owed(lived)) == (2, 1, 0)
    assert lived("evidence", "verify").code == 0


def test_a_record_that_is_owed_is_written_once_wherever_its_writer_is_killed(lived: Shop) -> None:  # noqa: F811
    """Killed at each durable step of writing two, and gone on with: there is each of them once, in order."""
    database = lived.root / "var" / "hq.db"
    known = records(lived)
    told = [Record(0, "", known[-1].at, EvidenceKind.DRIFT, "", {"group": name}) for name in ("a", "b")]
    memory = open_memory(database)
    memory.evidence.owe(told)
    memory.close()
    for step in range(1, 12):
        with ExitStack() as until:
            until.enter_context(files.watch(_dies_after(step)))
            memory = open_memory(database)
            until.callback(memory.close)
            if step % 2:  # the state does not learn of it either
                until.enter_context(pytest.MonkeyPatch.context()).setattr(memory.evidence, "_note_end", _dies)
            with suppress(_Killed, TemporaryError):
                memory.evidence.settle()
    memory = open_memory(database)
    memory.evidence.settle()
    assert memory.evidence.owed() == ()
    memory.close()
    found = records(lived)
    assert [each.body for each in found[len(known) :]] == [each.body for each in told]
    assert lived("evidence", "verify").code == 0


class _Killed(BaseException):
    pass


def _dies(*_: object) -> None:
    raise _Killed


def _dies_after(count: int) -> Callable[[files.Step], None]:
    left = count

    def watch(step: files.Step) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _Killed

    return watch


def test_what_is_owed_outlives_a_restore_of_the_state(lived: Shop, tmp_path: Path) -> None:  # noqa: F811
    """Both of the present state and of the backup's, and what was written since then not twice."""
    folder, backup = lived.root / "var" / "hq.evidence", str(tmp_path / "b.tar")
    known = len(records(lived))
    with _no_step(folder, errno.EROFS):
        assert lived("run", "--once", *at(12)).code == 69
        assert lived("state", "backup", backup).code == 0
    assert lived("run", "--until-idle", *at(12)).code == 0
    with _no_step(folder, errno.EROFS):
        assert lived("run", "--once", *at(13)).code == 69
    assert lived("state", "restore", backup, "--yes").code == 0
    assert lived("run", "--once", "--confirm-clock", *at(13)).code == 0
    kinds = Counter(each.kind for each in records(lived)[known:])
    assert (kinds[EvidenceKind.POINT], owed(lived)) == (4, 0)
    assert lived("evidence", "verify").code == 0
