"""The journey on the command line: what a user types, what the exit code says, what is left behind."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciler import files
from reconciler.control import lease
from reconciler.state import open_memory
from tests.fakes import machine_id
from tests.shop import Shop

T1 = ("--now", "2026-03-10T12:00Z")
T2 = ("--now", "2026-03-10T17:00Z")


def test_plan_apply_run_status(shop: Shop) -> None:
    said = shop("plan", "--detailed-exitcode", *T1)
    assert said.code == 2
    assert "+ create gold on mabs-01" in said.out
    assert "policies/site.yaml:12:1" in said.out, said.out
    assert shop("apply", *T1).code == 5
    assert "Applied 1 step (run " in shop("apply", "--yes", *T1).out
    assert shop("plan", "--detailed-exitcode", *T1).code == 0
    assert shop("apply", "--yes", *T1).code == 0
    said = shop("run", "--until-idle", *T1)
    assert said.code == 0
    assert said.out.count("succeeded  initial replica of") == 2
    said = shop("run", "--until-idle", *T1)
    assert said.out == "1 tick, 0 steps applied, 0 jobs succeeded, 0 failed.\n"
    said = shop("status", "--check", *T1)
    assert said.code == 0
    assert (
        "2 virtual machines: 2 protected, 0 excluded, 0 paused, 0 pending, 0 late, 0 damaged, 0 unseen, 0 unprotected"
        in said.out
    )
    late = shop("status", "--check", *T2)
    assert late.code == 9
    assert {"RCL6014", "RCL6015"} <= set(re.findall(r"\bRCL\d{4}", late.err))


def test_json_of_everything_that_reports(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    for words in (
        ("validate",),
        ("plan", *T1),
        ("status", *T1),
        ("jobs",),
        ("points",),
        ("store", "check", "--read-data=1/1"),
    ):
        said = shop(*words, "--output", "json")
        assert said.code == 0, said
        shown = json.loads(said.out)
        assert shown["formatVersion"]
        assert shown["kind"]
    assert len(json.loads(shop("points", "one", "--output", "json").out)["points"]) == 1


def test_the_loop_applies_what_strengthens_and_waits_with_the_rest(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    shop.policy("retention: 5d", "retention: 2d")
    said = shop("run", "--once", *T2)
    assert said.code == 5
    assert "something waits for a person" in said.out
    assert shop("apply", "--yes", *T2).code == 5
    assert "WEAKENS" in shop("plan", *T2).out.upper()
    shop.policy("retention: 2d", "retention: 9d")
    assert shop("run", "--once", *T2).code == 0
    assert shop("plan", "--detailed-exitcode", *T2).code == 0


def test_drift_is_brought_back(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    memory = open_memory(shop.root / "var" / "hq.db")
    (entry,) = memory.ledger.entries()
    memory.close()
    assert entry.group == "gold"
    shop.policy("names: [one, two]", "names: [one]")
    assert shop("run", "--once", *T2).code == 5


def test_a_machine_is_lost_and_comes_back(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    disk = shop.cluster.disk(1)
    before = disk.read_bytes()
    disk.write_bytes(b"ruined")
    assert shop("recover", "one", *T1).code == 5
    assert disk.read_bytes() == b"ruined"
    said = shop("recover", "one", "--yes", *T1)
    assert said.code == 0
    assert "destroys" in said.out
    assert disk.read_bytes() == before
    out = shop.root / "out"
    assert shop("recover", machine_id(1).upper(), "--to", str(out), "--disk", "disk.raw", "--yes", *T1).code == 0
    assert (out / "disk.raw").read_bytes() == before
    assert shop("recover", "one", "--to", str(out), "--yes", *T1).code == 6
    assert shop("recover", "nobody", "--yes").code == 64
    assert shop("recover", "one", "--at", "2020-01-01", "--yes").code == 6
    shop.cluster.role(1, power="running")
    said = shop("recover", "one", "--yes", *T1)
    assert (said.code, "RCL7008" in said.err) == (6, True)


def test_a_damaged_store_is_found_and_repaired(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    pack = next((shop.root / "var").rglob("*.pack"))
    data = bytearray(pack.read_bytes())
    data[1000] ^= 1
    pack.write_bytes(data)
    assert shop("store", "check").code == 0
    said = shop("store", "check", "--read-data=1/1")
    assert (said.code, "RCL4004" in said.out) == (1, True)
    assert shop("check", *T2).code == 0
    assert shop("store", "check", "--read-data=1/1").code == 0
    assert shop("store", "check", "--read-data=5/2").code == 64


def test_a_job_that_fails_is_told_and_the_others_go_on(shop: Shop) -> None:
    identity = machine_id(1)
    settings = {"id": identity, "name": "one", "replication": {"mode": "none"}, "disks": [{"path": "disk.raw"}]}
    shop.cluster.write(f"volumes/csv-01/{identity}/vm.json", {**settings, "checkpoints": [{"name": "x"}]})
    said = shop("run", "--until-idle", *T1)
    assert said.code == 1
    assert "RCL2101" in said.out
    assert "succeeded  initial replica of two" in said.out
    assert "refused: 'one' has 1 checkpoint(s)" in shop("status", *T1).out


# --- Bad input -------------------------------------------------------------------------------------------------


def test_wrong_policies_stop_changes_but_never_backups(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    (shop.root / "policies" / "more.yaml").write_text("kind: [", encoding="utf-8")
    assert shop("plan", *T2).code == 65
    assert shop("apply", "--yes", *T2).code == 65
    said = shop("run", "--until-idle", *T2)
    assert said.code == 65
    assert "RCL1005" in said.out
    assert said.out.count("succeeded  synchronization") == 2
    assert shop("status", *T2).code == 65


def test_a_missing_policy_folder_is_never_nothing_desired(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    (shop.root / "policies").rename(shop.root / "elsewhere")
    assert shop("plan").code == 65
    assert shop("run", "--until-idle", *T2).code == 65
    (shop.root / "policies").mkdir()
    assert shop("plan").code == 65


def test_a_cluster_that_is_unmounted_removes_nobody(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    (shop.root / "cluster").rename(shop.root / "gone")
    assert shop("plan", *T2).code == 69
    assert shop("run", "--once", *T2).code in (1, 69)
    (shop.root / "cluster").mkdir()
    assert shop("plan", *T2).code == 69
    (shop.root / "cluster").rmdir()
    (shop.root / "gone").rename(shop.root / "cluster")
    assert shop("plan", "--detailed-exitcode", *T2).code == 0


def test_an_empty_state_over_a_full_server_is_refused(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    for path in (shop.root / "var").glob("hq.db*"):
        path.unlink()
    said = shop("apply", "--yes", *T2)
    assert said.code == 6
    assert "RCL3012" in said.err


def test_rehearsed_time_only_goes_forward_and_only_where_allowed(shop: Shop) -> None:
    shop("run", "--until-idle", *T2)
    assert shop("run", "--once", *T1).code == 64
    assert shop("run", "--once", "--now", "yesterday").code == 64
    shop.policy("rehearsal: true", "rehearsal: false")
    said = shop("run", "--once", *T2)
    assert (said.code, "RCL6012" in said.err) == (64, True)


def test_a_clock_that_jumps_lets_nothing_expire(shop: Shop) -> None:
    shop.policy("retention: 5d, synchronization: 1h", "retention: 1d, synchronization: 24h")
    for day in range(10, 16):
        assert shop("run", "--until-idle", "--now", f"2026-03-{day}T12:00Z").code == 0
    count = len(json.loads(shop("points", "one", "--output", "json").out)["points"])
    said = shop("run", "--until-idle", "--now", "2027-03-15T12:00Z")
    assert "RCL6010" in said.out
    assert len(json.loads(shop("points", "one", "--output", "json").out)["points"]) == count + 1
    said = shop("run", "--until-idle", "--confirm-clock", "--now", "2027-03-15T12:00Z")
    assert "pruning of one" in said.out
    assert len(json.loads(shop("points", "one", "--output", "json").out)["points"]) == 3


def test_two_processes_on_one_site(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop("run", "--until-idle", *T1)
    memory = open_memory(shop.root / "var" / "hq.db")
    held = memory.locks.acquire("site:hq", "elsewhere pid 7 started 1", lease.TTL)
    monkeypatch.setattr("reconciler.control.loop.loop.PATIENCE", lease.TTL * 0)
    said = shop("run", "--once", *T2)
    assert said.code == 8
    assert "elsewhere pid 7" in said.err
    assert "At work now: elsewhere pid 7" in shop("status", *T1).out
    memory.locks.release(held)
    memory.close()
    assert shop("run", "--once", *T2).code == 0


def test_names_from_outside_cannot_move_the_cursor(shop: Shop) -> None:
    shop.cluster.add(3, "\x1b[2J\r\nfake  protected" + "x" * 300)
    said = shop("status", *T1)
    assert "\x1b" not in said.out
    assert "\\u001b[2J" in said.out


def test_a_full_disk_is_told_without_a_trace(shop: Shop) -> None:
    def full(step: files.Step) -> None:
        if "last-good" in step.path:
            raise OSError(errno.ENOSPC, "No space left on device", step.path)

    with files.watch(full):
        said = shop("run", "--once", *T1)
    assert said.code == 1
    assert "RCL0021" in said.out
    assert "2 jobs succeeded" in said.out  # what else there is goes on
    assert "Traceback" not in said.out + said.err
    assert shop("run", "--once", *T1).code == 0


# --- Watching --------------------------------------------------------------------------------------------------


def _watch(root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "reconciler", "run", "-C", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"CI": "true"},
    )


def _until(root: Path, process: subprocess.Popen[str], names: set[str]) -> None:
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        assert process.poll() is None
        try:
            memory = open_memory(root / "var" / "hq.db")
            entries = memory.ledger.entries()
            running = memory.jobs.running()
            memory.close()
        except OSError:
            continue
        if {entry.group for entry in entries} == names and not running:
            return
        time.sleep(0.1)
    raise AssertionError("the loop did not get there")


def test_the_loop_watches_the_policies_until_it_is_asked_to_stop(shop: Shop) -> None:
    with _watch(shop.root) as process:
        _until(shop.root, process, {"gold"})
        text = (shop.root / "policies" / "site.yaml").read_text(encoding="utf-8")
        second = text.partition("---")[2].replace("name: gold", "name: silver").replace("[one, two]", "[three]")
        shop.cluster.add(3, "three")
        (shop.root / "policies" / "more.yaml").write_text(second, encoding="utf-8")
        _until(shop.root, process, {"gold", "silver"})
        (shop.root / "policies" / "broken.yaml").write_text("kind: [", encoding="utf-8")
        time.sleep(1.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        out = process.communicate(timeout=30)[0]
    assert process.returncode == 0, out
    assert "Initial replica of three on mabs-01 succeeded" in out
    assert "RCL1005" in out
    assert shop("store", "check", "--read-data=1/1").code == 0


def test_points_just_before_they_are_due(shop: Shop) -> None:
    """`beforeRecoveryPoint`: an express full at each time of recoveryPoints, on the days that are written."""
    shop.policy("retention: 5d", "retention: 60d")
    shop.policy(
        "synchronization: 1h",
        'synchronization: beforeRecoveryPoint, recoveryPoints: {times: ["20:00"], days: [We], weeks: [Second]}',
    )
    assert shop("validate").code == 0
    shop("run", "--until-idle", *T1)
    for at in ("2026-03-11T19:30Z", "2026-03-11T20:30Z", "2026-03-18T20:30Z", "2026-04-08T20:30Z"):
        assert shop("run", "--until-idle", "--confirm-clock", "--now", at).code == 0
    told = json.loads(shop("points", "one", "--output", "json").out)["points"]
    made = [(row["point"]["kind"], row["point"]["time"][:10]) for row in told]
    assert sorted(made, key=lambda each: each[1]) == [
        ("initialReplica", "2026-03-10"),
        ("expressFull", "2026-03-11"),
        ("expressFull", "2026-04-08"),
    ]


def test_a_guardrail_stops_changes_and_never_backups(shop: Shop) -> None:
    shop("run", "--until-idle", *T1)
    (shop.root / "policies" / "rule.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Guardrail\nmetadata: {name: never}\n"
        'spec: {match: {kinds: [ProtectionGroup]}, validations: [{expression: "false", message: no group may be}]}\n'
    )
    shop.policy("retention: 5d", "retention: 9d")
    said = shop("run", "--once", *T2)
    assert said.code == 4
    assert "no group may be" in said.err + said.out
    assert len(json.loads(shop("points", "one", "--output", "json").out)["points"]) == 2
    assert shop("apply", "--yes", *T2).code == 4
