"""Making a replica store: a first use, on record -> its folder, who it is, and an empty catalog. Only here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec

from reconciler import files, sqlite, system_calls
from reconciler.engines.embedded.catalog import MIGRATIONS, REPLICA
from reconciler.engines.embedded.records import FORMAT, IDENTITY, Facts, Identity, KnownReplica
from reconciler.engines.embedded.sealed import Head, Rows, new_identity, open_file, seal_file
from reconciler.engines.embedded.upgrade import drop_former_catalog
from reconciler.errors import TemporaryError
from reconciler.model import DataSource, Lineage
from reconciler.protocols import Fence


class Place(msgspec.Struct, frozen=True):
    """Where a replica store is, and what others know of it. `known` is what the server's database has on record of it,
    `server` that database's own identity and generation; None where nobody can say."""

    folder: Path
    source: DataSource
    volume: str = ""
    known: KnownReplica | None = None
    server: Lineage | None = None


def identity_of(folder: Path) -> Identity | None:
    """Who the replica store says it is; None where the file is missing or not as it was written."""
    try:
        return open_file(files.read_regular(folder / "identity.json", 65536), IDENTITY)
    except OSError:
        return None


def begun(folder: Path) -> bool:
    """Whether there is anything of a replica store but its identity."""
    return any((folder / name).exists() for name in ("catalog.db", "packs", "points"))


def take_lock(folder: Path) -> int:
    """Takes the replica store for one writer; the descriptor that is returned holds it until it is closed. Raises
    `TemporaryError`, RCL4007, while another one has it."""
    descriptor = system_calls.open_file(folder / "lock", os.O_RDWR | os.O_CREAT, follow=False)
    try:
        system_calls.lock(descriptor, wait=False)
    except BlockingIOError:
        os.close(descriptor)
        raise TemporaryError(
            "RCL4007",
            f"another job is at work in {folder.name}",
            "It is tried again automatically.",
            subject=folder.name,
            retry_after=timedelta(seconds=60),
        ) from None
    return descriptor


def create(place: Place, fence: Fence) -> KnownReplica:
    """The first use: makes the folder, writes down who it is, and an empty catalog. A folder that was begun and holds
    nothing yet is gone on with."""
    assert place.server is not None
    files.make_folder(place.folder)
    said = identity_of(place.folder)
    store = said.store if said is not None and said.server == place.server.id else new_identity()
    write_identity(place, store)
    head = Head(store, server=place.server, tokens={fence.lease: fence.token})
    with new_catalog(place.folder, head) as rows:
        rows.put("fact", REPLICA, msgspec.json.encode(Facts()))
    return KnownReplica(store, 0)


@contextmanager
def new_catalog(folder: Path, head: Head) -> Iterator[Rows]:
    """Makes a catalog whole beside its place, then puts it there: there is never half of one."""
    path = folder / "catalog.new"
    os.close(files.create(path))
    try:
        with closing(sqlite.connect(path, migrations=MIGRATIONS)) as db, sqlite.transaction(db, path):
            drop_former_catalog(db)
            rows = Rows(db, path)
            rows.begin(head)
            yield rows
            rows.end()
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    files.rename(path, folder / "catalog.db")


def write_identity(place: Place, store: str) -> None:
    assert place.server is not None
    identity = Identity(FORMAT, store, place.server.id, place.volume, place.source)
    if identity_of(place.folder) is None or identity_of(place.folder) != _sealed(identity):
        files.write_whole(place.folder / "identity.json", seal_file(identity))


def _sealed(identity: Identity) -> Identity:
    return IDENTITY.decode(seal_file(identity))
