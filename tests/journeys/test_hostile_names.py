"""Names that strangers chose, in everything that every command shows in every format: nothing is done by them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.dom import minidom

import pytest

from reconciler.cli import errors
from tests import fakes
from tests.fakes import DiskCluster, machine_id
from tests.hostile import NAMES, harms

T1, T2 = ("--now", "2026-03-10T12:00Z"), ("--now", "2026-03-10T13:00Z")

POLICIES = """
apiVersion: reconciler/v1
kind: Site
metadata: {name: hq}
spec:
  timeZone: UTC
  rehearsal: true
  prune: true
  state: {sqlite: {path: var/state/hq.db}}
  clusters: [{name: hci-01, inventory: {directory: {path: cluster}}}]
  servers:
    - {name: b1, engine: {embedded: {path: var/b1}}, volumes: [{name: vol-a, capacity: 10 GB}]}
---
apiVersion: reconciler/v1
kind: ProtectionGroup
metadata: {name: gold, labels: {x: "<script>alert(3)</script>"}}
spec:
  displayName: Gold VMs
  site: hq
  server: b1
  members: [{virtualMachines: {cluster: hci-01, names: ["*"]}}]
  shortTerm: {retention: 14d, synchronization: 1h}
---
apiVersion: reconciler/v1
kind: Exclusion
metadata: {name: ex}
spec:
  site: hq
  virtualMachines: {cluster: hci-01, names: ["zzz"]}
  reason: "<script>alert(5)</script> ::error::r ##vso[x]y [l](http://evil)"
  owner: "o<script> @team"
  until: 2029-12-31
---
apiVersion: reconciler/v1
kind: Guardrail
metadata: {name: says}
spec:
  match: {kinds: [ProtectionGroup]}
  enforce: warn
  validations: [{expression: "false", message: "::error::m ##[x] <script>alert(6)</script>"}]
"""
FILES = ("::error::x.yaml", "a,line=1::x%0A.yaml", "##vso[task.complete]x.yaml", "<script>.yaml", "[l](http:evil).yaml")
PLAN_FORMATS = ("text", "json", "markdown", "html", "sarif", "junit")
FINDING_FORMATS = ("text", "json", "sarif", "junit", "github", "azure")

REPORTS = [
    ("plan", *T2),
    *(("plan", *T2, "--output", each) for each in PLAN_FORMATS[1:]),
    *(("diff", "old", ".", "--no-guard", "--output", each) for each in ("text", "json", "markdown", "html")),
    *(("show", "saved.json", "--output", each) for each in PLAN_FORMATS),
    *((name, "--output", each) for name in ("status", "points", "jobs", "drift") for each in ("text", "json")),
    *((name, "--all", "--output", each) for name in ("coverage", "preflight") for each in ("text", "json")),
    *(("members", "gold", "--output", each) for each in ("text", "json")),
    *(("evidence", "query", machine_id(7), "--output", each) for each in ("text", "json")),
    ("evidence", "verify"),
    ("lock", "show"),
    ("fmt", "--explain"),
    ("explain", "::error::\x1b"),
    ("members", "\x1b[2J::"),
    ("recover", machine_id(7), "--to", "out7", "--yes", *T2),
    ("recover", NAMES[6], "--to", "out8", *T2),
    ("recover", "db [/x]", "--to", "out9", *T2),
    ("check", machine_id(2), *T2),
    ("store", "check"),
    ("inventory", "snapshot"),
    ("catalog", "snapshot"),
    ("validate",),
    ("apply", "--yes", *T2),
    ("no such command \x1b[2J",),
]


def write(root: Path) -> None:
    cluster = DiskCluster(root / "cluster")
    for number, name in enumerate(NAMES):
        cluster.add(number, name, data=bytes([number]) * 4096, notes="tier: gold", labels={"x": name[:200]})
    (root / "policies").mkdir()
    (root / "policies" / "all.yaml").write_text(POLICIES, encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hostile")
    write(root)
    at = ("-C", str(root), *T1)
    newer = root / "policies" / "all.yaml"
    text = POLICIES.replace("retention: 14d", "retention: 20d").replace("::error::r", "::error::s")
    newer.write_text(text, encoding="utf-8")
    assert errors.run(["plan", *at, "--out", str(root / "saved.json")]) == 0
    assert errors.run(["apply", "--yes", *at]) == 0
    assert errors.run(["run", "--once", *at]) == 0
    older = root / "old" / "policies"
    older.mkdir(parents=True)
    (older / "all.yaml").write_text(text, encoding="utf-8")
    newer.write_text(POLICIES, encoding="utf-8")
    return root


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def act(root: Path, *words: str) -> tuple[int, str, str]:
        monkeypatch.chdir(root)
        capsys.readouterr()
        code = errors.run(list(words))
        caught = capsys.readouterr()
        return code, caught.out, caught.err

    return act


def look(code: int, out: str, err: str, *, shape: str, commands: bool = False) -> None:
    assert "Traceback" not in err, err
    assert "RCL9" not in err, err
    assert not harms(err), (harms(err), err)
    assert not harms(out, commands=commands, html=shape == "html"), harms(out, commands=commands, html=shape == "html")
    out.encode()
    if shape in ("json", "sarif") and out:
        json.loads(out)
    if shape == "junit":
        minidom.parseString(out)
    if shape == "markdown":
        bare = re.sub(r"(?s)(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", "", out)
        assert "<script" not in bare
        assert "<img" not in bare
        assert not re.search(r"(?<!\\)\]\(", bare)


@pytest.mark.parametrize("words", REPORTS, ids=lambda words: " ".join(words).encode("unicode_escape").decode()[:60])
def test_names_do_nothing(site: Path, run: Run, words: tuple[str, ...]) -> None:
    shape = words[-1] if words[-2:-1] == ("--output",) else ""
    code, out, err = run(site, *words)
    assert code != 65, err
    assert out or not shape, err
    look(code, out, err, shape=shape)


@pytest.mark.parametrize("shape", FINDING_FORMATS)
def test_names_of_policy_files_do_nothing(tmp_path: Path, run: Run, shape: str) -> None:
    write(tmp_path)
    wrong = 'apiVersion: reconciler/v1\nkind: ProtectionGroup\nmetadata: {name: "::error::n\\e[31m"}\n'
    for name in FILES:
        (tmp_path / "policies" / name).write_text(
            wrong + "spec: {site: hq, '\\e[31m::error::k': 1}\n", encoding="utf-8"
        )
    code, out, err = run(tmp_path, "validate", "--output", shape)
    assert code == 65
    look(code, out, err, shape=shape, commands=shape in ("github", "azure"))


@pytest.mark.parametrize("words", [("fmt", "--check"), ("plan",), ("status",), ("run", "--once"), ("diff", "p", ".")])
def test_names_of_policy_files_do_nothing_elsewhere(tmp_path: Path, run: Run, words: tuple[str, ...]) -> None:
    write(tmp_path)
    for name in (*FILES, "\x1b[31mevil\x07.yaml", "new\n::error::line.yaml", "r\u202e.yaml"):
        (tmp_path / "policies" / name).write_text("a: [\n", encoding="utf-8")
    look(*run(tmp_path, *words), shape="")


def test_the_bar_of_a_virtual_machine_with_markup_in_its_name(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.cli import progress
    from reconciler.model import DataSource, JobKind, JobRecord, JobState, JobStatus, Progress

    monkeypatch.setattr(progress, "bars_wanted", lambda: True)
    monkeypatch.setattr(progress, "_PATIENCE_SECONDS", -1.0)
    job = fakes.job(JobKind.INITIAL_REPLICA, DataSource("hci-01", machine_id(1)))
    status = JobStatus(JobState.RUNNING, progress=Progress(1, 2))
    with progress.JobsOnScreen({str(job.source): "db [/x] [red]y"}) as screen:
        screen.show(JobRecord(job, status, 1, job.scheduled_for))
        screen.show(JobRecord(job, status, 1, job.scheduled_for))
    assert "Traceback" not in capsys.readouterr().err
