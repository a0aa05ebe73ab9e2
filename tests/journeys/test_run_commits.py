"""`run` on the commits of a branch: what is typed does not count, what is fetched does, a rewritten past is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import gitrepo
from reconciler.control import policy_source
from reconciler.control.loop import loop
from reconciler.control.loop.narrator import Narrator
from reconciler.control.loop.summary import Summary
from reconciler.control.policy_source import BranchCommits
from reconciler.control.site import Stop
from reconciler.errors import Refused
from reconciler.model.run_events import Event, EventLevel
from reconciler.state import open_memory
from reconciler.wiring import choose_site, open_site
from tests.fakes import SetClock
from tests.shop import Shop
from tests.support.reviewed import ALICE, BOB, Reviewed

T1 = ("--now", "2026-03-10T12:00Z")


def retention(shop: Shop) -> str:
    memory = open_memory(shop.root / "var" / "hq.db")
    (entry,) = memory.ledger.entries()
    memory.close()
    return f"{entry.applied.short_term.retention.days}d"


@pytest.fixture
def site(shop: Shop) -> Reviewed:
    """A site with approvers whose first commit was applied."""
    return Reviewed(shop)


class Served:
    """The loop on the commits of a branch, open; what its narrator told when it worked last."""

    def __init__(self, site: Reviewed, *, pull: bool = False, accepted: str = "") -> None:
        self.source = BranchCommits(site.root, "refs/heads/main", pull=pull, accepted=accepted)
        self.source.refresh(Stop())
        read = self.source.read()
        clock = SetClock()
        document = choose_site(read.policies, None)
        self.opened = open_site(site.root, document, clock, policies=read.policies, commit=read.commit)
        self.events: list[Event] = []
        narrator = Narrator(self.events.append, clock.now, self.source.branch)
        self._worker = loop._Worker(self.opened, site.root, narrator, Summary(), self.source)

    def work(self) -> list[str]:
        self.events.clear()
        self._worker.work()
        return [str(each.event) for each in self.events if each.level is not EventLevel.DEBUG]


@pytest.fixture
def served(site: Reviewed) -> Iterator[Served]:
    served = Served(site)
    served.work()
    yield served
    served.opened.close()


def test_what_is_typed_does_not_count(site: Reviewed) -> None:
    site.edit("retention: 5d", "retention: 9d")
    said = site("run", "--once", "--commits-only", *T1)
    assert (said.code, retention(site.shop)) == (0, "5d"), said.out + said.err
    site.commit("longer")
    site.policy.write_text("kind: [", encoding="utf-8")
    said = site("run", "--once", "--commits-only", *T1)
    assert (said.code, retention(site.shop)) == (0, "9d"), said.out + said.err
    assert "RCL1005" not in said.out


def test_another_branch_than_the_one_that_is_checked_out(site: Reviewed) -> None:
    site.git("switch", "-qc", "next")
    site.edit("retention: 5d", "retention: 9d")
    site.commit("longer")
    assert site("run", "--once", "--branch", "main", *T1).code == 0
    assert retention(site.shop) == "5d"
    assert site("run", "--once", "--branch", "next", *T1).code == 0
    assert retention(site.shop) == "9d"


@pytest.mark.parametrize("name", ["nowhere", "-f", "a..b", "main~0", ""])
def test_a_branch_that_is_none(site: Reviewed, name: str) -> None:
    said = site("run", "--once", f"--branch={name}", *T1)
    assert (said.code, "RCL6040" in said.err) == (64, True), said.err


def test_no_branch_without_a_repository(shop: Shop) -> None:
    said = shop("run", "--once", "--commits-only", *T1)
    assert (said.code, "RCL6040" in said.err) == (64, True), said.err


def test_a_detached_head_is_no_branch(site: Reviewed) -> None:
    site.git("checkout", "-q", "--detach")
    said = site("run", "--once", "--commits-only", *T1)
    assert (said.code, "RCL6040" in said.err) == (64, True), said.err


def test_what_weakens_waits_for_an_approval_that_is_committed(site: Reviewed) -> None:
    site.edit("retention: 5d", "retention: 3d")
    site.commit("shorter")
    said = site("run", "--once", "--commits-only", *T1)
    assert (said.code, retention(site.shop)) == (5, "5d"), said.out
    assert site.approve(by=ALICE).code == 0
    said = site("run", "--once", "--commits-only", *T1)
    assert (said.code, retention(site.shop)) == (5, "5d"), said.out  # it is not committed
    site.commit("approved", author=ALICE)
    said = site("run", "--once", "--commits-only", *T1)
    assert (said.code, retention(site.shop)) == (0, "3d"), said.out


@pytest.mark.usefixtures("written_by_hand")
def test_who_wrote_the_commits_does_not_approve_them_though_somebody_else_sits_there(site: Reviewed) -> None:
    site.edit("retention: 5d", "retention: 3d")
    site.commit("shorter", author=BOB)
    assert site.approve(by=BOB).code in (0, 5)
    site.commit("approved", author=BOB)
    site.git("config", "user.email", ALICE)
    said = site("run", "--once", "--commits-only", *T1)
    assert (said.code, retention(site.shop)) == (5, "5d"), said.out


def test_the_commit_that_counts_is_the_one_that_is_remembered(site: Reviewed) -> None:
    site.edit("retention: 5d", "retention: 9d")
    site.commit("longer")
    tip = site.git("rev-parse", "HEAD")
    site.git("switch", "-qc", "elsewhere", "HEAD~1")
    assert site("run", "--once", "--branch", "main", *T1).code == 0
    memory = open_memory(site.root / "var" / "hq.db")
    told = memory.ledger.site_document()
    memory.close()
    assert told is not None
    assert told["commit"] == tip


def test_a_commit_that_is_wrong_leaves_the_last_good_one_in_force(site: Reviewed, served: Served) -> None:
    good = site.git("rev-parse", "HEAD")
    site.write("policies/broken.yaml", "kind: [")
    site.commit("broken")
    assert served.work() == ["policies.wrong", "finding.raised"]
    assert served.work() == []
    site.git("rm", "-q", "policies/broken.yaml")
    site.commit("mended")
    assert served.work() == ["policies.taken", "policies.right"]
    assert site.git("rev-parse", "HEAD") != good


def test_a_rewritten_history_is_refused_until_a_person_takes_it(site: Reviewed, served: Served) -> None:
    site.edit("retention: 5d", "retention: 9d")
    site.commit("longer")
    assert "change.applied" in served.work()
    site.git("reset", "-q", "--hard", "HEAD~1")
    site.edit("retention: 5d", "retention: 12d")
    site.commit("longer still")
    tip = site.git("rev-parse", "HEAD")
    assert served.work() == ["history.refused"]
    (refused,) = [each for each in served.events if each.code]
    assert (refused.code, refused.level, tip[:12] in refused.help) == ("RCL6041", "error", True)
    assert served.work() == []
    assert retention(site.shop) == "9d"
    said = site("run", "--once", "--commits-only", *T1)  # and not by starting anew either
    assert ("RCL6041" in said.out, retention(site.shop)) == (True, "9d"), said.out
    wrong = site("run", "--once", "--commits-only", "--accept-rewritten", "0123456", *T1)
    assert ("RCL6041" in wrong.out, retention(site.shop)) == (True, "9d"), wrong.out
    for word in ("", "main", tip[:6]):
        assert site("run", "--once", "--accept-rewritten", word, *T1).code == 64
    said = site("run", "--once", "--commits-only", "--accept-rewritten", tip[:12], *T1)
    assert (said.code, retention(site.shop)) == (0, "12d"), said.out
    assert site("run", "--once", "--commits-only", *T1).code == 0  # from then on as always


def test_what_was_kept_is_not_believed_when_somebody_changed_it(site: Reviewed, served: Served) -> None:
    kept = site.root / ".reconciler" / "committed"
    kept.write_bytes(kept.read_bytes().replace(b"retention: 5d", b"retention: 6d"))
    site.git("branch", "-m", "main", "gone")
    with pytest.raises(Exception, match="no branch main"):
        BranchCommits(site.root, "refs/heads/main").read()


def test_names_of_a_commit_are_never_paths_of_ours(site: Reviewed, served: Served) -> None:
    """A commit can hold a folder `..`, which Git lists and would never check out."""
    blob = site.git("hash-object", "-w", "policies/site.yaml")

    def tree(*lines: str) -> str:
        command = ["git", "-C", str(site.root), "mktree"]
        return subprocess.run(
            command, input="\n".join(lines), capture_output=True, text=True, check=True
        ).stdout.strip()

    inner = tree(f"100644 blob {blob}\tsite.yaml")
    policies = tree(f"040000 tree {inner}\t..", f"100644 blob {blob}\tsite.yaml")
    top = tree(f"040000 tree {policies}\tpolicies")
    commit = site.git("commit-tree", top, "-p", "HEAD", "-m", "odd")
    site.git("update-ref", "refs/heads/main", commit)
    before = {path for path in site.root.rglob("*") if ".git" not in path.parts}
    served.work()
    after = {path for path in site.root.rglob("*") if ".git" not in path.parts}
    assert {path.relative_to(site.root).parts[0] for path in after - before} <= {"var", ".reconciler"}


# --- Fetching --------------------------------------------------------------------------------------------------


def _git(at: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(at), *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    _git(tmp_path, "init", "-q", "-b", "main")
    return tmp_path


class Remote:
    """Where the site is fetched from, and somebody else's clone of it."""

    def __init__(self, site: Reviewed, folder: Path) -> None:
        self.site = site
        self.folder = folder / "origin.git"
        self.clone = folder / "clone"
        _git(folder, "clone", "-q", "--bare", str(site.root), str(self.folder))
        site.git("remote", "add", "origin", str(self.folder))
        site.git("fetch", "-q", "origin")
        _git(folder, "clone", "-q", str(self.folder), str(self.clone))

    def push(self, old: str, new: str, *, forced: bool = False) -> str:
        """Somebody else changes the policies there; with `forced` in the stead of what was there last."""
        path = self.clone / "policies" / "site.yaml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        who = ("-c", f"user.email={BOB}", "-c", "user.name=n", "-c", "commit.gpgsign=false")
        _git(self.clone, *who, "commit", "-qam", new, *(["--amend"] if forced else []))
        _git(self.clone, "push", "-q", *(["--force"] if forced else []), "origin", "main")
        return _git(self.clone, "rev-parse", "HEAD")


@pytest.fixture
def remote(site: Reviewed, tmp_path: Path) -> Remote:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return Remote(site, folder)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_source, "FETCH_SECONDS", 0.0)


def test_what_is_pushed_is_fetched_and_the_work_tree_stays(site: Reviewed, remote: Remote) -> None:
    commit = remote.push("retention: 5d", "retention: 9d")
    head = site.git("rev-parse", "main")
    site.edit("retention: 5d", "retention: 30d")
    said = site("run", "--once", "--pull", "--log-format", "json", *T1)
    assert (said.code, retention(site.shop)) == (0, "9d"), said.out + said.err
    told = [json.loads(line) for line in said.out.splitlines()]
    taken = next(each for each in told if each["event"] == "policies.taken")
    assert (taken["commit"], taken["branch"]) == (commit, "origin/main")
    assert site.git("rev-parse", "origin/main") == commit
    assert site.git("rev-parse", "main") == head
    assert "retention: 30d" in site.policy.read_text(encoding="utf-8")
    assert not (site.root / ".git" / "FETCH_HEAD").exists() or commit not in (
        site.root / ".git" / "FETCH_HEAD"
    ).read_text(encoding="utf-8")


def test_once_says_by_its_code_that_nothing_was_fetched(site: Reviewed, remote: Remote) -> None:
    """Who is started by a timer reads no lines."""
    remote.push("retention: 5d", "retention: 9d")
    assert site("run", "--once", "--pull", *T1).code == 0
    remote.push("retention: 9d", "retention: 12d", forced=True)
    refused = site("run", "--once", "--pull", *T1)
    assert (refused.code, retention(site.shop)) == (6, "9d"), refused
    remote.folder.rename(remote.folder.with_name("moved"))
    away = site("run", "--once", "--pull", *T1)
    assert (away.code, retention(site.shop)) == (69, "9d"), away


@pytest.mark.usefixtures("at_once")
def test_a_remote_that_is_gone_and_comes_back_is_said_once(site: Reviewed, remote: Remote) -> None:
    served = Served(site, pull=True)
    served.work()
    remote.folder.rename(remote.folder.with_name("moved"))
    assert served.work() == ["fetch.failed"]
    assert "origin" in served.events[0].message
    assert served.work() == []
    remote.folder.with_name("moved").rename(remote.folder)
    remote.push("retention: 5d", "retention: 9d")
    said = served.work()
    assert said[0] == "fetch.recovered"
    assert "change.applied" in said
    served.opened.close()


@pytest.mark.usefixtures("at_once")
def test_a_history_that_was_rewritten_at_the_remote_moves_nothing(site: Reviewed, remote: Remote) -> None:
    taken = remote.push("retention: 5d", "retention: 9d")
    served = Served(site, pull=True)
    served.work()
    remote.push("retention: 9d", "retention: 12d", forced=True)
    assert served.work() == ["history.refused"]
    assert served.work() == []
    assert (retention(site.shop), site.git("rev-parse", "origin/main")) == ("9d", taken)
    served.opened.close()


@pytest.mark.usefixtures("at_once")
def test_a_tracking_ref_that_somebody_else_forced_is_refused_too(site: Reviewed, remote: Remote) -> None:
    remote.push("retention: 5d", "retention: 9d")
    served = Served(site, pull=True)
    served.work()
    remote.push("retention: 9d", "retention: 12d", forced=True)
    site.git("fetch", "-q", "origin")  # forces refs/remotes by its refspec
    assert served.work() == ["history.refused"]
    assert retention(site.shop) == "9d"
    served.opened.close()


def test_nothing_that_the_repository_says_is_run(site: Reviewed, remote: Remote, tmp_path: Path) -> None:
    """Each setting by which a repository could have a fetch run something writes a mark; none is left."""
    marks = tmp_path / "marks"
    marks.mkdir()

    def program(name: str, then: str = "") -> str:
        path = tmp_path / f"{name}.sh"
        path.write_text(f"#!/bin/sh\ntouch {marks}/{name}\n{then}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    for key, name in (
        ("core.sshCommand", "ssh"),
        ("core.fsmonitor", "fsmonitor"),
        ("core.askPass", "askpass"),
        ("core.gitProxy", "proxy"),
        ("core.alternateRefsCommand", "alternates"),
        ("credential.helper", "helper"),
        ("remote.origin.uploadpack", "uploadpack"),
        (f"remote.{remote.folder}.uploadpack", "uploadpack-by-address"),
        ("uploadpack.packObjectsHook", "pack"),
        ("gpg.program", "gpg"),
        ("core.editor", "editor"),
        ("core.pager", "pager"),
    ):
        site.git("config", key, program(name))
    hooks = site.root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("reference-transaction", "post-checkout", "post-merge", "pre-auto-gc", "post-update"):
        (hooks / name).write_text(Path(program(f"hook-{name}")).read_text(encoding="utf-8"), encoding="utf-8")
        (hooks / name).chmod(0o755)
    site.git("config", "remote.origin.vcs", "marked")
    site.git("config", "fetch.recurseSubmodules", "true")
    site.git("config", "core.hooksPath", str(hooks))
    for path in marks.iterdir():  # of what this test itself asked of git
        path.unlink()
    remote.push("retention: 5d", "retention: 9d")
    said = site("run", "--once", "--pull", *T1)
    assert (said.code, retention(site.shop)) == (0, "9d"), said.out + said.err
    assert [path.name for path in marks.iterdir()] == []


def test_settings_of_the_account_count(
    site: Reviewed, remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remote is at another place, as only the account's own settings say."""
    settings = tmp_path / "home"
    settings.mkdir()
    moved = remote.folder.with_name("moved.git")
    remote.push("retention: 5d", "retention: 9d")
    remote.folder.rename(moved)
    (settings / ".gitconfig").write_text(f'[url "{moved}"]\n\tinsteadOf = {remote.folder}\n', encoding="utf-8")
    said = site("run", "--once", "--pull", *T1)
    assert "RCL6043" in said.out, said.out
    monkeypatch.setenv("HOME", str(settings))
    assert site("run", "--once", "--pull", *T1).code == 0
    assert retention(site.shop) == "9d"


@pytest.mark.parametrize(
    "address",
    [
        "ext::sh -c 'touch MARK'",
        "http://example.com/x.git",
        "git://example.com/x.git",
        "-uMARK",
        "--upload-pack=touch MARK",
        "marked::x",
        "ftp://x/y",
        "user@host::x",
    ],
)
def test_an_address_of_another_kind_is_not_fetched(bare: Path, address: str) -> None:
    _git(bare, "config", "remote.origin.url", address)
    with pytest.raises(Refused) as caught:
        gitrepo.upstream(bare, "refs/heads/main")
    assert caught.value.diagnostic.code == "RCL6044"


@pytest.mark.parametrize(
    "address",
    ["https://x/y.git", "ssh://git@x/y", "git@host:x/y.git", "../origin.git", "/srv/x", "C:\\x", "file:///x", "x"],
)
def test_addresses_that_are_fetched(bare: Path, address: str) -> None:
    _git(bare, "config", "remote.origin.url", address)
    assert gitrepo.upstream(bare, "refs/heads/main").address == address


def test_a_secret_in_an_address_is_not_printed(bare: Path) -> None:
    _git(bare, "config", "remote.origin.url", "http://me:hunter2@example.com/x.git")
    with pytest.raises(Refused) as caught:
        gitrepo.upstream(bare, "refs/heads/main")
    assert "hunter2" not in str(caught.value.diagnostic)


def test_a_first_fetch_that_fails_says_why(site: Reviewed) -> None:
    site.git("config", "remote.origin.url", "/nowhere/x.git")
    said = site("run", "--once", "--pull", *T1)
    assert (said.code, "RCL6043" in said.err) == (69, True), said.err


def test_no_remote_is_said(site: Reviewed) -> None:
    said = site("run", "--once", "--pull", *T1)
    assert (said.code, "RCL6042" in said.err) == (64, True), said.err


def test_a_fetch_that_hangs_is_ended_and_ends_when_asked(
    site: Reviewed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow.sh"
    slow.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    slow.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(slow))  # the account's own
    site.git("config", "remote.origin.url", "git@host.example:x.git")
    source = gitrepo.upstream(site.root, "refs/heads/main")
    asked: list[Any] = []

    def stopped() -> bool:
        asked.append(None)
        return len(asked) > 4

    with pytest.raises(Exception, match="asked to stop"):
        gitrepo.fetch(site.root, source, (), stopped)
    monkeypatch.setattr("reconciler.gitrepo.remote.PATIENCE_SECONDS", 0.2)
    with pytest.raises(Exception, match="did not end within"):
        gitrepo.fetch(site.root, source, (), lambda: False)
    left = subprocess.run(["ps", "-o", "args="], capture_output=True, text=True, check=False, env=os.environ).stdout
    assert str(slow) not in left


def test_status_shows_the_policies_that_run_acts_on(site: Reviewed) -> None:
    site.git("switch", "-qc", "next")
    site.edit("retention: 5d", "retention: 9d")
    site.commit("longer")
    assert site("run", "--once", "--branch", "next", *T1).code == 0
    site.git("switch", "-q", "main")
    told = json.loads(site("status", "-o", "json", *T1).out)
    assert (told["branch"], told["commit"]) == ("next", site.git("rev-parse", "next"))
    assert told["waiting"] == []  # of the 5d that are checked out nothing is said
    assert "of next, which 'run' acts on\n" in site("status", *T1).out
    assert site("run", "--once", *T1).code == 5
    told = json.loads(site("status", "-o", "json", *T1).out)
    assert (told["branch"], len(told["waiting"])) == ("", 1)


def test_a_service_that_fetches_ends_when_it_is_asked(site: Reviewed, tmp_path: Path) -> None:
    """In the middle of a fetch that hangs: within the time that a service has, and with its last line."""
    slow = tmp_path / "slow.sh"
    slow.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    slow.chmod(0o755)
    site.git("update-ref", "refs/remotes/origin/main", "main")
    site.git("config", "remote.origin.url", "git@host.example:x.git")
    command = [sys.executable, "-u", "-m", "reconciler", "run", "-C", str(site.root), "--pull"]
    environment = os.environ | {"GIT_SSH_COMMAND": str(slow), "CI": "true"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        time.sleep(3)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out = process.communicate(timeout=30)[0]
    assert time.monotonic() - began < 10
    assert "Traceback" not in out, out
