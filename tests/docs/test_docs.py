"""What the documents show is what happens: commands are run, policies are read, plans are compared."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.cli.errors import COMMANDS
from reconciler.cli.options import app
from reconciler.demo import site as demo_site
from reconciler.errors import ExitCode
from tests.shop import Said

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
GUIDES = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "guides").glob("*.md")))


def _blocks(text: str, kind: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [body for of_kind, body in fenced if of_kind == kind]


def _reconciler(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reconciler", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


Run = Callable[..., Said]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's site, which the pages are about, and where their commands are typed."""
    demo_site.build(tmp_path / "site")
    monkeypatch.chdir(tmp_path / "site")
    return tmp_path / "site"


def _typed(page: str, run: Run) -> list[str]:
    """Runs the lines of a page's consoles, in their order: each has to succeed."""
    lines = [line for block in _blocks(page, "console") for line in block.splitlines()]
    for line in lines:
        assert line.startswith("$ reconciler ")
        ended = run(*shlex.split(line)[2:])
        assert ended.code == 0, f"{line}\n{ended.out}{ended.err}"
    return lines


def _guide(name: str) -> str:
    return (ROOT / "docs" / "guides" / f"{name}.md").read_text(encoding="utf-8")


def _commit(site: Path) -> None:
    for words in (["init", "-q"], ["config", "user.email", "e"], ["config", "user.name", "n"], ["add", "policies"]):
        subprocess.run(["git", "-C", str(site), *words], check=True)
    subprocess.run(["git", "-C", str(site), "commit", "-qm", "m"], check=True)


@pytest.mark.usefixtures("site")
def test_the_commands_of_the_guide_work_in_their_order(run: Run) -> None:
    assert len(_typed(GUIDE, run)) >= 10


@pytest.mark.parametrize("page", ["review", "pause"])
def test_the_commands_of_guides_about_commits_work_in_their_order(site: Path, run: Run, page: str) -> None:
    _commit(site)
    assert len(_typed(_guide(page), run)) >= 3


@pytest.mark.usefixtures("site")
def test_the_commands_of_the_guide_to_drift_work_in_their_order(run: Run) -> None:
    assert run("apply", "--yes").code == 0
    assert len(_typed(_guide("drift"), run)) >= 3


def test_the_policy_of_the_readme_ships_and_gives_the_plan_of_the_readme(site: Path, run: Run) -> None:
    (policy,) = _blocks(README, "yaml")
    shipped = (ROOT / "policies" / "gold.yaml").read_text(encoding="utf-8")
    assert policy == shipped.partition("\n")[2]
    (site / "policies" / "silver.yaml").unlink()
    shown = next(block for block in _blocks(README, "") if block.startswith("Plan for site"))
    assert run("plan", "--now", "2026-11-22T13:17Z").out == shown


def test_the_exit_codes_are_those_of_the_table() -> None:
    table = (ROOT / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, flags=re.MULTILINE)} == {int(c) for c in ExitCode}


def test_every_link_leads_somewhere() -> None:
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_every_command_is_in_the_readme_or_the_guide() -> None:
    names = {
        command.name or (command.callback.__name__ if command.callback else "") for command in app.registered_commands
    }
    assert len(COMMANDS) >= 3
    for name in names:
        assert f"reconciler {name}" in README + GUIDE + GUIDES or f"`{name}" in README + GUIDE + GUIDES, name


def test_the_demo_proves_what_it_says(tmp_path: Path) -> None:
    ended = _reconciler(tmp_path, "demo", "site")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = re.findall(r"sha256 (?:before the loss|after recovery) +([0-9a-f]{64})", ended.stdout)
    assert len(found) == 2
    assert found[0] == found[1]
    assert "the plan after it was empty" in ended.stdout
    (typed,) = re.findall(r"^  (.* points web-01)$", ended.stdout, re.MULTILINE)
    assert _reconciler(tmp_path, *shlex.split(typed)[1:]).returncode == 0
    demo_site.build(tmp_path / "site")  # what an earlier demo made is made anew
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").write_text("mine")
    refused = _reconciler(tmp_path, "demo", "mine")
    assert refused.returncode == 64
    assert (tmp_path / "mine" / "x").read_text() == "mine"
