"""Stores: missing, older, exchanged, of another state, or ours; and what a run leaves on record of them."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.control.lease import holding
from reconciler.control.site import Site
from reconciler.control.state.known_stores import OurSide, Use, judge_store, largest_token, use_stores, views
from reconciler.control.state.root_note import begun, note_begun
from reconciler.errors import ReconcilerError, Unreachable
from reconciler.model import DataSource, EvidenceKind, KnownStore, LedgerEntry, Lineage, Presence, StoreLineage
from reconciler.protocols import Fence
from reconciler.state import open_memory
from tests.fakes import NOON, group
from tests.support.bare import bare_site

ONE = DataSource("c", "1")
OURS = Lineage("5" * 32, 40)
STORE = Lineage("a" * 32, 7)
KNOWN = KnownStore("mabs-01", STORE, "/mnt/store", NOON, NOON + timedelta(hours=1))
TOLD = KnownStore("mabs-01", STORE, "/mnt/store", NOON, NOON, told="told", telling="telling")
ENTRY = LedgerEntry("mabs-01", "ref", group("gold", ONE), NOON, "r")


def seen(store: Lineage | None = STORE, state: Lineage | None = OURS, token: int = 0) -> StoreLineage:
    return StoreLineage(Presence.PRESENT if store else Presence.UNNAMED, "/mnt/store", store, state, token)


ABSENT = StoreLineage(Presence.ABSENT, "/mnt/store")


@pytest.mark.parametrize(
    ("ours", "found", "use"),
    [
        (OurSide(OURS, None), ABSENT, Use.FIRST),
        (OurSide(None, None), ABSENT, Use.FIRST),
        (OurSide(OURS, KNOWN), seen(), Use.GOES_ON),
        (OurSide(OURS, KNOWN), seen(Lineage(STORE.id, 9)), Use.GOES_ON),  # a run that died before it noted this
        (OurSide(OURS, KNOWN), seen(state=Lineage(OURS.id, 12)), Use.GOES_ON),
        (OurSide(OURS, TOLD), seen(state=Lineage(OURS.id, 12, "told")), Use.GOES_ON),
        (OurSide(OURS, TOLD), seen(state=Lineage(OURS.id, 12, "telling")), Use.GOES_ON),  # killed while it told
        (OurSide(OURS, KNOWN), seen(state=Lineage(OURS.id, 12, "any")), Use.GOES_ON),  # from a backup
        (OurSide(OURS, None), seen(), Use.GOES_ON),  # killed between the two notes of a first use
        (OurSide(OURS, None, (ENTRY,)), seen(None), Use.NAMING),
        (OurSide(None, None, (ENTRY,)), seen(None), Use.NAMING),
        (OurSide(OURS, None, (ENTRY,)), seen(state=None), Use.NAMING),  # killed before the new identity knew us
        (OurSide(OURS, None), seen(state=None), Use.FOREIGN),
        (OurSide(OURS, None), seen(None), Use.FOREIGN),
        (OurSide(OURS, None), seen(state=Lineage("6" * 32, 3)), Use.FOREIGN),
        (OurSide(None, None), seen(), Use.FOREIGN),
    ],
)
def test_a_store_that_may_be_used(ours: OurSide, found: StoreLineage, use: Use) -> None:
    assert judge_store("mabs-01", ours, found).use is use


@pytest.mark.parametrize(
    ("ours", "found", "code", "words"),
    [
        (OurSide(OURS, KNOWN), ABSENT, "RCL5043", "2026-03-10 12:00 UTC, last seen 2026-03-10 13:00 UTC"),
        (OurSide(OURS, None, (ENTRY,)), ABSENT, "RCL5043", "1 group in the ledger, the first applied at"),
        (OurSide(OURS, KNOWN), seen(None), "RCL5044", "before it took its identity"),
        (OurSide(OURS, KNOWN), seen(Lineage("b" * 32, 9)), "RCL5044", "it was swapped"),
        (OurSide(OURS, KNOWN), seen(Lineage(STORE.id, 6)), "RCL5044", "generation 6 is there, and 7 was seen"),
        (OurSide(OURS, KNOWN), seen(state=Lineage("6" * 32, 3)), "RCL5044", "another state has written"),
        (OurSide(OURS, KNOWN), seen(state=Lineage(OURS.id, 41)), "RCL5045", "generation 40"),
        (OurSide(OURS, None), seen(state=Lineage(OURS.id, 41)), "RCL5045", "older copy"),
        # Written to so often since it was put back that its generation passed the one that the store heard.
        (OurSide(OURS, TOLD), seen(state=Lineage(OURS.id, 12, "newer")), "RCL5045", "older copy"),
    ],
)
def test_a_store_that_is_never_taken_for_new(ours: OurSide, found: StoreLineage, code: str, words: str) -> None:
    with pytest.raises(Unreachable) as refused:
        judge_store("mabs-01", ours, found)
    said = refused.value.diagnostic
    assert (said.code, refused.value.exit_code) == (code, 69)
    assert words in said.message
    assert "/mnt/store" in said.message
    assert said.remedy


class Keeper:
    """An engine of which only the store is asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store: Lineage | None = None
        self.state: Lineage | None = None
        self.token = 0

    def lineage(self) -> StoreLineage:
        presence = Presence.PRESENT if self.store else Presence.ABSENT
        return StoreLineage(presence, str(self.path), self.store, self.state, self.token)

    def establish(self, state: Lineage, fence: Fence) -> StoreLineage:
        self.store = self.store or Lineage((self.path.name.encode().hex() * 32)[:32], 0)
        return self.note_state(state, fence)

    def note_state(self, state: Lineage, fence: Fence) -> StoreLineage:
        assert self.store is not None
        self.store = Lineage(self.store.id, self.store.generation + 1)
        self.state, self.token = state, fence.token
        return self.lineage()

    def close(self) -> None: ...


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(tmp_path / "store")


@pytest.fixture
def site(tmp_path: Path, keeper: Keeper) -> Site:
    return bare_site(tmp_path, {"mabs-01": keeper})  # type: ignore[dict-item]


def told(site: Site) -> list[str]:
    records = site.memory.evidence.records()
    return [str(record.body["what"]) for record in records if record.kind is EvidenceKind.STATE]


def test_a_first_use_is_on_record_and_known_from_then_on(site: Site, keeper: Keeper) -> None:
    with holding(site) as held:
        use_stores(site, frozenset({"mabs-01"}), held.fence, "run-1", adopting=False)
    assert told(site) == ["firstUse"]
    known = site.memory.stores.known()["mabs-01"]
    assert (known.store, known.first_used_at) == (keeper.store, NOON)
    lineage = site.memory.lineage()
    assert keeper.state is not None
    assert lineage is not None
    assert keeper.state.id == lineage.id
    assert keeper.state.generation < lineage.generation
    keeper.store = None
    gone = views(site)["mabs-01"]
    assert isinstance(gone, ReconcilerError)
    assert gone.diagnostic.code == "RCL5043"
    with holding(site) as held, pytest.raises(Unreachable):
        use_stores(site, frozenset({"mabs-01"}), held.fence, "run-2", adopting=False)
    assert keeper.store is None


def test_a_store_that_another_process_writes_to_meanwhile_is_looked_at_again(
    site: Site, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state is read, the other process moves state and store, the store is read: no older copy is there."""
    with holding(site) as held:
        use_stores(site, frozenset({"mabs-01"}), held.fence, "run-1", adopting=False)
    looks = []
    look = keeper.lineage

    def moved_meanwhile() -> StoreLineage:
        looks.append("store")
        if len(looks) == 1:
            with holding(site) as held:
                lineage = site.memory.lineage()
                assert lineage is not None
                keeper.note_state(lineage, held.fence)
                looks[:] = ["store"]
        return look()

    monkeypatch.setattr(keeper, "lineage", moved_meanwhile)
    assert not isinstance(views(site)["mabs-01"], ReconcilerError)
    keeper.state = Lineage(OURS.id if keeper.state is None else keeper.state.id, 10_000)
    truly_older = views(site)["mabs-01"]
    assert isinstance(truly_older, ReconcilerError)
    assert truly_older.diagnostic.code == "RCL5045"


def test_a_first_use_that_was_cut_off_is_on_record_at_the_next_look(site: Site, keeper: Keeper) -> None:
    with holding(site) as held:
        lineage = site.memory.lineage()
        assert lineage is not None
        keeper.establish(lineage, held.fence)
        use_stores(site, frozenset({"mabs-01"}), held.fence, "run-1", adopting=False)
    assert told(site) == ["firstUse"]
    other = Keeper(keeper.path.with_name("other"))
    site = dataclasses.replace(site, engines={**site.engines, "mabs-02": other})  # type: ignore[dict-item]
    with holding(site) as held:
        lineage = site.memory.lineage()
        assert lineage is not None
        other.establish(lineage, held.fence)
    assert told(site) == ["firstUse", "firstUse"]
    assert set(site.memory.stores.known()) == {"mabs-01", "mabs-02"}


def test_a_state_that_is_new_gives_tokens_above_those_that_servers_have_seen(site: Site, keeper: Keeper) -> None:
    keeper.store, keeper.state, keeper.token = STORE, Lineage("6" * 32, 9), 812
    assert largest_token(site) == 812
    with holding(site) as held:
        assert held.fence.token == 813
        use_stores(site, frozenset({"mabs-01"}), held.fence, "run-1", adopting=False)
        assert site.memory.stores.known() == {}
    assert keeper.state == Lineage("6" * 32, 9)
    with holding(site) as held:
        use_stores(site, frozenset({"mabs-01"}), held.fence, "run-2", adopting=True)
    assert told(site) == ["storeAdopted"]
    assert site.memory.locks.acquire("job:x", "here", timedelta(seconds=60)).token == 813


def test_a_state_that_was_rolled_back_is_refused(site: Site, keeper: Keeper, tmp_path: Path) -> None:
    with holding(site) as held:
        use_stores(site, frozenset({"mabs-01"}), held.fence, "run-1", adopting=False)
    site.memory.close()
    database = tmp_path / "var" / "hq.db"
    old = database.read_bytes()
    again = open_memory(database)
    again.close()
    later = bare_site(tmp_path, {"mabs-01": keeper})  # type: ignore[dict-item]
    with holding(later):
        pass
    later.memory.close()
    database.write_bytes(old)
    back = bare_site(tmp_path, {"mabs-01": keeper})  # type: ignore[dict-item]
    found = views(back)["mabs-01"]
    assert isinstance(found, ReconcilerError)
    assert found.diagnostic.code == "RCL5045"


def test_the_root_says_that_the_site_has_begun(tmp_path: Path) -> None:
    assert begun(tmp_path, "hq") is None
    note_begun(tmp_path, "hq", OURS, tmp_path / "hq.db", NOON)
    said = begun(tmp_path, "hq")
    assert said is not None
    assert (said.state, said.path) == (OURS.id, str(tmp_path / "hq.db"))
    (tmp_path / ".reconciler" / "state-hq.json").write_bytes(b"\xff")
    assert begun(tmp_path, "hq") is None
