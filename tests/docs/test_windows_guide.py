"""The guide for Windows: its commands are ours, in their order, and its workflow is that of the other guide."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes import DiskCluster
from tests.kill.test_kill import write_policies
from tests.shop import Said

ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., Said]
GUIDE = (ROOT / "docs" / "guides" / "windows.md").read_text(encoding="utf-8")


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)


def test_the_commands_work_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """With folders of this system for those of Windows, and a smaller site than the demo's, which another test plays;
    the loop is ended when it has nothing to do."""
    monkeypatch.chdir(tmp_path)
    lines = [line for block in _blocks("powershell") for line in block.splitlines()]
    ours = [line for line in lines if line.startswith(("reconciler ", "git "))]
    assert len(ours) >= 12
    for line in ours:
        words = [word.strip('"').replace("C:\\", f"{tmp_path}/") for word in re.findall(r'"[^"]*"|\S+', line)]
        if words[1] == "demo":
            cluster = DiskCluster(tmp_path / "demo" / "cluster")
            cluster.add(1, "web-01")
            write_policies(tmp_path / "demo", "web-01", "5d")
            words = ["reconciler", "-C", "demo", "apply", "--yes"]
        if words[0] == "git":
            who = ("-c", "user.name=n", "-c", "user.email=dev@corp.example")
            subprocess.run(["git", *who, *words[1:]], check=True, capture_output=True)
            continue
        said = run(*words[1:], *(["--until-idle"] if words[-1] == "run" else []))
        assert said.code == 0, f"{line}\n{said.out}{said.err}"
        if words[-2:] == ["apply", "--yes"]:
            assert run("-C", "demo", "run", "--until-idle").code == 0


def test_the_workflow_does_what_the_other_one_does(tmp_path: Path) -> None:
    """Its commands are run for that one; only the runner, the encoding and how a file is added to differ."""
    other = (ROOT / "docs" / "guides" / "github-actions.md").read_text(encoding="utf-8")
    (mine,) = _blocks("yaml")
    (theirs,) = re.findall(r"^```yaml\n(.*?)^```$", other, flags=re.MULTILINE | re.DOTALL)
    steps = [_steps(each) for each in (mine, theirs)]
    utf8, added = "[Console]::OutputEncoding = [Text.Encoding]::UTF8\n", "| Out-File -Encoding utf8 -Append $env:"
    plain = [each.replace(utf8, "").replace(f"{added}GITHUB_STEP_SUMMARY", "") for each in steps[0]]
    assert [each.strip() for each in plain] == [
        each.replace('>> "$GITHUB_STEP_SUMMARY"', "").strip() for each in steps[1]
    ]
    assert "runs-on: windows-latest" in mine
    check = shutil.which("check-jsonschema", path=str(Path(sys.executable).parent))
    assert check is not None
    file = tmp_path / "workflow.yaml"
    file.write_text(mine, encoding="utf-8")
    words = ["--builtin-schema", "vendor.github-workflows", str(file)]
    ended = subprocess.run([check, *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def _steps(workflow: str) -> list[str]:
    loaded: dict[str, Any] = yaml.load(workflow, Loader=yaml.BaseLoader)
    return [step.get("run", step.get("uses")) for step in loaded["jobs"]["policies"]["steps"]]
