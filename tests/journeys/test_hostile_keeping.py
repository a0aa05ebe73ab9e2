"""Text of strangers in the commands that look after our own memory: holders, cases, backups, groups of a server."""

from __future__ import annotations

import json
import os
from contextlib import closing
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from reconciler.control.authoring.import_groups import Source, import_groups
from reconciler.control.state.backup_file import read_backup
from reconciler.model import CatalogSnapshot, DataSource, ObservedGroup, ServerFacts
from reconciler.parse.load import load
from reconciler.state import open_memory
from tests.fakes import NOON, group, machine_id
from tests.hostile import NAMES, harms
from tests.journeys.test_hostile_backups import entry, manifest
from tests.shop import Said, Shop

T1 = ("--now", "2026-03-10T12:00Z")
#: Besides those: halves of pairs, as they come from names of files that are no UTF-8, and from escapes.
HALVES = ("\udcff.tar", "half \ud83d of a pair")
EVIL = "\x1b[31m\n::error::x\u202e ##vso[task.complete]y [/x] \r::add-mask::z"


def harmless(said: Said) -> None:
    for text in (said.out, said.err):
        assert not harms(text), (harms(text), text)
        text.encode()
        assert "Traceback" not in text
        assert "RCL9" not in text


@pytest.mark.parametrize("name", [*NAMES, EVIL], ids=ascii)
def test_a_holder_is_shown_and_released(shop: Shop, name: str) -> None:
    database = shop.root / "var" / "hq.db"
    with closing(open_memory(database)) as memory:
        memory.locks.acquire("site:hq", name, timedelta(seconds=60))
        memory.locks.acquire(f"job:{name}", name, timedelta(seconds=60))
    harmless(shop("lock", "show"))
    said = shop("lock", "show", "--output", "json")
    harmless(said)
    assert json.loads(said.out)["lease"]["holder"] == name
    held = shop("state", "restore", str(database), "--yes")
    harmless(held)
    harmless(shop("lock", "release", "--yes"))


GUARDRAIL = """---
apiVersion: reconciler/v1
kind: Guardrail
metadata: {name: long-enough}
spec:
  match: {kinds: [ProtectionGroup]}
  validations: [{expression: "object.spec.shortTerm.retention >= duration('72h')", message: %s}]
"""
CASES = "guardrail: %s\ncases:\n  - {name: %s, object: {spec: {shortTerm: {retention: 1d}}}, expect: allow}\n"


@pytest.mark.parametrize("shape", ["text", "json"])
def test_cases_are_told(shop: Shop, shape: str) -> None:
    policy = shop.root / "policies" / "site.yaml"
    policy.write_text(policy.read_text() + GUARDRAIL % json.dumps(EVIL))
    for number, name in enumerate((*NAMES[6:12:2], *HALVES, EVIL)):
        path = shop.root / (os.fsdecode(b"\xff") + f"\x1b[2J\n::error::{number}.yaml")
        for text in (
            CASES % ("long-enough", json.dumps(name)),
            CASES % (json.dumps(name), "x"),
            f"{json.dumps(name)}: 1",
        ):
            path.write_text(text)
            said = shop("policy", "test", str(path), "--output", shape)
            harmless(said)
            assert said.code in (1, 65), said.err
            if shape == "json" and said.out:
                assert json.loads(said.out)["results"][0]["name"] == name


@pytest.mark.parametrize(
    "name", ["\udcff", "\x1b[31m", "new\n::error::line", "r\u202e", "##vso[x]", "[x]", "%0A::error::"], ids=ascii
)
def test_a_backup_in_a_file_of_any_name(shop: Shop, name: str) -> None:
    assert shop("apply", "--yes", *T1).code == 0
    path = shop.root / f"{name}.tar"
    for words in (
        ("state", "backup", str(path)),
        ("state", "restore", str(path), "--yes"),
        ("state", "restore", str(path)),
        ("state", "restore", str(path) + name),
        ("state", "backup", str(path / "in a file")),
        ("state", "backup", str(shop.root / name / "nowhere")),
    ):
        harmless(shop(*words))
    assert read_backup(path).site == "hq"
    path.write_bytes(b"none")
    harmless(shop("state", "restore", str(path)))


def test_a_backup_that_says_anything(shop: Shop) -> None:
    assert shop("apply", "--yes", *T1).code == 0
    path = shop.root / "state.tar"
    assert shop("state", "backup", str(path)).code == 0
    whole = json.loads(path.read_bytes()[512:].partition(b"\0")[0])
    parts = whole.pop("parts")
    del whole["seal"]
    rest = path.read_bytes()
    rest = rest[rest.index(b"state.db\0") :]
    for field in ("host", "version", "site", "kind", "formatVersion"):
        for text in (EVIL, *NAMES[:6], "\ud83d"):
            said = manifest(parts, **whole | {field: text})
            path.write_bytes(entry("manifest.json", said) + rest)
            answer = shop("state", "restore", str(path))
            harmless(answer)
            assert answer.code in (1, 5, 6)
    for text in (EVIL, "\ud83d"):
        more = {"name": text, "bytes": 0, "sha256": text}
        path.write_bytes(entry("manifest.json", manifest([*parts, more])) + rest)
        harmless(shop("state", "restore", str(path)))


@pytest.mark.parametrize("name", [*NAMES, *HALVES, EVIL], ids=ascii)
def test_groups_that_a_server_has_become_policies_that_read(name: str) -> None:
    source = DataSource("hci-01", machine_id(1))
    seen = (
        ObservedGroup("1", group(name, source, display_name=name)),
        ObservedGroup("2", group("plain", source, display_name=name)),
    )
    catalog = CatalogSnapshot("b1", NOON, ServerFacts("embedded"), groups=seen)
    found = import_groups(Source("hq", "b1", catalog, seen, frozenset(), ZoneInfo("UTC")), {})
    for called, text in found.files.items():
        assert called.isascii()
        assert "/" not in called
        documents, wrong = load(called, text.encode())
        assert not wrong
        (document,) = documents
        plain = document.root.plain()
        if plain["kind"] == "ProtectionGroup":
            assert plain["spec"]["displayName"] == name.encode("utf-8", "backslashreplace").decode()
    assert len(found.files) == 3
