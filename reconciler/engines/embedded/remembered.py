"""What a catalog alone remembers: the catalog that is put aside -> rows of the one that is made anew.

Copies of maps and packs know nothing of recoveries that never ended, of the bin, of blocks that were lost and of jobs
that made no map. They are taken over one by one, each only where it is as it was written and of the same store.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import NamedTuple

import msgspec

from reconciler.engines.embedded.catalog import REPLICA, Catalog
from reconciler.engines.embedded.committing import delete_blocks
from reconciler.engines.embedded.making import Place
from reconciler.engines.embedded.records import FACTS, POINT
from reconciler.engines.embedded.sealed import Rows
from reconciler.errors import ReconcilerError

#: Kinds of records whose rows are taken over as they are.
_PLAIN = ("cutOver", "job", "bad")


class Remembered(NamedTuple):
    """What was read, by kind and key; the points of the bin, and since when they are in it. `recoveries` says whether
    every recovery that had not ended is among it, `unknown_since` since when one may be missing."""

    rows: dict[str, dict[str, bytes]]
    binned: dict[str, datetime]
    recoveries: bool
    unknown_since: datetime | None


def remembered(place: Place, store: str, generation: int) -> Remembered:
    """What the catalog in the folder remembers. `store` is whose it must be, and `generation` how far it had come: an
    older copy need not know the recovery that came last."""
    rows: dict[str, dict[str, bytes]] = {}
    binned: dict[str, datetime] = {}
    recoveries, since = False, None
    try:
        with closing(Catalog(place.folder, place.source, store)) as old:
            if old.rows.store != store:
                return Remembered({}, {}, recoveries=False, unknown_since=None)
            found = old.rows.all("cutOver")
            rows["cutOver"] = found.bodies
            recoveries = not found.faults and old.rows.head().generation >= generation
            for kind in _PLAIN[1:]:
                rows[kind] = old.rows.all(kind).bodies
            points = [POINT.decode(body) for body in old.rows.all("point").bodies.values()]
            binned = {point.id: point.binned_at for point in points if point.binned_at is not None}
            since = old.facts().unknown_since
    except (ReconcilerError, OSError):
        pass  # what was read by then is taken over
    return Remembered(rows, binned, recoveries, since)


def put_remembered(rows: Rows, what: Remembered, now: datetime) -> None:
    """Takes it over, after what packs and copies say."""
    for kind in _PLAIN:
        for key, body in what.rows.get(kind, {}).items():
            if rows.get(kind, key) is None:
                rows.put(kind, key, body)
    for name in what.rows.get("bad", {}):
        # It did not read back: with a row of its own, the next point would be built on it.
        delete_blocks(rows, "name = ?", bytes.fromhex(name))
    for point, at in what.binned.items():
        record = rows.get("point", point)
        if record is not None:
            rows.put("point", point, msgspec.json.encode(msgspec.structs.replace(POINT.decode(record), binned_at=at)))
    since = what.unknown_since if what.recoveries else now
    said = rows.get("fact", REPLICA)
    if since is not None and said is not None:
        facts = msgspec.structs.replace(FACTS.decode(said), unknown_since=since)
        rows.put("fact", REPLICA, msgspec.json.encode(facts))
