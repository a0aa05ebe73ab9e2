"""Limits: a typed group and the engine of its server -> what that engine would refuse, said before it is asked.

Sources of the numbers are named in `reconciler explain CODE`. What depends on the inventory is linted elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model import Duration, Recurrence
from reconciler.model.documents import (
    GroupDocument,
    GroupSpec,
    HostSelector,
    MemberRule,
    OnlinePolicy,
    Placed,
    ProtectedParts,
    SiteDocument,
)
from reconciler.model.names import fold
from reconciler.plan.globs import globs_meet

Path = tuple[str | int, ...]

#: The vault's floors when its security features are on; a larger server pool and more online points than these are
#: refused by MABS or Azure.
_FLOORS = {
    "daily": Duration(seconds=7 * 86_400),
    "weekly": Duration(seconds=28 * 86_400),
    "monthly": Duration(months=3),
    "yearly": Duration(months=12),
}
_POOL = 120 * 10**12
_ONLINE_POINTS = 9_999
_ONLINE_A_DAY = 2
_FILE_POINTS_A_DAY = 8
_FILE_POINTS = 64
_EXPRESS_FULLS = 448


def data_of(rule: MemberRule) -> str:
    """What sort of data a member is: ``machine`` (whole, from its host), ``application`` or ``files``."""
    if rule.virtual_machines is not None and rule.level == "host":
        return "machine"
    if isinstance(rule.protect, ProtectedParts) and rule.protect.application is not None:
        return "application"
    return "files"


def runs_of(spec: GroupSpec, engine: str) -> Iterator[tuple[str, Path]]:
    """The table "which runs make recovery points": (code, path) for each schedule that does not fit.

    RCL1052: recoveryPoints is refused; RCL1053: expressFull is refused; RCL1054 and RCL1055: it is missing.
    """
    term = spec.short_term
    data = {data_of(rule) for rule in spec.members}
    points, full = ("spec", "shortTerm", "recoveryPoints"), ("spec", "shortTerm", "expressFull")
    if term.synchronization == "beforeRecoveryPoint":
        if term.recovery_points is None:
            yield "RCL1054", ("spec", "shortTerm")
        if term.express_full is not None:
            yield "RCL1053", full
        return
    if "files" in data and term.recovery_points is None:
        yield "RCL1054", ("spec", "shortTerm")
    if "files" not in data and term.recovery_points is not None:
        yield "RCL1052", points
    if data == {"files"} and term.express_full is not None:
        yield "RCL1053", full
    if engine == "mabs" and "machine" in data and term.express_full is None:
        yield "RCL1055", ("spec", "shortTerm")


_RUNS = {
    "RCL1052": (
        "recoveryPoints does not go with an interval: each synchronization makes a point, or each express full does",
        "Remove recoveryPoints, or write `synchronization: beforeRecoveryPoint`.",
    ),
    "RCL1053": (
        "expressFull is not used here: the points come from recoveryPoints",
        "Remove expressFull.",
    ),
    "RCL1054": (
        "nothing says when recovery points are made",
        "Write recoveryPoints: {times: [...]}.",
    ),
    "RCL1055": (
        "nothing gives these members recovery points: MABS makes them of virtual machines at express full "
        "backups alone",
        "Write expressFull: {times: [...]}.",
    ),
}


def limits(placed: Placed[GroupDocument], engine: str) -> Iterator[Diagnostic]:
    """What the group breaks on a server with this engine."""
    yield from _members(placed)
    for code, path in runs_of(placed.document.spec, engine):
        yield _say(code, *_RUNS[code], placed, path)
    if engine == "mabs":
        yield from _mabs(placed)
    if placed.document.spec.online is not None:
        yield from _online(placed, placed.document.spec.online)


def _members(placed: Placed[GroupDocument]) -> Iterator[Diagnostic]:
    for index, rule in enumerate(placed.document.spec.members):
        path = ("spec", "members", index)
        host_part = isinstance(rule.protect, str)
        if rule.hosts is not None:
            if not host_part:
                what = "a host is protected as bareMetal or systemState"
                yield _say("RCL1066", what, "Write `protect: bareMetal`, or `systemState`.", placed, path)
        elif rule.level == "guest" and (rule.protect is None or host_part):
            what = "at guest level nothing is protected until `protect` names what"
            remedy = "Write protect: {volumes: [...]}, {paths: [...]} or {application: ...}."
            yield _say("RCL1066", what, remedy, placed, path)
        elif rule.level == "host" and rule.protect is not None:
            what = "at host level the whole virtual machine is protected; `protect` does not go with it"
            yield _say("RCL1066", what, "Remove `protect`, or write `level: guest`.", placed, (*path, "protect"))


def _mabs(placed: Placed[GroupDocument]) -> Iterator[Diagnostic]:
    spec = placed.document.spec
    term = spec.short_term
    data = {data_of(rule) for rule in spec.members}
    place: Path = ("spec", "shortTerm", "synchronization")
    if term.synchronization in ("15min", "30min", "45min") and data != {"application"}:
        what = f"MABS backs most workloads up once an hour at most, not every {term.synchronization}"
        yield _say("RCL1056", what, "Write 1h or more.", placed, place, Severity.WARNING)
    if spec.backup_window is not None and data != {"machine"}:
        what = "MABS takes a backup window for groups of whole virtual machines alone"
        yield _say("RCL1065", what, "Remove it, or divide the group.", placed, ("spec", "backupWindow"))
    days = term.retention.delta / timedelta(days=1)
    if "files" in data and term.recovery_points is not None:
        path: Path = ("spec", "shortTerm", "recoveryPoints")
        runs = term.recovery_points.recurrence
        if len(runs.times) > _FILE_POINTS_A_DAY:
            what = f"{len(runs.times)} points a day; MABS takes at most {_FILE_POINTS_A_DAY} for files"
            yield _say("RCL1057", what, "Write fewer times.", placed, path)
        yield from _kept(placed, "RCL1058", runs, days, _FILE_POINTS, "points of files", path)
    for name, times in (("expressFull", term.express_full), ("recoveryPoints", term.recovery_points)):
        if times is not None and data - {"files"}:
            path = ("spec", "shortTerm", name)
            yield from _kept(placed, "RCL1059", times.recurrence, days, _EXPRESS_FULLS, "express full backups", path)


def _kept(
    placed: Placed[GroupDocument], code: str, runs: Recurrence, days: float, most: int, what: str, path: Path
) -> Iterator[Diagnostic]:
    kept = runs.runs_in_28_days / 28 * days
    if kept > most:
        told = f"{placed.document.spec.short_term.retention} of these times keep {kept:.0f} {what}; MABS holds {most}"
        yield _say(code, told, "Write fewer times, or a shorter retention.", placed, path)


# --- Online protection -----------------------------------------------------------------------------------------


def _online(placed: Placed[GroupDocument], online: OnlinePolicy) -> Iterator[Diagnostic]:
    tiers = {name: getattr(online, name) for name in _FLOORS if getattr(online, name) is not None}
    path: Path = ("spec", "online")
    if not tiers:
        yield _say(
            "RCL1068", "online protection without a copy", "Write daily, weekly, monthly or yearly.", placed, path
        )
    for name, tier in tiers.items():
        if len(tier.times) > (_ONLINE_A_DAY if name == "daily" else 1):
            most = f"{_ONLINE_A_DAY} online copies a day" if name == "daily" else "one online copy on a day"
            what = f"{len(tier.times)} times; Azure Backup takes at most {most} of this sort"
            yield _say("RCL1060", what, "Write fewer times.", placed, (*path, name, "times"))
        if tier.keep < _FLOORS[name]:
            what = f"{name} copies are kept at least {_FLOORS[name]} where the vault's security features are on"
            yield _say("RCL1061", what, "Keep them longer.", placed, (*path, name, "keep"))
    for name in ("monthly", "yearly"):
        tier = tiers.get(name)
        if tier is not None and bool(tier.days_of_month) == bool(tier.weeks and tier.days):
            what = f"{name} copies are made on days of the month, or on days of some weeks"
            yield _say("RCL1068", what, "Write daysOfMonth, or weeks and days.", placed, (*path, name))
    kept = _online_points(online)
    if kept > _ONLINE_POINTS:
        what = f"{kept} online points of each member; Azure Backup holds {_ONLINE_POINTS}"
        yield _say("RCL1062", what, "Keep fewer.", placed, path)


def _online_points(online: OnlinePolicy) -> int:
    count = 0.0
    if online.daily is not None:
        count += len(online.daily.times) * online.daily.keep.delta.days
    if online.weekly is not None:
        count += len(online.weekly.days) * online.weekly.keep.delta.days / 7 / online.weekly.every
    if online.monthly is not None:
        days = len(online.monthly.days_of_month) or len(online.monthly.weeks) * len(online.monthly.days)
        count += days * online.monthly.keep.delta.days * 12 / 365
    if online.yearly is not None:
        days = len(online.yearly.days_of_month) or len(online.yearly.weeks) * len(online.yearly.days)
        count += days * len(online.yearly.months) * online.yearly.keep.delta.days / 365
    return round(count)


# --- Across groups, and servers --------------------------------------------------------------------------------


def hosts_twice(groups: Iterable[Placed[GroupDocument]]) -> Iterator[Diagnostic]:
    """Bare metal contains system state: of one computer never both, in any group."""
    seen: dict[tuple[str, str], list[tuple[str, HostSelector, Location]]] = defaultdict(list)
    for placed in groups:
        for index, rule in enumerate(placed.document.spec.members):
            if rule.hosts is None or not isinstance(rule.protect, str):
                continue
            place = placed.positions.at("spec", "members", index)
            for other, selector, where in seen[placed.document.spec.site, rule.hosts.cluster]:
                if other != rule.protect and _meet(rule.hosts, selector):
                    yield Diagnostic(
                        "RCL1063",
                        Severity.ERROR,
                        "bareMetal and systemState of one host; bareMetal contains systemState",
                        "Protect each host as one of them, in one group.",
                        place,
                        also=(where,),
                    )
            seen[placed.document.spec.site, rule.hosts.cluster].append((rule.protect, rule.hosts, place))


def _meet(one: HostSelector, other: HostSelector) -> bool:
    """Whether some name could be meant by both."""
    names = [(a, b) for a in one.names or ("*",) for b in other.names or ("*",) if globs_meet(a, b)]
    spared = {fold(each) for each in (*one.except_, *other.except_)}
    return any(not {fold(a), fold(b)} & spared for a, b in names)


def pools(placed: Placed[SiteDocument]) -> Iterator[Diagnostic]:
    """Storage pools that are larger than a MABS server should have."""
    for index, server in enumerate(placed.document.spec.servers):
        total = sum(volume.capacity for volume in server.volumes)
        if server.engine.mabs is not None and total > _POOL:
            what = f"the volumes of {server.name} hold {total / 10**12:.0f} TB; MABS is meant for 120 TB at most"
            path: Path = ("spec", "servers", index, "volumes")
            where = placed.positions.at(*path)
            yield Diagnostic("RCL1064", Severity.WARNING, what, "Divide it among servers.", where)


def _say(
    code: str,
    what: str,
    remedy: str,
    placed: Placed[GroupDocument],
    path: Path,
    severity: Severity = Severity.ERROR,
) -> Diagnostic:
    return Diagnostic(code, severity, what, remedy, placed.positions.at(*path))
