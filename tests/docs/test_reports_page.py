"""The page about reports: its columns are those of the sheets, its formats those of the commands, its examples work."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.cli.options import PlanFormat, Report, Sheets
from reconciler.demo import site as demo_site
from reconciler.report import answer_csv, chain_csv, coverage_csv, groups_csv, points_csv
from tests.shop import Said
from tests.support import report_samples as samples

PAGE = (Path(__file__).parent.parent.parent / "docs" / "reference" / "reports.md").read_text(encoding="utf-8")

SHEETS = {
    "coverage": coverage_csv(samples.coverage_view()),
    "status": groups_csv(samples.status_view()),
    "points": points_csv(samples.points_view()),
    "evidence query": answer_csv(samples.answer()),
    "evidence verify": chain_csv(samples.chain(), "hq", "", samples.NOW),
}


@pytest.mark.parametrize("command", list(SHEETS))
def test_each_column_of_a_sheet_is_described_in_its_order(command: str) -> None:
    section = PAGE.split(f"### `{command} -o csv`")[1].split("\n#")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE) == SHEETS[command].split("\r\n")[0].split(",")


def test_each_format_of_a_command_is_in_the_table() -> None:
    head, *lines = [line for line in PAGE.splitlines() if line.startswith("|")][:10]
    columns = [each.strip() for each in head.strip("|").split("|")]
    formats: dict[str, type[PlanFormat] | type[Report] | type[Sheets]] = {"plan": PlanFormat, "diff": Report}
    for line in lines[1:]:
        cells = [each.strip() for each in line.strip("|").split("|")]
        command = re.findall(r"`([^`]+)`", cells[0])[0]
        told = {name for name, cell in zip(columns[1:-1], cells[1:-1], strict=True) if cell}
        told |= {each.strip() for each in cells[-1].split(",") if each}
        kind = PlanFormat if command == "apply" else formats.get(command, Sheets)
        assert told == {str(each) for each in kind}, command


def test_the_examples_work_in_their_order(
    tmp_path: Path, run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    demo_site.build(tmp_path / "site")
    monkeypatch.chdir(tmp_path / "site")
    assert run("run", "--until-idle").code == 0
    lines = re.findall(r"^\$ reconciler (.*)$", PAGE, flags=re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        ended = run(*line.split())
        assert ended.code == 0, ended.err
    for name in ("coverage.html", "coverage.csv", "points.html"):
        assert (tmp_path / "site" / name).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "site" / "coverage.csv").read_bytes().startswith(b"as_of,site,")
    assert ended.out.startswith("as_of,site,virtual_machine")
    assert ended.out.count("\r\n") == ended.out.count("\n")
