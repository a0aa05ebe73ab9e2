"""Time, and what people read about protection, through the commands: sites that were told wrong things of once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes import machine_id
from tests.shop import Said, Shop, run, shop

__all__ = ["run", "shop"]

CASES = Path(__file__).parent.parent / "cases"
Run = Callable[..., Said]


def site_of(case: str, tmp_path: Path) -> Path:
    site = shutil.copytree(CASES / "bugs" / case / "site", tmp_path / "site")
    for config in site.rglob("vm.json"):
        (config.parent / "d.raw").write_bytes(b"x" * 5000)
    return site


def rows_of(said: Said, key: str = "machines") -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in json.loads(said.out)[key]}


def points_of(site: Path, run: Run) -> list[str]:
    return [
        row["point"]["time"] for row in json.loads(run("points", "--output", "json", "-C", str(site)).out)["points"]
    ]


# --- A clock that was ahead -------------------------------------------------------------------------------------


def test_a_clock_that_was_ahead_once_stops_no_backup_and_is_told(tmp_path: Path, run: Run) -> None:
    site = site_of("clock-was-ahead-once", tmp_path)
    disk = next(site.rglob("d.raw"))
    assert run("apply", "--yes", "-C", str(site)).code == 0
    assert run("run", "--until-idle", "-C", str(site)).code == 0
    disk.write_bytes(b"changed" * 1000)
    assert run("run", "--until-idle", "-C", str(site), "--now", "2099-01-01T00:30Z").code == 0
    disk.write_bytes(b"changed again" * 1000)
    said = run("run", "--until-idle", "-C", str(site))
    assert "1 job succeeded" in said.out + said.err
    times = points_of(site, run)
    assert len(times) == 3
    assert [each for each in times if each.startswith("2099")] == ["2099-01-01T00:30:00Z"]
    checked = run("status", "--check", "-C", str(site))
    assert checked.code == 9
    for command in (("status",), ("plan",), ("drift",)):
        told = run(*command, "-C", str(site))
        assert "RCL6018" in told.out + told.err, command
        assert (
            "1 recovery point of web-01 on mabs-01 lies in the future, up to 2099-01-01 00:30 UTC"
            in told.out + told.err
        )
    row = rows_of(run("status", "--output", "json", "-C", str(site)))["web-01"]
    assert (row["standing"], row["ahead"]) == ("protected", 1)
    assert not str(row["newest"]).startswith("2099")


def test_recover_takes_the_newest_point_whose_time_can_be_and_says_so(tmp_path: Path, run: Run) -> None:
    site = site_of("clock-was-ahead-once", tmp_path)
    disk = next(site.rglob("d.raw"))
    run("apply", "--yes", "-C", str(site))
    run("run", "--until-idle", "-C", str(site))
    disk.write_bytes(b"future" * 1000)
    run("run", "--until-idle", "-C", str(site), "--now", "2099-01-01T00:30Z")
    disk.write_bytes(b"the present" * 1000)
    run("run", "--until-idle", "-C", str(site))
    disk.write_bytes(b"lost")
    folder = tmp_path / "recovered"
    said = run("recover", "web-01", "--to", str(folder), "--yes", "-C", str(site))
    assert said.code == 0
    assert "RCL6020" in said.err
    assert "1 point lies in the future, up to 2099-01-01 00:30 UTC" in said.err
    (back,) = folder.rglob("d.raw")
    assert back.read_bytes() == b"the present" * 1000
    named = tmp_path / "named"
    assert run("recover", "web-01", "--to", str(named), "--at", "2099-06-01T00:00Z", "--yes", "-C", str(site)).code == 0
    assert next(named.rglob("d.raw")).read_bytes() == b"future" * 1000


def test_who_confirms_the_clock_is_warned_from_then_on_and_alarmed_no_more(tmp_path: Path, run: Run) -> None:
    site = site_of("clock-was-ahead-once", tmp_path)
    run("apply", "--yes", "-C", str(site))
    run("run", "--until-idle", "-C", str(site))
    run("run", "--until-idle", "-C", str(site), "--now", "2099-01-01T00:30Z")
    run("run", "--until-idle", "-C", str(site))
    assert run("status", "--check", "-C", str(site)).code == 9
    run("run", "--until-idle", "--confirm-clock", "-C", str(site))
    checked = run("status", "--check", "-C", str(site))
    assert checked.code == 0
    assert "warning[RCL6018]" in checked.out
    assert len(points_of(site, run)) == 3  # and nothing expired by it


# --- Nights of 25 hours -----------------------------------------------------------------------------------------


def test_a_night_of_25_hours_makes_nobody_late(tmp_path: Path, run: Run) -> None:
    """Every six hours in Berlin: the longest gap is seven hours, so eight count, in October as on any other day."""
    site = site_of("late-in-the-night-of-25-hours", tmp_path)
    start, night = ("--now", "2026-10-18T00:00"), ("--now", "2026-10-25T00:00")
    applied = run("apply", "--yes", "-C", str(site), *start)
    assert "rpo 8h" in applied.out
    run("run", "--until-idle", "-C", str(site), *start)
    check = ("status", "--check", "--heartbeat", "30h", "-C", str(site), "--now")
    assert run(*check, "2026-10-18T06:01").code == 0
    run("run", "--until-idle", "-C", str(site), *night)
    assert run(*check, "2026-10-25T06:01").code == 0
    assert run(*check, "2026-10-25T07:01").code == 9


# --- Machines that cannot be read -------------------------------------------------------------------------------


def test_a_byte_order_mark_is_skipped(tmp_path: Path, run: Run) -> None:
    site = site_of("machine-with-unreadable-json-vanishes", tmp_path)
    assert any(config.read_bytes().startswith(b"\xef\xbb\xbf") for config in site.rglob("vm.json"))
    rows = rows_of(run("coverage", "--all", "--output", "json", "-C", str(site)))
    assert {name: row["group"] for name, row in rows.items()} == {"web-01": "all", "web-02": "all"}


DAMAGE: dict[str, bytes] = {
    "a NUL": b'{"id": "x\x00", "name": "web-02"}',
    "bad JSON": b'{"id": ',
    "another encoding": '{"id": "x"}'.encode("utf-16"),
    "the wrong shape": b"[1, 2]",
    "another virtual machine's id": json.dumps({"id": machine_id(9), "name": "nine"}).encode(),
    "too deep": b"[" * 200_000,
    "empty": b"",
}


@pytest.mark.parametrize("damage", [*DAMAGE, "a folder", "no file", "a role that is no role"])
def test_a_machine_that_cannot_be_read_is_unseen_everywhere_and_absent_nowhere(shop: Shop, damage: str) -> None:
    """Before it was ever protected, and while it is: it is named, counted, and nothing is concluded from it."""
    identity = machine_id(2)
    role = shop.cluster.folder / "roles" / f"{identity}.json"
    config = shop.cluster.folder / "volumes/csv-01" / identity / "vm.json"
    whole = config.read_bytes(), role.read_bytes()

    def break_it() -> None:
        if damage == "a role that is no role":
            role.write_bytes(b"{}")
        elif damage in DAMAGE:
            config.write_bytes(DAMAGE[damage])
        else:
            config.unlink()
            if damage == "a folder":
                config.mkdir()

    def mend_it() -> None:
        if config.is_dir():
            config.rmdir()
        config.write_bytes(whole[0])
        role.write_bytes(whole[1])

    break_it()
    told = shop("plan", *T1)
    assert "RCL2026" in told.out + told.err, told
    assert "RCL2026" in shop("preflight").out
    covered = shop("coverage", "--all", "--output", "json", "--max-unprotected", "0", *T1)
    assert covered.code == 9
    (row,) = [each for each in json.loads(covered.out)["machines"] if each["source"]["machine"] == identity]
    assert row["standing"] == "unseen"
    assert json.loads(covered.out)["counts"]["unseen"] == 1
    assert shop("apply", "--yes", *T1).code == 0
    assert shop("run", "--until-idle", *T1).code == 0
    assert shop("status", "--check", *T1).code == 9
    mend_it()
    shop("apply", "--yes", *T1)
    shop("run", "--until-idle", *T1)
    assert shop("status", "--check", *T1).code == 0
    break_it()
    plan = shop("plan", *T1)
    assert "No changes" in plan.out, plan
    assert "RCL3002" not in plan.out + plan.err
    row = rows_of(shop("status", "--output", "json", *T1))["two"]
    assert (row["standing"], row["group"]) == ("unseen", "gold")
    assert str(row["why"]).startswith("cannot be read: ")


T1 = ("--now", "2026-03-10T12:00Z")


def test_an_exclusion_that_ended_says_so(tmp_path: Path, run: Run) -> None:
    site = site_of("late-in-the-night-of-25-hours", tmp_path)
    text = (site / "policies/all.yaml").read_text(encoding="utf-8")
    (site / "policies/all.yaml").write_text(text.replace('names: ["*"]', "names: [other]"), encoding="utf-8")
    (site / "policies/lab.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Exclusion\nmetadata: {name: lab}\nspec: {site: hq, virtualMachines: "
        "{cluster: hci-01, names: [web-01]}, reason: rebuilt nightly, owner: team, until: 2026-01-31}\n",
        encoding="utf-8",
    )
    row = rows_of(run("coverage", "--all", "--output", "json", "-C", str(site)))["web-01"]
    assert (row["standing"], row["why"]) == ("unprotected", "its exclusion lab ended on 2026-01-31")
