"""The calls that systems do in their own ways: the same comes of them. `make prove-windows` runs this there too."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler import system_calls

HOLD = (
    "import os, sys; from pathlib import Path; from reconciler import system_calls\n"
    "held = system_calls.open_file(Path(sys.argv[1]), os.O_RDWR | os.O_CREAT)\n"
    "system_calls.lock(held, wait=False); print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


@pytest.fixture
def opened(place: Path) -> Iterator[int]:
    descriptor = system_calls.open_file(place, os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def test_bytes_are_bytes(tmp_path: Path) -> None:
    """Windows would write a carriage return before each newline, and read up to a control-Z."""
    path = tmp_path / "x"
    descriptor = system_calls.open_file(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b"a\nb\x1ac\r\n")
    os.close(descriptor)
    assert path.read_bytes() == b"a\nb\x1ac\r\n"
    with os.fdopen(system_calls.open_stranger(path), "rb") as file:
        assert file.read() == b"a\nb\x1ac\r\n"


def test_reading_and_writing_at_an_offset(opened: int) -> None:
    assert system_calls.read_at(opened, 3, 4) == b"456"
    assert system_calls.write_at(opened, memoryview(b"xy"), 8) == 2
    assert system_calls.read_at(opened, 100, 7) == b"7xy"
    assert system_calls.read_at(opened, 1, 100) == b""


def test_a_file_is_made_longer_by_zeros_and_shorter(opened: int) -> None:
    system_calls.set_size(opened, 1 << 33)
    assert os.fstat(opened).st_size == 1 << 33
    assert system_calls.read_at(opened, 12, 8) == b"89" + bytes(10)
    assert system_calls.read_at(opened, 10, (1 << 33) - 5) == bytes(5)
    system_calls.set_size(opened, 3)
    assert system_calls.read_at(opened, 10, 0) == b"012"


def test_exclusive_is_exclusive(place: Path) -> None:
    with pytest.raises(FileExistsError):
        system_calls.open_file(place, os.O_RDWR | os.O_CREAT | os.O_EXCL, follow=False)
    with pytest.raises(FileNotFoundError):
        system_calls.open_file(place.with_name("none"), os.O_RDONLY)
    with pytest.raises(OSError, match=r".+") as told:
        system_calls.open_stranger(place.with_name("none"))
    assert told.value.filename == str(place.with_name("none"))


def test_who_reads_keeps_nobody_from_replacing_or_removing(place: Path) -> None:
    """On Windows a reader keeps others from replacing; for as long as a small file is read, that is waited for."""
    new = place.with_name("new")
    new.write_bytes(b"new")
    descriptor = system_calls.open_file(place, os.O_RDONLY)
    done = threading.Timer(0.3, os.close, (descriptor,))
    done.start()
    system_calls.replace(new, place)
    done.join()
    assert place.read_bytes() == b"new"
    descriptor = system_calls.open_file(place, os.O_RDONLY)
    system_calls.unlink(place)
    os.close(descriptor)
    assert not place.exists()


def test_a_read_only_file_is_replaced_and_removed_as_its_folder_allows(place: Path) -> None:
    place.chmod(0o400)
    new = place.with_name("new")
    new.write_bytes(b"new")
    system_calls.replace(new, place)
    assert place.read_bytes() == b"new"
    place.chmod(0o400)
    system_calls.unlink(place)
    assert not place.exists()


def test_a_lock_is_of_one_descriptor_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    one, two = (system_calls.open_file(path, os.O_RDWR | os.O_CREAT) for _ in range(2))
    try:
        system_calls.lock(one, wait=False)
        with pytest.raises(BlockingIOError):
            system_calls.lock(two, wait=False)
        later = threading.Timer(0.3, os.close, (one,))
        later.start()
        system_calls.lock(two, wait=True)
        later.join()
    finally:
        os.close(two)


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline().strip() == b"held"
    mine = system_calls.open_file(path, os.O_RDWR | os.O_CREAT)
    try:
        with pytest.raises(BlockingIOError):
            system_calls.lock(mine, wait=False)
        assert system_calls.process(holder.pid).lives
        began = system_calls.process(holder.pid).start
        assert began
        assert began == system_calls.process(holder.pid).start
        holder.kill()
        holder.wait()
        system_calls.lock(mine, wait=True)
        assert not system_calls.process(holder.pid).lives
    finally:
        os.close(mine)
        holder.stdin.close()
        holder.stdout.close()


def test_this_process_lives_here() -> None:
    mine = system_calls.process(os.getpid())
    assert mine.lives
    assert mine.start
    assert len(system_calls.boot()) == 12
    assert system_calls.namespace().isdigit()
    assert system_calls.account_name()
    assert system_calls.process(2**22 - 3).lives is False


def test_a_pipe_is_waited_for() -> None:
    read, write = os.pipe()
    try:
        began = time.monotonic()
        assert not system_calls.wait_readable(read, 0.1)
        assert time.monotonic() - began >= 0.1
        os.write(write, b"x")
        assert system_calls.wait_readable(read, 5)
        assert os.read(read, 10) == b"x"
    finally:
        os.close(write)
    assert system_calls.wait_readable(read, 5)
    assert os.read(read, 10) == b""
    os.close(read)


def test_a_program_is_never_taken_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows looks there first: a repository could bring a git.exe of its own."""
    for name in ("planted", "planted.exe"):
        shutil.copy(sys.executable, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    if sys.platform == "win32":
        monkeypatch.setenv("PATH", os.pathsep.join([".", "", os.environ["PATH"]]))
    with pytest.raises(FileNotFoundError):
        subprocess.run([system_calls.program("planted"), "-c", ""], check=False)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), os.environ["PATH"]]))
    assert Path(shutil.which(system_calls.program("planted")) or "").parent == tmp_path


def test_a_program_is_named_as_it_is_typed() -> None:
    """PowerShell takes what is quoted for a text, and starts it behind an ampersand alone."""
    plain, blank = Path("bin/reconciler"), Path("my bin/reconciler")
    assert system_calls.typed(plain) == str(plain)
    assert system_calls.typed(blank) == ("& " if sys.platform == "win32" else "") + f"'{blank}'"


def test_what_was_changed_last_and_which_file_it_is(place: Path, opened: int) -> None:
    before = system_calls.changed_ns(place, place.stat())
    assert before == system_calls.changed_ns(opened, os.fstat(opened))
    assert abs(before / 1e9 - time.time()) < 600
    assert system_calls.file_number(place.stat()) == system_calls.file_number(os.fstat(opened)) < 1 << 63
    time.sleep(0.05)
    stamps = place.stat()
    place.write_bytes(b"9876543210")
    os.utime(place, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    assert system_calls.changed_ns(place, place.stat()) > before


ASKED = (
    "import signal, sys, time; from reconciler.cli.interrupts import listening\n"
    "with listening():\n"
    "    try: signal.raise_signal(int(sys.argv[1])); time.sleep(5)\n"
    "    except KeyboardInterrupt: sys.exit(17)"
)


@pytest.mark.parametrize("number", system_calls.TERMINATING, ids=lambda each: signal.Signals(each).name)
def test_every_signal_that_asks_for_the_end_is_heard(number: int) -> None:
    assert subprocess.run([sys.executable, "-c", ASKED, str(int(number))], check=False, timeout=60).returncode == 17


def test_a_child_with_a_limit_works_on() -> None:
    child = subprocess.Popen([sys.executable, "-c", "print(input())"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    limit = system_calls.limit_memory(child, 256)
    assert child.communicate(b"well", timeout=60)[0].strip() == b"well"
    del limit
