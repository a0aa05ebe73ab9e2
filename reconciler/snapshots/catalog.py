"""An exported catalog: what servers held, and our ledger of it -> a file, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from reconciler import files
from reconciler.model import (
    CatalogSnapshot,
    LedgerEntry,
    ObservedGroup,
    RecoveryPoint,
    Replica,
    Sighting,
)
from reconciler.snapshots.form import Header, SnapshotFile, Sort, as_lines, line
from reconciler.snapshots.sharing import Shared

SORT = Sort("Catalog", "1.0", "catalog snapshot", unreadable="RCL2022", wrong="RCL2023")


class ExportedCatalog(msgspec.Struct, frozen=True):
    """What the servers of `site` held, by name, and what its state said of it: the ledger, when its groups were last
    seen as we left them, and the Site as it was last applied (None: nothing was)."""

    site: str
    catalogs: dict[str, CatalogSnapshot]
    ledger: tuple[LedgerEntry, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    site_document: dict[str, Any] | None = None


class CatalogDocument(Header, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """The file as one document."""

    servers: tuple[CatalogSnapshot, ...]
    ledger: tuple[LedgerEntry, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    site_document: dict[str, Any] | None = None


class CatalogLine(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One line: a server without what it holds; a group, a replica or a point of the server before it; an entry of
    the ledger; a sighting; the Site as it was last applied."""

    server: CatalogSnapshot | UnsetType = UNSET
    group: ObservedGroup | UnsetType = UNSET
    replica: Replica | UnsetType = UNSET
    point: RecoveryPoint | UnsetType = UNSET
    entry: LedgerEntry | UnsetType = UNSET
    sighting: Sighting | UnsetType = UNSET
    site_document: dict[str, Any] | UnsetType = UNSET


class _Server(msgspec.Struct):
    """A server that is being read."""

    head: CatalogSnapshot
    groups: list[ObservedGroup] = []
    replicas: list[Replica] = []
    points: list[RecoveryPoint] = []

    @property
    def whole(self) -> CatalogSnapshot:
        parts = {"groups": tuple(self.groups), "replicas": tuple(self.replicas), "points": tuple(self.points)}
        return msgspec.structs.replace(self.head, **parts)


def catalog_parts(held: ExportedCatalog, *, lines: bool) -> Iterator[bytes]:
    """The bytes of the file, in parts."""
    servers = [held.catalogs[name] for name in sorted(held.catalogs)]
    if not lines:
        yield line(
            CatalogDocument(
                format_version=SORT.version,
                kind=SORT.kind,
                site=held.site,
                servers=tuple(servers),
                ledger=held.ledger,
                sightings=held.sightings,
                site_document=held.site_document,
            )
        )
        return
    count = sum(1 + len(each.groups) + len(each.replicas) + len(each.points) for each in servers)
    count += len(held.ledger) + len(held.sightings) + (held.site_document is not None)
    yield line(Header(SORT.version, SORT.kind, count, held.site))
    for each in servers:
        yield line(CatalogLine(server=msgspec.structs.replace(each, groups=(), replicas=(), points=())))
        yield from (line(CatalogLine(group=group)) for group in each.groups)
        yield from (line(CatalogLine(replica=replica)) for replica in each.replicas)
        yield from (line(CatalogLine(point=point)) for point in each.points)
    yield from (line(CatalogLine(entry=entry)) for entry in held.ledger)
    yield from (line(CatalogLine(sighting=sighting)) for sighting in held.sightings)
    if held.site_document is not None:
        yield line(CatalogLine(site_document=held.site_document))


def write_catalog(path: Path, held: ExportedCatalog) -> None:
    """Writes the file, whole or not at all."""
    files.write_parts(path, catalog_parts(held, lines=as_lines(path)))


def read_catalog(path: Path) -> ExportedCatalog:
    """What a file holds. Raises `Unreachable` where it is not there, `Refused` where it is none, or not all of
    one."""
    with SnapshotFile(path, SORT) as file:
        if file.header is None:
            found = file.document(CatalogDocument)
            catalogs = {each.server: each for each in found.servers}
            return ExportedCatalog(found.site, catalogs, found.ledger, found.sightings, found.site_document)
        return _of_lines(file, file.header.site)


def _of_lines(file: SnapshotFile, site: str) -> ExportedCatalog:
    servers: dict[str, _Server] = {}
    here: _Server | None = None
    ledger: list[LedgerEntry] = []
    sightings: list[Sighting] = []
    document: dict[str, Any] | None = None
    shared = Shared()
    for some in file.lines(CatalogLine):
        shared.replicas([each.replica for each in some if each.replica is not UNSET])
        for each in some:
            if each.replica is not UNSET and here is not None:
                here.replicas.append(each.replica)
            elif each.point is not UNSET and here is not None:
                here.points.append(each.point)
            elif each.group is not UNSET and here is not None:
                shared.group(here.head.server, each.group)
                here.groups.append(each.group)
            elif each.entry is not UNSET:
                ledger.append(shared.entry(each.entry))
            elif each.sighting is not UNSET:
                sightings.append(each.sighting)
            elif each.site_document is not UNSET:
                document = each.site_document
            elif each.server is not UNSET and each.server.server not in servers:
                here = servers[each.server.server] = _Server(each.server)
            elif not (file.newer and each == CatalogLine()):
                raise file.refused("has a line that is not a part of a catalog, or out of its place")
    catalogs = {name: server.whole for name, server in servers.items()}
    return ExportedCatalog(site, catalogs, tuple(ledger), tuple(sightings), document)
