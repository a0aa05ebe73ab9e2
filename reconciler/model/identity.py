"""What a data source is: which machine on which cluster, at which level, and what of it."""

from __future__ import annotations

from enum import StrEnum

import msgspec


def vm_id(text: str) -> str:
    """A virtual machine's id in the one form that is compared and stored: lower case, without the braces that Windows
    puts around a GUID. The only place that decides it."""
    return text.strip().removeprefix("{").removesuffix("}").lower()


class Level(StrEnum):
    """Where the protection agent looks from: the host (whole machine) or inside the guest."""

    HOST = "host"
    GUEST = "guest"


class DataSource(msgspec.Struct, frozen=True, order=True, rename="camel", omit_defaults=True, gc=False):
    """The identity of what is protected; never a name, which people change.

    `machine` is the VM's GUID, brought to the form of `vm_id` whoever wrote it.
    A replica VM and its primary share a GUID on two clusters,
    hence `cluster`. `protect` names the part of the machine at guest level; "" is the whole machine.
    """

    cluster: str
    machine: str
    level: Level = Level.HOST
    protect: str = ""

    def __post_init__(self) -> None:
        known = vm_id(self.machine)
        if known != self.machine:
            msgspec.structs.force_setattr(self, "machine", known)

    @property
    def home(self) -> DataSource:
        """The whole machine that this is, or is a part of."""
        return DataSource(self.cluster, self.machine)

    def __str__(self) -> str:
        tail = f"/{self.protect}" if self.protect else ""
        return f"{self.cluster}/{self.machine}/{self.level}{tail}"
