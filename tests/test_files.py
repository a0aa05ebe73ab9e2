"""The durable layer: a file is as before or as after, whatever step was the last."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import files
from reconciler.files import write_whole
from reconciler.system_errors import explained


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


def test_a_planted_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    monkeypatch.setattr(os, "urandom", bytes)
    files.temporary(tmp_path / "x").symlink_to(precious)
    files.write_whole(tmp_path / "x", b"new")
    assert (precious.read_bytes(), (tmp_path / "x").read_bytes()) == (b"precious", b"new")


def test_temporary_names_are_bounded_and_nobody_elses(tmp_path: Path) -> None:
    """Neither two processes of one number on two computers nor two long names meet."""
    names = {files.temporary(tmp_path / ("n" * 250 + end)).name for end in ("a", "b", "ü" * 2) for _ in range(50)}
    assert len(names) == 150
    assert all(len(name.encode()) <= 255 for name in names)
    longest = tmp_path / ("ü" * 127)
    files.write_whole(longest, b"x")
    assert [path.name for path in tmp_path.iterdir()] == [longest.name]
    stems = {files.bounded("ü" * 200 + end, ".tail") for end in ("", "a", "b")}
    assert len(stems) == 3
    assert all(len(stem.encode()) <= 255 and stem.endswith(".tail") for stem in stems)


def test_what_fails_midway_leaves_no_temporary_file(tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"some"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_parts(tmp_path / "x", parts())
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "fsync", full)
    with pytest.raises(OSError, match="No space left") as error:
        write_whole(tmp_path / "gold.yaml", b"x")
    what, _ = explained(error.value)
    assert what.startswith(f"the disk of {tmp_path / 'gold.yaml'} is full")


def test_a_regular_file_is_opened_and_read(tmp_path: Path) -> None:
    place = tmp_path / "x"
    place.write_bytes(b"abc\r\n")
    (tmp_path / "link").symlink_to(place)
    for path in (place, tmp_path / "link"):
        with files.open_regular(path) as file:
            assert file.read() == b"abc\r\n"
        assert files.read_regular(path, 5) == b"abc\r\n"
        assert files.read_text(path) == "abc\n"
    with pytest.raises(files.TooLarge, match="larger than 4 bytes"):
        files.read_regular(place, 4)
    with pytest.raises(FileNotFoundError):
        files.open_regular(tmp_path / "none")
    for name in ("nul\0", "half a letter \ud800"):
        with pytest.raises(files.NotRegular, match="no file can have"):
            files.open_regular(tmp_path / name)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(
    ("kind", "called"),
    [
        ("pipe", "a named pipe"),
        ("folder", "a folder"),
        ("socket", "a socket"),
        ("device", "a character device"),
        ("link", "a symbolic link"),
        ("link to a pipe", "a named pipe"),
    ],
)
def test_what_is_no_regular_file_is_refused_at_once_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, called: str
) -> None:
    place = tmp_path / "x"
    follow = kind != "link"
    if kind == "folder":
        place.mkdir()
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)  # a socket's path is short
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("x")
    elif kind == "device":
        place = Path(os.devnull)
    elif kind == "link":
        (tmp_path / "file").write_bytes(b"x")
        place.symlink_to(tmp_path / "file")
    else:
        os.mkfifo(tmp_path / "pipe")
        place.symlink_to(tmp_path / "pipe")
    before = _descriptors()
    with pytest.raises(files.NotRegular) as refused:
        files.open_regular(place, follow=follow)
    assert refused.value.strerror == f"{called}, not a regular file"
    assert _descriptors() == before


def test_a_pipe_put_there_between_the_look_and_the_opening_neither_blocks_nor_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "x"
    place.write_bytes(b"x")
    real = os.open

    def swapped(path: Path, flags: int) -> int:
        place.unlink()
        os.mkfifo(place)
        return real(path, flags)

    monkeypatch.setattr(os, "open", swapped)
    before = _descriptors()
    with pytest.raises(files.NotRegular, match="a named pipe"):
        files.open_regular(place)
    assert _descriptors() == before


def test_a_link_put_there_between_the_look_and_the_opening_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "x"
    place.write_bytes(b"x")
    (tmp_path / "secret").write_bytes(b"secret")
    real = os.open

    def swapped(path: Path, flags: int) -> int:
        place.unlink()
        place.symlink_to(tmp_path / "secret")
        return real(path, flags)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(OSError, match="x"):
        files.open_regular(place, follow=False)
