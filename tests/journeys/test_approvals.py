"""Approvals as people meet them: what could not count is not written, what is missing is said, used ones are silent."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.shop import Shop
from tests.support.reviewed import ALICE, BOB, BY, MALLORY, T1, Reviewed

APPROVALS = "policies/approvals"


@pytest.fixture
def site(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Reviewed:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return Reviewed(shop)


def shorter(site: Reviewed, days: int = 3, author: str = MALLORY) -> None:
    text = site.policy.read_text()
    start = text.index("retention: ")
    site.policy.write_text(text[:start] + f"retention: {days}d" + text[text.index(",", start) :])
    site.commit(f"{days}d", author=author)


def written(site: Reviewed) -> list[Path]:
    return sorted((site.root / APPROVALS).glob("*.yaml"))


# --- Before it is written ---------------------------------------------------------------------------------------------


def test_ones_own_change_is_not_approved_and_who_may_is_named(site: Reviewed) -> None:
    shorter(site, author=ALICE)
    said = site.approve(by=ALICE)
    assert said.code == 5
    assert "RCL3122" in said.err
    assert f"{ALICE} wrote the change; somebody else has to approve it" in said.err
    assert f"Have it approved by {BOB}." in said.err
    assert not written(site)
    assert site.approve(by=BOB).code == 0  # what the message says is done, and counts
    site.commit("approved", author=BOB)
    assert site("diff", "HEAD~2", "HEAD").code == 0
    assert site.apply().code == 0


@pytest.mark.parametrize("output", ["text", "markdown", "html"])
def test_a_plan_says_the_way_that_is_true_of_the_site(site: Reviewed, output: str) -> None:
    shorter(site)
    told = site("plan", "-o", output, *T1).out
    assert "The site names approvers: one of them runs " in told
    assert "asks in a terminal" not in told


@pytest.mark.parametrize("output", ["text", "markdown", "html"])
def test_a_plan_of_a_site_without_approvers_names_none(shop: Shop, output: str) -> None:
    assert shop("apply", "--yes", *T1).code == 0
    shop.policy("retention: 5d", "retention: 3d")
    told = shop("plan", "-o", output, *T1).out
    assert "asks in a terminal before it weakens anything" in told
    assert "approvers" not in told


def test_what_is_not_committed_yet_is_ones_own_too(site: Reviewed) -> None:
    site.edit("retention: 5d", "retention: 3d")
    said = site.approve("HEAD", by=BOB)  # Git knows him as who is at work here
    assert (said.code, written(site)) == (5, [])
    assert f"{BOB} wrote the change" in said.err


def test_where_the_rules_allow_it_ones_own_change_is_approved(shop: Shop) -> None:
    site = Reviewed(shop, f"prune: true\n  approvals: {{approvers: [{ALICE}], selfApproval: true}}")
    shorter(site, author=ALICE)
    assert site.approve(by=ALICE).code == 0


def test_of_several_changes_those_are_approved_that_others_wrote(site: Reviewed) -> None:
    shorter(site, author=ALICE)
    site.edit("synchronization: 1h", "synchronization: 12h")
    site.commit("seldom", author=MALLORY)
    said = site.approve("HEAD~2", "HEAD", by=ALICE)
    assert said.code == 0
    assert f"Left out: 1 change, since {ALICE} wrote the change" in said.err
    (document,) = written(site)
    hashes = [line for line in document.read_text().splitlines() if "sha256:" in line]
    site.commit("approved", author=ALICE)
    left = site("diff", "HEAD~3", "HEAD")
    assert left.code == 5
    assert all(line.split("sha256:")[1].strip() not in left.err for line in hashes)
    assert "is not in effect" not in left.out


def test_a_day_that_is_over_is_refused(site: Reviewed) -> None:
    shorter(site)
    words = ("approve", "HEAD~1", "HEAD", "--by", ALICE, "--reason", "storage", "--yes")
    said = site(*words, "--until", "2026-01-31")
    assert said.code == 64
    assert "--until: 2026-01-31 is over, today is 20" in said.err
    assert not written(site)


def test_a_saved_plan_is_not_approved_by_who_wrote_it(site: Reviewed) -> None:
    shorter(site, author=ALICE)
    assert site("plan", "--out", str(site.root / "p.json"), *T1).code in (0, 2)
    said = site.approve("--plan", str(site.root / "p.json"), by=ALICE)
    assert (said.code, written(site)) == (5, []), said.err
    assert f"Have it approved by {BOB}." in said.err
    clone = site.root.parent / "clone"
    subprocess.run(("git", "clone", "-q", str(site.root), str(clone)), check=True)
    there = site.shop._run("approve", "--plan", str(site.root / "p.json"), "--by", BOB, *BY, "-C", str(clone))
    assert there.code == 0, there.err  # without the state at hand only an approver's name can be judged


def test_nothing_to_approve_says_why(site: Reviewed) -> None:
    assert "nothing differs between" in site.approve("HEAD", "HEAD").err
    site.edit("retention: 5d", "retention: 9d")
    site.commit("longer", author=MALLORY)
    assert "weakens protection" in site.approve().err
    shorter(site)
    site.approved()
    again = site.approve("HEAD~2", "HEAD")
    assert again.code == 0
    assert "is approved already, by approval-" in again.err
    assert len(written(site)) == 1


# --- Until it counts --------------------------------------------------------------------------------------------------


def test_one_that_is_not_committed_says_the_command_that_makes_it_count(site: Reviewed) -> None:
    shorter(site)
    said = site.approve(by=ALICE)
    assert f"it counts once {ALICE} commits it: git -C " in said.err
    assert f"Git commits as {BOB} here, which would not count." in said.err
    (told,) = (each for each in site.plan()["findings"] if each["code"] == "RCL3035")
    assert "it is not committed" in told["message"]
    command = told["remedy"].removeprefix(f"{ALICE} commits it: `").split("`")[0]
    who = f"git -c user.email={ALICE} -c user.name=n commit -qm approved --author='n <{ALICE}>'"
    subprocess.run(command.replace("git commit", who), shell=True, check=True, cwd=site.root)
    assert site.apply().code == 0


def test_the_printed_command_commits_it(site: Reviewed) -> None:
    shorter(site)
    printed = site.approve(by=ALICE).err.split("commits it: ")[1].split(". Git commits")[0]
    subprocess.run(
        " ".join(printed.split()) + " -qm approved",
        shell=True,
        check=True,
        env={
            "PATH": str(Path(shutil.which("git") or "").parent),
            "GIT_AUTHOR_NAME": "n",
            "GIT_AUTHOR_EMAIL": ALICE,
            "GIT_COMMITTER_NAME": "n",
            "GIT_COMMITTER_EMAIL": ALICE,
        },
    )
    assert site.apply().code == 0


# --- Afterwards -------------------------------------------------------------------------------------------------------


def _said(site: Reviewed) -> str:
    words = (("plan", *T1), ("run", "--once", *T1), ("diff", "HEAD~1", "HEAD"))
    ended = [site(*each) for each in words]
    return "\n".join(each.out + each.err for each in ended)


def test_used_approvals_are_silent_until_their_change_is_made_again(site: Reviewed) -> None:
    shorter(site)
    site.approved()
    assert site.apply().code == 0
    site.edit("retention: 3d", "retention: 5d")
    site.commit("back", author=MALLORY)
    assert "RCL3035" not in _said(site)
    assert site.apply().code == 0
    assert "RCL3035" not in _said(site)
    shorter(site)
    told = " ".join(_said(site).split())
    assert "it was used up on 2026-03-10" in told
    assert "The same change was made again: have that approved again" in told
    assert "it is older than the change" in told  # what a comparison, which knows no state, says


def test_ended_approvals_are_silent_unless_their_change_is_asked_for(site: Reviewed) -> None:
    shorter(site)
    site.approved()
    (document,) = written(site)
    document.write_text(document.read_text().replace("2099-12-31", "2026-01-31"))
    site.commit("ended", author=ALICE)
    assert "it expired on 2026-01-31" in _said(site)
    site.edit("retention: 3d", "retention: 5d")
    site.commit("back", author=MALLORY)
    assert "RCL3035" not in _said(site)
