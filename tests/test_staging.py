"""Staging: whole and atomically, or not at all; every call may come twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler import files
from reconciler.errors import Refused
from reconciler.protocols import Which
from reconciler.staging import LocalTarget


def put(target: LocalTarget, path: str, data: bytes, token: str = "t") -> None:
    with target.stage(path, token, len(data)) as staged:
        staged.write(0, data)


def test_staged_then_there_with_mode_and_time(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path)
    put(target, "a/b.vhdx", b"hello")
    assert target.state("a/b.vhdx", Which.STAGED, "t") is not None
    assert not target.exists("a/b.vhdx")
    for _ in range(2):
        target.put("a/b.vhdx", "t", 0o640, 10**18, replace=False)
        place = tmp_path / "a" / "b.vhdx"
        assert place.read_bytes() == b"hello"
        assert (place.stat().st_mode & 0o777, place.stat().st_mtime_ns) == (0o640, 10**18)
        assert [path.name for path in place.parent.iterdir()] == ["b.vhdx"]


def test_the_original_is_kept_beside(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path)
    (tmp_path / "x").write_bytes(b"old")
    put(target, "x", b"new")
    for _ in range(2):
        target.keep("x", "t")
        target.put("x", "t", 0o600, 0, replace=True)
    assert (tmp_path / "x").read_bytes() == b"new"
    assert (tmp_path / "x.original-t").read_bytes() == b"old"


def test_discarded_leaves_nothing(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path)
    put(target, "x", b"new")
    for _ in range(2):
        target.discard("x", Which.STAGED, "t")
    assert not list(tmp_path.iterdir())
    target.put("x", "t", 0o600, 0, replace=True)
    assert not target.exists("x")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "", "a\0b", "link/x"])
def test_nothing_is_written_outside(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(Refused) as refused:
        LocalTarget(root).stage(path, "t", 1)
    assert refused.value.diagnostic.code == "RCL2012"


class Stopped(Exception):
    pass


@pytest.mark.parametrize("keep", [False, True])
def test_cut_off_at_any_step_it_is_rolled_forward(tmp_path: Path, keep: bool) -> None:
    for at in range(12):
        folder = tmp_path / f"{keep}-{at}"
        folder.mkdir()
        (folder / "x").write_bytes(b"old")
        target = LocalTarget(folder)
        put(target, "x", b"new")
        count = 0

        def stop(step: files.Step, at: int = at) -> None:
            nonlocal count
            count += 1
            if count > at:
                raise Stopped

        def cut_over(target: LocalTarget = target) -> None:
            if keep:
                target.keep("x", "t")
            target.put("x", "t", 0o600, 0, replace=True)

        with files.watch(stop):
            try:
                cut_over()
            except Stopped:
                assert (folder / "x").read_bytes() in (b"old", b"new")
        cut_over()
        assert (folder / "x").read_bytes() == b"new"
        names = {"x", "x.original-t"} if keep else {"x"}
        assert {path.name for path in folder.iterdir()} == names


def test_what_was_replaced_is_given_back(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path)
    (tmp_path / "x").write_bytes(b"old")
    put(target, "x", b"new")
    target.keep("x", "t")
    target.put("x", "t", 0o600, 0, replace=True)
    for _ in range(2):
        target.give_back("x", "t")
        assert (tmp_path / "x").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_file_that_came_to_be_there_is_not_replaced(tmp_path: Path) -> None:
    target = LocalTarget(tmp_path)
    put(target, "x", b"new")
    (tmp_path / "x").write_bytes(b"somebody's")
    with pytest.raises(Refused) as refused:
        target.put("x", "t", 0o600, 0, replace=False)
    assert refused.value.diagnostic.code == "RCL7015"
    assert (tmp_path / "x").read_bytes() == b"somebody's"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("sub/../q.raw", "written with '..'"),
        ("a/b/../../q.raw", "written with '..'"),
        ("../q.raw", "leads out of"),
        ("a/../../q.raw", "leads out of"),
        ("/q.raw", "leads out of"),
    ],
)
def test_what_is_wrong_with_a_path_is_said_as_it_is(tmp_path: Path, path: str, said: str) -> None:
    with pytest.raises(Refused) as refused:
        LocalTarget(tmp_path).resolve(path)
    assert refused.value.diagnostic.code == "RCL2012"
    assert said in refused.value.diagnostic.message
