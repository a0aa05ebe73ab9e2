"""Preflight: what is found quickly is what is found by looking at everything; members are told at their group."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from reconciler.model import DiskKind, Replication, ReplicationMode, VirtualDisk, VirtualMachine
from reconciler.plan import preflight
from reconciler.plan.resolve import Sight, resolve
from tests.worlds import NOW, by_name, cluster, document, machine, policies

_flag = st.sampled_from([True, False, UNSET])
_disks = st.builds(
    VirtualDisk,
    path=st.just("d.vhdx"),
    kind=st.sampled_from(DiskKind),
    log_pending=_flag,
    differencing=_flag,
    unreadable=st.sampled_from([None, None, "cut"]),
)
_replications = st.sampled_from([UNSET, *(Replication(mode=mode) for mode in ReplicationMode)])


@st.composite
def _machines(draw: st.DrawFn) -> VirtualMachine:
    checkpoints = draw(st.sampled_from([(), (), ("c",), UNSET]))
    disks = tuple(draw(st.lists(_disks, max_size=2)))
    return replace(machine(1, "one"), checkpoints=checkpoints, disks=disks, replication=draw(_replications))


@given(_machines())
def test_what_is_found_quickly_is_what_is_there(seen: VirtualMachine) -> None:
    every = (*preflight._checkpoints(seen), *preflight._replication(seen), *preflight._disks(seen))
    assert preflight.refusals(seen) == every


def test_members_are_told_at_their_group_and_others_not() -> None:
    fine = replace(machine(1, "one"), disks=(VirtualDisk(path="d", kind=DiskKind.VHDX),))
    seen = cluster(fine, replace(machine(2, "two"), checkpoints=("c",)), replace(machine(3, "out"), checkpoints=("c",)))
    wanted = policies([document("g", by_name("one", "two"))])
    desired = resolve(wanted, "hq", Sight({"hci-01": seen}, (), NOW.date()))
    found = preflight.refused_members(desired, {"hci-01": seen})
    assert {(each.code, each.subject) for each in found} == {("RCL2101", "two"), ("RCL2107", "two")}
    assert {each.location for each in found} == {desired.groups[0].place("members")}
