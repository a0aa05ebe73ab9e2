"""`state restore` of what is no backup, and was made to look like one: refused at once, nothing written."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.control.state.backup_file import read_backup
from reconciler.errors import ReconcilerError
from tests.shop import Shop

T1 = ("--now", "2026-03-10T12:00Z")


def entry(name: str, data: bytes = b"", **fields: Any) -> bytes:
    """A header and its content; `fields` are those of a TarInfo, and win."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT) + data + b"\0" * (-len(data) % 512)


def manifest(parts: list[dict[str, Any]], **fields: Any) -> bytes:
    """Sealed, as anybody can."""
    said: dict[str, Any] = {"formatVersion": "1.0", "kind": "StateBackup", "site": "hq", "host": "h", "version": "1"}
    said |= {"takenAt": "2026-03-10T12:00:00Z", "state": None, "parts": parts, "seal": ""} | fields
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return json.dumps(said | {"seal": hashlib.sha256(text).hexdigest()}).encode()


def part(name: str, data: bytes = b"", **fields: Any) -> dict[str, Any]:
    return {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} | fields


def backup(*parts: dict[str, Any], members: bytes = b"", end: bytes = b"\0" * 1024) -> bytes:
    return entry("manifest.json", manifest(list(parts))) + members + end


def _sized(said: int) -> bytes:
    """A member of a size that is not there."""
    return backup(part("state.db", bytes=said), members=entry("state.db", size=said))


def _linked(kind: bytes) -> bytes:
    return backup(part("state.db"), members=entry("state.db", type=kind, linkname="/etc/passwd"))


def _named(name: str) -> bytes:
    members = entry("state.db") + entry(name)
    return backup(part("state.db"), part(name), members=members)


def _pax(records: bytes, size: int | None = None) -> bytes:
    """A PAX header before the state."""
    fields = {} if size is None else {"size": size}
    return backup(part("state.db"), members=entry("pax", records, type=tarfile.XHDTYPE, **fields) + entry("state.db"))


def _sparse() -> bytes:
    """An old GNU sparse file, of 2**60 bytes without any."""
    header = bytearray(entry("state.db", type=tarfile.GNUTYPE_SPARSE))
    header[483:495] = b"\x80" + (2**60).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return backup(part("state.db", bytes=2**60), members=bytes(header))


def _many(count: int) -> bytes:
    parts = [part(f"evidence/{number}.jsonl") for number in range(count)]
    members = b"".join(entry(each["name"]) for each in parts)
    return backup(part("state.db"), *parts, members=entry("state.db") + members)


def _chain(kind: bytes) -> bytes:
    """Headers that each say something of the next."""
    return backup(part("state.db"), members=entry("x", b"13 path=abcd\n", type=kind) * 5000 + entry("state.db"))


def _raw_size(field: bytes) -> bytes:
    header = bytearray(entry("state.db"))
    header[124:136] = field
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return backup(part("state.db"), members=bytes(header))


WAYS: dict[str, Callable[[], bytes]] = {
    "larger than it is": lambda: _sized(10**6),
    "8 GiB": lambda: _sized(8 * 2**30 - 1),
    "2^62 bytes": lambda: _sized(2**62),
    "2^87 bytes": lambda: _sized(2**87),
    "fewer than no bytes": lambda: _raw_size(b"\xff" * 11 + b"\0"),
    "no number of bytes": lambda: _raw_size(b"-0000000001\0"),
    "a symbolic link": lambda: _linked(tarfile.SYMTYPE),
    "a hard link": lambda: _linked(tarfile.LNKTYPE),
    "a character device": lambda: _linked(tarfile.CHRTYPE),
    "a block device": lambda: _linked(tarfile.BLKTYPE),
    "a pipe": lambda: _linked(tarfile.FIFOTYPE),
    "a folder": lambda: _linked(tarfile.DIRTYPE),
    "of another volume": lambda: _linked(b"M"),
    "an absolute name": lambda: _named("/tmp/evil"),
    "a name above": lambda: _named("evidence/../../evil"),
    "a hidden name": lambda: _named("evidence/.profile"),
    "a name with a newline": lambda: _named("evidence/a\nb"),
    "a name that is too long": lambda: _named("evidence/" + "a" * 92),
    "a folder of the state": lambda: _named("state.db/a"),
    "a file that is a folder too": lambda: backup(
        part("state.db"), part("evidence/a"), part("evidence/a/b"), members=entry("state.db")
    ),
    "a part twice": lambda: backup(part("state.db"), part("state.db"), members=entry("state.db") * 2),
    "a member twice": lambda: backup(part("state.db"), members=entry("state.db") * 2),
    "more than it says": lambda: backup(part("state.db"), members=entry("state.db") + entry("evil")),
    "no end": lambda: backup(part("state.db"), members=entry("state.db"), end=b""),
    "something after the end": lambda: backup(
        part("state.db"), members=entry("state.db"), end=b"\0" * 1024 + entry("evil")
    ),
    "10,001 parts": lambda: _many(10_001),
    "a PAX header": lambda: _pax(b"18 path=evidence/x\n"),
    "a PAX header of 2^62 bytes": lambda: _pax(b"", 2**62),
    "a PAX header of 2^70 bytes": lambda: _pax(b"", 2**70),
    "a chain of PAX headers": lambda: _chain(tarfile.XHDTYPE),
    "a chain of long names": lambda: _chain(tarfile.GNUTYPE_LONGNAME),
    "a long name of 2^62 bytes": lambda: backup(
        part("state.db"), members=entry("x", type=tarfile.GNUTYPE_LONGNAME, size=2**62)
    ),
    "a sparse file": _sparse,
    "gzip": lambda: gzip.compress(backup(part("state.db"), members=entry("state.db"))),
    "a gzip bomb": lambda: gzip.compress(b"\0" * 50_000_000),
    "a manifest of 2^40 bytes": lambda: entry("manifest.json", size=2**40),
    "a manifest of 8 MiB": lambda: entry("manifest.json", b" " * (8 * 2**20)),
    "a manifest that is a link": lambda: entry("manifest.json", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a deep manifest": lambda: entry("manifest.json", b'{"parts":' + b"[" * 1_000_000),
    "a manifest of texts": lambda: entry("manifest.json", b'{"parts":"none","kind":"StateBackup"}'),
    "a part of no size": lambda: backup(part("state.db", bytes=-1), members=entry("state.db")),
    "half a header": lambda: backup(part("state.db"), members=entry("state.db")[:300], end=b""),
    "empty blocks": lambda: b"\0" * 10_240,
    "not as it was summed": lambda: backup(part("state.db", b"abc"), members=entry("state.db", b"abd")),
}


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("harmed") / "state.tar"


@pytest.mark.parametrize("way", WAYS)
def test_what_only_looks_like_a_backup_is_refused(harmed: Path, way: str, tmp_path: Path) -> None:
    harmed.write_bytes(WAYS[way]())
    began = time.process_time()
    with pytest.raises(ReconcilerError) as told:
        read_backup(harmed)
    assert time.process_time() - began < 2
    assert told.value.diagnostic.code in ("RCL5008", "RCL5009"), told.value
    with pytest.raises(ReconcilerError):
        read_backup(harmed, tmp_path / "out")
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert all(path.name == "state.db" or path.parent.name == "evidence" for path in written)
    assert sum(path.stat().st_size for path in written) <= harmed.stat().st_size


@pytest.mark.parametrize("way", ["2^87 bytes", "a chain of PAX headers", "a name above", "a sparse file"])
def test_nothing_is_written_by_the_command(shop: Shop, way: str) -> None:
    assert shop("apply", "--yes", *T1).code == 0
    path = shop.root.parent / "state.tar"
    path.write_bytes(WAYS[way]())

    def all_of_it() -> dict[Path, tuple[int, int]]:
        return {each: (each.stat().st_size, each.stat().st_mtime_ns) for each in shop.root.glob("[!.]*/**/*")}

    before = all_of_it()
    said = shop("state", "restore", str(path), "--yes")
    assert said.code in (1, 6), said.err
    assert "RCL500" in said.err
    assert all_of_it() == before


def test_a_backup_larger_than_the_room_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.tar"
    path.write_bytes(backup(part("state.db", b"abc"), members=entry("state.db", b"abc")))
    (tmp_path / "out").mkdir()
    monkeypatch.setattr("shutil.disk_usage", lambda folder: _Usage)
    with pytest.raises(ReconcilerError, match="3 B needed, 2 B free") as told:
        read_backup(path, tmp_path / "out")
    assert told.value.diagnostic.code == "RCL5013"
    assert not list((tmp_path / "out").iterdir())


class _Usage:
    free = 2


def test_a_plain_backup_that_others_packed_is_read(tmp_path: Path) -> None:
    """Every format that Python's tarfile writes, since version 0.1 wrote another one."""
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / f"{form}.tar"
        with tarfile.open(path, "w", format=form) as tar:
            for name, data in (
                ("manifest.json", manifest([part("state.db", b"abc"), part("evidence/SHA256SUMS", b"x" * 512)])),
                ("state.db", b"abc"),
                ("evidence/SHA256SUMS", b"x" * 512),
            ):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        assert len(read_backup(path, tmp_path / f"out-{form}").parts) == 2
        assert (tmp_path / f"out-{form}" / "state.db").read_bytes() == b"abc"
