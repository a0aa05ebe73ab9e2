"""Ways past the guard by Git itself: what a repository can be made to say of its own past."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from reconciler import gitrepo
from tests.support.reviewed import ALICE, BOB, MALLORY, T1, Reviewed, stopped


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


def test_without_the_look_at_the_work_tree_it_counts(divided: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `changed_files` compares contents, whatever the index was told."""
    monkeypatch.setattr(gitrepo, "changed_files", lambda *words: set())
    divided.replace("gold.yaml", "retention: 5d", "retention: 3d")
    divided.commit("shorter", author=MALLORY)
    assert divided.approve("base", "HEAD", by=ALICE).code == 0
    assert divided.apply().code == 0
