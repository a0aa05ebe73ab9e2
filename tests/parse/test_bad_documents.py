"""Every hand-made bad document gives just the findings that were written into it beforehand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.errors import codes
from reconciler.parse import read_policies

_GROUP = """apiVersion: reconciler/v1
kind: ProtectionGroup
metadata: {name: g}
spec:
  site: hq
  server: mabs-01
  members: [{virtualMachines: {cluster: hci-01, names: [a]}}]
"""
SITE = """apiVersion: reconciler/v1
kind: Site
metadata: {name: hq}
spec:
  timeZone: Europe/Berlin
  prune: false
  state: {sqlite: {path: var/hq.db}}
  clusters:
    - {name: hci-01, inventory: {directory: {path: clusters/hci-01}}}
    - {name: hci-02, inventory: {hyperv: {endpoint: "https://c:5986/wsman", transport: ntlm, credential: "env:C"}}}
  servers:
    - {name: mabs-01, engine: {embedded: {path: var/mabs-01}}, volumes: [{name: vol-a, capacity: 1 GB}]}
    - name: mabs-02
      engine: {mabs: {endpoint: "https://s:5986/wsman", transport: ntlm, credential: "env:S"}}
      volumes: [{name: vol-a, capacity: 1 GB}]
"""
_MABS = """apiVersion: reconciler/v1
kind: ProtectionGroup
metadata: {name: g}
spec:
  site: hq
  server: mabs-02
"""
_PRESET = "apiVersion: reconciler/v1\nkind: Preset\nmetadata: {name: p}\nfor: ProtectionGroup\n"
_RULE = "apiVersion: reconciler/v1\nkind: Guardrail\nmetadata: {name: r}\n"
_APPROVAL = "apiVersion: reconciler/v1\nkind: Approval\nmetadata: {name: a}\n"
_HASH = f'"sha256:{"0" * 64}"'
_HEADS = {
    "GROUP\n": _GROUP,
    "MABS\n": _MABS,
    "PRESET\n": _PRESET,
    "RULE\n": _RULE,
    "APPROVAL\n": _APPROVAL,
    "HASH": _HASH,
}


def _filled(body: str) -> str:
    for word, text in _HEADS.items():
        body = body.replace(word, text)
    return body


_MARK = re.compile("«(RCL[0-9]{4})»")


def _cases() -> list[tuple[str, str]]:
    text = (Path(__file__).parent / "bad_documents.txt").read_text(encoding="utf-8")
    parts = re.split(r"^=== (.*)\n", text, flags=re.MULTILINE)[1:]
    return [(name, _filled(body)) for name, body in zip(parts[::2], parts[1::2], strict=True)]


CASES = _cases()


def test_there_are_many_cases_and_each_has_a_mark() -> None:
    assert len(CASES) >= 200
    assert all(_MARK.search(body) for _, body in CASES)
    assert len({name for name, _ in CASES}) == len(CASES)


@pytest.mark.parametrize("body", [body for _, body in CASES], ids=[name for name, _ in CASES])
def test_each_mistake_is_found_at_its_place(body: str, tmp_path: Path) -> None:
    expected = []
    for number, line in enumerate(body.split("\n"), start=1):
        plain = 0
        at = 0
        for mark in _MARK.finditer(line):
            plain += mark.start() - at
            at = mark.end()
            expected.append((number, plain + 1, mark[1]))
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "site.yaml").write_text(SITE, encoding="utf-8")
    (tmp_path / "policies" / "bad.yaml").write_text(_MARK.sub("", body), encoding="utf-8")
    reading = read_policies(tmp_path)
    assert reading.policies is None
    found = [
        (each.location.line, each.location.column, each.code)
        for each in reading.diagnostics
        if each.location is not None and each.location.file == "policies/bad.yaml"
    ]
    assert sorted(found) == sorted(expected), "\n".join(map(str, reading.diagnostics))
    assert all(each.remedy and each.code in codes() for each in reading.diagnostics)
