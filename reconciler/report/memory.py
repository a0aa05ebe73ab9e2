"""Our own memory: the lease, and what a state database and its evidence hold -> text."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Literal

import msgspec

from reconciler.model import Lineage
from reconciler.protocols import Lease, Run
from reconciler.report.escape import safe
from reconciler.report.words import Paint, count


class LeaseView(msgspec.Struct, frozen=True, rename="camel"):
    """The lease of a site. `lease` None: nobody has it. `held` False with a lease: it expired, or the holder's process
    died, and the next command takes it over. `alive` None: the holder is on another machine. `runs` are the open ones
    under its token, `others` the leases of jobs and of the loop that count."""

    site: str
    held: bool
    lease: Lease | None = None
    alive: bool | None = None
    runs: tuple[Run, ...] = ()
    others: tuple[Lease, ...] = ()
    format_version: str = "1.0"
    kind: Literal["Lease"] = "Lease"


class Holdings(msgspec.Struct, frozen=True, rename="camel"):
    """What a state holds: how many runs, which was the newest and when it began, how many groups are in the ledger,
    the largest fencing token; how many records of evidence there are, and the SHA-256 of the last one ("" for none);
    who the state is and how far it has come, None for one of version 0.1."""

    runs: int
    newest_run: str
    newest_at: datetime | None
    groups: int
    token: int
    records: int
    head: str
    lineage: Lineage | None = None


def lease_text(shown: LeaseView, zone: tzinfo, paint: Paint) -> str:
    """Who holds the site, since when, until when, and what may be done about it."""
    lease = shown.lease
    if lease is None:
        return f"{safe(shown.site)} is free: nobody holds its lease.\n" + _others(shown, zone)
    process = {
        True: "lives",
        False: "died",
        None: "on another host or in a container; whether it is running is unknown here",
    }
    over = "" if shown.held or shown.alive is False else ", which is over"
    rows = [
        ("holder", safe(lease.holder)),
        ("process", process[shown.alive]),
        ("since", _second(lease.acquired_at, zone)),
        ("until", _second(lease.expires_at, zone) + over),
        ("token", str(lease.token)),
        *([("took over from", safe(lease.took_over))] if lease.took_over else []),
        *(("at work on", f"run {run.id} ({run.command}) of {safe(run.actor)}") for run in shown.runs),
    ]
    head = paint(f"{shown.site} is held", "change") if shown.held else f"{shown.site} is free again"
    tail = (
        "It renews the lease while it works. `reconciler lock release` takes it away."
        if shown.held
        else "The next command takes the lease over."
    )
    table = "".join(f"  {name:<15}{text}\n" for name, text in rows)
    return f"{head}\n{table}{tail}\n" + _others(shown, zone)


def _others(shown: LeaseView, zone: tzinfo) -> str:
    """The leases of jobs and of the loop, one in each line."""
    return "".join(
        f"{safe(each.name)}: {safe(each.holder)} since {_second(each.acquired_at, zone)}, until "
        f"{_second(each.expires_at, zone)}, token {each.token}\n"
        for each in shown.others
    )


def holdings_text(name: str, held: Holdings | None, zone: tzinfo) -> str:
    """One state in one line; None: there is none that reads."""
    if held is None:
        return f"{name:<9}nothing that can be read\n"
    newest = f", the newest {held.newest_run} of {_second(held.newest_at, zone)}" if held.newest_at is not None else ""
    head = f", the last {held.head[:12]}" if held.head else ""
    return (
        f"{name:<9}{count(held.runs, 'run')}{newest}; {count(held.groups, 'group')} in the ledger; "
        f"{count(held.records, 'record')} of evidence{head}; {_lineage(held.lineage)}\n"
    )


def _lineage(lineage: Lineage | None) -> str:
    if lineage is None:
        return "of version 0.1, without an identity"
    return f"state {lineage.id[:8]}, generation {lineage.generation}"


def _second(at: datetime, zone: tzinfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")
