"""Ways past the guard by a state that knows nothing: where it was, a change would be the first one of all."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from reconciler import wiring
from reconciler.control.loop.loop import _Worker
from reconciler.control.loop.summary import Summary
from reconciler.control.loop.watcher import Watcher
from reconciler.control.state.committed_files import check_not_brought
from reconciler.control.state.root_note import note_begun
from reconciler.errors import Refused
from reconciler.state import Opening, open_memory
from reconciler.wiring import RehearsedClock, open_site
from tests.fakes import NOON
from tests.shop import Shop
from tests.support.reviewed import ALICE, BOB, MALLORY, T1, Reviewed, divided_of

T2 = ("--now", "2026-03-10T13:00Z")


@pytest.fixture
def site(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Reviewed:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    site = divided_of(shop)
    assert site("run", "--until-idle", *T1).code == 0
    return site


def _state_elsewhere(site: Reviewed) -> None:
    site.edit("var/hq.db", "var/other.db")


def _state_and_store_elsewhere(site: Reviewed) -> None:
    _state_elsewhere(site)
    site.edit("path: var/mabs-01", "path: var/mabs-new")


def _a_site_of_another_name(site: Reviewed) -> None:
    _state_and_store_elsewhere(site)
    site.edit("name: hq", "name: hq2")
    site.replace("gold.yaml", "site: hq", "site: hq2")


def _a_state_that_he_brings(site: Reviewed) -> None:
    """He made it elsewhere, with himself as the only approver."""
    _state_and_store_elsewhere(site)
    site.edit("var/other.db", "policies/other.db")
    open_memory(site.root / "policies" / "other.db").close()


WAYS = (_state_elsewhere, _state_and_store_elsewhere, _a_site_of_another_name, _a_state_that_he_brings)


def _begin_anew(site: Reviewed, way: Callable[[Reviewed], None]) -> None:
    way(site)
    site.edit(f"approvers: [{ALICE}, {BOB}]", f"approvers: [{MALLORY}]")
    site.replace("gold.yaml", "retention: 5d", "retention: 2d")
    site.commit("somewhere else", author=MALLORY)


@pytest.mark.parametrize("way", WAYS)
def test_another_state_is_not_a_first_use(site: Reviewed, way: Callable[[Reviewed], None]) -> None:
    _begin_anew(site, way)
    note = site.root / ".reconciler" / "state-hq.json"
    before = note.read_bytes()
    for words in (
        ("plan", *T2),
        ("run", "--once", *T2),
        ("apply", "--yes", *T2),
        ("apply", "--break-glass", "x", "--yes", *T2),
    ):
        said = site(*words)
        assert said.code == 6, said
        assert ("RCL3110" if way is _a_state_that_he_brings else "RCL3106") in said.err + said.out, said
        assert not (site.root / "var" / "other.db").exists()
        assert not (site.root / "var" / "mabs-new").exists()
    assert note.read_bytes() == before
    assert site.groups() == {"gold": ("P5D", 2)}


@pytest.mark.parametrize("way", [_state_and_store_elsewhere, _a_site_of_another_name])
def test_who_wants_to_begin_anew_says_so(site: Reviewed, way: Callable[[Reviewed], None]) -> None:
    way(site)
    site.commit("somewhere else", author=BOB)
    said = site("apply", "--yes", "--adopt", "*", *T2)
    assert said.code == 0, said.err
    assert "opens: cluster hci-01: cluster; server mabs-01: var/mabs-new" in said.err
    assert site("run", "--once", *T2).code == 0


def test_a_state_that_was_moved_is_the_same(site: Reviewed) -> None:
    _state_elsewhere(site)
    site.commit("moved", author=BOB)
    for path in (site.root / "var").glob("hq.db*"):
        path.rename(path.with_name(path.name.replace("hq.db", "other.db")))
    shutil.move(site.root / "var" / "hq.db.evidence", site.root / "var" / "other.db.evidence") if (
        site.root / "var" / "hq.db.evidence"
    ).exists() else None
    said = site("plan", *T2)
    assert said.code == 0, said.err
    assert "RCL3106" not in said.err


def test_a_second_site_begins_beside_the_first(site: Reviewed) -> None:
    text = site.policy.read_text()
    other = text.replace("name: hq", "name: berlin").replace("var/", "var/berlin/")
    site.write("policies/berlin.yaml", other)
    site.commit("berlin", author=BOB)
    assert site("plan", "--site", "berlin", *T2).code == 0
    assert site("apply", "--yes", "--site", "berlin", *T2).code == 0


def test_a_state_that_is_gone_is_not_made_anew_on_the_way(site: Reviewed) -> None:
    """Else the next change could name another store, and be the first one of an empty state."""
    for path in (site.root / "var").glob("hq.db*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for words in (("run", "--once", *T2), ("apply", "--yes", *T2)):
        said = site(*words)
        assert (said.code, "RCL3012" in said.err + said.out) == (6, True), said
        assert not (site.root / "var" / "hq.db").exists()
    assert site("apply", "--yes", "--adopt", "*", *T2).code == 0


def test_without_the_look_at_the_note_it_is_one(site: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `begun.check_place`, and that no empty state is made where one was."""
    for name in ("check_place", "begun"):
        monkeypatch.setattr(wiring, name, lambda *words: None)
    _begin_anew(site, _state_and_store_elsewhere)
    assert site("run", "--once", *T2).code == 0
    assert (site.root / "var" / "mabs-new").exists()


# --- A state that comes with the policies ------------------------------------------------------------------------


@pytest.mark.parametrize("brings", ["its note too", "no note", "a link to its folder"])
def test_a_state_that_comes_with_the_repository_is_not_opened(site: Reviewed, brings: str) -> None:
    """He made it elsewhere, with himself as the only approver; in a fresh clone no note of ours says otherwise."""
    note = site.root / ".reconciler" / "state-hq.json"
    there = site.root / "policies" / "other.db"
    open_memory(there).close()
    if brings == "its note too":
        identity = open_memory(there, opening=Opening.READ).lineage()
        assert identity is not None
        note_begun(site.root, "hq", identity, there, datetime.now(UTC))
        site.edit("var/hq.db", "policies/other.db")
    elif brings == "no note":
        shutil.rmtree(site.root / ".reconciler")
        site.edit("var/hq.db", "policies/other.db")
    else:
        shutil.rmtree(site.root / ".reconciler")
        (site.root / "state").symlink_to("policies")
        site.edit("var/hq.db", "state/other.db")
    site.edit("path: var/mabs-01", "path: var/mabs-new")
    site.edit(f"approvers: [{ALICE}, {BOB}]", f"approvers: [{MALLORY}]")
    site.git("add", "-A", "--force", "policies", "state" if brings.startswith("a link") else "policies")
    if note.exists():
        site.git("add", "--force", ".reconciler")
    site.commit("brought", author=MALLORY)
    for words in (("plan", *T2), ("run", "--once", *T2), ("apply", "--adopt", "*", "--yes", *T2), ("status", *T2)):
        said = site(*words)
        assert (said.code, "RCL3110" in said.err + said.out) == (6, True), (words, said)
    assert not (site.root / "var" / "mabs-new").exists()


def test_without_the_look_at_the_repository_it_is(site: Reviewed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence: `check_not_brought` in `wiring`."""
    monkeypatch.setattr(wiring, "check_not_brought", lambda root, site: None)
    shutil.rmtree(site.root / ".reconciler")
    open_memory(site.root / "policies" / "other.db").close()
    site.edit("var/hq.db", "policies/other.db")
    site.edit("path: var/mabs-01", "path: var/mabs-new")
    site.git("add", "-A", "--force", "policies")
    site.commit("brought", author=MALLORY)
    assert site("run", "--once", *T2).code == 0


def test_a_note_that_was_written_over_is_not_none(site: Reviewed) -> None:
    """A commit can bring a file over one that Git ignores."""
    (site.root / ".reconciler" / "state-hq.json").write_text("x")
    _begin_anew(site, _state_and_store_elsewhere)
    for words in (("plan", *T2), ("run", "--once", *T2), ("apply", "--yes", *T2)):
        said = site(*words)
        assert (said.code, "cannot be read" in said.err + said.out) == (6, True), said
    assert not (site.root / "var" / "other.db").exists()


#: What we read, or SQLite does, and what some file system takes for it.
OURS = (
    "var/hq.db",
    "var/hq.db-wal",
    "var/hq.db-shm",
    "var/hq.db-journal",
    "var/hq.db-mj0A1B2C3D4",
    "var/hq.db.format-1.tar",
    "var/.hq.db.restoring/hq.db",
    "var/hq.evidence/000001.jsonl",
    "var/hq.evidence.lost-20260310T120000Z/x",
    "var/mabs-01/server.db",
    "var/mabs-01/server.db-journal",
    "var/mabs-01/volumes/vol-1/1/catalog.db-wal",
    ".reconciler/x",
    "VAR/hq.db",
    "var/Hq.DB-Wal",
    "var/hq.db-wal.",
    "var/hq.d\u200db-wal",
    "var/HQ~1.DB-",
    "var/mabs-01/x",
    "Var/MABS-01/server.db",
    ".Reconciler/x",
    "var",
)
#: What has nothing to do with it.
OTHERS = (
    "var/hq.dbx",
    "var/hq2.db",
    "var/mabs-01-notes.md",
    "var/mabs-012/server.db",
    ".reconciler-demo",
    "hq.db",
    "varx",
)


def committed(site: Reviewed, place: str, content: str = "") -> None:
    """As a commit brings it: Git writes over files that it was told to ignore when one is checked out."""
    blob = content or site.git("hash-object", "-w", "policies/gold.yaml")
    site.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{place}")
    site.git("-c", f"user.email={MALLORY}", "commit", "-qm", "notes")


def test_a_commit_that_would_write_over_what_is_kept_is_stopped_in_review(site: Reviewed) -> None:
    for place in OURS:
        committed(site, place)
        with pytest.raises(Refused, match="comes with the repository"):
            check_not_brought(site.root, site.document)
        if place in OURS[1:3]:
            for words in (("HEAD~1", "HEAD"), ("HEAD~1",)):
                said = site("diff", *words)
                assert (said.code, "RCL3110" in said.err) == (6, True), (place, said)
        site.git("reset", "-q", "HEAD~1")
    check_not_brought(site.root, site.document)


def test_and_wherever_it_is_opened(site: Reviewed, tmp_path: Path) -> None:
    commands = (
        ("plan", *T2),
        ("status", *T2),
        ("run", "--once", *T2),
        ("apply", "--yes", *T2),
        ("evidence", "verify"),
        ("state", "backup", str(tmp_path / "b.tar")),
        ("lock", "show"),
        ("points",),
    )
    for place in ("var/hq.db-wal", "VAR/hq.db"):
        committed(site, place)
        for words in commands:
            said = site(*words)
            assert (said.code, "RCL3110" in said.err + said.out) == (6, True), (words, said)
        site.git("reset", "-q", "HEAD~1")


def test_what_lies_near_is_nobodys(site: Reviewed) -> None:
    for place in OTHERS:
        committed(site, place)
    assert site("diff", "base", "HEAD").code == 0
    assert site("status", *T2).code == 0


def test_a_root_below_the_top_may_keep_its_state_outside_of_itself(site: Reviewed) -> None:
    """The repository is one folder above, and a link leads to the state beside the root."""
    top = site.root / "all"
    (top / "site").mkdir(parents=True)
    for name in ("policies", "cluster"):
        shutil.move(site.root / name, top / "site" / name)
    shutil.move(site.root / "var", top / "var")
    shutil.move(site.root / ".git", top / ".git")
    (top / "site" / "var").symlink_to("../var")
    git = ("git", "-C", str(top), "-c", "user.name=n", "-c", f"user.email={MALLORY}")
    subprocess.run((*git, "add", "-A", "site/policies"), check=True)
    subprocess.run((*git, "commit", "-qm", "moved"), check=True)
    assert site.shop.plain("diff", "base", "HEAD", "-C", str(top / "site")).code != 6
    (top / "var" / "hq.db-wal").write_text("x")
    subprocess.run((*git, "add", "-f", "var/hq.db-wal"), check=True)
    subprocess.run((*git, "commit", "-qm", "notes"), check=True)
    for words in (("diff", "HEAD~1", "HEAD"), ("status", *T2)):
        said = site.shop.plain(*words, "-C", str(top / "site"))
        assert (said.code, "RCL3110" in said.err) == (6, True), (words, said)


def test_what_waits_does_not_hide_what_is_opened(site: Reviewed) -> None:
    """The policies name another store by now, which nobody agreed to, so the old one is opened."""
    site.edit("path: var/mabs-01", "path: var/mabs-new")
    site.commit("another store", author=MALLORY)
    committed(site, "var/mabs-01/server.db-wal")
    for words in (("diff", "base", "HEAD"), ("plan", *T2), ("run", "--once", *T2)):
        said = site(*words)
        assert (said.code, "RCL3110" in said.err) == (6, True), (words, said)


def with_a_log(site: Reviewed) -> None:
    """A write-ahead log, whose checksums are no secret, by which Mallory is the approver; then he approves."""
    copy = site.root / "copy.db"
    shutil.copyfile(site.root / "var" / "hq.db", copy)
    memory = open_memory(copy)
    told = memory.ledger.site_document()
    assert told is not None
    told["document"]["spec"]["approvals"]["approvers"] = [MALLORY]
    memory.ledger.record_site(told)
    log = site.write("log", "")
    shutil.copyfile(f"{copy}-wal", log)
    memory.close()
    assert log.stat().st_size
    site.replace("gold.yaml", "retention: 5d", "retention: 2d")
    site.edit(f"approvers: [{ALICE}, {BOB}]", f"approvers: [{MALLORY}]")
    site.commit("shorter", author="somebody@corp.example")
    said = site("diff", "HEAD~1", "HEAD")
    (digest,) = re.findall(r"retention: 5d -> 2d.*\n +(sha256:\w+)", said.out)
    site.write(
        "policies/approvals/mine.yaml",
        "apiVersion: reconciler/v1\nkind: Approval\nmetadata: {name: mine}\nspec:\n"
        f"  changes: [{digest}]\n  approvedBy: {MALLORY}\n  reason: x\n  until: 2027-12-31\n"
        f'  id: "{7:032x}"\n  site: hq\n',
    )
    site.commit("approved", author=MALLORY)
    site.git("tag", "before")
    committed(site, "var/hq.db-wal", site.git("hash-object", "-w", "log"))
    shutil.copyfile(log, site.root / "var" / "hq.db-wal")  # as the checkout does


def test_a_log_beside_the_state_is_not_laid_over_it(site: Reviewed) -> None:
    kept = (site.root / "var" / "hq.db").read_bytes()
    with_a_log(site)
    for words in (("run", "--once", *T2), ("apply", "--yes", *T2)):
        said = site(*words)
        assert (said.code, "RCL3110" in said.err) == (6, True), (words, said)
    assert (site.root / "var" / "hq.db").read_bytes() == kept


def test_a_loop_that_runs_closes_the_state_before_it_is_written_over_twice(site: Reviewed) -> None:
    """What it holds open is whole; opening it anew says what is wrong."""
    worker = _worker(site)
    try:
        assert not worker._site_changed()
        committed(site, "var/hq.db-wal")
        assert worker._site_changed()
    finally:
        worker.site.close()


def _worker(site: Reviewed) -> _Worker:
    opened = open_site(site.root, site.document, RehearsedClock(NOON))
    return _Worker(opened, site.root, cast("Watcher", None), Summary())
