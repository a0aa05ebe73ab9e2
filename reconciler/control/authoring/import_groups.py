"""Importing: what an engine holds -> minimal policy documents, shared fields in a preset, doubts as comments."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from reconciler.model import (
    CatalogSnapshot,
    ClusterSnapshot,
    ConsistencyCheck,
    DataSource,
    Level,
    Member,
    ObservedGroup,
    ProtectionGroup,
    Recurrence,
    ShortTerm,
    format_duration,
)
from reconciler.model.encode import encode
from reconciler.model.names import fold
from reconciler.parse.write import yaml_text
from reconciler.plan.desired.defaults import RPO_GRACE
from reconciler.plan.globs import is_pattern
from reconciler.report.escape import safe
from reconciler.schedule import longest_gap

_NAME = re.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Imported(msgspec.Struct, frozen=True):
    """The files to write, by name; and what could not be said in a policy."""

    files: dict[str, str]
    doubts: tuple[str, ...]


class Source(msgspec.Struct, frozen=True):
    """What is imported: the groups of one server that nobody owns, with what the engine cannot read back."""

    site: str
    server: str
    catalog: CatalogSnapshot
    groups: Sequence[ObservedGroup]
    unreadable: frozenset[str]
    zone: ZoneInfo


def import_groups(source: Source, clusters: Mapping[str, ClusterSnapshot], header: str = "") -> Imported:
    """A document for each group. What two or more groups share becomes a preset that they extend."""
    specs: dict[str, dict[str, Any]] = {}
    doubts: dict[str, list[str]] = defaultdict(list)
    for seen in sorted(source.groups, key=lambda each: each.group.name):
        specs[seen.group.name] = _spec(source, seen.group, clusters, doubts[seen.group.name])
    shared = _shared(list(specs.values())) if len(specs) > 1 else {}
    names = _policy_names(specs.keys())
    preset = _preset(source.server, names.values())
    files: dict[str, str] = {}
    if shared:
        whole = {
            "apiVersion": "reconciler/v1",
            "kind": "Preset",
            "metadata": {"name": preset},
            "for": "ProtectionGroup",
        }
        said = f"# What the groups that were imported from {source.server} have in common.\n"
        files[f"{preset}.yaml"] = header + said + yaml_text(whole | {"spec": shared})
    for held, spec in specs.items():
        name = names[held]
        document: dict[str, Any] = {
            "apiVersion": "reconciler/v1",
            "kind": "ProtectionGroup",
            "metadata": {"name": name},
            **({"extends": [preset]} if shared else {}),
            "spec": _without(spec, shared),
        }
        remarks = [f"# Imported from {source.server}.", *(f"# {safe(doubt)}" for doubt in doubts[held])]
        unreadable = sorted(source.unreadable)
        if unreadable:
            remarks.append(f"# Could not be read from the server, so the default stands: {', '.join(unreadable)}.")
        files[f"{name}.yaml"] = header + "\n".join(remarks) + "\n" + yaml_text(document)
    told = tuple(f"{name}: {doubt}" for name, some in doubts.items() for doubt in some)
    return Imported(files, told)


def _policy_names(held: Collection[str]) -> dict[str, str]:
    """What the policy of each group is called, and its file. A server's own name of a group may be anything; where it
    is no name of a policy, what is left of it and a hash tell it from every other."""
    names = {name: name for name in held if _NAME.fullmatch(name)}
    for name in sorted(set(held) - set(names)):
        names[name] = _derived(name, names.values())
    return names


def _derived(name: str, taken: Collection[str]) -> str:
    plain = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    mark = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    derived = f"{plain}-{mark}" if plain else mark
    return derived if derived not in taken else _derived(derived, taken)


def _preset(server: str, taken: Collection[str]) -> str:
    """A name for what the groups share that none of them has."""
    wanted = f"{server}-defaults"
    return wanted if _NAME.fullmatch(wanted) and wanted not in taken else _derived(wanted, taken)


def _spec(
    source: Source, group: ProtectionGroup, clusters: Mapping[str, ClusterSnapshot], doubts: list[str]
) -> dict[str, Any]:
    spec: dict[str, Any] = {"site": source.site, "server": source.server}
    if group.display_name != group.name.replace("-", " ") or not _NAME.fullmatch(group.name):
        spec["displayName"] = group.display_name
    spec["members"] = _members(group.members, clusters, doubts)
    spec["shortTerm"] = _short_term(group.short_term, source.zone)
    check = _check(group.consistency_check)
    if check:
        spec["consistencyCheck"] = check
    if group.existing_points != "retain":
        spec["existingPoints"] = str(group.existing_points)
    if group.colocate:
        spec["colocate"] = True
    if group.deletion_protection:
        spec["deletionProtection"] = True
    if group.paused:
        pause = group.paused
        spec["paused"] = {"reason": pause.reason, "owner": pause.owner, "until": pause.until}
    return spec


def _members(
    members: Sequence[Member], clusters: Mapping[str, ClusterSnapshot], doubts: list[str]
) -> list[dict[str, Any]]:
    """A rule for each cluster and volume, with the machines by name."""
    called = {m.source(name): m.name for name, seen in clusters.items() for m in seen.machines}
    known: dict[tuple[str, str], list[DataSource]] = defaultdict(list)
    for source, name in called.items():
        known[source.cluster, fold(name)].append(source)
    rules: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for member in members:
        machine = called.get(DataSource(member.source.cluster, member.source.machine))
        if member.source.level is not Level.HOST:
            doubts.append(f"{member.source} is protected inside the guest; write it by hand.")
        elif machine is None:
            doubts.append(
                f"The virtual machine {member.source.machine} is not on {member.source.cluster} now; write it by hand."
            )
        else:
            if len(known[member.source.cluster, fold(machine)]) > 1:
                doubts.append(f"Several virtual machines are called {machine!r}: tell them apart by labels.")
            if is_pattern(machine):
                doubts.append(f"The name {machine!r} is read as a pattern: choose the virtual machine by labels.")
            rules[member.source.cluster, member.volume].append(machine)
    written = []
    for (cluster, volume), names in sorted(rules.items(), key=lambda rule: (rule[0][0], rule[0][1] or "")):
        rule: dict[str, Any] = {"virtualMachines": {"cluster": cluster, "names": sorted(set(names), key=fold)}}
        written.append(rule | ({"storage": {"volume": volume}} if volume else {}))
    return written


def _short_term(term: ShortTerm, zone: ZoneInfo) -> dict[str, Any]:
    written: dict[str, Any] = {"retention": format_duration(term.retention)}
    written["synchronization"] = (
        "beforeRecoveryPoint" if term.synchronization is None else _interval(format_duration(term.synchronization))
    )
    if term.minimum_points != 3:
        written["minimumPoints"] = term.minimum_points
    if term.rpo != longest_gap(term, zone) + RPO_GRACE:
        written["rpo"] = format_duration(term.rpo)
    for name, runs in (("expressFull", term.express_full), ("recoveryPoints", term.recovery_points)):
        if runs is not None:
            written[name] = _times(runs)
    return written


def _interval(text: str) -> str:
    return "24h" if text == "1d" else text


def _times(runs: Recurrence) -> dict[str, Any]:
    written: dict[str, Any] = encode(runs)
    return written | {"times": [f"{at:%H:%M}" for at in runs.times]}


def _check(check: ConsistencyCheck) -> dict[str, Any]:
    written: dict[str, Any] = {"whenInconsistent": True} if check.when_inconsistent else {}
    if check.time is not None:
        hours = {"maxHours": check.max_hours} if check.max_hours not in (None, 4) else {}
        written["schedule"] = {"time": f"{check.time:%H:%M}", **hours}
    return written


# --- What is shared --------------------------------------------------------------------------------------------


def _shared(specs: list[dict[str, Any]]) -> dict[str, Any]:
    """The fields, deeply, that all of them have with one value; never members, which name machines."""
    first, *others = specs
    common: dict[str, Any] = {}
    for key, value in first.items():
        if key in ("members", "displayName") or not all(key in other for other in others):
            continue
        if all(other[key] == value for other in others):
            common[key] = value
        elif all(isinstance(each[key], dict) for each in specs):
            inner = _shared([each[key] for each in specs])
            common |= {key: inner} if inner else {}
    return common


def _without(spec: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    left: dict[str, Any] = {}
    for key, value in spec.items():
        if key not in shared:
            left[key] = value
        elif isinstance(value, dict) and value != shared[key]:
            left[key] = _without(value, shared[key])
    return left
