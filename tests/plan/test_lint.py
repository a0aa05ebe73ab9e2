"""Findings across documents, and where they meet the clusters: one policy that has each, one that has not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from reconciler.control.planning.without_servers import Sight, lint_all
from reconciler.errors import Severity
from reconciler.model import ClusterSnapshot, VirtualDisk, VirtualMachine
from reconciler.parse import read_texts
from tests.fakes import machine_id

DAY = date(2026, 3, 10)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
_SITE = """apiVersion: reconciler/v1
kind: Site
metadata: {name: hq}
spec:
  timeZone: UTC
  prune: false
  state: {sqlite: {path: s.db}}
  clusters: [{name: c, inventory: {directory: {path: c}}, churn: {default: 10%/d}}]
  servers:
    - name: m
      engine: {mabs: {endpoint: e, transport: ntlm, credential: "env:X"}}
      volumes: [{name: v, capacity: 400 TB}]
      throughput: 100 MB/s
    - {name: e, engine: {embedded: {path: e}}, volumes: [{name: v, capacity: 400 TB}]}
"""
_TERM = 'shortTerm: {retention: 5d, synchronization: 1h, expressFull: {times: ["22:00"]}}'
_WEEKLY = (
    'shortTerm: {retention: KEEP, synchronization: beforeRecoveryPoint, recoveryPoints: {times: ["20:00"], days: [Sa]}}'
)


def group(*lines: str, name: str = "g", server: str = "m", names: str = "a*", term: str = _TERM) -> str:
    body = "".join(f"  {line}\n" for line in (term, *lines))
    return (
        f"---\napiVersion: reconciler/v1\nkind: ProtectionGroup\nmetadata: {{name: {name}}}\nspec:\n  site: hq\n"
        f'  server: {server}\n  members: [{{virtualMachines: {{cluster: c, names: ["{names}"]}}}}]\n{body}'
    )


def exclusion(reason: str = "rebuilt nightly", until: str = "2099-01-01") -> str:
    return (
        "---\napiVersion: reconciler/v1\nkind: Exclusion\nmetadata: {name: x}\nspec: {site: hq, virtualMachines: "
        f'{{cluster: c, names: [z]}}, reason: "{reason}", owner: o, until: {until}}}\n'
    )


def machines(count: int, gigabytes: int) -> tuple[VirtualMachine, ...]:
    disk = VirtualDisk(path="d", allocated_bytes=gigabytes * 10**9)
    return tuple(VirtualMachine(id=machine_id(n), name=f"a{n}", disks=(disk,)) for n in range(1, count + 1))


def codes(text: str, seen: tuple[VirtualMachine, ...] | None = None) -> dict[str, Severity]:
    reading = read_texts({"policies/all.yaml": (_SITE + text).encode()}, "policies")
    assert reading.policies is not None, reading.diagnostics
    sights = {}
    if seen is not None:
        snapshot = ClusterSnapshot(name="c", taken_at=NOON, machines=seen)
        sights["hq"] = Sight(reading.policies.sites[0].document, {"c": snapshot}, NOON, DAY)
    found = lint_all(reading.policies, sights, DAY)
    assert all(each.location is not None and each.remedy for each in found)
    return {each.code: each.severity for each in found}


WARNING, ADVICE, ERROR = Severity.WARNING, Severity.ADVICE, Severity.ERROR
Text = Callable[[], str]


#: code -> severity, documents that have it, documents that do not.
def paused(until: str, reason: str = "the storage is moved") -> str:
    return group(f"paused: {{reason: {reason}, owner: ops, until: {until}}}", server="e")


ROWS: dict[str, tuple[Severity, str, str]] = {
    "RCL1030": (WARNING, exclusion(until="2026-03-09"), exclusion(until="2026-03-10")),
    "RCL1031": (
        WARNING,
        group(term="shortTerm: {retention: 5d, synchronization: 4h, rpo: 2h}", server="e"),
        group(term="shortTerm: {retention: 5d, synchronization: 4h, rpo: 5h}", server="e"),
    ),
    "RCL1034": (
        WARNING,
        group(term="shortTerm: {retention: 1d, synchronization: 12h}", server="e"),
        group(term="shortTerm: {retention: 2d, synchronization: 12h}", server="e"),
    ),
    "RCL1036": (
        WARNING,
        group("ignore: [{field: colocate, reason: r, until: 2026-03-09}]"),
        group("ignore: [{field: colocate, reason: r, until: 2026-03-10}]"),
    ),
    "RCL1110": (ERROR, paused("2026-06-09"), paused("2026-06-08")),
    "RCL1111": (ADVICE, paused("2026-03-09"), paused("2026-03-10")),
    "RCL1112": (ADVICE, paused("2026-03-10"), paused("2026-03-09")),
    "RCL1113": (WARNING, paused("2026-03-20", "todo"), paused("2026-03-20", "the storage is moved")),
    "RCL1080": (
        WARNING,
        group('consistencyCheck: {schedule: {time: "21:00"}}'),
        group('consistencyCheck: {schedule: {time: "12:00"}}'),
    ),
    "RCL1081": (
        ADVICE,
        group(name="g1") + group(name="g2", names="b"),
        group(name="g1") + group("colocate: true", name="g2"),
    ),
    "RCL1082": (ADVICE, group(), group("colocate: true")),
    "RCL1083": (
        ADVICE,
        group('replicaCreation: {later: "2026-12-01 11:00"}'),
        group('replicaCreation: {later: "2026-12-05 11:00"}'),
    ),
    "RCL1085": (
        WARNING,
        group(
            term=_WEEKLY.replace("KEEP", "5d"),
            server="e",
        ),
        group(
            term=_WEEKLY.replace("KEEP", "8d"),
            server="e",
        ),
    ),
    "RCL1086": (WARNING, exclusion(reason="TODO."), exclusion()),
}


@pytest.mark.parametrize("code", ROWS)
def test_what_needs_no_inventory(code: str) -> None:
    severity, has, has_not = ROWS[code]
    assert codes(has)[code] is severity
    assert code not in codes(has_not)


def test_a_window_over_midnight() -> None:
    check = 'consistencyCheck: {schedule: {time: "02:00"}}'
    assert "RCL1080" in codes(group('backupWindow: {from: "22:00", to: "06:00"}', check))
    assert "RCL1080" not in codes(
        group('backupWindow: {from: "03:00", to: "06:00"}', 'consistencyCheck: {schedule: {time: "07:00"}}')
    )


def test_checks_that_were_not_run_are_named() -> None:
    assert codes(group())["RCL1090"] is ADVICE
    assert "RCL1090" not in codes(group(), machines(1, 1))


def test_what_resolving_finds() -> None:
    assert codes(group(names="q*"), machines(1, 1))["RCL3001"] is WARNING
    assert codes(group() + group("colocate: true", name="h", names="a1"), machines(1, 1))["RCL3004"] is ERROR


@pytest.mark.parametrize(
    ("code", "severity", "has", "has_not", "text"),
    [
        ("RCL3018", ERROR, machines(801, 1), machines(800, 1), group()),
        ("RCL3019", ERROR, machines(401, 1000), machines(300, 1000), group()),
        # 10 % of 40 TB at 100 MB/s is 11.1 h
        (
            "RCL3022",
            WARNING,
            machines(40, 1000),
            machines(10, 1000),
            group('backupWindow: {from: "20:00", to: "04:00"}'),
        ),
        # 100 MB/s for a day is 8.64 TB
        ("RCL3023", ADVICE, machines(9, 1000), machines(8, 1000), group()),
        # size x (1 + 10 % x 5 days) x 1.05 against 400 TB
        ("RCL3024", WARNING, machines(260, 1000), machines(250, 1000), group()),
        ("RCL3025", WARNING, machines(101, 1), machines(100, 1), group("storage: {volume: v}")),
        (
            "RCL3026",
            ERROR,
            machines(1, 54_401),
            machines(1, 54_399),
            group('online: {daily: {keep: 30d, times: ["23:00"]}}'),
        ),
        (
            "RCL3027",
            WARNING,
            machines(2001, 1),
            machines(2000, 1),
            group('online: {daily: {keep: 30d, times: ["23:00"]}}'),
        ),
    ],
)
def test_what_needs_an_inventory(code: str, severity: Severity, has: Any, has_not: Any, text: str) -> None:
    assert codes(text, has).get(code) is severity
    assert code not in codes(text, has_not)
