"""Rebuilding: databases of a store that are gone, damaged or older -> made anew from the data, on record."""

from __future__ import annotations

from functools import partial

from reconciler.control.applying.apply import begin, end
from reconciler.control.approving.agreement import mandate_of
from reconciler.control.evidence.record import record_state
from reconciler.control.lease import HeldLease
from reconciler.control.site import Site
from reconciler.control.state.known_stores import NOT_THERE, keeper_of, largest_token, tell, views
from reconciler.control.state.points_on_record import note_points
from reconciler.errors import ReconcilerError, UsageError
from reconciler.model import DataSource
from reconciler.model.audit import Confirmation
from reconciler.model.similar_names import SEE_STATUS, did_you_mean_or_known
from reconciler.protocols import Fence, Rebuilds, StoreRebuild


def begin_above(site: Site) -> None:
    """Sees to it that the next lease has a larger token than any that a part of a store has seen: our state may be
    younger than the catalogs, begun while the database that knew their tokens was gone."""
    largest = largest_token(site)
    if largest > site.memory.locks.token():
        site.memory.locks.raise_floor(largest)


def is_left(site: Site, server: str) -> bool:
    """Whether a rebuild may begin: there is a state, or else data of a store whose database is gone too. Those data are
    then all that is left, and a state is begun for them. Raises `UsageError`, RCL5047, as `rebuild` does."""
    _rebuilding(site, server)
    keeper = keeper_of(site.engines[server])
    if site.memory.present or keeper is None:
        return True
    try:
        keeper.lineage()
    except ReconcilerError as error:
        return error.diagnostic.code == NOT_THERE
    return False


def rebuild(site: Site, server: str, source: DataSource | None, held: HeldLease, *, sound_too: bool) -> StoreRebuild:
    """Makes the server's database and every damaged catalog anew, or the one catalog of `source`. Raises `UsageError`,
    RCL5047, for a server that is not the site's or keeps no store of its own; what keeps the store that stands there
    from being taken for the one on record (another one, an older copy); what the engine raises."""
    engine = _rebuilding(site, server)
    view = views(site).get(server)
    lost = isinstance(view, ReconcilerError)
    if isinstance(view, ReconcilerError) and view.diagnostic.code != NOT_THERE:
        raise view
    run = begin(site, None, held, mandate_of(site, "store rebuild", Confirmation.NOT_NEEDED))
    done = engine.rebuild(source, held.fence, sound_too=sound_too)
    if lost and source is None:
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
    if done.replicas:
        note_points(site, server, run, None if lost and source is None else done.replicas)
    end(site, run, "done")
    return done


def _rebuilding(site: Site, server: str) -> Rebuilds:
    engine = site.engines.get(server)
    if not isinstance(engine, Rebuilds):
        remedy = did_you_mean_or_known(
            server, (name for name, each in site.engines.items() if isinstance(each, Rebuilds))
        )
        what = f"there is no server {server!r} with a store of its own"
        raise UsageError("RCL5047", what, remedy or SEE_STATUS, subject=server)
    return engine


def _note(site: Site, server: str, fence: Fence) -> None:
    """A database that was made anew counts from where the data says: our state takes that for what it saw last, where
    the data say that it is the store on record."""
    keeper, known = keeper_of(site.engines[server]), site.memory.stores.known().get(server)
    if site.memory.lineage() is None or keeper is None:
        return
    made = keeper.lineage()
    if known is None or (made.store is not None and made.store.id == known.store.id):
        tell(site, made, server, partial(keeper.note_state, fence=fence))
