"""The backup side: what is asked of an engine, and what one can do besides.

Each ability is a protocol that `isinstance` is asked for: ``if isinstance(engine, Recovers): engine.preview(job)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol, runtime_checkable

import msgspec

from reconciler.errors import Diagnostic
from reconciler.model import (
    Action,
    Capabilities,
    CatalogSnapshot,
    DataSource,
    FileState,
    Job,
    JobHandle,
    JobStatus,
    Lineage,
    ObservedGroup,
    RecoveryTarget,
    StoreLineage,
)


class Fence(msgspec.Struct, frozen=True):
    """The token of the lease that a write is done under; it only ever grows. `lease` names the series that the token
    counts in: the site's for changes of groups, one of its own for each replica store's jobs. Tokens of two series
    are never compared. `stands` raises `StaleFence` once the lease is lost in our own memory."""

    token: int
    lease: str = "site"
    stands: Callable[[], None] | None = None

    def check(self) -> None:
        """Raises once the lease is lost. To be asked inside the transaction, right before it commits: a server may not
        have seen a newer token yet."""
        if self.stands is not None:
            self.stands()


@runtime_checkable
class Engine(Protocol):
    """Sees and changes backup on one server. Whoever opens one has not looked at anything yet: what is not there, or
    does not answer, is told by what needs it."""

    @property
    def name(self) -> str:
        """The server's name in the policies."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

    def observe(self) -> CatalogSnapshot:
        """What the server holds now, in our units and names."""
        ...

    def apply(self, action: Action, fence: Fence) -> str:
        """Does the action and returns the group's reference. Doing it twice equals doing it once.

        Raises `StaleFence`, `TemporaryError`, `PermanentError`, `OutcomeUnknown`, or `Refused` when the group is
        neither as the action's `before` nor as its `after` says.
        """
        ...

    def start(self, job: Job, fence: Fence) -> JobHandle:
        """Starts a job; starting a known job id that runs or has succeeded starts nothing."""
        ...

    def poll(self, handle: JobHandle) -> JobStatus:
        """Where the job stands. A job that no running process works on and that never ended is INTERRUPTED."""
        ...

    def cancel(self, handle: JobHandle) -> None:
        """Asks a running job to stop at the next safe point."""
        ...

    def close(self) -> None:
        """Cancels what runs, waits for it, and lets go of every file."""
        ...


@runtime_checkable
class KeepsStore(Protocol):
    """An engine that keeps a store of its own, which can be missing, older than it was, or another one."""

    def lineage(self) -> StoreLineage:
        """What is there. Only reads: it makes no file, and works on a full or read-only disk."""
        ...

    def establish(self, state: Lineage, fence: Fence) -> StoreLineage:
        """The first use: makes the store, or gives one of version 0.1 its identity, and notes whose it is. Doing it
        twice equals doing it once."""
        ...

    def note_state(self, state: Lineage, fence: Fence) -> StoreLineage:
        """Notes how far the state that writes here has come, so that an older copy of it is known later. Raises
        `Refused` where the store was never established."""
        ...


@runtime_checkable
class GivesUp(Protocol):
    """An engine whose store, or a volume of it, can be declared lost."""

    def declare_lost(self, volume: str | None, fence: Fence) -> tuple[DataSource, ...]:
        """Gives up what is missing or damaged beyond repair: the replicas on a volume, or the whole store with None.
        What is left of it is put aside, never removed. Returns the data sources whose replicas are given up; their
        initial replicas are due again. For the whole store the next use is a first one: `establish`."""
        ...


@runtime_checkable
class Rebuilds(Protocol):
    """An engine whose store's databases can be made anew from the data."""

    def rebuild(self, source: DataSource | None, fence: Fence, *, sound_too: bool = False) -> StoreRebuild:
        """Makes the catalog of a replica anew, or with None every one that is damaged, older than it was or gone, and
        the server's database where that is gone. A sound one is left alone unless asked for. What was there is kept."""
        ...

    def largest_token(self) -> int:
        """The largest fencing token that any part of the store has seen, whichever of its databases are gone; 0 for
        none. Never raises for what cannot be read."""
        ...


class StoreRebuild(msgspec.Struct, frozen=True, rename="camel"):
    """What was made anew: assignments of the server's database, catalogs, and the points and packs in them. `kept` are
    the files that were there before, under their new names; `findings` what could not be taken over."""

    server: str
    assignments: tuple[DataSource, ...]
    replicas: tuple[DataSource, ...]
    points: int
    packs: int
    kept: tuple[str, ...]
    findings: tuple[Diagnostic, ...]


@runtime_checkable
class ReadsGroups(Protocol):
    """An engine that can show its groups without everything else that `observe` reads: what apply looks at before
    each step."""

    def groups(self) -> tuple[ObservedGroup, ...]:
        """The groups now, by name."""
        ...


@runtime_checkable
class Recovers(Protocol):
    """An engine that can say beforehand what a recovery job would do. The job itself goes through `start`."""

    def preview(self, job: Job) -> RecoveryPreview: ...

    def unfinished(self) -> tuple[UnfinishedRecovery, ...]:
        """Recoveries whose files were all staged and that never ended. Only reads."""
        ...


class UnfinishedRecovery(msgspec.Struct, frozen=True, rename="camel"):
    """A recovery that never ended: which job, for whom, until when (UTC) that counts, and of how many files how many
    are replaced. None is: nothing of it will be done by itself once `until` has passed or the target has changed.
    `staging`: it was cut off before everything was staged, and is never carried out."""

    job: str
    source: DataSource
    machine: str
    point: str
    target: RecoveryTarget
    folder: str
    keep_original: bool
    asked_by: str
    until: datetime
    replaced: int
    files: int
    staging: bool = False


class RecoveryPreview(msgspec.Struct, frozen=True, rename="camel"):
    """What a recovery would write and destroy; `refusals` are the reasons why it would be refused. `found`
    is what stands where it writes and removes: what is agreed to."""

    machine: str
    point: str
    point_time: datetime
    writes: tuple[str, ...]
    destroys: tuple[str, ...]
    bytes: int
    refusals: tuple[Diagnostic, ...] = ()
    notes: tuple[str, ...] = ()
    found: tuple[FileState, ...] = ()


class StoreCheck(msgspec.Struct, frozen=True, rename="camel"):
    """What checking a store found; empty `findings` is a sound store. Bytes and counts of what was looked at."""

    server: str
    replicas: int
    points: int
    packs: int
    blocks: int
    read_bytes: int
    findings: tuple[Diagnostic, ...]


@runtime_checkable
class ChecksStore(Protocol):
    """An engine whose store can be checked."""

    def check_store(self, part: tuple[int, int] | None) -> StoreCheck:
        """Catalogs, pack sizes and footers; with `part` (n, m) the data of every pack whose number is n modulo m
        is read and hashed too, (1, 1) for all of it."""
        ...


def diagnostics_of(snapshots: Iterable[CatalogSnapshot]) -> tuple[Diagnostic, ...]:
    """The troubles that engines saw while reading themselves, in order."""
    return tuple(finding for snapshot in snapshots for finding in snapshot.findings)
