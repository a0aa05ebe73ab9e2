"""Decoding: validated documents -> typed ones, and what only shows when they are seen together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from reconciler.errors import Diagnostic, Severity
from reconciler.model.documents import (
    ExclusionDocument,
    GroupDocument,
    MachineSelector,
    Placed,
    PolicySet,
    SiteDocument,
    StoragePreference,
)
from reconciler.model.units import ClockTime, Duration, Size
from reconciler.parse.nodes import Document
from reconciler.parse.schema import KINDS

_LEAST, _MOST = timedelta(days=1), timedelta(days=448)


def typed(document: Document, kind: str) -> Any:
    """The document as its type. Raises `msgspec.ValidationError` where a value has the right form and no sense."""
    return msgspec.convert(document.root.plain(), KINDS[kind], dec_hook=_decode)


def _decode(kind: type, value: Any) -> Any:
    if kind in (Duration, Size, ClockTime):
        return kind.parse(value)
    raise TypeError(f"{kind} is not decoded")


def decode(documents: Iterable[tuple[str, Document]]) -> tuple[PolicySet, list[Diagnostic]]:
    """The policy set, and the mistakes that its documents make together. Documents are (kind, document)."""
    placed: dict[str, list[Placed[Any]]] = defaultdict(list)
    wrong: list[Diagnostic] = []
    for kind, document in documents:
        try:
            placed[kind].append(Placed(typed(document, kind), document))
        except (msgspec.ValidationError, ValueError) as error:
            wrong.append(_error("RCL1019", str(error), "Correct it as the reference says.", document, ()))
    for each in placed.values():
        each.sort(key=lambda one: (one.document.metadata.name, one.positions.at()))
    policies = PolicySet(
        tuple(placed["Site"]),
        tuple(placed["ProtectionGroup"]),
        tuple(placed["Exclusion"]),
    )
    return policies, [*wrong, *_together(policies)]


def _together(policies: PolicySet) -> Iterator[Diagnostic]:
    yield from _twice("Site", policies.sites)
    yield from _twice("ProtectionGroup", policies.groups)
    yield from _twice("Exclusion", policies.exclusions)
    sites = {placed.document.metadata.name: placed.document for placed in policies.sites}
    for site in policies.sites:
        yield from _site(site)
    for group in policies.groups:
        yield from _group(group, sites)
    for exclusion in policies.exclusions:
        yield from _exclusion(exclusion, sites)


def _twice(kind: str, placed: tuple[Placed[Any], ...]) -> Iterator[Diagnostic]:
    by_name: dict[str, list[Placed[Any]]] = defaultdict(list)
    for each in placed:
        by_name[each.document.metadata.name].append(each)
    for name, same in by_name.items():
        if len(same) > 1:
            places = [each.positions.at("metadata", "name") for each in same]
            yield Diagnostic(
                "RCL1023",
                Severity.ERROR,
                f"{len(same)} documents of kind {kind} are called {name}",
                "Names are unique within a kind: rename one.",
                places[0],
                also=tuple(places[1:]),
            )


def _site(placed: Placed[SiteDocument]) -> Iterator[Diagnostic]:
    spec = placed.document.spec
    try:
        ZoneInfo(spec.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        remedy = "Write an IANA name such as Europe/Berlin or UTC."
        yield _error("RCL1025", f"unknown time zone {spec.time_zone!r}", remedy, placed, ("spec", "timeZone"))
    written: list[tuple[tuple[str | int, ...], str]] = []
    if spec.state.sqlite is not None:
        written.append((("spec", "state", "sqlite", "path"), spec.state.sqlite.path))
    for index, cluster in enumerate(spec.clusters):
        if cluster.inventory.directory is not None:
            at = ("spec", "clusters", index, "inventory", "directory", "path")
            written.append((at, cluster.inventory.directory.path))
    for index, server in enumerate(spec.servers):
        if server.engine.embedded is not None:
            written.append((("spec", "servers", index, "engine", "embedded", "path"), server.engine.embedded.path))
        yield from _names(placed, [volume.name for volume in server.volumes], ("spec", "servers", index, "volumes"))
    yield from _names(placed, [cluster.name for cluster in spec.clusters], ("spec", "clusters"))
    yield from _names(placed, [server.name for server in spec.servers], ("spec", "servers"))
    for place, path in written:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
            remedy = "Write it relative to the root, with forward slashes and without `..`."
            yield _error("RCL1026", f"the path {path!r} leads out of the root", remedy, placed, place)


def _names(placed: Placed[SiteDocument], names: list[str], path: tuple[str | int, ...]) -> Iterator[Diagnostic]:
    for index, name in enumerate(names):
        if name in names[:index]:
            place = (*path, index, "name")
            yield _error("RCL1023", f"{path[-1]} has {name} twice", "Rename one of them.", placed, place)


def _group(placed: Placed[GroupDocument], sites: dict[str, SiteDocument]) -> Iterator[Diagnostic]:
    spec = placed.document.spec
    retention = spec.short_term.retention.delta
    if not _LEAST <= retention <= _MOST:
        place = ("spec", "shortTerm", "retention")
        yield _error("RCL1027", f"retention {spec.short_term.retention} is out of range", "1d to 448d.", placed, place)
    for index, rule in enumerate(spec.members):
        if rule.virtual_machines is not None:
            yield from _selector(placed, rule.virtual_machines, ("spec", "members", index, "virtualMachines"))
    site = sites.get(spec.site)
    if site is None:
        yield _unknown(placed, "site", spec.site, list(sites), ("spec", "site"))
    else:
        yield from _in_site(placed, site)


def _in_site(placed: Placed[GroupDocument], site: SiteDocument) -> Iterator[Diagnostic]:
    spec = placed.document.spec
    yield from _clusters(placed, site, [rule.virtual_machines for rule in spec.members])
    server = next((each for each in site.spec.servers if each.name == spec.server), None)
    if server is None:
        if spec.server != "auto":
            yield _unknown(placed, "server", spec.server, [each.name for each in site.spec.servers], ("spec", "server"))
        return
    volumes = [volume.name for volume in server.volumes]
    wishes: list[tuple[StoragePreference | None, tuple[str | int, ...]]] = [
        (spec.storage, ("spec", "storage", "volume"))
    ]
    wishes += [(rule.storage, ("spec", "members", n, "storage", "volume")) for n, rule in enumerate(spec.members)]
    for storage, place in wishes:
        if storage is not None and storage.volume not in volumes:
            yield _unknown(placed, "volume", storage.volume, volumes, place)


def _exclusion(placed: Placed[ExclusionDocument], sites: dict[str, SiteDocument]) -> Iterator[Diagnostic]:
    spec = placed.document.spec
    yield from _selector(placed, spec.virtual_machines, ("spec", "virtualMachines"))
    site = sites.get(spec.site)
    if site is None:
        yield _unknown(placed, "site", spec.site, list(sites), ("spec", "site"))
    else:
        known = [cluster.name for cluster in site.spec.clusters]
        if spec.virtual_machines.cluster not in known:
            place = ("spec", "virtualMachines", "cluster")
            yield _unknown(placed, "cluster", spec.virtual_machines.cluster, known, place)


def _clusters(
    placed: Placed[GroupDocument], site: SiteDocument, selectors: list[MachineSelector | None]
) -> Iterator[Diagnostic]:
    known = [cluster.name for cluster in site.spec.clusters]
    for index, selector in enumerate(selectors):
        if selector is not None and selector.cluster not in known:
            place = ("spec", "members", index, "virtualMachines", "cluster")
            yield _unknown(placed, "cluster", selector.cluster, known, place)


def _selector(placed: Placed[Any], selector: MachineSelector, path: tuple[str | int, ...]) -> Iterator[Diagnostic]:
    if not selector.names and not selector.labels:
        remedy = 'Write names or labels; names: ["*"] means every machine.'
        yield _error("RCL1028", "a selector without names and labels", remedy, placed, path)


def _unknown(placed: Placed[Any], what: str, name: str, known: list[str], path: tuple[str | int, ...]) -> Diagnostic:
    remedy = f"Known: {', '.join(sorted(known))}." if known else f"No {what} is known: write a Site document."
    return _error("RCL1024", f"there is no {what} {name!r}", remedy, placed, path)


def _error(code: str, what: str, remedy: str, at: Placed[Any] | Document, path: tuple[str | int, ...]) -> Diagnostic:
    positions = at.positions if isinstance(at, Placed) else at
    return Diagnostic(code, Severity.ERROR, what, remedy, positions.at(*path))
