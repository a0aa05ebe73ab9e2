"""Disks that take nothing, full or read-only, under the state, the evidence and the store: what only reads goes
on, and what is backed up comes back elsewhere."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from reconciler import files, sqlite
from reconciler.errors import TemporaryError
from tests.shop import Shop

LATER = ("--now", "2026-03-10T15:00Z")


@pytest.fixture
def kept(shop: Shop) -> Shop:
    assert shop("apply", "--yes", "--now", "2026-03-10T12:00Z").code == 0
    for hour in range(2):
        shop.cluster.change(1, hour, seed=hour)
        assert shop("run", "--until-idle", "--now", f"2026-03-10T{12 + hour}:05Z").code == 0
    return shop


def _below(root: Path) -> dict[str, str]:
    """What lies there; what SQLite keeps beside a database comes and goes."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


@contextmanager
def _no_step(root: Path, number: int, since: str = "") -> Iterator[None]:
    """Every durable step below the folder fails, from the one on that has `since` in its path."""
    begun = not since

    def refuse(step: files.Step) -> None:
        nonlocal begun
        begun = begun or since in step.path
        if begun and Path(step.path).is_relative_to(root):
            raise OSError(number, os.strerror(number), step.path)

    with files.watch(refuse):
        yield


@contextmanager
def _no_opening(root: Path) -> Iterator[None]:
    """No database below the folder opens for writing, and nothing else is written there."""
    connect = sqlite.connect

    def full(path: Path, **words: object) -> sqlite.Connection:
        if path.is_relative_to(root):
            raise TemporaryError("RCL5006", f"the disk of {path.parent} is full", "Free some space.")
        return connect(path, **words)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch, _no_step(root, errno.ENOSPC):
        patch.setattr("reconciler.sqlite.connect", full)
        yield


Layer = Callable[[Path], AbstractContextManager[None]]
LAYERS = [
    pytest.param(_no_opening, id="no-opening"),
    pytest.param(lambda root: _no_step(root, errno.ENOSPC), id="full"),
    pytest.param(lambda root: _no_step(root, errno.EROFS), id="read-only"),
]


@pytest.mark.parametrize("layer", LAYERS)
def test_what_only_reads_goes_on(kept: Shop, tmp_path_factory: pytest.TempPathFactory, layer: Layer) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    var = kept.root / "var"
    before = _below(var)
    with layer(kept.root):
        assert kept("plan", *LATER).code == 0
        assert kept("drift", *LATER).code == 0
        assert kept("status", *LATER).code == 0
        assert kept("points").code == 0
        said = kept("state", "backup", str(elsewhere / "b.tar"))
        assert (said.code, "was read back" in said.err) == (0, True)
        said = kept("evidence", "export", str(elsewhere / "ev"))
        assert (said.code, "its anchor is in the export alone" in said.err) == (0, True)
        assert kept("evidence", "export", str(elsewhere / "ev.tar")).code == 0
    assert _below(var) == before
    sums = dict(line.split()[::-1] for line in (elsewhere / "ev" / "SHA256SUMS").read_text().splitlines())
    assert sums
    assert sums == {each: hashlib.sha256((elsewhere / "ev" / each).read_bytes()).hexdigest() for each in sums}
    anchor = str(elsewhere / "ev" / "SHA256SUMS")
    assert kept("evidence", "verify", "--folder", str(elsewhere / "ev"), "--anchor", anchor).code == 0


@pytest.mark.parametrize("layer", LAYERS)
def test_a_drift_that_cannot_be_noted_is_shown(kept: Shop, layer: Layer) -> None:
    kept.policy("5d", "9d")
    with layer(kept.root):
        said = kept("drift", *LATER)
    assert (said.code, "1 pending" in said.out) == (0, True)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("part", ["", "var/hq.db", "var/hq.evidence"])
def test_what_is_backed_up_comes_back_elsewhere(
    kept: Shop, tmp_path_factory: pytest.TempPathFactory, layer: Layer, part: str
) -> None:
    """The whole root, the state alone, or the evidence alone cannot be written."""
    out = tmp_path_factory.mktemp("elsewhere") / "out"
    wanted = kept.cluster.disk(1).read_bytes()
    before = _below(kept.root / "var" / "mabs-01")
    with layer(kept.root / part):
        said = kept("recover", "one", "--to", str(out), "--yes", *LATER)
    assert said.code == 0, said.err
    assert "on record" in said.out + said.err
    assert (out / "disk.raw").read_bytes() == wanted
    if part != "var/hq.evidence":
        assert _below(kept.root / "var" / "mabs-01") == before


def test_a_disk_that_fills_up_in_the_middle(kept: Shop, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("elsewhere") / "middle"
    wanted = kept.cluster.disk(1).read_bytes()
    with _no_step(kept.root / "var" / "hq.db", errno.ENOSPC, since="middle"):
        said = kept("recover", "one", "--to", str(out), "--yes", *LATER)
    assert (said.code, "is not on record" in said.err) == (0, True)
    assert (out / "disk.raw").read_bytes() == wanted


def test_originals_are_never_replaced_off_the_record(kept: Shop) -> None:
    before = kept.cluster.disk(1).read_bytes()
    with _no_step(kept.root / "var", errno.ENOSPC):
        said = kept("recover", "one", "--yes", *LATER)
    assert said.code == 1
    assert kept.cluster.disk(1).read_bytes() == before


def test_a_backup_onto_a_full_disk_says_so(kept: Shop) -> None:
    """The state is sound: what is full is where its copy goes."""
    with _no_step(kept.root / "b", errno.ENOSPC):
        (kept.root / "b").mkdir()
        said = kept("state", "backup", str(kept.root / "b" / "b.tar"))
    assert (said.code, "RCL5002" in said.err, "No space left" in said.err or "full" in said.err) == (1, False, True)


def test_a_store_behind_a_link_that_leads_nowhere(shop: Shop) -> None:
    (shop.root / "var").mkdir()
    (shop.root / "var" / "mabs-01").symlink_to("/nowhere/disk")
    said = shop("apply", "--yes", "--now", "2026-03-10T12:00Z")
    assert said.code == 1
    assert "is a link to /nowhere/disk, which is missing" in said.err
    assert "mount it" in said.err


@pytest.mark.parametrize("words", [("status",), ("plan",), ("run", "--once")])
def test_a_state_that_this_account_may_not_see(
    kept: Shop, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """The folder of the state is another account's, 0700: not even whether there is a state can be seen."""
    state = kept.root / "var" / "hq.db"
    look = os.stat

    def forbidden(path: object, *given: object, **named: object) -> os.stat_result:
        if isinstance(path, Path) and path == state:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return look(path, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", forbidden)
    said = kept(*words, *LATER)
    assert (said.code, "RCL4026" in said.err, str(state) in said.err) == (6, True, True)
    assert "Run it as an account that may" in said.err
