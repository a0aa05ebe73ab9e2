"""The command `drift`: one of each class by its exit code, what it prints, and what it refuses."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from reconciler.control.lease import holding
from reconciler.control.policy_folder import read_good
from reconciler.control.site import Site
from reconciler.model import UpdateGroup
from reconciler.wiring import RehearsedClock, choose_site, open_site
from tests.drifting import put
from tests.fakes import NOON
from tests.shop import Shop

T1 = ("--now", "2026-03-10T12:00Z")
T2 = ("--now", "2026-03-10T13:00Z")
T3 = ("--now", "2026-03-10T14:00Z")


@pytest.fixture
def applied(shop: Shop) -> Shop:
    assert shop("apply", "--yes", *T1).code == 0
    return shop


def opened(shop: Shop) -> Site:
    return open_site(shop.root, choose_site(read_good(shop.root).policies, None), RehearsedClock(NOON))


def behind(shop: Shop, path: str, value: Any, *, as_if_rounded: bool = False) -> None:
    """Somebody else changes the group on the server; or the server does it right when it is applied."""
    site = opened(shop)
    try:
        with holding(site) as held:
            engine = site.engines["mabs-01"]
            (seen,) = engine.observe().groups
            after = put(path, value)(seen.group)
            engine.apply(UpdateGroup("mabs-01", seen.ref, seen.group, after), held.fence)
            if as_if_rounded:
                (entry,) = site.memory.ledger.entries()
                site.memory.ledger.record(msgspec.structs.replace(entry, observed=after))
    finally:
        site.close()


def found(shop: Shop, *words: str) -> tuple[int, set[tuple[str, str]]]:
    said = shop("drift", "--output", "json", *words)
    told = json.loads(said.out)
    assert (told["kind"], told["formatVersion"]) == ("Drift", "1.0")
    return said.code, {(item["class"], item["path"]) for item in told["items"]}


def test_nothing_is_no_drift(applied: Shop) -> None:
    said = applied("drift", *T1)
    assert (said.code, said.err) == (0, "")
    assert said.out.endswith("No drift: 0 external, 0 pending, 0 normalisation, 0 churn.\n")


def test_external_drift_is_3(applied: Shop) -> None:
    behind(applied, "shortTerm.retention", timedelta(days=3))
    assert found(applied, *T2) == (3, {("external", "shortTerm.retention")})
    said = applied("drift", *T3)
    assert said.code == 3
    assert "desired 5d, last applied 5d, live 3d  (weakens)" in said.out
    assert "last matched at 2026-03-10 12:00, first differed at 2026-03-10 13:00" in said.out
    assert found(applied, "--class", "pending,churn", *T3) == (0, set())
    assert found(applied, "--class", "external", *T3) == (3, {("external", "shortTerm.retention")})


def test_pending_drift_is_0(applied: Shop) -> None:
    applied.policy("retention: 5d", "retention: 9d")
    assert found(applied, *T2) == (0, {("pending", "shortTerm.retention")})


def test_normalisation_is_0_and_nothing_is_planned_for_it(applied: Shop) -> None:
    behind(applied, "shortTerm.retention", timedelta(days=7), as_if_rounded=True)
    assert found(applied, *T2) == (0, {("normalisation", "shortTerm.retention")})
    planned = applied("plan", "--detailed-exitcode", *T2)
    assert planned.code == 0
    assert "warning[RCL3080]: mabs-01 holds 7d where 5d was applied" in planned.out


def test_churn_is_0(applied: Shop) -> None:
    applied.cluster.role(1, ownerNode="n2")
    applied.cluster.remove(2)
    assert found(applied, *T2) == (0, {("churn", "machine.node"), ("churn", "machine")})


def test_policies_that_are_wrong_hide_no_external_drift(applied: Shop) -> None:
    behind(applied, "colocate", True)
    assert applied("drift", *T1).code == 3
    applied.policy("retention: 5d", "retentoin: 5d")
    said = applied("drift", *T2)
    assert said.code == 65
    assert "external: changed outside reconciler" in said.out
    assert "retentoin" in said.err


def test_a_cluster_that_cannot_be_seen_hides_no_external_drift(applied: Shop) -> None:
    behind(applied, "colocate", True)
    applied.cluster.folder.rename(applied.root / "elsewhere")
    said = applied("drift", *T2)
    assert said.code == 69
    assert "1 external, 0 pending, 0 normalisation, 0 churn." in said.out
    assert "RCL2001" in said.out


def test_a_class_that_there_is_not_is_refused(shop: Shop) -> None:
    said = shop("drift", "--class", "external,odd")
    assert said.code == 64
    assert "'odd' is not a class of drift" in said.err


def test_it_goes_on_record_once_whoever_sees_it_first(applied: Shop) -> None:
    behind(applied, "shortTerm.retention", timedelta(days=3))
    assert applied("drift", *T2).code == 3
    assert applied("drift", *T3).code == 3
    site = opened(applied)
    records = [each for each in site.memory.evidence.records() if each.kind == "drift"]
    site.close()
    assert len(records) == 1
    assert records[0].body["asLeftAt"] == "2026-03-10T12:00:00Z"
    assert records[0].body["differsSince"] == "2026-03-10T13:00:00Z"
    (field,) = records[0].body["fields"]
    assert (field["path"], field["before"], field["after"]) == ("shortTerm.retention", "5d", "3d")
