"""Sites that a recovery went wrong on: what came back wrong, with the right value."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.shop import Said, run

__all__ = ["run"]

CASES = Path(__file__).parent.parent / "cases" / "bugs"
Run = Callable[..., Said]
T1, T2, T3 = (("--now", f"2026-03-10T{at}Z") for at in ("12:00", "12:30", "13:00"))


@pytest.fixture
def at(tmp_path: Path, run: Run) -> Callable[..., tuple[Path, Callable[..., Said]]]:
    """Copies a case, gives its disks their bytes, and backs it up."""

    def lay_out(case: str, *disks: str) -> tuple[Path, Callable[..., Said]]:
        site = shutil.copytree(CASES / case / "site", tmp_path / "site")
        home = next((site / "clusters/hci-01/volumes/csv-01").iterdir())
        for disk in disks:
            (home / disk).parent.mkdir(exist_ok=True)
            (home / disk).write_bytes(f"bytes of {disk} ".encode() * 5000)

        def act(*words: str) -> Said:
            return run(*words, "-C", str(site))

        return home, act

    return lay_out


def test_two_disks_of_one_file_name(at: Callable[..., tuple[Path, Callable[..., Said]]]) -> None:
    home, act = at("two-disks-one-file-name", "a/disk.raw", "b/disk.raw")
    wanted = {name: (home / name / "disk.raw").read_bytes() for name in "ab"}
    assert act("run", "--until-idle", *T1).code == 0
    (home / "a/disk.raw").unlink()
    (home / "b/disk.raw").write_bytes(b"NEWER AND GOOD")
    path = f"volumes/csv-01/{home.name}/a/disk.raw"
    assert act("recover", "twin", "--disk", path, "--yes", *T2).code == 0
    assert (home / "a/disk.raw").read_bytes() == wanted["a"]
    assert (home / "b/disk.raw").read_bytes() == b"NEWER AND GOOD"
    for name in "ab":
        (home / name / "disk.raw").unlink()
    assert act("recover", "twin", "--yes", *T3).code == 0
    assert {name: (home / name / "disk.raw").read_bytes() for name in "ab"} == wanted


def test_a_role_whose_name_is_in_upper_case_keeps_no_checkpoints(
    at: Callable[..., tuple[Path, Callable[..., Said]]],
) -> None:
    home, act = at("upper-case-guid-keeps-checkpoints", "d.raw")
    assert act("run", "--until-idle", *T1).code == 0
    stated = json.loads((home / "vm.json").read_text())
    stated["checkpoints"] = [{"name": "cp1", "files": ["d_1.avhdx"]}]
    (home / "vm.json").write_text(json.dumps(stated))
    (home / "d_1.avhdx").write_bytes(b"c")
    said = act("recover", "web-01", "--yes", *T2)
    assert said.code == 0
    assert "d_1.avhdx as it is now" in said.out
    assert sorted(path.name for path in home.iterdir()) == ["d.raw", "vm.json"]


def test_a_machine_without_any_point(at: Callable[..., tuple[Path, Callable[..., Said]]]) -> None:
    _, act = at("recover-without-any-point", "d.raw")
    said = act("recover", "web-01", "--to", "out", "--yes", *T1)
    assert said.code == 6
    assert "error[RCL7004]: 'web-01' has no recovery point at all" in said.err
    assert "Traceback" not in said.err


def test_a_virtual_machine_made_anew_under_its_name_does_not_hide_the_points_of_the_former_one(
    at: Callable[..., tuple[Path, Callable[..., Said]]],
) -> None:
    """The commonest reason to look for points: a name means the new one, and the former one is told with its id."""
    home, act = at("recover-without-any-point", "d.raw")
    assert act("apply", "--yes", *T1).code == 0
    assert act("run", "--until-idle", *T1).code == 0
    cluster, out = home.parents[2], str(home.parents[4] / "out")
    (role,) = (cluster / "roles").iterdir()
    former, made_anew = role.stem, "9e795e3c-83f0-a95a-ee9e-000000000009"
    role.rename(role.with_name(f"{made_anew}.json"))
    there = cluster / "roles" / f"{made_anew}.json"
    there.write_text(there.read_text().replace(former, made_anew))
    home.rename(home.with_name(made_anew))
    stated = home.with_name(made_anew) / "vm.json"
    stated.write_text(stated.read_text().replace(former, made_anew))
    said = act("recover", "web-01", "--to", out, "--yes", *T2)
    assert (said.code, f"hci-01/{former} with 1 recovery point," in said.err) == (6, True), said.err
    said = act("points", "web-01")
    assert "web-01: 1 point" in said.out, said.out
    assert act("run", "--until-idle", *T2).code == 0
    said = act("points", "web-01")
    assert f"web-01 (hci-01/{former}): 1 point" in said.out, said.out
    assert f"web-01 (hci-01/{made_anew}): 1 point" in said.out, said.out
    assert f"web-01 (hci-01/{former})" in act("status", *T2).out
    said = act("recover", "web-01", "--to", out, "--yes", *T2)
    assert (said.code, "RCL7028" in said.err) == (0, True), said.err
    assert act("recover", former, "--to", f"{out}-former", "--yes", *T2).code == 0
