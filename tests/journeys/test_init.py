"""init: what it asks, what it refuses, and that the site it writes works as it is, in CI too."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest
import yaml

from tests.shop import Said


def test_init_by_flags_gives_a_folder_that_is_right(tmp_path: Path, run: Callable[..., Said]) -> None:
    root = tmp_path / "new"
    said = run("init", str(root), "--no-prune", "--machines", "sql-*, web-1", "--retention", "30d")
    assert said.code == 0, said.err
    assert run("validate", "-C", str(root)).code == 0
    assert run("fmt", "--check", "-C", str(root)).code == 0
    text = (root / "policies" / "all-vms.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=../schemas/policy.schema.json\n")
    assert (root / "schemas" / "policy.schema.json").exists()
    assert "names: [sql-*, web-1]" in text
    assert (root / ".gitignore").read_text() == "/var/\n/.reconciler/\n/clusters/hci-01/\n"
    assert run("policy", "test", "-C", str(root)).code == 0
    again = run("init", str(root), "--no-prune")
    assert again.code == 64
    assert "already exists" in again.err
    assert (root / "policies" / "all-vms.yaml").read_text() == text


def test_init_leaves_what_git_ignores_already(tmp_path: Path, run: Callable[..., Said]) -> None:
    (tmp_path / ".gitignore").write_text("*.tmp\n/var/")
    assert run("init", str(tmp_path), "--prune", "--store", "disks/{server}").code == 0
    assert (tmp_path / ".gitignore").read_text() == "*.tmp\n/var/\n/.reconciler/\n/disks/mabs-01/\n/clusters/hci-01/\n"


def test_init_writes_nothing_where_git_cannot_be_told(tmp_path: Path, run: Callable[..., Said]) -> None:
    (tmp_path / ".gitignore").mkdir()
    said = run("init", str(tmp_path), "--prune")
    assert said.code != 0
    assert ".gitignore" in said.err
    assert not (tmp_path / "policies").exists()
    (tmp_path / ".gitignore").rmdir()
    assert run("init", str(tmp_path), "--prune").code == 0


def test_init_needs_the_choice_that_has_no_default(tmp_path: Path, run: Callable[..., Said]) -> None:
    said = run("init", str(tmp_path / "new"))
    assert said.code == 64
    assert "--prune or --no-prune" in said.err
    braces = run("init", str(tmp_path / "braces"), "--prune", "--store", "{nope}/{server}")
    assert braces.code == 0
    assert "{nope}/mabs-01" in (tmp_path / "braces" / "policies" / "site.yaml").read_text()
    wrong = run("init", str(tmp_path / "new"), "--prune", "--retention", "5 days")
    assert wrong.code == 64
    assert "--retention '5 days'" in wrong.err
    assert not (tmp_path / "new").exists()


def test_init_asks_in_a_terminal(tmp_path: Path) -> None:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "reconciler", "init", str(tmp_path / "new")],
        env={"PATH": "/usr/bin:/bin", "TERM": "xterm", "HOME": str(tmp_path)},
        encoding="utf-8",
        timeout=30,
    )
    child.expect("Name of the site")
    child.sendline("Branch Office")
    child.expect("Write lower-case letters, digits and hyphens")
    child.expect("Name of the site")
    child.sendline("branch")
    child.expect("Time zone for schedules")
    child.sendline("Berlin")
    child.expect("unknown time zone")
    child.sendline("Europe/Berlin")
    for _ in range(10):
        child.expect(r"\[.*\]: ")
        child.sendline("")
    child.expect("May a group that is removed")
    child.sendline("y")
    child.expect("CI files")
    child.sendline("none")
    child.expect("sample cluster")
    child.sendline("n")
    child.expect("Next: reconciler validate")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    text = (tmp_path / "new" / "policies" / "site.yaml").read_text()
    assert "name: branch" in text
    assert "prune: true" in text
    assert "timeZone: Europe/Berlin" in text
    assert not (tmp_path / "new" / "clusters").exists()
    assert not (tmp_path / "new" / ".github").exists()


@pytest.mark.parametrize(
    ("ci", "file"), [("github", ".github/workflows/policies.yml"), ("azure", "azure-pipelines.yml")]
)
def test_a_fresh_site_passes_its_own_ci(tmp_path: Path, ci: str, file: str) -> None:
    """Every command of the CI file that `init` writes, in the repository that a person makes of it right away."""
    command = (sys.executable, "-m", "reconciler")
    root = tmp_path / "site"
    env = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GITHUB_STEP_SUMMARY": "s.md",
    }
    subprocess.run((*command, "init", str(root), "--no-prune", "--ci", ci), check=True, capture_output=True)
    git = ("git", "-C", str(root), "-c", "user.name=n", "-c", "user.email=dev@corp.example")
    for words in (
        ("init", "-q"),
        ("add", "-A"),
        ("commit", "-qm", "first"),
        ("update-ref", "refs/remotes/origin/main", "HEAD"),
    ):
        subprocess.run((*git, *words), check=True, capture_output=True, env=env)
    workflow = yaml.load((root / file).read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    steps = workflow["steps"] if "steps" in workflow else workflow["jobs"]["policies"]["steps"]
    lines = [line for step in steps if (line := step.get("run") or step.get("script"))]
    assert "pip install" in lines[0]
    assert len(lines) >= 5
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "reconciler"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reconciler "$@"\n')
    script.chmod(0o755)
    env["PATH"] = f"{script.parent}{os.pathsep}{env['PATH']}"
    for line in lines[1:]:
        done = subprocess.run(line, shell=True, cwd=root, env=env, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stdout, done.stderr)


def test_a_fresh_site_backs_up_its_sample(tmp_path: Path, run: Callable[..., Said]) -> None:
    root = tmp_path / "site"
    said = run("init", str(root), "--no-prune", "--machines", "sql-*, web-?")
    assert said.code == 0, said.err
    for line in said.out.replace("Next: ", "").splitlines():
        words = line.split()
        done = run(*words[1:], *(["--yes"] if words[1] == "apply" else []))
        assert done.code == 0, (line, done)
    assert done.out.count("succeeded  initial replica of") == 2
    assert "sql-01" in done.out
    assert "web-1" in done.out


def test_init_writes_over_nothing(tmp_path: Path, run: Callable[..., Said]) -> None:
    (tmp_path / "tests" / "policies").mkdir(parents=True)
    kept = tmp_path / "tests" / "policies" / "guardrails.yaml"
    kept.write_text("mine\n")
    (tmp_path / "clusters" / "hci-01").mkdir(parents=True)
    said = run("init", str(tmp_path), "--no-prune")
    assert said.code == 0
    assert "tests/policies/guardrails.yaml is left as it is" in said.err
    assert kept.read_text() == "mine\n"
    assert not list((tmp_path / "clusters" / "hci-01").iterdir()), "the folder is a cluster's already"


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--site", "Head Office", "Write lower-case letters"),
        ("--time-zone", "Berlin", "unknown time zone"),
        ("--capacity", "5", "needs a unit"),
        ("--store", "../elsewhere", "leads out of the root"),
        ("--machines", "", "a selector without names"),
        ("--synchronization", "20min", "20min"),
        ("--ci", "jenkins", "github, azure, none"),
    ],
)
def test_a_wrong_answer_is_told_by_its_option(
    tmp_path: Path, run: Callable[..., Said], option: str, value: str, told: str
) -> None:
    said = run("init", str(tmp_path / "new"), "--no-prune", option, value)
    assert said.code == 64, said
    assert told in said.err
    assert "RCL0003" in said.err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_is_no_place_for_a_site(tmp_path: Path, run: Callable[..., Said], name: str) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    said = run("init", str(tmp_path / name), "--no-prune")
    assert (said.code, "RCL0006" in said.err) == (64, True), said
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"
