"""Wiring: policies -> a site with concrete adapters behind its protocols. The only room that knows them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec

from reconciler.control.approving.site_guard import may_open
from reconciler.control.error_boundary import Bounds
from reconciler.control.site import Site, Stop
from reconciler.control.state.committed_files import check_not_brought
from reconciler.control.state.known_stores import keeper_of
from reconciler.control.state.root_note import begun, check_place, note_begun, ran_here, state_gone, state_lost
from reconciler.engines import DEFAULT_BIN, EngineSetup, contained
from reconciler.errors import Diagnostic, PolicyError, ReconcilerError, Refused, Severity, Unreachable, UsageError
from reconciler.model import ClusterSnapshot, Lineage, Presence
from reconciler.model.documents import Cluster, PolicySet, Server, SiteDocument
from reconciler.model.similar_names import did_you_mean
from reconciler.protocols import Clock, Disks, Engine, Inventory, Memory
from reconciler.snapshots import read_inventory
from reconciler.state import EvidenceFolder, Opening, SqliteMemory, format_of, holder_identity, open_memory
from reconciler.system_errors import cannot_write


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
    remedy = f"Give --site and one of {', '.join(sorted(sites))}."
    if name is None:
        raise UsageError("RCL0002", f"there are {len(sites)} sites", remedy)
    raise UsageError("RCL0002", f"there is no site {name!r}", did_you_mean(name, sites) or remedy)


def choose_running(root: Path, policies: PolicySet, name: str | None) -> SiteDocument:
    """The site that `run` takes: the one that is named; else the one that it has run here before, whatever other sites
    the policies have by now; else the only one. What a commit brings chooses nothing: the note is none of its files,
    and a site that took the place of the noted one is not run in its stead. Raises `UsageError`, RCL0002."""
    sites = {placed.document.metadata.name: placed.document for placed in policies.sites}
    ran = ran_here(root) if name is None else ""
    if not ran or not sites:
        return choose_site(policies, name)
    if ran in sites:
        return sites[ran]
    said = begun(root, ran)
    renamed = [each for each in sites.values() if said is not None and Path(said.path) == state_path(root, each)]
    if len(renamed) == 1:
        return renamed[0]
    if len(sites) == 1 and not any(begun(root, each) for each in sites):
        return next(iter(sites.values()))  # whether it may begin here is judged where its state is looked for
    raise UsageError(
        "RCL0002",
        f"`run` ran the site {ran} here, which the policies have no more",
        f"Put it back as it was. To run another one give --site and one of {', '.join(sorted(sites))}.",
        subject=ran,
    )


class Trust(Enum):
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
    opening: Opening = Opening.CREATE,
    *,
    adopting: bool = False,
    policies: PolicySet | None = None,
    trust: Trust = Trust.SETTLED,
    changing: bool = False,
    commit: str = "",
) -> Site:
    """Opens inventories, engines and memory of the site, whose policies were read from a `commit` ("" for the work
    tree). Relative paths count from the root. What differs from the site
    as it was last settled is opened once an approval among the `policies` says so.

    Raises `Unreachable`, RCL5041, where the site has begun and neither its state nor any store is there, `Refused`,
    RCL3106, where the policies name another state than it began with, unless a new state is to take over what is left
    (`adopting`). Who is about to change what servers hold (`changing`) is refused where the state alone is gone,
    RCL3012, and makes no empty one.
    """
    written, engines = document, dict[str, Engine]()
    if trust is not Trust.GIVEN:
        check_not_brought(root, written)
        if commit:
            check_not_brought(root, written, commit)
        if not adopting:
            _check_state(root, written, policies)
        document = _settled(root, document, clock, policies, first_use=trust is Trust.FIRST, commit=commit)
        if document != written:  # what waits is not opened: what it was before is
            check_not_brought(root, document)
    spec = document.spec
    inventories: dict[str, Inventory] = {}
    disks: dict[str, Disks] = {}
    for cluster in spec.clusters:
        opened = open_inventory(root, cluster, clock)
        inventories[cluster.name] = opened
        if opened.disks is not None:
            disks[cluster.name] = opened.disks
    try:
        for server in spec.servers:
            engines[server.name] = _open_engine(root, server, disks, clock)
        said = begun(root, document.metadata.name)
        path = state_path(root, written)
        if said is not None and not adopting and not path.exists():
            if not any(map(_has_store, engines.values())):
                raise state_gone(said, path)
            if changing:
                raise state_lost(said, path)
        memory = open_memory_of(root, written, opening)
    except BaseException:
        for engine in engines.values():
            engine.close()
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
        elsewhere=_stores_of_others(root, document, policies),
        commit=commit,
    )


def _open_engine(root: Path, server: Server, disks: Mapping[str, Disks], clock: Clock) -> Engine:
    """The engine of a server. Raises `Refused`, RCL1041, for one that nothing installed brings, and `Unreachable`,
    RCL4050, where the package that brings it fails."""
    plugin = server.engine.plugin
    settings = plugin.settings if plugin is not None else msgspec.to_builtins(server.engine.embedded)
    setup = EngineSetup(
        name=server.name,
        root=root,
        settings=settings,
        volumes=tuple((volume.name, int(volume.capacity)) for volume in server.volumes),
        disks=disks,
        clock=clock,
        bin=server.bin.delta if server.bin else DEFAULT_BIN,
    )
    if plugin is None:
        return cast("Engine", _load("reconciler.engines", server.engine.kind)(setup))
    if plugin.name in _OURS["reconciler.engines"]:
        raise Refused(
            "RCL1041",
            f"the engine {plugin.name!r} comes with reconciler, and is no plugin",
            "Write `engine: {embedded: {path: FOLDER}}`, or name the engine of an installed package.",
            subject=server.name,
        )
    try:
        opened = _load("reconciler.engines", plugin.name)(setup)
        fits = isinstance(opened, Engine)
    except ReconcilerError:
        raise
    except (Exception, SystemExit) as error:
        raise _plugin_failed(server.name, plugin.name, f"{type(error).__name__}: {error}") from error
    if not fits:
        raise _plugin_failed(server.name, plugin.name, "what it opens is no engine of this version")
    return contained(opened, plugin.name, server.name)


def _plugin_failed(server: str, plugin: str, why: str) -> Unreachable:
    remedy = "Check `settings` of the engine, and the version of the package that brings it."
    return Unreachable("RCL4050", f"the engine plugin {plugin} cannot open {server}: {why}", remedy, subject=server)


def _stores_of_others(root: Path, document: SiteDocument, policies: PolicySet | None) -> tuple[tuple[str, Path], ...]:
    """The stores that other sites of the policies name. Only their paths are looked at."""
    return tuple(
        (f"{server.name} of the site {placed.document.metadata.name}", root / server.engine.embedded.path)
        for placed in (policies.sites if policies is not None else ())
        if placed.document.metadata.name != document.metadata.name
        for server in placed.document.spec.servers
        if server.engine.embedded is not None
    )


def open_memory_of(root: Path, document: SiteDocument, opening: Opening) -> SqliteMemory:
    """The site's memory. Before one of version 0.1 is brought to this format, a backup of it is written beside it."""
    if opening is Opening.EITHER:
        try:
            return open_memory_of(root, document, Opening.CREATE)
        except (ReconcilerError, OSError) as error:
            if not cannot_write(error):
                raise
            return open_memory_of(root, document, Opening.READ)
    path = state_path(root, document)
    name = document.metadata.name
    if opening in (Opening.WRITE, Opening.CREATE) and format_of(path) == 1:
        backup = path.with_name(f"{path.name}.format-1.tar")
        if not backup.exists():
            from reconciler.control.state.backup_file import write_backup

            write_backup(name, path, EvidenceFolder.of(path).folder, backup, datetime.now(UTC))
    memory = open_memory(path, opening=opening)
    if memory.writable:
        note_begun(root, name, memory.lineage(), path, datetime.now(UTC))
    return memory


def _check_state(root: Path, document: SiteDocument, policies: PolicySet | None) -> None:
    """That the state that is named is the one that the site began with."""
    path = state_path(root, document)

    def lineage() -> Lineage | None:
        memory = open_memory(path, opening=Opening.READ)
        try:
            return memory.lineage()
        finally:
            memory.close()

    others = None if policies is None else [each.document.metadata.name for each in policies.sites]
    check_place(root, document.metadata.name, path, lineage, others)


def _has_store(engine: Engine) -> bool:
    """Whether a store is there, or may be."""
    keeper = keeper_of(engine)
    try:
        return keeper is None or keeper.lineage().presence is not Presence.ABSENT
    except ReconcilerError:
        return True


def state_path(root: Path, document: SiteDocument) -> Path:
    """Where the site's state database is."""
    assert document.spec.state.sqlite is not None
    return root / document.spec.state.sqlite.path


def open_state(
    root: Path,
    document: SiteDocument,
    clock: Clock,
    memory: Memory | None = None,
    opening: Opening = Opening.WRITE,
    *,
    adopting: bool = False,
) -> Site:
    """The site with its memory alone, no cluster and no server: for what must work while those do not answer. Raises
    `Refused`, RCL3106, as `open_site` does."""
    if memory is None:
        check_not_brought(root, document)
        if not adopting:
            _check_state(root, document, None)
    return Site(
        document=document,
        folder=root,
        zone=ZoneInfo(document.spec.time_zone),
        inventories={},
        engines={},
        memory=memory or open_memory_of(root, document, opening),
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
    check_not_brought(root, document)
    document = _settled(root, document, clock)
    for cluster in document.spec.clusters:
        with bounds.about(f"the cluster {cluster.name}"):
            seen[cluster.name] = open_inventory(root, cluster, clock).observe()
    return seen, tuple(bounds.troubles)


def _settled(
    root: Path,
    document: SiteDocument,
    clock: Clock,
    policies: PolicySet | None = None,
    *,
    first_use: bool = False,
    commit: str = "",
) -> SiteDocument:
    """The site as it may be opened, by its state where there is one; that is read and nothing else."""
    memory = open_memory(state_path(root, document), opening=Opening.READ)
    try:
        known = policies if policies is not None else PolicySet((), (), ())
        return may_open(root, document, memory, clock, known, first_use=first_use, commit=commit)
    finally:
        memory.close()


#: The entry points of pyproject.toml (a test holds that they are). To ask all installed packages for them takes a tenth
#: of a short command.
_OURS = {
    "reconciler.engines": {
        "embedded": "reconciler.engines.embedded:open_engine",
        "memory": "reconciler.engines.memory:open_engine",
    },
    "reconciler.inventories": {
        "directory": "reconciler.inventory.directory:open_inventory",
        "snapshot": "reconciler.inventory.snapshot:open_inventory",
    },
}


def _load(group: str, name: str) -> Callable[..., Any]:
    """The adapter that comes with the product under this name, else the one that an installed package brings."""
    if name in _OURS[group]:
        module, _, called = _OURS[group][name].partition(":")
        ours: Callable[..., Any] = getattr(import_module(module), called)
        return ours
    from importlib.metadata import entry_points

    for point in entry_points(group=group, name=name):
        loaded: Callable[..., Any] = point.load()
        return loaded
    raise _not_there(group, name)


def _not_there(group: str, name: str) -> Refused:
    what = f"nothing that is installed brings {name!r} ({group})"
    remedy = "Install the package that brings it. MABS and Hyper-V can only be checked offline."
    return Refused("RCL1041", what, remedy, subject=name)
