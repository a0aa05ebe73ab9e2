"""Policy folders that strangers tried, each with what is right, written down before the run.

Links and names that trouble other systems are not in the repository: a link is a file that holds its target there, and
hostile names are given here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.shop import Said

HERE = Path(__file__).parent / "policies"
EXPECTED: dict[str, Any] = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))
LINKS = {
    "v01-configmap-layout": ("policies/..data", "policies/g.yaml", "policies/site.yaml"),
    "b21-folder-behind-a-link": ("policies/eu",),
    "d03-policy-behind-a-link": ("a/policies/g.yaml", "b/policies/g.yaml"),
}
#: Case -> the name that its file `named.yaml` has.
NAMES = {
    "b22-name-of-a-file-in-latin-1": b"gr\xf6\xdfe.yaml",
    "p05-escape-in-a-file-name": b"a\nb.yaml:1:1: RCL0000: forged\x1b[2J.yaml",
}
CASES = sorted({name.partition("/")[0] for name in EXPECTED})


def _made(name: str, target: Path) -> Path:
    shutil.copytree(HERE / name, target)
    for link in LINKS.get(name, ()):
        path = target / link
        to = path.read_text(encoding="utf-8").strip()
        path.unlink()
        path.symlink_to(to)
    if name in NAMES:
        os.rename(target / "policies/named.yaml", os.fsencode(target / "policies") + b"/" + NAMES[name])  # noqa: PTH104
    return target


@pytest.mark.parametrize("name", CASES)
def test_what_strangers_tried(name: str, tmp_path: Path, run: Callable[..., Said]) -> None:
    root = _made(name, tmp_path / "site")
    expected = EXPECTED.get(name) or EXPECTED[f"{name}/b"]
    began = time.monotonic()
    said = run(*expected["mode"].split(), "-C", str(root), *(["--output", "json"] if "errors" in expected else []))
    assert time.monotonic() - began < expected.get("max_seconds", 30)
    assert said.code in expected["exit"], said
    told = said.out + said.err
    assert "Traceback" not in told
    assert "\x1b" not in told
    for phrase in expected.get("told", ()):
        assert phrase in told, told
    if "errors" in expected:
        found = json.loads(said.out)["diagnostics"]
        for error in expected["errors"]:
            assert any(_is(error, each, expected) for each in found), found
        wanted = " ".join(str(each) for each in found)
        for phrase in expected.get("want_in", ()):
            assert phrase in wanted


def _is(error: dict[str, Any], found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Whether a finding is the one that was meant: at one of its places, with one of its words, and what it offers."""
    where = found.get("location", {})
    text = f"{found['message']} {found['remedy']}"
    return (
        any(
            _is_file(place["file"], where.get("file", ""), expected)
            and place["line"] == where.get("line", 1)
            and where.get("column", 1) in place["columns"]
            for place in error["places"]
        )
        and any(word in text.replace("displayName", "displayname") for word in error["keywords"])
        and error.get("suggests", "") in text
    )


def _is_file(meant: str, found: str, expected: dict[str, Any]) -> bool:
    return expected["file_like"] in found if "file_like" in expected else meant == found


def test_a_forged_line_is_written_out(tmp_path: Path, run: Callable[..., Said]) -> None:
    """The name is shown escaped, as values are: nothing begins a line of its own, in any format."""
    root = _made("p05-escape-in-a-file-name", tmp_path / "site")
    for form in ("text", "github", "sarif", "junit", "json"):
        said = run("validate", "-C", str(root), "--output", form)
        assert said.code == 65
        assert "\x1b" not in said.out + said.err
        assert not any(line.startswith("b.yaml") for line in (said.out + said.err).splitlines())


def _git(root: Path, *words: str) -> None:
    who = {f"GIT_{role}_{what}": "dev@corp.example" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    own = os.environ | who | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    told = subprocess.run(("git", "-C", str(root), *words), check=False, capture_output=True, text=True, env=own)
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("name", ["d02-renamed-to-a-hidden-file", "d03-policy-behind-a-link"])
def test_a_commit_is_read_as_a_folder_is(name: str, tmp_path: Path, run: Callable[..., Said]) -> None:
    """What hides a change between two folders hides none between two commits; a shallow clone says what it lacks."""
    made = _made(name, tmp_path / "made")
    root = tmp_path / "root"
    root.mkdir()
    _git(root, "init", "-q", "-b", "main")
    for side in ("a", "b"):
        for path in root.iterdir():
            if path.name != ".git":
                shutil.rmtree(path)
        shutil.copytree(made / side, root, symlinks=True, dirs_exist_ok=True)
        _git(root, "add", "-A", "-f")
        _git(root, "commit", "-qm", side)
    said = run("diff", "HEAD~1", "HEAD", "-C", str(root))
    assert said.code == 5
    for phrase in EXPECTED[f"{name}/b"]["told"]:
        assert phrase in said.out + said.err
    _git(tmp_path, "-c", "protocol.file.allow=always", "clone", "-q", "--depth=1", f"file://{root}", "shallow")
    said = run("diff", "HEAD~1", "HEAD", "-C", str(tmp_path / "shallow"))
    assert said.code == 5
    assert "RCL0016" in said.err
    assert "fetch-depth: 0" in said.err
