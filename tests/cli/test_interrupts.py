"""SIGTERM and Ctrl-C are heard wherever a command is, and the process is gone in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.shop import Shop

ROOT = Path(__file__).parent.parent.parent
#: How long a process may take on a machine that has much to do besides, in seconds, where 2 are promised.
SOON = 6.0
T1 = ("--now", "2026-03-10T12:00Z")


class Cut:
    """A command, a signal, and what came of it."""

    def __init__(self, root: Path, where: str, *words: str, sent: int = signal.SIGTERM, twice: bool = False) -> None:
        command = [sys.executable, "-m", "tests.cli.interrupted", where, *words, "-C", str(root)]
        environment = os.environ | {"CI": "1"}
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert process.stderr is not None
            said = ""
            while "BLOCKED" not in said:
                line = process.stderr.readline()
                assert line, said
                said += line
            time.sleep(0.2)
            began = time.monotonic()
            process.send_signal(sent)
            if twice:
                time.sleep(0.3)
                process.send_signal(sent)
            try:
                self.out, err = process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            self.err = said + err
            self.seconds = time.monotonic() - began
            self.code = process.returncode


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("observe", ("plan", *T1)),
        ("observe", ("run", "--once", *T1)),
        ("server", ("status",)),
        ("status", ("status",)),
        ("git", ("diff", "HEAD", ".")),
    ],
    ids=["plan", "run", "server", "status", "git"],
)
def test_what_looks_or_waits_is_cut_off_at_once(
    shop: Shop, where: str, words: tuple[str, ...], sent: signal.Signals
) -> None:
    if words[0] == "status":
        shop("apply", "--yes", *T1)
    found = Cut(shop.root, where, *words, sent=sent)
    assert found.code == 130, found.err
    assert found.seconds < SOON
    assert "Traceback" not in found.err
    assert "Interrupted" in found.err


def test_a_watching_loop_ends_in_order(shop: Shop) -> None:
    found = Cut(shop.root, "rest", "run")
    assert found.code == 0, found.err
    assert found.seconds < SOON
    assert "tick" in found.out
    assert shop("store", "check", "--read-data=1/1").code == 0


def test_a_job_that_hangs_does_not_keep_the_process(shop: Shop) -> None:
    """Its disk does not answer: patience ends, and nothing of it is committed."""
    shop("apply", "--yes", *T1)
    found = Cut(shop.root, "job", "run", "--once", *T1)
    assert found.code == 130, found.err
    assert found.seconds < 4.0 + SOON
    assert shop("store", "check", "--read-data=1/1").code == 0
    assert shop("run", "--until-idle", *T1).code == 0
    assert shop("store", "check", "--read-data=1/1").code == 0


def test_a_second_ctrl_c_cuts_off(shop: Shop) -> None:
    shop("apply", "--yes", *T1)
    found = Cut(shop.root, "job", "run", "--once", *T1, sent=signal.SIGINT, twice=True)
    assert found.code == 130, found.err
    assert found.seconds < 2.0 + SOON


def test_who_has_nothing_to_do_with_signals_gets_its_own_back(shop: Shop) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    shop("validate")
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
