"""Decoding: validated documents -> typed ones, and what only shows when they are seen together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from reconciler.errors import Diagnostic, Severity
from reconciler.expressions import VARIABLES, check
from reconciler.model import ENGINES, Duration
from reconciler.model.documents import (
    REFERENCE_PATTERN,
    Cluster,
    ExclusionDocument,
    GroupDocument,
    GuardrailDocument,
    MachineSelector,
    Placed,
    PolicySet,
    SiteDocument,
    StoragePreference,
)
from reconciler.parse.days import days_that_never_come
from reconciler.parse.limits import hosts_twice, limits, pools
from reconciler.parse.lookalikes import lookalikes
from reconciler.parse.places import shared_places
from reconciler.parse.unsupported import TABLE, lacking, refused
from reconciler.plan import IGNORABLE, cel_errors
from reconciler.secrets import holds_credentials, is_secret, redacted

_LEAST, _MOST = timedelta(days=1), timedelta(days=448)


def decode(documents: Iterable[Placed[Any]]) -> tuple[PolicySet, list[Diagnostic]]:
    """The policy set, and the mistakes that its documents make together."""
    placed: dict[str, list[Placed[Any]]] = defaultdict(list)
    for one in documents:
        placed[one.document.kind].append(one)
    for each in placed.values():
        each.sort(key=lambda one: (one.document.metadata.name, one.positions.at()))
    policies = PolicySet(
        tuple(placed["Site"]),
        tuple(placed["ProtectionGroup"]),
        tuple(placed["Exclusion"]),
        tuple(placed["Preset"]),
        tuple(placed["Guardrail"]),
        tuple(placed["Approval"]),
    )
    return policies, list(_together(policies))


def _together(policies: PolicySet) -> Iterator[Diagnostic]:
    yield from _twice("Site", policies.sites)
    yield from _twice("ProtectionGroup", policies.groups)
    yield from _twice("Exclusion", policies.exclusions)
    yield from _twice("Preset", policies.presets)
    yield from _twice("Guardrail", policies.guardrails)
    yield from _twice("Approval", policies.approvals)
    yield from hosts_twice(policies.groups)
    yield from shared_places(policies.sites)
    yield from lookalikes(policies)
    for guardrail in policies.guardrails:
        yield from _expressions(guardrail)
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
    for lack, where, value in lacking(msgspec.to_builtins(spec, enc_hook=str), TABLE):
        yield refused(lack, where, value, placed.positions)
    yield from pools(placed)
    yield from _credentials(placed)
    written: list[tuple[tuple[str | int, ...], str]] = []
    if spec.state.sqlite is not None:
        written.append((("spec", "state", "sqlite", "path"), spec.state.sqlite.path))
    for index, cluster in enumerate(spec.clusters):
        if cluster.inventory.directory is not None:
            at = ("spec", "clusters", index, "inventory", "directory", "path")
            written.append((at, cluster.inventory.directory.path))
        if cluster.inventory.snapshot is not None:
            at = ("spec", "clusters", index, "inventory", "snapshot", "path")
            written.append((at, cluster.inventory.snapshot.path))
    if spec.approvals is not None and spec.approvals.allowed_signers is not None:
        written.append((("spec", "approvals", "allowedSigners"), spec.approvals.allowed_signers))
    for index, rule in enumerate(spec.placement):
        names = [server.name for server in spec.servers]
        if rule.server not in names:
            yield _unknown(placed, "server", rule.server, names, ("spec", "placement", index, "server"))
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


def _credentials(placed: Placed[SiteDocument]) -> Iterator[Diagnostic]:
    """URLs that hold a user, a password or a token: they would be shown, and kept in the state."""
    spec = placed.document.spec
    urls: list[tuple[str, tuple[str | int, ...]]] = []
    for index, cluster in enumerate(spec.clusters):
        if cluster.inventory.hyperv is not None:
            at: tuple[str | int, ...] = ("spec", "clusters", index, "inventory", "hyperv", "endpoint")
            urls.append((cluster.inventory.hyperv.endpoint, at))
    for index, server in enumerate(spec.servers):
        if server.engine.mabs is not None:
            urls.append((server.engine.mabs.endpoint, ("spec", "servers", index, "engine", "mabs", "endpoint")))
        if server.engine.plugin is not None:
            settings = ("spec", "servers", index, "engine", "plugin", "settings")
            for at, name, value in _texts(server.engine.plugin.settings, settings):
                urls.append((str(value), at))
                if is_secret(name, value) and not re.match(REFERENCE_PATTERN, str(value)):
                    what = f"the setting {name!r} looks like a secret, and is not a reference to one"
                    remedy = "Write where it is found, such as `env:NAME`. It is in Git now: change the secret."
                    yield _error("RCL4051", what, remedy, placed, at)
    if spec.mail is not None:
        urls.append((spec.mail.smtp, ("spec", "mail", "smtp")))
    for url, place in urls:
        if holds_credentials(url):
            remedy = "Remove them, and write `credential: env:NAME` beside it. They are in Git now: change them."
            yield _error("RCL3094", f"credentials stand in the URL {redacted(url)}", remedy, placed, place)


def _texts(value: object, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str, object]]:
    """Every text and number in a plugin's settings: its place, the name that it stands under, and itself."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        yield place, str(next((step for step in reversed(place) if isinstance(step, str)), "")), value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*place, key))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*place, index))


def _expressions(placed: Placed[GuardrailDocument]) -> Iterator[Diagnostic]:
    """Expressions that do not compile, at the place where CEL stopped."""
    written = [
        (("spec", "validations", index, field), text)
        for index, validation in enumerate(placed.document.spec.validations)
        for field, text in (
            ("expression", validation.expression),
            ("messageExpression", validation.message_expression),
        )
        if text
    ]
    for (path, text), error in zip(written, check([text.rstrip() for _, text in written]), strict=True):
        if error is None:
            yield from _durations(placed, path, text)
        else:
            column = cel_errors.begins(error.what, text.split("\n")[error.line - 1], error.column)
            where = placed.positions.within(error.line, column, *path)
            what, remedy = cel_errors.plain(error.what, VARIABLES)
            yield Diagnostic("RCL1072", Severity.ERROR, f"{path[-1]}: {what}", remedy, where)


#: Comments and texts, which are passed over, and durations that are written out.
_DURATION = re.compile(
    r"""//[^\n]*|\bduration\(\s*(?P<quote>['"])(?P<text>[^'"\\\n]*)(?P=quote)\s*\)"""
    r"""|[rRbB]{0,2}(?:'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\"|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")""",
    re.DOTALL,
)
#: As CEL reads them.
_CEL_DURATION = re.compile(r"[+-]?(?:0|(?:(?:\d+\.?\d*|\.\d+)(?:h|m|s|ms|us|ns))+)")


def _durations(placed: Placed[GuardrailDocument], path: tuple[str | int, ...], text: str) -> Iterator[Diagnostic]:
    """Durations as policies have them and CEL does not: it would say so on each document, and deny."""
    for found in _DURATION.finditer(text):
        said = found["text"]
        if said is None or _CEL_DURATION.fullmatch(said):
            continue
        before = text[: found.start("text")]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        remedy = f"CEL has h, m and s, and no d: write {_in_hours(said)}."
        what = f"{path[-1]}: {said!r} is not a duration to CEL"
        yield Diagnostic("RCL1072", Severity.ERROR, what, remedy, placed.positions.within(line, column, *path))


def _in_hours(text: str) -> str:
    try:
        seconds = Duration.parse(text).delta // timedelta(seconds=1)
    except ValueError:
        return "336h for 14 days"
    return f"{seconds}s" if seconds % 60 else f"{seconds // 60}m" if seconds % 3600 else f"{seconds // 3600}h"


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
    yield from days_that_never_come(placed)
    for index, rule in enumerate(spec.members):
        if rule.virtual_machines is not None:
            yield from _selector(placed, rule.virtual_machines, ("spec", "members", index, "virtualMachines"))
    for index, ignore in enumerate(spec.ignore):
        if ignore.field not in IGNORABLE:
            what = f"the field {ignore.field!r} cannot be ignored"
            remedy = f"One of {', '.join(sorted(IGNORABLE))}."
            yield _error("RCL1051", what, remedy, placed, ("spec", "ignore", index, "field"))
    site = sites.get(spec.site)
    if site is None:
        yield _unknown(placed, "site", spec.site, list(sites), ("spec", "site"))
    else:
        yield from _in_site(placed, site)


def _in_site(placed: Placed[GroupDocument], site: SiteDocument) -> Iterator[Diagnostic]:
    spec = placed.document.spec
    yield from _clusters(placed, site)
    servers = [each for each in site.spec.servers if spec.server in (each.name, "auto")]
    if not servers:
        yield _unknown(placed, "server", spec.server, [each.name for each in site.spec.servers], ("spec", "server"))
        return
    for engine in sorted({server.engine.kind for server in servers}):
        yield from _on_engine(placed, site, engine)
    volumes = [volume.name for server in servers for volume in server.volumes]
    wishes: list[tuple[StoragePreference | None, tuple[str | int, ...]]] = [
        (spec.storage, ("spec", "storage", "volume"))
    ]
    wishes += [(rule.storage, ("spec", "members", n, "storage", "volume")) for n, rule in enumerate(spec.members)]
    for storage, place in wishes:
        if storage is not None and storage.volume not in volumes:
            yield _unknown(placed, "volume", storage.volume, volumes, place)


def _on_engine(placed: Placed[GroupDocument], site: SiteDocument, engine: str) -> Iterator[Diagnostic]:
    """What an engine of the group's server cannot do."""
    spec = placed.document.spec
    able = ENGINES[engine]
    missing = list(lacking(msgspec.to_builtins(spec, enc_hook=str), able.lacks))
    for lack, path, value in missing:
        yield refused(lack, path, value, placed.positions, engine)
    told = {path[1] for _, path, _ in missing}
    for finding in limits(placed, engine):
        if finding.severity is not Severity.ERROR or not told & {"members", "online"}:
            yield finding
    used = {rule.virtual_machines.cluster for rule in spec.members if rule.virtual_machines is not None}
    for cluster in site.spec.clusters:
        kind = inventory_of(cluster)
        if cluster.name in used and kind not in able.inventories:
            what = f"the {engine} engine cannot back up from {cluster.name}, whose inventory is {kind}"
            remedy = "Use a server with the mabs engine, or a cluster on disk."
            yield _error("RCL1067", what, remedy, placed, ("spec", "server"))


def inventory_of(cluster: Cluster) -> str:
    """``directory``, ``hyperv`` or ``snapshot``."""
    source = cluster.inventory
    return next(name for name in source.__struct_fields__ if getattr(source, name) is not None)


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


def _clusters(placed: Placed[GroupDocument], site: SiteDocument) -> Iterator[Diagnostic]:
    known = [cluster.name for cluster in site.spec.clusters]
    for index, rule in enumerate(placed.document.spec.members):
        for name, selector in (("virtualMachines", rule.virtual_machines), ("hosts", rule.hosts)):
            if selector is not None and selector.cluster not in known:
                place = ("spec", "members", index, name, "cluster")
                yield _unknown(placed, "cluster", selector.cluster, known, place)


def _selector(placed: Placed[Any], selector: MachineSelector, path: tuple[str | int, ...]) -> Iterator[Diagnostic]:
    chosen = (selector.names, selector.labels, selector.nodes, selector.volumes, selector.operating_systems)
    if not any(chosen) and selector.replica_role is None:
        remedy = 'Write names, labels or another field; names: ["*"] means every virtual machine.'
        yield _error("RCL1028", "a selector without names and labels", remedy, placed, path)


def _unknown(placed: Placed[Any], what: str, name: str, known: list[str], path: tuple[str | int, ...]) -> Diagnostic:
    remedy = f"Known: {', '.join(sorted(known))}." if known else f"No {what} is known: write a Site document."
    return _error("RCL1024", f"there is no {what} {name!r}", remedy, placed, path)


def _error(code: str, what: str, remedy: str, at: Placed[Any], path: tuple[str | int, ...]) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, what, remedy, at.positions.at(*path))
