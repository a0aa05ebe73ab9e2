"""`-o json` of actions: events, one a line, the last of which says how the command ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.main import get_command

from reconciler.cli import errors
from reconciler.cli.application import every_command
from reconciler.cli.command_table import TABLE
from reconciler.cli.options import app
from reconciler.report.action_events import ActionEventName, event_schema
from tests.shop import Said, Shop

T1 = ("--now", "2026-03-10T12:00Z")
SCHEMA = jsonschema.Draft202012Validator(event_schema())
JSON = ("-o", "json")


def events(said: Said) -> list[dict[str, Any]]:
    """The events of an action: nothing else is on stdout, nothing at all on stderr."""
    assert said.err == ""
    found = [json.loads(line) for line in said.out.splitlines()]
    for each in found:
        SCHEMA.validate(each)
        assert each["time"].endswith("Z")
        assert each["level"] in ("debug", "info", "warning", "error")
    assert [each["event"] for each in found].count("command.ended") == 1
    assert found[-1]["event"] == "command.ended"
    assert found[-1]["exitCode"] == said.code
    assert len({each["command"] for each in found}) == 1
    return found


def names(found: list[dict[str, Any]]) -> list[str]:
    return [each["event"] for each in found if each["event"] != "note.said"]


def test_apply_and_resume(shop: Shop) -> None:
    found = events(shop("apply", "--yes", *JSON, *T1))
    assert names(found) == ["plan.shown", "change.applied", "plan.applied", "command.ended"]
    applied = next(each for each in found if each["event"] == "change.applied")
    assert applied["result"] == "done"
    assert applied["run"] == found[-2]["run"]
    plan = next(each for each in found if each["event"] == "plan.shown")["value"]
    assert [step["id"] for step in plan["steps"]] == [applied["step"]]
    assert found[-2]["value"] == {"done": 1, "failed": 0, "left": 0}
    assert names(events(shop("apply", "--yes", *JSON, *T1))) == ["plan.shown", "command.ended"]
    again = events(shop("resume", *JSON, *T1))
    assert again[-1]["exitCode"] in (0, 6)


def test_nobody_is_asked_where_json_is_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in ("stdin", "stdout"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True, raising=False)
    found = events(shop("apply", *JSON, *T1))
    assert found[-1]["exitCode"] == 5
    assert found[-1]["result"] == "consent-needed"
    finding = found[-2]
    assert (finding["event"], finding["level"], finding["code"]) == ("finding.raised", "error", "RCL3016")
    assert finding["help"].startswith("Give --yes")


def test_what_weakens_waits(shop: Shop) -> None:
    assert shop("apply", "--yes", *T1).code == 0
    shop.policy("retention: 5d", "retention: 2d")
    found = events(shop("apply", "--yes", *JSON, *T1))
    assert found[-1]["exitCode"] == 5
    assert "RCL3013" in {each.get("code") for each in found}


def test_jobs_and_recoveries(shop: Shop) -> None:
    assert shop("apply", "--yes", *T1).code == 0
    assert shop("run", "--until-idle", *T1).code == 0
    found = events(shop("check", *JSON, *T1))
    assert names(found) == ["job.succeeded", "job.succeeded", "command.ended"]
    assert {each["subject"] for each in found if each["event"] == "job.succeeded"} == {"one", "two"}
    found = events(shop("recover", "one", "--to", str(shop.root / "out"), "--yes", *JSON, *T1))
    assert names(found) == ["recovery.shown", "job.succeeded", "recovery.ended", "command.ended"]
    assert found[-2]["result"] == "succeeded"
    assert names(events(shop("cancel", "one", *JSON))) == ["finding.raised", "command.ended"]


def test_what_looks_after_state_and_stores(shop: Shop) -> None:
    assert shop("apply", "--yes", *T1).code == 0
    assert shop("run", "--until-idle", *T1).code == 0
    saved = str(shop.root / "state.tar")
    assert "file.written" in names(events(shop("state", "backup", saved, *JSON)))
    assert "state.restored" in names(events(shop("state", "restore", saved, "--yes", *JSON)))
    assert "lease.shown" in names(events(shop("lock", "release", "--yes", *JSON)))
    assert "store.rebuilt" in names(events(shop("store", "rebuild", "mabs-01", *JSON)))
    assert "evidence.sealed" in names(events(shop("evidence", "seal", *JSON)))
    assert "file.written" in names(events(shop("evidence", "export", str(shop.root / "export"), *JSON)))
    assert names(events(shop("store", "declare-lost", "mabs-01", "--reason", "x", *JSON)))[-1] == "command.ended"
    assert names(events(shop("evidence", "declare-lost", "--reason", "x", *JSON)))[-1] == "command.ended"


def test_files(shop: Shop) -> None:
    path = shop.root / "policies" / "site.yaml"
    path.write_text(path.read_text().replace("kind:", "kind: ", 1))
    checked = events(shop.plain("fmt", "--check", str(path), *JSON))
    assert names(checked) == ["file.differs", "command.ended"]
    assert checked[-1]["exitCode"] == 2
    assert names(events(shop.plain("fmt", str(path), *JSON))) == ["file.written", "command.ended"]
    assert names(events(shop("import", *JSON))) == ["command.ended"]
    new = events(shop.plain("init", str(shop.root / "new"), "--no-prune", *JSON))
    assert new[-1]["exitCode"] == 0
    assert events(shop("approve", "nowhere", "--by", "a@b", "--reason", "x", "--until", "2099-01-01", *JSON))


@pytest.mark.parametrize(
    "words",
    [
        ("recover",),
        ("recover", "nope"),
        ("apply", "--bogus"),
        ("apply", "--site", "nope"),
        ("approve",),
    ],
)
def test_errors_of_actions_are_events(shop: Shop, words: tuple[str, ...]) -> None:
    found = events(shop(*words, *JSON))
    assert found[-1]["exitCode"] == 64
    assert found[-2]["event"] == "finding.raised"
    assert found[-2]["code"].startswith("RCL")
    assert found[-2]["help"]


@pytest.mark.parametrize("words", [("status", "--site", "nope"), ("plan", "--bogus"), ("frobnicate",), ("members",)])
def test_errors_beside_reports_are_json_on_stderr(shop: Shop, words: tuple[str, ...]) -> None:
    said = shop(*words, *JSON)
    assert said.code == 64
    assert said.out == ""
    (line,) = said.err.splitlines()
    found = json.loads(line)
    SCHEMA.validate(found)
    assert found["event"] == "finding.raised"
    assert found["help"]


def test_every_action_writes_events_and_every_report_has_json() -> None:
    """What prints but one thing, or is text by its nature, is named here."""
    assert errors.COMMANDS
    neither = {"completion", "demo", "schema", "run", "inventory snapshot", "catalog snapshot"}
    for path, command in every_command(get_command(app)):
        options = {name for each in command.params for name in each.opts}
        assert ("--output" in options) != (path in neither), path
        if TABLE[path].events:
            assert "--output" in options


def test_the_schema_is_printed_and_every_name_is_documented(shop: Shop) -> None:
    assert json.loads(shop.plain("schema", "--kind", "ActionEvent").out) == event_schema()
    page = (Path(__file__).parents[2] / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    assert [name for name in ActionEventName if f"`{name}`" not in page] == []


def test_a_reader_that_goes_away_stops_nothing(shop: Shop) -> None:
    """The pipe is closed before the first line is written; the apply is whole all the same."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "reconciler", "apply", "--yes", *JSON, *T1, "-C", str(shop.root)]
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(write)
    assert ended.stderr == ""
    assert ended.returncode == 0
    assert "No changes" in shop("plan", *T1).out


def test_quiet_and_verbose_and_colors(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    loud, quiet = shop("validate"), shop("-q", "validate")
    assert "file" in loud.err
    assert quiet.err == ""
    assert quiet.out == loud.out
    assert shop("members", "golt", "--quiet").err.count("RCL0008") == 1
    verbose = shop("status", "-v", *T1).err
    assert "clusters hci-01, servers mabs-01" in verbose
    assert "Ended with 0 (success) after" in verbose
    assert "RCL0008: " in shop("members", "golt", "--verbose").err
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in shop("plan", *T1).out
    assert "\x1b[" not in shop("plan", "--no-color", *T1).out
    assert "\x1b[" not in shop("--no-color", "plan", *T1).out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_events_that_cannot_be_written_are_said(shop: Shop) -> None:
    command = [sys.executable, "-m", "reconciler", "apply", "--yes", *JSON, *T1, "-C", str(shop.root)]
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert "Events were lost: " in ended.stderr
    assert "No changes" in shop("plan", *T1).out
