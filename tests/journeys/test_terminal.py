"""On a terminal: questions are asked, only yes is yes, Ctrl-C ends a loop."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.shop import Shop

T1 = ("--now", "2026-03-10T12:00Z")


def _spawn(root: Path, *words: str) -> Any:
    import os

    environment = {key: value for key, value in os.environ.items() if key != "CI"} | {"TERM": "xterm"}
    command = ["-m", "reconciler", *words, "-C", str(root)]
    return pexpect.spawn(sys.executable, command, env=environment, encoding="utf-8", timeout=30, dimensions=(50, 200))


@pytest.mark.parametrize(("answer", "code", "steps"), [("y", 5, 1), ("yes", 0, 0), ("", 5, 1)])
def test_apply_asks(shop: Shop, answer: str, code: int, steps: int) -> None:
    child = _spawn(shop.root, "apply", *T1)
    child.expect("Apply this plan")
    child.sendline(answer)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == code, child.before
    assert shop("plan", "--detailed-exitcode", *T1).code == (2 if steps else 0)


def test_what_weakens_is_named_and_asked_for(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    shop.policy("retention: 5d", "retention: 2d")
    child = _spawn(shop.root, "apply", *T1)
    child.expect("retention: 5d -> 2d")
    child.expect("weakens")
    child.expect("This weakens protection")
    child.sendline("yes")
    child.expect("done")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert shop("plan", "--detailed-exitcode", *T1).code == 0


def test_a_recovery_is_asked_for_with_what_it_destroys(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    shop.cluster.disk(1).write_bytes(b"ruined")
    child = _spawn(shop.root, "recover", "one", *T1)
    child.expect("destroys")
    child.expect("Recover this")
    child.sendline("no")
    child.expect("RCL7011")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 5
    assert shop.cluster.disk(1).read_bytes() == b"ruined"


def test_ctrl_c_ends_the_loop_in_order(shop: Shop) -> None:
    child = _spawn(shop.root, "run")
    child.expect("(?i)initial replica of two")
    child.sendintr()
    child.expect("ticks?, ")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus in (0, 130)
    assert shop("store", "check", "--read-data=1/1").code == 0


def test_the_sum_stands_apart_from_the_blocks(shop: Shop) -> None:
    shop.policy("retention: 5d", "retentoin: 5d")
    child = _spawn(shop.root, "validate")
    told = child.read().replace("\r\n", "\n")
    child.close()
    assert child.exitstatus == 65
    assert "help:" in told
    assert told.partition("1 file: ")[0].endswith("\n\n")


@pytest.mark.parametrize("words", [("status",), ("plan", "-o", "json"), ("status", "-o", "csv"), ("validate",)])
def test_without_standard_streams_as_services_are_started(shop: Shop, words: tuple[str, ...]) -> None:
    command = shlex.join((sys.executable, "-m", "reconciler", *words, "-C", str(shop.root)))
    ended = subprocess.run(("sh", "-c", f"exec {command} <&- >&- 2>&-"), check=False, timeout=60)
    assert ended.returncode == 0
