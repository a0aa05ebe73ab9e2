"""A commit brings another Site: `run` without `--site` goes on with the one that it has run, and says so."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from reconciler.cli.actions.run import opener
from reconciler.control.loop import loop
from reconciler.control.loop.tick import Tick
from reconciler.control.site import Stop
from reconciler.errors import Diagnostic
from reconciler.model import JobRecord
from reconciler.wiring import SystemClock
from tests.shop import Shop
from tests.support.reviewed import T1

LATER = ("--now", "2026-03-12T12:00Z")


def _second(shop: Shop, name: str = "lab") -> None:
    """Another Site, with a state and a store of its own."""
    site = (shop.root / "policies" / "site.yaml").read_text().partition("---\n")[0]
    other = site.replace("hq", name).replace("mabs-01", f"of-{name}")
    (shop.root / "policies" / f"{name}.yaml").write_text(other)


def _points(shop: Shop, site: str) -> int:
    said = shop("points", "one", "--site", site, "--output", "json")
    return len(json.loads(said.out)["points"])


@pytest.fixture
def running(shop: Shop) -> Shop:
    """A site that a service has run without its name."""
    assert shop("apply", "--yes", *T1).code == 0
    assert shop("run", "--once", *T1).code == 0
    return shop


@pytest.mark.parametrize("words", [("--once",), ("--until-idle",)])
def test_a_second_site_ends_no_backups(running: Shop, words: tuple[str, ...]) -> None:
    before = _points(running, "hq")
    _second(running)
    ended = running("run", *words, *LATER)
    assert ended.code == 0, ended.err + ended.out
    assert _points(running, "hq") > before
    assert "another site: lab" in ended.out
    assert "RCL0002" in ended.out
    assert "reconciler run --site hq" in ended.out
    assert not (running.root / ".reconciler" / "state-lab.json").exists()


def test_who_names_the_site_is_told_nothing_of_others(running: Shop) -> None:
    _second(running)
    ended = running("run", "--once", "--site", "hq", *LATER)
    assert (ended.code, "RCL0002" in ended.out + ended.err) == (0, False)


def test_a_person_names_the_site(running: Shop) -> None:
    """Only the service goes on by itself; `status --check`, which watches it, tells by its exit code."""
    _second(running)
    for words in (("status", "--check", *T1), ("plan", *T1), ("apply", "--yes", *T1)):
        assert running(*words).code == 64


def test_it_goes_on_where_the_other_one_was_applied_too(running: Shop) -> None:
    """Both have a state here; it is known which one the nameless run is of."""
    _second(running)
    assert running("apply", "--yes", "--site", "lab", *T1).code in (0, 64, 65)
    assert running("run", "--once", "--site", "lab", *T1).code in (0, 9)
    assert (running.root / ".reconciler" / "state-lab.json").exists()
    ended = running("run", "--once", *LATER)
    assert ended.code == 0
    assert "continues with hq" in ended.out


def test_a_root_of_an_older_version_has_the_note_of_its_state_alone(running: Shop) -> None:
    (running.root / ".reconciler" / "run.json").unlink()
    _second(running)
    ended = running("run", "--once", *LATER)
    assert ended.code == 0
    assert "continues with hq" in ended.out


@pytest.mark.parametrize("text", [b"\xff", b"{}", b'{"site": 5}', b'{"site": "elsewhere"}'])
def test_a_note_that_does_not_tell_is_no_choice(running: Shop, text: bytes) -> None:
    (running.root / ".reconciler" / "run.json").write_bytes(text)
    _second(running)
    ended = running("run", "--once", *LATER)
    assert ended.code == 64
    assert "hq, lab" in ended.err


def test_before_the_first_run_somebody_says_which_one(shop: Shop) -> None:
    _second(shop)
    ended = shop("run", "--once", *T1)
    assert (ended.code, "Give --site and one of hq, lab" in ended.err) == (64, True)


def test_no_commit_chooses(running: Shop) -> None:
    """A note that the policies bring is nothing that was kept here: nothing is run by it."""
    _second(running)
    (running.root / ".reconciler" / "run.json").write_text('{"site": "lab"}')
    git = ("git", "-C", str(running.root), "-c", "user.name=n", "-c", "user.email=m@corp.example")
    subprocess.run((*git, "init", "-q"), check=True)
    subprocess.run((*git, "add", "-f", "policies", ".reconciler/run.json"), check=True)
    subprocess.run((*git, "commit", "-qm", "lab"), check=True)
    ended = running("run", "--once", *LATER)
    assert (ended.code, "RCL3110" in ended.err) == (6, True), ended.err


def test_the_other_one_is_not_run_in_its_place(running: Shop) -> None:
    """The site that was run goes, and the other one has a state here: nobody said that its run is this one."""
    _second(running)
    assert running("run", "--once", "--site", "lab", *T1).code in (0, 9)
    (running.root / "policies" / "lab.yaml").rename(running.root / "policies" / "site.yaml")
    ended = running("run", "--once", *LATER)
    assert ended.code == 64
    assert "ran the site hq here" in ended.err
    assert "--site and one of lab" in ended.err


def test_a_site_that_is_called_otherwise_goes_on_as_it_was(running: Shop) -> None:
    """By its state: the jobs of what is applied are run, as where it is the only one (RCL3105)."""
    running.policy("hq", "hq2")
    (running.root / "policies" / "site.yaml").write_text(
        (running.root / "policies" / "site.yaml").read_text().replace("hq2.db", "hq.db")
    )
    alone = running("run", "--once", *LATER)
    _second(running, "lab")
    beside = running("run", "--once", "--now", "2026-03-13T12:00Z")
    assert "RCL3105" in alone.out + alone.err
    assert "RCL3105" in beside.out + beside.err
    assert beside.code == alone.code


class _Heard:
    def __init__(self) -> None:
        self.codes: list[str] = []
        self.ticks = 0

    def ticked(self, done: Tick) -> None:
        self.ticks += 1

    def job(self, record: JobRecord) -> None: ...

    def said(self, finding: Diagnostic) -> None:
        self.codes.append(finding.code)

    def over(self, finding: Diagnostic) -> None:
        pass


def test_a_loop_that_lives_tells_of_it_and_goes_on(running: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TICK_SECONDS", 0.2)
    stop, heard = Stop(), _Heard()
    opened = opener(running.root, None, SystemClock(), stop)
    thread = threading.Thread(target=loop.run_forever, args=(opened, running.root, heard, stop))
    thread.start()
    try:
        _until(lambda: bool(heard.ticks))
        _second(running)
        _until(lambda: "RCL0002" in heard.codes)
    finally:
        stop.ask()
        thread.join(20)
    assert not thread.is_alive()


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
