"""Backups on demand where the other world is odd: two servers, two clusters, servers that cannot be seen."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from reconciler.control.jobs.on_demand import Backups, backups
from reconciler.control.observe import Observation
from reconciler.errors import Unreachable, UsageError
from reconciler.model import (
    CatalogSnapshot,
    ClusterSnapshot,
    DataSource,
    DiskKind,
    JobKind,
    ObservedGroup,
    ProtectionGroup,
    Recurrence,
    Replica,
    ReplicaState,
    ServerFacts,
    ShortTerm,
    VirtualDisk,
)
from tests.fakes import NOON, group, machine_id
from tests.worlds import machine

ONE, TWO = DataSource("hci-01", machine_id(1)), DataSource("hci-01", machine_id(2))
DAY = timedelta(days=1)


def server(name: str, held: ProtectionGroup | None, *replicas: Replica) -> CatalogSnapshot:
    groups = (ObservedGroup("ref", held),) if held is not None else ()
    return CatalogSnapshot(name, NOON, ServerFacts("test"), groups, replicas)


def replica(source: DataSource, holder: str | None, state: ReplicaState = ReplicaState.VALID) -> Replica:
    return Replica(source, "vol-a", state, holder, machine_name="one" if source == ONE else "two")


def seen(*servers: CatalogSnapshot, **more: Any) -> Observation:
    disks = (VirtualDisk(path="d.vhdx", file_bytes=1, kind=DiskKind.RAW),)
    there = (msgspec.structs.replace(machine(*each), disks=disks) for each in ((1, "one"), (2, "two")))
    cluster = ClusterSnapshot(name="hci-01", taken_at=NOON, machines=tuple(there))
    return Observation(NOON, {"hci-01": cluster}, {each.server: each for each in servers}, (), **more)


def asked(observation: Observation, *names: str) -> Backups:
    return backups(observation, names, "", NOON)


def test_after_a_move_the_server_that_protects_it_now_makes_the_point() -> None:
    old, new = server("mabs-01", None, replica(ONE, None)), server("mabs-02", group("gold", ONE), replica(ONE, "gold"))
    (job,) = asked(seen(old, new), "one").jobs
    assert (job.server, job.kind, job.group) == ("mabs-02", JobKind.SYNCHRONIZATION, "gold")


def test_what_two_servers_protect_is_backed_up_on_both() -> None:
    both = [server(name, group("gold", ONE), replica(ONE, "gold")) for name in ("mabs-01", "mabs-02")]
    assert [job.server for job in asked(seen(*both), "one", "gold", "one").jobs] == ["mabs-01", "mabs-02"]


@pytest.mark.parametrize(
    ("interval", "state", "kind"),
    [
        (DAY, ReplicaState.VALID, JobKind.SYNCHRONIZATION),
        (None, ReplicaState.VALID, JobKind.EXPRESS_FULL),
        (None, ReplicaState.PENDING, JobKind.INITIAL_REPLICA),
    ],
)
def test_the_job_is_the_one_that_the_schedule_would_make(
    interval: timedelta | None, state: ReplicaState, kind: JobKind
) -> None:
    runs = None if interval else Recurrence((NOON.time(),))
    held = group("gold", ONE, short_term=ShortTerm(DAY, DAY, interval, recovery_points=runs))
    (job,) = asked(seen(server("mabs-01", held, replica(ONE, "gold", state))), "one").jobs
    assert job.kind is kind


def test_what_may_be_on_a_server_that_cannot_be_seen_is_not_called_unprotected() -> None:
    away = Unreachable("RCL4021", "mabs-02 is away", "Check it.")
    there = server("mabs-01", group("gold", TWO), replica(TWO, "gold"))
    assert len(asked(seen(there, troubles=(away,)), "two").jobs) == 1
    for name in ("one", "silver"):
        with pytest.raises(Unreachable):
            asked(seen(there, troubles=(away,)), name)
        with pytest.raises(UsageError):
            asked(seen(there), name)
