"""A configuration: the text of a vm.json -> the files that it names, and the text again for another place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from reconciler import encoded
from reconciler.errors import Refused
from reconciler.inventory import layout
from reconciler.inventory.layout import MachineJson
from reconciler.model.cluster import DiskKind

#: Disks that are no file of the machine's own: several may have them.
NO_FILES = (DiskKind.PASS_THROUGH, DiskKind.SHARED)


class Claims(msgspec.Struct, frozen=True):
    """The files that a machine names: its configuration and disks, and its checkpoints' files."""

    own: tuple[str, ...]
    checkpoints: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        return self.own + self.checkpoints


def claims(config: str, stated: MachineJson) -> Claims:
    """Every file that the configuration at `config` names, itself among them."""
    home = folder_of(config)
    own = [config]
    own += [within(home, each.path) for each in stated.disks if each.kind not in NO_FILES]
    checkpoints = stated.checkpoints if stated.checkpoints is not UNSET else ()
    return Claims(tuple(own), tuple(within(home, path) for each in checkpoints for path in each.files))


def disks_of(config: bytes, path: str) -> dict[str, str]:
    """See `protocols.Disks.configured`."""
    stated = _read(config, path)
    return {within(folder_of(path), each.path): each.id for each in stated.disks}


def relocated(config: bytes, before: str, after: str, places: Mapping[str, str]) -> bytes:
    """See `protocols.Disks.relocated`."""
    stated = _read(config, before)
    plain = encoded.read(layout.without_mark(config), dict[str, Any])
    changed = False
    for number, each in enumerate(stated.disks):
        was = within(folder_of(before), each.path)
        place = places.get(was, was)
        if within(folder_of(after), each.path) != place:
            plain["disks"][number]["path"] = place.removeprefix(folder_of(after) + "/")
            changed = True
    return msgspec.json.format(msgspec.json.encode(plain), indent=2) if changed else config


def folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def within(folder: str, path: str) -> str:
    """A disk's path relative to the cluster: it may lie on another volume than its machine's folder."""
    return path if path.startswith(("volumes/", "local/")) else f"{folder}/{path}"


def _read(config: bytes, path: str) -> MachineJson:
    try:
        return layout.decode(config, MachineJson)
    except encoded.Wrong as error:
        raise Refused(
            "RCL7016",
            f"the configuration {path!r} of the point cannot be read: {error}",
            "Recover its disks to a folder (--to FOLDER), and create the virtual machine around them.",
            subject=path,
        ) from error
