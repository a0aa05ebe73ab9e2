"""Names that Windows keeps for itself are known on every system."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import system_calls
from reconciler.engines import places
from reconciler.errors import Refused
from reconciler.staging import LocalTarget
from reconciler.system_calls.forbidden_names import allowed, problem


@pytest.mark.parametrize(
    "name",
    [
        *("CON", "con", "Nul.vhdx", "aux.tar.gz", "COM1", "com¹.txt", "LPT0", "CONIN$", "nul .vhdx", "prn."),
        *("disk.vhdx:hidden", "C:disk.vhdx", "a?.vhdx", 'a".vhdx', "a<b", "a|b", "tab\t.vhdx", "a\x00b"),
        *("disk.vhdx.", "disk.vhdx ", "...", " "),
    ],
)
def test_windows_would_write_elsewhere(name: str) -> None:
    assert problem(name)


@pytest.mark.parametrize(
    "name", ["disk.vhdx", "console.vhdx", "com10.vhdx", "COM", "nullable", ".hidden", "a b.vhdx", "Größe.vhdx", "con-1"]
)
def test_other_names_are_left_alone(name: str) -> None:
    assert problem(name) == ""


@given(st.text(st.sampled_from("conNUL1:. \x1fé²$"), min_size=1))
def test_what_is_taken_reads_back_as_it_was_written(name: str) -> None:
    """By what Windows does to a name: it leaves out dots and blanks at the end, and cuts a stream off."""
    if not problem(name):
        assert name.rstrip(". ").partition(":")[0] == name
        assert not any(ord(letter) < 32 for letter in name)


@given(st.text(st.sampled_from("conNUL1:. \x1fé²$/"), min_size=1))
def test_the_nearest_name_is_taken_and_a_good_one_stays(name: str) -> None:
    near = allowed(name.replace("/", ""))
    assert problem(near) == ""
    assert problem(name) or allowed(name) == name


class AsOnWindows:
    """The rules of Windows, on whatever system the tests run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system_calls, "name_problem", problem)
        monkeypatch.setattr(places, "name_problem", problem)
        monkeypatch.setattr(places, "allowed_name", allowed)


@pytest.mark.parametrize(
    "path",
    ["vm/disk.vhdx:hidden", "vm/CON/disk.vhdx", "vm/nul.vhdx", "vm/disk.vhdx.", "vm /disk.vhdx", "vm\\aux", 'vm/a"b'],
)
def test_a_disk_under_such_a_name_is_neither_read_nor_written(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    AsOnWindows(monkeypatch)
    target = LocalTarget(tmp_path)
    for act in (target.resolve, target.exists, target.check, target.remove, target.room, target.beside):
        with pytest.raises(Refused, match="is none for this system") as told:
            act(path)
        assert told.value.diagnostic.code == "RCL0040"
    with pytest.raises(Refused):
        target.stage(path, "0" * 12, 10)
    assert not list(tmp_path.iterdir())
    assert target.resolve("./vm/disk.vhdx") == tmp_path / "vm" / "disk.vhdx"


def test_a_drive_or_a_way_up_still_leads_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    AsOnWindows(monkeypatch)
    for path in ("C:\\vm\\disk.vhdx", "c:disk.vhdx", "\\\\server\\share\\x", "/x", "../x", "a/../../CON"):
        with pytest.raises(Refused) as told:
            LocalTarget(tmp_path).resolve(path)
        assert told.value.diagnostic.code == "RCL2012", path


def test_into_a_folder_such_a_file_gets_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = ["vm/vm.json", "vm/data:1.vhdx", "vm/data_1.vhdx", "vm/con.vhdx", "vm/disk.vhdx.", "vm/good.vhdx", "vm/a?"]
    if sys.platform != "win32":
        assert places.folder_names(paths, "vm/vm.json")["vm/con.vhdx"] == "con.vhdx"
    AsOnWindows(monkeypatch)
    names = places.folder_names(paths, "vm/vm.json")
    assert not any(map(problem, names.values()))
    assert len({name.lower() for name in names.values()}) == len(paths)
    assert {path: name for path, name in names.items() if not problem(path.rpartition("/")[2])} == {
        path: path.rpartition("/")[2] for path in ("vm/vm.json", "vm/data_1.vhdx", "vm/good.vhdx")
    }


def test_without_hard_links_nothing_is_replaced_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*words: object, **options: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", none)
    monkeypatch.setattr(system_calls, "has_no_hard_links", lambda error: error.errno == errno.EOPNOTSUPP)
    target = LocalTarget(tmp_path)
    (tmp_path / "disk").write_bytes(b"old")
    with target.stage("disk", "0" * 12, 3) as staged:
        staged.write(0, b"new")
    with pytest.raises(Refused) as told:
        target.keep("disk", "0" * 12)
    assert told.value.diagnostic.code == "RCL0042"
    assert "--to" in (told.value.diagnostic.remedy or "")
    assert (tmp_path / "disk").read_bytes() == b"old"
