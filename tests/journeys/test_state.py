"""state backup and restore: consistent, verified, asked about, nothing lost, and servers go on taking writes."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import sqlite3
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.control.policy_folder import read_good
from reconciler.control.state.backup_file import read_backup
from reconciler.control.state.restore import new_token
from reconciler.errors import ReconcilerError, StaleFence
from reconciler.model import CreateGroup, EvidenceKind
from reconciler.protocols import Fence
from reconciler.state import EvidenceFolder, SqliteMemory, copying, open_memory
from reconciler.wiring import RehearsedClock, choose_site, open_site
from tests.fakes import NOON, unpack
from tests.journeys.test_terminal import _spawn
from tests.kill.test_plan_steps import check_chain
from tests.shop import Shop

T1 = ("--now", "2026-03-10T12:00Z")
MINUTE = timedelta(seconds=60)
SECOND_GROUP = """---
apiVersion: reconciler/v1
kind: ProtectionGroup
metadata: {name: silver}
spec:
  site: hq
  server: mabs-01
  members: [{virtualMachines: {cluster: hci-01, names: [three]}}]
  shortTerm: {retention: 5d, synchronization: 1h}
"""


def database(shop: Shop) -> Path:
    return shop.root / "var" / "hq.db"


@contextmanager
def memory_of(shop: Shop) -> Iterator[SqliteMemory]:
    memory = open_memory(database(shop))
    try:
        yield memory
    finally:
        memory.close()


def tell(shop: Shop, *words: str) -> None:
    """Evidence, as whoever holds the lease writes it."""
    with memory_of(shop) as memory:
        for word in words:
            memory.evidence.append(EvidenceKind.DRIFT, NOON, "", {"word": word})


def told(shop: Shop) -> list[str]:
    with memory_of(shop) as memory:
        check_chain(memory)
        records = [each for each in memory.evidence.records() if each.kind in (EvidenceKind.DRIFT, EvidenceKind.STATE)]
        words = (str(record.body.get("word") or record.body["what"]) for record in records)
        return [word for word in words if word != "firstUse"]


@pytest.fixture
def backup(shop: Shop) -> Path:
    """One group applied, two records of evidence, and a backup of that; then a second group."""
    assert shop("apply", "--yes", *T1).code == 0
    tell(shop, "one", "two")
    path = shop.root / "state.tar"
    assert shop("state", "backup", str(path)).code == 0
    return path


def second_group(shop: Shop) -> None:
    shop.cluster.add(3, "three")
    policy = shop.root / "policies" / "site.yaml"
    policy.write_text(policy.read_text() + SECOND_GROUP)
    assert shop("apply", "--yes", *T1).code == 0


def test_a_backup_is_one_file_that_says_what_is_in_it(shop: Shop, backup: Path) -> None:
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert [path.name for path in backup.parent.glob(".state*")] == []
    manifest = read_backup(backup)
    assert (manifest.site, manifest.format_version) == ("hq", "1.0")
    with tarfile.open(backup) as tar:
        assert tar.getnames() == ["manifest.json", "state.db", "evidence/000001.jsonl"]
        shown = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
        unpack(tar, shop.root / "out")
    sums = "".join(f"{part['sha256']}  {part['name']}\n" for part in shown["parts"])
    said = subprocess.run(["sha256sum", "-c"], cwd=shop.root / "out", input=sums, text=True, capture_output=True)
    assert said.returncode == 0, said.stdout


def test_a_backup_is_whole_while_somebody_writes(shop: Shop, backup: Path) -> None:
    with memory_of(shop) as writer:
        writer.marks.write("seen", NOON + MINUTE)  # in the log alone: the connection is open
        segment = EvidenceFolder.of(database(shop)).folder / "000001.jsonl"
        whole = segment.read_bytes()
        segment.write_bytes(whole + b'{"seq":9,"half')
        assert shop("state", "backup", str(backup)).code == 0
    read_backup(backup, shop.root / "out")
    copy = open_memory(shop.root / "out" / "state.db")
    assert copy.marks.read("seen") == NOON + MINUTE
    copy.close()
    assert (shop.root / "out" / "evidence" / "000001.jsonl").read_bytes() == whole


def test_a_backup_in_pieces_is_of_one_moment(shop: Shop, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody writes between any two of them."""
    pieces: list[int] = []

    def write(status: int, left: int, total: int) -> None:
        pieces.append(left)
        if len(pieces) < 6:
            tell(shop, f"meanwhile {len(pieces)}")

    monkeypatch.setattr(copying, "_PAGES", 1)
    monkeypatch.setattr(copying, "_between", write)
    tell(shop, "last")
    before = told(shop)
    path = shop.root / "pieces.tar"
    assert shop("state", "backup", str(path)).code == 0
    assert len(pieces) > 10
    assert len(set(pieces)) == len(pieces), "it never began again"
    read_backup(path, shop.root / "out")
    with closing(open_memory(shop.root / "out" / "state.db")) as memory:
        head = memory.verify()
    assert head
    assert told(shop) == [*before, *(f"meanwhile {number}" for number in range(1, 6))]


def test_a_restore_shows_asks_keeps_and_tells(shop: Shop, backup: Path) -> None:
    second_group(shop)
    tell(shop, "three")
    refused = shop("state", "restore", str(backup))
    assert (refused.code, "RCL5011" in refused.err) == (5, True)
    assert "now      2 runs" in refused.out
    assert "2 groups in the ledger; " in refused.out
    assert "then     1 run," in refused.out
    assert "1 group in the ledger; " in refused.out
    with memory_of(shop) as memory:
        assert len(memory.ledger.entries()) == 2
    said = shop("state", "restore", str(backup), "--yes")
    assert said.code == 0, said.err
    assert "reconciler plan" in said.err
    with memory_of(shop) as memory:
        assert [entry.group for entry in memory.ledger.entries()] == ["gold"]
        newest = memory.journal.runs()[0]
        assert (newest.command, newest.ended_as) == ("state restore", "done")
        assert memory.locks.last("site:hq") is None
        *_, last = (record for record in memory.evidence.records() if record.kind is EvidenceKind.STATE)
        ours = [record.kind for record in memory.evidence.records(newest.id)]
    assert ours == [EvidenceKind.RUN, EvidenceKind.STATE, EvidenceKind.RUN_ENDED]
    assert (last.kind, last.run) == (EvidenceKind.STATE, newest.id)
    assert last.body["groupsBefore"] == 2
    assert last.body["groups"] == 1
    assert told(shop) == ["one", "two", "three", "restored"]
    (kept,) = (path for path in database(shop).parent.iterdir() if "before-restore" in path.name)
    assert last.body["keptAs"] == kept.name
    with sqlite3.connect(kept) as connection:
        assert connection.execute("SELECT count(*) FROM ledger").fetchone() == (2,)
    connection.close()


def test_a_plan_after_a_restore_shows_what_the_ledger_forgot(shop: Shop, backup: Path) -> None:
    second_group(shop)
    assert shop("state", "restore", str(backup), "--yes").code == 0
    said = shop("plan", *T1)
    assert "silver" in said.out + said.err


def test_servers_take_new_writes_and_refuse_old_holders_after_a_restore(shop: Shop, backup: Path) -> None:
    for retention in ("6d", "7d", "8d"):
        shop.policy(
            "retention: 5d" if retention == "6d" else f"retention: {int(retention[0]) - 1}d", f"retention: {retention}"
        )
        assert shop("apply", "--yes", *T1).code == 0
    with memory_of(shop) as memory:
        old = memory.locks.token()
    database(shop).unlink()
    assert shop("state", "restore", str(backup), "--yes").code == 0
    with memory_of(shop) as memory:
        assert memory.locks.token() > old
    second_group(shop)
    site = open_site(shop.root, choose_site(read_good(shop.root).policies, None), RehearsedClock(NOON))
    try:
        entry = next(each for each in site.memory.ledger.entries() if each.group == "silver")
        with pytest.raises(StaleFence):
            site.engines["mabs-01"].apply(CreateGroup("mabs-01", entry.applied), Fence(old))
    finally:
        site.close()


def test_the_token_is_above_all_that_can_have_been_given() -> None:
    epoch = NOON.timestamp()
    assert new_token(7, 3, epoch) == int(epoch) + 1
    assert new_token(int(epoch) + 50, 3, epoch) == int(epoch) + 51
    assert new_token(0, int(epoch) + 9, epoch) == int(epoch) + 10


@pytest.mark.parametrize("harm", ["missing", "empty", "noise", "inside"])
def test_a_database_that_does_not_read_is_replaced_and_kept(shop: Shop, backup: Path, harm: str) -> None:
    place = database(shop)
    for path in place.parent.glob("hq.db-*"):
        path.unlink()
    if harm == "missing":
        place.unlink()
    elif harm == "empty":
        place.write_bytes(b"")
    elif harm == "noise":
        place.write_bytes(random.Random(1).randbytes(5000))
    else:
        data = bytearray(place.read_bytes())
        data[4096:40960] = random.Random(1).randbytes(40960 - 4096)
        place.write_bytes(data)
    before = place.read_bytes() if harm in ("noise", "inside") else None
    said = shop("state", "restore", str(backup), "--yes")
    assert said.code == 0, said.err
    with memory_of(shop) as memory:
        assert [entry.group for entry in memory.ledger.entries()] == ["gold"]
    kept = [path for path in place.parent.iterdir() if "before-restore" in path.name]
    assert len(kept) == (0 if harm == "missing" else 1)
    if before is not None:
        assert kept[0].read_bytes() == before
    assert told(shop) == ["one", "two", "restored"]


def test_a_restore_waits_for_nobody(shop: Shop, backup: Path) -> None:
    with memory_of(shop) as memory:
        memory.locks.acquire("site:hq", "elsewhere pid 1 started 5", MINUTE)
    said = shop("state", "restore", str(backup), "--yes")
    assert (said.code, "elsewhere pid 1" in said.err, "lock show" in said.err) == (8, True, True)
    assert not [path for path in database(shop).parent.iterdir() if "restor" in path.name]


def test_who_has_the_state_open_goes_on_with_the_restored_one(shop: Shop, backup: Path) -> None:
    with memory_of(shop) as loop:
        held = loop.locks.acquire("site:hq", "loop pid 1 started 5", MINUTE)
        loop.locks.release(held)
        second_group(shop)
        assert len(loop.ledger.entries()) == 2
        assert shop("state", "restore", str(backup), "--yes").code == 0
        assert len(loop.ledger.entries()) == 1
        assert loop.locks.acquire("site:hq", "loop pid 1 started 5", MINUTE).token > 10**9


def test_another_sites_backup_is_refused(shop: Shop, backup: Path) -> None:
    shop.policy("kind: Site\nmetadata: {name: hq}", "kind: Site\nmetadata: {name: branch}")
    shop.policy("site: hq", "site: branch")
    said = shop("state", "restore", str(backup), "--yes")
    assert (said.code, "RCL5010" in said.err) == (6, True)


def test_a_newer_schema_is_refused(shop: Shop) -> None:
    assert shop("apply", "--yes", *T1).code == 0
    path = shop.root / "state.tar"
    with sqlite3.connect(database(shop)) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    said = shop("state", "backup", str(path))
    assert (said.code, "RCL5001" in said.err, path.exists()) == (6, True, False)


def repacked(backup: Path, *leave_out: str) -> None:
    """The backup without some of its parts, its manifest sealed anew, as anybody can write it."""
    with tarfile.open(backup) as tar:
        parts = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]
    manifest = json.loads(parts.pop("manifest.json"))
    manifest["parts"] = [part for part in manifest["parts"] if part["name"] not in leave_out]
    manifest["seal"] = ""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    manifest["seal"] = hashlib.sha256(text).hexdigest()
    with tarfile.open(backup, "w") as tar:
        for name, data in {"manifest.json": json.dumps(manifest).encode(), **parts}.items():
            if name not in leave_out:
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))


def test_a_backup_without_the_state_itself_is_refused(shop: Shop, backup: Path) -> None:
    repacked(backup)
    assert read_backup(backup).site == "hq"
    repacked(backup, "state.db")
    before = {path: path.read_bytes() for path in (shop.root / "var").rglob("hq*") if path.is_file()}
    said = shop("state", "restore", str(backup), "--yes")
    assert (said.code, "RCL5008" in said.err, "state.db" in said.err) == (6, True, True)
    assert {path: path.read_bytes() for path in (shop.root / "var").rglob("hq*") if path.is_file()} == before


def test_a_backup_names_the_state_and_a_restore_goes_past_every_copy_of_it(shop: Shop, backup: Path) -> None:
    manifest = read_backup(backup)
    with memory_of(shop) as memory:
        lineage = memory.lineage()
    assert lineage is not None
    assert manifest.state is not None
    assert manifest.state.id == lineage.id
    assert manifest.state.generation <= lineage.generation
    assert shop("state", "restore", str(backup), "--yes").code == 0
    with memory_of(shop) as memory:
        restored = memory.lineage()
    assert restored is not None
    assert restored.id == lineage.id
    assert restored.generation > lineage.generation + 10**9


def test_what_is_no_backup_is_refused(shop: Shop, backup: Path) -> None:
    nothing = shop.root / "nothing.tar"
    assert shop("state", "restore", str(nothing)).code == 64
    nothing.write_bytes(b"")
    assert "RCL5008" in shop("state", "restore", str(nothing)).err
    nothing.write_bytes(random.Random(1).randbytes(20_000))
    assert shop("state", "restore", str(nothing)).code == 6
    with tarfile.open(nothing, "w") as tar:
        tar.add(shop.root / "policies", "policies")
    assert "RCL5008" in shop("state", "restore", str(nothing)).err


def test_without_a_state_there_is_nothing_to_back_up(shop: Shop) -> None:
    said = shop("state", "backup", str(shop.root / "state.tar"))
    assert (said.code, "RCL5012" in said.err) == (6, True)
    assert not (shop.root / "state.tar").exists()
    assert shop("state", "backup", str(shop.root / "nowhere" / "state.tar")).code == 64


def test_a_bit_that_flipped_is_found_or_does_no_harm(shop: Shop, backup: Path, tmp_path: Path) -> None:
    whole = backup.read_bytes()
    read_backup(backup, tmp_path / "whole")
    parts = {path.relative_to(tmp_path / "whole"): path.read_bytes() for path in (tmp_path / "whole").rglob("*.*")}
    chance = random.Random(4)
    codes = []
    for number in range(300):
        place = chance.randrange(len(whole))
        data = bytearray(whole)
        data[place] ^= 1 << chance.randrange(8)
        backup.write_bytes(data)
        folder = tmp_path / f"flipped-{number}"
        try:
            read_backup(backup, folder)
        except ReconcilerError as error:
            codes.append(error.diagnostic.code)
        else:
            assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")} == parts
        shutil.rmtree(folder, ignore_errors=True)
    assert set(codes) <= {"RCL5008", "RCL5009"}
    assert len(codes) > 200
    for length in (100, 600, len(whole) // 2, len(whole) - 11_000):
        backup.write_bytes(whole[:length])
        with pytest.raises(ReconcilerError):
            read_backup(backup)


# --- Evidence --------------------------------------------------------------------------------------------------


def test_evidence_that_was_cut_is_completed(shop: Shop, backup: Path) -> None:
    segment = EvidenceFolder.of(database(shop)).folder / "000001.jsonl"
    segment.write_bytes(segment.read_bytes().splitlines(keepends=True)[0])
    assert shop("state", "restore", str(backup), "--yes").code == 0
    assert told(shop) == ["one", "two", "restored"]


def test_evidence_that_differs_is_kept_and_the_backups_beside_it(shop: Shop, backup: Path) -> None:
    segment = EvidenceFolder.of(database(shop)).folder / "000001.jsonl"
    whole = segment.read_bytes()
    shutil.rmtree(segment.parent)
    EvidenceFolder.of(database(shop)).append(EvidenceKind.DRIFT, NOON, "", {"word": "other"})
    said = shop("state", "restore", str(backup), "--yes")
    assert said.code == 0, said.err
    assert told(shop) == ["other", "restored"]
    (beside,) = (path for path in database(shop).parent.iterdir() if "from-backup" in path.name)
    assert str(beside) in said.err
    assert (beside / "000001.jsonl").read_bytes() == whole
    with memory_of(shop) as memory:
        *_, last = (record for record in memory.evidence.records() if record.kind is EvidenceKind.STATE)
        assert last.body["otherEvidence"] == beside.name


def test_evidence_that_does_not_read_stays_where_it_is(shop: Shop, backup: Path) -> None:
    segment = EvidenceFolder.of(database(shop)).folder / "000001.jsonl"
    whole = segment.read_bytes()
    segment.write_bytes(whole.splitlines(keepends=True)[0] + b"noise\n")
    said = shop("state", "restore", str(backup), "--yes")
    assert said.code == 0, said.err
    assert b"noise" in segment.read_bytes()
    (beside,) = (path for path in database(shop).parent.iterdir() if "from-backup" in path.name)
    assert (beside / "000001.jsonl").read_bytes() == whole


def test_the_anchor_of_the_evidence_comes_back_with_it(shop: Shop, backup: Path) -> None:
    folder = EvidenceFolder.of(database(shop)).folder
    assert shop("evidence", "seal").code == 0
    tell(shop, "three")
    assert shop("state", "backup", str(backup)).code == 0
    anchor = (folder / "SHA256SUMS").read_bytes()
    shutil.rmtree(folder)
    assert shop("state", "restore", str(backup), "--yes").code == 0
    assert (folder / "SHA256SUMS").read_bytes() == anchor
    assert told(shop) == ["one", "two", "three", "restored"]
    assert shop("evidence", "verify").code == 0


def test_a_restore_in_a_terminal(shop: Shop, backup: Path) -> None:
    child = _spawn(shop.root, "state", "restore", str(backup))
    child.expect("then +1 run")
    child.expect("in the place of the present one")
    child.sendline("yes")
    child.expect("Restored")
    child.wait()
    assert child.exitstatus == 0
    assert told(shop) == ["one", "two", "restored"]


def test_the_backup_of_another_state_is_restored_only_where_that_is_meant(shop: Shop, backup: Path) -> None:
    place = database(shop)
    with memory_of(shop) as memory:
        former = memory.lineage()
    for path in [each for each in place.parent.iterdir() if each.name.startswith(place.name)]:
        path.unlink()
    shutil.rmtree(EvidenceFolder.of(place).folder)
    tell(shop, "started again")
    before = place.read_bytes()
    said = shop("state", "restore", str(backup), "--yes")
    assert (said.code, "RCL5054" in said.err, "--another-state" in said.err) == (6, True, True), said
    assert shop("state", "restore", str(backup)).code == 6
    assert place.read_bytes() == before
    assert shop("state", "restore", str(backup), "--another-state").code == 5
    assert shop("state", "restore", str(backup), "--another-state", "--yes").code == 0
    with memory_of(shop) as memory:
        restored = memory.lineage()
    assert former is not None
    assert restored is not None
    assert restored.id == former.id
