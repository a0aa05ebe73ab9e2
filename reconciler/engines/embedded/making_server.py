"""Making the folder of a server: a first use, on record -> its database and its marker; and what these say."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from reconciler import encoded, files, sqlite
from reconciler.engines.embedded import upgrade
from reconciler.engines.embedded.records import (
    ASSIGNMENT,
    FORMAT,
    MARKER,
    VOLUME,
    Assignment,
    KnownReplica,
    Marker,
    VolumeMarker,
    source_key,
)
from reconciler.engines.embedded.sealed import Head, Rows, new_identity, open_file, seal_file
from reconciler.errors import Refused, StaleFence
from reconciler.protocols import Fence

MIGRATIONS = "reconciler.engines.embedded.server_sql"

#: How the names begin of what a process that was killed while it made a store left: nothing was ever in it.
UNFINISHED = "server.new"


def read_marker(folder: Path) -> Marker | None:
    """`format.json`; None where it is missing or not as it was written. A newer format is refused."""
    path = folder / "format.json"
    try:
        data = files.read_regular(path, 65536)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise sqlite.unreadable(path, error) from error
    try:
        said = MARKER.decode(data)
    except encoded.Wrong:
        return None
    if said.format > FORMAT or said.needs:
        raise Refused(
            "RCL4001",
            f"the store {folder} has format {said.format}; this version knows up to format {FORMAT}",
            "Use the version that wrote it, or a newer one. Nothing was changed.",
            subject=str(folder),
        )
    if said.format == 1:
        return said
    return open_file(data, MARKER)


def volume_marker(folder: Path) -> VolumeMarker | None:
    """`volume.json`; None where it is missing or not as it was written."""
    try:
        return open_file(files.read_regular(folder / "volume.json", 65536), VOLUME)
    except OSError:
        return None


def make_server(folder: Path, head: Head, fence: Fence, fill: Callable[[Rows], None] = lambda rows: None) -> None:
    """Makes the database whole beside its place, then puts it there; the marker follows. A maker that was stopped until
    another one took over replaces nothing of that one's: raises `StaleFence`."""
    files.make_folder(folder)
    path = folder / f"{UNFINISHED}-{new_identity()}"  # nobody else's: two makers may be at work
    os.close(files.create(path))
    db = sqlite.connect(path, migrations=MIGRATIONS)
    try:
        with sqlite.transaction(db, path):
            upgrade.drop_former_server(db)
            rows = Rows(db, path)
            rows.begin(head)
            fill(rows)
            rows.end()
    finally:
        db.close()
    try:
        fence.check()
        files.put_new(path, folder / "server.db")
    except (FileExistsError, FileNotFoundError):  # there is a store, or its maker has tidied up
        what = f"a store was made in {folder} meanwhile"
        remedy = "Another process took over. Start the command again."
        raise StaleFence("RCL5004", what, remedy, subject=str(folder)) from None
    finally:
        path.unlink(missing_ok=True)
    files.write_whole(folder / "format.json", seal_file(Marker(FORMAT, head.store)))


def remove_unfinished(folder: Path) -> None:
    """Removes what makers that were killed left; only where the store is there."""
    for path in sorted(folder.glob(f"{UNFINISHED}*")):
        files.unlink(path)


def upgrade_server(db: sqlite.Connection, database: Path, folder_of: Callable[[Assignment], Path]) -> None:
    """Format 1 -> 2; a copy of the database was put beside it before. Replica stores that are there get their ids;
    their catalogs are upgraded by the next job of each."""
    rows = Rows(db, database)
    with sqlite.transaction(db, database), upgrade.said_of(database):
        rows.begin(Head(new_identity()))
        found = [ASSIGNMENT.decode(row["body"]) for row in db.execute("SELECT body FROM replica").fetchall()]
        known = {
            source_key(each.source): KnownReplica(new_identity(), 0)
            for each in found
            if (folder_of(each) / "catalog.db").exists()
        }
        upgrade.convert_server(rows, known)
        rows.end()
