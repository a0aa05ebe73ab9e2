"""A store that version 0.1 wrote: it opens, lists and recovers as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from tests.old_site import copy_old_site, expected
from tests.shop import Said


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return copy_old_site(tmp_path / "site")


def _points(run: Callable[..., Said], root: Path) -> list[str]:
    said = run("points", "--format", "json", "-C", str(root))
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
