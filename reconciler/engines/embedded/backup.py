"""Backup jobs: a job, a replica store -> a renewed replica, with a recovery point where the job makes one.

What a point holds follows from how it was read, for there is no VSS here: a machine that is off before and after
is application consistent. One that runs is crash consistent where what is new read the same twice; a Linux guest
whose configuration declares a quiesced export is file consistent. What changes on the second try is no point.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import msgspec
from msgspec import UNSET

from reconciler.engines.embedded.maps import MachineMap
from reconciler.engines.embedded.packs import PackReader
from reconciler.engines.embedded.records import Assignment, Commit, Facts, NewPoint, PointRecord
from reconciler.engines.embedded.replica import ReplicaStore
from reconciler.engines.embedded.scan import Changed, Report, Room, Scanned, Scanner, changed_under_the_read
from reconciler.errors import Damaged, Interrupted, PermanentError, Refused, Severity
from reconciler.model import (
    Consistency,
    ExistingPoints,
    Job,
    JobKind,
    JobResult,
    PointKind,
    PowerState,
    RecoveryPoint,
    ReplicaState,
    VirtualMachine,
    format_duration,
)
from reconciler.model.names import alike
from reconciler.plan.checks.backup_refusals import refusals
from reconciler.plan.checks.replica_prerequisites import REPLICAS
from reconciler.protocols import NOT_THERE, Clock, Disks
from reconciler.schedule.retain import LEAST_POINTS, Range, retain

_POINT_KINDS = {
    JobKind.INITIAL_REPLICA: PointKind.INITIAL_REPLICA,
    JobKind.SYNCHRONIZATION: PointKind.SYNCHRONIZATION,
    JobKind.EXPRESS_FULL: PointKind.EXPRESS_FULL,
}


@dataclass(frozen=True)
class Work:
    """What a job works with. `rules` are those that the replica's points stand under when they are asked for."""

    job: Job
    assignment: Assignment
    rules: Callable[[], Assignment]
    store: ReplicaStore
    disks: Disks
    clock: Clock
    pool: ThreadPoolExecutor
    room: Room
    cancelled: threading.Event
    report: Report

    def safe_point(self) -> None:
        """Raises `Interrupted` if somebody asked the job to stop."""
        if self.cancelled.is_set():
            raise Interrupted("RCL0005", "the job was cancelled", "It is due again.", subject=self.job.id)

    def progress(self, done: int, total: int) -> None:
        self.safe_point()
        self.report(done, total)


def back_up(work: Work) -> JobResult:
    """Initial replica, synchronization or express full: a scan, committed with its recovery point."""
    facts = work.store.facts()
    initial = work.job.kind is JobKind.INITIAL_REPLICA
    if facts.state is ReplicaState.PENDING and not initial:
        raise Refused(
            "RCL4010",
            "there is no initial replica yet",
            "It is made first, automatically.",
            subject=facts.machine_name or work.job.source.machine,
        )
    _check_packs(work)
    at, machine, scanned = _scan(work)
    point = NewPoint(
        id=f"{at:%Y%m%dT%H%M%SZ}-{sha256(work.job.id.encode()).hexdigest()[:8]}",
        time=at,
        kind=_POINT_KINDS[work.job.kind],
        consistency=_consistency(machine),
        scheduled_for=work.job.scheduled_for,
        stored_bytes=scanned.stored_bytes,
    )
    whole = work.job.kind is not JobKind.SYNCHRONIZATION
    renewed = _renewed(facts, machine, at, state=ReplicaState.VALID if initial else facts.state)
    if whole:
        renewed.express_full_at = at
    return _commit(work, renewed, (at, scanned), point, whole=whole)


def check_consistency(work: Work) -> JobResult:
    """Reads back every block of the replica, compares it with its source, and stores anew what is not right."""
    facts = work.store.facts()
    if not facts.current_map:
        raise Refused("RCL4010", "there is no initial replica yet", "It is made first.", subject=facts.machine_name)
    current = _believed(work)
    missing = work.store.missing_packs()
    suspects = {name for pack in missing for name, _ in work.store.blocks_of_pack(pack)}
    bad = _unreadable(work, (current.names() if current else set()) | suspects)
    if bad or missing:
        work.store.forget_blocks(bad, missing, work.clock.now())
        work.store.set_inconsistent(_found(bad, missing))  # until this check has stored them anew, if it comes so far
    bad |= work.store.bad_blocks()
    try:
        at, machine, scanned = _scan(work)
    except PermanentError as error:
        if bad or missing:
            work.store.set_inconsistent(f"{_found(bad, missing)}: {error.diagnostic.message}")
        raise
    healed = tuple(name for name in sorted(bad) if name in scanned.stored_names or work.store.block(name))
    renewed = _renewed(facts, machine, at, state=ReplicaState.VALID)
    renewed.checked_at = at
    renewed.inconsistent_because = ""
    return _commit(work, renewed, (at, scanned), None, whole=True, healed=healed)


def _found(bad: Collection[bytes], missing: Collection[str]) -> str:
    """What a consistency check found wrong, for people."""
    packs = f", {len(missing)} pack(s) are missing or truncated" if missing else ""
    return f"a consistency check found {len(bad)} damaged block(s){packs}, not stored again yet"


def prune(work: Work) -> JobResult:
    """Moves points to the bin. The rules are looked up inside the transaction that bins: a job that slept while they
    were lengthened expires nothing that they keep now. The floors are checked here too, whoever asked: the newest,
    the last verified point, and as many as the group wants at least, never go; unless protection was stopped with
    `expireNow`."""
    name = work.store.facts().machine_name

    def judge(points: list[PointRecord]) -> tuple[list[str], JobResult]:
        going = _expiring(work, [point.shown(work.job.source) for point in points])
        return going, JobResult(points_expired=len(going), machine_name=name)

    return work.store.bin_points(work.job.id, work.clock.now(), judge)


def _expiring(work: Work, points: list[RecoveryPoint]) -> list[str]:
    """Those of the points asked for that the present rules let go. Raises `Refused`, RCL4011."""
    rules = work.rules()
    wanted = [point for point in points if point.id in work.job.points]
    if rules.group is None and rules.existing_points is ExistingPoints.EXPIRE_NOW:
        return [point.id for point in wanted]
    if rules.group is None and rules.existing_points is ExistingPoints.KEEP_FOREVER:
        raise Refused("RCL4011", "its points are kept forever", "Nothing needs to be done.", subject=work.job.id)
    now = work.clock.now()
    if rules.paused_until is not None and now < rules.paused_until:
        raise Refused(
            "RCL4011",
            f"the group {rules.group} is paused until {rules.paused_until:%Y-%m-%d %H:%M} UTC; nothing of it expires",
            "Nothing was expired. The schedule asks again once the pause has ended.",
            subject=work.job.source.machine,
        )
    kept = retain(points, Range(rules.retention, rules.minimum_points), now)
    may_go = {point.id for point in kept.expire}
    held = [point for point in wanted if point.id not in may_go]
    if held:
        raise Refused(
            "RCL4011",
            f"{len(held)} of {len(wanted)} points that were to expire are kept by the rules that they stand under now: "
            f"{format_duration(rules.retention)}, the newest, the last verified one, and "
            f"{max(LEAST_POINTS, rules.minimum_points)} in all",
            "Nothing was expired. The schedule asks again with what is there then.",
            subject=work.job.source.machine,
        )
    return [point.id for point in wanted]


# --- Parts ---------------------------------------------------------------------------------------------------


def look_at(disks: Disks, job: Job) -> VirtualMachine:
    """The machine as it is now. Raises `Refused` where it cannot be backed up rightly."""
    machine = disks.machine(job.source.machine)
    for finding in refusals(machine):
        if finding.severity is Severity.ERROR:
            raise Refused(finding.code, finding.message, finding.remedy, subject=finding.subject)
    return machine


def _believed(work: Work) -> MachineMap | None:
    """What the replica holds, as far as that reads: without it every block is looked up anew."""
    try:
        return work.store.current()
    except Damaged:
        return None


def _scan(work: Work) -> tuple[datetime, VirtualMachine, Scanned]:
    """One scan; a second one if the source was written to, or its power or its disks changed, during the first."""
    for _ in range(2):
        work.store.tidy()
        machine = _seen(work)
        at = work.clock.now()
        before = _believed(work) if work.job.kind is JobKind.CONSISTENCY_CHECK else work.store.current()
        try:
            scanned = Scanner(work.store, work.disks, work.pool, work.room).scan(
                machine, before, work.progress, twice=machine.power is not PowerState.OFF
            )
        except Changed:
            continue
        if _as_it_was(machine, look_at(work.disks, work.job)):
            return at, machine, scanned
    raise changed_under_the_read(machine)


def _seen(work: Work) -> VirtualMachine:
    """The virtual machine as it is now. Where it was deleted, its replica still knows what people called it."""
    try:
        return look_at(work.disks, work.job)
    except Refused as error:
        said, name = error.diagnostic, work.store.facts().machine_name
        if said.code != NOT_THERE or not name:
            raise
        message = said.message.replace(work.job.source.machine, repr(name))
        raise Refused(said.code, message, said.remedy, subject=name) from error


def _as_it_was(before: VirtualMachine, after: VirtualMachine) -> bool:
    """Whether the files that were read are those that the machine has by now: a configuration that was read later than
    its disks were listed would name one that the point does not hold."""
    files = [[(disk.path, disk.kind, disk.id) for disk in machine.disks] for machine in (before, after)]
    return (before.power, before.config, files[0]) == (after.power, after.config, files[1])


def _commit(
    work: Work,
    facts: Facts,
    scan: tuple[datetime, Scanned],
    point: NewPoint | None,
    *,
    whole: bool,
    healed: tuple[bytes, ...] = (),
) -> JobResult:
    at, scanned = scan
    result = JobResult(
        point=point.id if point else "",
        point_time=point.time if point else None,
        machine_name=facts.machine_name,
        node=facts.node,
        read_bytes=scanned.read_bytes,
        stored_bytes=scanned.stored_bytes,
        blocks_changed=scanned.blocks_changed,
        blocks_repaired=len(healed),
    )
    commit = Commit(work.job.id, work.job.kind, at, scanned.machine, whole, facts, result, point, healed)
    work.store.commit(commit, scanned.sealed, work.assignment)
    return result


def _check_packs(work: Work) -> None:
    """A pack that is gone or cut makes the replica inconsistent before anything more is built on it."""
    missing = work.store.missing_packs()
    if not missing:
        return
    because = f"{len(missing)} pack(s) are missing or truncated, the first is {missing[0]}"
    work.store.set_inconsistent(because)
    raise Damaged(
        "RCL4005",
        f"the replica is inconsistent: {because}",
        "A consistency check stores again what the source still holds; check the disk that the store lies on.",
        subject=work.store.facts().machine_name,
    )


def _unreadable(work: Work, suspects: set[bytes]) -> set[bytes]:
    """Those of the blocks that do not read back."""
    bad = set()
    names = sorted(suspects, key=lambda name: _place(work.store, name))
    with PackReader(work.store.packs) as reader:
        for number, name in enumerate(names):
            if number % 64 == 0:
                work.safe_point()
            try:
                work.store.read_block(name, reader)
            except Damaged:
                bad.add(name)
    return bad


def _place(store: ReplicaStore, name: bytes) -> tuple[str, int]:
    block = store.block(name)
    return (block.pack, block.offset) if block else ("", 0)


def _renewed(facts: Facts, machine: VirtualMachine, at: datetime, state: ReplicaState) -> Facts:
    return msgspec.structs.replace(facts, state=state, machine_name=machine.name, node=machine.node, synchronized_at=at)


def _consistency(machine: VirtualMachine) -> Consistency:
    """What a point of the machine is, once it was read without a change; see the module."""
    if machine.replication is not UNSET and machine.replication.mode in REPLICAS:
        return Consistency.CRASH
    if machine.power is PowerState.OFF:
        return Consistency.APPLICATION
    linux = isinstance(machine.guest_system, str) and alike(machine.guest_system, "linux")
    return Consistency.FILE if linux and machine.quiesced_export is True else Consistency.CRASH
