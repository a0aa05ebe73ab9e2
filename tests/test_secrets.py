"""Secrets are planted where commands could come by them, and looked for in everything that commands say and leave.

An audit hook and a watched environment tell which places were really read, so that nothing is proven of a place that
nobody looks at without our knowing it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.options import Findings, Format, PlanFormat, Report
from reconciler.control.planning import plan_file
from reconciler.gitrepo.call import HANDED_ON
from reconciler.secrets import holds_credentials, may_hold_secret, redacted
from tests.shop import Said, Shop

ROOT = Path(__file__).parent.parent
PACKAGE = str(ROOT / "reconciler")
MARK = "hunter2"
T1 = ("--now", "2026-03-10T12:00Z")
CIS = {
    "GITHUB_ACTIONS": "GITHUB_REPOSITORY",
    "TF_BUILD": "BUILD_REPOSITORY_NAME",
    "GITLAB_CI": "CI_PROJECT_PATH",
}

#: Variables that hold a secret on runners and servers, and those that the documents below refer to.
PRIVATE = (
    *("HCI_READ", "MABS_WRITE", "BLOB_SAS", "SMTP", "RECONCILER_STATE", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY"),
    *("GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", "CI_JOB_TOKEN", "CI_REPOSITORY_URL", "SYSTEM_ACCESSTOKEN"),
)
PRIVATE_FILES = (".netrc", ".git-credentials", ".ssh/id_ed25519", ".config/reconciler/credentials", "online.key")

DECLARED = """apiVersion: reconciler/v1
kind: Site
metadata: {name: far}
spec:
  timeZone: UTC
  prune: false
  state: {sqlite: {path: var/far.db}}
  approvals: {approvers: [security@corp.example]}
  clusters:
    - name: hci-01
      inventory: {hyperv: {endpoint: "https://n1:5986/wsman", transport: kerberos, credential: "env:HCI_READ"}}
  servers:
    - name: mabs-01
      engine: {mabs: {endpoint: "https://m1:5986/wsman", transport: ntlm, credential: "env:MABS_WRITE"}}
      volumes: [{name: vol-a, capacity: 1 TB}]
---
apiVersion: reconciler/v1
kind: ProtectionGroup
metadata: {name: gold}
spec:
  site: far
  server: mabs-01
  members: [{virtualMachines: {cluster: hci-01, names: ["*"]}}]
  shortTerm: {retention: 9d, synchronization: 1h, expressFull: {times: ["22:00"]}}
"""


# --- Watching ------------------------------------------------------------------------------------------------------


#: Files that only hand a question on: this one, and what stands between os.environ and whoever asks.
_BETWEEN = re.compile(r"test_secrets\.py|_collections_abc|\bos(\.py|>)")


class Environment(MutableMapping[str, str]):
    """The environment, noting who read which name; ``*`` is the whole of it."""

    def __init__(self, real: MutableMapping[str, str]) -> None:
        self._real = real
        self.reads: set[tuple[str, str]] = set()

    def _note(self, name: str) -> None:
        frame = sys._getframe(2)
        while frame.f_back is not None and _BETWEEN.search(frame.f_code.co_filename):
            frame = frame.f_back
        self.reads.add((name, frame.f_code.co_filename))

    def __getitem__(self, name: str) -> str:
        self._note(name)
        return self._real[name]

    def __contains__(self, name: object) -> bool:
        self._note(str(name))
        return name in self._real

    def __iter__(self) -> Iterator[str]:
        self._note("*")
        return iter(self._real)

    def __len__(self) -> int:
        return len(self._real)

    def __setitem__(self, name: str, value: str) -> None:
        self._real[name] = value

    def __delitem__(self, name: str) -> None:
        del self._real[name]

    def copy(self) -> dict[str, str]:
        self._note("*")
        return dict(self._real)

    def by_us(self) -> set[str]:
        return {name for name, file in self.reads if file.startswith(PACKAGE)}


class Watch:
    """What the process did while it was watched: the files that it opened, the programs that it began."""

    def __init__(self) -> None:
        self.opened: set[str] = set()
        self.begun: list[tuple[str, ...]] = []


_watch: Watch | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watch is None:
        return
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        _watch.opened.add(os.fsdecode(arguments[0]))
    elif event == "subprocess.Popen":
        _watch.begun.append(tuple(map(str, arguments[1])))


sys.addaudithook(_audit)


@contextmanager
def watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Watch, Environment]]:
    global _watch
    real = os.environ
    environment = Environment(real)
    _watch = watch = Watch()
    monkeypatch.setattr(os, "environ", environment)
    try:
        yield watch, environment
    finally:
        _watch = None
        monkeypatch.setattr(os, "environ", real)


# --- Planting ------------------------------------------------------------------------------------------------------


class Plant:
    """A shop in a Git repository, with secrets all around it."""

    def __init__(self, shop: Shop, home: Path, ci: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shop, self.root, self.home = shop, shop.root, home
        for name in PRIVATE:
            monkeypatch.setenv(name, f"{MARK}-{name}")
        for each in (*CIS, "CI"):
            monkeypatch.delenv(each, raising=False)
        monkeypatch.setenv(ci, "true")
        monkeypatch.setenv(CIS[ci], f"https://bot:{MARK}-url@git.corp.example/backup/policies")
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        self.files = [home / name for name in PRIVATE_FILES]
        for path in self.files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"machine git.corp.example login bot password {MARK}-{path.name}\n", encoding="utf-8")
        self.key = home / "approver"
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "c", "-f", str(self.key)), check=True)
        public = (home / "approver.pub").read_text(encoding="utf-8")
        signers = self.root / "policies" / "allowed_signers"
        signers.write_text(f"security@corp.example {public}", encoding="utf-8")
        approvals = "{approvers: [security@corp.example], allowedSigners: policies/allowed_signers}"
        shop.policy("  prune: false\n", f"  prune: false\n  approvals: {approvals}\n")
        (self.root / ".env").write_text(f"SMTP={MARK}-dotenv\n", encoding="utf-8")
        (self.root / ".gitignore").write_text(".env\nvar\n.reconciler\n", encoding="utf-8")
        self.git("init", "-q")
        self.git("remote", "add", "origin", f"https://bot:{MARK}-remote@git.corp.example/backup/policies")
        self.git("config", "http.extraheader", f"Authorization: Basic {MARK}-header")
        self.commit()
        self.planted = {*self.files, self.key, self.root / ".env", self.root / ".git" / "config"}

    def git(self, *words: str) -> None:
        who = ("-c", "user.email=dev@corp.example", "-c", "user.name=n", "-c", "commit.gpgsign=false")
        subprocess.run(("git", "-C", str(self.root), *who, *words), check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "m")

    def secrets(self) -> list[bytes]:
        """The mark that all planted texts have, and the lines of the private key."""
        lines = self.key.read_bytes().splitlines()[1:-1]
        return [MARK.encode(), *(line for line in lines if len(line) > 40)]

    def leaks(self, said: list[tuple[str, Said]]) -> list[str]:
        """Where a secret is: in what a command said, or in a file below the root."""
        texts = {f"{name} ({stream})": text.encode() for name, each in said for stream, text in streams(each)}
        for path in self.root.rglob("*"):
            if path.is_file() and path not in self.planted:
                texts[str(path.relative_to(self.root))] = path.read_bytes()
        return sorted(where for where, text in texts.items() if any(secret in text for secret in self.secrets()))


def streams(said: Said) -> list[tuple[str, str]]:
    return [("stdout", said.out), ("stderr", said.err)]


@pytest.fixture(params=list(CIS))
def plant(
    shop: Shop,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Plant:
    return Plant(shop, tmp_path_factory.mktemp("home"), request.param, monkeypatch)


# --- Every command -------------------------------------------------------------------------------------------------


def everything(plant: Plant) -> list[tuple[str, Said]]:
    """Every command that reads or writes anything, in every format that it has."""
    said: list[tuple[str, Said]] = []

    def call(*words: str, code: int | None = 0) -> None:
        ended = plant.shop(*words) if words[0] != "show" else plant.shop.plain(*words)
        said.append((" ".join(words), ended))
        assert code is None or ended.code == code, (words, ended)

    file = str(plant.root / "plan.json")
    call("plan", *T1, "--explain", "--out", file)
    call("inventory", "snapshot", "--out", str(plant.root / "inventory.json"))
    call("inventory", "snapshot")
    for form in PlanFormat:
        call("plan", *T1, "--output", form, "--report", f"{form}={plant.root / form}")
        call("show", file, "--output", form)
    call("catalog", "snapshot", "--out", str(plant.root / "catalog.jsonl"))
    call("plan", "--inventory", str(plant.root / "inventory.json"), "--catalog", str(plant.root / "catalog.jsonl"))
    call("apply", file, "--yes", *T1)
    call("apply", "--yes", *T1)
    call("run", "--once", *T1)
    for words in (["drift", *T1], ["evidence", "query", "one"], ["lock", "show"]):
        for each in Format:
            call(*words, "--output", each)
    call("evidence", "seal", "--key", str(plant.key), "--out", str(plant.root / "anchors"))
    call("evidence", "verify")
    call("evidence", "export", str(plant.root / "export"))
    call("state", "backup", str(plant.root / "state.tar"))
    for each in Format:
        for words in (["status"], ["jobs"], ["points"], ["coverage"], ["members", "gold"], ["preflight"]):
            call(*words, "--output", each, code=None)
    plant.shop.policy("retention: 5d", "retention: 2d")
    plant.commit()
    for report in Report:
        call("diff", "HEAD~1", "HEAD", "--output", report, code=None)
    words = ["approve", "HEAD~1", "HEAD", "--by", "security@corp.example", "--reason", "r", "--until", "2099-01-01"]
    call(*words, "--key", str(plant.key), "--yes")
    call("diff", "HEAD~1", code=None)
    call("diff", "nothing-of-that-name", code=64)
    call("apply", "--yes", *T1, code=5)
    for findings in Findings:
        call("validate", "--output", findings)
    call("fmt", "--explain")
    call("resume", *T1)
    policies = plant.root / "policies" / "site.yaml"
    kept = policies.read_text(encoding="utf-8")
    policies.write_text(DECLARED, encoding="utf-8")
    for findings in Findings:
        call("validate", "--output", findings)
    for report in Report:
        call("diff", "HEAD", "--output", report, code=None)
    call("plan", code=None)
    policies.write_text(kept, encoding="utf-8")
    return said


def documented() -> set[str]:
    """The variables that docs/reference/plan-format.md says are read."""
    text = (ROOT / "docs" / "reference" / "plan-format.md").read_text(encoding="utf-8")
    section = text.partition("## What is read of the environment")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return set(re.findall(r"`([A-Z][A-Z_]+)`", "\n".join(rows)))


def test_no_secret_is_said_or_kept(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    with watching(monkeypatch) as (watch, environment):
        said = everything(plant)
    assert plant.leaks(said) == []
    # What was read: the CI's own names, and no name that nobody documented.
    assert environment.by_us() <= documented()
    assert {"NO_COLOR", "FORCE_COLOR"} <= environment.by_us()
    assert any(name in environment.by_us() for name in CIS.values()), "no CI variable was read: nothing is proven"
    assert not {name for name, _ in environment.reads} & set(PRIVATE)
    assert not {Path(name) for name in watch.opened} & {*plant.files, plant.root / ".env", plant.key}
    # What was handed on: the programs that read the repository's settings and the key, by path.
    assert any(words[0] == "git" for words in watch.begun)
    assert any(words[0] == "ssh-keygen" and str(plant.key) in words for words in watch.begun)
    plan = (plant.root / "plan.json").read_text(encoding="utf-8")
    assert "https://***@git.corp.example/backup/policies" in plan
    assert (plant.root / "var").is_dir()


def test_every_documented_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment(dict.fromkeys(CIS, "true"))
    for mark in CIS:
        plan_file.ci_identity(Environment({mark: "true"}))
        only = Environment({mark: "true"})
        plan_file.ci_identity(only)
        environment.reads |= only.reads
    names = {name for name, _ in environment.reads} | {"NO_COLOR", "FORCE_COLOR", "CI", *HANDED_ON}
    assert names == documented()


@pytest.mark.parametrize("plant", ["GITHUB_ACTIONS"], indirect=True)
def test_the_search_finds_what_leaks(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_file, "redacted", str)
    said = plant.shop("plan", *T1, "--out", str(plant.root / "plan.json"))
    assert plant.leaks([("plan", said)]) == ["plan.json"]
    shutil.copy(plant.key, plant.root / "copy")
    assert plant.leaks([]) == ["copy", "plan.json"]


WRITTEN_DOWN = {
    "a credential": ('"env:MABS_WRITE"', f"{MARK}-written", "RCL1019"),
    "a number": ('"env:MABS_WRITE"', "4711", "RCL1018"),
    "a URL": ("https://m1", f"https://bot:{MARK}-written@m1", "RCL3094"),
    "another URL": ("https://n1", f"https://{MARK}-token@n1", "RCL3094"),
    "mail": (
        "  clusters:",
        f'  mail: {{smtp: "smtp://u:{MARK}@m:587", from: a@b}}\n  clusters:',
        "RCL3094",
    ),
}


@pytest.mark.parametrize("what", list(WRITTEN_DOWN))
@pytest.mark.parametrize("form", list(Findings))
def test_a_secret_that_somebody_wrote_down_is_refused_and_not_repeated(
    what: str, form: Findings, tmp_path: Path, run: Callable[..., Said]
) -> None:
    old, new, code = WRITTEN_DOWN[what]
    assert old in DECLARED
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "site.yaml").write_text(DECLARED.replace(old, new), encoding="utf-8")
    said = run("validate", "-C", str(tmp_path), "--output", form)
    assert said.code == 65
    assert code in said.out + said.err
    assert MARK not in said.out + said.err
    assert "4711" not in said.out + said.err


@pytest.mark.parametrize(
    ("line", "before", "quoted"),
    [
        ("  credential: hunter2", "", False),
        ("  {endpoint: x, credential: 'hunter2', transport: ntlm}", "", False),
        ('  "apiToken" : hunter2', "", False),
        ("  settings: {login: {PASSWORD: hunter2}}", "", False),
        ("    hunter2", "  credential:", False),
        ("    hunter2", "  password: |", False),
        ("  url: https://u:hunter2@h", "", False),
        ("  credential: env:NAME", "", True),
        ("  credential: 'file:path/to'", "", True),
        ("    env:NAME", "  credential:", True),
        ("  retention: 14d", "  credential: env:NAME", True),
        ("  endpoint: https://m1:5986/wsman", "", True),
    ],
)
def test_a_line_that_may_hold_a_secret_is_not_quoted(line: str, before: str, quoted: bool) -> None:
    assert may_hold_secret(line, before) is not quoted


def test_what_is_redacted() -> None:
    for url, shown in (
        ("https://u:p@h/x", "https://***@h/x"),
        ("https://token@h:1/x?y=a@b", "https://***@h:1/x?y=a@b"),
        ("see ssh://git@h/x and https://u:p@@h", "see ssh://***@h/x and https://***@h"),
    ):
        assert redacted(url) == shown
        assert holds_credentials(url)
    for plain in ("https://h/x@y", "me@h:x", "https://h?mail=a@b", "", "C:\\x"):
        assert redacted(plain) == plain
        assert not holds_credentials(plain)
