"""Drift as values: where policies, ledger, servers and clusters do not agree, and since when."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from reconciler.errors import Diagnostic, Location
from reconciler.model.plans import Direction


class DriftClass(StrEnum):
    """Who is ahead of whom. `EXTERNAL`: the server is not as we left it. `PENDING`: the policies want what was not
    applied. `NORMALISATION`: the server made something else of what it was given. `CHURN`: the machines changed."""

    EXTERNAL = "external"
    PENDING = "pending"
    NORMALISATION = "normalisation"
    CHURN = "churn"


class DriftItem(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One thing that does not agree, of one group. `path` is the policy's (``shortTerm.retention``, ``members``), ""
    for the whole group; the three values are in the policy's units, None where there is nothing. For `members` they
    are the data source, or None where it is no member.

    `source` is the data source that it is about, where it is about one. Of ``machine`` paths (``machine.node``; just
    ``machine`` for one that is gone) `applied` is what the ledger knew and `live` what the cluster shows.

    `direction` is what the change does to protection: on the server of what is external, by the policies of what is
    pending. It was not so yet at `after`, and was first seen so at `first_seen` (UTC, None: not noted); then the
    server showed `first_live`, where that is not what it shows now. `note` says what follows.
    """

    klass: DriftClass = msgspec.field(name="class")
    server: str
    group: str
    path: str
    desired: Any = None
    applied: Any = None
    live: Any = None
    direction: Direction = Direction.NEUTRAL
    source: str = ""
    location: Location | None = None
    after: datetime | None = None
    first_seen: datetime | None = None
    first_live: Any = None
    note: str = ""


class InFlight(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A group that a run is changing, or was when it was cut off: what it will be is not known yet, so it is no
    drift. `holder` is who is at work, "" where nobody is."""

    server: str
    group: str
    run: str = ""
    holder: str = ""
    since: datetime | None = None


class Drift(msgspec.Struct, frozen=True, rename="camel"):
    """Everything that `reconciler drift` shows of a site, gravest class first. `names` tells what data sources are
    called, `findings` what could not be seen."""

    site: str
    at: datetime
    classes: tuple[DriftClass, ...]
    items: tuple[DriftItem, ...]
    in_flight: tuple[InFlight, ...] = ()
    names: dict[str, str] = {}
    findings: tuple[Diagnostic, ...] = ()
    format_version: str = "1.0"
    kind: str = "Drift"

    @property
    def external(self) -> tuple[DriftItem, ...]:
        """What somebody changed on a server."""
        return self.of(DriftClass.EXTERNAL)

    def of(self, klass: DriftClass) -> tuple[DriftItem, ...]:
        return tuple(item for item in self.items if item.klass is klass)
