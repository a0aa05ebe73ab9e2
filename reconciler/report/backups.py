"""Backups that were asked for -> text: what was made of each virtual machine, and how long it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

import msgspec

from reconciler.model import Consistency, DataSource, JobKind, JobState, format_size
from reconciler.report.escape import safe
from reconciler.report.words import Paint, moment


class Backup(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What came of one virtual machine. `time` (UTC) is the moment that the recovery point shows; sizes are bytes;
    `retention` is that of the group, as policies write it, and `kept_until` (UTC) the end of it. Without a point `code`
    and `why` say what was in the way; without `state` it never began."""

    machine: str
    server: str
    source: DataSource
    group: str
    job: str
    kind: JobKind
    state: JobState | None = None
    point: str = ""
    time: datetime | None = None
    consistency: Consistency | None = None
    read_bytes: int = 0
    stored_bytes: int = 0
    retention: str = ""
    kept_until: datetime | None = None
    code: str = ""
    why: str = ""


def backups_text(backups: Sequence[Backup], zone: tzinfo, paint: Paint) -> str:
    """Two lines for each recovery point; one for what was not made."""
    lines: list[str] = []
    for each in backups:
        name = safe(each.machine)
        if not each.point or each.time is None:
            why = f"{each.code}: {safe(each.why)}" if each.code else safe(each.why)
            lines.append(f"{paint(name, 'bad')}: no recovery point. {why}")
            continue
        consistency = f", {each.consistency} consistent" if each.consistency is not None else ""
        lines.append(f"{paint(name, 'good')}: recovery point {each.point} on {safe(each.server)}")
        sizes = f"{format_size(each.read_bytes)} read, {format_size(each.stored_bytes)} stored"
        lines.append(f"  {moment(each.time, zone)}{consistency}; {sizes}{_kept(each, zone)}")
    return "".join(f"{line}\n" for line in lines)


def _kept(backup: Backup, zone: tzinfo) -> str:
    if backup.kept_until is None:
        return ""
    until = moment(backup.kept_until, zone)
    return f"; kept until {until} (retention {backup.retention} of {safe(backup.group)})"
