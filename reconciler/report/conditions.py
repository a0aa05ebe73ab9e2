"""Conditions of a site: drift, what waits, pruning, the last failure -> a line each, for every form of the status. They
are the same that `run` says when they begin."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

import msgspec

from reconciler.model.drift import DriftItem
from reconciler.model.encode import inline
from reconciler.model.waiting import Waiting
from reconciler.report.escape import safe
from reconciler.report.messages import quoted
from reconciler.report.words import Paint, Tone, moment

if TYPE_CHECKING:
    from reconciler.report.status import Status

#: How many things that wait or drifted are listed.
_MOST = 10


class LastFailure(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What failed last, when (UTC), and whether it went well since."""

    at: datetime
    what: str
    code: str
    reason: str
    mended: bool
    retry_at: datetime | None = None


class Condition(msgspec.Struct, frozen=True):
    """What it is about, how it stands in one line, and what it consists of where that is more than one thing. Nothing
    of it is escaped yet."""

    head: str
    text: str
    tone: Tone = "quiet"
    items: tuple[str, ...] = ()


def conditions(status: Status, zone: tzinfo) -> tuple[Condition, ...]:
    """In the order in which they are read."""
    names = {str(each.source): each.machine for each in status.replicas}
    names |= {str(row.source): row.name for row in status.machines}
    drift = [f"{each.group} on {each.server}: {differs(each, names)}" for each in status.drift or ()]
    waiting = [_wait(each, zone) for each in status.waiting or ()]
    paused = status.pruning_paused
    found = []
    if status.branch:
        found.append(Condition("Policies", f"commit {status.commit[:12]} of {status.branch}, which `run` acts on"))
    return (
        *found,
        _listed("Drift", drift) if status.drift is not None else _unknown("Drift"),
        _listed("Waiting", waiting) if status.waiting is not None else _unknown("Waiting"),
        Condition("Pruning", f"paused, {paused.message}", "bad") if paused else Condition("Pruning", "not paused"),
        _failed(status.last_failure, zone),
    )


def condition_lines(status: Status, zone: tzinfo, paint: Paint) -> list[str]:
    """The same as lines of text."""
    lines = []
    for each in conditions(status, zone):
        lines.append(f"{each.head}: {paint(safe(quoted(each.text)), each.tone)}")
        lines += [f"  {safe(item)}" for item in each.items]
    return lines


def differs(item: DriftItem, names: Mapping[str, str]) -> str:
    """What somebody changed on a server, with both values."""
    if item.source:
        name = names.get(item.source, item.source)
        return f"{name} left it" if item.live is None else f"{name} joined it"
    if not item.path:
        return "the group is gone" if item.live is None else "the group differs"
    return f"{item.path} is {inline(item.live)}, and {inline(item.applied)} was applied"


def _unknown(head: str) -> Condition:
    return Condition(head, "unknown, since no plan can be made now", "change")


def _listed(head: str, items: list[str]) -> Condition:
    if len(items) < 2:
        return Condition(head, items[0], "change") if items else Condition(head, "none")
    more = (f"and {len(items) - _MOST} more",) if len(items) > _MOST else ()
    return Condition(head, str(len(items)), "change", (*items[:_MOST], *more))


def _wait(each: Waiting, zone: tzinfo) -> str:
    return each.because + (f"; not before {moment(each.until, zone)}" if each.until is not None else "")


def _failed(found: LastFailure | None, zone: tzinfo) -> Condition:
    if found is None:
        return Condition("Last failure", "none")
    code = f"{found.code}: " if found.code else ""
    told = f"{moment(found.at, zone)}  {found.what}  {code}{found.reason}"
    if found.mended:
        return Condition("Last failure", f"{told} (it succeeded since)")
    return Condition("Last failure", told, "bad")
