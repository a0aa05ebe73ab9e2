"""Status -> text: groups, machines, volumes, and what is wrong."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo

import msgspec
from msgspec import UNSET

from reconciler.errors import Diagnostic
from reconciler.model import DataSource, JobKind, PoolVolume, ReplicaState, format_size
from reconciler.model.drift import DriftItem
from reconciler.model.waiting import Waiting
from reconciler.plan import CoverageState, MachineCoverage
from reconciler.report.conditions import LastFailure, condition_lines
from reconciler.report.coverage import state_count
from reconciler.report.escape import safe
from reconciler.report.findings import findings_text
from reconciler.report.jobs import KINDS
from reconciler.report.words import Paint, ago, called_apart, count, moment, table
from reconciler.schedule import SKEW

#: What the state of a replica is called.
REPLICA_WORDS = {
    ReplicaState.PENDING: "initial replica pending",
    ReplicaState.VALID: "valid",
    ReplicaState.INCONSISTENT: "inconsistent",
}


class GroupPause(msgspec.Struct, frozen=True, rename="camel"):
    """A pause that counts now: its last day, why, and who answers for it."""

    until: date
    reason: str
    owner: str


class GroupStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An applied group: how many members, the range its points live under, and whether it is paused now."""

    server: str
    name: str
    display_name: str
    members: int
    retention: str
    synchronization: str
    paused: GroupPause | None = None


class ReplicaStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A replica with its jobs. `next_job` None: nothing is scheduled."""

    server: str
    source: DataSource
    machine: str
    state: ReplicaState
    volume: str
    points: int
    stored_bytes: int
    group: str | None = None
    newest: datetime | None = None
    last_job: JobKind | None = None
    last_state: str = ""
    last_at: datetime | None = None
    next_job: JobKind | None = None
    next_at: datetime | None = None


class Status(msgspec.Struct, frozen=True, rename="camel"):
    """Everything that `reconciler status` shows. `waiting` and `drift` are None where no plan can be made, so that
    nobody knows; `branch` and `commit` say which commits `run` acts on, "" where it acts on the folder as it is."""

    site: str
    at: datetime
    machines: tuple[MachineCoverage, ...]
    groups: tuple[GroupStatus, ...]
    replicas: tuple[ReplicaStatus, ...]
    volumes: dict[str, tuple[PoolVolume, ...]]
    heartbeat: datetime | None
    holder: str
    findings: tuple[Diagnostic, ...]
    format_version: str = "1.0"
    kind: str = "Status"
    drift: tuple[DriftItem, ...] | None = None
    waiting: tuple[Waiting, ...] | None = None
    pruning_paused: Diagnostic | None = None
    last_failure: LastFailure | None = None
    branch: str = ""
    commit: str = ""


def status_text(status: Status, zone: tzinfo, paint: Paint) -> str:
    """The whole status."""
    lines = [paint(f"Site {status.site} at {moment(status.at, zone)}", "strong"), ""]
    lines += [*_machines(status, zone, paint), "", *_groups(status, paint), *_replicas(status, zone, paint)]
    lines += _volumes(status, paint)
    lines += [*condition_lines(status, zone, paint), "", safe(loop_line(status, zone))]
    text = "\n".join(lines) + "\n"
    return text + ("\n" + findings_text(status.findings, paint) if status.findings else "")


def loop_line(status: Status, zone: tzinfo) -> str:
    """When the loop ran last, and who is at work now."""
    return f"The loop {_beat(status, zone)}." + (f" At work now: {status.holder}." if status.holder else "")


def _beat(status: Status, zone: tzinfo) -> str:
    if status.heartbeat is None:
        return "has never run"
    if status.heartbeat > status.at + SKEW:
        return f"last ran at {moment(status.heartbeat, zone)}, which lies in the future"
    return f"last ran {ago(max(status.at - status.heartbeat, timedelta(0)))} ago"


def _machines(status: Status, zone: tzinfo, paint: Paint) -> list[str]:
    names = called_apart((row.source, row.name) for row in status.machines)
    rows = [
        (
            names[row.source],
            str(row.standing),
            "+".join(row.levels) or str(row.level),
            row.group or "-",
            moment(row.newest, zone),
            row.node,
            row.why,
        )
        for row in status.machines
    ]
    lines = table(("VM", "STATE", "LEVEL", "GROUP", "NEWEST POINT", "NODE", "WHY"), rows, paint)
    standings = [row.standing for row in status.machines]
    parts = [state_count(each, standings.count(each), paint) for each in CoverageState]
    return [*lines, f"{count(len(standings), 'virtual machine')}: " + ", ".join(parts)]


def _groups(status: Status, paint: Paint) -> list[str]:
    if not status.groups:
        return ["No protection group is applied.", ""]
    rows = [
        (group.display_name, group.server, str(group.members), group.retention, group.synchronization)
        for group in status.groups
    ]
    pauses = [
        paint(safe(pause_line(group.display_name, group.paused)), "change")
        for group in status.groups
        if group.paused is not None
    ]
    return [*table(("GROUP", "SERVER", "MEMBERS", "RETENTION", "SYNCHRONIZATION"), rows, paint), *pauses, ""]


def pause_line(name: str, pause: GroupPause) -> str:
    """Until when a group is paused, by whom, why, and what that means."""
    means = "None of its jobs starts automatically; none of its points expire."
    return f"{name} is paused until {pause.until} by {pause.owner}: {pause.reason}. {means}"


def _replicas(status: Status, zone: tzinfo, paint: Paint) -> list[str]:
    if not status.replicas:
        return []
    rows = []
    names = called_apart((each.source, each.machine) for each in status.replicas)
    for each in status.replicas:
        last = f"{KINDS[each.last_job]} {each.last_state} {moment(each.last_at, zone)}" if each.last_job else "-"
        coming = f"{KINDS[each.next_job]} {moment(each.next_at, zone)}" if each.next_job else "-"
        inactive = "" if each.group is not None else " (inactive)"
        size = format_size(each.stored_bytes)
        rows.append(
            (
                names[each.source],
                REPLICA_WORDS[each.state] + inactive,
                each.volume,
                str(each.points),
                size,
                last,
                coming,
            )
        )
    head = ("REPLICA", "STATE", "VOLUME", "POINTS", "STORED", "LAST JOB", "NEXT JOB")
    return [*table(head, rows, paint), ""]


def _volumes(status: Status, paint: Paint) -> list[str]:
    rows = []
    for server, volumes in status.volumes.items():
        for volume in volumes:
            share = 100 * volume.used_bytes / volume.capacity_bytes if volume.capacity_bytes else 100
            used = f"{format_size(volume.used_bytes)} of {format_size(volume.capacity_bytes)} ({share:.0f} %)"
            free = "unknown" if volume.disk_free_bytes is UNSET else format_size(volume.disk_free_bytes)
            rows.append((volume.name, server, used, format_size(volume.binned_bytes), free))
    return [*table(("VOLUME", "SERVER", "USED", "OF THAT BINNED", "DISK FREE"), rows, paint), ""]
