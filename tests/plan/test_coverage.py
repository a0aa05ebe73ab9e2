"""Coverage: every machine in exactly one of seven states, with its reason, beside the definitions written out."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import Diagnostic, Severity
from reconciler.model import (
    CatalogSnapshot,
    ClusterSnapshot,
    Consistency,
    DataSource,
    ObservedGroup,
    Pause,
    PointKind,
    RecoveryPoint,
    Replica,
    ReplicaState,
    ServerFacts,
    ShortTerm,
    Unseen,
    VirtualDisk,
)
from reconciler.plan import AT_RISK, CoverageInputs, CoverageState, DesiredGroup, DesiredState, coverage
from reconciler.plan.desired.state import ExcludedMachine
from tests.fakes import NOON, group, machine_id
from tests.worlds import Nowhere, machine

CLUSTER, SERVER, ONE = "hci-01", "mabs-01", DataSource("hci-01", machine_id(1))
HOUR = timedelta(hours=1)
TERM = ShortTerm(timedelta(days=5), 2 * HOUR, HOUR)


class Case(msgspec.Struct, frozen=True):
    """What there is of one machine. `ages` are those of its points in hours, negative ones lie in the future."""

    shown: str = "read"  # read, unreadable, absent
    role: str = "applied"  # applied, wanted, excluded, lapsed, nothing
    state: ReplicaState | None = ReplicaState.VALID
    ages: tuple[int, ...] = (1,)
    damaged: bool = False
    refused: bool = False
    paused: bool = False


def standing_by_definition(case: Case, *, server: bool, cluster: bool) -> CoverageState:
    """Settled: protected, excluded, pending, late, damaged, unseen, unprotected, in words for one machine."""
    member = case.role in ("applied", "wanted")
    readable = cluster and case.shown == "read"
    if not member:
        if not readable:
            return CoverageState.UNSEEN
        return CoverageState.EXCLUDED if case.role == "excluded" else CoverageState.UNPROTECTED
    if not readable or not server:
        return CoverageState.UNSEEN
    if case.state is ReplicaState.INCONSISTENT or (case.damaged and case.state is not None):
        return CoverageState.DAMAGED
    come = [age for age in case.ages if age >= 0]
    if case.paused and come and case.state is ReplicaState.VALID and case.role == "applied":
        return CoverageState.PAUSED
    if come and min(come) > 2:
        return CoverageState.LATE
    if case.ages and not come:
        return CoverageState.LATE
    never_valid = case.state in (None, ReplicaState.PENDING) or not come
    return CoverageState.PENDING if never_valid or case.role == "wanted" else CoverageState.PROTECTED


cases = st.builds(
    Case,
    st.sampled_from(["read", "read", "read", "unreadable", "absent"]),
    st.sampled_from(["applied", "applied", "wanted", "excluded", "lapsed", "nothing"]),
    st.sampled_from([None, *ReplicaState]),
    st.lists(st.integers(-48, 48), max_size=3, unique=True).map(tuple),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
PAUSE = Pause("storage move", "ops", NOON.date(), NOON + HOUR)


def seen_of(made: list[Case], *, server: bool = True, cluster: bool = True) -> CoverageInputs:
    there, unseen, points, replicas, findings = [], [], [], [], []
    sources = {number: DataSource(CLUSTER, machine_id(number)) for number in range(1, len(made) + 1)}
    for number, case in enumerate(made, start=1):
        source, name = sources[number], f"vm-{number}"
        if case.shown == "read":
            odd: dict[str, Any] = {} if case.refused else {"disks": (VirtualDisk(path="d.raw", file_bytes=1),)}
            there.append(msgspec.structs.replace(machine(number, name), **odd))
        elif case.shown == "unreadable":
            unseen.append(Unseen(machine_id(number), f"roles/{machine_id(number)}.json", "not JSON"))
        if case.state is not None and case.role in ("applied", "wanted"):
            replicas.append(Replica(source, "vol-a", case.state, "gold", machine_name=name))
            points += [
                RecoveryPoint(
                    f"{number}-{age}", source, NOON - age * HOUR, PointKind.SYNCHRONIZATION, Consistency.CRASH, 1, 1
                )
                for age in case.ages
            ]
            if case.damaged:
                findings.append(Diagnostic("RCL4006", Severity.ERROR, "2 blocks are lost", "", None, name))
    members = {
        role: [sources[n] for n, case in enumerate(made, 1) if case.role == role and not case.paused]
        for role in ("applied", "wanted")
    }
    resting = {
        role: [sources[n] for n, case in enumerate(made, 1) if case.role == role and case.paused]
        for role in ("applied", "wanted")
    }
    applied = ObservedGroup("g1", group("gold", *members["applied"], short_term=TERM))
    held = ObservedGroup("g2", group("iron", *resting["applied"], short_term=TERM, paused=PAUSE))
    wish = group("gold", *members["applied"], *members["wanted"], short_term=TERM)
    rest = group("iron", *resting["applied"], *resting["wanted"], short_term=TERM, paused=PAUSE)
    excused = {
        role: tuple(
            ExcludedMachine(sources[n], role, "rebuilt nightly", "team", date(2026, 1, 31))
            for n, case in enumerate(made, 1)
            if case.role == role and case.shown == "read" and cluster
        )
        for role in ("excluded", "lapsed")
    }
    desired = DesiredState(
        tuple(DesiredGroup(SERVER, each, Nowhere("g.yaml")) for each in (wish, rest)),
        excused["excluded"],
        lapsed=excused["lapsed"],
    )
    catalog = CatalogSnapshot(
        SERVER, NOON, ServerFacts("test"), (applied, held), tuple(replicas), tuple(points), findings=tuple(findings)
    )
    snapshot = ClusterSnapshot(name=CLUSTER, taken_at=NOON, machines=tuple(there), unseen=tuple(unseen))
    return CoverageInputs(NOON, {CLUSTER: snapshot} if cluster else {}, {SERVER: catalog} if server else {}, desired)


@settings(max_examples=400)
@given(st.lists(cases, min_size=1, max_size=8), st.booleans(), st.booleans())
def test_every_machine_is_in_exactly_one_state_and_the_states_add_up(
    made: list[Case], server: bool, cluster: bool
) -> None:
    made = [msgspec.structs.replace(case, ages=case.ages if case.state else ()) for case in made]
    rows = coverage(seen_of(made, server=server, cluster=cluster))
    by_id = {row.source.machine: row for row in rows}
    assert len(by_id) == len(rows)
    for number, case in enumerate(made, start=1):
        row = by_id.pop(machine_id(number), None)
        # One that its cluster does not show, and that nobody ever heard of, cannot be told.
        known = case.role in ("applied", "wanted") or (cluster and case.shown != "absent")
        assert (row is not None) == known
        if row is not None:
            assert row.standing is standing_by_definition(case, server=server, cluster=cluster), (case, row)
            assert row.why or row.standing is CoverageState.PROTECTED
    assert not by_id
    assert sum(sum(row.standing is each for row in rows) for each in CoverageState) == len(rows)


@pytest.mark.parametrize(
    ("case", "standing", "why"),
    [
        (Case(), CoverageState.PROTECTED, ""),
        (Case(refused=True), CoverageState.PROTECTED, "refused: "),
        (Case(ages=(3,), refused=True), CoverageState.LATE, "late: the newest point is 3 h 0 min old; refused: "),
        (Case(ages=(-9, 5)), CoverageState.LATE, "late: the newest point is 5 h 0 min old"),
        (Case(ages=(-9,)), CoverageState.LATE, "late: all of its points lie in the future"),
        (Case(role="wanted", state=None, ages=()), CoverageState.PENDING, "not applied yet"),
        (Case(state=ReplicaState.PENDING, ages=()), CoverageState.PENDING, "initial replica pending"),
        (Case(state=ReplicaState.INCONSISTENT), CoverageState.DAMAGED, "inconsistent: a consistency check is needed"),
        (Case(damaged=True), CoverageState.DAMAGED, "2 blocks are lost"),
        (Case(shown="unreadable"), CoverageState.UNSEEN, "cannot be read: not JSON"),
        (Case(shown="unreadable", role="nothing"), CoverageState.UNSEEN, "cannot be read: not JSON"),
        (Case(shown="absent"), CoverageState.UNSEEN, "deleted from hci-01, or moved away"),
        (Case(role="excluded"), CoverageState.EXCLUDED, "excluded: rebuilt nightly"),
        (Case(role="lapsed"), CoverageState.UNPROTECTED, "its exclusion lapsed ended on 2026-01-31"),
        (Case(role="nothing"), CoverageState.UNPROTECTED, "no group and no exclusion matches it"),
        (Case(paused=True), CoverageState.PAUSED, "paused until 2026-03-10 by ops: storage move"),
        (Case(paused=True, ages=()), CoverageState.PENDING, "paused until 2026-03-10 by ops: storage move"),
        (Case(paused=True, role="wanted", state=None, ages=()), CoverageState.PENDING, "not applied yet; paused until"),
        (Case(paused=True, damaged=True), CoverageState.DAMAGED, "2 blocks are lost"),
    ],
)
def test_each_state_says_why(case: Case, standing: CoverageState, why: str) -> None:
    (row,) = coverage(seen_of([case]))
    assert row.standing is standing
    assert row.why.startswith(why)
    assert bool(row.why) == bool(why)


def test_an_rpo_that_is_missed_in_a_pause_is_told_as_such() -> None:
    (row,) = coverage(seen_of([Case(paused=True, ages=(3,))]))
    assert (row.standing, row.late) == (CoverageState.PAUSED, True)
    assert row.why == "paused until 2026-03-10 by ops: storage move; RPO missed: the newest point is 3 h 0 min old"
    later = msgspec.structs.replace(seen_of([Case(paused=True, ages=(3,))]), now=PAUSE.ends_at)
    assert coverage(later)[0].standing is CoverageState.LATE


def test_what_cannot_be_read_is_unseen() -> None:
    assert coverage(seen_of([Case()], server=False))[0].why == "what mabs-01 holds could not be read"
    assert coverage(seen_of([Case()], cluster=False))[0].why == "hci-01 could not be seen"


def test_offline_no_server_was_asked_and_members_are_pending() -> None:
    seen = msgspec.structs.replace(seen_of([Case(role="wanted")], server=False), asked=False)
    assert [row.standing for row in coverage(seen)] == [CoverageState.PENDING]


def test_a_point_of_the_future_is_counted_and_not_believed() -> None:
    (row,) = coverage(seen_of([Case(ages=(-9, -8, 1))]))
    assert (row.standing, row.newest, row.ahead) == (CoverageState.PROTECTED, NOON - HOUR, 2)


def test_what_max_unprotected_counts() -> None:
    assert {CoverageState.LATE, CoverageState.DAMAGED, CoverageState.UNSEEN, CoverageState.UNPROTECTED} == AT_RISK
