"""Approvals where things are done: the hash that diff gives is the one that plan wants; who judges; ceilings; glass."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.control.policy_folder import read_good
from reconciler.model import UpdateGroup
from reconciler.protocols import Fence
from reconciler.state import open_memory
from reconciler.wiring import RehearsedClock, choose_site, open_site
from tests.fakes import NOON
from tests.shop import Said, Shop

T1 = ("--now", "2026-03-10T12:00Z")
BY = ("--reason", "storage", "--until", "2099-12-31", "--yes")
APPROVERS = "prune: true\n  approvals: {approvers: [security@corp.example, dev@corp.example]}"


class Reviewed:
    """A site in a Git repository whose weakening changes want an approval."""

    FIRST: tuple[tuple[str, ...], ...] = (("apply", "--yes", *T1),)

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.policy = shop.root / "policies" / "site.yaml"
        shop.policy("prune: false", APPROVERS)
        self.git("init", "-q")
        self.git("config", "user.email", "dev@corp.example")
        self.commit("first")
        for words in self.FIRST:
            assert shop(*words).code == 0

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=n", "-c", "commit.gpgsign=false")
        command = ("git", "-C", str(self.shop.root), *who, *words)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, message: str, author: str = "dev@corp.example") -> None:
        self.git("add", "policies")
        self.git("commit", "-qm", message, f"--author=n <{author}>")

    def __call__(self, *words: str) -> Said:
        return self.shop(*words)

    def steps(self, *words: str) -> list[dict[str, Any]]:
        said = self("plan", "--output", "json", *T1, *words)
        assert said.code == 0, said.err
        found: list[dict[str, Any]] = json.loads(said.out)["steps"]
        return found

    def hashes(self) -> set[str]:
        return {field["changeHash"] for step in self.steps() for field in step["change"]["fields"]}

    def edit(self, old: str, new: str) -> None:
        self.shop.policy(old, new)


@pytest.fixture
def reviewed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Reviewed:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return Reviewed(shop)


EDITS: dict[str, tuple[str, str]] = {
    "retention": ("retention: 5d", "retention: 3d"),
    "members": ("[one, two]", "[two]"),
    "synchronization": ("synchronization: 1h", "synchronization: 4h"),
    "existing points": ("  shortTerm:", "  existingPoints: expireNow\n  shortTerm:"),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_diff_wants_approved_is_what_plan_wants_approved(reviewed: Reviewed, name: str) -> None:
    reviewed.edit(*EDITS[name])
    reviewed.commit("shorter")
    told = json.loads(reviewed("diff", "HEAD~1", "HEAD", "--output", "json").out)["comparison"]["changes"]
    wanted = {
        field["changeHash"]
        for change in told
        for field in change["fields"]
        if field["direction"] in ("weakens", "destroys")
    }
    harsh = {
        field["changeHash"]
        for step in reviewed.steps()
        for field in step["change"]["fields"]
        if field["direction"] in ("weakens", "destroys")
    }
    assert harsh
    assert harsh <= wanted
    refused = reviewed("apply", "--yes", *T1)
    assert refused.code == 5
    assert "reconciler approve" in refused.err
    assert reviewed("approve", "HEAD~1", "HEAD", "--by", "security@corp.example", *BY).code == 0
    assert reviewed("apply", "--yes", *T1).code == 5  # nobody has committed it yet
    reviewed.git("add", "policies")
    reviewed.git("commit", "-qm", "approved", "--author=s <security@corp.example>")
    said = reviewed("apply", "--yes", *T1)
    assert said.code == 0, said.err
    assert reviewed.steps() == []


def test_a_removed_group_is_approved_as_diff_says(reviewed: Reviewed) -> None:
    site, _, group = reviewed.policy.read_text().partition("---\n")
    other = group.replace("name: gold", "name: silver").replace("[one, two]", "[two]")
    reviewed.policy.write_text(site + "---\n" + group.replace("[one, two]", "[one]") + "---\n" + other)
    reviewed.commit("two groups")
    assert reviewed("apply", "--yes", "--break-glass", "set-up", *T1).code == 0
    reviewed.policy.write_text(site + "---\n" + other)
    reviewed.commit("one less")
    (step,) = reviewed.steps()
    assert step["change"]["verb"] == "stop"
    assert reviewed("approve", "HEAD~1", "HEAD", "--by", "security@corp.example", *BY).code == 0
    reviewed.commit("approved", author="security@corp.example")
    said = reviewed("run", "--once", *T1)
    assert said.code == 0, said.err + said.out
    assert reviewed.steps() == []


def test_the_loop_does_what_is_approved_and_waits_with_the_rest(reviewed: Reviewed) -> None:
    reviewed.edit("retention: 5d", "retention: 3d")
    reviewed.edit("synchronization: 1h", "synchronization: 4h")
    reviewed.commit("both")
    (step,) = reviewed.steps()
    retention = next(each for each in step["change"]["fields"] if each["path"] == "shortTerm.retention")
    words = ("--by", "security@corp.example", "--change", retention["changeHash"], *BY)
    assert reviewed("approve", "HEAD~1", "HEAD", *words).code == 0
    reviewed.commit("one of them", author="security@corp.example")
    assert reviewed("run", "--once", *T1).code == 5
    (step,) = reviewed.steps()
    assert {each["path"] for each in step["change"]["fields"]} == {"shortTerm.synchronization", "shortTerm.rpo"}


def test_an_auditor_is_told_who_approved_it(reviewed: Reviewed) -> None:
    reviewed.edit("retention: 5d", "retention: 3d")
    reviewed.commit("shorter")
    assert reviewed("approve", "HEAD~1", "HEAD", "--by", "security@corp.example", *BY).code == 0
    reviewed.commit("approved", author="security@corp.example")
    assert reviewed("apply", "--yes", *T1).code == 0
    said = reviewed("evidence", "query", "one", "--at", "2026-03-10")
    assert said.code == 0, said.err
    assert "protected by gold on mabs-01" in said.out
    assert "approved by security@corp.example until 2099-12-31: storage" in said.out
    assert f"commit {reviewed.git('rev-parse', 'HEAD')[:12]}" in said.out
    assert reviewed("evidence", "verify").code == 0


@pytest.mark.usefixtures("written_by_hand")
def test_who_wrote_it_does_not_approve_it(reviewed: Reviewed) -> None:
    reviewed.edit("retention: 5d", "retention: 3d")
    reviewed.commit("shorter")
    assert reviewed("approve", "HEAD~1", "HEAD", "--by", "dev@corp.example", *BY).code == 0
    reviewed.commit("approved", author="dev@corp.example")
    said = reviewed("apply", "--yes", *T1)
    assert said.code == 5
    assert "wrote the change" in reviewed("plan", *T1).out


def test_saved_plans_alone_remember_the_judge(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reviewed, "FIRST", ())
    reviewed = Reviewed(shop)
    path = reviewed.shop.root / "plan.json"
    assert reviewed("plan", "--out", str(path), *T1).code == 0
    assert reviewed("apply", str(path), "--yes", *T1).code == 0
    memory = open_memory(reviewed.shop.root / "var" / "hq.db")
    told = memory.ledger.site_document()
    memory.close()
    assert told is not None
    assert told["commit"] == reviewed.git("rev-parse", "HEAD")
    assert told["document"]["spec"]["approvals"]["approvers"] == ["security@corp.example", "dev@corp.example"]


@pytest.mark.usefixtures("written_by_hand")
def test_whoever_wrote_what_waits_is_not_forgotten_by_a_run_in_between(reviewed: Reviewed) -> None:
    reviewed.edit("retention: 5d", "retention: 3d")
    reviewed.commit("shorter")
    assert reviewed("run", "--once", *T1).code == 5
    assert reviewed("apply", "--yes", *T1).code == 5
    assert reviewed("approve", "HEAD~1", "HEAD", "--by", "dev@corp.example", *BY).code == 0
    reviewed.commit("approved", author="dev@corp.example")
    assert reviewed("run", "--once", *T1).code == 5
    assert reviewed("apply", "--yes", *T1).code == 5


@pytest.mark.usefixtures("written_by_hand")
def test_a_change_does_not_bring_its_own_judge(reviewed: Reviewed) -> None:
    reviewed.edit("retention: 5d", "retention: 3d")
    reviewed.edit("dev@corp.example]", "dev@corp.example, mallory@corp.example]")
    reviewed.commit("shorter, and a friend")
    assert reviewed("approve", "HEAD", "--by", "mallory@corp.example", *BY).code in (0, 64)
    plan = reviewed.shop.root / "plan.json"
    assert reviewed("plan", "--out", str(plan), *T1).code == 0
    assert reviewed("approve", "--plan", str(plan), "--by", "mallory@corp.example", *BY).code == 0
    reviewed.commit("approved", author="mallory@corp.example")
    assert reviewed("apply", "--yes", *T1).code == 5
    told = reviewed("plan", *T1).out
    assert "RCL3045" in told
    assert "mallory@corp.example is not one of the site's approvers" in told
    assert reviewed("run", "--once", *T1).code == 5
    assert "RCL3045" in reviewed("plan", *T1).out  # the loop does not take them over either


def _behind(shop: Shop, days: int) -> None:
    """Somebody keeps points longer on the server, past the policies."""
    policies = read_good(shop.root).policies
    site = open_site(shop.root, choose_site(policies, None), RehearsedClock(NOON))
    (seen,) = site.engines["mabs-01"].observe().groups
    term = seen.group.short_term
    after = _with(seen.group, _with(term, retention=timedelta(days=days)))
    site.engines["mabs-01"].apply(UpdateGroup("mabs-01", seen.ref, seen.group, after), Fence(10**6))
    site.close()


def _with(value: Any, term: Any = None, **changed: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(value, **(changed or {"short_term": term}))


def test_a_correction_that_weakens_is_approved_from_a_saved_plan(reviewed: Reviewed) -> None:
    _behind(reviewed.shop, 9)
    memory = open_memory(reviewed.shop.root / "var" / "hq.db")
    memory.locks.raise_floor(10**6)
    memory.close()
    plan = reviewed.shop.root / "plan.json"
    assert reviewed("plan", "--out", str(plan), *T1).code == 0
    assert reviewed("apply", str(plan), "--yes", *T1).code == 5
    said = reviewed("approve", "--plan", str(plan), "--by", "security@corp.example", *BY)
    assert said.code == 0, said.err
    reviewed.commit("approved", author="security@corp.example")
    (document,) = (reviewed.shop.root / "policies" / "approvals").glob("*.yaml")
    assert "expiredPoints: 0" in document.read_text()
    done = reviewed("apply", str(plan), "--yes", *T1)
    assert done.code == 0, done.err + done.out
    assert reviewed.steps() == []


def test_a_saved_plan_loses_no_more_than_was_approved(reviewed: Reviewed) -> None:
    for hours in range(0, 24 * 4, 8):
        reviewed("run", "--until-idle", "--now", f"{NOON + timedelta(hours=hours):%Y-%m-%dT%H:%MZ}")
    later = ("--now", f"{NOON + timedelta(days=4):%Y-%m-%dT%H:%MZ}")
    reviewed.edit("retention: 5d", "retention: 1d")
    reviewed.commit("shorter")
    plan = reviewed.shop.root / "plan.json"
    assert reviewed("plan", "--out", str(plan), *later).code == 0
    assert reviewed("approve", "--plan", str(plan), "--by", "security@corp.example", *BY).code == 0
    (document,) = (reviewed.shop.root / "policies" / "approvals").glob("*.yaml")
    whole = document.read_text()
    (said,) = re.findall(r"expiredPoints: (\d+)", whole)
    assert int(said) > 1
    document.write_text(whole.replace(f"expiredPoints: {said}", f"expiredPoints: {int(said) - 1}"))
    reviewed.commit("approved, for less", author="security@corp.example")
    refused = reviewed("apply", str(plan), "--yes", *later)
    assert refused.code == 5
    assert f"allows {int(said) - 1} points to expire at once, the plan expires {said}" in refused.out + refused.err
    reviewed.git("reset", "-q", "--soft", "HEAD~1")  # one that was edited is void
    document.write_text(whole)
    reviewed.commit("approved", author="security@corp.example")
    done = reviewed("apply", str(plan), "--yes", *later)
    assert done.code == 0, done.err + done.out


def test_broken_glass_is_said_from_then_on(reviewed: Reviewed) -> None:
    reviewed.edit("retention: 5d", "retention: 3d")
    assert reviewed("apply", "--yes", "--break-glass", " ", *T1).code == 64
    said = reviewed("apply", "--yes", "--break-glass", "the disk is full", *T1)
    assert said.code == 0, said.err
    assert reviewed.steps() == []
    for words in (("plan", *T1), ("apply", "--yes", *T1), ("status", *T1)):
        assert "RCL3047" in reviewed(*words).out
        assert "the disk is full" in reviewed(*words).out
    memory = open_memory(reviewed.shop.root / "var" / "hq.db")
    assert [run.glass for run in memory.journal.broken_glass()] == ["the disk is full"]
    memory.close()


def test_without_approvers_nothing_is_asked_for_but_a_yes(shop: Shop, run: Callable[..., Said], tmp_path: Path) -> None:
    shop("apply", "--yes", *T1)
    shop.policy("retention: 5d", "retention: 3d")
    said = shop("apply", "--yes", *T1)
    assert said.code == 5
    assert "RCL3013" in said.err


def test_a_guardrail_that_wants_approval_holds_its_group_alone(reviewed: Reviewed) -> None:
    rule = (
        "apiVersion: reconciler/v1\nkind: Guardrail\nmetadata: {name: looked-at}\nspec:\n"
        "  match: {kinds: [ProtectionGroup], names: [gold], operations: [update]}\n"
        "  validations: [{expression: 'false', message: somebody looks}]\n  enforce: approve\n"
    )
    (reviewed.policy.parent / "rule.yaml").write_text(rule)
    site, _, group = reviewed.policy.read_text().partition("---\n")
    other = group.replace("name: gold", "name: silver").replace("[one, two]", "[three]")
    reviewed.shop.cluster.add(3, "three")
    reviewed.policy.write_text(site + "---\n" + group.replace("retention: 5d", "retention: 8d") + "---\n" + other)
    reviewed.commit("longer, and one more")
    assert reviewed("apply", "--yes", *T1).code == 5
    assert [step["change"]["group"] for step in reviewed.steps()] == ["gold"]
    (step,) = reviewed.steps()
    (field,) = step["change"]["fields"]
    approval = (
        "apiVersion: reconciler/v1\nkind: Approval\nmetadata: {name: looked}\nspec:\n"
        f"  changes: ['{field['changeHash']}']\n  approvedBy: security@corp.example\n"
        f"  reason: looked at\n  until: 2099-12-31\n  site: hq\n  id: '{'a' * 32}'\n"
    )
    (reviewed.policy.parent / "yes.yaml").write_text(approval)
    reviewed.commit("approved", author="security@corp.example")
    said = reviewed("apply", "--yes", *T1)
    assert said.code == 0, said.err + said.out
    assert reviewed.steps() == []
