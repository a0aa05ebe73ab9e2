"""What we own on servers, what we remember of it, and when we last saw it as we left it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from reconciler.model.cluster import ReplicationMode, VirtualMachine
from reconciler.model.groups import ProtectionGroup
from reconciler.model.identity import DataSource


class KnownMember(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """A member as it was last seen: what its machine was called, and what selectors look at. "" is unknown."""

    source: DataSource
    name: str
    labels: dict[str, str] = {}
    node: str = ""
    volumes: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    role: str = ""

    @classmethod
    def of(cls, cluster: str, machine: VirtualMachine) -> KnownMember:
        """The machine as a snapshot of `cluster` shows it. `systems` are the guest's family and version, `role` its
        part in Hyper-V Replica: primary, replica or none."""
        return cls(
            DataSource(cluster, machine.id),
            machine.name,
            machine.labels,
            machine.node,
            volumes_of(machine),
            _systems(machine.guest_system, machine.guest_version),
            "" if machine.replication is UNSET else _ROLES[machine.replication.mode],
        )


_ROLES = {
    ReplicationMode.NONE: "none",
    ReplicationMode.PRIMARY: "primary",
    ReplicationMode.REPLICA: "replica",
    ReplicationMode.TEST_REPLICA: "replica",
    ReplicationMode.EXTENDED_REPLICA: "replica",
}


def volumes_of(machine: VirtualMachine) -> tuple[str, ...]:
    """The volumes that its disks are known to lie on, by name."""
    disks = machine.disks
    first = disks[0].volume if disks else UNSET
    for disk in disks:
        if disk.volume != first:
            return tuple(sorted({each.volume for each in disks if isinstance(each.volume, str)}))
    return _alone(first) if isinstance(first, str) else ()


@lru_cache(maxsize=4096)
def _alone(volume: str) -> tuple[str, ...]:
    return (volume,)


@lru_cache(maxsize=4096)
def _systems(*told: str | UnsetType) -> tuple[str, ...]:
    return tuple(each for each in told if isinstance(each, str) and each)


class Remembrance(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the ledger is to remember of a group besides what was applied: all members that the policy wants, the hash
    of its membership rules, the labels of its document, and the document itself (JSON values, as it is written).

    `whole` False: the step does a part of what the document wants, so the document is not the last applied one yet.
    """

    members: tuple[KnownMember, ...] = ()
    selectors: str = ""
    labels: dict[str, str] = {}
    document: dict[str, Any] = {}
    whole: bool = True


class Ownership(StrEnum):
    """How a group came to be ours."""

    CREATED = "created"
    ADOPTED = "adopted"


class LedgerEntry(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A group that we own on a server: its reference there, what was last applied, and when (UTC).

    `selectors` is a hash of the membership rules as they were written, so that a new member can be told from a
    new rule. `labels` are the document's, for guardrails over what happens to the group when the document is gone.
    `document` is the document that was last applied (JSON values), `commit` that of the policies; approvals name
    changes of it. `observed` is what the server showed right after, where that is not what was applied: what it
    rounded.
    """

    server: str
    ref: str
    applied: ProtectionGroup
    applied_at: datetime
    run: str
    members: tuple[KnownMember, ...] = ()
    selectors: str = ""
    labels: dict[str, str] = {}
    document: dict[str, Any] = {}
    commit: str = ""
    ownership: Ownership = Ownership.CREATED
    observed: ProtectionGroup | None = None

    @property
    def group(self) -> str:
        return self.applied.name

    @property
    def left(self) -> ProtectionGroup:
        """The group as the server showed it after we last touched it."""
        return self.observed if self.observed is not None else self.applied


class Sighting(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """When a group of ours was last seen as we left it, and when first otherwise since then (UTC).

    `differs_since` None: it is as we left it. `shown` is how it looked then; None: it was gone.
    """

    server: str
    ref: str
    group: str
    as_left_at: datetime
    differs_since: datetime | None = None
    shown: ProtectionGroup | None = None
