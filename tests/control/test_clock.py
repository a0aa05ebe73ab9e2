"""A clock that is wrong: ahead, back, there and back; by a minute to ten years; once, until idle and watching; between
two looks, within a look, and while a job runs.

Each site lives by a true time that nobody shows it. Backups go on: no two hours of true time pass without a point.
Nothing expires. What lies in the future is told. `make prove-clock` runs the whole matrix, `make test` a part of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from reconciler.control.clock import ALARMS, doubt_of, future_times
from reconciler.control.drift.in_flight import in_flight
from reconciler.control.jobs.dispatch import poll
from reconciler.control.loop import loop
from reconciler.control.loop.summary import Summary
from reconciler.control.loop.tick import Tick
from reconciler.control.observe import Observation, observe
from reconciler.control.status import below_threshold, status
from reconciler.errors import Diagnostic
from reconciler.model import JobRecord, JobState
from reconciler.schedule import ahead
from tests.control.test_apply import Desk
from tests.fakes import NOON

PROVE = bool(os.environ.get("RECONCILER_PROVE"))
STEP = timedelta(minutes=15)
#: Odd seconds, so that no moment comes twice by chance.
ODD = timedelta(seconds=37, microseconds=123)

SIZES = {
    "a minute": timedelta(minutes=1),
    "an hour": timedelta(hours=1),
    "ten days": timedelta(days=10),
    "ten years": timedelta(days=3653),
}
#: What the offset is multiplied with, in each part of the life after the first.
COURSES = {
    "ahead": (1, 1),
    "back": (-1, -1),
    "ahead and right again": (1, 0),
    "back and right again": (-1, 0),
    "ahead, then back": (1, -1),
}
MODES = ("once", "idle", "watching")
PHASES = ("between looks", "within a look", "during a job")
MATRIX = [(course, size, mode, phase) for course in COURSES for size in SIZES for mode in MODES for phase in PHASES]
#: Each course, size, mode and phase several times, in mixed company.
PART = [combination for number, combination in enumerate(MATRIX) if number % 19 == 0]


class LyingClock:
    """Shows the true time and what it is off by."""

    def __init__(self) -> None:
        self.truth = NOON
        self.off = timedelta(0)

    def now(self) -> datetime:
        return self.truth + self.off


class Look(NamedTuple):
    """One look of the loop at its site: the true time, and the points that were there afterwards."""

    truth: datetime
    points: frozenset[str]
    jobs: int


class Life:
    """A site with a clock that lies, and what happened in it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = LyingClock()
        self.desk = Desk(root)
        self.desk.site.close()
        self.desk.clock = self.clock  # type: ignore[assignment]
        self.desk.site = self.desk.open()
        self.monkeypatch = monkeypatch
        self.looks: list[Look] = []
        self.jobs = 0
        self.turn: timedelta | None = None
        self.phase = ""
        engine = self.desk.site.engines["mabs-01"]
        self._spy(engine, "observe", "within a look")
        self._spy(engine, "poll", "during a job")

    def _spy(self, engine: Any, name: str, phase: str) -> None:
        real: Callable[..., Any] = getattr(engine, name)

        def spied(*given: Any) -> Any:
            if self.phase == phase and (name != "poll" or self.desk.site.memory.jobs.running()):
                self.take_turn()
            return real(*given)

        self.monkeypatch.setattr(engine, name, spied)

    def take_turn(self) -> None:
        if self.turn is not None:
            self.clock.off, self.turn = self.turn, None

    # --- A watcher of the loop ---

    def ticked(self, done: Tick) -> None:
        pass

    def job(self, record: JobRecord) -> None:
        assert record.status.state is not JobState.FAILED, record
        self.jobs += record.status.state.ended

    def said(self, finding: Diagnostic) -> None:
        pass

    def over(self, finding: Diagnostic) -> None:
        pass

    # --- Living ---

    def live(self, hours: int, mode: str) -> None:
        """Lives so long, looking every quarter of an hour."""
        end = self.clock.truth + timedelta(hours=hours)
        if mode == "watching":
            self._watch(end)
            return
        run = loop.run_once if mode == "once" else loop.run_until_idle
        while self.clock.truth < end:
            self._begin()
            run(self.desk.site, self.desk.root, self)
            self._noted()

    def _begin(self) -> None:
        if self.phase == "between looks":
            self.take_turn()

    def _noted(self) -> None:
        self.take_turn()  # where no job ran in which it could be taken
        self.looks.append(Look(self.clock.truth, frozenset(self.desk.server.points), self.jobs))
        self.jobs = 0
        self.clock.truth += STEP

    def _watch(self, end: datetime) -> None:
        """The loop as it is, but for its rests: those take no time of the test's, and a quarter of the clock's."""

        def rests(*_: object, **__: object) -> Iterator[set[object]]:
            self._noted()
            if self.clock.truth >= end:
                self.desk.site.stop.ask()
            self._begin()
            yield set()

        self.monkeypatch.setattr(loop, "watch", rests)
        self.monkeypatch.setattr(loop, "_rest_seconds", lambda failures: -1.0)
        self._begin()
        loop._Worker(self.desk.site, self.desk.root, self, Summary()).serve()
        self.desk.site.stop.event.clear()

    def observation(self) -> Observation:
        phase, self.phase = self.phase, ""
        try:
            return observe(self.desk.site)
        finally:
            self.phase = phase


@contextmanager
def life(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Life]:
    one = Life(root, monkeypatch)
    try:
        yield one
    finally:
        one.desk.site.close()


def check(one: Life) -> None:
    """Backups went on by true time; nothing expired; what lies in the future is told, and nothing else."""
    made = [one.looks[0].truth]
    for before, after in pairwise(one.looks):
        assert before.points <= after.points, "a point expired"
        assert after.jobs <= 6, "jobs without end"
        made += [after.truth] if after.points > before.points else []
    made.append(one.looks[-1].truth)
    longest = max(later - earlier for earlier, later in pairwise(made))
    assert longest <= timedelta(hours=2), longest
    seen = one.observation()
    wrong = [point for point in one.desk.server.points.values() if ahead(point.time, one.clock.now())]
    told = {each.code for each in future_times(one.desk.site, seen)}
    assert ("RCL6018" in told) == bool(wrong)
    failing = {each.code for each in below_threshold(status(one.desk.site, seen, None), timedelta(hours=1))}
    assert (failing & ALARMS) == told
    assert not wrong or failing & ALARMS


@pytest.mark.parametrize(("course", "size", "mode", "phase"), MATRIX if PROVE else PART)
def test_whatever_the_clock_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, course: str, size: str, mode: str, phase: str
) -> None:
    with life(tmp_path, monkeypatch) as one:
        one.live(2, mode)
        for number, factor in enumerate(COURSES[course]):
            one.phase, one.turn = phase, factor * SIZES[size] + (number + 1) * ODD * (factor != 0)
            one.live(4 if PROVE else 3, mode)
        check(one)


@pytest.mark.parametrize("factor", [1, -1])
def test_one_look_with_a_wrong_clock_and_then_right_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: int
) -> None:
    for name, size in SIZES.items() if PROVE else [("size", SIZES["ten days"])]:
        with life(tmp_path / name, monkeypatch) as one:
            one.live(3, "idle")
            one.clock.off = factor * size + ODD
            one.live(0, "idle")
            loop.run_until_idle(one.desk.site, one.desk.root, one)
            one._noted()
            one.clock.off = timedelta(0)
            one.live(4, "idle")
            check(one)


def test_a_check_with_maxhours_is_not_ended_by_a_clock_that_jumps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with life(tmp_path, monkeypatch) as one:
        one.live(1, "idle")
        site = one.desk.site
        (record, *_) = site.memory.jobs.history(1)
        running = msgspec.structs.replace(
            record,
            job=msgspec.structs.replace(record.job, id="check-1", max_hours=1),
            status=msgspec.structs.replace(record.status, state=JobState.RUNNING, result=None),
            started_at=one.clock.now(),
            ended_at=None,
        )
        site.memory.jobs.record(running)
        site.started["check-1"] = time.monotonic()
        one.clock.off = timedelta(days=10)
        engine = site.engines["mabs-01"]
        monkeypatch.setattr(engine, "poll", lambda handle: running.status)
        (still,) = poll(site)
        assert still.status.state is JobState.RUNNING
        site.started.clear()  # of a process that is gone: the stored time is all there is
        (ended,) = poll(site)
        assert ended.status.code == "RCL6016"


def test_the_first_points_were_made_at_the_true_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The world of these tests is one in which a right clock makes a point an hour."""
    with life(tmp_path, monkeypatch) as one:
        one.live(5, "watching")
        check(one)
        times = sorted(point.time for point in one.desk.server.points.values())
        assert times[0] == NOON.astimezone(UTC)
        assert len(times) == 2 * 5


def test_what_was_applied_while_the_clock_was_ahead_is_not_in_flight_until_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with life(tmp_path, monkeypatch) as one:
        one.clock.off = timedelta(days=60)
        one.live(1, "idle")
        one.clock.off = timedelta(0)
        site = one.desk.site
        assert in_flight(site, one.observation()) == ()
        one.live(1, "idle")
        (noted,) = site.memory.ledger.sightings()
        assert noted.as_left_at <= one.clock.now()


def test_times_in_the_future_that_somebody_knows_of_are_no_alarm_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An initial replica and an apply of a wrong year stay in the state; an alarm that lasts for that year would hide
    the next one."""
    with life(tmp_path, monkeypatch) as one:
        one.clock.off = timedelta(days=365)
        one.live(2, "idle")
        one.clock.off = timedelta(0)
        one.live(1, "idle")
        assert _alarms(one) == {"RCL6018", "RCL6019"}
        loop.run_until_idle(one.desk.site, one.desk.root, one, confirm_clock=True)
        assert _alarms(one) == set()
        assert {each.code for each in future_times(one.desk.site, one.observation())} == {"RCL6018", "RCL6019"}
        one.clock.off = timedelta(days=500)
        one.live(1, "idle")
        one.clock.off = timedelta(0)
        assert "RCL6018" in _alarms(one), "what came later is one again"


def _alarms(one: Life) -> set[str]:
    now = status(one.desk.site, one.observation(), None)
    return {each.code for each in below_threshold(now, timedelta(hours=1))} & ALARMS


def test_when_the_clock_was_right_again_is_noted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong year that was confirmed lies ahead for years: the points of the day when it was put right expire."""
    with life(tmp_path, monkeypatch) as one:
        one.live(1, "idle")
        one.clock.off = timedelta(days=3653)
        one.live(1, "idle")
        loop.run_until_idle(one.desk.site, one.desk.root, one, confirm_clock=True)
        one.clock.off = timedelta(0)
        one.live(1, "idle")
        loop.run_until_idle(one.desk.site, one.desk.root, one, confirm_clock=True)
        first = doubt_of(one.desk.site)
        one.live(2, "idle")
        assert first is not None
        assert doubt_of(one.desk.site) == first
        one.clock.off = timedelta(days=-30)
        one.live(1, "idle")
        one.clock.off = timedelta(0)
        one.live(1, "idle")
        again = doubt_of(one.desk.site)
        assert again is not None
        assert again.returned > first.returned, "another time that it was back is noted again"
