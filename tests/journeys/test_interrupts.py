"""SIGTERM and Ctrl-C are heard wherever a command is, and the process is gone in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.state import open_memory
from tests.shop import Shop

ROOT = Path(__file__).parent.parent.parent
#: How long a process may take on a machine that has much to do besides, in seconds, where 2 are promised.
SOON = 6.0
T1, T2, T3 = (("--now", f"2026-03-10T{at}Z") for at in ("12:00", "12:30", "13:00"))


class Cut:
    """A command, a signal, and what came of it."""

    def __init__(self, root: Path, where: str, *words: str, sent: int = signal.SIGTERM, twice: bool = False) -> None:
        command = [sys.executable, "-m", "tests.journeys.interrupted", where, *words, "-C", str(root)]
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


GUARDRAIL = """---
apiVersion: reconciler/v1
kind: Guardrail
metadata: {name: long-enough}
spec:
  match: {kinds: [ProtectionGroup]}
  validations: [{expression: "object.spec.shortTerm.retention >= duration('24h')", message: a day}]
"""


@pytest.mark.parametrize(
    ("where", "words", "sent"),
    [
        ("inspect", ("plan", *T1), signal.SIGTERM),
        ("inspect", ("run", "--once", *T1), signal.SIGINT),
        ("lease", ("apply", "--yes", *T1), signal.SIGINT),
        ("lease", ("run", "--once", *T1), signal.SIGTERM),
        ("rules", ("plan", *T1), signal.SIGTERM),
        ("rules", ("validate",), signal.SIGINT),
        ("backup", ("state", "backup", "state.tar"), signal.SIGINT),
    ],
    ids=["inspect: plan", "inspect: run", "lease: apply", "lease: run", "rules: plan", "rules: validate", "backup"],
)
def test_what_waits_for_another_is_cut_off_and_nothing_is_half_done(
    shop: Shop, where: str, words: tuple[str, ...], sent: signal.Signals
) -> None:
    shop("apply", "--yes", *T1)
    if where == "rules":
        path = shop.root / "policies" / "site.yaml"
        path.write_text(path.read_text() + GUARDRAIL)
    if where == "lease":
        shop.policy("retention: 5d", "retention: 6d")
        with closing(open_memory(shop.root / "var" / "hq.db")) as memory:
            memory.locks.acquire("site:hq", "elsewhere pid 1 started 5", timedelta(seconds=60))
    words = tuple(str(shop.root / word) if word.endswith(".tar") else word for word in words)
    found = Cut(shop.root, where, *words, sent=sent)
    assert found.code == 130, found.err
    assert found.seconds < SOON
    assert "Traceback" not in found.err
    assert not [path for path in shop.root.rglob("*") if path.name.endswith((".part", ".tar"))]
    if where == "rules":
        child = int(found.err.partition("child ")[2].split()[0])
        assert not Path(f"/proc/{child}").exists()
    assert shop("store", "check", "--read-data=1/1").code == 0


def test_a_long_call_of_c_does_not_keep_the_process(shop: Shop) -> None:
    """Python's own handler is not run meanwhile."""
    shop("apply", "--yes", *T1)
    found = Cut(shop.root, "copy", "state", "backup", str(shop.root / "state.tar"))
    assert found.code == 130, found.err
    assert found.seconds < 4.0 + SOON
    assert not (shop.root / "state.tar").exists()
    assert shop("state", "backup", str(shop.root / "state.tar")).code == 0


@pytest.mark.parametrize(("target", "sent"), [("folder", signal.SIGINT), ("in place", signal.SIGTERM)])
def test_a_recovery_that_is_cut_off_while_it_stages_replaces_nothing(
    shop: Shop, target: str, sent: signal.Signals
) -> None:
    assert shop("run", "--until-idle", *T1).code == 0
    kept = shop.cluster.disk(1).read_bytes()
    changed = b"after the point" * 5000
    shop.cluster.disk(1).write_bytes(changed)
    elsewhere = shop.root / "elsewhere"
    to = ("--to", str(elsewhere)) if target == "folder" else ()
    found = Cut(shop.root, "staging", "recover", "one", *to, "--yes", *T2, sent=sent)
    assert found.code == 130, found.err
    assert found.seconds < 4.0 + SOON
    assert shop.cluster.disk(1).read_bytes() == changed
    assert not list(elsewhere.rglob("*.raw"))
    assert shop("run", "--once", *T3).code == 0  # it does not go on by itself
    assert shop.cluster.disk(1).read_bytes() == changed
    done = shop("recover", "one", *to, "--at", "2026-03-10T12:10Z", "--yes", *T3)
    assert done.code == 0, done.err + done.out
    recovered = next(elsewhere.rglob("*.raw")) if to else shop.cluster.disk(1)
    assert recovered.read_bytes() == kept


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
