"""The one enumeration of policy files: odd trees, and the same tree on disk and as a commit."""

from __future__ import annotations

import ast
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler import gitrepo
from reconciler.control.policy_folder import FOLDER, fingerprint, read_or_last_good
from reconciler.errors import PolicyError
from reconciler.parse import FolderTree, PolicyFiles, find_policy_files, read_one, read_policy_files
from reconciler.protocols import Tree

HEAD = "apiVersion: reconciler/v1\n"
ROOT = Path(__file__).parent.parent.parent


class Made:
    """A tree on disk, written down as `path: text`, `path -> target` (a link) or `path |` (a pipe)."""

    def __init__(self, root: Path, text: str) -> None:
        self.root = root
        for line in filter(None, map(str.strip, text.splitlines())):
            if " -> " in line:
                path, target = line.split(" -> ")
                self._place(path).symlink_to(target)
            elif line.endswith(" |"):
                os.mkfifo(self._place(line[:-2]))
            else:
                path, _, content = line.partition(":")
                self._place(path).write_text(content.strip() or HEAD, encoding="utf-8")

    def _place(self, path: str) -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def commit(self) -> Tree:
        _git(self.root, "init", "-q")
        _git(self.root, "add", "-A", "-f")
        return gitrepo.CommitTree(self.root, _commit(self.root))


def _git(root: Path, *words: str) -> str:
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    own = os.environ | who | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    told = subprocess.run(("git", "-C", str(root), *words), check=True, capture_output=True, env=own)
    return told.stdout.decode().strip()


def _commit(root: Path) -> str:
    return _git(root, "commit-tree", _git(root, "write-tree"), "-m", "m")


def _seen(found: PolicyFiles) -> tuple[list[str], set[tuple[str, str]]]:
    told = {(each.code, each.subject) for each in found.diagnostics}
    return [each.name for each in found.files], told


CASES = {
    "suffixes": (
        """
        policies/a.yaml
        policies/b.yml
        policies/C.YAML
        policies/d.Yml
        policies/eu/f.yaml
        policies/readme.txt: nothing
        """,
        "C.YAML a.yaml b.yml d.Yml eu/f.yaml",
        "",
    ),
    "looks like policies, and is not read": (
        """
        policies/a.yaml
        policies/.hidden.yaml
        policies/.old/b.yaml
        policies/c.yaml.bak
        policies/d.json: {"apiVersion": "reconciler/v1"}
        policies/e.txt: see apiVersion
        policies/.notes: nothing
        """,
        "a.yaml",
        "RCL1092 .hidden.yaml, RCL1092 .old/b.yaml, RCL1092 c.yaml.bak, RCL1092 d.json",
    ),
    "a ConfigMap": (
        """
        policies/..2099_01_01/site.yaml
        policies/..2099_01_01/g.yaml
        policies/..data -> ..2099_01_01
        policies/site.yaml -> ..data/site.yaml
        policies/g.yaml -> ..data/g.yaml
        """,
        "..2099_01_01/g.yaml ..2099_01_01/site.yaml",
        "",
    ),
    "a check-out of git-sync": (
        """
        policies/.worktrees/abc/.git: gitdir
        policies/.worktrees/abc/eu/a.yaml
        policies/current -> .worktrees/abc
        """,
        ".worktrees/abc/eu/a.yaml",
        "",
    ),
    "links inside the root": (
        """
        shared/eu/crm.yaml
        shared/one.yaml
        shared/plain
        policies/eu -> ../shared/eu
        policies/eu2 -> eu
        policies/two.yaml -> ../shared/one.yaml
        policies/three.yaml -> two.yaml
        policies/four.yaml -> ../shared/plain
        policies/five -> ../shared/one.yaml
        """,
        "../shared/eu/crm.yaml ../shared/one.yaml ../shared/plain",
        "",
    ),
    "links that cannot be followed": (
        """
        policies/a.yaml
        policies/out.yaml -> ../../outside.yaml
        policies/abs.yaml -> /etc/hostname
        policies/root.yaml -> /a.yaml
        policies/drive.yaml -> C:/x.yaml
        policies/gone.yaml -> nowhere.yaml
        policies/gone -> nowhere
        policies/self.yaml -> self.yaml
        policies/ring1 -> ring2
        policies/ring2 -> ring1
        policies/up -> ..
        policies/here -> .
        policies/through -> a.yaml/b
        policies/.dot -> nowhere
        """,
        "a.yaml",
        "RCL1091 out.yaml, RCL1091 abs.yaml, RCL1091 root.yaml,"
        " RCL1091 drive.yaml, RCL1091 gone.yaml, RCL1091 gone, RCL1091 self.yaml,"
        " RCL1091 ring1, RCL1091 ring2, RCL1091 up, RCL1091 here, RCL1091 through",
    ),
    "folders that lead to each other": (
        """
        policies/one/a.yaml
        policies/two/b.yaml
        policies/one/to -> ../two
        policies/two/to -> ../one
        """,
        "one/a.yaml two/b.yaml",
        "",
    ),
    "out of the root and in again": (
        """
        policies/a.yaml
        policies/b.yaml -> ../../x/policies/a.yaml
        """,
        "a.yaml",
        "RCL1091 b.yaml",
    ),
    "one name on some disks": (
        """
        policies/a.yaml
        policies/A.yaml
        """,
        "A.yaml a.yaml",
        "RCL1095 A.yaml",
    ),
    "the policy folder itself is a link": (
        """
        .sync/abc/policies/a.yaml
        policies -> .sync/abc/policies
        """,
        "../.sync/abc/policies/a.yaml",
        "",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_odd_trees_on_disk_and_in_a_commit(tmp_path: Path, name: str) -> None:
    text, files, told = CASES[name]
    made = Made(tmp_path / "x", text)
    expected = sorted(os.path.normpath(f"policies/{each}") for each in files.split())
    findings = {(code, f"policies/{path}") for code, path in (each.split() for each in told.split(",") if each)}
    assert _seen(find_policy_files(FolderTree(made.root), "policies")) == (expected, findings)
    if ".git" not in text:
        assert _seen(find_policy_files(made.commit(), "policies")) == (expected, findings)


def test_the_links_to_a_file_are_told(tmp_path: Path) -> None:
    text = """
        shared/eu/crm.yaml
        policies/eu -> ../shared/eu
        policies/one.yaml -> ../shared/eu/crm.yaml
        policies/two.yaml -> one.yaml
        """
    made = Made(tmp_path, text)
    for tree in (FolderTree(made.root), made.commit()):
        (file,) = find_policy_files(tree, "policies").files
        assert file.links == ("policies/eu", "policies/one.yaml", "policies/two.yaml")


def test_pipes_and_other_repositories(tmp_path: Path) -> None:
    made = Made(tmp_path, "policies/a.yaml\npolicies/pipe.yaml |\npolicies/fifo |\npolicies/sub/b.yaml\n")
    _git(tmp_path / "policies/sub", "init", "-q")
    found = find_policy_files(FolderTree(made.root), "policies")
    assert _seen(found) == (["policies/a.yaml"], {("RCL1002", "policies/pipe.yaml"), ("RCL1094", "policies/sub")})


def test_a_submodule_in_a_commit(tmp_path: Path) -> None:
    made = Made(tmp_path, "policies/a.yaml")
    made.commit()
    _git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},policies/sub")
    found = find_policy_files(gitrepo.CommitTree(tmp_path, _commit(tmp_path)), "policies")
    assert _seen(found) == (["policies/a.yaml"], {("RCL1094", "policies/sub")})


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(tmp_path, "policies/" + "d/" * 40 + "a.yaml\npolicies/b.yaml")
    found = find_policy_files(FolderTree(made.root), "policies")
    assert [each.code for each in found.diagnostics] == ["RCL1093"]
    assert not any("/d/d/d/d" in each.name for each in found.files)
    monkeypatch.setattr("reconciler.parse.policy_files.MOST_NAMES", 2)
    made = Made(tmp_path / "many", "policies/a.yaml\npolicies/b.yaml\npolicies/c.yaml")
    found = find_policy_files(FolderTree(made.root), "policies")
    assert [each.code for each in found.diagnostics] == ["RCL1093"]


@pytest.mark.parametrize("text", ["other/a.yaml", "policies: a file", "policies -> nowhere", "policies -> .."])
def test_no_policy_folder_is_never_an_empty_one(tmp_path: Path, text: str) -> None:
    made = Made(tmp_path / "x", text)
    with pytest.raises(PolicyError) as refused:
        find_policy_files(FolderTree(made.root), "policies")
    assert refused.value.diagnostic.code == "RCL1001"
    with pytest.raises(PolicyError):
        find_policy_files(made.commit(), "policies")


def test_a_file_that_policies_name(tmp_path: Path) -> None:
    made = Made(tmp_path / "x", "keys/a: k\nsigners -> keys/a\nout -> ../../x\nfolder/b: x")
    for tree in (FolderTree(made.root), made.commit()):
        assert read_one(tree, "signers", 100) == b"k"
        assert [read_one(tree, path, 100) for path in ("out", "none", "folder", "../x", "")] == [None] * 5


# --- The same everywhere ---------------------------------------------------------------------------------------

_STEMS = st.sampled_from(["a.yaml", "b.YML", ".c.yaml", "d.txt", "Ä.yaml", "e\n.yaml", "\udcff.yaml"])
_FOLDERS = st.sampled_from(["policies", "policies/x", "policies/.h", "policies/x/y", "shared", "shared/.d"])
_PATHS = st.builds("{}/{}".format, _FOLDERS, _STEMS)
_LINKS = st.builds("{}/{}".format, _FOLDERS, st.sampled_from(["l.yaml", "l", ".l", "m.yml"]))
_TARGETS = st.sampled_from(
    ["a.yaml", "../shared", "../a.yaml", "..", ".", "x", ".h", "l", "../../shared/a.yaml", "/x", "../policies/x", "y/l"]
)


@settings(max_examples=500 if os.environ.get("RECONCILER_PROVE") else 15, deadline=None)
@given(st.sets(_PATHS, min_size=1), st.dictionaries(_LINKS, _TARGETS))
def test_a_tree_is_the_same_on_disk_and_as_a_commit(files: set[str], links: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = Made(Path(folder), "policies/z.yaml")
        for path in files:
            made._place(path).write_text(f"{HEAD}# {path!r}\n", encoding="utf-8")
        for path, target in links.items():
            made._place(path).symlink_to(target)
        disk: Tree = FolderTree(made.root)
        commit = made.commit()
        found = find_policy_files(disk, "policies")
        again = find_policy_files(commit, "policies")
        assert found.files == again.files
        assert set(found.diagnostics) == set(again.diagnostics)
        assert read_policy_files(disk, found, 10**6) == read_policy_files(commit, again, 10**6)


def test_the_last_good_copy_is_what_was_read(tmp_path: Path) -> None:
    for path in (ROOT / "policies").glob("*.yaml"):
        Made(tmp_path, f"policies/.sync/{path.name}")
        (tmp_path / "policies/.sync" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "policies/.sync/site.yaml").rename(tmp_path / "site.yaml")
    Made(tmp_path, "policies/current -> .sync\npolicies/site.yaml -> ../site.yaml")
    good = read_or_last_good(tmp_path)
    (tmp_path / "policies/broken.YAML").write_text("a: [", encoding="utf-8")
    kept = read_or_last_good(tmp_path)
    assert (good.current, kept.current) == (True, False)
    assert kept.texts == good.texts
    assert kept.policies.sites[0].document == good.policies.sites[0].document
    assert len(kept.policies.groups) == len(good.policies.groups) > 0


def test_the_fingerprint_sees_what_readers_see(tmp_path: Path) -> None:
    Made(tmp_path, "policies/a.yaml\nshared/b.yaml\npolicies/l.yaml -> ../shared/b.yaml\npolicies/x.txt: 1")
    prints = [fingerprint(tmp_path)]
    for path, text in (("shared/b.yaml", "2"), ("policies/C.YML", "3")):
        (tmp_path / path).write_text(text, encoding="utf-8")
        prints.append(fingerprint(tmp_path))
    (tmp_path / "policies/l.yaml").unlink()
    prints.append(fingerprint(tmp_path))
    (tmp_path / "policies/l.yaml").symlink_to("nowhere")
    prints.append(fingerprint(tmp_path))
    assert len(set(prints)) == len(prints)
    assert fingerprint(tmp_path / "none") == ""


def test_nobody_else_looks_for_policy_files() -> None:
    """Whoever knows the suffixes of policy files and lists folders has a second way of finding them."""
    looking = {"glob", "rglob", "walk", "scandir", "iterdir", "listdir"}
    suffixes = {".yaml", ".yml", "*.yaml", "*.yml", "yaml", "yml"}
    found = set()
    for path in sorted((ROOT / "reconciler").rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        texts = {each.value for each in nodes if isinstance(each, ast.Constant) and isinstance(each.value, str)}
        names = {each.attr for each in nodes if isinstance(each, ast.Attribute)}
        if texts & suffixes and (names & looking or "suffix" in names or "endswith" in names):
            found.add(path.relative_to(ROOT / "reconciler").as_posix())
    assert found == {"parse/policy_files.py", "demo/site.py"}  # the demo lists what ships in the package
    assert FOLDER == "policies"
