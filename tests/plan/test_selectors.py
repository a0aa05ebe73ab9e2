"""Selectors: the index finds just what looking at every machine finds; patterns within patterns; placement."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.model import CatalogSnapshot, ClusterSnapshot, DataSource, DiskKind, LedgerEntry, Level, VirtualDisk
from reconciler.model.cluster import Replication, ReplicationMode
from reconciler.model.documents import MachineSelector, Placed, SiteDocument
from reconciler.parse.validate import typed
from reconciler.plan import desired_state
from reconciler.plan.globs import glob_within, globs_meet
from reconciler.plan.selectors import Candidate, Population, matches, remembered, unmet
from tests.fakes import machine_id
from tests.worlds import NOW, Game, Nowhere, by_name, cluster, document, machine, policies

_NAMES = st.text("aAb-1", min_size=1, max_size=5)
_GLOBS = st.text("aAb-1*?", min_size=1, max_size=5)
_NODES = st.sampled_from(["n1", "N1", "n2", ""])
_LABELS = st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"), max_size=2)


@st.composite
def _candidates(draw: st.DrawFn) -> list[Candidate]:
    return [
        Candidate(
            DataSource("c", machine_id(number)),
            draw(_NAMES),
            draw(_LABELS),
            draw(_NODES),
            tuple(draw(st.lists(st.sampled_from(["v1", "v2"]), unique=True))),
            tuple(draw(st.lists(st.sampled_from(["windows", "linux", "Server 2022"]), max_size=2))),
            draw(st.sampled_from(["", "none", "primary", "replica"])),
        )
        for number in range(draw(st.integers(0, 12)))
    ]


@st.composite
def _selectors(draw: st.DrawFn) -> MachineSelector:
    def some(strategy: st.SearchStrategy[str]) -> tuple[str, ...]:
        return tuple(draw(st.lists(strategy, max_size=2)))

    return MachineSelector(
        "c",
        some(_GLOBS),
        draw(_LABELS),
        some(_GLOBS),
        some(st.sampled_from(["n1", "n*", "N2"])),
        some(st.sampled_from(["v1", "v?"])),
        some(st.sampled_from(["windows", "*2022", "LINUX"])),
        draw(st.sampled_from([None, "none", "primary", "replica"])),
    )


def _fits(patterns: tuple[str, ...], values: tuple[str, ...]) -> bool:
    """A second reading of what a pattern means."""
    return any(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value, re.IGNORECASE)
        for pattern in patterns
        for value in values
    )


def _brute(selector: MachineSelector, each: Candidate) -> bool:
    return (
        (not selector.names or _fits(selector.names, (each.name,)))
        and selector.labels.items() <= each.labels.items()
        and (not selector.nodes or _fits(selector.nodes, (each.node,)))
        and (not selector.volumes or _fits(selector.volumes, each.volumes))
        and (not selector.operating_systems or _fits(selector.operating_systems, each.systems))
        and selector.replica_role in (None, each.role)
        and not _fits(selector.except_, (each.name,))
    )


@given(_candidates(), _selectors())
def test_the_index_finds_what_looking_at_all_finds(candidates: list[Candidate], selector: MachineSelector) -> None:
    expected = sorted(each.source for each in candidates if _brute(selector, each))
    assert [each.source for each in Population(candidates).select(selector)] == expected
    for each in candidates:
        assert matches(selector, each) == _brute(selector, each) == (not unmet(selector, each))


@given(_GLOBS, _GLOBS, _NAMES)
def test_a_pattern_within_another(inner: str, outer: str, name: str) -> None:
    if glob_within(inner, outer) and _fits((inner,), (name,)):
        assert _fits((outer,), (name,))
    if _fits((inner,), (name,)) and _fits((outer,), (name,)):
        assert globs_meet(inner, outer)


@pytest.mark.parametrize(
    ("inner", "outer", "within"),
    [("sql-1", "sql-*", True), ("sql-*", "*", True), ("a*", "a?", False), ("a?", "a*", True), ("A", "a", True)],
)
def test_some_patterns_by_hand(inner: str, outer: str, within: bool) -> None:
    assert glob_within(inner, outer) is within


@pytest.mark.parametrize(("one", "other", "meet"), [("a*", "*b", True), ("a?", "b*", False), ("a*c", "ab*", True)])
def test_patterns_that_meet(one: str, other: str, meet: bool) -> None:
    assert globs_meet(one, other) is meet


def test_what_a_snapshot_shows_is_what_a_selector_sees() -> None:
    seen = replace(
        machine(1, "one"),
        node="n7",
        guest_system="windows",
        guest_version="Windows Server 2022",
        disks=(VirtualDisk(path="d", kind=DiskKind.VHDX, volume="csv-1"),),
        replication=Replication(mode=ReplicationMode.EXTENDED_REPLICA),
    )
    candidate = Candidate.of("c", seen)
    wanted = MachineSelector("c", (), {}, (), ("n7",), ("csv-*",), ("*2022",), "replica")
    assert matches(wanted, candidate)
    assert remembered(candidate) == candidate
    part = replace(candidate, source=DataSource("c", candidate.source.machine, Level.GUEST, "volumes=D:"))
    assert remembered(part) == candidate


# --- Placement -------------------------------------------------------------------------------------------------


def _site(capacities: dict[str, str], placement: list[dict[str, Any]] | None = None) -> Placed[SiteDocument]:
    plain = {
        "apiVersion": "reconciler/v1",
        "kind": "Site",
        "metadata": {"name": "hq"},
        "spec": {
            "timeZone": "UTC",
            "prune": True,
            "state": {"sqlite": {"path": "s.db"}},
            "clusters": [{"name": "hci-01", "inventory": {"directory": {"path": "c"}}}],
            "servers": [
                {"name": name, "engine": {"embedded": {"path": name}}, "volumes": [{"name": "v", "capacity": size}]}
                for name, size in capacities.items()
            ],
            "placement": placement or [],
        },
    }
    return Placed(typed(plain, "Site"), Nowhere("site.yaml"))


def _sized(number: int, size: int) -> Any:
    return replace(machine(number, f"m{number}"), disks=(VirtualDisk(path="d", allocated_bytes=size),))


def _placed(
    site: Placed[SiteDocument], seen: ClusterSnapshot, *groups: Any, ledger: tuple[LedgerEntry, ...] = ()
) -> tuple[dict[str, str], list[str]]:
    wanted = replace(policies(groups), sites=(site,))
    servers = [server.name for server in site.document.spec.servers]
    situation = Game().situation(seen)
    able = next(iter(situation.capabilities.values()))
    situation = replace(
        situation,
        ledger=ledger,
        capabilities=dict.fromkeys(servers, able),
        catalogs={name: CatalogSnapshot(name, NOW, situation.catalogs["mabs-01"].facts) for name in servers},
    )
    found = desired_state(wanted, situation)
    return {each.group.name: each.server for each in found.groups}, [finding.code for finding in found.findings]


def test_by_rule_then_by_room_in_whatever_order() -> None:
    seen = cluster(*(_sized(number, 10**9) for number in range(1, 5)))
    site = _site({"a": "10 GB", "b": "3 GB"}, [{"labels": {"tier": "gold"}, "server": "b"}])
    gold = document("gold", by_name("m1"), server="auto")
    gold = replace(gold, metadata=replace(gold.metadata, labels={"tier": "gold"}))
    others = [document(f"g{number}", by_name(f"m{number}"), server="auto") for number in (2, 3, 4)]
    placed, codes = _placed(site, seen, gold, *others)
    assert placed == {"gold": "b", "g2": "a", "g3": "a", "g4": "a"}
    assert _placed(site, seen, *reversed(others), gold)[0] == placed
    assert not codes


def test_the_fullest_server_is_not_chosen() -> None:
    seen = cluster(_sized(1, 8 * 10**9), _sized(2, 10**9))
    site = _site({"a": "10 GB", "b": "9 GB"})
    large, small = document("a-large", by_name("m1"), server="auto"), document("b-small", by_name("m2"), server="auto")
    assert _placed(site, seen, small, large)[0] == {"a-large": "a", "b-small": "b"}


def test_once_placed_it_stays() -> None:
    seen = cluster(_sized(1, 10**9))
    site = _site({"a": "10 GB", "b": "3 GB"})
    wanted = document("g", by_name("m1"), server="auto")
    settled = Game()
    settled.apply(settled.propose(policies([document("g", by_name("m1"))]), seen))
    entry = replace(settled.ledger["g"], server="b")
    assert _placed(site, seen, wanted)[0] == {"g": "a"}
    assert _placed(site, seen, wanted, ledger=(entry,))[0] == {"g": "b"}
    renamed = document("h", by_name("m1"), server="auto", renamed_from=("g",))
    assert _placed(site, seen, renamed, ledger=(entry,))[0] == {"h": "b"}


def test_a_rule_that_grows_past_a_server_is_stopped() -> None:
    site = _site({"a": "100 GB"})
    many = cluster(*(_sized(number, 10**6) for number in range(1, 802)))
    assert _placed(site, many, document("g", by_name("*"), server="auto"))[1] == ["RCL3018"]
    fits = cluster(*(_sized(number, 10**6) for number in range(1, 801)))
    assert _placed(site, fits, document("g", by_name("*"), server="auto"))[1] == []
    heavy = cluster(_sized(1, 101 * 10**9))
    assert _placed(site, heavy, document("g", by_name("*"), server="auto"))[1] == ["RCL3019"]


# --- Ignored fields --------------------------------------------------------------------------------------------


def test_what_is_ignored_differs_neither_in_the_plan_nor_after_it() -> None:
    from datetime import date

    from reconciler.model import Duration
    from reconciler.model.documents import IgnoreRule, ShortTermPolicy

    game, seen = Game(), cluster(machine(1, "one"))
    game.apply(game.propose(policies([document("g", by_name("one"))]), seen))
    shorter = ShortTermPolicy(Duration.parse("3d"), "2h")

    def wanted(until: date | None) -> Any:
        rule = IgnoreRule("shortTerm.retention", "being measured", until)
        return policies([document("g", by_name("one"), short_term=shorter, ignore=(rule,))])

    (step,) = game.propose(wanted(None), seen).plan.steps
    assert {field.path for field in step.change.fields} == {"shortTerm.synchronization", "shortTerm.rpo"}
    game.apply(game.propose(wanted(None), seen))
    assert not game.propose(wanted(None), seen).plan.steps
    assert game.held().groups[0].group.short_term.retention == Duration.parse("5d").delta
    (step,) = game.propose(wanted(date(2026, 3, 9)), seen).plan.steps
    assert [field.path for field in step.change.fields] == ["shortTerm.retention"]
