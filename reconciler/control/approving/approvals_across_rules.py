"""Counted: approvals that come with a change of who may approve -> what the state notes of them.

A comparison judges all of a change by the rules from before it. What is done by one comes bit by bit, the site's own
part of it first: so an approval that counts otherwise by the new rules goes on counting as it did by the older ones,
for what is left of that change. Those of a removed approver are not lost by it, and a new one cannot have brought his
own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from reconciler.control.approving.rules import digest
from reconciler.control.approving.valid_approvals import ApprovalContext, judge, open_hashes, settled_guard
from reconciler.model.documents import PolicySet
from reconciler.plan.review.settled_guard import Guard


def still_counting(bench: ApprovalContext, policies: PolicySet, told: Mapping[str, Any]) -> dict[str, Any]:
    """What to note beside `told`, which is to be what was last settled: by id of an approval its digest, and the
    changes for which it counts until all of the change is settled; JSON values."""
    was, now = settled_guard(bench.told), settled_guard(dict(told))
    noted: Mapping[str, Mapping[str, Any]] = (bench.told or {}).get("counted", {})
    same = was is None or now is None or _judges(was) == _judges(now)
    if not noted and same:
        return {}
    left = open_hashes(bench, policies)
    kept = {
        key: {"digest": each["digest"], "changes": sorted(left & {*each["changes"]})} for key, each in noted.items()
    }
    if same:
        return kept
    coming = msgspec.structs.replace(bench, told={**told, "counted": kept})
    before, after = _changes(bench, policies), _changes(coming, policies)
    for spec in (each.document.spec for each in policies.approvals):
        counts = before.get(spec.id, frozenset()) & left
        if spec.id and counts != after.get(spec.id, frozenset()) & left:
            kept[spec.id] = {"digest": digest(spec), "changes": sorted(counts)}
    return kept


def _judges(guard: Guard) -> tuple[object, object]:
    return guard.site.spec.approvals, guard.signers


def _changes(bench: ApprovalContext, policies: PolicySet) -> dict[str, frozenset[str]]:
    """The changes for which each approval counts, by its id."""
    return {each.id: frozenset(each.changes) for each in judge(bench, policies).approvals}
