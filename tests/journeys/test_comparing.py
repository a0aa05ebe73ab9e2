"""diff and approve, as people use them: Git commits, folders, approvals, signatures, guardrails."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.cli.actions import review
from tests.shop import Said

ROOT = Path(__file__).parent.parent.parent


class Repository:
    """A Git repository with the policies that ship, and approvers."""

    def __init__(self, root: Path, run: Callable[..., Said]) -> None:
        self.root = root
        self._run = run
        shutil.copytree(ROOT / "policies", root / "policies", ignore=shutil.ignore_patterns("guardrails.yaml"))
        self.git("init", "-q")
        self.edit(
            "site.yaml", "spec:\n", "spec:\n  approvals: {approvers: [security@corp.example, dev@corp.example]}\n"
        )
        self.commit("first")

    def git(self, *words: str, author: str = "dev@corp.example") -> str:
        who = ("-c", f"user.email={author}", "-c", "user.name=n", "-c", "commit.gpgsign=false")
        told = subprocess.run(("git", "-C", str(self.root), *who, *words), check=True, capture_output=True, text=True)
        return told.stdout.strip()

    def commit(self, message: str, author: str = "dev@corp.example") -> str:
        self.git("add", "-A")
        self.git("commit", "-qm", message, author=author)
        return self.git("rev-parse", "HEAD")

    def commit_staged(self, message: str) -> None:
        self.git("commit", "-qm", message)

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / "policies" / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def __call__(self, *words: str) -> Said:
        return self._run(*words, "-C", str(self.root))


@pytest.fixture
def repo(tmp_path: Path, run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return Repository(tmp_path, run)


def _approve(repo: Repository, *more: str, by: str = "security@corp.example") -> Said:
    return repo("approve", "HEAD~1", "HEAD", "--by", by, "--reason", "r", "--until", "2099-01-01", "--yes", *more)


def test_two_commits_that_do_not_differ(repo: Repository) -> None:
    repo.edit("gold.yaml", "retention: 14d", "retention: 2w")
    repo.commit("the same in other words")
    said = repo("diff", "HEAD~1", "HEAD", "--detailed-exitcode")
    assert (said.code, said.out) == (0, "HEAD~1 -> HEAD: nothing differs.\n")


def test_strengthening_passes_and_weakening_waits_for_its_approval(repo: Repository) -> None:
    repo.edit("gold.yaml", "retention: 14d", "retention: 30d")
    repo.commit("longer")
    assert repo("diff", "HEAD~1", "HEAD").code == 0
    assert repo("diff", "HEAD~1", "HEAD", "--detailed-exitcode").code == 2

    repo.edit("gold.yaml", "retention: 30d", "retention: 7d")
    repo.commit("shorter")
    said = repo("diff", "HEAD~1", "HEAD")
    assert said.code == 5
    assert "spec.shortTerm.retention: 30d -> 7d  weakens" in said.out
    assert "reconciler approve HEAD~1 HEAD --by EMAIL" in said.err
    assert repo("diff", "HEAD~1", "HEAD", "--no-guard").code == 0

    assert _approve(repo).code == 0
    repo.commit("approved", author="security@corp.example")
    said = repo("diff", "HEAD~2", "HEAD")
    assert said.code == 0
    assert "approved by approval-" in said.out


def test_an_approval_covers_just_what_it_names(repo: Repository) -> None:
    repo.edit("gold.yaml", "retention: 14d", "retention: 7d")
    repo.commit("shorter")
    assert _approve(repo).code == 0
    repo.edit("gold.yaml", "retention: 7d", "retention: 6d")
    repo.commit("shorter still", author="security@corp.example")
    assert repo("diff", "HEAD~2", "HEAD").code == 5


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("approvedBy: security@corp.example", "approvedBy: dev@corp.example"), "wrote the change"),
        (("approvedBy: security@corp.example", "approvedBy: mallory@corp.example"), "not one of the site's approvers"),
        (("until: '2099-01-01'", "until: '2020-01-01'"), "it expired on 2020-01-01"),
    ],
)
def test_an_approval_that_does_not_count(repo: Repository, change: tuple[str, str], why: str) -> None:
    repo.edit("gold.yaml", "retention: 14d", "retention: 7d")
    repo.commit("shorter")
    assert _approve(repo, "--out", str(repo.root / "policies" / "ok.yaml")).code == 0
    repo.edit("ok.yaml", *change)
    repo.commit("approved", author="security@corp.example")
    said = repo("diff", "HEAD~2", "HEAD")
    assert said.code == 5
    assert "RCL3035" in said.out
    assert why in said.out


def test_a_change_cannot_bring_its_own_judge(repo: Repository) -> None:
    repo.edit("gold.yaml", "retention: 14d", "retention: 7d")
    repo.edit("site.yaml", "approvers: [security@corp.example, dev@corp.example]", "approvers: [me@corp.example]")
    repo.commit("shorter, and I approve")
    refused = _approve(repo, by="me@corp.example")
    assert refused.code == 64
    assert "may not approve" in refused.err
    told = json.loads(repo("diff", "HEAD~1", "HEAD", "--output", "json").out)["comparison"]
    hashes = [field["changeHash"] for change in told["changes"] for field in change["fields"]]
    (repo.root / "policies" / "mine.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Approval\nmetadata: {name: mine}\n"
        f"spec: {{changes: {json.dumps(hashes)}, approvedBy: me@corp.example, reason: r, until: 2099-01-01}}\n"
    )
    repo.commit("approved by me", author="me@corp.example")
    said = repo("diff", "HEAD~2", "HEAD")
    assert said.code == 5
    assert "me@corp.example is not one of the site's approvers" in said.out


def test_what_has_no_older_state_has_no_judge(repo: Repository) -> None:
    repo.git("rm", "-rq", "--cached", "policies")
    repo.commit_staged("nothing")
    repo.commit("everything")
    said = repo("diff", "HEAD~1", "HEAD", "--output", "json")
    assert said.code == 5
    hashes = [
        field["changeHash"] for change in json.loads(said.out)["comparison"]["changes"] for field in change["fields"]
    ]
    (repo.root / "policies" / "mine.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Approval\nmetadata: {name: mine}\n"
        f"spec: {{changes: {json.dumps(hashes)}, approvedBy: security@corp.example, reason: r, until: 2099-01-01}}\n"
    )
    said = repo("diff", "HEAD~1")
    assert said.code == 5
    assert "the site names no approvers" in said.out


def test_signed_approvals(
    repo: Repository, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path_factory.mktemp("keys")
    for name in ("good", "bad"):
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "c", "-f", str(keys / name)), check=True)
    public = (keys / "good.pub").read_text().split()[:2]
    (repo.root / "policies" / "allowed_signers").write_text(f"security@corp.example {' '.join(public)}\n")
    repo.edit("site.yaml", "dev@corp.example]}", "dev@corp.example], allowedSigners: policies/allowed_signers}")
    repo.commit("signers")
    repo.edit("gold.yaml", "retention: 14d", "retention: 7d")
    repo.commit("shorter")
    assert _approve(repo).code == 64
    path = repo.root / "policies" / "approval.yaml"
    refused = _approve(repo, "--key", str(keys / "bad"), "--out", str(path))
    assert (refused.code, path.exists()) == (5, False)
    assert "Sign with a key that the site's allowed signers name for security@corp.example." in refused.err
    monkeypatch.setattr(review, "hopeless", lambda spec, court: "")  # somebody writes it all the same
    for name, code in (("bad", 5), ("good", 0)):
        path.unlink(missing_ok=True)
        assert _approve(repo, "--key", str(keys / name), "--out", str(path)).code == 0
        assert repo("diff", "HEAD~1", "--author", "dev@corp.example").code == code
    repo.edit("approval.yaml", "reason: r", "reason: another")
    said = repo("diff", "HEAD~1", "--author", "dev@corp.example")
    assert said.code == 5
    assert "changed after it was signed" in said.out


def test_a_group_protected_from_deletion(repo: Repository) -> None:
    repo.edit(
        "site.yaml",
        "engine: {embedded: {path: var/mabs-01}}",
        'engine: {mabs: {endpoint: e, transport: ntlm, credential: "env:X"}}',
    )
    repo.edit("silver.yaml", "synchronization: 4h", 'synchronization: 4h, expressFull: {times: ["22:00"]}')
    repo.edit("gold.yaml", "spec:\n", "spec:\n  deletionProtection: true\n")
    repo.commit("protected")
    (repo.root / "policies" / "gold.yaml").unlink()
    repo.commit("gone")
    said = repo("diff", "HEAD~1", "HEAD")
    assert said.code == 4
    assert "RCL3030" in said.out


def test_machines_that_lose_protection_are_named(repo: Repository, tmp_path: Path) -> None:
    machines = [
        {"id": f"{n:08d}-0000-0000-0000-000000000000", "name": name, "node": "n", "labels": labels}
        for n, (name, labels) in enumerate([("sql-01", {"tier": "gold"}), ("web-01", {}), ("web-02", {})])
    ]
    exported = {"formatVersion": "1.0", "kind": "Inventory", "clusters": [{"name": "hci-01", "machines": machines}]}
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps(exported))
    repo.edit("silver.yaml", 'names: ["web-*"]', 'names: ["web-01"]')
    said = repo("diff", "HEAD", "--inventory", str(inventory), "--no-guard")
    assert "web-02 on hci-01: in silver-vms -> unprotected  weakens" in said.out
    assert "web-01" not in said.out.split("changes place")[-1]
    told = json.loads(repo("diff", "HEAD", "--inventory", str(inventory), "--no-guard", "--output", "json").out)
    assert [each["machine"] for each in told["comparison"]["shifts"]] == ["web-02"]


def test_folders_files_and_what_is_neither(repo: Repository, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(repo.root / "policies", other / "policies")
    assert repo("diff", str(other), ".").out.endswith("nothing differs.\n")
    said = repo("diff", "no-such-branch")
    assert said.code == 64
    assert "RCL0009" in said.err
    repo.edit("gold.yaml", "retention: 14d", "retentoin: 14d")
    said = repo("diff", "HEAD")
    assert said.code == 65
    assert "RCL1016" in said.err


def test_a_guardrail_that_denies_comes_before_an_approval(repo: Repository) -> None:
    shutil.copy(ROOT / "policies" / "guardrails.yaml", repo.root / "policies")
    repo.commit("rules")
    repo.edit("gold.yaml", "retention: 14d", "retention: 7d")
    said = repo("diff", "HEAD")
    assert said.code == 4
    assert "gold groups keep their points at least 14 days" in said.out
    repo.edit("gold.yaml", "labels: {tier: gold}}\nspec", "labels: {tier: tin}}\nspec")
    said = repo("diff", "HEAD")
    assert said.code == 5
    assert "guardedBy" in said.out


def test_every_format(repo: Repository) -> None:
    repo.edit("gold.yaml", "retention: 14d", "retention: 7d  # <script>alert(1)</script>")
    repo.edit("gold.yaml", "displayName: Gold VMs", "displayName: Golden VMs")
    markdown = repo("diff", "HEAD", "--output", "markdown").out
    assert "| spec.shortTerm.retention | 14d | 7d | weakens |" in markdown
    page = repo("diff", "HEAD", "--output", "html").out
    assert "Golden VMs" in page
    assert "alert(1)" not in page
    assert "http://" not in page.replace("http-equiv", "")
    assert json.loads(repo("diff", "HEAD", "--output", "json").out)["direction"] == "weakens"


def test_names_are_escaped_in_html_and_markdown(repo: Repository) -> None:
    repo.edit("exclusions.yaml", "owner:", "owner: '<b>|`x`</b>' #")
    page = repo("diff", "HEAD", "--output", "html").out
    assert "&lt;b&gt;" in page
    assert "<b>|" not in page
    assert "&lt;b>\\|\\`x\\`" in repo("diff", "HEAD", "--output", "markdown").out
