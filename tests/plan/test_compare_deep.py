"""Every field of every kind that lies within what a rule weighs, lists included, weaker, equal and stronger.

The fields are those of the types, whatever is in them: one that comes without an entry here fails.
"""

from __future__ import annotations

import copy
import types
import typing
from collections.abc import Iterator
from itertools import combinations
from typing import Any, NamedTuple

import msgspec
import pytest

from reconciler.parse.schema import KINDS
from reconciler.plan import compare
from reconciler.plan.review.field_rules import RULES
from tests.plan.test_compare import _base, _set

_HYPERV = {"endpoint": "https://n1:5986", "transport": "kerberos", "credential": "env:A"}
_WINDOW = {"days": ["Mo"], "from": "08:00", "to": "12:00"}
_MEMBER = {"virtualMachines": {"cluster": "c", "names": ["*"]}}
_GUEST = _MEMBER | {"level": "guest"}
_MACHINES = "spec.members[].virtualMachines."

#: The documents that the fields are changed in.
BASES: dict[str, dict[str, Any]] = {
    "Site": {
        "apiVersion": "reconciler/v1",
        "kind": "Site",
        "metadata": {"name": "hq"},
        "spec": {
            "timeZone": "UTC",
            "prune": False,
            "state": {"sqlite": {"path": "a"}},
            "clusters": [
                {
                    "name": "c",
                    "inventory": {"directory": {"path": "a"}},
                    "domain": {"name": "a.example", "relation": "same"},
                    "churn": {"default": "1%/d", "byLabel": [{"labels": {"a": "b"}, "rate": "1%/d"}]},
                }
            ],
            "servers": [
                {
                    "name": "s",
                    "engine": {"embedded": {"path": "s"}},
                    "volumes": [{"name": "v", "capacity": "9 TB"}],
                    "onlineStore": {"folder": {"path": "o"}},
                }
            ],
            "placement": [{"labels": {"a": "b"}, "server": "s"}],
            "approvals": {"approvers": ["a"]},
            "budgets": {"perDay": {"newMembers": 1, "initialReplication": "1 TB", "expiredPoints": 1}},
            "mail": {"smtp": "a", "from": "f"},
            "changeWindows": [{"allow": _WINDOW}],
        },
    },
    "ProtectionGroup": {
        "apiVersion": "reconciler/v1",
        "kind": "ProtectionGroup",
        "metadata": {"name": "gold"},
        "spec": {
            "site": "hq",
            "server": "s",
            "members": [_MEMBER],
            "shortTerm": {"retention": "5d", "synchronization": "1h"},
            "ignore": [{"field": "colocate", "reason": "r", "until": "2027-01-01"}],
        },
    },
}

#: What has to stand at a path (of the nearest of these) before a field below it is set.
FRAMES: dict[str, Any] = {
    "spec.state.postgresql": {"url": "env:A"},
    "spec.clusters[].inventory.hyperv": _HYPERV,
    "spec.clusters[].inventory.snapshot": {"path": "a"},
    "spec.servers[].engine.mabs": _HYPERV,
    "spec.servers[].engine.plugin": {"name": "a"},
    "spec.servers[].onlineStore.azureBlob": {"account": "a", "container": "c", "credential": "env:A"},
    "spec.servers[].onlineStore.s3": {"bucket": "b", "credential": "env:A"},
    "spec.changeWindows[].deny": _WINDOW,
    "spec.members[].hosts": {"cluster": "c", "names": ["*"]},
    "spec.shortTerm.expressFull": {"times": ["20:00"]},
    "spec.shortTerm.recoveryPoints": {"times": ["20:00"]},
    "spec.storage": {"volume": "v"},
    "spec.online.daily": {"keep": "30d", "times": ["20:00"]},
    "spec.online.weekly": {"keep": "8w", "days": ["Sa"]},
    "spec.online.monthly": {"keep": "6mo", "weeks": ["First"], "days": ["Sa"]},
    "spec.online.yearly": {"keep": "2y", "months": ["Jan"], "weeks": ["First"], "days": ["Sa"]},
    "spec.backupWindow": {"from": "18:00", "to": "06:00"},
    "spec.consistencyCheck": {"schedule": {"time": "02:00"}},
    "spec.verification": {"maxAge": "1d"},
    "spec.paused": {"reason": "r", "owner": "o", "until": "2026-12-01"},
}
#: Where the frame is another one for one field.
SPECIAL: dict[str, dict[str, Any]] = {
    "spec.changeWindows[].allow.dates": {"spec.changeWindows[].allow": {"from": "08:00", "to": "12:00"}},
    "spec.changeWindows[].deny.dates": {"spec.changeWindows[].deny": {"from": "08:00", "to": "12:00"}},
    "spec.shortTerm.expressFull.weeks": {"spec.shortTerm.expressFull": {"times": ["20:00"], "days": ["Sa"]}},
    "spec.shortTerm.recoveryPoints.weeks": {"spec.shortTerm.recoveryPoints": {"times": ["20:00"], "days": ["Sa"]}},
    "spec.online.monthly.daysOfMonth": {"spec.online.monthly": {"keep": "6mo"}},
    "spec.online.yearly.daysOfMonth": {"spec.online.yearly": {"keep": "2y", "months": ["Jan"]}},
    **{f"spec.members[].protect.{name}": {"spec.members[]": _GUEST} for name in ("volumes", "paths", "application")},
}
#: Those of which exactly one is written: the other is taken away.
ONE_OF = ("spec.state", "spec.clusters[].inventory", "spec.servers[].engine", "spec.changeWindows[]")


class Weaker(NamedTuple):
    """From the strongest to the weakest; None is "not written"."""

    values: tuple[Any, ...]


class Always(NamedTuple):
    """Any change of one into another weakens."""

    values: tuple[Any, ...]


class Never(NamedTuple):
    """No change of one into another weakens."""

    values: tuple[Any, ...]


def weaker(*values: Any) -> Weaker:
    return Weaker(values)


def always(*values: Any) -> Always:
    return Always(values)


def never(*values: Any) -> Never:
    return Never(values)


_WIDE_TO_NARROW: dict[str, Weaker] = {
    "names": weaker(None, ["a-*"], ["a-1"]),
    "labels": weaker(None, {"app": "sql"}, {"app": "sql", "tier": "gold"}),
    "except": weaker(None, ["a-*"], ["a-*", "b"]),
    "nodes": weaker(None, ["n*"], ["n1"]),
    "volumes": weaker(None, ["v*"], ["v1"]),
    "operatingSystems": weaker(None, ["Windows*"], ["Windows Server 2019"]),
    "replicaRole": weaker(None, "primary"),
}
_RUNS = {
    "times": weaker(["20:00", "22:00"], ["20:00"]),
    "days": weaker(None, ["Mo", "Tu"], ["Mo"]),
    "weeks": weaker(None, ["First", "Third"], ["First"]),
    "months": weaker(None, ["Jan", "Jul"], ["Jan"]),
    "daysOfMonth": weaker([1, 15], [1]),
}
_TRANSPORTS = always("ntlm", "kerberos", "credssp", "certificate")
_PATHS, _SECRETS = always("a", "b"), always("env:A", "env:B")

Told = dict[str, Weaker | Always | Never]
FIELDS: dict[str, Told] = {
    "Site": {
        "spec.state.sqlite.path": _PATHS,
        "spec.state.postgresql.url": _SECRETS,
        "spec.clusters[].name": _PATHS,
        "spec.clusters[].inventory.directory.path": _PATHS,
        "spec.clusters[].inventory.hyperv.endpoint": _PATHS,
        "spec.clusters[].inventory.hyperv.transport": _TRANSPORTS,
        "spec.clusters[].inventory.hyperv.credential": _SECRETS,
        "spec.clusters[].inventory.snapshot.path": _PATHS,
        "spec.clusters[].domain.name": _PATHS,
        "spec.clusters[].domain.relation": always("same", "child", "trusted", "untrusted", "workgroup"),
        "spec.clusters[].churn.default": never("1%/d", "2%/d"),
        "spec.clusters[].churn.byLabel[].labels": never({"a": "b"}, {"a": "c"}),
        "spec.clusters[].churn.byLabel[].rate": never("1%/d", "2%/d"),
        "spec.servers[].name": _PATHS,
        "spec.servers[].engine.embedded.path": _PATHS,
        "spec.servers[].engine.mabs.endpoint": _PATHS,
        "spec.servers[].engine.mabs.transport": _TRANSPORTS,
        "spec.servers[].engine.mabs.credential": _SECRETS,
        "spec.servers[].engine.plugin.name": _PATHS,
        "spec.servers[].engine.plugin.settings": always({}, {"a": 1}, {"a": True}, {"a": [{"b": None}]}),
        "spec.servers[].volumes[].name": _PATHS,
        "spec.servers[].volumes[].capacity": weaker("9 TB", "1 TB"),
        "spec.servers[].agentAuthentication": always("domain", "ntlm", "certificate"),
        "spec.servers[].itemLevelRecovery": weaker(True, None),
        "spec.servers[].throughput": never(None, "1 MB/s", "2 MB/s"),
        "spec.servers[].onlineStore.azureBlob.account": _PATHS,
        "spec.servers[].onlineStore.azureBlob.container": _PATHS,
        "spec.servers[].onlineStore.azureBlob.credential": _SECRETS,
        "spec.servers[].onlineStore.s3.bucket": _PATHS,
        "spec.servers[].onlineStore.s3.credential": _SECRETS,
        "spec.servers[].onlineStore.s3.endpoint": always(None, "a", "b"),
        "spec.servers[].onlineStore.s3.region": always(None, "a", "b"),
        "spec.servers[].onlineStore.folder.path": _PATHS,
        "spec.servers[].onlineStore.encryptionKey": always(None, "env:A", "env:B"),
        "spec.servers[].bin": weaker("9d", None, "1d"),
        "spec.placement[].labels": never({"a": "b"}, {"a": "c"}),
        "spec.placement[].server": never("s", "t"),
        "spec.approvals.approvers": always(["a"], ["a", "b"], ["a", "b", "c"]),
        "spec.approvals.selfApproval": weaker(None, True),
        "spec.approvals.allowedSigners": always("policies/s", None),
        "spec.budgets.perDay.initialReplication": weaker("1 TB", "2 TB", None),
        "spec.budgets.perDay.newMembers": weaker(1, 4, None),
        "spec.budgets.perDay.expiredPoints": weaker(0, 9, None),
        "spec.budgets.shareAtOnce": weaker("5%", "50%", None),
        "spec.budgets.minimumPopulation": weaker(1, 900),
        "spec.mail.smtp": _PATHS,
        "spec.mail.from": never("a", "b"),
        "spec.mail.credential": always(None, "env:A", "env:B"),
        "spec.changeWindows[].allow.days": weaker(["Mo"], ["Mo", "Tu"], None),
        "spec.changeWindows[].allow.dates": weaker(["2026-12-24"], ["2026-12-24", "2026-12-25"], None),
        "spec.changeWindows[].allow.from": weaker("09:00", "08:00", None),
        "spec.changeWindows[].allow.to": weaker("11:00", "12:00", None),
        "spec.changeWindows[].deny.days": weaker(None, ["Mo", "Tu"], ["Mo"]),
        "spec.changeWindows[].deny.dates": weaker(None, ["2026-12-24", "2026-12-25"], ["2026-12-24"]),
        "spec.changeWindows[].deny.from": weaker(None, "08:00", "09:00"),
        "spec.changeWindows[].deny.to": weaker(None, "12:00", "11:00"),
    },
    "ProtectionGroup": {
        _MACHINES + "cluster": _PATHS,
        **{_MACHINES + name: told for name, told in _WIDE_TO_NARROW.items()},
        "spec.members[].hosts.cluster": _PATHS,
        "spec.members[].hosts.names": _WIDE_TO_NARROW["names"],
        "spec.members[].hosts.except": _WIDE_TO_NARROW["except"],
        "spec.members[].level": always("host", "guest"),
        "spec.members[].protect.volumes": always(["C:"], ["D:"]),
        "spec.members[].protect.paths": always(["C:/a"], ["C:/b"]),
        "spec.members[].protect.application": always("sql", "exchange"),
        "spec.members[].storage.volume": never("v", "w"),
        **{
            f"spec.shortTerm.{name}.{field}": told
            for name in ("expressFull", "recoveryPoints")
            for field, told in _RUNS.items()
        },
        "spec.storage.volume": never("v", "w"),
        "spec.online.daily.keep": weaker("60d", "30d"),
        "spec.online.daily.times": _RUNS["times"],
        "spec.online.weekly.keep": weaker("12w", "8w"),
        "spec.online.weekly.days": weaker(["Sa", "Mo"], ["Sa"]),
        "spec.online.weekly.every": weaker(None, 2, 4),
        "spec.online.weekly.times": _RUNS["times"],
        "spec.online.monthly.keep": weaker("12mo", "6mo"),
        "spec.online.monthly.weeks": weaker(["First", "Third"], ["First"]),
        "spec.online.monthly.days": weaker(["Sa", "Su"], ["Sa"]),
        "spec.online.monthly.daysOfMonth": _RUNS["daysOfMonth"],
        "spec.online.monthly.times": _RUNS["times"],
        "spec.online.yearly.keep": weaker("5y", "2y"),
        "spec.online.yearly.months": weaker(["Jan", "Jul"], ["Jan"]),
        "spec.online.yearly.daysOfMonth": _RUNS["daysOfMonth"],
        "spec.online.yearly.weeks": weaker(["First", "Third"], ["First"]),
        "spec.online.yearly.days": weaker(["Sa", "Su"], ["Sa"]),
        "spec.online.yearly.times": _RUNS["times"],
        "spec.backupWindow.from": weaker("18:00", "20:00", "02:00"),
        "spec.backupWindow.to": weaker("08:00", "06:00"),
        "spec.replicaCreation.later": weaker("2026-12-01 22:00", "2099-12-01 22:00"),
        "spec.consistencyCheck.schedule.time": never("02:00", "23:00"),
        "spec.consistencyCheck.schedule.maxHours": weaker(8, 1),
        "spec.verification.maxAge": weaker("1d", "7d"),
        "spec.verification.sample": weaker("100%", "5%"),
        "spec.paused.reason": never("r", "s"),
        "spec.paused.owner": never("o", "p"),
        "spec.paused.until": weaker("2026-12-01", "2027-12-01"),
        "spec.ignore[].field": always("colocate", "displayName"),
        "spec.ignore[].reason": never("r", "s"),
        "spec.ignore[].until": weaker("2027-01-01", "2028-01-01", None),
    },
    "Exclusion": {
        "spec.virtualMachines.cluster": _PATHS,
        **{f"spec.virtualMachines.{name}": weaker(*reversed(told.values)) for name, told in _WIDE_TO_NARROW.items()},
    },
    "Guardrail": {
        "spec.match.kinds": weaker(["Site", "ProtectionGroup"], ["ProtectionGroup"]),
        "spec.match.labels": _WIDE_TO_NARROW["labels"],
        "spec.match.names": _WIDE_TO_NARROW["names"],
        "spec.match.operations": weaker(["create", "update"], ["update"]),
        "spec.validations[].expression": weaker("has(object.spec.a) && true", "has(object.spec.a)"),
        "spec.validations[].message": never("m", "n"),
        "spec.validations[].messageExpression": never("'m'", "'n'"),
    },
    "Approval": {
        "spec.changes": never(["sha256:" + "0" * 64], ["sha256:" + "1" * 64]),
        "spec.approvedBy": never("a", "b"),
        "spec.reason": never("a", "b"),
        "spec.until": never("2026-12-01", "2027-12-01"),
        "spec.ceilings.expiredPoints": never(1, 2),
        "spec.signature": never(None, "s"),
        "spec.id": never("0" * 32, "1" * 32),
        "spec.site": never("hq", "branch"),
    },
}


# --- The fields, as the types have them ------------------------------------------------------------------------


def _structs(hint: Any) -> Iterator[tuple[type, str]]:
    """The structs that a field can hold, each with [] where it is a list of them."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for each in typing.get_args(hint):
            yield from _structs(each)
    elif typing.get_origin(hint) is tuple:
        yield from ((kind, "[]" + mark) for kind, mark in _structs(typing.get_args(hint)[0]))
    elif isinstance(hint, type) and issubclass(hint, msgspec.Struct) and msgspec.structs.fields(hint):
        yield hint, ""


def _leaves(kind: type, path: str = "") -> Iterator[str]:
    hints = typing.get_type_hints(kind)
    for field in msgspec.structs.fields(kind):
        here = f"{path}.{field.encode_name}".lstrip(".")
        found = list(_structs(hints[field.name]))
        if not found:
            yield here
        for inner, mark in found:
            yield from _leaves(inner, here + mark)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_field_within_a_rule_is_in_the_table(kind: str) -> None:
    rules = {rule.path for rule in RULES[kind]} | {"apiVersion", "kind", "metadata.name"}
    assert set(FIELDS.get(kind, {})) == {leaf for leaf in _leaves(KINDS[kind]) if leaf not in rules}


# --- Each taken through ----------------------------------------------------------------------------------------


def _put(plain: Any, path: str, value: Any) -> None:
    *steps, last = path.replace("[]", ".[]").split(".")
    for step, following in zip(steps, [*steps[1:], last], strict=True):
        plain = plain[0] if step == "[]" else plain.setdefault(step, [{}] if following == "[]" else {})
    if value is None:
        plain.pop(last, None)
    elif last == "[]":
        plain[0] = value
    else:
        plain[last] = value


def _document(kind: str, path: str, value: Any) -> dict[str, Any]:
    plain = copy.deepcopy(BASES[kind]) if kind in BASES else _base(kind)
    frames = SPECIAL.get(path) or {at: frame for at, frame in FRAMES.items() if path.startswith((f"{at}.", f"{at}["))}
    if kind in BASES:
        for at, frame in frames.items():
            holder = at.rpartition(".")[0]
            if holder in ONE_OF or at == "spec.members[].hosts" or holder.endswith("onlineStore"):
                _put(plain, holder, {})
            _put(plain, at, copy.deepcopy(frame))
    _put(plain, path, value)
    return plain


CASES = [
    (kind, path, before, after, isinstance(told, Always) or (isinstance(told, Weaker) and worse))
    for kind, fields in FIELDS.items()
    for path, told in fields.items()
    for worse, pairs in (
        (True, combinations(told.values, 2)),
        (False, [(b, a) for a, b in combinations(told.values, 2)]),
    )
    for before, after in pairs
]


@pytest.mark.parametrize(("kind", "path", "before", "after", "weaker_then"), CASES)
def test_each_is_taken_through(kind: str, path: str, before: Any, after: Any, weaker_then: bool) -> None:
    old, new = _set(kind, _document(kind, path, before)), _set(kind, _document(kind, path, after))
    (change,) = compare(old, new)
    assert change.direction.needs_consent is weaker_then
    assert compare(new, new) == ()
