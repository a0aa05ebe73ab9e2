"""A store that version 0.1 wrote: it opens, lists and recovers as it is."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from reconciler.engines import EngineSetup
from reconciler.engines.embedded import open_engine
from reconciler.model import Presence
from tests.fakes import SetClock
from tests.old_site import copy_old_site, expected
from tests.shop import Said


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return copy_old_site(tmp_path / "site")


def _points(run: Callable[..., Said], root: Path) -> list[str]:
    said = run("points", "--output", "json", "-C", str(root))
    assert said.code == 0, said.err
    found = [each["point"] for each in json.loads(said.out)["points"]]
    return [f"{point['source']['machine']}/{point['id']}" for point in found]


def test_every_point_is_listed_and_recovered_byte_for_byte(old: Path, tmp_path: Path, run: Callable[..., Said]) -> None:
    assert sorted(_points(run, old)) == sorted(expected())
    for key, files in expected().items():
        machine, point = key.split("/")
        out = tmp_path / "out" / key
        said = run("recover", machine, "--point", point, "--to", str(out), "--yes", "-C", str(old))
        assert said.code == 0, said.err
        assert {path.name: sha256(path.read_bytes()).hexdigest() for path in out.iterdir()} == files


def test_the_store_is_sound(old: Path, run: Callable[..., Said]) -> None:
    said = run("store", "check", "--read-data=1/1", "-C", str(old))
    assert said.code == 0, said.out + said.err


def _databases(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in (root / "var" / "mabs-01").rglob("*.db")}


def test_reading_upgrades_nothing(old: Path, run: Callable[..., Said]) -> None:
    before = _databases(old)
    for words in (("points",), ("status",), ("store", "check", "--read-data=1/1"), ("plan",)):
        run(*words, "-C", str(old))
    assert _databases(old) == before


def test_the_first_writer_upgrades_after_a_copy_that_can_be_put_back(
    old: Path, tmp_path: Path, run: Callable[..., Said]
) -> None:
    before = _databases(old)
    now = "2026-03-01T21:10"
    for words in (("apply", "--yes"), ("check", "sql-01"), ("run", "--until-idle")):
        said = run(*words, "-C", str(old), "--now", now)
        assert said.code == 0, (words, said)
    store = old / "var" / "mabs-01"
    assert json.loads((store / "format.json").read_text())["format"] == 2
    said = run("store", "check", "--read-data=1/1", "-C", str(old))
    assert said.code == 0, said.out
    assert set(expected()) <= set(_points(run, old))
    for key, files in expected().items():
        machine, point = key.split("/")
        out = tmp_path / "out" / key
        assert run("recover", machine, "--point", point, "--to", str(out), "--yes", "-C", str(old)).code == 0
        assert {path.name: sha256(path.read_bytes()).hexdigest() for path in out.iterdir()} == files
    for path, data in before.items():
        kept = old / path.replace(".db", "-format-1.db")
        assert kept.exists(), kept
        with closing(sqlite3.connect(kept)) as db:
            assert db.execute("PRAGMA user_version").fetchone()[0] == 1
        assert len(kept.read_bytes()) == len(data)
    # Back to version 0.1, by hand: the copies take the place of the databases.
    for path in before:
        (old / path.replace(".db", "-format-1.db")).replace(old / path)
    (store / "format.json").write_text('{"format":1}')
    setup = EngineSetup("mabs-01", store.parent, {"path": store.name}, (("vol-a", 10**11),), {}, SetClock())
    engine = open_engine(setup)
    assert engine.lineage().presence is Presence.UNNAMED
    assert {f"{point.source.machine}/{point.id}" for point in engine.observe().points} == set(expected())
    engine.close()


def test_the_copy_that_was_made_before_the_upgrade_is_restored(old: Path, run: Callable[..., Said]) -> None:
    """With the stores as they are since then, and what was made since then is kept."""
    at = ("-C", str(old), "--now", "2026-03-01T21:10")
    before = run("status", *at)
    assert run("apply", "--yes", *at).code == 0
    backup = old / "var" / "state" / "hq.db.format-1.tar"
    assert backup.exists()
    later = ("-C", str(old), "--now", "2026-03-01T22:10")
    assert run("run", "--until-idle", *later).code == 0
    points = _points(run, old)
    assert len(points) > len(expected())
    said = run("state", "restore", str(backup), "--yes", "-C", str(old))
    assert said.code == 0, said
    assert "RCL5008" not in said.err
    assert sorted(_points(run, old)) == sorted(points)
    plan = run("plan", *later)
    assert (plan.code, "No changes" in plan.out) == (0, True), plan
    assert run("status", *later).code == before.code
    assert run("run", "--until-idle", "-C", str(old), "--now", "2026-03-01T23:10").code == 0
    assert set(_points(run, old)) > set(points)
    assert run("evidence", "verify", "-C", str(old)).code == 0
    assert run("store", "check", "-C", str(old)).code == 0
