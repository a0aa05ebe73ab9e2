"""Sources that do not hold still: what was seen to change is no point, and a point says what it is."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.engines.embedded import EmbeddedEngine, open_engine, scan
from reconciler.engines.embedded.blocks import HOLE, NAME
from reconciler.engines.embedded.maps import FileMap
from reconciler.engines.embedded.scan import READ_BYTES, _Source, _to_look_at_again
from reconciler.inventory.directory import FileReader
from reconciler.model import (
    Consistency,
    CreateGroup,
    JobKind,
    JobState,
    JobStatus,
    Recovery,
    RecoveryPoint,
    RecoveryTarget,
)
from reconciler.protocols import Fence
from tests.fakes import BLOCK, DiskCluster, SetClock, first_use, group, job, recovery_of, setup_for

BLOCKS = 6


class Site:
    """One machine of six blocks that runs, and the engine that backs it up."""

    def __init__(self, folder: Path) -> None:
        self.clock = SetClock()
        self.cluster = DiskCluster(folder / "cluster")
        self.one = self.cluster.add(1, "one", data=bytes(range(1, 129)) * (BLOCK // 128) * BLOCKS)
        self.cluster.role(1, power="running")
        self.disk = self.cluster.disk(1)
        self.folder = folder
        self.engine: EmbeddedEngine = open_engine(setup_for(folder / "store", self.cluster, self.clock))
        first_use(self.engine)
        self.engine.apply(CreateGroup("mabs-01", group("gold", self.one)), Fence(1))
        self.number = 0

    def back_up(self) -> JobStatus:
        self.clock.forward(timedelta(hours=1))
        kind = JobKind.SYNCHRONIZATION if self.points() else JobKind.INITIAL_REPLICA
        return self._do(job(kind, self.one, self._next()))

    def points(self) -> list[RecoveryPoint]:
        return sorted(self.engine.observe().points, key=lambda point: point.time)

    def newest(self) -> bytes:
        """The disk as the newest point has it."""
        out = self.folder / f"out-{self._next()}"
        recovery = Recovery(self.points()[-1].id, RecoveryTarget.FOLDER, folder=str(out))
        assert self._do(recovery_of(self.one, recovery, self.number)).state is JobState.SUCCEEDED
        return (out / "disk.raw").read_bytes()

    def _next(self) -> int:
        self.number += 1
        return self.number

    def _do(self, what: object) -> JobStatus:
        handle = self.engine.start(what, Fence(1))  # type: ignore[arg-type]
        deadline = time.monotonic() + 30
        while not (status := self.engine.poll(handle)).state.ended:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return status


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.engine.close()


@contextmanager
def mapped(disk: Path) -> Iterator[mmap.mmap]:
    """The disk in memory, every page of it written to before: stores go on without a sign in size or times."""
    with disk.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        for page in range(0, len(memory), mmap.PAGESIZE):
            memory[page] = memory[page]
        yield memory


def at_read(
    monkeypatch: pytest.MonkeyPatch, acts: list[Callable[[], None]], *, times_tell: bool, name: str = "disk.raw"
) -> None:
    """Does the next act each time the file's reading begins anew; where times do not tell, none ever does."""
    real, generation = FileReader.read, FileReader.generation

    def read(self: FileReader, offset: int, length: int) -> bytes:
        found = real(self, offset, length)
        if self._path.name == name and offset == 0 and acts:
            acts.pop(0)()
        return found

    monkeypatch.setattr(FileReader, "read", read)
    if not times_tell:
        monkeypatch.setattr(FileReader, "generation", lambda self: generation(self).split()[0])


def test_a_machine_that_runs_and_holds_still_is_crash_consistent(site: Site) -> None:
    assert site.back_up().state is JobState.SUCCEEDED
    site.cluster.change(1, 2, seed=1)
    assert site.back_up().state is JobState.SUCCEEDED
    assert [each.consistency for each in site.points()] == [Consistency.CRASH] * 2
    assert site.newest() == site.disk.read_bytes()


@pytest.mark.parametrize("initial", [True, False])
def test_a_writer_through_mapped_memory_is_seen_and_the_second_try_counts(
    site: Site, monkeypatch: pytest.MonkeyPatch, initial: bool
) -> None:
    if not initial:
        assert site.back_up().state is JobState.SUCCEEDED
    with mapped(site.disk) as memory:
        memory[4 * BLOCK : 4 * BLOCK + 3] = b"abc"  # new since the point before, and about to change

        def store() -> None:
            memory[4 * BLOCK : 4 * BLOCK + 3] = b"xyz"

        at_read(monkeypatch, [store], times_tell=False)
        status = site.back_up()
        assert status.state is JobState.SUCCEEDED, status
    assert site.newest() == site.disk.read_bytes()
    assert site.newest()[4 * BLOCK :][:3] == b"xyz"


def test_a_writer_that_goes_on_gives_no_point(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert site.back_up().state is JobState.SUCCEEDED
    before = site.points()
    held = site.disk.read_bytes()
    with mapped(site.disk) as memory:
        memory[BLOCK] ^= 0xFF

        def store() -> None:
            memory[BLOCK] = (memory[BLOCK] + 1) % 256

        at_read(monkeypatch, [store] * 2, times_tell=False)
        status = site.back_up()
    assert (status.state, status.code) == (JobState.FAILED, "RCL2110")
    assert site.points() == before
    monkeypatch.undo()
    assert site.newest() == held


def test_a_hole_that_is_written_to_after_it_was_passed_is_seen(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.disk.open("r+b") as file:
        file.truncate(BLOCK)
        file.truncate(64 * BLOCK)
    with site.disk.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:

        def store() -> None:
            memory[40 * BLOCK] = 7

        at_read(monkeypatch, [store], times_tell=False, name="vm.json")  # the disk has been read by then
        assert site.back_up().state is JobState.SUCCEEDED
    monkeypatch.undo()
    assert site.newest() == site.disk.read_bytes()
    assert site.newest()[40 * BLOCK] == 7


def test_a_writer_between_the_reads_is_seen_by_the_times_alone_where_the_machine_is_off(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.cluster.role(1, power="off")
    at_read(monkeypatch, [lambda: site.cluster.change(1, 0, seed=3)], times_tell=True)
    assert site.back_up().state is JobState.SUCCEEDED
    assert site.newest() == site.disk.read_bytes()
    assert [each.consistency for each in site.points()] == [Consistency.APPLICATION]


@pytest.mark.parametrize(("first", "then"), [("off", "running"), ("running", "off")])
def test_power_that_changes_in_the_middle_makes_it_read_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch, first: str, then: str
) -> None:
    site.cluster.role(1, power=first)
    at_read(monkeypatch, [lambda: site.cluster.role(1, power=then)], times_tell=True)
    assert site.back_up().state is JobState.SUCCEEDED
    ends_off = then == "off"
    assert site.points()[0].consistency is (Consistency.APPLICATION if ends_off else Consistency.CRASH)


def test_power_that_changes_again_and_again_gives_no_point(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.cluster.role(1, power="off")
    turns = [lambda: site.cluster.role(1, power="running"), lambda: None, lambda: site.cluster.role(1, power="off")]
    at_read(monkeypatch, [turns[0], turns[2]], times_tell=True)
    status = site.back_up()
    assert (status.state, status.code) == (JobState.FAILED, "RCL2110")
    assert site.points() == []


@pytest.mark.parametrize(
    ("power", "stated", "consistency"),
    [
        ("off", {}, Consistency.APPLICATION),
        ("running", {}, Consistency.CRASH),
        ("running", {"guestSystem": "linux"}, Consistency.CRASH),
        ("running", {"guestSystem": "Linux", "quiescedExport": True}, Consistency.FILE),
        ("running", {"guestSystem": "linux", "quiescedExport": False}, Consistency.CRASH),
        ("running", {"guestSystem": "windows", "quiescedExport": True}, Consistency.CRASH),
        ("saved", {"guestSystem": "windows"}, Consistency.CRASH),
        ("off", {"guestSystem": "linux", "quiescedExport": True}, Consistency.APPLICATION),
    ],
)
def test_what_a_point_is(site: Site, power: str, stated: dict[str, Any], consistency: Consistency) -> None:
    site.cluster.add(1, "one", **stated)
    site.cluster.role(1, power=power)
    assert site.back_up().state is JobState.SUCCEEDED
    assert [each.consistency for each in site.points()] == [consistency]


class _Extents:
    """A reader that has only its extents."""

    def __init__(self, extents: list[tuple[int, int]]) -> None:
        self._extents = extents

    def extents(self) -> Iterator[tuple[int, int]]:
        return iter(self._extents)


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from([0, 1, 2]), max_size=80),
    st.none() | st.lists(st.sampled_from([0, 1, 2]), max_size=80),
    st.sets(st.integers(0, 79)),
    st.sets(st.integers(0, 79)),
    st.sampled_from([1, 5, 1024]),
)
def test_what_is_looked_at_again(
    now: list[int], before: list[int] | None, looked: set[int], filled: set[int], at_once: int
) -> None:
    """Each block that is new or was passed over and is filled by now, once, in order, no others."""

    def made(names: list[int]) -> FileMap:
        return FileMap("d", False, len(names) * BLOCK, 0, 0, b"".join(bytes([name]) * NAME for name in names))

    filled &= set(range(len(now)))
    flags = bytearray(index in looked for index in range(len(now)))
    reader = _Extents([(index * BLOCK, BLOCK) for index in sorted(filled)])
    source = _Source("d", False, reader, "", flags, None if before is None else made(before))  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_AT_ONCE", at_once)
        runs = list(_to_look_at_again(source, made(now)))
    again = [first + place for first, count in runs for place in range(count)]
    known = dict(enumerate(before or []))
    assert again == [
        index
        for index, name in enumerate(now)
        if name != known.get(index, 0) or (index in filled and index not in looked)
    ]
    assert all(count * BLOCK <= READ_BYTES for _, count in runs)
    assert bytes(NAME) == HOLE
