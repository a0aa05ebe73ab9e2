"""A plan with every kind of step, as the golden tests of reports and the picture in docs/ show it.

`python -m tests.plans FILE` writes its HTML report.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from reconciler import __version__
from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import (
    Action,
    Adopt,
    Approved,
    Change,
    ConsistencyCheck,
    Cost,
    CreateGroup,
    DataSource,
    Direction,
    ExistingPoints,
    FieldChange,
    Impact,
    MachineImpact,
    Member,
    Origin,
    Plan,
    PointFate,
    ProtectionGroup,
    Reason,
    Recurrence,
    RenameGroup,
    SavedPlan,
    ShortTerm,
    Step,
    StopProtection,
    UpdateGroup,
    Verb,
    VolumeImpact,
    Wave,
    Weekday,
)
from reconciler.report import plan_html

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Berlin")
GIB = 2**30
DAY = timedelta(days=1)

NAMES = [
    *("sql-01", "sql-02", "dc-01", "erp-app-01", "erp-app-02", "erp-db-01", "erp-db-02"),
    *("file-01", "file-02", "file-03", "old-crm", "old-wiki", "ci-01", "ci-02", "web-01", "web-02", "web-03"),
]


def source(name: str) -> DataSource:
    return DataSource("hci-01", f"00000000-0000-4000-8000-{NAMES.index(name) + 1:012d}")


def group(name: str, display: str, machines: Sequence[str], days: int, **more: object) -> ProtectionGroup:
    term = ShortTerm(
        retention=days * DAY,
        rpo=timedelta(hours=7),
        synchronization=timedelta(hours=6),
        express_full=Recurrence((time(22),), (Weekday.SATURDAY,)),
    )
    members = tuple(sorted(Member(source(machine), "vol-a") for machine in machines))
    settings: dict[str, object] = {"consistency_check": ConsistencyCheck(True, time(2), 4)}
    return ProtectionGroup(name, display, members, term, **(settings | more))  # type: ignore[arg-type]


def digest(number: int) -> str:
    return "sha256:" + f"{number:02x}9f3ab07c5d1e4a" * 4


def emptied(name: str, days: int, every: timedelta = timedelta(hours=6)) -> tuple[MachineImpact, list[PointFate]]:
    """A machine whose points, one every six hours for some days, all expire at once."""
    return shortened(name, days, 0, every)


def shortened(
    name: str, before: int, after: int, every: timedelta = timedelta(hours=6)
) -> tuple[MachineImpact, list[PointFate]]:
    """A machine whose points are kept for `after` instead of `before` days."""
    times = [NOW - number * every for number in range(1, int(before * DAY / every) + 1)]
    fates = [
        PointFate(
            f"{name}-{number}",
            source(name),
            at,
            3 * GIB,
            at + before * DAY,
            max(NOW, at + after * DAY),
            at + after * DAY,
        )
        for number, at in enumerate(times)
    ]
    gone = [fate for fate in fates if fate.by_age is not None and fate.by_age <= NOW]
    left = [fate.time for fate in fates if fate not in gone]
    machine = MachineImpact(
        source(name),
        len(times),
        len(gone),
        len(left),
        0,
        min(times),
        min(left, default=None),
        max(times),
        max(left, default=None),
        len(gone) * 3 * GIB,
    )
    return machine, fates


def impact(*parts: tuple[MachineImpact, list[PointFate]], exact: bool = True) -> Impact:
    return Impact(tuple(part[0] for part in parts), tuple(fate for part in parts for fate in part[1]), exact)


def _change(
    verb: Verb,
    reason: Reason,
    direction: Direction,
    fields: tuple[FieldChange, ...] = (),
    before: ProtectionGroup | None = None,
    after: ProtectionGroup | None = None,
    line: int = 2,
) -> Change:
    group = after or before
    assert group is not None
    place = None if verb is Verb.STOP else Location(f"policies/{group.name}.yaml", line)
    return Change(
        "mabs-01",
        group.name,
        verb,
        reason,
        direction,
        fields,
        before,
        after,
        f"ref-{group.name}" if before else "",
        place,
    )


def _place(name: str, line: int) -> Location:
    return Location(f"policies/{name}.yaml", line, 5)


def _field(
    path: str, before: object, after: object, direction: Direction, where: tuple[str, int], **more: object
) -> FieldChange:
    return FieldChange(path, before, after, direction, location=_place(*where), **more)  # type: ignore[arg-type]


def _steps() -> list[Step]:
    silver, fewer = group("silver", "Silver VMs", NAMES[7:10], 7), group("silver", "Silver VMs", NAMES[7:9], 7)
    erp = group("erp", "ERP", NAMES[3:7], 30)
    bronze = group("bronze", "Bronze VMs", NAMES[10:12], 5, existing_points=ExistingPoints.EXPIRE_NOW)
    gold, shorter = group("gold", "Gold VMs", NAMES[:3], 14), group("gold", "Gold VMs", NAMES[:3], 7)
    shorter = msgspec.structs.replace(
        shorter, short_term=msgspec.structs.replace(shorter.short_term, synchronization=timedelta(hours=1))
    )
    build = group("build", "Build", NAMES[12:14], 3)
    renamed = group("build-farm", "Build farm", NAMES[12:14], 3)
    web = group("web", "Web", NAMES[14:], 14)
    more = group("platinum", "Platinum VMs", ["web-01", "web-02"], 60)
    less = group("platinum", "Platinum VMs", ["web-01"], 60)
    grown = _field(
        "members",
        None,
        str(source("web-02")),
        Direction.STRENGTHENS,
        ("platinum", 8),
        reason=Reason.MACHINES_CHANGED,
        change_hash=digest(3),
    )
    left = _field(
        "members",
        str(source("file-03")),
        None,
        Direction.WEAKENS,
        ("silver", 9),
        reason=Reason.MACHINES_CHANGED,
        note="no new points; existing points: retain",
        change_hash=digest(7),
    )
    kept = _field(
        "shortTerm.retention",
        "14d",
        "7d",
        Direction.WEAKENS,
        ("gold", 13),
        change_hash=digest(1),
        approved_by="security@corp.example",
    )
    often = _field("shortTerm.synchronization", "6h", "1h", Direction.STRENGTHENS, ("gold", 14), change_hash=digest(2))
    called = _field("name", "build", "build-farm", Direction.NEUTRAL, ("build-farm", 3))
    shown = _field("displayName", "Build", "Build farm", Direction.NEUTRAL, ("build-farm", 6), assumed=True)
    gone = FieldChange(
        "",
        "bronze",
        None,
        Direction.DESTROYS,
        Reason.POLICY_REMOVED,
        note="no new points; existing points: expireNow",
        change_hash=digest(9),
    )
    still = MachineImpact(source("file-03"), 28, 0, 0, 0, NOW - 7 * DAY, NOW - 7 * DAY, NOW - DAY / 4, NOW - DAY / 4)
    changes: list[tuple[Change, Action, Impact | None, Cost, int]] = [
        (
            _change(Verb.CREATE, Reason.NEW_POLICY, Direction.STRENGTHENS, after=erp),
            CreateGroup("mabs-01", erp),
            Impact(),
            Cost(4, 620 * GIB),
            1,
        ),
        (
            _change(Verb.UPDATE, Reason.MACHINES_CHANGED, Direction.STRENGTHENS, (grown,), less, more),
            UpdateGroup("mabs-01", "ref-platinum", less, more),
            Impact(),
            Cost(1, 80 * GIB),
            2,
        ),
        (
            _change(Verb.RENAME, Reason.RENAMED, Direction.NEUTRAL, (called, shown), build, renamed),
            RenameGroup("mabs-01", "ref-build", build, renamed),
            None,
            Cost(),
            1,
        ),
        (
            _change(Verb.ADOPT, Reason.ADOPTED, Direction.NEUTRAL, (), web, web),
            Adopt("mabs-01", "ref-web", web),
            None,
            Cost(),
            1,
        ),
        (
            _change(Verb.UPDATE, Reason.POLICY_CHANGED, Direction.WEAKENS, (kept, often), gold, shorter),
            UpdateGroup("mabs-01", "ref-gold", gold, shorter),
            impact(*(shortened(name, 14, 7) for name in NAMES[:3])),
            Cost(expired_points=87),
            1,
        ),
        (
            _change(Verb.UPDATE, Reason.MACHINES_CHANGED, Direction.WEAKENS, (left,), silver, fewer),
            UpdateGroup("mabs-01", "ref-silver", silver, fewer),
            Impact((still,)),
            Cost(weakened_members=1),
            1,
        ),
        (
            _change(Verb.STOP, Reason.POLICY_REMOVED, Direction.DESTROYS, (gone,), bronze),
            StopProtection("mabs-01", "ref-bronze", bronze, ExistingPoints.EXPIRE_NOW),
            impact(emptied("old-crm", 5), emptied("old-wiki", 4)),
            Cost(expired_points=36, weakened_members=2),
            1,
        ),
    ]
    hazard = Diagnostic(
        "RCL0015",
        Severity.WARNING,
        "old-crm and old-wiki are in no other group: their last points go",
        "Recover what is still wanted first.",
    )
    return [
        Step(
            f"{number}:{change.server}/{change.group}",
            action,
            change,
            wave=wave,
            impact=told,
            hazards=(hazard,) if change.verb is Verb.STOP else (),
            cost=cost,
        )
        for number, (change, action, told, cost, wave) in enumerate(changes, start=1)
    ]


def example() -> Plan:
    """Seven steps of every verb and direction, in two waves, with an approval, volumes and findings."""
    return Plan(
        "hq",
        NOW,
        tuple(_steps()),
        (
            Diagnostic(
                "RCL3011",
                Severity.WARNING,
                "the group lab on mabs-01 is not stopped while hci-02 shows under half of its known machines",
                "Look at the cluster first; the group is stopped once the cluster is seen again.",
            ),
            Diagnostic(
                "RCL3028",
                Severity.ADVICE,
                "erp gets 4 first copies now, in working hours",
                "Apply it off-peak, if the line is narrow.",
                Location("policies/erp.yaml", 2),
            ),
        ),
        {str(source(name)): name for name in NAMES},
        "5b7a" * 16,
        ("server mabs-01",),
        (Wave(1, NOW), Wave(2, datetime(2026, 12, 1, 7, 0, tzinfo=UTC), "budget of new members")),
        (
            VolumeImpact("mabs-01", "vol-a", 8 * 2**40, 5 * 2**40, 700 * GIB, 252 * GIB),
            VolumeImpact("mabs-01", "vol-b", 4 * 2**40, 3 * 2**40, 0, 108 * GIB),
        ),
        (Approved("shorter-gold", "security@corp.example", "storage shortage", date(2026, 12, 31), (digest(1),), 100),),
    )


def saved() -> SavedPlan:
    """The example as it is saved by CI."""
    origin = Origin(
        "ci-runner", "build-7", __version__, "4f1c2d9a7be0" + "0" * 28, False, "GITHUB_ACTIONS corp/backup 4711"
    )
    return SavedPlan(origin, example(), "0" * 64)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(plan_html(saved().plan, ZONE, origin=saved().origin), encoding="utf-8")
