"""Status: a site -> everything that `reconciler status`, `jobs` and `points` show. Changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler.control.lease import held_by
from reconciler.control.observe import Observation
from reconciler.control.propose import desired_now, past_glass, state_lost
from reconciler.control.recovery import recovery_findings
from reconciler.control.site import Site
from reconciler.control.tick import HEARTBEAT
from reconciler.errors import Diagnostic, Severity
from reconciler.model import CatalogSnapshot, JobRecord, ProtectionGroup, Replica, format_duration
from reconciler.model.documents import PolicySet
from reconciler.model.names import fold
from reconciler.plan import Seen, Standing, coverage
from reconciler.report import GroupStatus, PointRow, ReplicaStatus, Status
from reconciler.schedule import View, next_job


def status(site: Site, observation: Observation, policies: PolicySet | None) -> Status:
    """Everything at once. `policies` None: they are wrong now, so only what is applied is known."""
    desired = desired_now(site, policies, observation) if policies is not None else None
    machines = coverage(Seen(observation.at, observation.clusters, observation.catalogs, desired))
    names = {row.source: row.name for row in machines}
    lease = held_by(site)
    replicas = [
        _replica(site, observation, catalog, replica, names.get(replica.source, ""))
        for catalog in observation.catalogs.values()
        for replica in catalog.replicas
    ]
    return Status(
        site=site.name,
        at=observation.at,
        machines=machines,
        groups=tuple(
            _group(server, seen.group) for server, catalog in observation.catalogs.items() for seen in catalog.groups
        ),
        replicas=tuple(sorted(replicas, key=lambda each: (each.server, fold(each.machine)))),
        volumes={server: catalog.volumes for server, catalog in observation.catalogs.items()},
        heartbeat=site.memory.marks.read(HEARTBEAT),
        holder=lease.holder if lease else "",
        findings=(*observation.findings, *_lost(observation), *past_glass(site), *recovery_findings(site)),
    )


def _lost(observation: Observation) -> tuple[Diagnostic, ...]:
    found = state_lost(observation)
    return (found,) if found is not None else ()


def below_threshold(now: Status, oldest_heartbeat: timedelta) -> tuple[Diagnostic, ...]:
    """What `status --check` fails for: a machine that is late, or a loop that has stopped."""
    found = [
        Diagnostic("RCL6015", Severity.ERROR, f"{row.name!r} is {row.why}", "See `reconciler jobs`.", subject=row.name)
        for row in now.machines
        if row.standing is Standing.PENDING and (row.late or row.newest is None)
    ]
    if now.heartbeat is None or now.at - now.heartbeat > oldest_heartbeat:
        last = f"{now.heartbeat:%Y-%m-%d %H:%M} UTC" if now.heartbeat else "never"
        what = f"the loop last ran {last}"
        found.append(Diagnostic("RCL6014", Severity.ERROR, what, "Start `reconciler run`.", subject=now.site))
    return tuple(found)


def points(observation: Observation, names: dict[str, str]) -> tuple[PointRow, ...]:
    """Every recovery point, with the name that its machine has now, else had then."""
    return tuple(
        PointRow(names.get(str(point.source)) or point.machine_name, server, point)
        for server, catalog in observation.catalogs.items()
        for point in catalog.points
    )


def names_of(observation: Observation) -> dict[str, str]:
    """What each data source is called: by its cluster now, else by its replica."""
    names = {
        str(replica.source): replica.machine_name
        for catalog in observation.catalogs.values()
        for replica in catalog.replicas
        if replica.machine_name
    }
    for cluster, snapshot in observation.clusters.items():
        names.update({str(machine.source(cluster)): machine.name for machine in snapshot.machines})
    return names


def _group(server: str, group: ProtectionGroup) -> GroupStatus:
    interval = group.short_term.synchronization
    return GroupStatus(
        server=server,
        name=group.name,
        display_name=group.display_name,
        members=len(group.members),
        retention=format_duration(group.short_term.retention),
        synchronization=format_duration(interval) if interval else "before each point",
    )


def _replica(
    site: Site, observation: Observation, catalog: CatalogSnapshot, replica: Replica, name: str
) -> ReplicaStatus:
    mine = [point.time for point in catalog.points if point.source == replica.source]
    last = _last(site, replica)
    group = next((seen.group for seen in catalog.groups if seen.group.name == replica.group), None)
    view = View(observation.at, site.zone, catalog, site.memory.jobs.latest())
    coming = next_job(view, replica, group)
    newest: datetime | None = max(mine, default=None)
    return ReplicaStatus(
        server=catalog.server,
        machine=name or replica.machine_name or replica.source.machine,
        state=replica.state,
        volume=replica.volume,
        points=len(mine),
        stored_bytes=replica.stored_bytes,
        group=replica.group,
        newest=newest,
        last_job=last.job.kind if last else None,
        last_state=str(last.status.state) if last else "",
        last_at=(last.ended_at or last.started_at) if last else None,
        next_job=coming[0] if coming else None,
        next_at=coming[1] if coming else None,
    )


def _last(site: Site, replica: Replica) -> JobRecord | None:
    history = site.memory.jobs.history(1, replica.source)
    return history[0] if history else None
