"""Status: a site -> everything that `reconciler status`, `jobs` and `points` show. Changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from reconciler.control.approving.site_guard import ANOTHER_SITE, another_site
from reconciler.control.clock import ALARMS, HEARTBEAT, TRUSTED, future_times, pruning_paused
from reconciler.control.drift.detect import drifted
from reconciler.control.error_boundary import Bounds
from reconciler.control.evidence.record import evidence_trouble
from reconciler.control.jobs.unfinished_recoveries import HALF_DONE, UNKNOWN, recovery_findings
from reconciler.control.last_failure import last_failure
from reconciler.control.lease import held_by
from reconciler.control.observe import Observation
from reconciler.control.planning.propose import break_glass_history, desired_now, not_ours_now, propose, state_lost
from reconciler.control.planning.waiting import waiting_now
from reconciler.control.site import Site
from reconciler.errors import Diagnostic, Severity
from reconciler.model import CatalogSnapshot, JobRecord, ProtectionGroup, Replica, format_duration
from reconciler.model.documents import PolicySet
from reconciler.model.names import fold
from reconciler.model.waiting import Waiting
from reconciler.plan import AT_RISK, CoverageInputs, CoverageState, DesiredState, MachineCoverage, coverage
from reconciler.plan.difference.unowned_groups import NOT_OURS, NOT_OWNED
from reconciler.report import GroupPause, GroupStatus, PointRow, ReplicaStatus, Status
from reconciler.schedule import View, ahead, newest, next_job

#: How many jobs may have been begun while a clock was ahead, and still the last one before them is found.
_RECENT = 20

#: Evidence that is gone, cut short, another one, or cannot be read.
EVIDENCE = frozenset({"RCL5020", "RCL5021", "RCL5042"})


class _Asked(msgspec.Struct, frozen=True):
    """What the policies ask for, and what of it waits; None where that cannot be told."""

    desired: DesiredState | None = None
    waiting: tuple[Waiting, ...] | None = None


def _asked(site: Site, observation: Observation, policies: PolicySet) -> _Asked:
    """As the loop would plan it now; where no plan can be made, just what is desired."""
    if observation.whole and state_lost(observation) is None:
        with Bounds(site.folder).about("what waits"):
            proposal = propose(site, policies, observation)
            return _Asked(proposal.desired, waiting_now(site, proposal.plan, proposal.permitted))
    return _Asked(desired_now(site, policies, observation))


def status(site: Site, observation: Observation, policies: PolicySet | None, branch: str = "") -> Status:
    """Everything at once. `policies` None: they are wrong now, so only what is applied is known; likewise where they
    are another site's. `branch` is the one whose commits `run` acts on, "" for none."""
    foreign = another_site(site)
    asked = _asked(site, observation, policies) if policies is not None and not foreign else _Asked()
    desired = asked.desired
    machines = coverage(CoverageInputs(observation.at, observation.clusters, observation.catalogs, desired))
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
            _group(server, seen.group, observation.at)
            for server, catalog in observation.catalogs.items()
            for seen in catalog.groups
        ),
        replicas=tuple(sorted(replicas, key=lambda each: (each.server, fold(each.machine)))),
        volumes={server: catalog.volumes for server, catalog in observation.catalogs.items()},
        heartbeat=site.memory.marks.read(HEARTBEAT),
        holder=lease.holder if lease else "",
        findings=(
            *observation.findings,
            *foreign,
            *_lost(observation),
            *(not_ours_now(site, policies, observation) if policies is not None and not foreign else ()),
            *future_times(site, observation),
            *break_glass_history(site),
            *recovery_findings(site),
            *((unfit,) if (unfit := evidence_trouble(site)) is not None else ()),
        ),
        drift=drifted(site, observation, desired) if asked.waiting is not None else None,
        waiting=asked.waiting,
        pruning_paused=pruning_paused(site.memory.marks.read(TRUSTED), observation.at),
        last_failure=last_failure(site, names, observation.at),
        branch=branch,
        commit=site.commit,
    )


def _lost(observation: Observation) -> tuple[Diagnostic, ...]:
    found = state_lost(observation)
    return (found,) if found is not None else ()


def below_threshold(now: Status, oldest_heartbeat: timedelta) -> tuple[Diagnostic, ...]:
    """What `status --check` fails for: a machine that is late, damaged, unseen or not copied yet; a recovery that is
    half done, or may be; times in the future; evidence that is gone or not ours; policies of another site, or about
    groups that nobody owns; a loop that has stopped."""
    found = [
        Diagnostic(
            "RCL6015", Severity.ERROR, _told(row), "See `reconciler status` and `reconciler jobs`.", None, row.name
        )
        for row in now.machines
        if row.standing in _FAILING or (row.standing is CoverageState.PENDING and row.newest is None)
    ]
    alarms = ALARMS | EVIDENCE | {HALF_DONE, UNKNOWN, ANOTHER_SITE}
    found += [each for each in now.findings if each.code in alarms and each.severity is Severity.ERROR]
    found += [each for each in now.findings if each.code in (NOT_OWNED, NOT_OURS)]
    if now.heartbeat is None or now.at - now.heartbeat > oldest_heartbeat:
        last = f"last ran {now.heartbeat:%Y-%m-%d %H:%M} UTC" if now.heartbeat else "has never run"
        found.append(
            Diagnostic("RCL6014", Severity.ERROR, f"the loop {last}", "Start `reconciler run`.", subject=now.site)
        )
    return tuple(found)


#: A machine that nobody means to protect is for `coverage --max-unprotected` to count, not for the loop's health.
_FAILING = AT_RISK - {CoverageState.UNPROTECTED}


def _told(row: MachineCoverage) -> str:
    """The machine's state with its reason, which may begin with the same word."""
    said = row.why if row.why.startswith(str(row.standing)) else f"{row.standing}: {row.why}"
    return f"the virtual machine {row.name!r} is {said}"


def points(observation: Observation, names: dict[str, str]) -> tuple[PointRow, ...]:
    """Every recovery point, with the name that its machine has now, else had then."""
    return tuple(
        PointRow(names.get(str(point.source)) or point.machine_name, server, point)
        for server, catalog in observation.readable.items()
        for point in catalog.points
    )


def names_of(observation: Observation) -> dict[str, str]:
    """What each data source is called: by its cluster now, else by its replica."""
    names = {
        str(replica.source): replica.machine_name
        for catalog in observation.readable.values()
        for replica in catalog.replicas
        if replica.machine_name
    }
    for cluster, snapshot in observation.clusters.items():
        names.update({str(machine.source(cluster)): machine.name for machine in snapshot.machines})
    return names


def _group(server: str, group: ProtectionGroup, now: datetime) -> GroupStatus:
    interval, pause = group.short_term.synchronization, group.pause_at(now)
    return GroupStatus(
        server=server,
        name=group.name,
        display_name=group.display_name,
        members=len(group.members),
        retention=format_duration(group.short_term.retention),
        synchronization=format_duration(interval) if interval else "before each point",
        paused=GroupPause(pause.until, pause.reason, pause.owner) if pause else None,
    )


def _replica(
    site: Site, observation: Observation, catalog: CatalogSnapshot, replica: Replica, name: str
) -> ReplicaStatus:
    mine = [point for point in catalog.points if point.source == replica.source]
    last = _last(site, replica, observation.at)
    group = next((seen.group for seen in catalog.groups if seen.group.name == replica.group), None)
    view = View(observation.at, site.zone, catalog, site.memory.jobs.latest())
    coming = next_job(view, replica, group)
    best = newest(mine, replica, observation.at)
    return ReplicaStatus(
        source=replica.source,
        server=catalog.server,
        machine=name or replica.machine_name or replica.source.machine,
        state=replica.state,
        volume=replica.volume,
        points=len(mine),
        stored_bytes=replica.stored_bytes,
        group=replica.group,
        newest=best.time if best is not None else None,
        last_job=last.job.kind if last else None,
        last_state=str(last.status.state) if last else "",
        last_at=(last.ended_at or last.started_at) if last else None,
        next_job=coming[0] if coming else None,
        next_at=coming[1] if coming else None,
    )


def _last(site: Site, replica: Replica, now: datetime) -> JobRecord | None:
    """The job that was begun last, as far as its time can be believed."""
    history = site.memory.jobs.history(_RECENT, replica.source)
    return next((record for record in history if not ahead(record.started_at, now)), None)
