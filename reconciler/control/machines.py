"""Machines: a name or an id as a person types it, what was seen -> the data sources that it means, or meant."""

from __future__ import annotations

from reconciler.control.observe import Observation
from reconciler.errors import UsageError
from reconciler.model import DataSource, vm_id
from reconciler.model.names import fold


def find_machine(observation: Observation, machine: str) -> DataSource:
    """The data source that is called so, by name or by id: the one that a cluster has, else one that a catalog has."""
    found = _called_now(observation, machine) or _called_then(observation, machine)
    if not found:
        raise _unknown(machine)
    if len(found) > 1:
        ids = ", ".join(str(source) for source in sorted(found))
        raise UsageError(
            "RCL7003",
            f"{machine!r} is the name of {len(found)} machines: {ids}",
            "Name it by its id.",
            subject=machine,
        )
    (source,) = found
    return source


def sources_called(observation: Observation, machine: str) -> frozenset[DataSource]:
    """Every data source that is called so, or was: a virtual machine that was made anew under its name is another one,
    and the points of the former one are the ones that are looked for. Raises `UsageError` where there is none."""
    found = _called_now(observation, machine) | _called_then(observation, machine)
    if not found:
        raise _unknown(machine)
    return found


def _called_now(observation: Observation, machine: str) -> frozenset[DataSource]:
    wanted, identity = fold(machine), vm_id(machine)
    return frozenset(
        each.source(cluster)
        for cluster, snapshot in observation.clusters.items()
        for each in snapshot.machines
        if wanted == fold(each.name) or identity == each.id
    )


def _called_then(observation: Observation, machine: str) -> frozenset[DataSource]:
    wanted, identity = fold(machine), vm_id(machine)
    return frozenset(
        replica.source
        for catalog in observation.readable.values()
        for replica in catalog.replicas
        if wanted == fold(replica.machine_name) or identity == replica.source.machine
    )


def _unknown(machine: str) -> UsageError:
    return UsageError(
        "RCL7002",
        f"no machine {machine!r} is known, neither to a cluster nor to a backup server",
        "See `reconciler status` for the names; an id works too.",
        subject=machine,
    )
