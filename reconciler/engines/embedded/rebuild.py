"""Rebuilding: packs with their footers, copies of maps, identities -> databases made anew. What was there is kept.

A catalog is whole again up to what only it knew; of that, what still reads of the former one is taken over
(`remembered.py`). Until a consistency check has read everything the replica counts as inconsistent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from reconciler import files
from reconciler.engines.embedded import copies, maps
from reconciler.engines.embedded.catalog import REPLICA, Catalog
from reconciler.engines.embedded.committing import put_copy, put_pack
from reconciler.engines.embedded.lost import unreachable
from reconciler.engines.embedded.making import Place, identity_of, new_catalog, take_lock, write_identity
from reconciler.engines.embedded.packs import read_footer, sealed_packs
from reconciler.engines.embedded.records import (
    ASSIGNMENT,
    Assignment,
    Facts,
    Identity,
    KnownReplica,
    KnownVolume,
    as_recorded,
    source_key,
)
from reconciler.engines.embedded.remembered import put_remembered, remembered
from reconciler.engines.embedded.replica import ReplicaStore
from reconciler.engines.embedded.sealed import Head, Rows, stale
from reconciler.engines.embedded.server import ServerStore
from reconciler.engines.embedded.upgrade import UNNAMED
from reconciler.errors import Damaged, Diagnostic, ReconcilerError, Refused, Severity, Unreachable
from reconciler.model import DataSource, ExistingPoints, Lineage, ReplicaState
from reconciler.protocols import Fence

#: Kept as long as nobody says otherwise: the rules are not known when the server's database is lost.
_UNKNOWN_RETENTION = timedelta(days=36_500)


class Rebuilt(NamedTuple):
    """A catalog made anew: whose, how many points and packs are in it, where the former one is kept ("" for none), and
    what could not be taken over."""

    source: DataSource
    known: KnownReplica
    points: int
    packs: int
    kept: str
    findings: tuple[Diagnostic, ...]


# --- A catalog -------------------------------------------------------------------------------------------------


def rebuild_catalog(place: Place, fence: Fence, now: datetime, *, sound_too: bool) -> Rebuilt | None:
    """Makes the catalog anew from packs and copies. None where it is sound, unless `sound_too`, or was never begun.
    Raises `Unreachable` where the folder itself is not there, `Refused`, RCL4027, where nothing says whose it is."""
    if not place.folder.is_dir():
        if place.known is None:
            return None
        raise unreachable(place.folder, f"the replica store of {place.source}")
    if not sound_too and _sound(place):
        return None
    with _locked(place.folder):
        found = list(_copies(place))
        _refuse_foreign(place)
        store, generation, tokens = _who(place, found)
        if not found and next(sealed_packs(place.folder / "packs"), None) is not None:
            what = f"there are packs in {place.folder}, and no copy of a map (version 0.1 wrote none that say enough)"
            remedy = "Restore catalog.db from a backup, such as catalog-format-1.db beside it. Nothing was changed."
            raise Refused("RCL4027", what, remedy, subject=str(place.folder))
        findings: list[Diagnostic] = []
        if fence.token < tokens.get(fence.lease, 0):
            raise stale(fence, tokens[fence.lease], place.folder.name)
        tokens[fence.lease] = fence.token
        known = remembered(place, store, generation)
        kept = _set_aside(place.folder, now)
        head = Head(store, generation + 1, tokens, server=place.server)
        with new_catalog(place.folder, head) as rows:
            packs = _put_packs(rows, place, store, findings)
            points = _put_maps(rows, [each for each in found if each.store == store], now, findings)
            put_remembered(rows, known, now)
        if place.server is not None:
            write_identity(place, store)
    return Rebuilt(place.source, KnownReplica(store, generation + 1), points, packs, kept, tuple(findings))


def _sound(place: Place) -> bool:
    from reconciler.engines.embedded.check import Counts, check_catalog

    try:
        with ReplicaStore(place) as store:
            return not check_catalog(store, Counts())
    except (ReconcilerError, OSError):
        return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = take_lock(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def _copies(place: Place) -> Iterator[copies.Copy]:
    """Every copy that reads, by number and generation."""
    for name in copies.named(place.folder / "points"):
        try:
            copy = copies.read(name.path)
        except Damaged:
            continue
        if copy.source == place.source:
            yield copy


def _refuse_foreign(place: Place) -> None:
    """Raises `Refused`, RCL4027, where whatever says whose the folder is names another store than the one on record:
    it is somebody else's, and nothing of it is moved or written over."""
    said, server = identity_of(place.folder), place.server.id if place.server is not None else ""
    owners = {said.server} if said is not None else set()
    stores = {said.store} if said is not None else set()
    for name in copies.named(place.folder / "points"):
        try:
            copy = copies.read(name.path)
        except Damaged:
            continue
        owners.add(copy.server.id)
        stores.add(copy.store)
    try:
        with closing(Catalog(place.folder, place.source, "")) as catalog:
            head = catalog.rows.head()
            stores.add(head.store)
            owners |= {head.server.id} if head.server is not None else set()
    except (ReconcilerError, OSError):
        pass  # it is gone or damaged: that is why it is made anew
    owners -= {"", UNNAMED}
    stores -= {"", UNNAMED}
    another = ""
    if server not in ("", UNNAMED) and owners and server not in owners:
        another = f"the server store {', '.join(sorted(owners))}, not to {server}"
    elif said is not None and server not in ("", UNNAMED) and said.server not in ("", UNNAMED, server):
        another = f"the server store {said.server}, not to {server}"
    elif place.known is not None and stores and place.known.store not in stores:
        another = f"the replica store {', '.join(sorted(stores))}, not to {place.known.store}"
    if another:
        what = f"{place.folder} belongs to {another}"
        remedy = "Put back what was there, or mount the right disk. Nothing was changed."
        raise Refused("RCL4027", what, remedy, subject=str(place.folder))


def _who(place: Place, found: list[copies.Copy]) -> tuple[str, int, dict[str, int]]:
    """The id of the replica store, the largest generation that anybody knows of, and the largest tokens."""
    said = identity_of(place.folder)
    if said is not None and said.source != place.source:
        what = f"{place.folder} is the replica store of {said.source}, not of {place.source}"
        raise Refused("RCL4027", what, "Put the folders back where they were.", subject=str(place.folder))
    votes = [said.store] if said else []
    votes += [place.known.store] if place.known else []
    votes += [copy.store for copy in found[-1:]]
    if not votes:
        what = f"nothing in {place.folder} says whose it is: there is neither a copy of a map nor an identity"
        raise Refused("RCL4027", what, "Restore its catalog from a backup.", subject=str(place.folder))
    store = place.known.store if place.known else max(votes, key=votes.count)
    generation = max([copy.generation for copy in found if copy.store == store], default=0)
    generation = max(generation, place.known.generation if place.known else 0)
    tokens: dict[str, int] = {}
    for copy in found:
        for lease, token in copy.tokens.items():
            tokens[lease] = max(token, tokens.get(lease, 0))
    try:
        with ReplicaStore(place) as old:
            head = old.rows.head()
            generation = max(generation, head.generation)
            tokens |= {lease: max(token, tokens.get(lease, 0)) for lease, token in head.tokens.items()}
    except (ReconcilerError, OSError):
        pass  # it is gone, damaged or another one: what the copies say has to do
    return store, generation, tokens


def _set_aside(folder: Path, now: datetime) -> str:
    """Gives the catalog that is there, and its log, another name."""
    kept = ""
    for ending in ("-wal", "-shm", ""):
        path = folder / f"catalog.db{ending}"
        if path.exists():
            target = folder / f"catalog-before-{now:%Y%m%dT%H%M%SZ}.db{ending}"
            files.rename(path, target)
            kept = str(target)
    return kept


def _put_packs(rows: Rows, place: Place, store: str, findings: list[Diagnostic]) -> int:
    count = 0
    for path in sealed_packs(place.folder / "packs"):
        try:
            footer = read_footer(path)
        except Damaged as error:
            findings.append(error.diagnostic)
            continue
        if footer.pack != path.stem or footer.head.source != str(place.source) or footer.head.store not in ("", store):
            findings.append(_left_out(path, "it says that it is of another replica store"))
            continue
        put_pack(rows, footer)
        count += 1
    return count


def _put_maps(rows: Rows, found: list[copies.Copy], now: datetime, findings: list[Diagnostic]) -> int:
    """Every map whose chain is whole, with its point; a point whose blocks or digests do not fit is left out."""
    machines: dict[int, maps.MachineMap] = {}
    newest: copies.Copy | None = None
    points = 0
    latest = {copy.number: copy for copy in found}  # of two of one number the later one counts
    last_use = {copy.base: copy.number for copy in sorted(latest.values(), key=lambda copy: copy.number)}
    for number in sorted(latest):
        copy = latest[number]
        try:
            base = machines[copy.base] if copy.base is not None else None
            machine = maps.decode(copy.body, base)
            if copy.point is not None:
                as_recorded(machine, copy.point)
        except (Damaged, KeyError) as error:
            why = str(error) if isinstance(error, Damaged) else f"the map {error} that it stands on is missing"
            findings.append(_left_out(Path(f"{number:08d}.{copy.generation:010d}.map"), why))
            continue
        machines[number] = machine
        for done in [each for each in machines if last_use.get(each, 0) <= number]:
            del machines[done]  # only what a later map stands on is held in memory
        put_copy(rows, copy)
        points += copy.point is not None
        newest = copy
    facts = newest.facts if newest is not None else Facts()
    if newest is not None and facts.state is not ReplicaState.PENDING:
        because = f"its catalog was rebuilt at {now:%Y-%m-%d %H:%M} UTC; a consistency check confirms it"
        facts = msgspec.structs.replace(
            facts, current_map=newest.number, state=ReplicaState.INCONSISTENT, inconsistent_because=because
        )
    rows.put("fact", REPLICA, msgspec.json.encode(facts))
    return points


def _left_out(path: Path, why: str) -> Diagnostic:
    return Diagnostic(
        "RCL4024",
        Severity.WARNING,
        f"{path.name} was not taken over: {why}",
        "The file stays as it is. Points that need it are not in the catalog that was rebuilt.",
        subject=str(path),
    )


# --- The server's database -------------------------------------------------------------------------------------


def rebuild_server(server: ServerStore, fence: Fence) -> tuple[DataSource, ...]:
    """Where the server's database is gone: makes it anew, with an inactive assignment for each replica store that says
    it is this server's. Its points are kept for ever until a group takes them over again. Returns the data sources."""
    try:
        server.presence()
        return ()
    except Unreachable:
        pass
    found = list(_replicas(server))
    owners = [said.server for _, said in found]
    marked = server.marked()
    if not owners and not marked:
        what = f"nothing in {server.path} says whose it is"
        raise Refused("RCL4027", what, "Restore server.db from a backup.", subject=str(server.path))
    store = marked or max(owners, key=owners.count)
    mine = [(folder, said) for folder, said in found if said.server == store]
    generation, tokens, assignments = 0, {fence.lease: fence.token}, []
    known: dict[str, KnownReplica] = {}
    for folder, said in mine:
        held = _held(folder, said)
        generation = max(generation, held.server)
        for lease, token in held.tokens.items():
            tokens[lease] = max(token, tokens.get(lease, 0))
        assignments.append(held.assignment)
        known[source_key(said.source)] = KnownReplica(said.store, held.generation, told=held.mark)
    volumes = {said.volume: KnownVolume(marker.id) for _, said in mine if (marker := server.marker_of(said.volume))}
    server.make_again(Head(store, generation + 1, tokens), fence, assignments, known, volumes)
    return tuple(sorted(each.source for each in assignments))


class _Held(NamedTuple):
    assignment: Assignment
    generation: int
    server: int
    mark: str
    tokens: dict[str, int]


def largest_token(server: ServerStore) -> int:
    """The largest fencing token that the server's database, a catalog or a copy of a map has seen; 0 for none."""
    found = 0
    with suppress(ReconcilerError, OSError):
        found = server.lineage().token
    for folder, said in _replicas(server):
        tokens = [_held(folder, said).tokens]
        tokens += [copy.tokens for copy in _copies(Place(folder, said.source, said.volume))]
        found = max([found, *(max(each.values(), default=0) for each in tokens)])
    return found


def _replicas(server: ServerStore) -> Iterator[tuple[Path, Identity]]:
    for folder in sorted((server.path / "volumes").glob("*/*")):
        said = identity_of(folder)
        if said is not None:
            yield folder, said


def _held(folder: Path, said: Identity) -> _Held:
    """What the replica store knows of itself and of the rules that its points stood under."""
    fallen_back = Assignment(
        said.source, said.volume, folder.name, None, ExistingPoints.KEEP_FOREVER, _UNKNOWN_RETENTION, 3
    )
    try:
        with ReplicaStore(Place(folder, said.source, said.volume)) as store:
            head = store.rows.head()
            body = store.rows.get("fact", "assignment")
    except (ReconcilerError, OSError):
        return _Held(fallen_back, 0, 0, "", {})
    assignment = fallen_back
    if body is not None:
        last = ASSIGNMENT.decode(body)
        assignment = msgspec.structs.replace(fallen_back, retention=last.retention, minimum_points=last.minimum_points)
    server = head.server or Lineage("", 0)
    return _Held(assignment, head.generation, server.generation, server.mark, dict(head.tokens))
