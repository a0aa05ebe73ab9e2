"""Machines: a name or an id as a person types it, what was seen -> the data sources that it means, or meant."""

from __future__ import annotations

from reconciler.control.observe import Observation
from reconciler.errors import UsageError
from reconciler.model import DataSource, vm_id
from reconciler.model.names import fold
from reconciler.model.similar_names import did_you_mean


def find_machine(observation: Observation, machine: str) -> DataSource:
    """The data source that is meant by a name or an id, with its cluster before it (``hci-01/NAME``) or without: the
    one that a cluster has, else one that a catalog has. Raises `UsageError` where there is none, or more than one."""
    found = _there_now(observation, machine) or _in_catalogs(observation, machine)
    if not found:
        raise _unknown(observation, machine)
    if len(found) > 1:
        raise UsageError(
            "RCL7003",
            f"{machine!r} means {len(found)} virtual machines: {', '.join(short(source) for source in sorted(found))}",
            "Name it as it is listed here.",
            subject=machine,
        )
    (source,) = found
    return source


def sources_called(observation: Observation, machine: str) -> frozenset[DataSource]:
    """Every data source that is meant by it, or was: a virtual machine that was made anew under its name, or that came
    to another cluster, is another one, and the points of the former one are the ones that are looked for. Raises
    `UsageError` where there is none."""
    found = _there_now(observation, machine) | _in_catalogs(observation, machine)
    if not found:
        raise _unknown(observation, machine)
    return found


def short(source: DataSource) -> str:
    """A virtual machine as it can be typed, whatever others are called."""
    return f"{source.cluster}/{source.machine}"


def _there_now(observation: Observation, machine: str) -> frozenset[DataSource]:
    return frozenset(
        source
        for cluster, snapshot in observation.clusters.items()
        for each in snapshot.machines
        for source in [each.source(cluster)]
        if _means(machine, source, each.name)
    )


def _in_catalogs(observation: Observation, machine: str) -> frozenset[DataSource]:
    return frozenset(
        replica.source
        for catalog in observation.readable.values()
        for replica in catalog.replicas
        if _means(machine, replica.source, replica.machine_name)
    )


def _means(asked: str, source: DataSource, name: str) -> bool:
    forms = (name, f"{source.cluster}/{name}", short(source), str(source))
    return fold(asked) in map(fold, forms) or vm_id(asked) == source.machine


def names_of(observation: Observation) -> frozenset[str]:
    """What virtual machines are called, in clusters and in catalogs."""
    there = {each.name for snapshot in observation.clusters.values() for each in snapshot.machines}
    kept = {replica.machine_name for catalog in observation.readable.values() for replica in catalog.replicas}
    return frozenset((there | kept) - {""})


def _unknown(observation: Observation, machine: str) -> UsageError:
    meant = did_you_mean(machine, sorted(names_of(observation)))
    return UsageError(
        "RCL7002",
        f"no virtual machine {machine!r} is known, neither to a cluster nor to a backup server",
        meant or "See `reconciler status` for the names; an id works too, and CLUSTER/NAME.",
        subject=machine,
    )
