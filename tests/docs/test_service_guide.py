"""The guide to the service: its commands work, its unit starts what it says, its table has every event."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from reconciler.demo import site as demo_site
from reconciler.model.run_events import Event, EventName

GUIDE = (Path(__file__).parent.parent.parent / "docs" / "guides" / "service.md").read_text(encoding="utf-8")


def _block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)
    return str(found)


def _git(at: Path, *words: str) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=dev@corp.example", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(at), *who, *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's site in a clone that has a remote, applied once."""
    folder = tmp_path_factory.mktemp("service")
    root = folder / "site"
    demo_site.build(root)
    _git(root, "init", "-q", "-b", "main")
    _git(root, "add", "policies")
    _git(root, "commit", "-qm", "first")
    _git(folder, "clone", "-q", "--bare", str(root), "origin.git")
    _git(root, "remote", "add", "origin", str(folder / "origin.git"))
    assert _reconciler(root, "apply", "--yes").returncode == 0
    return root


def _reconciler(at: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reconciler", *words]
    return subprocess.run(command, cwd=at, capture_output=True, text=True, check=False, timeout=120)


def test_the_commands_work_in_their_order(site: Path) -> None:
    lines = _block("console").splitlines()
    assert len(lines) >= 3
    for line in lines:
        ended = _reconciler(site, *line.split()[2:])
        assert ended.returncode == 0, f"{line}\n{ended.stdout}{ended.stderr}"


def test_the_unit_starts_what_it_says(site: Path) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(_block("ini"))
    program, *words = shlex.split(unit["Service"]["ExecStart"])
    assert program.endswith("/reconciler")
    words[words.index("-C") + 1] = str(site)
    ended = _reconciler(site.parent, *words, "--once")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert '"event":"policies.taken"' in ended.stdout


def test_the_table_has_every_event_and_no_field_that_is_none() -> None:
    rows = re.findall(r"^\| (`[a-z]+\.[a-z]+`[^|]*)\|[^|]*\|([^|]*)\|$", GUIDE, flags=re.MULTILINE)
    named = [name for row, _ in rows for name in re.findall(r"`([a-z.]+)`", row)]
    assert sorted(named) == sorted(EventName)
    told = {field for _, fields in rows for field in re.findall(r"`([A-Za-z]+)`", fields)}
    assert told <= {field.encode_name for field in msgspec.structs.fields(Event)}
