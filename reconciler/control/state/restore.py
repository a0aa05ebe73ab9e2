"""Restoring a state: a backup -> the state in place, what was there kept beside it, the evidence never going back.

A kill at any moment leaves the old state or the new one: the new one is made ready beside it, token and all, and put in
place in one step. What comes before that step only adds files; what comes after it only tells of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from reconciler import files
from reconciler.control.applying.apply import end, new_run
from reconciler.control.approving.agreement import mandate_of
from reconciler.control.evidence.record import record_run, record_state
from reconciler.control.jobs.leases import JOB_LEASES
from reconciler.control.lease import SITE_LEASES, keeping
from reconciler.control.site import Site
from reconciler.control.state.backup_file import DATABASE, EVIDENCE, Manifest, read_backup
from reconciler.errors import Damaged, Refused
from reconciler.model import Record
from reconciler.model.audit import Confirmation
from reconciler.protocols import ApprovalUse, Lease, Memory
from reconciler.report import Holdings
from reconciler.state import (
    EvidenceFolder,
    Merged,
    Opening,
    copy_database,
    count_and_head,
    holder_identity,
    keep_raw,
    lock_held,
    merge_evidence,
    open_memory,
    put_database,
    replace_database,
)

#: Nobody prolongs the lease while the files are copied.
_TTL = timedelta(minutes=10)

#: A site over a memory: what `wiring.open_state` makes.
Build = Callable[[Memory], Site]


class Opened(msgspec.Struct, frozen=True):
    """A backup, verified, its parts in a folder beside the state; what it holds, and what the present state holds:
    None where there is none that reads, and `trouble` says why. `owed` is what the present state could not write into
    the evidence yet."""

    manifest: Manifest
    folder: Path
    coming: Holdings
    present: Holdings | None
    trouble: str = ""
    owed: tuple[Record, ...] = ()

    @property
    def follows(self) -> bool:
        """Whether the present state is the backup's, as it went on: then it knows all that was done since."""
        now, then = self.present.lineage if self.present is not None else None, self.coming.lineage
        return now is not None and then is not None and now.id == then.id

    @property
    def another(self) -> bool:
        """Whether the backup is of another state than the present one, as far as both say who they are."""
        now, then = self.present.lineage if self.present is not None else None, self.coming.lineage
        return now is not None and then is not None and now.id != then.id


class Restored(msgspec.Struct, frozen=True):
    """What came of it: the run that tells of it, where what was there is kept now, what was done with the evidence and
    where the other one lies if there are two, and the token that all earlier ones are below. `used` is how many
    approvals are noted as used by the state that was there, None where it cannot tell; then `doubted` count no more."""

    run: str
    kept_as: tuple[Path, ...]
    evidence: Merged
    other_evidence: Path | None
    token: int
    used: int | None = None
    doubted: int = 0


@contextmanager
def opened(site: str, database: Path, backup: Path) -> Iterator[Opened]:
    """Verifies the backup, whole, and looks at both states. Changes nothing of what is in place.

    Raises what `read_backup` raises, `Refused` where it is another site's, RCL5010, or of a newer schema, RCL5001,
    `LockHeld` where somebody is at work on the site.
    """
    named = read_backup(backup).site
    if named != site:
        raise Refused(
            "RCL5010",
            f"{str(backup)!r} holds the state of the site {named!r}, not of {site!r}",
            "Name the right file, or the right site with --site. Nothing was changed.",
            subject=site,
        )
    files.make_folder(database.parent)
    folder = database.with_name(f".{database.name}.restoring")
    files.remove_folder(folder)
    try:
        files.make_folder(folder)
        manifest = read_backup(backup, folder)
        coming = _holdings(folder / DATABASE, folder / EVIDENCE)
        if coming.lineage != manifest.state:
            what = f"the backup {str(backup)!r} is damaged: its manifest names another state than it holds"
            raise Damaged("RCL5009", what, "Take another backup. Nothing was changed.", subject=str(backup))
        present, owed, trouble = None, tuple[Record, ...](), f"there is no {database}"
        if database.exists():
            try:
                _refuse_if_held(database)
                present, trouble = _holdings(database, EvidenceFolder.of(database).folder), ""
                owed = _owed(database)
            except Damaged as error:
                trouble = error.diagnostic.message
        yield Opened(manifest, folder, coming, present, trouble, owed)
    finally:
        files.remove_folder(folder)


def restore(
    name: str, database: Path, found: Opened, build: Build, confirmation: Confirmation, approvals: Collection[str]
) -> Restored:
    """Puts the backup's state in the place of the site's; `approvals` are the ids of those that stand in the
    policies. Raises `LockHeld` where somebody is at work meanwhile.

    What was used since the backup is taken over from the state that is replaced. Where that cannot tell, what stands in
    the policies counts no more: it may have been used, and would be used again at once.
    """
    readable = found.present is not None
    old = _acquired(name, database) if readable else None
    try:
        kept_as = _keep(database, readable=readable)
        evidence = EvidenceFolder.of(database).folder
        beside = _free(evidence, "from-backup")
        merged = merge_evidence(found.folder / EVIDENCE, evidence, beside)
        lease = _lease(name, new_token(old.token if old else 0, found.coming.token, time.time()))
        used = _uses(database) if found.follows else None
        doubted = frozenset(approvals) - {""} if used is None else frozenset[str]()
        _note_uses(found.folder / DATABASE, used or {}, doubted)
        run = _make_ready(found, lease, build, confirmation, EvidenceFolder.of(database))
        (put_database if readable else replace_database)(found.folder / DATABASE, database)
    except BaseException:
        if old is not None:
            with closing(open_memory(database)) as memory:
                memory.locks.release(old)
        raise
    restored = Restored(run, kept_as, merged, beside if merged is Merged.BESIDE else None, lease.token)
    restored = msgspec.structs.replace(restored, used=None if used is None else len(used), doubted=len(doubted))
    site = build(open_memory(database))
    try:
        with keeping(site, lease):
            for begun in site.memory.journal.open_runs():
                if begun.id == run:
                    record_run(site, begun, "", confirmation)
            record_state(site, "restored", run, **_facts(found, restored, old.took_over if old else ""))
            end(site, run, "done")
    finally:
        site.close()
    return restored


def new_token(present: int, backed_up: int, now: float) -> int:
    """A fencing token above every one that can have been given out, with or without the present state's help. `now` is
    in seconds since the epoch.

    Each lease takes the next token, and leases are taken more slowly than one a second: a command takes longer, the
    loop rests between two. So a state that began at 1, or was itself restored to the seconds of its day, is still
    below the seconds since the epoch, however many leases were taken after the backup.
    """
    return max(present, backed_up, int(now)) + 1


def new_generation(reached: Sequence[int], now: float) -> int:
    """A generation of the state above every one that a copy of it can have reached since the backup. `now` is in
    seconds since the epoch: a state is not written to a thousand times a second, each time to the disk."""
    return max((*reached, int(now * 1000))) + 1


def _holdings(database: Path, evidence: Path) -> Holdings:
    """What a state holds. Raises `Damaged`, RCL5002, where it does not read."""
    with closing(open_memory(database, opening=Opening.READ)) as memory:
        runs = memory.journal.runs(None)
        groups, token = len(memory.ledger.entries()), memory.locks.token()
        lineage = memory.lineage()
    records, head = count_and_head(evidence)
    newest = runs[0] if runs else None
    return Holdings(
        len(runs),
        newest.id if newest else "",
        newest.started_at if newest else None,
        groups,
        token,
        records,
        head,
        lineage,
    )


def _owed(database: Path) -> tuple[Record, ...]:
    with closing(open_memory(database, opening=Opening.READ)) as memory:
        return memory.evidence.owed()


def _uses(database: Path) -> Mapping[str, ApprovalUse]:
    with closing(open_memory(database, opening=Opening.READ)) as memory:
        return dict(memory.approvals.all())


def _note_uses(coming: Path, used: Mapping[str, ApprovalUse], doubted: Collection[str]) -> None:
    """Writes into the state that is to come what the present one knows of approvals, and which of them are doubted: of
    one that was used up already there is no doubt."""
    with closing(open_memory(coming)) as memory:
        known = memory.approvals.all()
        for key, use in used.items():
            memory.approvals.record(_joined(known.get(key), use))
        for key in sorted(doubted):
            use = known.get(key) or ApprovalUse(key, "")
            if use.used_up_at is None:
                memory.approvals.record(msgspec.structs.replace(use, unknown_since=datetime.now(UTC)))


def _joined(then: ApprovalUse | None, now: ApprovalUse) -> ApprovalUse:
    """What two states know of one approval."""
    if then is None:
        return now
    counted = {**then.counted, **now.counted}
    return msgspec.structs.replace(
        now,
        counted=counted,
        spent=max(sum(counted.values()), then.spent, now.spent),
        done=tuple(sorted({*then.done, *now.done})),
        used_up_at=now.used_up_at or then.used_up_at,
        unknown_since=now.unknown_since or then.unknown_since,
    )


def _refuse_if_held(database: Path) -> None:
    """Raises `LockHeld` where somebody is at work, on the groups or on a replica. A loop that rests is at nothing."""
    with closing(open_memory(database, opening=Opening.READ)) as memory:
        for prefix in (SITE_LEASES, JOB_LEASES):
            for lease in memory.locks.every(prefix):
                if memory.locks.holder(lease.name) is not None:
                    raise lock_held(lease)


def _acquired(site: str, database: Path) -> Lease:
    with closing(open_memory(database)) as memory:
        return memory.locks.acquire(f"site:{site}", holder_identity(), _TTL)


def _lease(site: str, token: int) -> Lease:
    now = datetime.now(UTC)
    return Lease(f"site:{site}", holder_identity(), token, now, now + _TTL)


def _keep(database: Path, *, readable: bool) -> tuple[Path, ...]:
    """Copies what is there beside it; nothing of it is ever deleted."""
    if not database.exists():
        return ()
    copy = _free(database, "before-restore")
    if readable:
        try:
            copy_database(database, copy)
            files.fsync_folder(copy.parent)
        except Damaged:
            files.unlink(copy)
        else:
            return (copy,)
    return keep_raw(database, copy)


def _make_ready(found: Opened, lease: Lease, build: Build, confirmation: Confirmation, evidence: EvidenceFolder) -> str:
    """Writes into the state that is to come: whose it is and how far it has come, the lease, which is ours already, and
    a run that has begun. Whoever finds that run open knows that the process died before it had told of the restore."""
    present = found.present.lineage if found.present is not None else None
    coming = found.coming.lineage
    reached = new_generation([each.generation for each in (present, coming) if each is not None], time.time())
    identity = present.id if coming is None and present is not None else ""
    with closing(open_memory(found.folder / DATABASE)) as memory:
        memory.verify()
        memory.come_from_backup(reached, identity, evidence)
        memory.evidence.owe_besides(found.owed, _written(evidence))
        for known in memory.stores.known().values():
            memory.stores.note(msgspec.structs.replace(known, told="", telling=""))
        memory.locks.raise_floor(lease.token)
        site = build(memory)
        memory.locks.hand(lease)
        with keeping(site, lease) as held:
            run = new_run(site, None, held, mandate_of(site, "state restore", confirmation))
            memory.journal.begin(run, None)
        memory.locks.hand(lease)
    return run.id


def _written(evidence: EvidenceFolder) -> Iterator[Record]:
    """The records of the present evidence, as far as they read."""
    with suppress(Damaged):
        yield from evidence.records()


def _facts(found: Opened, restored: Restored, took_over: str) -> dict[str, str | int | datetime]:
    """What the evidence record says: which backup, what it holds, what was there, and where that is kept."""
    manifest, coming, present = found.manifest, found.coming, found.present
    facts: dict[str, str | int | datetime] = {
        "takenAt": manifest.taken_at,
        "takenOn": manifest.host,
        "takenBy": manifest.version,
        "seal": manifest.seal,
        "runs": coming.runs,
        "groups": coming.groups,
        "newestRun": coming.newest_run,
        "head": coming.head,
        "keptAs": ", ".join(path.name for path in restored.kept_as),
        "evidence": str(restored.evidence),
        "otherEvidence": restored.other_evidence.name if restored.other_evidence else "",
        "token": restored.token,
        "tookOver": took_over,
    }
    if present is not None:
        facts |= {"runsBefore": present.runs, "groupsBefore": present.groups, "newestRunBefore": present.newest_run}
    return facts


def _free(path: Path, word: str) -> Path:
    """A name beside `path` that nothing has: with the word and the time."""
    tail = f".{word}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    tails = (tail if number == 1 else f"{tail}-{number}" for number in range(1, 1000))
    names = (path.with_name(files.bounded(path.name, each)) for each in tails)
    return next(each for each in names if not each.exists())
