"""The store from the command line: what is missing is said with exit 69, and catalogs are made anew."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler import sqlite
from reconciler.errors import TemporaryError
from tests.fakes import machine_id
from tests.shop import Said, Shop


def _kept(shop: Shop) -> None:
    assert shop("apply", "--yes", "--now", "2026-03-10T12:00Z").code == 0
    for hour in range(3):
        shop.cluster.change(1, hour, seed=hour)
        assert shop("run", "--until-idle", "--now", f"2026-03-10T{12 + hour}:05Z").code == 0


def _points(shop: Shop) -> list[str]:
    said = shop("points", "--output", "json")
    return [each["point"]["id"] for each in json.loads(said.out)["points"]] if said.code == 0 else []


def _server(shop: Shop) -> Path:
    return shop.root / "var" / "mabs-01"


def test_a_store_that_is_not_mounted(shop: Shop) -> None:
    """cases/bugs/server-folder-not-mounted: nothing is concluded, nothing is written, and it is all there again."""
    _kept(shop)
    made = _points(shop)
    away = shop.root / "unmounted"
    _server(shop).rename(away)
    _server(shop).mkdir()
    for words in (
        ("plan",),
        ("run", "--until-idle", "--now", "2026-03-10T16:00Z"),
        ("store", "check", "--read-data=1/1"),
        ("points",),
        ("apply", "--yes"),
        ("recover", "one", "--to", str(shop.root / "out"), "--yes"),
    ):
        said = shop(*words)
        assert said.code == 69, (words, said)
        assert "mabs-01" in said.out + said.err
        assert "sound" not in said.out
        assert list(_server(shop).iterdir()) == []
    _server(shop).rmdir()
    away.rename(_server(shop))
    assert _points(shop) == made
    assert shop("store", "check").code == 0


def test_a_lost_catalog_is_said_and_made_anew(shop: Shop) -> None:
    _kept(shop)
    made = _points(shop)
    catalog = next(path for path in _server(shop).glob("volumes/*/*/catalog.db") if machine_id(1)[:20] in str(path))
    catalog.unlink()
    said = shop("store", "check")
    assert (said.code, "RCL4021" in said.out, str(catalog) in said.out) == (1, True, True)
    assert "RCL4021" in shop("points").err + shop("status", "--now", "2026-03-10T15:00Z").out
    assert not catalog.exists()
    rebuilt = shop("store", "rebuild", "mabs-01")
    assert (rebuilt.code, "3 points" in rebuilt.out) == (0, True), rebuilt
    assert _points(shop) == made
    assert shop("check", "one", "--now", "2026-03-10T15:30Z").code == 0
    assert shop("store", "check", "--read-data=1/1").code == 0
    assert "sound, nothing was rebuilt" in shop("store", "rebuild", "mabs-01").out
    assert "1 rebuilt" in shop("store", "rebuild", "mabs-01", "one", "--even-if-sound").out
    assert "storeRebuilt" in shop("evidence", "query", "--output", "json", "--kind", "state").out + (
        "".join(path.read_text() for path in (shop.root / "var").rglob("*.jsonl"))
    )


def test_a_lost_database_of_a_server(shop: Shop) -> None:
    _kept(shop)
    made = _points(shop)
    (_server(shop) / "server.db").unlink()
    for words in (("plan",), ("store", "check"), ("points",)):
        said = shop(*words)
        assert (said.code, "server.db" in said.out + said.err) == (69, True), said
    assert not (_server(shop) / "server.db").exists()
    rebuilt = shop("store", "rebuild", "mabs-01")
    assert (rebuilt.code, "2 replicas" in rebuilt.out) == (0, True), rebuilt
    assert _points(shop) == made
    assert shop("store", "check", "--read-data=1/1").code == 0


def test_points_that_went_with_an_older_folder_are_said(shop: Shop) -> None:
    """cases/safety: rebuild-of-an-older-replica-folder. The newer one that comes back is made whole again."""
    assert shop("run", "--until-idle", "--now", "2026-03-10T11:05Z").code == 0
    folder = next(path for path in _server(shop).glob("volumes/*/*") if machine_id(1)[:20] in str(path))
    shutil.copytree(folder, shop.root / "older")
    _kept(shop)
    made = _points(shop)
    folder.rename(shop.root / "newer")
    shutil.copytree(shop.root / "older", folder)
    said = shop("store", "rebuild", "mabs-01")
    assert (said.code, "RCL4028" in said.out, "'one'" in said.out) == (1, True, True), said
    assert len(_points(shop)) < len(made)
    there, lost = _on_record(shop)
    assert (there, lost) == (_of_one(shop), {"notThere": len(made) - len(_points(shop))})
    text = shop("evidence", "query", "one").out
    assert "on record could not be recovered" in text
    assert "not in the store any more" in text
    shutil.rmtree(folder)
    (shop.root / "newer").rename(folder)
    said = shop("store", "rebuild", "mabs-01", "one")
    assert (said.code, "RCL4028" in said.out) == (0, False), said
    assert _points(shop) == made
    assert _on_record(shop) == (_of_one(shop), {})


def _of_one(shop: Shop) -> int:
    """How many points of `one` the store has."""
    return len(json.loads(shop("points", "one", "--output", "json").out)["points"])


def _on_record(shop: Shop) -> tuple[int, dict[str, int]]:
    """How many points of `one` the evidence says could be recovered now, and how many could not, by why."""
    (told,) = json.loads(shop("evidence", "query", "one", "--output", "json").out)["protections"]
    return len(told.get("points", ())), dict(Counter(each["why"] for each in told.get("lost", ())))


def test_points_of_a_store_that_is_declared_lost_are_not_recoverable(shop: Shop) -> None:
    _kept(shop)
    made = _of_one(shop)
    before = shop("evidence", "query", "one", "--output", "json").out
    _server(shop).rename(shop.root / "elsewhere")
    assert _on_record(shop) == (made, {}), "a store that is missing now is not lost"
    said = shop("store", "declare-lost", "mabs-01", "--reason", "fire", "--yes")
    assert said.code == 0, said
    assert _on_record(shop) == (0, {"declaredLost": made})
    text = shop("evidence", "query", "one").out
    assert "No recovery point was there" in text
    assert "declared lost" in text
    then = json.loads(before)["at"]
    earlier = json.loads(shop("evidence", "query", "one", "--at", then, "--output", "json").out)
    assert len(earlier["protections"][0]["points"]) == made, "on that day they were there"


def test_an_older_copy_that_is_gone_on_with_has_what_it_has(shop: Shop) -> None:
    assert shop("run", "--until-idle", "--now", "2026-03-10T11:05Z").code == 0
    older = _of_one(shop)
    shutil.copytree(_server(shop), shop.root / "older")
    _kept(shop)
    made = _of_one(shop)
    shutil.rmtree(_server(shop))
    (shop.root / "older").rename(_server(shop))
    assert _on_record(shop) == (made, {})
    assert shop("store", "declare-lost", "mabs-01", "--reason", "fire", "--yes").code == 0
    assert _on_record(shop) == (older, {"declaredLost": made - older}), "what is there is gone on with"
    assert shop("apply", "--yes", "--adopt", "*", "--now", "2026-03-10T16:00Z").code == 0
    assert _on_record(shop) == (older, {"declaredLost": made - older})


@pytest.mark.parametrize("name", ["nowhere", "mabs-1"])
def test_a_server_that_is_not_there_to_be_rebuilt(shop: Shop, name: str) -> None:
    _kept(shop)
    said = shop("store", "rebuild", name)
    assert (said.code, "RCL5047" in said.err) == (64, True)


@pytest.mark.parametrize(("server", "code", "exit_code"), [("mabs-01", "RCL5041", 69), ("mabs-1", "RCL5047", 64)])
def test_a_rebuild_begins_no_state_where_nothing_is_left_to_rebuild(
    shop: Shop, server: str, code: str, exit_code: int
) -> None:
    """A mistyped server, a disk that is not mounted, a state that alone is away."""
    state = shop.root / "var" / "hq.db"
    for begun in (False, True):
        if begun:
            _kept(shop)
            state.rename(shop.root / "away.db")
        said = shop("store", "rebuild", server)
        assert (said.code, code in said.err, state.exists()) == (exit_code, True, False), said


def test_a_full_disk_lists_and_recovers(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """cases/safety/full-store-no-restore: no database of the store can be written, and no file be made there."""
    _kept(shop)
    made = _points(shop)
    before = sorted(_server(shop).rglob("*"))
    connect = sqlite.connect

    def full(path: Path, **words: Any) -> sqlite.Connection:
        if _server(shop) in path.parents:
            raise TemporaryError("RCL5006", f"the disk of {path.parent} is full", "Free some space.")
        return connect(path, **words)

    monkeypatch.setattr("reconciler.sqlite.connect", full)
    assert _points(shop) == made
    assert shop("store", "check").code == 0
    assert shop("status", "--now", "2026-03-10T15:00Z").code == 0
    wanted = shop.cluster.disk(1).read_bytes()
    newest = [point for point in made if point.startswith("20260310T14")]
    found = []
    for point in newest:
        out = shop.root / "out" / point
        said = shop("recover", "one", "--point", point, "--to", str(out), "--yes")
        found += [(out / "disk.raw").read_bytes() == wanted] if said.code == 0 else []
    assert found == [True]
    assert sorted(_server(shop).rglob("*")) == before


def test_rebuilding_does_not_take_an_older_copy_for_the_store_on_record(shop: Shop) -> None:
    _kept(shop)
    shutil.copytree(_server(shop), shop.root / "older")
    assert shop("run", "--until-idle", "--now", "2026-03-10T20:00Z").code == 0
    made = _points(shop)
    _server(shop).rename(shop.root / "newest")
    (shop.root / "older").rename(_server(shop))
    said = shop("store", "rebuild", "mabs-01")
    assert (said.code, "RCL5044" in said.err) == (69, True), said
    assert "RCL5044" in shop("status", "--now", "2026-03-10T20:30Z").out, "it is still told"
    shutil.rmtree(_server(shop))
    (shop.root / "newest").rename(_server(shop))
    assert shop("run", "--until-idle", "--now", "2026-03-10T21:00Z").code == 0
    assert set(made) <= set(_points(shop))


@pytest.mark.parametrize("database", [True, False], ids=["whole", "without its database"])
def test_rebuilding_does_not_take_another_store_for_the_one_on_record(
    shop: Shop, tmp_path: Path, run: Callable[..., Said], database: bool
) -> None:
    _kept(shop)
    other = Shop(tmp_path / "other", run)
    _kept(other)
    if not database:
        (_server(other) / "server.db").unlink()
    _server(shop).rename(shop.root / "ours")
    _server(other).rename(_server(shop))
    shop("store", "rebuild", "mabs-01")
    for words in (("status", "--now", "2026-03-10T20:30Z"), ("run", "--until-idle", "--now", "2026-03-10T20:30Z")):
        said = shop(*words)
        assert (said.code, "RCL5044" in said.out + said.err) == (69, True), said
    shutil.rmtree(_server(shop))
    (shop.root / "ours").rename(_server(shop))
    assert shop("run", "--until-idle", "--now", "2026-03-10T21:00Z").code == 0
