"""evidence verify, seal, export, query as typed; and an auditor's commands with OpenSSH and sha256sum alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from reconciler.control.evidence.audit import protection
from reconciler.model import EvidenceKind
from reconciler.state import EvidenceFolder
from reconciler.state.export import README
from tests.fakes import machine_id, unpack
from tests.shop import Shop

ROOT = Path(__file__).parent.parent.parent
DOCS = (ROOT / "docs" / "reference" / "evidence.md").read_text(encoding="utf-8")
T1 = ("--now", "2026-03-10T12:00Z")
T2 = ("--now", "2026-03-10T17:00Z")


@pytest.fixture
def lived(shop: Shop) -> Shop:
    """A site with two recovery points of each machine."""
    assert shop("run", "--until-idle", *T1).code == 0
    assert shop("run", "--until-idle", *T2).code == 0
    return shop


def folder(shop: Shop) -> Path:
    return shop.root / "var" / "hq.evidence"


def key(shop: Shop, name: str = "key") -> Path:
    path = shop.root / name
    made = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path))
    subprocess.run(made, check=True)
    return path


def signers(shop: Shop, who: Path, identity: str = "audit@example.org") -> Path:
    path = shop.root / "SIGNERS"
    path.write_text(f"{identity} {who.with_suffix('.pub').read_text(encoding='utf-8')}", encoding="utf-8")
    return path


def flip(path: Path, byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(bytes(data))


def test_verify_seal_and_verify_again(lived: Shop, tmp_path: Path) -> None:
    said = lived("evidence", "verify")
    assert (said.code, said.err) == (0, "")
    assert "whole" in said.out
    assert "no anchor covers them" in said.out
    audit = key(lived)
    kept = tmp_path / "elsewhere"
    sealed = lived("evidence", "seal", "--key", str(audit), "--out", str(kept))
    assert sealed.code == 0, sealed.err
    for name in ("SHA256SUMS", "SHA256SUMS.sig"):
        assert (kept / name).read_bytes() == (folder(lived) / name).read_bytes()
    lived("recover", "one", "--to", str(tmp_path / "out"), "--yes", *T2)
    words = ("--signers", str(signers(lived, audit)), "--identity", "audit@example.org")
    said = lived("evidence", "verify", "--anchor", str(kept / "SHA256SUMS"), *words, "--output", "json")
    assert said.code == 0, said.out
    stated = json.loads(said.out)
    assert stated["whole"] is True
    assert stated["signedBy"] == "audit@example.org"
    assert 0 < stated["anchored"] < stated["records"]
    stranger = signers(lived, key(lived, "other"))
    said = lived("evidence", "verify", "--signers", str(stranger), "--identity", "audit@example.org")
    assert said.code == 1
    assert "RCL5034" in said.out
    again = lived("evidence", "seal", "--out", str(kept))
    assert again.code == 0
    assert not (kept / "SHA256SUMS.sig").exists(), "the signature was of the older anchor"


def test_a_change_is_located_and_answers_are_marked(lived: Shop) -> None:
    lived("evidence", "seal")
    path = folder(lived) / "000001.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    flip(path, len(lines[0]) + lines[1].index(b'"kind"') + 9)
    said = lived("evidence", "verify")
    assert said.code == 1
    assert "000001.jsonl:2:1: error[RCL5020]" in said.out
    said = lived("evidence", "query", "one")
    assert said.code == 1
    assert "this answer may be wrong" in said.err
    sealed = lived("evidence", "seal")
    assert sealed.code == 1
    assert "RCL5033" in sealed.err


def test_an_anchor_of_another_chain_is_not_replaced(lived: Shop, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    lived("evidence", "seal", "--out", str(kept))
    before = (kept / "SHA256SUMS").read_bytes()
    path = folder(lived) / "000001.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    (folder(lived) / "SHA256SUMS").unlink()
    cut = lived("evidence", "verify")  # the state knows how far the evidence had come
    assert (cut.code, "RCL5042" in cut.out) == (1, True)
    said = lived("evidence", "verify", "--anchor", str(kept / "SHA256SUMS"))
    assert said.code == 1
    assert "000001.jsonl:1:1: error[RCL5025]" in said.out
    assert lived("evidence", "seal", "--out", str(kept)).code == 69
    assert (kept / "SHA256SUMS").read_bytes() == before


def test_query_says_which_points_there_were(lived: Shop, tmp_path: Path) -> None:
    lived("check", "one", *T2)
    lived("recover", "one", "--to", str(tmp_path / "out"), "--yes", *T2)
    said = lived("evidence", "query", "one", "--at", "2026-03-10", "--output", "json")
    assert said.code == 0, said.err
    stated = json.loads(said.out)
    (told,) = stated["protections"]
    assert told["source"] == f"hci-01/{machine_id(1)}/host"
    points = json.loads(lived("points", "one", "--output", "json").out)["points"]
    assert [each["id"] for each in told["points"]] == sorted((each["point"]["id"] for each in points), reverse=True)
    assert told["verified"]["what"] == "consistencyCheck"
    assert told["recoveries"][0]["folder"] == str(tmp_path / "out")
    first = json.loads(lived("evidence", "query", "one", "--at", "2026-03-10T13:00", "--output", "json").out)
    assert len(first["protections"][0]["points"]) == len(points) - 1
    text = lived("evidence", "query", "one", "--at", "2026-03-10")
    assert text.code == 0
    assert "2 recovery points could have been recovered, newest first:" in text.out
    assert "asked for by" in text.out
    nothing = lived("evidence", "query", "one", "--at", "2026-03-09")
    assert "unprotected: no record says that a group had it by then" in " ".join(nothing.out.split())
    assert lived("evidence", "query", "nobody").code == 64


def test_an_export_is_checked_with_openssh_and_sha256sum_alone(lived: Shop, tmp_path: Path) -> None:
    """The commands of the document, in its order, with nothing of ours on the path."""
    audit = key(lived)
    out = tmp_path / "audit"
    assert lived("evidence", "export", str(out), "--key", str(audit)).code == 0
    shutil.copy(signers(lived, audit, "IDENTITY"), out / "SIGNERS")
    commands = [line for block in re.findall(r"```sh\n(.*?)```", DOCS, flags=re.DOTALL) for line in block.splitlines()]
    assert len(commands) == 4
    told = (out / README).read_text(encoding="utf-8")
    assert all(command in told for command in commands[:2])

    def auditor(command: str) -> subprocess.CompletedProcess[str]:
        path = {"PATH": os.environ["PATH"]}
        return subprocess.run(["sh", "-c", command], cwd=out, env=path, capture_output=True, text=True, check=False)

    sums, signature, digest, second = (auditor(command) for command in commands)
    assert "000001.jsonl: OK" in sums.stdout
    assert "Good" in signature.stdout
    assert json.loads(second.stdout)["prev"] == digest.stdout.split()[0]
    flip(out / "000001.jsonl", 100)
    assert auditor(commands[0]).returncode != 0
    flip(out / "SHA256SUMS", 3)
    assert auditor(commands[1]).returncode != 0


def test_an_export_answers_without_the_site(lived: Shop, tmp_path: Path) -> None:
    tar = tmp_path / "audit.tar"
    assert lived("evidence", "export", str(tar)).code == 0
    with tarfile.open(tar) as archive:
        unpack(archive, tmp_path / "there")
        assert {member.uname for member in archive} == {""}
    there = str(tmp_path / "there")
    shutil.rmtree(lived.root / "var")
    assert lived.plain("evidence", "verify", "--folder", there).code == 0
    said = lived.plain("evidence", "query", "two", "--folder", there, "--at", "2026-03-10")
    assert said.code == 0, said.err
    assert "could have been recovered" in said.out
    refused = lived.plain("evidence", "verify", "--folder", str(tmp_path / "empty"))
    assert refused.code == 64
    assert "RCL5032" in refused.err


def test_an_export_never_writes_over_anything(lived: Shop, tmp_path: Path) -> None:
    (tmp_path / "mine.tar").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    for name in ("mine.tar", "full"):
        said = lived("evidence", "export", str(tmp_path / name))
        assert said.code == 64
        assert "RCL5031" in said.err
    assert (tmp_path / "mine.tar").read_text() == "mine"


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "--signers", "x"),
        ("verify", "--anchor", "nowhere"),
        ("query", "one", "--at", "noon"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_asked_is_refused(lived: Shop, words: tuple[str, ...]) -> None:
    assert lived("evidence", *words).code == 64


def test_what_is_no_anchor_is_said(lived: Shop) -> None:
    (folder(lived) / "SHA256SUMS").write_text("nothing of the kind\n")
    said = lived("evidence", "verify")
    assert said.code == 1
    assert "RCL5027" in said.err


def test_the_machine_is_asked_for_whole(lived: Shop) -> None:
    """A data source of its own, as records name it, is found too."""
    records = list(EvidenceFolder(folder(lived)).records())
    source = f"hci-01/{machine_id(1)}/host"
    at = records[-1].at
    assert len(protection(records, source, at).points) == 2
    assert lived("evidence", "query", source).code == 0
    assert {record.kind for record in records} >= {EvidenceKind.POINT}
