"""Our memory: what is asked of journal, ledger, jobs, locks, marks and evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import msgspec

from reconciler.errors import ReconcilerError
from reconciler.model import (
    DataSource,
    EvidenceKind,
    JobKind,
    JobRecord,
    KnownStore,
    LedgerEntry,
    Lineage,
    Outcome,
    Plan,
    Record,
    Sighting,
)
from reconciler.protocols.requests import Requests


class Run(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One run of a command that changes something. `ended_at` None: it is going on, or it died.

    `commit` is that of the policies, `ci` the CI job; `glass` the reason why approvals, budgets and windows were
    passed over, "" for a run that kept them; `took_over` whose lease was taken over. `withheld` are the steps that
    waited for somebody's yes.
    """

    id: str
    command: str
    actor: str
    host: str
    started_at: datetime
    fence: int
    plan_hash: str = ""
    ended_at: datetime | None = None
    ended_as: str = ""
    commit: str = ""
    ci: str = ""
    glass: str = ""
    took_over: str = ""
    withheld: tuple[str, ...] = ()


class JournalStep(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A step of a run as the journal has it; `outcome` None: started, and never heard of again."""

    run: str
    step: str
    started_at: datetime
    outcome: Outcome | None = None


class Journal(Protocol):
    """What we did: written before and after each step."""

    def begin(self, run: Run, plan: Plan | None) -> None: ...
    def started(self, run: str, step: str, at: datetime) -> None: ...
    def finished(self, run: str, outcome: Outcome) -> None: ...
    def end(self, run: str, at: datetime, ended_as: str) -> None: ...
    def runs(self, limit: int | None = 50) -> tuple[Run, ...]:
        """The latest runs, newest first; None: every run."""
        ...

    def open_runs(self) -> tuple[Run, ...]:
        """Runs that never ended, oldest first."""
        ...

    def steps(self, run: str) -> tuple[JournalStep, ...]: ...
    def plan(self, run: str) -> Plan | None: ...
    def since(self, at: datetime) -> tuple[Run, ...]:
        """Runs with a plan that have a step with an outcome at or after `at`, oldest first."""
        ...

    def broken_glass(self) -> tuple[Run, ...]:
        """Every run that passed over approvals, budgets or windows, oldest first."""
        ...


class Ledger(Protocol):
    """What we own: the groups that this product made, and what it last applied to them."""

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All entries, by server and group."""
        ...

    def record(self, entry: LedgerEntry, *, formerly: str = "") -> None:
        """Writes the entry of a group; `formerly` is its name before a rename, whose entry goes."""
        ...

    def forget(self, server: str, group: str) -> None: ...
    def sightings(self) -> tuple[Sighting, ...]:
        """When each group was last seen as we left it, by server and reference."""
        ...

    def sight(self, *sightings: Sighting) -> None:
        """Writes these over earlier ones of the same groups, all or none."""
        ...

    def site_document(self) -> dict[str, Any] | None:
        """The Site as it was last applied (JSON values): the judge of approvals. None: nothing was applied yet."""
        ...

    def record_site(self, document: dict[str, Any]) -> None: ...
    def settled(self, kind: str) -> dict[str, Any] | None:
        """What was in force of this kind (JSON values) when the site was last settled; None: nothing yet."""
        ...

    def record_settled(self, kind: str, document: dict[str, Any]) -> None: ...


class JobStore(Protocol):
    """Which jobs were started, and what came of them."""

    def record(self, record: JobRecord) -> None:
        """Writes the job's record, over an earlier one of the same job id."""
        ...

    def get(self, job: str) -> JobRecord | None: ...
    def running(self) -> tuple[JobRecord, ...]: ...
    def latest(self) -> Mapping[tuple[DataSource, JobKind], JobRecord]:
        """The record of each data source and kind that was begun last, whatever the clock said: what `due` needs."""
        ...

    def history(self, limit: int = 100, source: DataSource | None = None) -> Sequence[JobRecord]:
        """Newest first."""
        ...


class Lease(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Who may change a site, until when. `token` grows with every new holder."""

    name: str
    holder: str
    token: int
    acquired_at: datetime
    expires_at: datetime
    took_over: str = ""


class Locks(Protocol):
    """Leases with a fencing token, by real time (never the rehearsal's). Each name is a series of tokens of its own."""

    def acquire(self, name: str, holder: str, ttl: timedelta, *, taken_from: int = 0) -> Lease:
        """Takes the lease, over an expired one, one whose holder's process on this machine is gone, or the one with
        the token `taken_from`. Raises `LockHeld`, RCL5003, saying who holds it, since when and until when."""
        ...

    def renew(self, lease: Lease, ttl: timedelta) -> Lease:
        """Prolongs it. Raises `StaleFence`, RCL5004, when somebody else has it now."""
        ...

    def check(self, lease: Lease) -> None:
        """Raises `StaleFence`, RCL5004, when somebody else has it or had it since, or it was released. A cheap read,
        for the moment right before a write."""
        ...

    def guard(self, lease: Lease | None) -> None:
        """From now on this memory writes nothing unless the lease still stands: `StaleFence` in the same transaction.
        None: it writes again without one. Evidence is written under the same guard."""
        ...

    def under(self, lease: Lease) -> AbstractContextManager[None]:
        """What this thread writes inside stands under this lease, whichever guards the memory as a whole."""
        ...

    def raise_floor(self, token: int) -> None:
        """From now on every token that is given out, in every series, is larger than this one: what servers have seen
        of a state that is gone."""
        ...

    def release(self, lease: Lease) -> None: ...
    def holder(self, name: str) -> Lease | None:
        """The lease, if it counts: neither expired nor of a process of this machine that died."""
        ...

    def last(self, name: str) -> Lease | None:
        """The lease as it was last written, whether or not it still counts; None where it was released."""
        ...

    def every(self, prefix: str = "") -> tuple[Lease, ...]:
        """All leases whose names begin so and that were not released, whether or not they still count, by name."""
        ...

    def tokens(self) -> Mapping[str, int]:
        """The last token of each series that was ever begun, by name."""
        ...

    def token(self) -> int:
        """The largest token that this memory ever gave out; 0 for none."""
        ...


class Marks(Protocol):
    """Named instants: the clock's high-water marks and the loop's heartbeat."""

    def read(self, name: str) -> datetime | None: ...
    def write(self, name: str, at: datetime) -> None: ...


class Evidence(Protocol):
    """What was done, for auditors: a chain of records that only grows. Any process may append."""

    def append(self, kind: EvidenceKind, at: datetime, run: str, body: dict[str, Any]) -> Record:
        """Writes a record, durably, after the last one. Raises `TemporaryError`, RCL5021, where the disk is full or
        failing; then nothing was written."""
        ...

    def records(self, holding: str = "") -> Iterator[Record]:
        """All of them, oldest first; with `holding` only those with this word in them (plain letters, digits, `-`).
        Raises `Damaged`, RCL5020, where one does not read."""
        ...


class KnownEvidence(Evidence, Protocol):
    """Evidence whose end the state has on record, so that it is never begun again by itself."""

    @property
    def folder(self) -> Path: ...
    def trouble(self) -> ReconcilerError | None:
        """Why the folder is not the one that this state wrote, RCL5042; None where it is."""
        ...

    def noted(self) -> tuple[int, str]:
        """How many records the state has on record, and the hash of the last."""
        ...

    def begin_anew(self, told_by: str) -> None:
        """What is owed becomes the first of a new chain, what the run `told_by` tells before all else."""
        ...

    def append_or_owe(self, kind: EvidenceKind, at: datetime, run: str, body: dict[str, Any]) -> None:
        """As `append`; where it cannot be written now it is owed: kept in the state, and written before any later
        record. Raises what keeps the state from being written."""
        ...

    def owe(self, records: Iterable[Record]) -> None:
        """These are still to be written; of each time, kind, run and body count."""
        ...

    def owed(self) -> tuple[Record, ...]:
        """What is still to be written, in its order; number and hash of each are of no meaning."""
        ...

    def settle(self, first: str = "") -> None:
        """Writes what is owed, in its order, but what the run `first` tells before all else. Raises what `append`
        raises; what was written by then is owed no more."""
        ...


class Stores(Protocol):
    """Which stores of servers this state has written to, and how far each of them had come."""

    def known(self) -> Mapping[str, KnownStore]:
        """By server."""
        ...

    def note(self, store: KnownStore) -> None:
        """Writes it over an earlier one of the same server."""
        ...

    def forget(self, server: str) -> None: ...


class ApprovalUse(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What became of an approval: its random id, the commit that it was read from, how many recovery points were given
    up by it so far, over all waves, and when (UTC) the last wave that it allowed was done. `done` are the hashes of the
    changes of which nothing is left to do, `counted` the points by run and step, so that none is counted twice.
    `unknown_since` is when (UTC) a state was put in place that cannot tell whether it was used: it counts no more."""

    id: str
    commit: str
    spent: int = 0
    used_up_at: datetime | None = None
    done: tuple[str, ...] = ()
    counted: dict[str, int] = {}
    unknown_since: datetime | None = None


class ApprovalUses(Protocol):
    """Which approvals were used, and how far."""

    def all(self) -> Mapping[str, ApprovalUse]:
        """By id."""
        ...

    def record(self, use: ApprovalUse) -> None:
        """Writes it over an earlier one of the same id."""
        ...


class Memory(Protocol):
    """Our memory of one site, whole."""

    @property
    def writable(self) -> bool:
        """Whether anything can be noted: False for a memory that is open for reading, or that is not there."""
        ...

    @property
    def present(self) -> bool:
        """Whether there is a state: False where an empty one stands for it, for reading."""
        ...

    def lineage(self) -> Lineage | None:
        """Who this state is and how far it has come; None for one of version 0.1, and for none at all."""
        ...

    @property
    def stores(self) -> Stores: ...
    @property
    def approvals(self) -> ApprovalUses: ...
    @property
    def requests(self) -> Requests: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def jobs(self) -> JobStore: ...
    @property
    def locks(self) -> Locks: ...
    @property
    def marks(self) -> Marks: ...
    @property
    def evidence(self) -> KnownEvidence: ...
    def close(self) -> None: ...
