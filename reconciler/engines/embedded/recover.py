"""Recovery: a point, a target -> the machine's files, staged beside the target, verified, then renamed over it.

The intent to cut over is written down once everything is staged and verified; from then on an interrupted
recovery is rolled forward, before it nothing of the target was touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import msgspec
from blake3 import blake3

from reconciler.engines.embedded.backup import Work
from reconciler.engines.embedded.blocks import BLOCK, HOLE, name_of
from reconciler.engines.embedded.maps import FileMap, MachineMap, file_digest
from reconciler.engines.embedded.packs import PackReader
from reconciler.engines.embedded.replica import ReplicaStore
from reconciler.engines.places import Configured, chosen, folder_names, original_places
from reconciler.errors import Damaged, Diagnostic, Refused, Severity
from reconciler.model import Job, JobResult, PowerState, Recovery, RecoveryTarget, VirtualMachine, format_size
from reconciler.protocols import Disks, StagedFile, Target
from reconciler.staging import LocalTarget

#: Free space that is left alone, whatever is recovered.
_RESERVE = 16 * 1024 * 1024

#: A configuration is small; a larger one is not read into memory.
_LARGEST_CONFIGURATION = 16 * 1024 * 1024

#: How many blocks of a staged file are read back at once.
_RUN = 32
_ZEROS = bytes(_RUN * BLOCK)


class Placed(msgspec.Struct, frozen=True, rename="camel"):
    """One file of a recovery: what is written, and where. `content` is what is written instead of the point's bytes: a
    configuration that names its disks where they lie now."""

    file: FileMap
    path: str
    content: bytes | None = None


class CutOver(msgspec.Struct, frozen=True, rename="camel"):
    """The written intent: staged and verified files, and what they replace. `digests` are BLAKE3 of whole files."""

    token: str
    files: tuple[tuple[str, int, int], ...]
    digests: dict[str, str]
    keep_original: bool
    remove: tuple[str, ...] = ()


#: Made here, by one thread: two threads that decode a type for the first time at once can crash msgspec 0.22.
_CUT_OVER = msgspec.json.Decoder(CutOver)


def token_of(job: Job) -> str:
    """Tells the staged files of one job from another's."""
    return sha256(job.id.encode()).hexdigest()[:12]


def target_of(recovery: Recovery, disks: Disks) -> Target:
    return disks if recovery.target is RecoveryTarget.ORIGINAL else LocalTarget(Path(recovery.folder))


def placed_files(job: Job, machine: MachineMap, config: bytes, disks: Disks) -> tuple[Placed, ...]:
    """Which files go where; `config` is the content of the point's configuration. Raises `Refused`, RCL7005, for a disk
    that the point does not have, RCL7014 where it cannot be told which disk now is the one of then."""
    recovery = _recovery(job)
    paths = [file.path for file in machine.files]
    configured = next((file.path for file in machine.files if file.config), "")
    wanted = set(chosen(paths, configured, recovery.disks, recovery.point))
    if recovery.target is RecoveryTarget.FOLDER:
        places = folder_names(paths, configured)
    else:
        then = Configured(configured, _disks_then(machine, config, disks))
        places = original_places(then, _disks_now(job, disks), recovery.point)
    placed = tuple(Placed(file, places[file.path]) for file in machine.files if file.path in wanted)
    if recovery.target is RecoveryTarget.FOLDER:
        return placed
    return tuple(_relocated(each, config, places, disks) if each.file.config else each for each in placed)


def _disks_then(machine: MachineMap, config: bytes, disks: Disks) -> dict[str, str]:
    """The point's disks, with the ids that its configuration states for them."""
    configured = next((file.path for file in machine.files if file.config), "")
    ids = disks.configured(config, configured)
    return {file.path: ids.get(file.path, "") for file in machine.files if not file.config}


def _disks_now(job: Job, disks: Disks) -> Configured:
    machine = disks.machine(job.source.machine)
    return Configured(machine.config, {disk.path: disk.id for disk in machine.disks})


def _relocated(placed: Placed, config: bytes, places: Mapping[str, str], disks: Disks) -> Placed:
    """The configuration, naming the disks where they are put."""
    content = disks.relocated(config, placed.file.path, placed.path, places)
    return placed if content == config else msgspec.structs.replace(placed, content=content)


# --- Looking first -------------------------------------------------------------------------------------------


def configuration(machine: MachineMap, store: ReplicaStore) -> bytes:
    """The content of the point's configuration. Raises `Damaged`, and `Refused` where it is larger than one can be."""
    file = next((file for file in machine.files if file.config), None)
    if file is None:
        return b""
    if file.size > _LARGEST_CONFIGURATION:
        what = f"the configuration {file.path!r} of the point has {format_size(file.size)}"
        raise Refused("RCL7016", what, "Recover its disks to a folder (--to FOLDER).", subject=file.path)
    content = bytearray(file.size)
    with PackReader(store.packs) as reader:
        for index, name in file.stored():
            block = store.read_block(name, reader)
            content[index * BLOCK : index * BLOCK + len(block)] = block
    return bytes(content)


def preview(
    job: Job, machine_map: MachineMap, config: bytes, disks: Disks
) -> tuple[tuple[Placed, ...], list[str], list[Diagnostic]]:
    """The files with their places, what is destroyed, and the reasons why it would be refused."""
    recovery = _recovery(job)
    target = target_of(recovery, disks)
    refused: list[Diagnostic] = []
    destroys: list[str] = []
    if recovery.target is RecoveryTarget.ORIGINAL:
        machine = disks.machine(job.source.machine)
        refused += _machine_refusals(machine, disks)
        if not recovery.keep_original and not recovery.disks:
            destroys += disks.checkpoint_files(job.source.machine)
    placed = placed_files(job, machine_map, config, disks)
    for each in placed:
        target.check(each.path)
    existing = [each.path for each in placed if target.exists(each.path)]
    if recovery.target is RecoveryTarget.FOLDER:
        refused += [
            _refusal("RCL7006", path, "is already in the folder", "Choose an empty folder.") for path in existing
        ]
    else:
        refused += _owned_by_others(job, [each.path for each in placed] + destroys, disks)
        destroys = ([] if recovery.keep_original else existing) + destroys
    return placed, destroys, refused + _no_room(recovery, placed, target)


def _owned_by_others(job: Job, paths: list[str], disks: Disks) -> list[Diagnostic]:
    """A file that another virtual machine names too is never written over or removed, whatever its power state."""
    return [
        _refusal(
            "RCL7013",
            path,
            f"is named by {', '.join(map(repr, owners))} too: it would be replaced under it",
            "Recover to a folder (--to FOLDER), and see which virtual machine the file belongs to.",
        )
        for path, owners in disks.other_owners(job.source.machine, paths).items()
    ]


def _no_room(recovery: Recovery, placed: tuple[Placed, ...], target: Target) -> list[Diagnostic]:
    """What does not fit, for each file system that is written to."""
    needed: dict[int, int] = {}
    rooms: dict[int, tuple[str, int]] = {}
    for each in placed:
        room = target.room(each.path)
        rooms.setdefault(room.file_system, (room.folder, room.free_bytes))
        needed[room.file_system] = needed.get(room.file_system, 0) + sum(_lengths(each.file))
    return [
        Diagnostic(
            "RCL7007",
            Severity.ERROR,
            f"{folder} is full: {format_size(needed[system] + _RESERVE)} needed, {format_size(free)} free",
            "Make room there, or recover to another folder (--to FOLDER).",
            subject=folder,
        )
        for system, (folder, free) in rooms.items()
        if needed[system] + _RESERVE > free
    ]


def _machine_refusals(machine: VirtualMachine, disks: Disks) -> list[Diagnostic]:
    found = []
    if machine.power is not PowerState.OFF:
        state = machine.power if isinstance(machine.power, str) else "in an unknown state"
        remedy = "Shut it down first; its disks would be replaced under it."
        found.append(_refusal("RCL7008", machine.name, f"is {state}", remedy))
    group = machine.resource_group
    if isinstance(group, str) and machine.id not in disks.resource_groups():
        remedy = "Recover it to an alternate location (--to FOLDER), then make it highly available again."
        found.append(_refusal("RCL7009", machine.name, f"has lost its cluster resource group {group!r}", remedy))
    return found


def _lengths(file: FileMap) -> list[int]:
    return [file.length_at(index) for index, _ in file.stored()]


def _refusal(code: str, subject: str, what: str, remedy: str) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, f"{subject!r} {what}", remedy, subject=subject)


# --- Doing it ------------------------------------------------------------------------------------------------


def recover(work: Work) -> JobResult:
    """Stages, verifies, writes the intent down, cuts over. The same job again goes on where it was."""
    recovery = _recovery(work.job)
    target = target_of(recovery, work.disks)
    planned = work.store.planned_cut_over(work.job.id)
    if planned is None:
        machine = work.store.map_of(recovery.point)
        if machine is None:
            raise no_such_point(recovery.point)
        config = configuration(machine, work.store)
        placed, destroys, refused = preview(work.job, machine, config, work.disks)
        if refused:
            first = refused[0]
            raise Refused(first.code, first.message, first.remedy, subject=first.subject)
        planned = msgspec.json.encode(_stage(work, target, placed, _checkpoints(destroys, placed)))
        work.safe_point()
        work.store.plan_cut_over(work.job.id, planned)
    return _cut_over(work, target, _CUT_OVER.decode(planned))


def _checkpoints(destroys: list[str], placed: tuple[Placed, ...]) -> tuple[str, ...]:
    return tuple(path for path in destroys if path not in {each.path for each in placed})


def _stage(work: Work, target: Target, placed: tuple[Placed, ...], remove: tuple[str, ...]) -> CutOver:
    token = token_of(work.job)
    total = sum(length for each in placed for length in _lengths(each.file))
    done = 0
    digests = {}
    try:
        with PackReader(work.store.packs) as reader:
            for each in placed:
                target.discard(each.path, token)
                if each.content is not None:
                    with target.stage(each.path, token, len(each.content)) as staged:
                        staged.write(0, each.content)
                        digests[each.path] = blake3(staged.read(0, len(each.content))).hexdigest()
                    continue
                with target.stage(each.path, token, each.file.size) as staged:
                    for index, name in each.file.stored():
                        staged.write(index * BLOCK, work.store.read_block(name, reader))
                        done += each.file.length_at(index)
                        if index % 16 == 0:
                            work.progress(done, total)
                    digests[each.path] = _verify(staged, each.file)
    except BaseException as error:
        _clear_away(target, placed, token, error)
        if isinstance(error, Damaged):
            work.store.set_inconsistent(error.diagnostic.message)
        raise
    cut = tuple((each.path, each.file.mode, each.file.mtime_ns) for each in placed)
    return CutOver(token, cut, digests, _recovery(work.job).keep_original, remove)


def _clear_away(target: Target, placed: tuple[Placed, ...], token: str, because: BaseException) -> None:
    """Removes what was staged. Where not even that works, the first error is the one that is told."""
    try:
        for each in placed:
            target.discard(each.path, token)
    except OSError as error:
        because.add_note(f"staged files could not be removed: {error}")


def _verify(staged: StagedFile, file: FileMap) -> str:
    """Reads back what was written and checks every block of it, and from what was read the digest that the point has
    of the file; returns the BLAKE3 of the whole file.

    Holes are not read: the staged file was made anew, so what nobody wrote to is zeros.
    """
    whole = blake3()
    names = bytearray()
    for start, count, hole in _runs(file):
        offset = start * BLOCK
        length = min(count * BLOCK, file.size - offset)
        if hole:
            whole.update(_ZEROS[:length])
            names += HOLE * count
            continue
        data = memoryview(staged.read(offset, length))
        whole.update(data)
        for index in range(start, start + count):
            place = (index - start) * BLOCK
            name = name_of(data[place : place + BLOCK])
            if name != file.name_at(index):
                raise _not_as_written(file, f"at byte {index * BLOCK}")
            names += name
    if file_digest(file.size, bytes(names)) != file.digest:
        raise _not_as_written(file, "as a whole")
    return whole.hexdigest()


def _not_as_written(file: FileMap, where: str) -> Damaged:
    return Damaged(
        "RCL7010",
        f"{file.file_name!r} did not read back as it was written, {where}",
        "The target was not touched. Look at the disk that it lies on, and recover elsewhere.",
        subject=file.file_name,
    )


def _runs(file: FileMap) -> Iterator[tuple[int, int, bool]]:
    """(first block, how many, whether they are holes), covering the file, each no longer than is read at once."""
    start = 0
    while start < file.blocks:
        hole = file.name_at(start) == HOLE
        end = start + 1
        while end < file.blocks and end - start < _RUN and (file.name_at(end) == HOLE) == hole:
            end += 1
        yield start, end - start, hole
        start = end


def _cut_over(work: Work, target: Target, cut: CutOver) -> JobResult:
    for path, mode, mtime_ns in cut.files:
        target.cut_over(path, cut.token, mode, mtime_ns, keep_original=cut.keep_original)
    for path in cut.remove:
        work.disks.remove(path)
    name = work.store.facts().machine_name
    result = JobResult(point=_recovery(work.job).point, machine_name=name, files=cut.digests)
    work.store.end_cut_over(work.job.id, work.clock.now(), result)
    return result


def _recovery(job: Job) -> Recovery:
    assert job.recovery is not None
    return job.recovery


def no_such_point(point: str) -> Refused:
    return Refused(
        "RCL7004",
        f"there is no recovery point {point!r}",
        "See `reconciler points` for what there is.",
        subject=point,
    )
