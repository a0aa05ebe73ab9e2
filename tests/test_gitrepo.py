"""Git: what a range holds and who wrote it; a repository under review runs nothing and fetches nothing."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import gitrepo
from reconciler.errors import ConsentNeeded, Refused, Unreachable, UsageError
from reconciler.gitrepo import call
from tests.shop import Said

ROOT = Path(__file__).parent.parent


class Repo:
    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str, author: str = "ann@corp.example", given: bytes = b"") -> str:
        who = {f"GIT_{role}_{what}": author for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = os.environ | who | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        told = subprocess.run(
            ("git", "-C", str(self.root), "-c", "protocol.file.allow=always", *words),
            check=True,
            capture_output=True,
            input=given,
            env=environment,
        )
        return told.stdout.decode("utf-8", "surrogateescape").strip()

    def write(self, name: str, text: str = "x\n") -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def commit(self, author: str = "ann@corp.example", **files: str) -> str:
        for name, text in files.items():
            self.write(f"policies/{name}.yaml", text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "m", author=author)
        return self.git("rev-parse", "HEAD")

    def merge(self, *words: str, author: str) -> str:
        self.git("merge", "-q", "--no-ff", "-m", "merge", *words, author=author)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


def _told(repo: Repo, older: str, newer: str = "HEAD") -> list[tuple[str, set[str]]]:
    return [
        (each.author.split("@")[0], {path.removeprefix("policies/").removesuffix(".yaml") for path in each.paths})
        for each in gitrepo.commits(repo.root, older, newer)
    ]


# --- Who wrote what --------------------------------------------------------------------------------------------


def test_every_commit_of_the_range_with_its_files_oldest_first(repo: Repo) -> None:
    first = repo.commit(gold="1", silver="1")
    repo.commit("bob@corp.example", gold="2")
    repo.commit("eve@corp.example")
    assert _told(repo, first) == [("bob", {"gold"}), ("eve", set())]
    assert _told(repo, "") == [("ann", {"gold", "silver"}), ("bob", {"gold"}), ("eve", set())]
    assert _told(repo, "HEAD", first) == []


def test_a_rename_belongs_to_both_names(repo: Repo) -> None:
    first = repo.commit(gold="long enough to be taken for the same file\n" * 9)
    repo.git("mv", "policies/gold.yaml", "policies/other.yaml")
    repo.commit("bob@corp.example")
    assert _told(repo, first) == [("bob", {"gold", "other"})]


def test_author_and_committer_are_those_of_the_commit_whatever_a_mailmap_says(repo: Repo) -> None:
    first = repo.commit(gold="1")
    repo.write(".mailmap", "Ann <ann@corp.example> <eve@corp.example>\n")
    repo.git("config", "log.mailmap", "true")
    repo.commit("eve@corp.example", gold="2")
    (found,) = gitrepo.commits(repo.root, first, "HEAD")
    assert (found.author, found.committer) == ("eve@corp.example", "eve@corp.example")


def _written(repo: Repo, *lines: str) -> str:
    """A commit with these lines in the place of its author's."""
    text = repo.git("cat-file", "commit", "HEAD")
    made = re.sub(r"^author .*$", "\n".join(lines), text, flags=re.MULTILINE).encode()
    name = repo.git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", given=made + b"\n")
    repo.git("reset", "-q", "--hard", name)
    return repo.git("log", "-1", "--format=%ae")


TWO = "author A <alice@c> 1700000000 +0000"


@pytest.mark.parametrize(
    ("by_git", "lines"),
    [
        ("mallory@c", ("author M <mallory@c> <alice@c> 1700000000 +0000",)),
        ("mallory@c", ("author M <mallory@c> alice@c> 1700000000 +0000",)),
        ("alice@c", ("author M <mallory@c> 1700000000 +0000", TWO)),
        ("alice@c", ("author A <> 1700000000 +0000", TWO)),
        ("", ("author alice@c 1700000000 +0000",)),
        ("", ("author alice@c> 1700000000 +0000",)),
    ],
)
def test_an_author_without_just_one_address_is_nobody(repo: Repo, by_git: str, lines: tuple[str, ...]) -> None:
    """Git takes the first address, and of two lines the last."""
    repo.commit(gold="1")
    assert _written(repo, *lines) == by_git
    (commit,) = gitrepo.commits(repo.root, "", "HEAD")
    assert commit.author == ""
    assert gitrepo.brought(repo.root, "HEAD", "policies/gold.yaml") == {""}


def test_names_of_any_bytes(repo: Repo) -> None:
    first = repo.commit(gold="1")
    names = [
        b"gr\xf6\xdfe.yaml",
        b"new\nline.yaml",
        b":100644 000000 x.yaml",
        b"esc\x1b[2J.yaml",
        b"tab\t.yaml",
        b"'q\".yaml",
    ]
    for name in names:
        path = os.fsencode(repo.root) + b"/" + name
        with open(path, "wb") as file:  # noqa: PTH123 (bytes)
            file.write(b"x")
    repo.commit()
    (found,) = gitrepo.commits(repo.root, first, "HEAD")
    assert found.paths == {os.fsdecode(name) for name in names}
    assert set(gitrepo.entries(repo.root, "HEAD", ".")) >= found.paths


def test_a_clean_merge_is_not_its_maker_s_work(repo: Repo) -> None:
    first = repo.commit(gold="1", silver="1")
    repo.git("checkout", "-qb", "side")
    repo.commit("bob@corp.example", gold="2")
    repo.git("checkout", "-q", "main")
    repo.commit("cat@corp.example", silver="2")
    repo.merge("side", author="eve@corp.example")
    assert sorted(_told(repo, first)) == [("bob", {"gold"}), ("cat", {"silver"}), ("eve", set())]


def test_what_a_merge_writes_itself_is_its_maker_s_work(repo: Repo) -> None:
    first = repo.commit(gold="1", silver="1")
    repo.git("checkout", "-qb", "side")
    repo.commit("bob@corp.example", silver="2")
    repo.git("checkout", "-q", "main")
    repo.commit("cat@corp.example", bronze="1")
    repo.git("merge", "-q", "--no-ff", "--no-commit", "side", author="eve@corp.example")
    repo.commit("eve@corp.example", gold="slipped in")
    assert ("eve", {"gold"}) in _told(repo, first)


def test_a_merge_that_drops_what_one_side_changed_is_its_maker_s_work(repo: Repo) -> None:
    repo.commit(gold="14d", silver="1")
    repo.git("checkout", "-qb", "side")
    repo.commit("bob@corp.example", silver="2")
    repo.git("checkout", "-q", "main")
    settled = repo.commit("cat@corp.example", gold="30d")
    repo.merge("-s", "ours", "side", author="mia@corp.example")  # silver of the side is dropped
    assert ("mia", {"silver"}) in _told(repo, settled)
    repo.git("checkout", "-q", "side")
    repo.merge("-s", "ours", settled, author="eve@corp.example")  # and so is gold of main: 30d is 14d again
    assert _told(repo, settled) == [("bob", {"silver"}), ("eve", {"gold"})]


def test_a_merge_of_three(repo: Repo) -> None:
    first = repo.commit(gold="1")
    for name in ("one", "two"):
        repo.git("checkout", "-qb", name, first)
        repo.commit(f"{name}@corp.example", **{name: "1"})
    repo.git("checkout", "-q", "main")
    repo.commit("cat@corp.example", gold="2")
    repo.merge("one", "two", author="eve@corp.example")
    assert dict(_told(repo, first))["eve"] == set()


def test_only_what_is_below_the_root_and_by_its_name_there(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "mono")
    repo.write("backup/policies/gold.yaml")
    repo.write("elsewhere.txt")
    repo.commit()
    (found,) = gitrepo.commits(repo.root / "backup", "", "HEAD")
    assert found.paths == {"policies/gold.yaml"}


# --- What is not the whole history --------------------------------------------------------------------------------


def test_a_shallow_clone_that_lacks_the_range_names_what_ci_has_to_fetch(repo: Repo, tmp_path: Path) -> None:
    first = repo.commit(gold="1")
    repo.commit("bob@corp.example", gold="2")
    repo.commit("eve@corp.example", gold="3")
    repo.git("clone", "-q", "--depth=2", f"file://{repo.root}", str(tmp_path / "shallow"))
    shallow = tmp_path / "shallow"
    for older in (first, ""):
        with pytest.raises(ConsentNeeded, match="history is incomplete") as refused:
            gitrepo.commits(shallow, older, "HEAD")
        assert refused.value.diagnostic.code == "RCL0016"
        assert "fetch-depth: 0" in refused.value.diagnostic.remedy
    assert [each.author for each in gitrepo.commits(shallow, "HEAD~1", "HEAD")] == ["eve@corp.example"]


def test_a_side_branch_that_begins_before_the_shallow_edge_is_not_left_out(repo: Repo, tmp_path: Path) -> None:
    repo.commit(gold="1")
    repo.git("checkout", "-qb", "side")
    repo.commit("eve@corp.example", silver="1")
    repo.commit("eve@corp.example", silver="2")
    repo.git("checkout", "-q", "main")
    settled = repo.commit("bob@corp.example", gold="2")
    repo.merge("side", author="ann@corp.example")
    repo.git("clone", "-q", "--depth=2", f"file://{repo.root}", str(tmp_path / "shallow"))
    with pytest.raises(ConsentNeeded, match="history is incomplete"):
        gitrepo.commits(tmp_path / "shallow", settled, "HEAD")


def test_replaced_and_grafted_commits_hide_nobody(repo: Repo) -> None:
    first = repo.commit(gold="1")
    evil = repo.commit("eve@corp.example", gold="2")
    last = repo.commit("bob@corp.example", silver="1")
    repo.git("replace", "--graft", last, first)
    (repo.root / ".git/info/grafts").write_text(f"{last} {first}\n", encoding="utf-8")
    assert [each.id for each in gitrepo.commits(repo.root, first, "HEAD")] == [evil, last]


# --- What a repository's own settings would run ------------------------------------------------------------------


@pytest.fixture
def hostile(repo: Repo, tmp_path: Path) -> tuple[Repo, Path]:
    """A repository whose settings, attributes and hooks name programs that leave a mark when they are run."""
    marks = tmp_path / "marks"
    marks.mkdir()

    def evil(name: str) -> str:
        path = tmp_path / f"evil-{name}"
        path.write_text(f"#!/bin/sh\n: > '{marks}/{name}'\ncat\nexit 0\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    repo.write(".gitattributes", "*.yaml diff=ev filter=ev merge=ev\n")
    repo.write(".gitmodules", '[submodule "policies/sub"]\n path = policies/sub\n url = ../x\n ignore = all\n')
    repo.commit(gold="1")
    repo.commit("eve@corp.example", gold="2")
    signed = repo.git("cat-file", "commit", "HEAD").split("\n\n", 1)
    data = f"{signed[0]}\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ\n -----END PGP SIGNATURE-----\n\n{signed[1]}\n"
    made = repo.git("hash-object", "-t", "commit", "-w", "--stdin", given=data.encode())
    repo.git("update-ref", "refs/heads/main", made)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-index-change", "reference-transaction", "post-checkout", "pre-commit", "fsmonitor-watchman"):
        Path(evil(f"hook-{name}")).rename(hooks / name)
    settings = {
        "core.fsmonitor": evil("fsmonitor"),
        "core.hooksPath": str(hooks),
        "diff.external": evil("external"),
        "diff.ev.textconv": evil("textconv"),
        "diff.ev.command": evil("command"),
        "filter.ev.clean": evil("clean"),
        "filter.ev.smudge": evil("smudge"),
        "filter.ev.process": evil("process"),
        "merge.ev.driver": evil("merge"),
        "core.pager": evil("pager"),
        "pager.log": evil("pager-log"),
        "pager.rev-list": evil("pager-rev-list"),
        "pager.config": evil("pager-config"),
        "log.showSignature": "true",
        "gpg.program": evil("gpg"),
        "core.editor": evil("editor"),
        "core.sshCommand": evil("ssh"),
        "credential.helper": evil("credential"),
        "core.askPass": evil("askpass"),
        "core.gitProxy": evil("proxy"),
        "core.alternateRefsCommand": evil("alternates"),
        "alias.rev-list": "!" + evil("alias"),
        "uploadpack.packObjectsHook": evil("packobjects"),
        "protocol.ext.allow": "always",
        "protocol.allow": "always",
        "core.worktree": str(tmp_path),
    }
    with (repo.root / ".git/config").open("a", encoding="utf-8") as file:
        file.write(f"[include]\n path = {tmp_path / 'included'}\n")
    (tmp_path / "included").write_text(f"[core]\n fsmonitor = {evil('included')}\n", encoding="utf-8")
    for name, value in settings.items():
        repo.git("config", name, value)
    for path in marks.iterdir():
        path.unlink()
    return repo, marks


def _everything(root: Path) -> None:
    gitrepo.resolve(root, "HEAD~1")
    gitrepo.commits(root, "HEAD~1", "HEAD")
    gitrepo.read_files(root, gitrepo.resolve(root, "HEAD"))
    gitrepo.changed_files(root, "policies", ("policies/gold.yaml", "policies/new.yaml"))
    gitrepo.identity(root)


def test_nothing_that_the_repository_names_is_run(hostile: tuple[Repo, Path]) -> None:
    repo, marks = hostile
    os.utime(repo.root / "policies/gold.yaml", (1, 1))  # looked at again by whoever trusts times
    repo.write("policies/new.yaml")
    _everything(repo.root)
    assert [path.name for path in marks.iterdir()] == []


def test_no_command_runs_what_a_repository_under_review_names(
    hostile: tuple[Repo, Path], run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole commands, over commits and over the work tree, in a repository that came with its settings."""
    repo, marks = hostile
    monkeypatch.setenv("GIT_EDITOR", "false")
    shutil.rmtree(repo.root / "policies")
    shutil.copytree(ROOT / "policies", repo.root / "policies")
    overriding = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "-c", "core.worktree=.")
    plain = (*overriding, "-c", "filter.ev.clean=cat", "-c", "filter.ev.process=", "--work-tree", str(repo.root))
    repo.git(*plain, "add", "-A")
    repo.git(*plain, "commit", "-qm", "policies")
    for path in marks.iterdir():
        path.unlink()
    site = repo.root / "policies/site.yaml"
    site.write_text(site.read_text(encoding="utf-8") + "# looked at\n", encoding="utf-8")
    for words in (
        ("validate",),
        ("fmt", "--check"),
        ("diff", "HEAD"),
        ("diff", "HEAD", "HEAD"),
        ("diff", "HEAD~1", "HEAD"),
        ("plan",),
        ("status",),
        ("coverage",),
        ("policy", "test"),
        ("apply", "--yes"),
        ("run", "--once"),
    ):
        said = run(*words, "-C", str(repo.root))
        assert "Traceback" not in said.err, said
        assert [path.name for path in marks.iterdir()] == [], words


def test_git_is_called_in_one_place() -> None:
    """Whoever starts a program is known here, and which of them start git."""
    starting, calling = set(), set()
    for path in sorted((ROOT / "reconciler").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if re.search(r"\b(subprocess|os\.system|os\.exec|os\.spawn|popen)\b", text):
            starting.add(path.relative_to(ROOT / "reconciler").as_posix())
            if re.search(r"""["']git["']""", text):
                calling.add(path.relative_to(ROOT / "reconciler").as_posix())
    assert calling == {"gitrepo/call.py", "gitrepo/remote.py"}  # the second one to fetch, in a folder of its own
    assert "gitrepo/call.py" in starting


def test_the_marks_would_show(hostile: tuple[Repo, Path]) -> None:
    """Git itself runs them: the test above looks at something."""
    repo, marks = hostile
    repo.git("config", "--unset", "core.worktree")
    os.utime(repo.root / "policies/gold.yaml", (1, 1))
    repo.git("status")
    repo.git("diff", "HEAD~1")
    repo.git("log", "--show-signature", "-1")
    assert {path.name for path in marks.iterdir()} >= {"included", "process", "command", "gpg"}


def test_an_object_that_is_not_there_is_never_fetched(hostile: tuple[Repo, Path], tmp_path: Path) -> None:
    repo, marks = hostile
    blob = repo.git("rev-parse", "HEAD~1:policies/gold.yaml")
    helper = tmp_path / "evil-ssh"
    for url in ("ssh://host.example/x", f"ext::{helper} %S", f"file://{tmp_path}/other"):
        for name, value in {
            "remote.origin.url": url,
            "remote.origin.promisor": "true",
            "remote.origin.partialclonefilter": "blob:none",
            "remote.origin.uploadpack": str(helper),
            "extensions.partialClone": "origin",
            "core.repositoryformatversion": "1",
        }.items():
            repo.git("config", name, value)
        (repo.root / ".git/objects" / blob[:2] / blob[2:]).unlink(missing_ok=True)
        with pytest.raises(ConsentNeeded, match="does not have the object"):
            gitrepo.read_files(repo.root, gitrepo.resolve(repo.root, "HEAD~1"))
    assert [path.name for path in marks.iterdir()] == []


def test_the_caller_s_environment_leads_git_nowhere_else(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit(gold="1")
    other = Repo(tmp_path / "other")
    other.commit(other="1")
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.root / ".git/index"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.worktree")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(other.root))
    assert set(gitrepo.read_files(repo.root, "HEAD")) == {"policies/gold.yaml"}


def test_another_work_tree_in_the_settings_leads_nowhere(repo: Repo, tmp_path: Path) -> None:
    repo.commit(gold="1")
    repo.write("repo/policies/gold.yaml", "what the settings would show")
    repo.commit()
    repo.git("config", "core.worktree", str(tmp_path))
    assert "policies/gold.yaml" in gitrepo.read_files(repo.root, "HEAD")


def test_a_bare_repository_in_a_folder_of_a_repository_is_not_taken_for_it(tmp_path: Path) -> None:
    outer = Repo(tmp_path / "outer")
    outer.write("backup/policies/gold.yaml", "30d")
    inner = Repo(tmp_path / "inner")
    inner.commit(gold="1d")
    for name in ("HEAD", "config", "objects", "refs"):
        (inner.root / ".git" / name).rename(outer.root / "backup" / name)
    with pytest.raises(UsageError):
        gitrepo.read_files(outer.root / "backup", "HEAD")
    outer.git("add", "-f", "backup/policies", "backup/HEAD", "backup/config")
    outer.git("commit", "-qm", "m")
    assert gitrepo.head(outer.root / "backup") == outer.git("rev-parse", "HEAD")
    assert gitrepo.read_files(outer.root / "backup", "HEAD")["policies/gold.yaml"] == b"30d"


def test_an_older_git_would_not_read_it_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 2.38 Git knows no `safe.bareRepository`: only that it is told where the repository is keeps it away."""
    monkeypatch.setattr(call, "_SETTINGS", tuple(each for each in call._SETTINGS if each[0] != "safe.bareRepository"))
    test_a_bare_repository_in_a_folder_of_a_repository_is_not_taken_for_it(tmp_path)


# --- A repository of somebody else ---------------------------------------------------------------------------------


def test_a_repository_of_another_owner_is_told_with_what_to_do(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.commit(gold="1")
    monkeypatch.setenv("HOME", str(repo.root))
    monkeypatch.setattr(call, "_ENVIRONMENT", call._ENVIRONMENT | {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "true"})
    with pytest.raises(Refused, match="another account") as refused:
        gitrepo.resolve(repo.root, "HEAD")
    assert refused.value.diagnostic.code == "RCL0017"
    assert f"safe.directory {repo.root}" in refused.value.diagnostic.remedy
    with pytest.raises(Refused, match="another account"):
        gitrepo.head(repo.root)
    (repo.root / ".gitconfig").write_text(f"[safe]\n directory = {repo.root}\n", encoding="utf-8")
    assert gitrepo.resolve(repo.root, "HEAD") == repo.git("rev-parse", "HEAD")


# --- What differs from the commit ----------------------------------------------------------------------------------


def test_what_is_not_committed(repo: Repo) -> None:
    """What was read and what the commit has, and nothing else: neither settings of Git's nor its index have a say."""
    repo.write(".gitignore", "*.swp\nbuild/\n")
    repo.write("shared/one.yaml", "1\n")
    repo.commit(gold="1\n", silver="1\n", bronze="1\n")
    read = {"policies/gold.yaml", "policies/silver.yaml", "policies/bronze.yaml", "shared/one.yaml"}
    assert gitrepo.changed_files(repo.root, "policies", read) == set()
    repo.write("policies/gold.yaml", "1\r\n")
    repo.write("policies/x.swp")
    repo.write("policies/notes.txt")
    assert gitrepo.changed_files(repo.root, "policies", read) == set()
    repo.write("policies/build/x.yaml")
    assert gitrepo.changed_files(repo.root, "policies", {*read, "policies/build/x.yaml"}) == {"policies/build/x.yaml"}
    repo.write("policies/gold.yaml", "2\n")
    repo.write("shared/one.yaml", "2\n")
    (repo.root / "policies/silver.yaml").unlink()
    (repo.root / "policies/bronze.yaml").unlink()
    (repo.root / "policies/bronze.yaml").symlink_to("gold.yaml")
    repo.write("policies/new.yaml")
    assert gitrepo.changed_files(repo.root, "policies", {"policies/new.yaml", "shared/one.yaml"}) == {
        "shared/one.yaml",
        *(f"policies/{name}.yaml" for name in ("gold", "silver", "bronze", "new")),
    }


@pytest.mark.parametrize(
    "name",
    [".gitignore", ".gitattributes", ".mailmap", "policies/.gitignore"],
)
def test_a_pipe_that_git_need_not_read_holds_nobody(repo: Repo, name: str) -> None:
    repo.commit(gold="1\n")
    os.mkfifo(repo.root / name)
    assert gitrepo.changed_files(repo.root, "policies", {"policies/gold.yaml"}) == set()
    assert len(gitrepo.commits(repo.root, "", "HEAD")) == 1


def _at(name: str) -> Callable[[Repo], Path]:
    return lambda repo: repo.root / ".git" / name


def _included(text: str) -> Callable[[Repo], Path]:
    def of(repo: Repo) -> Path:
        pipe = repo.root / "pipe"
        with (repo.root / ".git/config").open("a", encoding="utf-8") as file:
            file.write(text.format(pipe=pipe))
        return pipe

    return of


def _included_twice(repo: Repo) -> Path:
    (repo.root / "more").write_text("[Include]\n\tPath = pipe\n", encoding="utf-8")
    _included("[include]\n\tpath = ../more\n")(repo)
    return repo.root / "pipe"


PIPES: dict[str, Callable[[Repo], Path]] = {
    "HEAD": _at("HEAD"),
    "config": _at("config"),
    "what is checked out": _at("refs/heads/main"),
    "packed refs": _at("packed-refs"),
    "other objects": _at("objects/info/alternates"),
    "shallow": _at("shallow"),
    "common": _at("commondir"),
    "included": _included("[include]\n\tpath = {pipe}\n"),
    "included where a condition holds": _included('[includeIf "gitdir:**"] path = "{pipe}"\n'),
    "included by what is included": _included_twice,
}


@pytest.mark.parametrize("way", PIPES)
def test_a_pipe_that_git_would_wait_for_is_refused_at_once(repo: Repo, way: str) -> None:
    repo.commit(gold="1\n")
    pipe = PIPES[way](repo)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    began = time.monotonic()
    with pytest.raises(Refused, match="a named pipe") as refused:
        gitrepo.resolve(repo.root, "HEAD")
    assert refused.value.diagnostic.code == "RCL3109"
    with pytest.raises(Refused, match="a named pipe"):
        gitrepo.head(repo.root)
    assert time.monotonic() - began < 2


def test_a_repository_that_is_named_by_a_file_is_looked_at_too(repo: Repo, tmp_path: Path) -> None:
    repo.commit(gold="1\n")
    (repo.root / ".git").rename(tmp_path / "elsewhere")
    (repo.root / ".git").write_text(f"gitdir: {tmp_path / 'elsewhere'}\n", encoding="utf-8")
    assert gitrepo.head(repo.root)
    os.mkfifo(tmp_path / "elsewhere" / "config.worktree")
    with pytest.raises(Refused, match=r"config\.worktree is a named pipe"):
        gitrepo.resolve(repo.root, "HEAD")


@pytest.mark.parametrize("harmless", ["[include]\n\tpath = /dev/null\n", "[include]\n\tpath = nothing-is-here\n"])
def test_settings_that_take_in_what_holds_nobody(repo: Repo, harmless: str) -> None:
    repo.commit(gold="1\n")
    with (repo.root / ".git/config").open("a", encoding="utf-8") as file:
        file.write(harmless)
    assert gitrepo.head(repo.root)


def test_a_git_that_does_not_answer_is_ended_and_not_asked_again(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe in the place of an object: nobody looks at all of them."""
    commit = repo.commit(gold="1\n")
    monkeypatch.setattr(call, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(call, "_silent", {})
    place = repo.root / ".git/objects" / commit[:2] / commit[2:]
    place.unlink()
    os.mkfifo(place)
    for within in (20.0, 0.2):
        began = time.monotonic()
        with pytest.raises(Unreachable) as silent:
            gitrepo.commits(repo.root, "", commit)
        assert silent.value.diagnostic.code == "RCL3108"
        assert time.monotonic() - began < within


def _no_head(repo: Repo) -> None:
    (repo.root / ".git/HEAD").write_text("nothing", encoding="utf-8")


def _a_broken_branch(repo: Repo) -> None:
    (repo.root / ".git/refs/heads/main").write_text("nothing", encoding="utf-8")


def _no_objects(repo: Repo) -> None:
    for folder in (repo.root / ".git/objects").iterdir():
        shutil.rmtree(folder)


def _leads_nowhere(repo: Repo) -> None:
    shutil.rmtree(repo.root / ".git")
    repo.write(".git", "gitdir: /nowhere/is/this\n")


@pytest.mark.parametrize("damage", [_no_head, _a_broken_branch, _no_objects, _leads_nowhere])
def test_a_repository_that_does_not_tell_is_not_taken_for_none(repo: Repo, damage: Callable[[Repo], None]) -> None:
    repo.commit(gold="1\n")
    damage(repo)
    with pytest.raises(Refused, match="cannot be read") as refused:
        gitrepo.head(repo.root / "policies")
    assert refused.value.diagnostic.code == "RCL3115"


def test_before_the_first_commit(repo: Repo) -> None:
    assert gitrepo.is_repository(repo.root)
    assert gitrepo.head(repo.root) == ""
    repo.commit(gold="1\n")
    repo.git("checkout", "-q", "--orphan", "other")
    assert gitrepo.head(repo.root) == ""


def test_outside_of_a_repository(tmp_path: Path) -> None:
    assert not gitrepo.is_repository(tmp_path)
    assert gitrepo.head(tmp_path) == ""
    with pytest.raises(UsageError):
        gitrepo.resolve(tmp_path, "HEAD")
