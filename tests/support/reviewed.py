"""A small site in a Git repository whose weakening changes want an approval, and means to attack it with."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reconciler.control.policy_folder import read_good
from reconciler.model.documents import PolicySet
from reconciler.wiring import RehearsedClock, choose_site, open_site
from tests.fakes import NOON
from tests.shop import Said, Shop

T1 = ("--now", "2026-03-10T12:00Z")
BY = ("--reason", "storage", "--until", "2099-12-31", "--yes")
ALICE, BOB, MALLORY = "security@corp.example", "dev@corp.example", "mallory@corp.example"
APPROVERS = f"prune: true\n  approvals: {{approvers: [{ALICE}, {BOB}]}}"


class Reviewed:
    """The site, applied once; `rules` stand where the site's approvers do."""

    def __init__(self, shop: Shop, rules: str = APPROVERS, files: dict[str, str] | None = None) -> None:
        self.shop = shop
        self.root = shop.root
        self.policy = shop.root / "policies" / "site.yaml"
        shop.policy("prune: false", rules)
        for name, text in (files or {}).items():
            self.write(name, text)
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.email", BOB)
        self.commit("first")
        self.document = choose_site(read_good(self.root).policies, None)
        first = shop("apply", "--yes", *T1)
        assert first.code == 0, first.err + first.out

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=n", "-c", "commit.gpgsign=false")
        command = ("git", "-C", str(self.root), *who, *words)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, message: str, author: str = BOB, committer: str = "") -> None:
        self.git("add", "-A", "policies")
        who = ("-c", f"user.email={committer or author}")
        self.git(*who, "commit", "-qm", message, f"--author=n <{author}>")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def replace(self, name: str, old: str, new: str) -> None:
        """Edits a policy file."""
        path = self.root / "policies" / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def __call__(self, *words: str) -> Said:
        return self.shop(*words)

    def edit(self, old: str, new: str) -> None:
        self.shop.policy(old, new)

    def approve(self, *words: str, by: str = ALICE) -> Said:
        return self("approve", *(words or ("HEAD~1", "HEAD")), "--by", by, *BY)

    def approved(self, *words: str, by: str = ALICE) -> None:
        """An approval of the last commit, committed by its approver."""
        said = self.approve(*words, by=by)
        assert said.code == 0, said.err
        self.commit("approved", author=by)

    def plan(self, *words: str) -> dict[str, Any]:
        said = self("plan", "--output", "json", *T1, *words)
        assert said.code in (0, 2), said.err
        found: dict[str, Any] = json.loads(said.out)
        return found

    def steps(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.plan()["steps"]
        return found

    def groups(self) -> dict[str, tuple[str, int]]:
        """What the server has: name -> retention and how many members, past every command."""
        site = open_site(self.root, self.document, RehearsedClock(NOON), policies=PolicySet((), (), ()))
        try:
            groups = site.engines["mabs-01"].observe().groups
        finally:
            site.close()
        days = {each.group.name: f"P{each.group.short_term.retention.days}D" for each in groups}
        return {each.group.name: (days[each.group.name], len(each.group.members)) for each in groups}

    def apply(self, *words: str) -> Said:
        return self("apply", "--yes", *T1, *words)

    def tick(self, *words: str) -> Said:
        return self("run", "--once", *(words or T1))


def sealed(plan: dict[str, Any]) -> str:
    """The text of a plan file with a seal that fits, as anybody can make it."""
    plan = plan | {"seal": ""}
    text = json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return json.dumps(plan | {"seal": hashlib.sha256(text).hexdigest()})


def forge(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of the plan file that `change` was done to, sealed anew."""
    plan = json.loads(path.read_text())
    change(plan)
    forged = path.with_name("forged.json")
    forged.write_text(sealed(plan))
    return forged


#: How a comparison, or anything that is done, ends where the guard stops it: denied, not approved, not right.
STOPPED = (4, 5, 65)


def stopped(site: Reviewed, base: str = "base") -> str:
    """What was tried was seen in a comparison and by the loop, twice, and by apply, and nothing was lost by it; returns
    what was said."""
    before = site.groups()
    compared = site("diff", base, "HEAD")
    assert compared.code in STOPPED, compared.out
    said = [compared.out + compared.err]
    times = [("--now", f"2026-03-10T{hour}:00Z") for hour in (13, 14, 15)]
    for words in (("run", "--once", *times[0]), ("run", "--once", *times[1]), ("apply", "--yes", *times[2])):
        ended = site(*words)
        told = ended.out + ended.err
        assert ended.code in STOPPED or "RCL3062" in told, told
        said.append(told)
    kept = site.groups()
    assert sum(members for _, members in kept.values()) >= sum(members for _, members in before.values())
    assert all(int(retention[1:-1]) >= 5 for retention, _ in kept.values())
    return "\n".join(said)


def divided_of(shop: Shop, rules: str = APPROVERS) -> Reviewed:
    """The same site with its group in a file of its own, and the tag `base`."""
    path = shop.root / "policies" / "site.yaml"
    site, _, group = path.read_text().partition("---\n")
    path.write_text(site)
    (shop.root / "policies" / "gold.yaml").write_text(group)
    reviewed = Reviewed(shop, rules)
    reviewed.git("tag", "base")
    return reviewed
