"""diff in HTML and JSON names who wrote each change, in which commit, and when."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitrepo import commits
from tests.shop import Shop

ADA, BEN, CEM = "ada@corp.example", "ben@corp.example", "cem@corp.example"


class History:
    """The policies of a shop in a Git repository."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.email", ADA)
        self.git("config", "user.name", "n")
        self.commit("first", ADA, "2026-03-01T08:00:00Z")
        self.git("tag", "base")

    def git(self, *words: str, date: str = "2026-03-01T08:00:00Z") -> str:
        when = os.environ | {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": "2026-03-09T00:00:00Z"}
        command = ("git", "-C", str(self.shop.root), "-c", "commit.gpgsign=false", *words)
        return subprocess.run(command, check=True, capture_output=True, text=True, env=when).stdout.strip()

    def commit(self, message: str, author: str, date: str) -> str:
        self.git("add", "-A", "policies")
        self.git("-c", f"user.email={author}", "commit", "-qm", message, date=date)
        return self.git("rev-parse", "HEAD")

    def origins(self, older: str = "base", newer: str = ".") -> dict[str, list[dict[str, Any]]]:
        """Field -> the commits that are named."""
        told = json.loads(self.shop("diff", older, *([newer] if newer != "." else []), "-o", "json").out)["comparison"]
        fields = {each["changeHash"]: each["field"] for change in told["changes"] for each in change["fields"]}
        return {fields[change]: named for change, named in told.get("origins", {}).items()}


@pytest.fixture
def history(shop: Shop) -> History:
    return History(shop)


def test_each_field_has_the_commit_that_changed_it(history: History) -> None:
    history.shop.policy("retention: 5d", "retention: 4d")
    shorter = history.commit("shorter", BEN, "2026-03-02T10:30:00+02:00")
    history.shop.policy("names: [one, two]", "names: [one]")
    fewer = history.commit("fewer", CEM, "2026-03-03T08:00:00Z")
    history.shop.policy("retention: 4d", "retention: 3d")
    again = history.commit("shorter still", CEM, "2026-03-04T08:00:00Z")
    (retention,) = [named for field, named in history.origins(newer="HEAD").items() if field.endswith("retention")]
    assert retention == [
        {"commit": again, "author": CEM, "at": "2026-03-04T08:00:00Z"},
        {"commit": shorter, "author": BEN, "at": "2026-03-02T08:30:00Z"},
    ]
    (members,) = [named for field, named in history.origins(newer="HEAD").items() if "members" in field]
    assert [each["commit"] for each in members] == [fewer]
    page = history.shop("diff", "base", "HEAD", "-o", "html").out
    assert f'{BEN}, <span class="hash">{shorter[:12]}</span>, 2026-03-02 08:30</span>' in page


def test_what_is_not_committed_is_whoever_is_at_work(history: History) -> None:
    history.shop.policy("retention: 5d", "retention: 4d")
    (named,) = history.origins().values()
    assert named == [{"commit": "", "author": ADA}]
    assert f"{ADA}, not committed</span>" in history.shop("diff", "base", "-o", "html").out


def test_where_a_commit_cannot_be_told_those_that_touched_the_file_are_named(history: History) -> None:
    """Both sides of a merge changed the same group, so that the merge chose."""
    history.git("checkout", "-qb", "side")
    history.shop.policy("retention: 5d", "retention: 4d")
    side = history.commit("side", BEN, "2026-03-02T08:00:00Z")
    history.git("checkout", "-q", "main")
    history.shop.policy("names: [one, two]", "names: [one]")
    main = history.commit("main", CEM, "2026-03-03T08:00:00Z")
    history.git("-c", "user.email=" + ADA, "merge", "-q", "-s", "ours", "-m", "merged", "side")
    history.shop.policy("names: [one]", "names: [two]")
    history.git("-c", "user.email=" + ADA, "commit", "-qa", "--amend", "-m", "merged otherwise")
    found = history.origins(newer="HEAD")
    assert found
    for named in found.values():
        assert {each["commit"] for each in named} >= {main}
        assert {each["commit"] for each in named} <= {main, side, history.git("rev-parse", "HEAD")}
        assert not any(each["exact"] for each in named)


def test_folders_have_no_history(history: History, tmp_path: Path) -> None:
    (tmp_path / "older" / "policies").mkdir(parents=True)
    text = (history.shop.root / "policies" / "site.yaml").read_text(encoding="utf-8")
    (tmp_path / "older" / "policies" / "site.yaml").write_text(text.replace("5d", "6d"), encoding="utf-8")
    assert history.origins(str(tmp_path / "older")) == {}
    page = history.shop("diff", str(tmp_path / "older"), "-o", "html").out
    assert "Below each field" not in page
    assert "retention" in page


def test_text_and_markdown_take_no_look_at_the_commits(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(*_: object) -> None:
        raise AssertionError("looked")

    monkeypatch.setattr("reconciler.cli.actions.review.with_origins", look)
    history.shop.policy("retention: 5d", "retention: 6d")
    assert history.shop("diff", "base").code == 0
    assert history.shop("diff", "base", "-o", "markdown").code == 0


def test_a_report_of_the_comparison_is_written_beside_the_text(history: History, tmp_path: Path) -> None:
    history.shop.policy("retention: 5d", "retention: 4d")
    page = tmp_path / "diff.html"
    said = history.shop("diff", "base", "--report", f"html={page}")
    assert said.code == 5
    assert "not committed" in page.read_text(encoding="utf-8")
    assert not said.out.startswith("<")
    wrong = history.shop("diff", "base", "--report", f"csv={page}")
    assert wrong.code == 64
    assert "formats: text, json, markdown, html" in wrong.err


@pytest.mark.parametrize("date", ["99999999999999999999", "-1", "x", ""])
def test_a_commit_may_say_any_date(history: History, date: str) -> None:
    tree = history.git("rev-parse", "HEAD^{tree}")
    parent = history.git("rev-parse", "HEAD")
    text = f"tree {tree}\nparent {parent}\nauthor n <{BEN}> {date} +0000\ncommitter n <{BEN}> 1772000000 +0000\n\nm\n"
    command = ("git", "-C", str(history.shop.root), "hash-object", "-t", "commit", "-w", "--stdin", "--literally")
    made = subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout.strip()
    (commit,) = commits(history.shop.root, parent, made)
    assert commit.author == BEN
    assert commit.at is None or commit.at.year == 1969
