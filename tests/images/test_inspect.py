"""Images against qemu-img: what is whole is read as it says, what is not is never taken for good."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.images import data_extents, inspect
from reconciler.images.crc32c import crc32c
from reconciler.model import DiskKind
from tests.oracles import need

MIB = 1024 * 1024
FORMATS = [
    ("vhdx", "dynamic", "disk.vhdx", DiskKind.VHDX),
    ("vhdx", "fixed", "disk.vhdx", DiskKind.VHDX),
    ("vpc", "dynamic", "disk.vhd", DiskKind.VHD),
    ("vpc", "fixed", "disk.vhd", DiskKind.VHD),
    ("raw", "", "disk.raw", DiskKind.RAW),
]


def make(folder: Path, form: str, subformat: str, name: str) -> Path:
    """A disk of 24 MiB with data at both ends, written by qemu-img."""
    program = need("qemu-img")
    raw = folder / "source.img"
    with raw.open("wb") as file:
        file.write(os.urandom(MIB))
        file.truncate(24 * MIB)
        file.seek(20 * MIB)
        file.write(os.urandom(MIB))
    options = ["-o", f"subformat={subformat}"] if subformat else []
    subprocess.run(
        [program, "convert", "-q", "-f", "raw", "-O", form, *options, raw, folder / name], check=True, timeout=60
    )
    return folder / name


@pytest.mark.parametrize(("form", "subformat", "name", "kind"), FORMATS)
def test_what_qemu_img_made_is_read_as_qemu_img_reads_it(
    tmp_path: Path, form: str, subformat: str, name: str, kind: DiskKind
) -> None:
    disk = make(tmp_path, form, subformat, name)
    said = subprocess.run(
        [need("qemu-img"), "info", "--output=json", "-f", form, disk], capture_output=True, check=True, timeout=60
    )
    facts = inspect(disk)
    assert facts.kind is kind
    assert facts.unreadable is None
    assert facts.virtual_bytes == json.loads(said.stdout)["virtual-size"]
    assert facts.file_bytes == disk.stat().st_size
    assert facts.dynamic == (subformat == "dynamic")
    assert not facts.log_pending
    assert not facts.differencing


@pytest.mark.parametrize(("form", "subformat", "name", "kind"), FORMATS[:4])
def test_a_cut_disk_is_never_taken_for_a_whole_one(
    tmp_path: Path, form: str, subformat: str, name: str, kind: DiskKind
) -> None:
    whole = make(tmp_path, form, subformat, name).read_bytes()
    for length in (
        0,
        1,
        511,
        512,
        65536,
        70000,
        200_000,
        MIB,
        2 * MIB,
        len(whole) // 2,
        len(whole) - MIB,
        len(whole) - 1,
    ):
        (tmp_path / name).write_bytes(whole[:length])
        facts = inspect(tmp_path / name)
        assert facts.unreadable is not None, length
        assert facts.kind is kind


def _patched(disk: Path, offset: int, data: bytes) -> None:
    """Changes both headers of a VHDX, with right checksums."""
    content = bytearray(disk.read_bytes())
    for header in (64 * 1024, 128 * 1024):
        content[header + offset : header + offset + len(data)] = data
        content[header + 4 : header + 8] = bytes(4)
        content[header + 4 : header + 8] = crc32c(bytes(content[header : header + 4096])).to_bytes(4, "little")
    disk.write_bytes(content)


def test_a_log_that_was_not_replayed_is_seen(tmp_path: Path) -> None:
    disk = make(tmp_path, "vhdx", "dynamic", "disk.vhdx")
    _patched(disk, 48, b"\x01" * 16)
    assert inspect(disk).log_pending


def test_headers_with_wrong_checksums_are_not_believed(tmp_path: Path) -> None:
    disk = make(tmp_path, "vhdx", "dynamic", "disk.vhdx")
    content = bytearray(disk.read_bytes())
    content[64 * 1024 + 100] ^= 1
    disk.write_bytes(content)
    assert inspect(disk).unreadable is None  # the other header is whole
    content[128 * 1024 + 100] ^= 1
    disk.write_bytes(content)
    assert "header" in (inspect(disk).unreadable or "")


def test_crc32c_has_the_published_check_value() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_names_say_what_a_file_claims_to_be(tmp_path: Path) -> None:
    for name in ("x.vhdx", "x.avhdx", "x.vhd"):
        (tmp_path / name).write_bytes(b"\0" * 4096)
        assert inspect(tmp_path / name).unreadable is not None


@given(
    st.binary(max_size=4096), st.sampled_from(["a.vhdx", "a.vhd", "a.raw", "a"]), st.sampled_from([b"", b"vhdxfile"])
)
def test_no_content_makes_it_raise(tmp_path: Path, data: bytes, name: str, head: bytes) -> None:
    (tmp_path / name).write_bytes(head + data)
    inspect(tmp_path / name)


@given(st.lists(st.tuples(st.integers(0, 63), st.integers(1, 4)), max_size=8), st.integers(0, 9000))
def test_extents_cover_everything_that_is_not_zero(tmp_path: Path, writes: list[tuple[int, int]], tail: int) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        for place, length in writes:
            file.seek(place * 65536)
            file.write(b"x" * (length * 1000))
        file.truncate(max(64 * 65536 + tail, file.tell()))
    content = path.read_bytes()
    with path.open("rb") as file:
        extents = list(data_extents(file.fileno(), len(content)))
    covered = bytearray(len(content))
    end = 0
    for offset, length in extents:
        assert offset >= end
        end = offset + length
        covered[offset:end] = content[offset:end]
    assert end <= len(content)
    assert bytes(covered) == content
