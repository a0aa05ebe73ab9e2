"""A disk that cannot be one (a pipe, a device, a folder, a link, nothing at all) harms its own machine alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.shop import Shop, run, shop
from tests.support.hangs import no_longer_than_a_minute

__all__ = ["no_longer_than_a_minute", "run", "shop"]

T1 = ("--now", "2026-03-10T12:00Z")


def _spoil(disk: Path, kind: str) -> None:
    disk.unlink()
    if kind == "pipe":
        os.mkfifo(disk)
    elif kind == "folder":
        disk.mkdir()
    elif kind == "device":
        disk.symlink_to("/dev/zero")
    elif kind == "empty":
        disk.write_bytes(b"")


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "empty", "gone"])
def test_that_machine_is_refused_and_the_other_one_is_backed_up(shop: Shop, kind: str) -> None:
    _spoil(shop.cluster.disk(1), kind)
    assert shop("apply", "--yes", *T1).code == 0
    plan = shop("plan", *T1)
    assert "RCL2104" in plan.out + plan.err
    ended = shop("run", "--until-idle", *T1)
    assert ended.code == 1, ended
    points = json.loads(shop("points", "--output", "json").out)["points"]
    assert [each["machine"] for each in points] == ["two"]
    assert "unprotected" in shop("coverage", *T1).out + shop("status", *T1).out


def test_a_disk_that_becomes_a_pipe_after_it_was_seen_does_not_block_its_job(shop: Shop) -> None:
    assert shop("apply", "--yes", *T1).code == 0
    assert shop("run", "--until-idle", *T1).code == 0
    _spoil(shop.cluster.disk(1), "pipe")
    ended = shop("run", "--until-idle", "--now", "2026-03-11T12:00Z")
    assert ended.code == 1
    points = json.loads(shop("points", "--output", "json").out)["points"]
    assert len({each["point"]["time"] for each in points if each["machine"] == "two"}) > 1
    assert len({each["point"]["time"] for each in points if each["machine"] == "one"}) == 1
