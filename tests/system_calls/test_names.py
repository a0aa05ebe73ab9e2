"""Names that Windows keeps for itself are known on every system."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.system_calls.forbidden_names import problem


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
