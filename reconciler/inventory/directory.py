"""A cluster on disk -> its snapshot, and the bytes of its machines."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec import UNSET, UnsetType

from reconciler import files, system_calls
from reconciler.errors import Refused, Unreachable
from reconciler.images import data_extents, inspect
from reconciler.inventory import configuration, layout, owners, refusals
from reconciler.inventory.layout import MachineJson, NodeJson, RoleJson, Unreadable
from reconciler.model.cluster import (
    Agent,
    ClusterSnapshot,
    ClusterVolume,
    DiskKind,
    LocalStorage,
    Node,
    PowerState,
    Replication,
    Unseen,
    VirtualDisk,
    VirtualMachine,
)
from reconciler.model.identity import vm_id
from reconciler.model.names import alike
from reconciler.protocols import Clock, DiskReader, FileFacts
from reconciler.staging import LocalTarget

CONFIGURATION = "vm.json"


def open_inventory(name: str, path: Path, clock: Clock) -> DirectoryInventory:
    """The cluster `name` whose folder is `path`. It is looked at when it is observed, not now."""
    return DirectoryInventory(name, path, clock)


class DirectoryInventory:
    """See `protocols.Inventory`. `disks` gives the bytes."""

    def __init__(self, name: str, path: Path, clock: Clock) -> None:
        self.name = name
        self.path = path
        self.disks = DirectoryDisks(name, path)
        self._clock = clock

    def observe(self) -> ClusterSnapshot:
        cluster = _cluster(self.name, self.path)
        machines, unseen = self.disks.look()
        known = [name for name in ("functional_level", "domain") if getattr(cluster, name) is not UNSET]
        return ClusterSnapshot(
            declared=tuple(known),
            name=self.name,
            taken_at=self._clock.now(),
            domain=cluster.domain,
            functional_level=cluster.functional_level,
            nodes=_nodes(self.path),
            volumes=_volumes(cluster),
            machines=machines,
            unseen=unseen,
        )


class DirectoryDisks(LocalTarget):
    """See `protocols.Disks`. Paths are relative to the cluster's folder."""

    def __init__(self, name: str, root: Path) -> None:
        super().__init__(root)
        self._name = name

    def look(self) -> tuple[tuple[VirtualMachine, ...], tuple[Unseen, ...]]:
        """Every machine that has a role, by id; and the roles whose machine cannot be read."""
        found: dict[str, VirtualMachine] = {}
        claims: dict[str, tuple[str, ...]] = {}
        unseen = []
        for role in _json_files(self.root / "roles"):
            try:
                machine, files_of = self._machine(role)
                if machine.id in found:
                    raise Unreadable(f"{role.name}: its virtual machine {machine.id} is another role's too")
                found[machine.id] = machine
                claims[machine.id] = files_of
            except (Unreadable, Refused, OSError, ValueError) as error:
                # One that is not even text in its names harms no other.
                name = _shown(role.name)
                unseen.append(Unseen(vm_id(_shown(role.stem)), f"roles/{name}", _shown(str(error) or repr(error))))
        seen = owners.with_shared(self, found, claims)
        return tuple(seen[each] for each in sorted(seen)), tuple(sorted(unseen, key=lambda each: each.where))

    def machine(self, machine: str) -> VirtualMachine:
        _cluster(self._name, self.root)
        role = self._role(machine)
        if role is None:
            raise refusals.deleted(machine, self._name)
        try:
            return self._machine(role)[0]
        except Unreadable as error:
            raise refusals.unread(machine, str(error)) from error

    def _role(self, machine: str) -> Path | None:
        """The role's file, however its name is written."""
        wanted = vm_id(machine)
        return next((role for role in _json_files(self.root / "roles") if vm_id(role.stem) == wanted), None)

    def open(self, path: str) -> DiskReader:
        place = self.resolve(path)
        try:
            return FileReader(place)
        except OSError as error:
            raise refusals.no_file(path, error) from error

    def facts(self, path: str) -> FileFacts:
        try:
            status = self.resolve(path).stat(follow_symlinks=False)
        except OSError as error:
            raise refusals.no_file(path, error) from error
        return FileFacts(status.st_mode & 0o7777, status.st_mtime_ns)

    def file_system(self) -> int | None:
        try:
            return self.root.stat().st_dev
        except OSError:
            return None

    def resource_groups(self) -> frozenset[str]:
        return frozenset(vm_id(role.stem) for role in _json_files(self.root / "roles"))

    def checkpoint_files(self, machine: str) -> tuple[str, ...]:
        role = self._role(machine)
        try:
            _, config, stated = self._stated(role) if role else ({}, "", None)
        except Unreadable:
            return ()
        named = configuration.claims(config, stated).checkpoints if stated else ()
        return tuple(path for path in named if self.exists(path))

    # --- Whose files -------------------------------------------------------------------------------------

    def configured(self, config: bytes, path: str) -> dict[str, str]:
        return configuration.disks_of(config, path)

    def relocated(self, config: bytes, before: str, after: str, places: Mapping[str, str]) -> bytes:
        return configuration.relocated(config, before, after, places)

    def other_owners(self, machine: str, paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
        mine = vm_id(machine)
        theirs = owners.Owners(self)
        for role in _json_files(self.root / "roles"):
            if vm_id(role.stem) == mine:
                continue
            try:
                _, path, stated = self._stated(role)
            except Unreadable:
                continue
            theirs.add(stated.name, configuration.claims(path, stated).all)
        found = ((path, theirs.of(path)) for path in paths)
        return {path: tuple(sorted(names)) for path, names in found if names}

    # --- Making known ------------------------------------------------------------------------------------

    def make_known(self, machine: str, config: str, name: str, node: str) -> None:
        if self._role(machine) is not None:
            return
        nodes = [each.name for each in _nodes(self.root)]
        if not nodes:
            raise refusals.no_node(machine, self._name)
        owner = next((each for each in nodes if alike(each, node)), nodes[0])
        role = RoleJson(owner, configuration.folder_of(config), name, PowerState.OFF)
        text = msgspec.json.format(msgspec.json.encode(role), indent=2)
        files.write_whole(self.root / "roles" / f"{vm_id(machine)}.json", text, mode=0o644)

    def make_unknown(self, machine: str) -> None:
        role = self._role(machine)
        if role is not None:
            files.unlink(role)

    # --- One machine -------------------------------------------------------------------------------------

    def _stated(self, role_file: Path) -> tuple[RoleJson, str, MachineJson]:
        """What the role's file says, the path of its machine's configuration, and what that says."""
        role = layout.read(role_file, RoleJson)
        path = f"{role.folder}/{CONFIGURATION}"
        try:
            config = self.resolve(path)
        except Refused as error:
            raise Unreadable(error.diagnostic.message) from error
        stated = layout.read(config, MachineJson)
        if vm_id(stated.id) != vm_id(role_file.stem):
            raise Unreadable(f"{CONFIGURATION}: its id {stated.id!r} is not that of {role_file.name}")
        return role, path, stated

    def _machine(self, role_file: Path) -> tuple[VirtualMachine, tuple[str, ...]]:
        """The machine of a role, and every file that it names."""
        role, config, stated = self._stated(role_file)
        return self._described(role, config, stated), configuration.claims(config, stated).all

    def _described(self, role: RoleJson, config: str, stated: MachineJson) -> VirtualMachine:
        checkpoints = stated.checkpoints
        left_out = ("id", "name", "disks", "notes", "labels", "folder", "owner_node")
        return VirtualMachine(
            declared=(*stated.stated(*left_out), *role.stated(*left_out)),
            id=vm_id(stated.id),
            name=stated.name,
            node=role.owner_node,
            power=role.power,
            resource_group=role.resource_group,
            generation=stated.generation,
            guest_system=stated.guest_system,
            guest_version=stated.guest_version,
            integration_version=stated.integration_version,
            integration_state=stated.integration_state,
            replication=_replication(stated),
            quiesced_export=stated.quiesced_export,
            checkpoints=UNSET if checkpoints is UNSET else tuple(each.name for each in checkpoints),
            disks=tuple(self._disk(role.folder, each) for each in stated.disks),
            labels=_labels(stated.notes) | stated.labels,
            notes=stated.notes,
            config=config,
        )

    def _disk(self, folder: str, stated: layout.DiskJson) -> VirtualDisk:
        path = configuration.within(folder, stated.path)
        if stated.kind in configuration.NO_FILES:
            assert not isinstance(stated.kind, UnsetType)
            return VirtualDisk(declared=("kind",), path=path, kind=stated.kind, id=stated.id)
        try:
            facts = inspect(self.resolve(path))
        except OSError as error:
            kind = DiskKind.RAW if stated.kind is UNSET else stated.kind
            gone = isinstance(error, FileNotFoundError | NotADirectoryError)
            why = "gone: there is no such file" if gone else f"not readable: {error.strerror or error}"
            return VirtualDisk(path=path, kind=kind, unreadable=why, id=stated.id)
        except Refused as error:
            return VirtualDisk(path=path, unreadable=error.diagnostic.message, id=stated.id)
        wrong = None
        if stated.kind is not UNSET and stated.kind is not facts.kind and facts.unreadable is None:
            wrong = f"a {facts.kind} file, while its virtual machine says {stated.kind}"
        return VirtualDisk(
            path=path,
            kind=facts.kind,
            volume=_volume_of(path),
            size_bytes=UNSET if facts.virtual_bytes is None else facts.virtual_bytes,
            file_bytes=facts.file_bytes,
            allocated_bytes=facts.allocated_bytes,
            log_pending=facts.log_pending,
            differencing=facts.differencing,
            unreadable=facts.unreadable or wrong,
            id=stated.id,
        )


class FileReader:
    """See `protocols.DiskReader`: one open file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = files.open_regular(path, follow=False)
        self._descriptor = self._file.fileno()
        self._size = os.fstat(self._descriptor).st_size

    @property
    def size(self) -> int:
        return self._size

    def extents(self) -> Iterator[tuple[int, int]]:
        return data_extents(self._descriptor, self._size)

    def read(self, offset: int, length: int) -> bytes:
        parts = []
        while length > 0:
            data = system_calls.read_at(self._descriptor, length, offset)
            if not data:
                break
            parts.append(data)
            offset, length = offset + len(data), length - len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def generation(self) -> str:
        """By inode, length and times of the open file, and of what stands under its name now."""
        mine = os.fstat(self._descriptor)
        changed = system_calls.changed_ns(self._descriptor, mine)
        try:
            named = self._path.stat(follow_symlinks=False).st_ino
        except OSError:
            named = 0
        return f"{mine.st_ino} {named} {mine.st_size} {mine.st_mtime_ns} {changed}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


# --- Parts ---------------------------------------------------------------------------------------------------


def _cluster(name: str, path: Path) -> layout.ClusterJson:
    """The cluster's own file; without it there is no cluster here, as when it is not mounted."""
    try:
        return layout.read(path / "cluster.json", layout.ClusterJson)
    except Unreadable as error:
        raise Unreachable(
            "RCL2001",
            f"the cluster {name} cannot be seen at {path}: {error}",
            "Mount it, or correct its path in the site. No virtual machine is assumed to be gone meanwhile.",
            subject=name,
        ) from error


def _volumes(cluster: layout.ClusterJson) -> tuple[ClusterVolume, ...]:
    found = (ClusterVolume(declared=each.stated("name"), **msgspec.structs.asdict(each)) for each in cluster.volumes)
    return tuple(sorted(found, key=lambda volume: volume.name))


def _json_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".json")
    except OSError as error:
        raise Unreachable(
            "RCL2001",
            f"{folder} cannot be listed: {error.strerror or error}",
            "Mount the cluster, or correct its path in the site. No virtual machine is assumed to be gone meanwhile.",
            subject=str(folder),
        ) from error


def _nodes(path: Path) -> tuple[Node, ...]:
    nodes = []
    for file in _json_files(path / "nodes"):
        try:
            nodes.append(_node(layout.read(file, NodeJson)))
        except Unreadable:
            nodes.append(Node(name=_shown(file.stem)))
    return tuple(sorted(nodes, key=lambda node: node.name))


def _node(stated: NodeJson) -> Node:
    agent = stated.agent
    storage = (LocalStorage(declared=each.stated("name"), **msgspec.structs.asdict(each)) for each in stated.storage)
    return Node(
        declared=stated.stated("name", "agent", "storage"),
        name=stated.name,
        agent=Agent() if agent is UNSET else Agent(declared=agent.stated(), **msgspec.structs.asdict(agent)),
        site=stated.site,
        maintenance=stated.maintenance,
        integration_version=stated.integration_version,
        host_components=stated.host_components,
        storage=tuple(sorted(storage, key=lambda each: each.name)),
    )


def _replication(stated: MachineJson) -> Replication | UnsetType:
    replication = stated.replication
    if replication is UNSET:
        return UNSET
    return Replication(declared=replication.stated(), **msgspec.structs.asdict(replication))


def _labels(notes: str) -> dict[str, str]:
    """The ``key: value`` lines of a machine's notes."""
    pairs = (line.partition(":") for line in notes.splitlines())
    return {key.strip(): value.strip() for key, colon, value in pairs if colon and key.strip() and value.strip()}


def _volume_of(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[1:2]) if parts[0] == "volumes" else "/".join(parts[:3])


def _shown(name: str) -> str:
    """A name as text: bytes that are none are written out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
