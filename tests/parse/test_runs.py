"""Which runs make recovery points: every combination of data, engine and schedules, allowed or refused."""

from __future__ import annotations

from itertools import product

import pytest

from reconciler.model import ClockTime, Duration
from reconciler.model.documents import (
    GroupSpec,
    HostSelector,
    MachineSelector,
    MemberRule,
    ProtectedParts,
    ShortTermPolicy,
    Times,
)
from reconciler.parse.limits import runs_of

_MACHINES = MachineSelector("c", names=("a",))
RULES = {
    "machine": MemberRule(_MACHINES),
    "application": MemberRule(_MACHINES, level="guest", protect=ProtectedParts(application="SQL")),
    "volumes": MemberRule(_MACHINES, level="guest", protect=ProtectedParts(volumes=("E:",))),
    "paths": MemberRule(_MACHINES, level="guest", protect=ProtectedParts(paths=("E:\\data",))),
    "systemState": MemberRule(hosts=HostSelector("c", ("n",)), protect="systemState"),
    "bareMetal": MemberRule(hosts=HostSelector("c", ("n",)), protect="bareMetal"),
}

#: engine, data, synchronization -> for (expressFull written, recoveryPoints written): the codes.
#: 52 recoveryPoints refused, 53 expressFull refused, 54 recoveryPoints missing, 55 expressFull missing.
BEFORE = {(False, False): "54", (True, False): "54 53", (False, True): "", (True, True): "53"}
TABLE: dict[tuple[str, str, str], dict[tuple[bool, bool], str]] = {
    ("embedded", "machine", "interval"): {
        (False, False): "",
        (True, False): "",
        (False, True): "52",
        (True, True): "52",
    },
    ("mabs", "machine", "interval"): {
        (False, False): "55",
        (True, False): "",
        (False, True): "52 55",
        (True, True): "52",
    },
    ("mabs", "application", "interval"): {
        (False, False): "",
        (True, False): "",
        (False, True): "52",
        (True, True): "52",
    },
    **{
        ("mabs", files, "interval"): {
            (False, False): "54",
            (True, False): "54 53",
            (False, True): "",
            (True, True): "53",
        }
        for files in ("volumes", "paths", "systemState", "bareMetal")
    },
    ("mabs", "machine systemState", "interval"): {
        (False, False): "54 55",
        (True, False): "54",
        (False, True): "55",
        (True, True): "",
    },
    ("mabs", "application volumes", "interval"): {
        (False, False): "54",
        (True, False): "54",
        (False, True): "",
        (True, True): "",
    },
    **{
        (engine, data, "before"): BEFORE
        for engine, data in [("embedded", "machine"), *product(["mabs"], [*RULES, "machine systemState"])]
    },
}


@pytest.mark.parametrize(
    ("engine", "data", "when", "full", "points"),
    [(*row, full, points) for row in TABLE for full, points in product((False, True), repeat=2)],
)
def test_the_table(engine: str, data: str, when: str, full: bool, points: bool) -> None:
    at = Times((ClockTime.parse("22:00"),))
    spec = GroupSpec(
        site="hq",
        server="s",
        members=tuple(RULES[each] for each in data.split()),
        short_term=ShortTermPolicy(
            Duration.parse("5d"),
            "1h" if when == "interval" else "beforeRecoveryPoint",
            express_full=at if full else None,
            recovery_points=at if points else None,
        ),
    )
    found = sorted(code[-2:] for code, _ in runs_of(spec, engine))
    assert found == sorted(TABLE[engine, data, when][full, points].split())


def test_the_table_is_whole() -> None:
    assert {data for _, data, _ in TABLE} >= set(RULES)
    assert all(len(row) == 4 for row in TABLE.values())
