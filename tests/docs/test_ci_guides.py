"""The files of the CI guides: they are right for what reads them, and every command in them is run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler import __version__

ROOT = Path(__file__).parent.parent.parent


def _workflow(guide: str) -> dict[str, Any]:
    text = (ROOT / "docs" / "guides" / guide).read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    loaded: dict[str, Any] = yaml.load(block, Loader=yaml.BaseLoader)
    return loaded


def _commands(guide: str) -> list[str]:
    workflow = _workflow(guide)
    steps = workflow["steps"] if "steps" in workflow else workflow["jobs"]["policies"]["steps"]
    commands = [step.get("run") or step.get("script") for step in steps]
    return [command for command in commands if command and not command.startswith("pip install")]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a CI job has after its checkout: a pull request's commit, and the branch it goes to."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    root = tmp_path / "repo"
    shutil.copytree(ROOT / "policies", root / "policies")
    shutil.copytree(ROOT / "tests" / "policies", root / "tests" / "policies")

    def git(*words: str) -> None:
        who = ("-c", "user.name=n", "-c", "user.email=dev@corp.example")
        subprocess.run(("git", "-C", str(root), *who, *words), check=True, capture_output=True)

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "first")
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    gold = root / "policies" / "gold.yaml"
    gold.write_text(gold.read_text().replace("retention: 14d", "retention: 30d"))
    git("add", "-A")
    git("commit", "-qm", "longer")
    return root


@pytest.mark.parametrize("guide", ["github-actions.md", "azure-pipelines.md"])
def test_every_command_of_the_guide_passes_where_nothing_weakens(guide: str, checkout: Path, tmp_path: Path) -> None:
    commands = _commands(guide)
    assert len(commands) >= 5
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {
        "PATH": path,
        "HOME": str(tmp_path),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "CI": "true",
    }
    for command in commands:
        ended = subprocess.run(
            command, shell=True, cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
    if guide == "github-actions.md":
        assert "strengthens" in (tmp_path / "summary.md").read_text()


def test_the_workflow_is_one_that_github_reads(tmp_path: Path) -> None:
    check = shutil.which("check-jsonschema", path=str(Path(sys.executable).parent))
    assert check is not None
    text = (ROOT / "docs" / "guides" / "github-actions.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    file = tmp_path / "workflow.yaml"
    file.write_text(block)
    words = ["--builtin-schema", "vendor.github-workflows", str(file)]
    ended = subprocess.run([check, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_pipeline_is_one_that_azure_reads(tmp_path: Path) -> None:
    check = shutil.which("check-jsonschema", path=str(Path(sys.executable).parent))
    assert check is not None
    text = (ROOT / "docs" / "guides" / "azure-pipelines.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    file = tmp_path / "pipeline.yaml"
    file.write_text(block)
    words = [
        "--builtin-schema",
        "vendor.azure-pipelines",
        "--regex-variant",
        "python",
        "--data-transform",
        "azure-pipelines",
        str(file),
    ]
    ended = subprocess.run([check, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_hooks_run(checkout: Path) -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert {"id", "name", "entry", "language", "files"} <= set.intersection(*(set(hook) for hook in hooks))
    for hook in hooks:
        words = hook["entry"].split()
        assert words[0] == "reconciler"
        files = [] if hook.get("pass_filenames") is False else ["policies/gold.yaml"]
        assert not files or re.search(hook["files"], files[0])
        ended = subprocess.run(
            [sys.executable, "-m", "reconciler", *words[1:], *files], cwd=checkout, capture_output=True, check=False
        )
        assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(("guide", "service"), [("github-actions.md", "github"), ("azure-pipelines.md", "azure")])
def test_init_writes_the_file_of_the_guide(guide: str, service: str) -> None:
    text = (ROOT / "reconciler/control/authoring/ci" / f"{service}.yml").read_text(encoding="utf-8")
    written = yaml.load(text.replace("VERSION", __version__), Loader=yaml.BaseLoader)
    assert written == _workflow(guide)
