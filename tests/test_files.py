"""The durable layer: a file is as before or as after, whatever step was the last."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import files


def test_write_whole_is_all_or_nothing(tmp_path: Path) -> None:
    place = tmp_path / "x"
    files.write_whole(place, b"old")
    steps: list[files.Step] = []
    with files.watch(steps.append):
        files.write_whole(place, b"old")
    assert [step.kind for step in steps] == ["write", "fsync", "rename", "fsync"]
    for fatal in range(len(steps)):
        seen = 0

        def fail(step: files.Step, fatal: int = fatal) -> None:
            nonlocal seen
            seen += 1
            if seen == fatal + 1:
                raise OSError(errno.ENOSPC, "no space left on device")

        with files.watch(fail), pytest.raises(OSError, match="no space"):
            files.write_whole(place, b"new")
        assert place.read_bytes() in (b"old", b"new")
        files.write_whole(place, b"old")
    assert place.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_many_may_write_one_file_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from reconciler import files\n"
        "for _ in range(40): files.write_whole(Path(sys.argv[1]), sys.argv[2].encode() * 1000)"
    )
    place = tmp_path / "x"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(place), letter]) for letter in "abc"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert place.read_bytes() in (b"a" * 1000, b"b" * 1000, b"c" * 1000)


def test_folders_are_made_with_the_missing_ones_above(tmp_path: Path) -> None:
    files.make_folder(tmp_path / "a" / "b")
    files.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


def test_removing_twice_is_removing_once(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_text("x")
    for _ in range(2):
        files.unlink(tmp_path / "d" / "x")
    for _ in range(2):
        files.remove_folder(tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_the_observer_is_taken_away_again() -> None:
    seen: list[files.Step] = []
    with files.watch(seen.append):
        files.announce("commit", "x")
    files.announce("commit", "y")
    assert [step.path for step in seen] == ["x"]


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    (tmp_path / f".x.{os.getpid()}.part").symlink_to(precious)
    files.write_whole(tmp_path / "x", b"new")
    assert (precious.read_bytes(), (tmp_path / "x").read_bytes()) == (b"precious", b"new")


def test_what_fails_midway_leaves_no_temporary_file(tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"some"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_parts(tmp_path / "x", parts())
    assert not list(tmp_path.iterdir())
