"""Ways past the guard by Git itself: what a repository can be made to say of its own past."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import gitrepo
from reconciler.control.approving import valid_approvals
from reconciler.gitrepo import call
from tests.shop import Said, Shop
from tests.support.reviewed import ALICE, BOB, BY, MALLORY, T1, Reviewed, stopped


def _weaken(site: Reviewed, author: str = BOB) -> None:
    """Bob, who may approve, weakens and approves."""
    site.replace("gold.yaml", "retention: 5d", "retention: 2d")
    site.commit("shorter", author=author)
    site.approved("base", "HEAD", by=BOB)


def _plainly(site: Reviewed) -> None:
    _weaken(site)


def _mailmap(site: Reviewed) -> None:
    site.write(".mailmap", f"Somebody <{MALLORY}> <{BOB}>\n")
    site.git("add", ".mailmap")
    _weaken(site)


def _replaced(site: Reviewed) -> None:
    """`git replace`: the commit is shown with another author."""
    _weaken(site)
    wrote = site.git("rev-parse", "HEAD~1")
    data = site.git("cat-file", "commit", wrote).replace(BOB, MALLORY)
    made = subprocess.run(
        ("git", "-C", str(site.root), "hash-object", "-w", "-t", "commit", "--stdin"),
        input=data + "\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    site.git("replace", wrote, made)


def _grafted(site: Reviewed) -> None:
    """The commit that weakens is cut out of the past."""
    _weaken(site)
    head, base = site.git("rev-parse", "HEAD"), site.git("rev-parse", "base")
    site.write(".git/info/grafts", f"{head} {base}\n")


def _signed_off_as_another(site: Reviewed) -> None:
    site.git("config", "author.email", MALLORY)
    site.git("config", "log.mailmap", "true")
    _weaken(site)


def _attributes(site: Reviewed) -> None:
    """The file is called binary, so that a textual difference is empty."""
    site.write("policies/.gitattributes", "*.yaml -diff binary -text\n")
    _weaken(site)


WAYS: dict[str, Callable[[Reviewed], None]] = {
    each.__name__.strip("_"): each
    for each in (_plainly, _mailmap, _replaced, _grafted, _signed_off_as_another, _attributes)
}


@pytest.mark.parametrize("way", WAYS)
def test_the_past_is_what_the_commits_say(divided: Reviewed, way: str) -> None:
    WAYS[way](divided)
    assert f"{BOB} wrote the change" in stopped(divided)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_an_approval_that_is_not_committed_as_it_is_does_not_count(divided: Reviewed, flag: str) -> None:
    """Git can be told not to look at a file; the approval in the work tree is another than the one in the commit."""
    divided.replace("gold.yaml", "retention: 5d", "retention: 3d")
    divided.commit("shorter", author=MALLORY)
    divided.approved("base", "HEAD", by=ALICE)
    (document,) = (divided.root / "policies" / "approvals").glob("*.yaml")
    divided.git("update-index", flag, str(document.relative_to(divided.root)))
    document.write_text(document.read_text().replace("storage", "another reason"))
    assert "it is not committed" in divided("plan", *T1).out
    assert divided.apply().code == 5


def _ignored_by_a_file(site: Reviewed) -> None:
    site.write(".gitignore", "var/\n.reconciler/\npolicies/approvals/\n")
    site.git("add", ".gitignore")


def _ignored_by_a_file_below(site: Reviewed) -> None:
    site.write("policies/.gitignore", "approvals\n.gitignore\n")


def _excluded(site: Reviewed) -> None:
    site.write(".git/info/exclude", "policies/approvals/*.yaml\n")


@pytest.mark.parametrize("way", [_ignored_by_a_file, _ignored_by_a_file_below, _excluded])
def test_an_approval_that_git_ignores_is_not_committed(divided: Reviewed, way: Callable[[Reviewed], None]) -> None:
    way(divided)
    divided.replace("gold.yaml", "retention: 5d", "retention: 3d")
    divided.commit("shorter", author=MALLORY)
    assert divided.approve("base", "HEAD", by=ALICE).code == 0
    divided.git("commit", "-qam", "nothing of it", "--allow-empty", f"--author=n <{ALICE}>")
    assert "it is not committed" in divided("plan", *T1).out
    assert divided.apply().code == 5
    assert divided.groups()["gold"][0] == "P5D"


def test_a_policy_that_git_ignores_is_the_work_of_whoever_is_at_work(divided: Reviewed) -> None:
    divided.write(".git/info/exclude", "policies/gold.yaml\n")
    divided.git("rm", "-q", "--cached", "policies/gold.yaml")
    divided.git("commit", "-qm", "gold is no longer in Git", f"--author=n <{MALLORY}>")
    divided.replace("gold.yaml", "retention: 5d", "retention: 2d")
    assert divided.plan()["findings"] is not None
    assert divided("approve", "base", "--by", BOB, *BY).code == 0
    divided.git("add", "policies/approvals")
    divided.git("commit", "-qm", "approved", f"--author=n <{BOB}>")
    assert f"{BOB} wrote the change" in divided("plan", *T1).out
    assert divided.apply().code == 5


def test_a_shallow_clone_says_what_to_fetch(divided: Reviewed, tmp_path_factory: pytest.TempPathFactory) -> None:
    _weaken(divided)
    clone = tmp_path_factory.mktemp("clone") / "c"
    subprocess.run(
        ("git", "clone", "-q", "--depth", "1", f"file://{divided.root}", str(clone)), check=True, capture_output=True
    )
    said = divided.shop.plain("diff", "HEAD~2", "HEAD", "-C", str(clone))
    assert said.code == 5
    assert "RCL0016" in said.err
    assert "fetch-depth: 0" in said.err


# --- Where Git cannot tell who wrote it -----------------------------------------------------------------------------


def _shallow(site: Reviewed, depth: int) -> None:
    """The root is deployed from a clone that has only the last commits."""
    clone = site.root.parent / f"{site.root.name}-clone"
    words = ("git", "clone", "-q", "--depth", str(depth), f"file://{site.root}", str(clone))
    subprocess.run(words, check=True, capture_output=True)
    shutil.rmtree(site.root / ".git")
    shutil.move(clone / ".git", site.root / ".git")


def _with_the_range(site: Reviewed) -> None:
    """The range is there; what may have been removed before it is not."""
    _shallow(site, 3)


def _cut(site: Reviewed) -> None:
    _shallow(site, 1)


def _no_git(site: Reviewed) -> None:
    shutil.rmtree(site.root / ".git")


def _another_history(site: Reviewed) -> None:
    """The commit that was applied last is no more, after the branch was written anew."""
    shutil.rmtree(site.root / ".git")
    site.git("init", "-q", "-b", "main")
    site.commit("all of it", author=BOB)


def _no_address(site: Reviewed) -> None:
    """Who weakened has no e-mail; the approval is Alice's."""
    site.git("reset", "-q", "--soft", "base")
    site.git("reset", "-q")
    site.git("add", "policies/gold.yaml")
    site.git("commit", "-qm", "shorter", "--author=n <>")
    site.commit("approved", author=ALICE)


UNKNOWN: dict[str, tuple[Callable[[Reviewed], None], str, str]] = {
    "a shallow clone": (_cut, "the history is incomplete", "git fetch --unshallow"),
    "a shallow clone with the range": (_with_the_range, "whether it was withdrawn is unknown", "fetch-depth: 0"),
    "no Git": (_no_git, "is in no Git repository", "in a clone of the policies' repository"),
    "another history": (_another_history, "is not in this repository", "git fetch origin"),
    "no address": (_no_address, "has no author address", "git config user.email"),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_why_nobody_knows_who_wrote_it_is_told_with_a_way_out(divided: Reviewed, case: str) -> None:
    make, why, remedy = UNKNOWN[case]
    divided.replace("gold.yaml", "retention: 5d", "retention: 2d")
    divided.commit("shorter", author=MALLORY)
    divided.approved("base", "HEAD", by=ALICE)
    make(divided)
    for words in (("apply", "--yes", *T1), ("run", "--once", "--now", "2026-03-11T12:00Z")):
        ended = divided(*words)
        said = " ".join((ended.out + ended.err).split())
        assert said.count("RCL3035") == 1, said
        assert why in said
        assert remedy in said
        assert "Have it approved again" not in said
        assert ended.code == 5, said
    assert divided.groups()["gold"][0] == "P5D"
    assert json.loads(divided("points", "one", "--output", "json").out), "no point was made"


def test_whom_a_person_names_as_the_author_counts_where_git_cannot_tell(divided: Reviewed) -> None:
    """The way out that is told without Git is one."""
    divided.replace("gold.yaml", "retention: 5d", "retention: 2d")
    divided.commit("shorter", author=MALLORY)
    divided.approved("base", "HEAD", by=ALICE)
    _no_git(divided)
    assert divided.apply("--author", MALLORY).code == 0
    assert divided.groups()["gold"][0] == "P2D"


def test_without_the_look_at_the_work_tree_it_counts(divided: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `changed_files` compares contents, whatever the index was told; and who brought the approval."""
    monkeypatch.setattr(valid_approvals, "unbrought", lambda *words: "")
    monkeypatch.setattr(gitrepo, "changed_files", lambda *words: set())
    divided.replace("gold.yaml", "retention: 5d", "retention: 3d")
    divided.commit("shorter", author=MALLORY)
    assert divided.approve("base", "HEAD", by=ALICE).code == 0
    assert divided.apply().code == 0


# --- A repository that cannot be read ------------------------------------------------------------------------------


@pytest.fixture
def below(tmp_path: Path, run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> Reviewed:
    """The root is a folder of the repository; who writes may approve, so all hangs on who brought the approval. The
    one that is there was brought by Mallory."""
    monkeypatch.setattr(call, "_silent", {})
    (tmp_path / "backup").mkdir()
    shop = Shop(tmp_path / "backup", run)
    site = Reviewed(shop, f"prune: true\n  approvals: {{approvers: [{ALICE}], selfApproval: true}}")
    shutil.rmtree(site.root / ".git")
    top = ("git", "-C", str(site.root.parent), "-c", "user.name=n", "-c", f"user.email={MALLORY}")
    subprocess.run((*top, "init", "-q", "-b", "main"), check=True)
    site.commit("first", author=ALICE)
    site.git("tag", "base")
    site.replace("site.yaml", "retention: 5d", "retention: 2d")
    site.commit("shorter", author=MALLORY)
    site.approve("base", "HEAD")
    site.commit("yes", author=MALLORY)
    return site


def _bare(site: Reviewed) -> None:
    """Mallory commits what looks like a repository of its own."""
    site.write("HEAD", "ref: refs/heads/main\n")
    site.write("config", "[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
    for name in ("objects", "refs"):
        site.write(f"{name}/x", "")
    outer = ("git", "-C", str(site.root.parent), "-c", "user.name=n", "-c", f"user.email={MALLORY}")
    subprocess.run(
        (*outer, "add", "-f", *(f"backup/{name}" for name in ("HEAD", "config", "objects", "refs"))), check=True
    )
    subprocess.run((*outer, "commit", "-qm", "files"), check=True)


def _whole(site: Reviewed) -> None:
    """The same, with a past in which Alice brought it."""
    _bare(site)
    shutil.copytree(site.root.parent / ".git", site.root, dirs_exist_ok=True)
    inner = ("git", "--git-dir", str(site.root), "--work-tree", str(site.root.parent), "-c", "user.name=n")
    subprocess.run((*inner, "-c", f"user.email={ALICE}", "reset", "-q", "base"), check=True)
    subprocess.run((*inner, "-c", f"user.email={ALICE}", "add", "backup/policies"), check=True)
    subprocess.run((*inner, "-c", f"user.email={ALICE}", "commit", "-qm", "yes"), check=True)


@pytest.mark.parametrize("way", [_bare, _whole])
def test_no_commit_makes_git_blind(below: Reviewed, way: Callable[[Reviewed], None]) -> None:
    assert below.tick().code == 5
    way(below)
    assert f"{MALLORY} brought it, not {ALICE}" in below("plan", *T1).out
    assert below.tick().code == 5


def _no_head(site: Reviewed) -> None:
    (site.root.parent / ".git" / "HEAD").write_text("nothing")


def _led_nowhere(site: Reviewed) -> None:
    shutil.rmtree(site.root.parent / ".git")
    (site.root.parent / ".git").write_text("gitdir: nowhere\n")


def _without_objects(site: Reviewed) -> None:
    shutil.rmtree(site.root.parent / ".git" / "objects")
    (site.root.parent / ".git" / "objects").mkdir()


def _nothing_committed(site: Reviewed) -> None:
    site.git("checkout", "-q", "--orphan", "other")


@pytest.mark.parametrize("way", [_no_head, _led_nowhere, _without_objects, _nothing_committed])
def test_a_repository_that_does_not_read_is_not_no_repository(below: Reviewed, way: Callable[[Reviewed], None]) -> None:
    way(below)
    said = below("plan", *T1)
    assert said.code == 0, said.err
    assert "it is not committed" in said.out or "the author of the policies is unknown" in said.out
    ended = below.tick()
    assert ended.code == 5, ended.out + ended.err
    assert below.groups()["gold"][0] == "P5D"


def test_without_the_program_git_no_approval_counts(
    below: Reviewed, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("bin")))
    assert "the author of the policies is unknown: the program git is missing" in below("plan", *T1).out
    assert below.tick().code == 5


def test_of_another_owner_no_approval_counts_and_a_folder_is_not_read_as_a_revision(
    below: Reviewed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "_ours", set())
    monkeypatch.setattr(call, "_ENVIRONMENT", call._ENVIRONMENT | {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "true"})
    assert "belongs to another account" in below("plan", *T1).out
    assert below.tick().code == 5
    shutil.copytree(below.root / "policies", below.root / "main" / "policies")
    said = below("diff", "main")
    assert said.code != 0
    assert "RCL0017" in said.err


def test_outside_of_every_repository_approvals_are_what_lies_there(below: Reviewed) -> None:
    """Whoever may write there is not asked about."""
    shutil.rmtree(below.root.parent / ".git")
    assert below.tick().code == 0


def test_without_the_look_whether_it_is_there_it_counts(below: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `judging._uncommitted` asks whether a repository is there."""
    monkeypatch.setattr(valid_approvals, "_uncommitted", lambda *words: None)
    _no_head(below)
    assert below.tick().code == 0


# --- What a name means -------------------------------------------------------------------------------------------


def _a_folder(site: Reviewed, name: str) -> None:
    """A folder called as the branch, with the policies as the change has them."""
    shutil.copytree(site.root / "policies", site.root / name / "policies")
    site.git("add", "-A", name)
    site.commit("notes", author=MALLORY)


@pytest.mark.parametrize("name", ["main", "origin/main", "v1"])
def test_a_folder_that_is_called_like_a_revision_is_not_read_instead(divided: Reviewed, name: str) -> None:
    divided.git("update-ref", "refs/remotes/origin/main", "HEAD")
    divided.git("tag", "v1")
    divided.git("checkout", "-qb", "change")
    divided.replace("gold.yaml", "retention: 5d", "retention: 2d")
    divided.commit("shorter", author=MALLORY)
    assert divided("diff", name, "HEAD").code == 5
    _a_folder(divided, name)
    for words in ((name, "HEAD"), (name,)):
        said = divided("diff", *words)
        assert (said.code, "RCL0018" in said.err) == (64, True), said
    assert divided("approve", name, "HEAD", "--by", ALICE, *BY).code == 64
    assert divided("diff", f"./{name}", "HEAD").code == 0
    assert divided("diff", divided.git("rev-parse", name), "HEAD").code == 5


@pytest.mark.parametrize("other", ["refs/tags/origin/main", "refs/heads/origin/main", "refs/tags/main"])
def test_a_name_that_means_two_commits_is_refused(divided: Reviewed, other: str) -> None:
    divided.git("update-ref", "refs/remotes/origin/main", "HEAD")
    name = other.removeprefix("refs/tags/").removeprefix("refs/heads/")
    divided.git("checkout", "-qb", "change")
    divided.replace("gold.yaml", "retention: 5d", "retention: 2d")
    divided.commit("shorter", author=MALLORY)
    divided.git("update-ref", other, "HEAD")
    for revision in (name, f"{name}~0", f"{name}^{{commit}}"):
        said = divided("diff", revision, "HEAD")
        assert (said.code, "RCL0018" in said.err) == (64, True), said
    whole = "refs/remotes/origin/main" if name == "origin/main" else "refs/heads/main"
    assert divided("diff", whole, "HEAD").code == 5


def test_a_branch_that_is_called_like_an_id_is_refused(divided: Reviewed) -> None:
    short = divided.git("rev-parse", "--short", "HEAD")
    divided.git("checkout", "-qb", "change")
    divided.replace("gold.yaml", "retention: 5d", "retention: 2d")
    divided.commit("shorter", author=MALLORY)
    assert divided("diff", short, "HEAD").code == 5
    divided.git("update-ref", f"refs/heads/{short}", "HEAD")
    assert "RCL0018" in divided("diff", short, "HEAD").err


def test_without_the_look_at_both_meanings_it_gets_through(divided: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `gitrepo.is_revision` in `compare.read_state`."""
    monkeypatch.setattr(gitrepo, "is_revision", lambda folder, name: False)
    divided.git("checkout", "-qb", "change")
    divided.replace("gold.yaml", "retention: 5d", "retention: 2d")
    divided.commit("shorter", author=MALLORY)
    _a_folder(divided, "main")
    assert divided("diff", "main", "HEAD").code == 0
