"""Looking before recovering: a job, its point, the target as it is -> what would be written, destroyed, refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from reconciler.engines.embedded.blocks import BLOCK
from reconciler.engines.embedded.cutover import files_of, machine_differs, machine_refusals, refusal
from reconciler.engines.embedded.intent import Anew, Intent, Phase, Stands, decode, moved, stands
from reconciler.engines.embedded.maps import FileMap, MachineMap
from reconciler.engines.embedded.packs import PackReader
from reconciler.engines.embedded.replica import ReplicaStore
from reconciler.engines.places import Configured, chosen, folder_names, original_places
from reconciler.errors import Diagnostic, Refused, Severity
from reconciler.model import FileState, Job, Recovery, RecoveryStep, RecoveryTarget, VirtualMachine, format_size
from reconciler.protocols import NOT_THERE, Disks, Target
from reconciler.staging import LocalTarget

#: Free space that is left alone, whatever is recovered.
_RESERVE = 16 * 1024 * 1024

#: A configuration is small; a larger one is not read into memory.
_LARGEST_CONFIGURATION = 16 * 1024 * 1024


class Placed(msgspec.Struct, frozen=True, rename="camel"):
    """One file of a recovery: what is written, and where. `content` is what is written instead of the point's bytes: a
    configuration that names its disks where they lie now."""

    file: FileMap
    path: str
    content: bytes | None = None


class Looked(msgspec.Struct, frozen=True):
    """What a recovery would do. `destroys` are paths that are replaced or removed, `remove` those of them that are
    removed, `found` what stands at all of them and `disks` where the machine's files lie; `anew` says that the cluster
    does not know the machine."""

    placed: tuple[Placed, ...]
    destroys: tuple[str, ...]
    remove: tuple[str, ...]
    found: tuple[FileState, ...]
    refusals: tuple[Diagnostic, ...]
    notes: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    anew: Anew | None = None


def target_of(target: RecoveryTarget, folder: str, disks: Disks) -> Target:
    return disks if target is RecoveryTarget.ORIGINAL else LocalTarget(Path(folder))


def states(target: Target, paths: Iterable[str]) -> tuple[FileState, ...]:
    """What stands at the paths, without what has nothing, by path."""
    found = (target.state(path) for path in sorted(set(paths)))
    return tuple(state for state in found if state is not None)


def look(job: Job, store: ReplicaStore, disks: Disks) -> Looked:
    """What a recovery would do now. Raises `Refused` where it cannot even be said."""
    recovery = recovery_of(job)
    machine = store.map_of(recovery.point)
    if machine is None:
        raise no_such_point(recovery.point)
    config = configuration(machine, store)
    target = target_of(recovery.target, recovery.folder, disks)
    if recovery.target is RecoveryTarget.FOLDER:
        return _into_folder(job, machine, config, target)
    return _to_original(job, machine, config, store, disks)


def _into_folder(job: Job, machine: MachineMap, config: bytes, target: Target) -> Looked:
    recovery = recovery_of(job)
    paths = [file.path for file in machine.files]
    names = folder_names(paths, _config_path(machine))
    wanted = chosen(paths, _config_path(machine), recovery.disks, recovery.point)
    placed = tuple(Placed(file, names[file.path]) for file in machine.files if file.path in wanted)
    in_the_way = [
        refusal("RCL7006", each.path, "is already in the folder", "Choose an empty folder.")
        for each in placed
        if target.exists(each.path)
    ]
    notes = [f"{each.path} is {each.file.path}" for each in placed if each.path != each.file.file_name]
    refused = (*in_the_way, *_no_room(placed, target))
    return Looked(placed, (), (), (), refused, (*notes, *_forbidden(placed)))


def _to_original(job: Job, machine: MachineMap, config: bytes, store: ReplicaStore, disks: Disks) -> Looked:
    recovery = recovery_of(job)
    refused = list(_half_done_before(job, store, disks))
    remove: tuple[str, ...] = ()
    path = _config_path(machine)
    then = Configured(path, _disks_then(machine, config, disks))
    anew: Anew | None = None
    lying: tuple[str, ...] = ()
    notes: list[str] = []
    if job.source.machine not in disks.resource_groups() and not disks.exists(path):
        anew = _anew(job, store, path)
        now = then
        if recovery.disks:
            raise Refused(
                "RCL7019",
                f"the cluster knows no virtual machine {job.source.machine}: single disks of it have no place",
                "Recover the whole virtual machine, or the disks to a folder (--to FOLDER).",
                subject=recovery.point,
            )
        notes.append(f"the cluster does not know {anew.name} any more: it is made again, and left switched off")
    else:
        known = _known(job, store, disks, path)
        refused += machine_refusals(known, disks)
        now = Configured(known.config, {disk.path: disk.id for disk in known.disks})
        lying = files_of(known)
        if not recovery.keep_original and not recovery.disks:
            remove = disks.checkpoint_files(job.source.machine)
    places = original_places(then, now, recovery.point)
    wanted = chosen([file.path for file in machine.files], path, recovery.disks, recovery.point)
    placed = tuple(Placed(file, places[file.path]) for file in machine.files if file.path in wanted)
    placed = tuple(_relocated(each, config, places, disks) if each.file.config else each for each in placed)
    notes += [f"{each.path} names the disks where they lie now" for each in placed if each.content is not None]
    if any(each.file.config for each in placed):
        theirs = {*places.values(), *disks.configured(config, path)}
        notes += [_no_disk_any_more(each) for each in sorted(set(now.disks) - theirs)]
    for each in placed:
        disks.check(each.path)
    touched = [each.path for each in placed] + list(remove)
    refused += _owned_by_others(job, touched, disks)
    refused += _no_room(placed, disks)
    existing = [each.path for each in placed if disks.exists(each.path)]
    destroys = ([] if recovery.keep_original else existing) + list(remove)
    found = states(disks, touched)
    return Looked(placed, tuple(destroys), remove, found, tuple(refused), (*notes, *_forbidden(placed)), lying, anew)


def _known(job: Job, store: ReplicaStore, disks: Disks, path: str) -> VirtualMachine:
    """The virtual machine as it is now. Raises `Refused` where its files are there and no role of it is."""
    try:
        return disks.machine(job.source.machine)
    except Refused as error:
        if error.diagnostic.code != NOT_THERE or not disks.exists(path):
            raise
        name = store.facts().machine_name or job.source.machine
        raise Refused(
            NOT_THERE,
            f"{job.source.cluster} has no readable role of {name!r} any more, while its files are still there ({path})",
            "Recover it to a folder (--to FOLDER), then make it highly available. Or move these files away first: then "
            "it is rebuilt.",
            subject=name,
        ) from error


def _no_disk_any_more(path: str) -> str:
    return f"{path}, a disk now, will be no disk of the virtual machine any more; its file stays"


def _anew(job: Job, store: ReplicaStore, config: str) -> Anew:
    facts = store.facts()
    return Anew(config, facts.machine_name or job.source.machine, facts.node)


# --- One that is half done -----------------------------------------------------------------------------------


class Unfinished(msgspec.Struct, frozen=True):
    """What going on with a recovery, or back, would write and destroy."""

    writes: tuple[str, ...]
    destroys: tuple[str, ...]
    found: tuple[FileState, ...]
    refusals: tuple[Diagnostic, ...]


def look_at_unfinished(job: Job, intent: Intent, disks: Disks) -> Unfinished:
    """What `--continue` or `--undo` would do now."""
    target = target_of(intent.target, intent.folder, disks)
    if intent.phase is Phase.STAGING:
        return Unfinished((), (), states(target, touched_by(intent)), ())
    there = {file.path for file in moved(target, intent)}
    because = machine_differs(disks, job.source.machine, target, intent)
    refused = () if because is None else (refusal("RCL7021", intent.point, f"is not for now: {because}", "Fix that."),)
    found = states(target, touched_by(intent))
    if recovery_of(job).step is RecoveryStep.UNDO:
        back = tuple(file.path for file in intent.files if file.path in there and file.before is not None)
        return Unfinished(back, tuple(sorted(there)), found, refused)
    left = tuple(file.path for file in intent.files if file.path not in there)
    gone = () if intent.keep_original else tuple(path for path in left if target.exists(path))
    return Unfinished(left, gone + tuple(state.path for state in intent.remove), found, refused)


def touched_by(intent: Intent) -> list[str]:
    """Every path that the intent writes or removes."""
    return [file.path for file in intent.files] + [state.path for state in intent.remove]


def _half_done_before(job: Job, store: ReplicaStore, disks: Disks) -> list[Diagnostic]:
    """An earlier recovery to the original place of which a part is done stands in the way of the next one."""
    found = []
    for earlier, body in store.cut_overs().items():
        intent = decode(body)
        if earlier == job.id or intent.target is RecoveryTarget.FOLDER or intent.phase is not Phase.READY:
            continue
        done = [file for file in intent.files if stands(disks, file) is Stands.AFTER]
        if done:
            what = f"is half recovered already, to {intent.point} for {intent.by or 'somebody'}"
            remedy = (
                "Finish that with `reconciler recover --continue VM`, or undo it with `reconciler recover --undo VM`."
            )
            name = store.facts().machine_name or job.source.machine
            found.append(refusal("RCL7022", name, what, remedy))
    return found


# --- Parts ---------------------------------------------------------------------------------------------------


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


def _owned_by_others(job: Job, paths: list[str], disks: Disks) -> list[Diagnostic]:
    """A file that another virtual machine names too is never written over or removed, whatever its power state."""
    return [
        refusal(
            "RCL7013",
            path,
            f"is named by {', '.join(map(repr, owners))} too: it would be replaced under it",
            "Recover to a folder (--to FOLDER), and see which virtual machine the file belongs to.",
        )
        for path, owners in disks.other_owners(job.source.machine, paths).items()
    ]


def _no_room(placed: tuple[Placed, ...], target: Target) -> list[Diagnostic]:
    """What does not fit, for each file system that is written to."""
    needed: dict[int, int] = {}
    rooms: dict[int, tuple[str, int]] = {}
    for each in placed:
        room = target.room(each.path)
        rooms.setdefault(room.file_system, (room.folder, room.free_bytes))
        needed[room.file_system] = needed.get(room.file_system, 0) + sum(lengths(each.file))
    return [
        Diagnostic(
            "RCL7007",
            Severity.ERROR,
            f"{folder} is full: {format_size(needed[system] + _RESERVE)} needed, {format_size(free)} free",
            "Free space there, or recover to another folder (--to FOLDER).",
            subject=folder,
        )
        for system, (folder, free) in rooms.items()
        if needed[system] + _RESERVE > free
    ]


def _config_path(machine: MachineMap) -> str:
    return next((file.path for file in machine.files if file.config), "")


def _disks_then(machine: MachineMap, config: bytes, disks: Disks) -> dict[str, str]:
    """The point's disks, with the ids that its configuration states for them."""
    ids = disks.configured(config, _config_path(machine))
    return {file.path: ids.get(file.path, "") for file in machine.files if not file.config}


def _relocated(placed: Placed, config: bytes, places: Mapping[str, str], disks: Disks) -> Placed:
    """The configuration, naming the disks where they are put."""
    content = disks.relocated(config, placed.file.path, placed.path, places)
    return placed if content == config else msgspec.structs.replace(placed, content=content)


def _forbidden(placed: Iterable[Placed]) -> tuple[str, ...]:
    """Names that are fine here and that Windows would not take."""
    bad = (each.path for each in placed if set(each.file.file_name) & set('<>:"|?*') or each.path[-1:] in ". ")
    return tuple(f"Windows takes no file of the name {path}" for path in bad)


def lengths(file: FileMap) -> list[int]:
    """The length of each block that is written."""
    return [file.length_at(index) for index, _ in file.stored()]


def recovery_of(job: Job) -> Recovery:
    assert job.recovery is not None
    return job.recovery


def no_such_point(point: str) -> Refused:
    return Refused(
        "RCL7004",
        f"there is no recovery point {point!r}",
        "See `reconciler points` for what there is.",
        subject=point,
    )
