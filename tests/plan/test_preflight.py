"""Preflight: what is found quickly is what is found by looking at everything; members are told at their group."""

from __future__ import annotations

from itertools import product

import pytest
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from reconciler.model import DiskKind, Replication, ReplicationMode, VirtualDisk
from reconciler.plan.checks import backup_refusals
from reconciler.plan.desired.resolve import resolve
from tests.support.inputs import plan_inputs
from tests.worlds import by_name, cluster, document, machine, policies

_FLAGS: tuple[bool | UnsetType, ...] = (True, False, UNSET)
_DISKS = [
    VirtualDisk(path="d.vhdx", kind=kind, log_pending=log, differencing=stands, unreadable=why)
    for kind, log, stands, why in product(DiskKind, _FLAGS, _FLAGS, (None, "cut"))
]
_FINE = VirtualDisk(path="c.vhdx", kind=DiskKind.VHDX)


@pytest.mark.parametrize("replication", [UNSET, *(Replication(mode=mode) for mode in ReplicationMode)], ids=str)
@pytest.mark.parametrize("checkpoints", [(), ("c",), UNSET], ids=str)
def test_what_is_found_quickly_is_what_is_there(
    checkpoints: tuple[str, ...] | UnsetType, replication: Replication | UnsetType
) -> None:
    for disks in [(), *((disk,) for disk in _DISKS), *((_FINE, disk) for disk in _DISKS)]:
        seen = replace(machine(1, "one"), checkpoints=checkpoints, disks=disks, replication=replication)
        every = (
            *backup_refusals._checkpoints(seen),
            *backup_refusals._replication(seen),
            *backup_refusals._disks(seen),
        )
        assert backup_refusals.refusals(seen) == every


def test_members_are_told_at_their_group_and_others_not() -> None:
    fine = replace(machine(1, "one"), disks=(VirtualDisk(path="d", kind=DiskKind.VHDX),))
    seen = cluster(fine, replace(machine(2, "two"), checkpoints=("c",)), replace(machine(3, "out"), checkpoints=("c",)))
    wanted = policies([document("g", by_name("one", "two"))])
    desired = resolve(wanted, plan_inputs({"hci-01": seen}))
    found = backup_refusals.refused_members(desired, {"hci-01": seen})
    assert {(each.code, each.subject) for each in found} == {("RCL2101", "two"), ("RCL2107", "two")}
    assert {each.location for each in found} == {desired.groups[0].place("members")}
