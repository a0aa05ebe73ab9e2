"""Intents: a recovery whose process died goes on only while all that was agreed holds; half done, a person decides."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reconciler.engines.embedded import cutover, recover
from reconciler.model import Agreement, Job, JobState, JobStatus, Recovery, RecoveryStep, RecoveryTarget
from reconciler.staging import LocalTarget
from tests.fakes import machine_id, recovery_of
from tests.support.place import HOME, ONE, Place, content

FIRST, SECOND = f"{HOME}/a/disk.raw", f"{HOME}/b/disk.raw"
OLD = (b"old a" * 1000, b"old b" * 1000)


class Dead(Exception):
    """Stands for a process that ended here."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


class Dying:
    """A machine with two disks and a checkpoint, and a recovery of it that dies at a moment of its own."""

    def __init__(self, place: Place, patch: pytest.MonkeyPatch) -> None:
        self.place = place
        self.patch = patch
        place.lay_out(FIRST, SECOND)
        self.point = place.back_up()
        for path, data in zip((FIRST, SECOND), OLD, strict=True):
            place.path(path).write_bytes(data)
        place.configure(FIRST, SECOND, checkpoints=[{"name": "c", "files": ["c.avhdx"]}])
        place.path(f"{HOME}/c.avhdx").write_bytes(b"checkpoint")
        self.config = place.path(f"{HOME}/vm.json").read_bytes()
        self.job = recovery_of(place.one, Recovery(self.point, RecoveryTarget.ORIGINAL, asked_by="ann"), 50)

    def die(self, owner: object, name: str, after: int = 0) -> None:
        """The process dies as it calls `name` for the time after `after`."""
        calls = 0
        real: Callable[..., Any] = getattr(owner, name)

        def act(*words: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > after:
                raise Dead
            return real(*words, **named)

        with self.patch.context() as patch:
            patch.setattr(owner, name, act)
            assert self.place.do(self.job).code == "RCL9001"

    def step(self, step: RecoveryStep, number: int = 60) -> JobStatus:
        assert self.job.recovery is not None
        if step is RecoveryStep.SETTLE:
            return self.place.do(self.with_recovery(step=step))
        later = msgspec.structs.replace(self.job.recovery, step=step, of=self.job.id)
        return self.place.do(recovery_of(self.place.one, later, number))

    def with_recovery(self, **changed: Any) -> Job:
        assert self.job.recovery is not None
        return msgspec.structs.replace(self.job, recovery=msgspec.structs.replace(self.job.recovery, **changed))

    def disks(self) -> tuple[bytes, bytes]:
        return self.place.path(FIRST).read_bytes(), self.place.path(SECOND).read_bytes()

    def beside(self) -> list[str]:
        """What is there besides the machine's own files."""
        own = {"disk.raw", "vm.json", "c.avhdx"}
        return [path.name for path in self.place.path(HOME).rglob("*") if path.is_file() and path.name not in own]


@pytest.fixture
def dying(place: Place, monkeypatch: pytest.MonkeyPatch) -> Dying:
    return Dying(place, monkeypatch)


NEW = (content(0), content(1))


# --- What somebody does meanwhile --------------------------------------------------------------------------------


def started(dying: Dying) -> None:
    dying.place.cluster.role(ONE, folder=HOME, power="running")


def written(dying: Dying) -> None:
    """As long and as old as it was, on the same inode: bytes decide."""
    path = dying.place.path(SECOND)
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"x")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replaced(dying: Dying) -> None:
    path = dying.place.path(SECOND)
    data = path.read_bytes()
    path.unlink()
    path.with_name("other").write_bytes(b"so that the inode is another one")
    path.write_bytes(data)
    path.with_name("other").unlink()


def tidied(dying: Dying) -> None:
    for path in dying.place.path(HOME).rglob(".*.staged"):
        path.unlink()


def meddled(dying: Dying) -> None:
    staged = max(dying.place.path(f"{HOME}/b").glob(".*.staged"))
    with staged.open("r+b") as file:
        file.write(b"meddled")


def waited(dying: Dying) -> None:
    dying.place.clock.forward(timedelta(hours=25))


def shared(dying: Dying) -> None:
    dying.place.cluster.add(2, "two", disks=[{"path": SECOND}])


def linked(dying: Dying) -> None:
    dying.place.path(SECOND).unlink()
    dying.place.path(SECOND).symlink_to(dying.place.path("cluster.json"))


def moved_away(dying: Dying) -> None:
    dying.place.configure(FIRST, "volumes/csv-02/elsewhere.raw")


EVENTS = [started, written, replaced, tidied, meddled, waited, shared, linked]


@pytest.mark.parametrize("event", [*EVENTS, moved_away])
def test_what_was_written_down_as_ready_is_not_carried_out_once_something_has_changed(
    dying: Dying, event: Callable[[Dying], None]
) -> None:
    dying.die(cutover, "carry_out")
    assert dying.disks() == OLD
    event(dying)
    left = [path.read_bytes() for path in map(dying.place.path, (FIRST, SECOND))]
    status = dying.step(RecoveryStep.SETTLE)
    assert (status.state, status.code) == (JobState.FAILED, "RCL7021"), status
    assert [path.read_bytes() for path in map(dying.place.path, (FIRST, SECOND))] == left
    assert dying.beside() == []
    assert dying.place.engine.unfinished() == ()
    assert dying.step(RecoveryStep.SETTLE).code == "RCL7020"
    assert dying.place.path(FIRST).read_bytes() == left[0]


def test_a_checkpoint_that_was_written_to_is_not_removed(dying: Dying) -> None:
    dying.die(cutover, "carry_out")
    path = dying.place.path(f"{HOME}/c.avhdx")
    status = path.stat()
    path.write_bytes(b"CHECKPOINT")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert dying.step(RecoveryStep.SETTLE).code == "RCL7021"
    assert path.read_bytes() == b"CHECKPOINT"
    assert dying.disks() == OLD


def test_what_was_ready_is_finished_while_everything_holds(dying: Dying) -> None:
    dying.die(cutover, "carry_out")
    assert dying.step(RecoveryStep.SETTLE).state is JobState.SUCCEEDED
    assert dying.disks() == NEW
    assert dying.beside() == []
    assert not dying.place.path(f"{HOME}/c.avhdx").exists()


@pytest.mark.parametrize("event", EVENTS)
def test_half_done_nothing_more_is_written_and_it_can_be_undone(dying: Dying, event: Callable[[Dying], None]) -> None:
    dying.die(LocalTarget, "put", after=1)
    assert dying.place.path(FIRST).read_bytes() == NEW[0]
    event(dying)
    second = dying.place.path(SECOND).read_bytes()
    status = dying.step(RecoveryStep.SETTLE)
    assert (status.state, status.code) == (JobState.INTERRUPTED, "RCL7022"), status
    assert (dying.place.path(FIRST).read_bytes(), dying.place.path(SECOND).read_bytes()) == (NEW[0], second)
    (unfinished,) = dying.place.engine.unfinished()
    assert (unfinished.replaced, unfinished.files, unfinished.asked_by) == (1, 3, "ann")
    again = dying.place.do(recovery_of(dying.place.one, Recovery(dying.point, RecoveryTarget.ORIGINAL), 70))
    assert again.code in ("RCL7022", "RCL7008", "RCL7015")
    if event is started or event is shared:
        assert dying.step(RecoveryStep.UNDO).code == "RCL7021"
        dying.place.cluster.role(ONE, folder=HOME)
        (dying.place.cluster.folder / "roles" / f"{machine_id(2)}.json").unlink(missing_ok=True)
    if event is linked:
        assert dying.step(RecoveryStep.UNDO).code == "RCL7015"
        dying.place.path(SECOND).unlink()
        second = OLD[1]
    assert dying.step(RecoveryStep.UNDO, 61).state is JobState.SUCCEEDED
    assert dying.place.path(FIRST).read_bytes() == OLD[0]
    assert dying.place.path(SECOND).read_bytes() == second
    assert dying.place.path(f"{HOME}/vm.json").read_bytes() == dying.config
    assert dying.place.path(f"{HOME}/c.avhdx").exists()
    assert [name for name in dying.beside() if ".staged" in name] == []
    assert dying.place.engine.unfinished() == ()


@pytest.mark.parametrize("done", [1, 2])
def test_half_done_it_goes_on_when_somebody_says_so(dying: Dying, done: int) -> None:
    dying.die(LocalTarget, "put", after=done)
    started(dying)
    assert dying.step(RecoveryStep.SETTLE).state is JobState.INTERRUPTED
    assert dying.step(RecoveryStep.CONTINUE).code == "RCL7022"
    dying.place.cluster.role(ONE, folder=HOME)
    waited(dying)
    if done == 1:
        written(dying)
    assert dying.step(RecoveryStep.CONTINUE, 61).state is JobState.SUCCEEDED
    assert dying.disks() == NEW
    assert dying.beside() == []
    assert dying.step(RecoveryStep.CONTINUE, 62).code == "RCL7023"


def test_one_that_is_half_done_is_not_gone_on_with_over_what_was_written_since(dying: Dying) -> None:
    dying.die(LocalTarget, "put", after=1)
    with dying.place.path(FIRST).open("r+b") as file:
        file.write(b"the guest was here")
    assert dying.step(RecoveryStep.SETTLE).code == "RCL7022"
    assert dying.step(RecoveryStep.CONTINUE).code == "RCL7022"
    assert dying.place.path(FIRST).read_bytes().startswith(b"the guest was here")
    assert dying.step(RecoveryStep.UNDO, 61).state is JobState.SUCCEEDED
    assert dying.disks() == OLD


@pytest.mark.parametrize("step", [RecoveryStep.UNDO, RecoveryStep.CONTINUE])
def test_going_back_that_was_cut_off_is_never_turned_into_going_on(dying: Dying, step: RecoveryStep) -> None:
    dying.die(LocalTarget, "put", after=1)
    assert dying.job.recovery is not None
    later = msgspec.structs.replace(dying.job.recovery, step=step, of=dying.job.id)
    dying.job = recovery_of(dying.place.one, later, 60)
    dying.die(cutover, "undo" if step is RecoveryStep.UNDO else "carry_out")
    status = dying.step(RecoveryStep.SETTLE)
    assert (status.state, status.code) == (JobState.INTERRUPTED, "RCL7022")
    assert dying.disks() == (NEW[0], OLD[1])


def test_without_the_original_nothing_is_given_back(dying: Dying) -> None:
    dying.die(LocalTarget, "put", after=1)
    for path in dying.place.path(HOME).rglob("*.original-*"):
        path.unlink()
    assert dying.step(RecoveryStep.UNDO).code == "RCL7021"
    assert dying.place.path(FIRST).read_bytes() == NEW[0]


def test_all_renamed_it_only_tidies_up(dying: Dying) -> None:
    dying.die(cutover, "finish")
    assert dying.disks() == NEW
    assert len(dying.beside()) == 3
    started(dying)
    waited(dying)
    assert dying.step(RecoveryStep.SETTLE).state is JobState.SUCCEEDED
    assert dying.beside() == []


def test_cut_off_while_it_stages_it_never_goes_on(dying: Dying, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(recover, "_clear_away", lambda *words: None)
        dying.die(recover, "_stage", after=1)
    assert [name for name in dying.beside() if name.endswith(".staged")]
    status = dying.step(RecoveryStep.SETTLE)
    assert (status.state, status.code) == (JobState.INTERRUPTED, "RCL7020")
    assert dying.disks() == OLD
    assert dying.beside() == []


def test_a_job_that_the_engine_never_heard_of_is_not_begun_by_settling(dying: Dying) -> None:
    status = dying.step(RecoveryStep.SETTLE)
    assert (status.state, status.code) == (JobState.INTERRUPTED, "RCL7020")
    assert dying.disks() == OLD


def test_the_next_recovery_ends_what_an_earlier_one_left(dying: Dying) -> None:
    dying.die(cutover, "carry_out")
    again = dying.place.do(recovery_of(dying.place.one, Recovery(dying.point, RecoveryTarget.ORIGINAL), 70))
    assert again.state is JobState.SUCCEEDED
    assert dying.beside() == []
    assert dying.step(RecoveryStep.SETTLE).code == "RCL7020"


# --- What was shown ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [written, replaced])
def test_what_was_changed_since_it_was_shown_is_not_replaced(dying: Dying, event: Callable[[Dying], None]) -> None:
    found = dying.place.engine.preview(dying.job).found
    agreed = Agreement("ann", dying.place.clock.now() + timedelta(hours=24), found)
    event(dying)
    before = dying.disks()
    status = dying.place.do(dying.with_recovery(agreed=agreed))
    assert (status.state, status.code) == (JobState.FAILED, "RCL7021")
    assert dying.disks() == before
    found = dying.place.engine.preview(dying.job).found
    late = Agreement("ann", dying.place.clock.now() - timedelta(seconds=1), found)
    assert dying.place.do(dying.with_recovery(agreed=late)).code == "RCL7021"
    assert dying.beside() == []


def test_what_is_changed_while_the_files_are_staged_is_not_replaced(
    dying: Dying, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = recover._stage
    calls = 0

    def stage(*words: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            written(dying)
        return real(*words)

    monkeypatch.setattr(recover, "_stage", stage)
    status = dying.place.do(dying.job)
    assert (status.state, status.code) == (JobState.FAILED, "RCL7021")
    assert dying.place.path(FIRST).read_bytes() == OLD[0]
    assert dying.beside() == []
