"""Days that no calendar has are refused at their place; rare ones are taken."""

from __future__ import annotations

import pytest

from reconciler.parse import read_texts

_SITE = """apiVersion: reconciler/v1
kind: Site
metadata: {name: hq}
spec:
  timeZone: Europe/Berlin
  prune: false
  state: {sqlite: {path: s.db}}
  clusters: [{name: c, inventory: {directory: {path: c}}}]
  servers:
    - {name: e, engine: {embedded: {path: e}}, volumes: [{name: v, capacity: 4 TB}]}
    - name: m
      engine: {mabs: {endpoint: e, transport: ntlm, credential: "env:X"}}
      volumes: [{name: v, capacity: 4 TB}]
---
"""
_GROUP = """apiVersion: reconciler/v1
kind: ProtectionGroup
metadata: {name: g}
spec:
  site: hq
  server: e
  members: [{virtualMachines: {cluster: c, names: ["a*"]}}]
  shortTerm:
    retention: 21d
    synchronization: beforeRecoveryPoint
    recoveryPoints: {times: ["08:00"], DAYS}
"""
_DAYS_LINE, _LATER_LINE = 25, 26


@pytest.mark.parametrize(
    ("days", "wrong"),
    [
        ("months: [Feb], daysOfMonth: [30]", "day 30 never comes in Feb"),
        ("months: [Apr, Jun], daysOfMonth: [1, 31]", "day 31 never comes in Apr or Jun"),
        ("months: [Feb], daysOfMonth: [29]", ""),
        ("months: [Feb, Mar], daysOfMonth: [30]", ""),
        ("daysOfMonth: [31]", ""),
    ],
)
def test_days_that_never_come_are_refused_where_they_are_written(days: str, wrong: str) -> None:
    text = _SITE + _GROUP.replace("DAYS", days)
    found = list(read_texts({"policies/all.yaml": text.encode()}, "policies").diagnostics)
    assert [each.message for each in found] == ([wrong] if wrong else [])
    assert all(each.code == "RCL1019" and each.location is not None for each in found)
    assert all(each.location.line == _DAYS_LINE for each in found if each.location is not None)


@pytest.mark.parametrize(
    ("later", "wrong"),
    [("2099-02-30 22:00", True), ("2099-02-29 22:00", True), ("2099-13-01 22:00", True), ("2096-02-29 22:00", False)],
)
def test_a_date_that_does_not_exist_is_refused_where_it_is_written(later: str, wrong: bool) -> None:
    days = 'days: [Su]}\n  replicaCreation: {later: "' + later + '"'
    text = _SITE + _GROUP.replace("DAYS", days).replace("server: e", "server: m")
    found = list(read_texts({"policies/all.yaml": text.encode()}, "policies").diagnostics)
    assert [each.code for each in found] == (["RCL1019"] if wrong else [])
    assert all(each.location is not None and each.location.line == _LATER_LINE for each in found)
