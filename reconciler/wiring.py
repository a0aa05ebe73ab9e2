"""Wiring: policies -> a site with concrete adapters behind its protocols. The only room that knows them all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from reconciler.control.bounds import Bounds
from reconciler.control.securing import check_first, may_open
from reconciler.control.site import Site, Stop
from reconciler.engines import DEFAULT_BIN, EngineSetup
from reconciler.errors import Diagnostic, PolicyError, ReconcilerError, Refused, Severity, UsageError
from reconciler.model import ClusterSnapshot
from reconciler.model.documents import Cluster, PolicySet, SiteDocument
from reconciler.protocols import Clock, Disks, Engine, Inventory, Memory
from reconciler.snapshots import read_inventory
from reconciler.store import holder_identity, open_memory


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class RehearsedClock:
    """A clock that stands still at a given time, for rehearsals and demos."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at


def choose_site(policies: PolicySet, name: str | None) -> SiteDocument:
    """The site that is named, or the only one. Raises `UsageError`, RCL0002."""
    sites = {placed.document.metadata.name: placed.document for placed in policies.sites}
    if name is None and len(sites) == 1:
        return next(iter(sites.values()))
    if name is not None and name in sites:
        return sites[name]
    if not sites:
        nothing = Diagnostic("RCL0002", Severity.ERROR, "the policies have no Site", "Write one.", subject="policies")
        raise PolicyError([nothing])
    what = f"there is no site {name!r}" if name is not None else f"there are {len(sites)} sites"
    raise UsageError("RCL0002", what, f"Give --site and one of {', '.join(sorted(sites))}.")


class Opening(Enum):
    """What of a site is opened: what was settled or agreed to; all of it, since this is the first apply; or just what
    the document says, since the command line names it."""

    SETTLED = "settled"
    FIRST = "first"
    GIVEN = "given"


def open_site(
    root: Path,
    document: SiteDocument,
    clock: Clock,
    stop: Stop | None = None,
    *,
    policies: PolicySet | None = None,
    opening: Opening = Opening.SETTLED,
) -> Site:
    """Opens memory, inventories and engines of the site. Relative paths count from the root. What differs from the site
    as it was last settled is opened once an approval among the `policies` says so."""
    memory = open_memory(state_path(root, document))
    written, engines = document, dict[str, Engine]()
    try:
        if opening is not Opening.GIVEN:
            known = policies if policies is not None else PolicySet((), (), ())
            document = may_open(root, document, memory, clock, known, first_use=opening is Opening.FIRST)
        spec = document.spec
        inventories: dict[str, Inventory] = {}
        disks: dict[str, Disks] = {}
        for cluster in spec.clusters:
            opened = open_inventory(root, cluster, clock)
            inventories[cluster.name] = opened
            if opened.disks is not None:
                disks[cluster.name] = opened.disks
        for server in spec.servers:
            if server.engine.embedded is None:
                raise _not_there("reconciler.engines", "mabs")
            setup = EngineSetup(
                name=server.name,
                path=root / server.engine.embedded.path,
                volumes=tuple((volume.name, int(volume.capacity)) for volume in server.volumes),
                disks=disks,
                clock=clock,
                bin=server.bin.delta if server.bin else DEFAULT_BIN,
            )
            engines[server.name] = _load("reconciler.engines", "embedded")(setup)
    except BaseException:
        for engine in engines.values():
            engine.close()
        memory.close()
        raise
    return Site(
        document=document,
        folder=root,
        zone=ZoneInfo(spec.time_zone),
        inventories=inventories,
        engines=engines,
        memory=memory,
        clock=clock,
        holder=holder_identity(),
        stop=stop or Stop(),
        written=written,
    )


def state_path(root: Path, document: SiteDocument) -> Path:
    """Where the site's state database is."""
    assert document.spec.state.sqlite is not None
    return root / document.spec.state.sqlite.path


def open_state(root: Path, document: SiteDocument, clock: Clock, memory: Memory | None = None) -> Site:
    """The site with its memory alone, no cluster and no server: for what must work while those do not answer."""
    return Site(
        document=document,
        folder=root,
        zone=ZoneInfo(document.spec.time_zone),
        inventories={},
        engines={},
        memory=memory or open_memory(state_path(root, document)),
        clock=clock,
        holder=holder_identity(),
    )


def open_inventory(root: Path, cluster: Cluster, clock: Clock) -> Any:
    """The inventory of a cluster. Raises `Refused`, RCL1041, for a kind that nothing installed can see."""
    source = cluster.inventory
    if source.hyperv is not None:
        raise _not_there("reconciler.inventories", "hyperv")
    kind, path = ("directory", source.directory) if source.directory is not None else ("snapshot", source.snapshot)
    assert path is not None
    return _load("reconciler.inventories", kind)(cluster.name, root / path.path, clock)


def look(
    root: Path, document: SiteDocument, clock: Clock, exported: Path | None = None
) -> tuple[dict[str, ClusterSnapshot], tuple[ReconcilerError, ...]]:
    """The site's clusters as an exported inventory has them, else as far as they can be seen; and why others cannot.
    Opens no server, and no cluster that differs from the site as it was last settled."""
    if exported is not None:
        return read_inventory(exported), ()
    seen: dict[str, ClusterSnapshot] = {}
    bounds = Bounds(root)
    document = _settled(root, document, clock)
    for cluster in document.spec.clusters:
        with bounds.about(f"the cluster {cluster.name}"):
            seen[cluster.name] = open_inventory(root, cluster, clock).observe()
    return seen, tuple(bounds.troubles)


def _settled(root: Path, document: SiteDocument, clock: Clock) -> SiteDocument:
    """The site as it may be opened, by its state where there is one."""
    if not state_path(root, document).is_file():
        check_first(root, document)
        return document
    memory = open_memory(state_path(root, document))
    try:
        return may_open(root, document, memory, clock, PolicySet((), (), ()), first_use=False)
    finally:
        memory.close()


def _load(group: str, name: str) -> Callable[..., Any]:
    """The adapter that an installed package brings under this name."""
    from importlib.metadata import entry_points

    for point in entry_points(group=group, name=name):
        loaded: Callable[..., Any] = point.load()
        return loaded
    raise _not_there(group, name)


def _not_there(group: str, name: str) -> Refused:
    what = f"nothing that is installed brings {name!r} ({group})"
    remedy = "Install the package that brings it. MABS and Hyper-V are checked offline, and driven by a later version."
    return Refused("RCL1041", what, remedy, subject=name)
