"""What the reports of a site show, as values: every state, kind and tone once; `said` stands where others wrote.

`python -m tests.support.report_samples DIR` writes every page.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import (
    ChainCheck,
    Consistency,
    DataSource,
    JobKind,
    Level,
    PointKind,
    PoolVolume,
    RecoveryPoint,
    ReplicaState,
)
from reconciler.model.audit import Answer, Consent, Decision, KeptPoint, Protection, Recovered, Verified
from reconciler.model.drift import DriftClass, DriftItem
from reconciler.model.waiting import Waiting, WaitKind
from reconciler.plan import CoverageState, MachineCoverage
from reconciler.report import (
    CoverageView,
    GroupPause,
    GroupStatus,
    PointRow,
    PointsView,
    ReplicaStatus,
    Status,
    answer_html,
    chain_html,
    coverage_html,
    points_html,
    status_html,
)
from reconciler.report.conditions import LastFailure
from tests.plans import group

NOW = datetime(2026, 11, 27, 17, 0, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Berlin")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

#: What a stranger may have named something.
HOSTILE = "</td><script>alert(1)</script>\u202e`x` ##[error] '\"><img src=x onerror=alert(1)>,=1+1;@SUM(A1)\r\n"


def source(number: int, level: Level = Level.HOST) -> DataSource:
    return DataSource("hci-01", f"00000000-0000-4000-8000-{number:012d}", level)


def _machine(number: int, name: str, state: CoverageState, why: str = "", group: str = "") -> MachineCoverage:
    server = "mabs-01" if group else ""
    newest = NOW - number * HOUR if group and state is not CoverageState.PENDING else None
    late = state is CoverageState.LATE
    return MachineCoverage(
        source(number), name, state, why=why, group=group, server=server, node="hci-01-n2", newest=newest, late=late
    )


def coverage_view(said: str = "", protected: int = 3) -> CoverageView:
    """Every state once, and so many protected virtual machines."""
    state = CoverageState
    rows = [
        _machine(
            1, said or "fs-07", state.LATE, f"late: the newest point is 9 h 12 min old {said}", said or "gold-vms"
        ),
        _machine(2, "erp-12", state.PENDING, "initial replica pending", "gold-vms"),
        _machine(3, "lab-03", state.UNPROTECTED, "no group and no exclusion matches it"),
        _machine(4, "old-crm", state.UNPROTECTED, "its exclusion `crm` ended on 2026-10-31"),
        _machine(5, "ci-01", state.EXCLUDED, said or "scratch: rebuilt every night"),
        _machine(6, "sql-02", state.DAMAGED, "inconsistent: a consistency check is needed", "gold-vms"),
        _machine(8, "fs-09", state.PAUSED, "paused until 2026-12-05 by storage team: storage moves", "gold-vms"),
        _machine(7, "dc-02", state.UNSEEN, "hci-01 does not show it", "gold-vms"),
    ]
    rows += [_machine(100 + each, f"web-{each:04d}", state.PROTECTED, "", "silver-vms") for each in range(protected)]
    return CoverageView("hq", NOW, tuple(rows))


def status_view(said: str = "", protected: int = 3) -> Status:
    """A site with something wrong everywhere."""
    machines = coverage_view(said, protected).machines
    findings = (
        Diagnostic("RCL3011", Severity.WARNING, f"the group {said or 'lab'} is not stopped", "Run `reconciler plan`."),
        Diagnostic("RCL4021", Severity.ERROR, "a pack is damaged", "Run `reconciler check`.", subject=said or "a"),
        Diagnostic("RCL3028", Severity.ADVICE, "read this", "Or not.", Location(said or "policies/erp.yaml", 2, 1)),
    )
    replicas = (
        ReplicaStatus(
            *(
                "mabs-01",
                source(1),
                said or "fs-07",
                ReplicaState.VALID,
                said or "vol-a",
                31,
                2**31,
                said or "gold-vms",
            ),
            *(NOW - 9 * HOUR, JobKind.SYNCHRONIZATION, "failed", NOW - HOUR, JobKind.SYNCHRONIZATION, NOW + HOUR),
        ),
        ReplicaStatus("mabs-01", source(2), "erp-12", ReplicaState.PENDING, "vol-a", 0, 0, "gold-vms"),
        ReplicaStatus("mabs-01", source(6), "sql-02", ReplicaState.INCONSISTENT, "vol-a", 9, 2**30, "gold-vms"),
        ReplicaStatus("mabs-01", source(8), "old-wiki", ReplicaState.VALID, "vol-b", 4, 2**30),
    )
    pause = GroupPause(date(2026, 12, 5), said or "storage moves", said or "storage team")
    groups = (
        GroupStatus("mabs-01", "gold-vms", said or "Gold VMs", 5, "14d", "1h"),
        GroupStatus("mabs-01", "silver-vms", "Silver VMs", protected, "5d", "before each point", pause),
    )
    volumes = (PoolVolume(said or "vol-a", 80 * 10**12, 61 * 10**12, 10**12), PoolVolume("vol-b", 0, 0))
    window = "no change window is open"
    waiting = (
        Waiting(WaitKind.APPROVAL, "gold-vms", f"{said or 'gold-vms'} weakens protection", "Run `reconciler approve`."),
        Waiting(WaitKind.TIME, "silver-vms", window, until=NOW + HOUR),
    )
    drift = (DriftItem(DriftClass.EXTERNAL, "mabs-01", said or "gold-vms", "shortTerm.retention", "14d", "14d", "3d"),)
    paused = Diagnostic("RCL6003", Severity.WARNING, said or "the clock may be wrong", "Run `reconciler run`.")
    what, why = f"synchronization of {said or 'fs-07'}", said or "its disk changed"
    return Status(
        "hq",
        NOW,
        machines,
        groups,
        replicas,
        {"mabs-01": volumes},
        NOW - timedelta(seconds=40),
        said,
        findings,
        drift=drift,
        waiting=waiting,
        pruning_paused=paused,
        last_failure=LastFailure(NOW - HOUR, what, "RCL4013", why, mended=False),
        branch=said or "main",
        commit="4f1c2d9a7be0" * 3,
    )


def points_view(said: str = "", machines: int = 2, unseen: bool = False) -> PointsView:
    """Two weeks over the end of a month: a synchronization every six hours, an express full on Saturdays, verified on
    Sundays; and one point in the future."""
    rows = []
    for number in range(1, machines + 1):
        for place in range(60):
            time = NOW - place * 6 * HOUR - (14 * DAY if number == 2 else timedelta(0))
            kind = PointKind.EXPRESS_FULL if time.weekday() == 5 and time.hour > 20 else PointKind.SYNCHRONIZATION
            point = RecoveryPoint(
                f"p{number}-{place:03d}",
                source(number),
                time,
                PointKind.INITIAL_REPLICA if place == 59 else kind,
                Consistency.APPLICATION,
                2**33,
                place * 2**20,
                verified_at=time + HOUR if time.weekday() == 6 else None,
            )
            rows.append(PointRow(said or f"sql-{number:02d}", said or "mabs-01", point))
    ahead = RecoveryPoint("p-ahead", source(1), NOW + 2 * DAY, PointKind.SYNCHRONIZATION, Consistency.CRASH, 1, 1)
    return PointsView("hq", NOW, (*rows, PointRow(said or "sql-01", "mabs-01", ahead)), unseen)


def chain(said: str = "") -> ChainCheck:
    """A chain that is not whole."""
    wrong = Diagnostic("RCL5022", Severity.ERROR, f"the record was changed {said}", "Keep `it`.", subject=said or "1:7")
    return ChainCheck(2, 27, "ff" * 32, 12, (wrong,))


def answer(said: str = "", whole: bool = True) -> Answer:
    """A protected data source with everything on record, and one that nothing protects."""
    told = said or "sql-01"
    consent = Consent(told, "security@corp.example", told, "2026-12-31")
    shorter = {"path": "shortTerm.retention", "before": "14d", "after": said or "7d", "direction": "weakens"}
    decision = Decision(
        *(NOW - DAY, "20261126T170000Z-abcdef", "update", "update", "weakens", "mabs-01", told, True),
        actor=told,
        host="build-7 pid 12",
        commit="4f1c2d9a7be0" * 3,
        plan_hash="5b" * 32,
        consent="approvals",
        glass=said,
        fields=(shorter,),
        approvals=(consent,),
        seq=9,
    )
    joined = msgspec.structs.replace(decision, at=NOW - 9 * DAY, verb="create", direction="strengthens", seq=2)
    points = tuple(KeptPoint(f"p-{each}", NOW - each * HOUR, "synchronization", told, each) for each in range(1, 13))
    lost = (KeptPoint("p-gone", NOW - 5 * DAY, "expressFull", "mabs-01", 4, NOW - DAY, "declaredLost"),)
    done = Recovered(NOW - 2 * HOUR, told, "p-3", "folder", said or "restored", "succeeded", 3, 11)
    checked = Verified(NOW - DAY, "consistencyCheck", "succeeded", 2, 8)
    gold = group("gold", told, ["sql-01"], 14)
    protection = Protection(
        str(source(1)), told, "mabs-01", gold, NOW - 9 * DAY, (decision, joined), points, checked, (done,), lost
    )
    return Answer(told, NOW, 27, whole, (protection, Protection(str(source(2)), "")))


if __name__ == "__main__":
    for name, text in {
        "coverage": coverage_html(coverage_view(), ZONE, every=True),
        "status": status_html(status_view(), ZONE),
        "points": points_html(points_view(), ZONE),
        "query": answer_html(answer(), ZONE),
        "verify": chain_html(chain(), "hq", "var/hq.evidence", ""),
    }.items():
        (Path(sys.argv[1]) / f"{name}.html").write_text(text, encoding="utf-8")
