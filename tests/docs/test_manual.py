"""The manual page: every command and option is in it, and roff has nothing against it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.command_table import TABLE
from reconciler.cli.manual import manual


def test_every_command_is_in_the_manual() -> None:
    page = manual()
    for path in TABLE:
        assert f'.SS "reconciler {path}"'.replace("-", "\\-") in page, path
    for option in ("--break-glass", "--log-format", "--keep-original", "--no-color", "--root"):
        assert f"{option} ".replace("-", "\\-") in page.replace("\n", " ").replace("\\fR", " "), option
    assert all(not line.startswith("'") for line in page.splitlines()), "a request that nobody meant"


def test_the_manual_is_written_to_a_file(tmp_path: Path) -> None:
    target = tmp_path / "man" / "reconciler.1"
    subprocess.run((sys.executable, "-m", "reconciler.cli.manual", str(target)), check=True)
    assert target.read_text(encoding="utf-8") == manual()


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not on PATH")
def test_roff_has_nothing_against_the_manual(tmp_path: Path) -> None:
    page = tmp_path / "reconciler.1"
    page.write_text(manual(), encoding="utf-8")
    done = subprocess.run(("groff", "-man", "-ww", "-Tutf8", str(page)), capture_output=True, text=True, check=True)
    assert done.stderr == ""
    shown = re.sub(r"\x1b\[\d+m|.\x08", "", done.stdout)  # bold, in one of the two ways
    assert "reconciler recover [OPTIONS] VM" in shown
