"""Status -> HTML in one file: what needs attention first, then virtual machines, groups, replicas and volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from msgspec import UNSET

from reconciler.errors import Diagnostic, Severity
from reconciler.model import JobState, ReplicaState, format_size
from reconciler.plan import AT_RISK, CoverageState
from reconciler.report.conditions import conditions
from reconciler.report.coverage import STATE_TONES
from reconciler.report.coverage_html import state_tiles
from reconciler.report.jobs import KINDS
from reconciler.report.pages import Column, Grid, Toned, page
from reconciler.report.plan_words import Fact
from reconciler.report.status import REPLICA_WORDS, ReplicaStatus, Status, loop_line, pause_line
from reconciler.report.words import Tone, called_apart, count, moment

_REPLICA_TONES: Mapping[ReplicaState, Tone] = {
    ReplicaState.PENDING: "change",
    ReplicaState.VALID: "good",
    ReplicaState.INCONSISTENT: "bad",
}

#: So many names are told of what is in one state.
_NAMES = 8


def status_html(status: Status, zone: tzinfo, diagnostics: Sequence[Diagnostic] = ()) -> str:
    """The whole page. `diagnostics` are those of the policies, where they cannot be read now."""
    findings = [*diagnostics, *status.findings]
    grave = [each for each in findings if each.severity is not Severity.ADVICE]
    risks = _risks(status)
    loop = Fact(loop_line(status, zone), "quiet" if status.heartbeat is not None else "change")
    pauses = [
        Fact(pause_line(group.display_name, group.paused), "change")
        for group in status.groups
        if group.paused is not None
    ]
    shown = conditions(status, zone)
    told = [each for each in shown if each.tone in ("change", "bad")]
    twice = status.pruning_paused is not None and status.pruning_paused.code in {each.code for each in grave}
    needs = len(risks) + len(grave) + len(told) - twice
    return page(
        "status.html",
        title=f"Backup status of {status.site}",
        seen=moment(status.at, zone),
        zone=str(zone),
        lead=f"{count(needs, 'thing needs', 'things need')} attention." if needs else "Nothing needs attention.",
        conditions=shown,
        facts=[*risks, *pauses, loop],
        grave=grave,
        advice=[each for each in findings if each.severity is Severity.ADVICE],
        tiles=state_tiles(status.machines),
        machines=_machines(status, zone),
        groups=_groups(status),
        replicas=_replicas(status, zone),
        volumes=_volumes(status),
    )


def _risks(status: Status) -> list[Fact]:
    """A line for each state that puts virtual machines at risk, the worst first."""
    facts = []
    names = called_apart((row.source, row.name) for row in status.machines)
    for state in reversed(CoverageState):
        mine = [names[row.source] for row in status.machines if row.standing is state]
        if state not in AT_RISK or not mine:
            continue
        more = f" and {len(mine) - _NAMES} more" if len(mine) > _NAMES else ""
        told = f"{count(len(mine), 'virtual machine is', 'virtual machines are')} {state}"
        facts.append(Fact(f"{told}: {', '.join(mine[:_NAMES])}{more}.", STATE_TONES[state]))
    return facts


def _machines(status: Status, zone: tzinfo) -> Grid:
    columns = (
        Column("virtual machine", "name"),
        Column("state", "state"),
        Column("level"),
        Column("group"),
        Column("newest point", "time"),
        Column("node"),
        Column("why", "message"),
    )
    order = list(CoverageState)
    names = called_apart((row.source, row.name) for row in status.machines)
    rows = [
        (
            names[row.source],
            Toned(str(row.standing), STATE_TONES[row.standing]),
            "+".join(row.levels) or str(row.level),
            row.group,
            moment(row.newest, zone) if row.newest is not None else "none",
            row.node,
            row.why,
        )
        for row in sorted(status.machines, key=lambda row: -order.index(row.standing))
    ]
    return Grid("", columns, rows, filtered=True)


def _groups(status: Status) -> Grid:
    columns = (
        Column("group", "name"),
        Column("server"),
        Column("members", "number"),
        Column("retention"),
        Column("synchronization"),
        Column("paused", "state"),
    )
    rows = [
        (
            group.display_name,
            group.server,
            str(group.members),
            group.retention,
            group.synchronization,
            Toned(f"until {group.paused.until}", "change") if group.paused is not None else "",
        )
        for group in status.groups
    ]
    return Grid("", columns, rows)


def _replicas(status: Status, zone: tzinfo) -> Grid:
    columns = (
        Column("replica of", "name"),
        Column("state", "state"),
        Column("volume"),
        Column("points", "number"),
        Column("stored", "number"),
        Column("last job"),
        Column("next job"),
    )
    names = called_apart((each.source, each.machine) for each in status.replicas)
    rows = [
        (
            names[each.source],
            _state(each),
            each.volume,
            str(each.points),
            format_size(each.stored_bytes),
            _last(each, zone),
            f"{KINDS[each.next_job]} {moment(each.next_at, zone)}" if each.next_job else "",
        )
        for each in status.replicas
    ]
    return Grid("", columns, rows, filtered=True)


def _state(replica: ReplicaStatus) -> Toned:
    """An inactive replica is not green, however valid it is: nothing protects its virtual machine."""
    if replica.group is None:
        return Toned(f"{REPLICA_WORDS[replica.state]} (inactive)", "change")
    return Toned(REPLICA_WORDS[replica.state], _REPLICA_TONES[replica.state])


def _last(replica: ReplicaStatus, zone: tzinfo) -> str | Toned:
    if replica.last_job is None:
        return ""
    text = f"{KINDS[replica.last_job]} {replica.last_state} {moment(replica.last_at, zone)}"
    return Toned(text, "bad") if replica.last_state == JobState.FAILED else text


def _volumes(status: Status) -> Grid:
    columns = (
        Column("volume", "name"),
        Column("server"),
        Column("used", "number"),
        Column("of", "number"),
        Column("share", "number"),
        Column("of that in the bin", "number"),
        Column("free on the disk", "number"),
    )
    rows: list[tuple[str | Toned, ...]] = []
    for server, volumes in status.volumes.items():
        for volume in volumes:
            share = 100 * volume.used_bytes / volume.capacity_bytes if volume.capacity_bytes else 100
            free = "unknown" if volume.disk_free_bytes is UNSET else format_size(volume.disk_free_bytes)
            used, whole = format_size(volume.used_bytes), format_size(volume.capacity_bytes)
            rows.append((volume.name, server, used, whole, f"{share:.0f} %", format_size(volume.binned_bytes), free))
    return Grid("", columns, rows)
