"""Rebuilding: databases of a store that are gone, damaged or older -> made anew from the data, on record."""

from __future__ import annotations

from functools import partial

from reconciler.control.agreeing import mandate_of
from reconciler.control.apply import begin, end
from reconciler.control.evidence import record_state
from reconciler.control.lease import Holding
from reconciler.control.site import Site
from reconciler.control.stores import keeper_of, largest_token, tell
from reconciler.errors import UsageError
from reconciler.model import DataSource
from reconciler.protocols import Fence, Rebuilds, StoreRebuild


def begin_above(site: Site) -> None:
    """Sees to it that the next lease has a larger token than any that a part of a store has seen: our state may be
    younger than the catalogs, begun while the database that knew their tokens was gone."""
    largest = largest_token(site)
    if largest > site.memory.locks.token():
        site.memory.locks.raise_floor(largest)


def rebuild(site: Site, server: str, source: DataSource | None, held: Holding, *, sound_too: bool) -> StoreRebuild:
    """Makes the server's database and every damaged catalog anew, or the one catalog of `source`. Raises `UsageError`,
    RCL5047, for a server that is not the site's or keeps no store of its own; what the engine raises."""
    engine = site.engines.get(server)
    if not isinstance(engine, Rebuilds):
        known = ", ".join(sorted(name for name, each in site.engines.items() if isinstance(each, Rebuilds)))
        raise UsageError(
            "RCL5047", f"there is no server {server!r} with a store of its own", f"One of {known or 'none'}."
        )
    run = begin(site, None, held, mandate_of(site, "store rebuild", ""))
    done = engine.rebuild(source, held.fence, sound_too=sound_too)
    _note(site, server, held.fence)
    record_state(
        site,
        "storeRebuilt",
        run,
        server=server,
        assignments=len(done.assignments),
        replicas=" ".join(str(each) for each in done.replicas),
        points=done.points,
        kept=" ".join(done.kept),
    )
    end(site, run, "done")
    return done


def _note(site: Site, server: str, fence: Fence) -> None:
    """A database that was made anew counts from where the data says: our state takes that for what it saw last."""
    keeper = keeper_of(site.engines[server])
    if site.memory.lineage() is None or keeper is None:
        return
    tell(site, keeper.lineage(), server, partial(keeper.note_state, fence=fence))
