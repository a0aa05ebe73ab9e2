"""Snapshots: what is written reads back the same, in both forms; what is cut, mixed or foreign is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.errors import Refused, Unreachable
from reconciler.model import (
    CatalogSnapshot,
    ClusterSnapshot,
    Consistency,
    KnownMember,
    LedgerEntry,
    ObservedGroup,
    PointKind,
    PoolVolume,
    RecoveryPoint,
    Replica,
    ReplicaState,
    ServerFacts,
    Sighting,
)
from reconciler.model.cluster import DiskKind, VirtualDisk
from reconciler.snapshots import ExportedCatalog, read_catalog, read_inventory, write_catalog, write_inventory
from tests.fakes import group
from tests.worlds import NOW, cluster, machine

FORMS = ("json", "jsonl")
_words = st.text(max_size=12)


@st.composite
def _clusters(draw: st.DrawFn) -> list[ClusterSnapshot]:
    found = []
    for name in draw(st.lists(st.sampled_from(["hci-01", "hci-02", "ä\n"]), unique=True, max_size=3)):
        machines = []
        for number in range(draw(st.integers(0, 4))):
            disk = VirtualDisk(path=draw(_words), kind=draw(st.sampled_from(DiskKind)), volume=draw(_words))
            labels = draw(st.dictionaries(_words, _words, max_size=3))
            made = machine(number, draw(_words))
            machines.append(type(made)(id=made.id, name=made.name, labels=labels, notes=draw(_words), disks=(disk,)))
        found.append(cluster(*machines, name=name))
    return found


@st.composite
def _held(draw: st.DrawFn) -> ExportedCatalog:
    catalogs, ledger, sightings = {}, [], []
    for server in draw(st.lists(st.sampled_from(["mabs-01", "mabs-02"]), unique=True)):
        groups, replicas, points = [], [], []
        for number in range(draw(st.integers(0, 3))):
            source = machine(number, "vm").source("hci-01")
            held = group(f"g{number}", source)
            groups.append(ObservedGroup(f"ref-{number}", held))
            replicas.append(Replica(source, "vol-a", ReplicaState.VALID, held.name, retention=timedelta(days=number)))
            kind = draw(st.sampled_from(PointKind))
            points.append(
                RecoveryPoint(f"p{number}", source, NOW, kind, Consistency.CRASH, number, draw(st.integers(0)))
            )
            known = KnownMember(source, draw(_words), draw(st.dictionaries(_words, _words, max_size=2)))
            ledger.append(LedgerEntry(server, f"ref-{number}", held, NOW, "run", (known,), document={"a": [1, None]}))
            sightings.append(Sighting(server, f"ref-{number}", held.name, NOW))
        catalogs[server] = CatalogSnapshot(
            server,
            NOW,
            ServerFacts("embedded"),
            tuple(groups),
            tuple(replicas),
            tuple(points),
            (PoolVolume("vol-a", 10, 5),),
        )
    document = draw(st.none() | st.dictionaries(_words, st.integers(), max_size=2))
    return ExportedCatalog("hq", catalogs, tuple(ledger), tuple(sightings), document)


_few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_few
@given(_clusters())
def test_an_inventory_reads_back_the_same(tmp_path: Path, clusters: list[ClusterSnapshot]) -> None:
    for form in FORMS:
        path = tmp_path / f"inventory.{form}"
        write_inventory(path, clusters)
        assert read_inventory(path) == {each.name: each for each in clusters}


@_few
@given(_held())
def test_a_catalog_reads_back_the_same(tmp_path: Path, held: ExportedCatalog) -> None:
    for form in FORMS:
        path = tmp_path / f"catalog.{form}"
        write_catalog(path, held)
        assert read_catalog(path) == held


def test_what_is_said_twice_is_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "catalog.jsonl"
    seen = group("gold", machine(1, "one").source("hci-01"))
    source = seen.members[0].source
    known = (KnownMember(source, "one", {"tier": "gold"}),)
    entries = (
        LedgerEntry("mabs-01", "ref", seen, NOW, "run", known),
        LedgerEntry("mabs-01", "other", group("iron", source), NOW, "run", known),
    )
    replica = Replica(source, "vol-a", ReplicaState.VALID, "gold")
    held = CatalogSnapshot("mabs-01", NOW, ServerFacts("embedded"), (ObservedGroup("ref", seen),), (replica,))
    write_catalog(path, ExportedCatalog("hq", {"mabs-01": held}, entries))
    read = read_catalog(path)
    (there,) = read.catalogs["mabs-01"].groups
    first, second = read.ledger
    assert first.applied is there.group
    assert second.applied is not there.group
    assert second.applied == entries[1].applied
    kept = there.group.members[0].source
    assert first.members[0].source is kept
    assert second.members[0].source is kept
    assert read.catalogs["mabs-01"].replicas[0].source is kept
    inventory = tmp_path / "inventory.jsonl"
    write_inventory(inventory, [cluster(machine(1, "one", "gold"), machine(2, "two", "gold"))])
    one, two = read_inventory(inventory)["hci-01"].machines
    assert one.labels["tier"] is two.labels["tier"]


# --- What is refused -------------------------------------------------------------------------------------------


def _written(tmp_path: Path, form: str) -> tuple[Path, Path]:
    inventory, catalog = tmp_path / f"inventory.{form}", tmp_path / f"catalog.{form}"
    write_inventory(inventory, [cluster(machine(1, "one"), machine(2, "two"))])
    source = machine(1, "one").source("hci-01")
    held = CatalogSnapshot("mabs-01", NOW, ServerFacts("embedded"), (ObservedGroup("ref", group("gold", source)),))
    write_catalog(catalog, ExportedCatalog("hq", {"mabs-01": held}))
    return inventory, catalog


def _refusal(read: Callable[[Path], Any], path: Path) -> str:
    with pytest.raises(Refused) as caught:
        read(path)
    return str(caught.value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("read", [read_inventory, read_catalog], ids=["inventory", "catalog"])
def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path, form: str, read: Callable[[Path], Any]) -> None:
    path = _written(tmp_path, form)[read is read_catalog]
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        _refusal(read, path)


@pytest.mark.parametrize("read", [read_inventory, read_catalog])
def test_a_file_that_is_too_deep_is_refused(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    path = _written(tmp_path, "json")[read is read_catalog]
    deep = b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b", "
    path.write_bytes(path.read_bytes().replace(b"{", deep, 1))
    _refusal(read, path)


def test_lines_that_are_missing_or_in_the_wrong_place_are_refused(tmp_path: Path) -> None:
    inventory, catalog = _written(tmp_path, "jsonl")
    header, first, one, two = inventory.read_bytes().splitlines(keepends=True)
    theirs = catalog.read_bytes().splitlines(keepends=True)[1:]
    for lines, why in (
        ((header, first, two), "should hold 3 lines after its header, and holds 2"),
        ((header, first, one, two, two), "holds 4"),
        ((header, one, first, two), "neither a cluster nor a virtual machine"),
        ((header, first, one, theirs[0]), "neither a cluster nor a virtual machine"),
        ((header, first, one, first), "neither a cluster nor a virtual machine"),
        ((header, first, one, b'{"machine": {"id": 7}}\n'), "wrong line 4"),
        ((header, first, one, b"\xff\n"), "wrong line 4"),
        ((header, first, one, b'{"machine": ' + b"[" * 100_000 + b"\n"), "wrong line 4"),
    ):
        inventory.write_bytes(b"".join(lines))
        assert why in _refusal(read_inventory, inventory)
    head = catalog.read_bytes().splitlines(keepends=True)[0]
    catalog.write_bytes(b"".join((head, theirs[1], theirs[0])))
    assert "out of its place" in _refusal(read_catalog, catalog)


@pytest.mark.parametrize("form", FORMS)
def test_another_kind_or_a_newer_version_is_refused(tmp_path: Path, form: str) -> None:
    inventory, catalog = _written(tmp_path, form)
    assert "is Catalog, version 1.0; Inventory of version 1.0 is wanted" in _refusal(read_inventory, catalog)
    assert "is Inventory, version 1.0; Catalog of version 1.0 is wanted" in _refusal(read_catalog, inventory)
    text = inventory.read_text()
    inventory.write_text(text.replace('"1.0"', '"2.0"', 1))
    assert "version 2.0" in _refusal(read_inventory, inventory)
    inventory.write_text(text.replace('"1.0"', '"1.7"', 1))
    assert len(read_inventory(inventory)["hci-01"].machines) == 2
    with pytest.raises(Unreachable):
        read_catalog(tmp_path / "none.json")


def test_a_later_minor_version_may_add_fields_and_lines(tmp_path: Path) -> None:
    inventory, _ = _written(tmp_path, "jsonl")
    header, *lines = inventory.read_text().splitlines()
    told = json.loads(header) | {"formatVersion": "1.1", "lines": 4, "new": True}
    added = json.dumps({"witness": {"name": "w"}})
    inventory.write_text("\n".join([json.dumps(told), *lines, added]) + "\n")
    assert len(read_inventory(inventory)["hci-01"].machines) == 2
    inventory.write_text("\n".join([json.dumps(told | {"formatVersion": "1.0"}), *lines, added]) + "\n")
    _refusal(read_inventory, inventory)


def test_the_form_is_seen_from_the_content(tmp_path: Path) -> None:
    inventory, _ = _written(tmp_path, "jsonl")
    other = inventory.rename(tmp_path / "inventory.json")
    assert set(read_inventory(other)) == {"hci-01"}
    pretty = tmp_path / "pretty.jsonl"
    write_inventory(tmp_path / "plain.json", read_inventory(other).values())
    pretty.write_text(json.dumps(json.loads((tmp_path / "plain.json").read_text()), indent=2))
    assert read_inventory(pretty) == read_inventory(other)
