"""Observing: a site -> what its clusters and its backup servers show at this moment."""

from __future__ import annotations

from datetime import datetime

import msgspec

from reconciler.control.approving.moved_endpoints import elsewhere_by_now
from reconciler.control.error_boundary import Bounds
from reconciler.control.site import Site
from reconciler.control.state.known_stores import ReadAlone, StoreView, views
from reconciler.errors import Diagnostic, ReconcilerError
from reconciler.model import CatalogSnapshot, ClusterSnapshot, LedgerEntry


class Unreached(msgspec.Struct, frozen=True):
    """A cluster or a server (`kind`) that could not be seen, and why."""

    kind: str
    name: str
    why: Diagnostic


class Observation(msgspec.Struct, frozen=True):
    """What was seen. `troubles` are the clusters and servers that could not be; those are not in the mappings, and
    `unreached` names each of them.
    `stores` are those of engines that keep one of their own. `copies` are what stores show that are read alone: they
    are among the troubles, and are read from, never planned or written by."""

    at: datetime
    clusters: dict[str, ClusterSnapshot]
    catalogs: dict[str, CatalogSnapshot]
    ledger: tuple[LedgerEntry, ...]
    troubles: tuple[ReconcilerError, ...] = ()
    stores: dict[str, StoreView] = {}
    copies: dict[str, CatalogSnapshot] = {}
    unreached: tuple[Unreached, ...] = ()

    @property
    def readable(self) -> dict[str, CatalogSnapshot]:
        """What can be recovered from: the catalogs, and older copies of stores that are all that is left."""
        return self.catalogs | self.copies

    @property
    def whole(self) -> bool:
        """Whether everything could be seen: only then may a plan be made."""
        return not self.troubles

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """What the engines found while they read themselves, and what could not be seen at all."""
        seen = tuple(finding for catalog in self.catalogs.values() for finding in catalog.findings)
        unreadable = tuple(error.diagnostic for error in self.troubles)
        return seen + unreadable


def observe(site: Site) -> Observation:
    """Everything that can be seen now. Never raises for a cluster or a server that cannot be, whatever the reason."""
    clusters: dict[str, ClusterSnapshot] = {}
    catalogs: dict[str, CatalogSnapshot] = {}
    unreached: list[Unreached] = []
    bounds = Bounds(site.folder)
    for name, inventory in site.inventories.items():
        with bounds.about(f"the cluster {name}"):
            try:
                clusters[name] = inventory.observe()
            except ReconcilerError as error:
                raise elsewhere_by_now(site, "cluster", name, error) from error.__cause__
        if name not in clusters:
            unreached.append(Unreached("cluster", name, bounds.troubles[-1].diagnostic))
    stores: dict[str, StoreView] = {}
    copies: dict[str, CatalogSnapshot] = {}
    judged = views(site)
    for name, engine in site.engines.items():
        with bounds.about(f"the server {name}"):
            view = judged.get(name)
            if isinstance(view, ReadAlone):
                with bounds.about(f"what is there of {name}"):
                    copies[name] = engine.observe()
            if isinstance(view, ReconcilerError):
                raise view
            if view is not None:
                stores[name] = view
            catalogs[name] = engine.observe()
        if name not in catalogs:
            unreached.append(Unreached("server", name, bounds.troubles[-1].diagnostic))
    ledger = site.memory.ledger.entries()
    return Observation(site.now(), clusters, catalogs, ledger, tuple(bounds.troubles), stores, copies, tuple(unreached))


def observe_whole(site: Site) -> Observation:
    """Everything, or the first error: what a plan is made from."""
    observation = observe(site)
    for error in observation.troubles:
        raise error
    return observation
