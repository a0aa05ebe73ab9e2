"""Which point is meant: by a name that several virtual machines have or had, by an id, by the id of a point."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from zoneinfo import ZoneInfo

import pytest

from reconciler.control.jobs.point_lookup import find_point
from reconciler.control.observe import Observation
from reconciler.control.site import Site
from reconciler.control.virtual_machines import sources_called
from reconciler.errors import Refused, Unreachable, UsageError
from reconciler.model import CatalogSnapshot, ClusterSnapshot, DataSource, Replica, ReplicaState
from reconciler.model.catalog import ServerFacts
from tests.fakes import NOON, machine_id
from tests.plan.pruned import point
from tests.worlds import cluster, machine

HOUR = timedelta(hours=1)
ONE, THERE = DataSource("hci-01", machine_id(1)), DataSource("hci-02", machine_id(1))


def seen(clusters: Iterable[ClusterSnapshot], *kept: tuple[DataSource, str]) -> Observation:
    """Each of `kept` has a replica and two points; the first one's are the youngest."""
    catalog = CatalogSnapshot(
        server="mabs-01",
        taken_at=NOON,
        facts=ServerFacts("embedded"),
        replicas=tuple(Replica(source, "vol-a", ReplicaState.VALID, machine_name=name) for source, name in kept),
        points=tuple(
            point(source, (2 * number + age) * HOUR) for number, (source, _) in enumerate(kept) for age in (1, 2)
        ),
    )
    return Observation(NOON, {each.name: each for each in clusters}, {"mabs-01": catalog}, ())


def found(observation: Observation, name: str, point: str = "", at: datetime | None = None) -> tuple[DataSource, str]:
    """The data source of the point that is meant, and its id."""
    site = SimpleNamespace(
        folder=Path("nowhere"),
        zone=ZoneInfo("UTC"),
        now=lambda: NOON,
        engines={"mabs-01": None},
        inventories=observation.clusters,
    )
    _, meant, _ = find_point(cast(Site, site), observation, name, point, at)
    return meant.source, meant.id


#: A replica virtual machine and its primary share an id; so does what was copied with its cluster.
BOTH = [cluster(machine(1, "one")), cluster(machine(1, "one"), name="hci-02")]


@pytest.mark.parametrize("name", ["one", machine_id(1), f"{{{machine_id(1).upper()}}}"])
def test_one_id_on_two_clusters_is_told_as_it_can_be_typed(name: str) -> None:
    observation = seen(BOTH, (ONE, "one"), (THERE, "one"))
    with pytest.raises(UsageError, match="means 2 virtual machines") as refused:
        found(observation, name)
    listed = refused.value.diagnostic.message.partition(": ")[2].split(", ")
    assert [found(observation, each)[0] for each in listed] == [ONE, THERE]


@pytest.mark.parametrize("name", ["hci-02/one", "HCI-02/One", f"hci-02/{machine_id(1)}", str(THERE)])
def test_a_cluster_before_the_name_says_which(name: str) -> None:
    assert found(seen(BOTH, (ONE, "one"), (THERE, "one")), name)[0] == THERE


def test_the_id_of_a_point_decides_alone() -> None:
    observation = seen(BOTH, (ONE, "one"), (THERE, "one"))
    older = observation.catalogs["mabs-01"].points[-1]
    assert found(observation, "one", older.id) == (THERE, older.id)


def test_a_virtual_machine_that_came_to_another_cluster_has_its_points_told() -> None:
    """As a live migration between clusters leaves it: the same id, nothing copied there yet."""
    observation = seen([cluster(), cluster(machine(1, "one"), name="hci-02")], (ONE, "one"))
    assert sources_called(observation, "one") == {ONE, THERE}
    for name in ("one", machine_id(1)):
        with pytest.raises(Refused) as refused:
            found(observation, name)
        assert f"hci-01/{machine_id(1)} with 2 recovery points, the newest of" in refused.value.diagnostic.remedy
    assert found(observation, f"hci-01/{machine_id(1)}")[0] == ONE
    kept = observation.catalogs["mabs-01"].points[0]
    assert found(observation, "one", kept.id) == (ONE, kept.id)
    assert found(observation, "hci-01/one", at=NOON - 2 * HOUR)[0] == ONE


def test_what_cannot_be_seen_is_not_taken_for_empty() -> None:
    gone = Unreachable("RCL4021", "the database is missing", "Mount it.", subject="/srv/mabs-01/server.db")
    for clusters in ([cluster(machine(1, "one"))], [cluster()]):
        observation = Observation(NOON.astimezone(UTC), {each.name: each for each in clusters}, {}, (), (gone,))
        with pytest.raises(Unreachable):
            found(observation, "one")
