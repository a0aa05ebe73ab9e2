"""Ways past the guard by the record of it: whoever breaks the glass, or writes the state, is on record."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.reviewed import MALLORY, T1, Reviewed


@pytest.fixture
def glassy(divided: Reviewed) -> Reviewed:
    return glassy_of(divided)


def glassy_of(divided: Reviewed) -> Reviewed:
    """Mallory passed over everything, and is on record with it."""
    assert divided("evidence", "seal", "--copy", str(divided.root / "anchor")).code in (0, 64)
    divided.replace("gold.yaml", "retention: 5d", "retention: 2d")
    divided.commit("shorter", author=MALLORY)
    said = divided.apply("--break-glass", "because I can")
    assert said.code == 0, said.err
    return divided


def _files(site: Reviewed) -> list[Path]:
    folder = site.root / "var" / "hq.evidence"
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix == ".jsonl") or sorted(
        path for path in folder.rglob("*") if path.is_file()
    )


def _segment(site: Reviewed) -> Path:
    return next(path for path in reversed(_files(site)) if b"because I can" in path.read_bytes())


def _word_changed(site: Reviewed) -> None:
    path = _segment(site)
    path.write_bytes(path.read_bytes().replace(b"because I can", b"disk was full"))


def _line_dropped(site: Reviewed) -> None:
    path = _segment(site)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b"because I can" not in line))


def _cut_off(site: Reviewed) -> None:
    path = _segment(site)
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(place for place, line in enumerate(lines) if b"because I can" in line)
    path.write_bytes(b"".join(lines[:at]))


def _folder_gone(site: Reviewed) -> None:
    shutil.rmtree(site.root / "var" / "hq.evidence")


def _two_lines_swapped(site: Reviewed) -> None:
    path = _segment(site)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[-1], lines[-2] = lines[-2], lines[-1]
    path.write_bytes(b"".join(lines))


WAYS: dict[str, Callable[[Reviewed], None]] = {
    each.__name__.strip("_"): each
    for each in (_word_changed, _line_dropped, _cut_off, _folder_gone, _two_lines_swapped)
}


@pytest.mark.parametrize("way", WAYS)
def test_a_record_that_was_touched_is_found(glassy: Reviewed, way: str) -> None:
    assert glassy("evidence", "verify").code == 0
    WAYS[way](glassy)
    said = glassy("evidence", "verify")
    plan = glassy("plan", *T1)
    assert said.code != 0 or "because I can" in plan.out + plan.err, said.out
    assert "because I can" in plan.out + plan.err or plan.code != 0  # the journal has it too


def test_broken_glass_is_said_in_every_plan_and_counts_once(glassy: Reviewed) -> None:
    assert "RCL3047" in glassy("plan", *T1).out
    glassy.replace("gold.yaml", "retention: 2d", "retention: 5d")
    glassy.commit("back")
    assert glassy.apply().code == 0
    glassy.replace("gold.yaml", "retention: 5d", "retention: 2d")
    glassy.commit("again", author=MALLORY)
    assert glassy.apply().code == 5
    assert glassy("resume", *T1).code in (0, 5)
    assert glassy.groups() == {"gold": ("P5D", 2)}
