"""Pauses, from the policy to the end of them; and the commands that write them into the policies, and nothing else."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.state import open_memory
from tests.shop import Said, Shop

T1, T2, T3 = (("--now", f"2026-03-10T{at}Z") for at in ("10:00", "14:00", "20:00"))
LAST, AFTER = ("--now", "2026-03-12T23:59Z"), ("--now", "2026-03-13T00:00Z")
GLASS = ("--break-glass", "nobody else is there")
PAUSE = "  paused: {reason: storage move, owner: ops, until: 2026-03-12}\n"
TODAY = datetime.now(UTC).date()


@pytest.fixture
def paused(shop: Shop) -> Shop:
    """A site whose group was paused after its first points; somebody agreed."""
    assert shop("run", "--until-idle", *T1).code == 0
    shop.policy("  shortTerm:", f"{PAUSE}  shortTerm:")
    assert shop("apply", "--yes", *GLASS, *T2).code == 0
    return shop


def points(shop: Shop) -> int:
    return len(json.loads(shop("points", "-o", "json").out)["points"])


def test_to_pause_weakens_and_nobody_pauses_by_itself(shop: Shop) -> None:
    assert shop("run", "--until-idle", *T1).code == 0
    shop.policy("  shortTerm:", f"{PAUSE}  shortTerm:")
    plan = shop("plan", *T2)
    assert "~ paused: none -> until 2026-03-12 reason storage move owner ops  (weakens;" in plan.out
    assert "RCL1112" in plan.out
    assert shop("apply", "--yes", *T2).code == 5
    said = shop("run", "--until-idle", *T2)
    assert (said.code, points(shop)) == (5, 4)  # the jobs of the group that was applied go on
    assert "0 paused" in shop("status", *T2).out


def test_a_paused_group_rests_until_its_last_day_is_over_and_goes_on_by_itself(paused: Shop) -> None:
    for now in (T3, LAST):
        assert paused("run", "--until-idle", *now).code == 0
        assert points(paused) == 2
    said = paused("status", *LAST)
    assert "gold is paused until 2026-03-12 by ops: storage move." in said.out
    assert "2 paused" in said.out
    assert "paused until 2026-03-12 by ops: storage move; RPO missed: the newest point is 2 days old" in said.out
    assert "synchronization 2026-03-13 00:00" in said.out
    told = json.loads(paused("coverage", "-o", "json", *LAST).out)
    assert (told["counts"]["paused"], told["counts"]["late"]) == (2, 0)
    assert [row["late"] for row in told["machines"]] == [True, True]
    assert paused("status", "--check", "--heartbeat", "1d", *LAST).code == 0
    assert paused("coverage", "--min-protected", "100%", *LAST).code == 9
    assert json.loads(paused("status", "-o", "json", *LAST).out)["groups"][0]["paused"] == {
        "until": "2026-03-12",
        "reason": "storage move",
        "owner": "ops",
    }
    assert paused("run", "--until-idle", *AFTER).code == 0
    assert points(paused) == 4
    said = paused("status", *AFTER)
    assert "gold is paused" not in said.out
    assert "RCL1111" in paused("plan", *AFTER).out
    assert "No changes" in paused("plan", *AFTER).out


def test_to_end_a_pause_earlier_needs_nobody(paused: Shop) -> None:
    paused.policy(PAUSE, "")
    assert "strengthens" in paused("plan", *T3).out
    assert paused("run", "--until-idle", *T3).code == 0
    assert points(paused) == 4
    assert "2 protected" in paused("status", *T3).out


def test_to_prolong_a_pause_weakens_again(paused: Shop) -> None:
    paused.policy("until: 2026-03-12", "until: 2026-03-20")
    assert paused("apply", "--yes", *T3).code == 5
    paused.policy("until: 2026-03-20", "until: 2026-06-30")
    said = paused("plan", *T3)
    assert (said.code, "RCL1110" in said.out + said.err) != (0, False)
    assert "longer than 90 days from today" in said.out + said.err


def test_the_evidence_says_that_it_was_paused_and_by_whom(paused: Shop) -> None:
    memory = open_memory(paused.root / "var" / "hq.db")
    try:
        told = [each.body for each in memory.evidence.records()]
    finally:
        memory.close()
    fields = [field for body in told for field in body.get("fields", ())]
    (field,) = (each for each in fields if each["path"] == "paused")
    assert (field["before"], field["direction"]) == (None, "weakens")
    assert field["after"] == {"until": "2026-03-12", "reason": "storage move", "owner": "ops"}


# --- The commands ----------------------------------------------------------------------------------------------------


class Repository:
    """The shop's policies in Git, with a comment or two."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.policy = shop.root / "policies" / "site.yaml"
        shop.policy("metadata: {name: gold}", "metadata: {name: gold}  # what counts")
        self.git("init", "-q")
        self.git("config", "user.email", "ada@corp.example")
        self.commit()

    def git(self, *words: str) -> str:
        command = ("git", "-C", str(self.shop.root), "-c", "user.name=n", "-c", "commit.gpgsign=false", *words)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def commit(self) -> None:
        self.git("add", "policies")
        self.git("commit", "-qm", "policies")

    def changed(self) -> list[str]:
        lines = self.git("diff", "-U0").splitlines()
        return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]

    def pause(self, *words: str, until: str = "3d", reason: str = "storage move") -> Said:
        return self.shop("pause", "gold", "--until", until, "--reason", reason, *words)


@pytest.fixture
def repo(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return Repository(shop)


def in_days(number: int) -> date:
    return TODAY + timedelta(days=number)


def test_pause_writes_one_line_and_nothing_else_is_done(repo: Repository) -> None:
    said = repo.pause()
    line = f"+  paused: {{reason: storage move, owner: ada@corp.example, until: {in_days(3)}}}"
    assert (said.code, repo.changed()) == (0, [line]), said
    assert line in said.out.splitlines()
    assert "It weakens protection: commit it" in said.err
    assert not (repo.shop.root / "var").exists()
    assert repo.shop("validate").code == 0
    again = repo.pause()
    assert (again.code, again.out, "says so already" in again.err) == (0, "", True)
    sooner = repo.pause(until="2d", reason="storage move")
    assert (sooner.code, "It does not weaken protection" in sooner.err) == (0, True)
    assert repo.shop("unpause", "gold").code == 0
    assert repo.changed() == []
    assert repo.shop("unpause", "gold").code == 6


def test_the_display_name_will_do_and_a_slip_is_told(repo: Repository) -> None:
    said = repo.shop("pause", "golt", "--until", "3d", "--reason", "r s t")
    assert (said.code, "Did you mean gold?" in said.err) == (64, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"until": str(in_days(-2))}, "is over"),
        ({"until": str(in_days(95))}, "more than 90 days from today"),
        ({"until": "soon"}, "is no day"),
        ({"until": "90min"}, "is no day"),
        ({"until": "36h"}, "is no day"),
        ({"until": "9999999999d"}, "is no day"),
        ({"reason": "  "}, "--reason is empty"),
        ({"reason": "two\nlines"}, "no plain text of one line"),
    ],
)
def test_each_value_is_checked_before_anything_is_written(repo: Repository, words: dict[str, str], told: str) -> None:
    said = repo.pause(**words)
    assert (said.code, "RCL6070" in said.err, told in said.err) == (64, True, True), said
    assert repo.changed() == []


def test_somebody_answers_for_a_pause(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.gitrepo.identity", lambda folder: "")
    said = repo.pause()
    assert (said.code, "RCL6070" in said.err, "--owner" in said.err) == (64, True, True)
    assert repo.pause("--owner", "ops: storage").code == 0
    assert repo.changed() == [f"+  paused: {{reason: storage move, owner: 'ops: storage', until: {in_days(3)}}}"]


def test_a_pause_that_a_preset_gives_is_not_taken_out_of_it(repo: Repository) -> None:
    text = repo.policy.read_text(encoding="utf-8")
    preset = (
        "---\napiVersion: reconciler/v1\nkind: Preset\nmetadata: {name: rest}\nfor: ProtectionGroup\n"
        f"spec: {{paused: {{reason: storage move, owner: ops, until: {in_days(9)}}}}}\n"
    )
    repo.policy.write_text(text.replace("# what counts\n", "# what counts\nextends: [rest]\n") + preset)
    repo.commit()
    said = repo.shop("unpause", "gold")
    assert (said.code, "RCL6071" in said.err, "policies/site.yaml:" in said.err) == (6, True, True), said
    assert repo.changed() == []


def test_an_alias_is_left_to_a_person(repo: Repository) -> None:
    pause = f"{{reason: storage move, owner: ops, until: {in_days(9)}}}"
    repo.shop.policy("  shortTerm:", f"  paused: &pause {pause}\n  shortTerm:")
    repo.commit()
    assert repo.pause(reason="another").code == 0  # an anchor that nobody uses
    repo.git("checkout", "-q", ".")
    shared = f"{{reason: &r storage move, owner: *r, until: {in_days(9)}}}"
    repo.shop.policy(f"  paused: &pause {pause}", f"  paused: {shared}")
    repo.commit()
    said = repo.pause(reason="another")
    assert (said.code, "RCL6072" in said.err, "policies/site.yaml:" in said.err) == (6, True, True), said
    assert repo.changed() == []


def test_a_file_that_is_a_link_stays_one(repo: Repository) -> None:
    real = repo.shop.root / "policies" / "all.yaml.d"
    real.mkdir()
    repo.policy.rename(real / "real.yaml")
    repo.policy.symlink_to("all.yaml.d/real.yaml")
    assert repo.pause().code == 0
    assert repo.policy.is_symlink()
    assert "paused" in (real / "real.yaml").read_text(encoding="utf-8")


def test_stop_takes_the_document_out_once_all_that_it_needs_is_in_force(repo: Repository) -> None:
    assert (repo.shop("stop", "gold").code, repo.changed()) == (6, [])  # prune: false
    repo.shop.policy("prune: false", "prune: true")
    repo.shop.policy("  site: hq\n", "  site: hq\n  deletionProtection: true  # for now\n")
    repo.commit()
    said = repo.shop("stop", "gold", "--existing-points", "keepForever")
    assert (said.code, "Step 1 of 2" in said.err, "It weakens protection" in said.err) == (0, True, True), said
    assert repo.changed() == [
        "-  deletionProtection: true  # for now",
        "+  deletionProtection: false  # for now",
        "+  existingPoints: keepForever",
    ]
    said = repo.shop("stop", "gold", "--existing-points", "keepForever")
    assert (said.code, "RCL6073" in said.err, "not committed" in said.err) == (6, True, True), said
    repo.commit()
    said = repo.shop("stop", "gold")
    assert (said.code, "if 'existingPoints: keepForever' is in force by then" in said.err) == (0, True), said
    assert {line[0] for line in repo.changed()} == {"-"}
    left = repo.policy.read_text(encoding="utf-8")
    assert (left.count("kind:"), left.endswith("capacity: 1 GB}]}]\n")) == (1, True)
    assert repo.shop("validate").code == 0


def test_without_git_no_document_is_removed(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    shop.policy("prune: false", "prune: true")
    said = shop("stop", "gold")
    assert (said.code, "RCL6073" in said.err) == (6, True), said
    assert "kind: ProtectionGroup" in (shop.root / "policies" / "site.yaml").read_text(encoding="utf-8")
