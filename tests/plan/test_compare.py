"""Comparing documents: every field has a rule, and every rule weighs as it is written down here."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reconciler.model import Direction
from reconciler.model.comparison import DocumentChange, DocumentVerb
from reconciler.model.documents import Placed, PolicySet
from reconciler.parse.load import load
from reconciler.parse.schema import KINDS
from reconciler.parse.validate import typed
from reconciler.plan import compare
from reconciler.plan.review.field_rules import RULES
from tests.worlds import Nowhere

WHOLE = Path(__file__).parent.parent / "parse" / "whole.yaml"
_SETS = {
    "Site": "sites",
    "ProtectionGroup": "groups",
    "Exclusion": "exclusions",
    "Preset": "presets",
    "Guardrail": "guardrails",
    "Approval": "approvals",
}
_VM = {"cluster": "hci-01"}


def _rule(**selector: Any) -> dict[str, Any]:
    return {"virtualMachines": _VM | selector}


#: Field -> values from the strongest to the weakest; None is "not written".
LADDERS: dict[tuple[str, str], list[Any]] = {
    ("ProtectionGroup", "spec.members"): [
        [_rule(names=["*"])],
        [_rule(names=["sql-*", "web-?"])],
        [_rule(names=["sql-*"])],
        [_rule(names=["sql-*"], labels={"app": "sql"})],
        [_rule(names=["sql-*"], labels={"app": "sql"}, nodes=["n*"])],
        [_rule(names=["sql-*"], labels={"app": "sql"}, nodes=["n1"], **{"except": ["sql-test-*"]})],
        [_rule(names=["sql-1"], labels={"app": "sql"}, nodes=["n1"], **{"except": ["sql-*-x", "sql-test-*"]})],
    ],
    ("ProtectionGroup", "spec.shortTerm.retention"): ["448d", "30d", "2w", "5d"],
    ("ProtectionGroup", "spec.shortTerm.minimumPoints"): [30, 5, None],
    ("ProtectionGroup", "spec.shortTerm.rpo"): ["1h", "2h", "1d"],
    ("ProtectionGroup", "spec.shortTerm.synchronization"): ["15min", "1h", "24h", "beforeRecoveryPoint"],
    ("ProtectionGroup", "spec.shortTerm.expressFull"): [
        {"times": ["20:00", "22:00"]},
        {"times": ["20:00"]},
        {"times": ["20:00"], "days": ["Sa"]},
        {"times": ["20:00"], "days": ["Sa", "Su"], "weeks": ["First", "Third"]},
        {"times": ["20:00"], "days": ["Sa"], "weeks": ["First"]},
        {"times": ["20:00"], "days": ["Sa", "Su"], "weeks": ["First"], "months": ["Jan", "Feb", "Mar"]},
        None,
    ],
    ("ProtectionGroup", "spec.shortTerm.recoveryPoints"): [
        {"times": ["20:00"], "days": ["Mo", "Tu"]},
        {"times": ["20:00"], "days": ["Mo"]},
        {"times": ["20:00"], "daysOfMonth": [1, 15]},
        {"times": ["20:00"], "daysOfMonth": [1]},
    ],
    ("ProtectionGroup", "spec.online.daily"): [
        {"keep": "60d", "times": ["22:00", "23:00"]},
        {"keep": "60d", "times": ["23:00"]},
        {"keep": "30d", "times": ["23:00"]},
        None,
    ],
    ("ProtectionGroup", "spec.online.weekly"): [
        {"keep": "12w", "days": ["Sa", "Mo"]},
        {"keep": "12w", "days": ["Sa"]},
        {"keep": "12w", "days": ["Sa"], "every": 2},
        {"keep": "4w", "days": ["Sa"], "every": 2},
        None,
    ],
    ("ProtectionGroup", "spec.online.monthly"): [
        {"keep": "12mo", "daysOfMonth": [1, 15]},
        {"keep": "12mo", "weeks": ["First"], "days": ["Sa"]},
        {"keep": "3mo", "daysOfMonth": [1]},
        None,
    ],
    ("ProtectionGroup", "spec.online.yearly"): [
        {"keep": "5y", "months": ["Jan", "Jul"], "daysOfMonth": [2]},
        {"keep": "5y", "months": ["Jan"], "daysOfMonth": [2]},
        {"keep": "1y", "months": ["Jan"], "daysOfMonth": [2]},
        None,
    ],
    ("ProtectionGroup", "spec.backupWindow"): [
        None,
        {"from": "18:00", "to": "06:00"},
        {"from": "20:00", "to": "06:00"},
        {"from": "02:00", "to": "06:00"},
        {"from": "02:00", "to": "03:00"},
    ],
    ("ProtectionGroup", "spec.consistencyCheck.whenInconsistent"): [True, False],
    ("ProtectionGroup", "spec.consistencyCheck.schedule"): [
        {"time": "02:00", "maxHours": 8},
        {"time": "23:00"},
        {"time": "02:00", "maxHours": 1},
        None,
    ],
    ("ProtectionGroup", "spec.colocate"): [None, True],
    ("ProtectionGroup", "spec.replicaCreation"): [
        "now",
        {"later": "2026-12-01 22:00"},
        {"later": "2099-12-01 22:00"},
        "manual",
    ],
    ("ProtectionGroup", "spec.verification"): [
        {"maxAge": "1d"},
        {"maxAge": "7d"},
        {"maxAge": "7d", "sample": "5%"},
        None,
    ],
    ("ProtectionGroup", "spec.existingPoints"): ["keepForever", None, "expireNow"],
    ("ProtectionGroup", "spec.deletionProtection"): [True, None],
    ("ProtectionGroup", "spec.paused"): [
        None,
        {"reason": "r", "owner": "o", "until": "2026-12-01"},
        {"reason": "r", "owner": "o", "until": "2027-12-01"},
    ],
    ("ProtectionGroup", "spec.ignore"): [
        None,
        [{"field": "colocate", "reason": "r", "until": "2027-01-01"}],
        [{"field": "colocate", "reason": "r"}],
        [{"field": "colocate", "reason": "r"}, {"field": "displayName", "reason": "r"}],
    ],
    ("Exclusion", "spec.virtualMachines"): [
        _VM | {"names": ["a-1"], "except": ["a-2"]},
        _VM | {"names": ["a-?"]},
        _VM | {"names": ["a-*"]},
        _VM | {"names": ["*"]},
    ],
    ("Exclusion", "spec.until"): ["2026-12-01", "2027-01-01", "2030-01-01"],
    ("Site", "spec.rehearsal"): [None, True],
    ("Site", "spec.prune"): [False, True],
    ("Site", "spec.servers"): [
        [
            {
                "name": "s",
                "engine": {"embedded": {"path": "s"}},
                "volumes": [{"name": "v", "capacity": "9 TB"}],
                "bin": "9d",
            }
        ],
        [
            {
                "name": "s",
                "engine": {"embedded": {"path": "s"}},
                "volumes": [{"name": "v", "capacity": "9 TB"}],
                "bin": "1d",
            }
        ],
        [
            {
                "name": "s",
                "engine": {"embedded": {"path": "s"}},
                "volumes": [{"name": "v", "capacity": "1 TB"}],
                "bin": "1d",
            }
        ],
    ],
    ("Site", "spec.budgets"): [
        {"perDay": {"newMembers": 1, "initialReplication": "1 TB", "expiredPoints": 0}, "shareAtOnce": "5%"},
        {"perDay": {"newMembers": 1, "initialReplication": "1 TB", "expiredPoints": 9}, "shareAtOnce": "5%"},
        {"perDay": {"newMembers": 1, "initialReplication": "2 TB", "expiredPoints": 9}, "shareAtOnce": "5%"},
        {"perDay": {"newMembers": 4, "initialReplication": "2 TB", "expiredPoints": 9}, "shareAtOnce": "5%"},
        {"perDay": {"newMembers": 4, "initialReplication": "2 TB", "expiredPoints": 9}, "shareAtOnce": "50%"},
        {"perDay": {"newMembers": 4, "expiredPoints": 9}, "shareAtOnce": "50%"},
        {"shareAtOnce": "50%"},
        {"shareAtOnce": "50%", "minimumPopulation": 6},
        {"minimumPopulation": 7},
    ],
    ("Site", "spec.changeWindows"): [
        [{"allow": {"days": ["Mo"], "from": "08:00", "to": "09:00"}}],
        [{"allow": {"days": ["Mo"], "from": "08:00", "to": "12:00"}}],
        [{"allow": {"days": ["Mo", "Tu"], "from": "08:00", "to": "06:00"}}],
        [{"deny": {"days": ["Fr"]}}, {"deny": {"dates": ["2026-12-24"], "from": "18:00", "to": "06:00"}}],
        [{"deny": {"days": ["Fr"]}}],
        [{"deny": {"days": ["Fr"], "from": "12:00"}}],
        [],
    ],
    ("Guardrail", "spec.match"): [
        {"kinds": ["Site", "ProtectionGroup"]},
        {"kinds": ["ProtectionGroup"]},
        {"kinds": ["ProtectionGroup"], "labels": {"tier": "gold"}},
        {"kinds": ["ProtectionGroup"], "labels": {"tier": "gold"}, "names": ["a-*", "b"]},
        {"kinds": ["ProtectionGroup"], "labels": {"tier": "gold"}, "names": ["a-1"]},
    ],
    ("Guardrail", "spec.validations"): [
        [{"expression": "has(object.spec.a) && size(object.spec.b) > 1"}, {"expression": "true"}],
        [{"expression": "has(object.spec.a)"}, {"expression": "size(object.spec.b) > 1", "message": "m"}],
        [{"expression": "size(object.spec.b) > 1"}],
    ],
    ("Guardrail", "spec.enforce"): ["deny", "approve", "warn"],
}

#: Field -> values of which any change of one into another weakens.
ALWAYS: dict[tuple[str, str], list[Any]] = {
    ("ProtectionGroup", "spec.site"): ["hq", "branch"],
    ("ProtectionGroup", "spec.server"): ["mabs-01", "mabs-02"],
    ("Exclusion", "spec.site"): ["hq", "branch"],
    ("Site", "spec.state"): [{"sqlite": {"path": "a"}}, {"sqlite": {"path": "b"}}],
    ("Site", "spec.timeZone"): ["UTC", "Europe/Berlin"],
    ("Site", "spec.approvals"): [
        None,
        {"approvers": ["a", "b"]},
        {"approvers": ["a"]},
        {"approvers": ["a", "b"], "allowedSigners": "policies/s"},
        {"approvers": ["a", "b"], "allowedSigners": "policies/t"},
    ],
    ("Site", "spec.mail"): [None, {"smtp": "s", "from": "f"}, {"smtp": "s", "from": "f", "credential": "env:X"}],
    ("Site", "spec.clusters"): [
        [{"name": "a", "inventory": {"directory": {"path": "a"}}}],
        [{"name": "a", "inventory": {"directory": {"path": "b"}}}],
        [{"name": n, "inventory": {"directory": {"path": "a"}}} for n in ("a", "b")],
    ],
    ("Guardrail", "spec.params"): [{"least": "1h"}, {"least": "2h"}],
}

#: Field -> values of which any change of one into another is neutral.
NEVER: dict[tuple[str, str], list[Any]] = {
    **{(kind, "metadata.labels"): [{}, {"a": "b"}] for kind in KINDS},
    ("ProtectionGroup", "extends"): [["workdays"], None],
    ("ProtectionGroup", "spec.renamedFrom"): [None, ["older"]],
    ("ProtectionGroup", "spec.storage"): [None, {"volume": "vol-a"}, {"volume": "vol-b"}],
    ("ProtectionGroup", "spec.displayName"): ["A", "B"],
    ("Exclusion", "spec.reason"): ["a", "b"],
    ("Exclusion", "spec.owner"): ["a", "b"],
    ("Site", "spec.placement"): [[], [{"labels": {"a": "b"}, "server": "mabs-01"}]],
    ("Preset", "for"): ["ProtectionGroup"],
    ("Preset", "spec"): [{"colocate": True}, {"colocate": False}],
    ("Approval", "spec"): [],
}


def _base(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_whole()[kind])
    return found


@lru_cache(maxsize=1)
def _whole() -> dict[str, str]:
    documents, _ = load("whole.yaml", WHOLE.read_bytes())
    plain = [document.root.plain() for document in documents]
    return {each["kind"]: json.dumps(each, default=str) for each in reversed(plain)}


def _with(kind: str, path: str, value: Any) -> PolicySet:
    plain = node = _base(kind)
    *steps, last = path.split(".")
    for step in steps:
        node = node.setdefault(step, {})
    if value is None:
        node.pop(last, None)
    else:
        node[last] = value
    return _set(kind, plain)


def _set(kind: str, *plain: dict[str, Any]) -> PolicySet:
    placed = tuple(Placed(typed(each, kind), Nowhere("x.yaml")) for each in plain)
    return msgspec.structs.replace(PolicySet((), (), ()), **{_SETS[kind]: placed})


def _direction(kind: str, path: str, before: Any, after: Any) -> tuple[Direction, Direction]:
    """Of the field, and of the whole document."""
    changes = compare(_with(kind, path, before), _with(kind, path, after))
    (change,) = changes
    (field,) = [each for each in change.fields if each.field == path]
    assert field.change_hash.startswith("sha256:")
    return field.direction, change.direction


def _pairs(table: dict[tuple[str, str], list[Any]]) -> Iterator[tuple[str, str, Any, Any]]:
    for (kind, path), values in table.items():
        for first, second in combinations(values, 2):
            yield kind, path, first, second


WEAKER = [*_pairs(LADDERS), *_pairs(ALWAYS), *((k, p, b, a) for k, p, a, b in _pairs(ALWAYS))]
NOT_WEAKER = [*((k, p, b, a) for k, p, a, b in _pairs(LADDERS)), *_pairs(NEVER)]


def test_there_are_enough_of_both() -> None:
    assert len(WEAKER) >= 60
    assert len(NOT_WEAKER) >= 60


@pytest.mark.parametrize(("kind", "path", "before", "after"), WEAKER)
def test_every_weakening_is_stopped(kind: str, path: str, before: Any, after: Any) -> None:
    field, whole = _direction(kind, path, before, after)
    assert field.needs_consent
    assert whole.needs_consent


@pytest.mark.parametrize(("kind", "path", "before", "after"), NOT_WEAKER)
def test_nothing_else_is_stopped(kind: str, path: str, before: Any, after: Any) -> None:
    field, whole = _direction(kind, path, before, after)
    assert not field.needs_consent
    assert not whole.needs_consent


# --- Every field has a rule ------------------------------------------------------------------------------------


def _leaves(kind: type, path: tuple[str, ...] = ()) -> Iterator[str]:
    hints = typing.get_type_hints(kind)
    for field in msgspec.structs.fields(kind):
        here = (*path, field.encode_name)
        inner = _struct(hints[field.name])
        if inner is None:
            yield ".".join(here)
        else:
            yield from _leaves(inner, here)


def _struct(hint: Any) -> type | None:
    """The struct that a field holds directly; a list of them is a leaf."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        found = [each for each in typing.get_args(hint) if each is not type(None)]
        hint = found[0] if len(found) == 1 else None
    return hint if isinstance(hint, type) and issubclass(hint, msgspec.Struct) else None


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_field_has_one_rule(kind: str) -> None:
    rules = [rule.path for rule in RULES[kind]]
    assert len(set(rules)) == len(rules)
    for leaf in _leaves(KINDS[kind]):
        if leaf in ("apiVersion", "kind", "metadata.name"):
            continue
        covering = [rule for rule in rules if leaf == rule or leaf.startswith(f"{rule}.")]
        assert len(covering) == 1, f"{kind} {leaf}: write a rule in plan/review/field_rules.py"


def test_every_rule_is_in_one_of_the_tables() -> None:
    tabled = [*LADDERS, *ALWAYS, *NEVER]
    assert len(set(tabled)) == len(tabled)
    assert set(tabled) == {(kind, rule.path) for kind, rules in RULES.items() for rule in rules}


# --- What stands in lists, as a whole; its fields are in test_compare_deep.py --------------------------------------

_CLUSTER = {"name": "c", "inventory": {"directory": {"path": "a"}}}
_SERVER = {"name": "s", "engine": {"embedded": {"path": "s"}}, "volumes": [{"name": "v", "capacity": "9 TB"}]}
_STORED = _SERVER | {"onlineStore": {"s3": {"bucket": "b", "credential": "env:A"}}}
#: What comes or is another one -> (path of the rule, before, after).
WHOLE_ONES: dict[str, tuple[str, Any, Any]] = {
    "a cluster": ("clusters", [_CLUSTER], [_CLUSTER, _CLUSTER | {"name": "d"}]),
    "another inventory": ("clusters", [_CLUSTER], [_CLUSTER | {"inventory": {"snapshot": {"path": "a"}}}]),
    "a domain": ("clusters", [_CLUSTER], [_CLUSTER | {"domain": {"name": "a.example", "relation": "same"}}]),
    "a server": ("servers", [_SERVER], [_SERVER, _SERVER | {"name": "t"}]),
    "another volume": ("servers", [_SERVER], [_SERVER | {"volumes": [{"name": "w", "capacity": "99 TB"}]}]),
    "an online store": ("servers", [_SERVER], [_STORED]),
}


@pytest.mark.parametrize("name", WHOLE_ONES)
def test_what_comes_or_goes_in_a_site(name: str) -> None:
    path, before, after = WHOLE_ONES[name]
    assert _direction("Site", f"spec.{path}", before, after)[1].needs_consent
    assert _direction("Site", f"spec.{path}", after, before)[1].needs_consent


# --- Guardrails that are moved, and what they read -----------------------------------------------------------------


def _guardrail(name: str, *expressions: str, **spec: Any) -> dict[str, Any]:
    plain = _base("Guardrail")
    plain["metadata"] = {"name": name}
    rules = [{"expression": each} for each in expressions]
    plain["spec"] = {"match": {"kinds": ["ProtectionGroup"]}, "validations": rules, "enforce": "deny"} | spec
    return plain


SPLIT = [
    ([_guardrail("a", "x && y")], [_guardrail("a", "x"), _guardrail("b", "y")], False),
    ([_guardrail("a", "x", "y")], [_guardrail("b", "y"), _guardrail("c", "x")], False),
    ([_guardrail("a", "x && y")], [_guardrail("a", "x"), _guardrail("b", "y", enforce="warn")], True),
    ([_guardrail("a", "x && y")], [_guardrail("a", "x"), _guardrail("b", "y", params={"p": 1})], True),
    ([_guardrail("a", "x && y")], [_guardrail("a", "x && y || z")], True),
    ([_guardrail("a", "x")], [_guardrail("a", "x || y && x")], True),
    ([_guardrail("a", "x")], [_guardrail("a", "true ? true : z && x")], True),
    ([_guardrail("a", "x")], [_guardrail("a", "true // && x")], True),
    ([_guardrail("a", "x")], [_guardrail("a", "'&& x' != 'b'")], True),
    ([_guardrail("a", "x")], [_guardrail("a", '"""" && x && """" != ""')], True),
    ([_guardrail("a", "x")], [_guardrail("a", "(true || y && x)")], True),
    ([_guardrail("a", "x")], [_guardrail("a", "x", match={"kinds": ["ProtectionGroup"], "names": ["none"]})], True),
    (
        [_guardrail("a", "x")],
        [_guardrail("a", "x", match={"kinds": ["ProtectionGroup"], "operations": ["update"]})],
        True,
    ),
]


@pytest.mark.parametrize(("before", "after", "weaker"), SPLIT)
def test_a_rule_may_be_cut_in_two_and_no_more(before: list[Any], after: list[Any], weaker: bool) -> None:
    changes = compare(_set("Guardrail", *before), _set("Guardrail", *after))
    assert any(change.direction.needs_consent for change in changes) is weaker


@pytest.mark.parametrize(
    ("expression", "weaker"),
    [("object.metadata.labels['tier'] != 'gold' || size(object.spec.members) > 0", True), ("true", False)],
)
def test_a_label_that_a_guardrail_reads(expression: str, weaker: bool) -> None:
    old, new = _base("ProtectionGroup"), _base("ProtectionGroup")
    new["metadata"]["labels"] = {"tier": "tin"}
    guards = _set("Guardrail", _guardrail("a", expression)).guardrails
    before = msgspec.structs.replace(_set("ProtectionGroup", old), guardrails=guards)
    after = msgspec.structs.replace(_set("ProtectionGroup", new), guardrails=guards)
    (change,) = compare(before, after)
    assert change.direction.needs_consent is weaker


def test_a_field_that_weakens_nothing_and_that_a_guardrail_reads() -> None:
    """What the rule says may turn with it; an approval is for these words alone."""
    expression = "!object.spec.displayName.startsWith('Prod') || object.spec.shortTerm.retention >= duration('168h')"
    guards = _set("Guardrail", _guardrail("a", expression)).guardrails
    older, hashes = _named_as("Prod SQL", guards), set()
    for name in ("SQL Prod", "Lab"):
        (change,) = compare(older, _named_as(name, guards))
        assert change.direction is Direction.WEAKENS
        (read,) = (field for field in change.fields if field.field == "readBy")
        hashes.add(read.change_hash)
    assert len(hashes) == 2
    (free,) = compare(_named_as("Prod SQL", ()), _named_as("Lab", ()))
    assert free.direction is Direction.NEUTRAL


def _named_as(name: str, guards: Any) -> PolicySet:
    document = _base("ProtectionGroup")
    document["spec"]["displayName"] = name
    return msgspec.structs.replace(_set("ProtectionGroup", document), guardrails=guards)


# --- Documents -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(KINDS))
def test_nothing_differs_from_itself(kind: str) -> None:
    assert compare(_set(kind, _base(kind)), _set(kind, _base(kind))) == ()


@pytest.mark.parametrize(
    ("kind", "created", "removed"),
    [
        ("ProtectionGroup", Direction.STRENGTHENS, Direction.WEAKENS),
        ("Exclusion", Direction.WEAKENS, Direction.STRENGTHENS),
        ("Guardrail", Direction.STRENGTHENS, Direction.WEAKENS),
        ("Site", Direction.NEUTRAL, Direction.WEAKENS),
        ("Preset", Direction.NEUTRAL, Direction.NEUTRAL),
        ("Approval", Direction.NEUTRAL, Direction.NEUTRAL),
    ],
)
def test_documents_that_come_and_go(kind: str, created: Direction, removed: Direction) -> None:
    nothing, one = PolicySet((), (), ()), _set(kind, _base(kind))
    assert [each.direction for each in compare(nothing, one)] == [created]
    assert [each.direction for each in compare(one, nothing)] == [removed]


def test_a_group_whose_points_would_be_destroyed() -> None:
    (gone,) = compare(_with("ProtectionGroup", "spec.existingPoints", "expireNow"), PolicySet((), (), ()))
    assert gone.direction is Direction.DESTROYS


def test_a_renamed_group_is_one_group() -> None:
    old, new = _base("ProtectionGroup"), _base("ProtectionGroup")
    new["metadata"]["name"] = "platinum-vms"
    new["spec"]["renamedFrom"] = ["gold-vms"]
    (change,) = compare(_set("ProtectionGroup", old), _set("ProtectionGroup", new))
    assert (change.verb, change.formerly, change.direction) == (DocumentVerb.RENAMED, "gold-vms", Direction.NEUTRAL)


@pytest.mark.parametrize("path", ["spec.server", "spec.site"])
@pytest.mark.parametrize("existing", ["retain", "keepForever", "expireNow"])
@pytest.mark.parametrize("later", ["retain", "expireNow"])
def test_a_group_that_moves_does_what_stopping_it_does(path: str, existing: str, later: str) -> None:
    """It is stopped as it was applied where it was, whatever its document says by now."""
    old, new = _base("ProtectionGroup"), _base("ProtectionGroup")
    old["spec"]["existingPoints"], new["spec"]["existingPoints"] = existing, later
    new["spec"][path.partition(".")[2]] = "another"
    (change,) = compare(_set("ProtectionGroup", old), _set("ProtectionGroup", new))
    (field,) = (each for each in change.fields if each.field == path)
    assert field.direction is (Direction.DESTROYS if existing == "expireNow" else Direction.WEAKENS)
    assert field.note.endswith(f"; existing points: {existing}")


def test_a_group_that_slips_out_of_a_guardrail() -> None:
    guardrail, old, new = _base("Guardrail"), _base("ProtectionGroup"), _base("ProtectionGroup")
    guardrail["spec"]["match"] = {"kinds": ["ProtectionGroup"], "labels": {"tier": "gold"}}
    new["metadata"]["labels"] = {"tier": "tin"}

    def policies(group: dict[str, Any]) -> PolicySet:
        guards = _set("Guardrail", guardrail).guardrails
        return msgspec.structs.replace(_set("ProtectionGroup", group), guardrails=guards)

    (change,) = compare(policies(old), policies(new))
    assert change.direction is Direction.WEAKENS
    assert [field.field for field in change.fields] == ["metadata.labels", "guardedBy"]


def test_a_hash_is_of_what_is_written_alone() -> None:
    first = compare(
        _with("ProtectionGroup", "spec.shortTerm.retention", "14d"),
        _with("ProtectionGroup", "spec.shortTerm.retention", "7d"),
    )
    again = compare(
        _with("ProtectionGroup", "spec.shortTerm.retention", "2w"),
        _with("ProtectionGroup", "spec.shortTerm.retention", "1w"),
    )
    other = compare(
        _with("ProtectionGroup", "spec.shortTerm.retention", "14d"),
        _with("ProtectionGroup", "spec.shortTerm.retention", "6d"),
    )

    def hashes(changes: tuple[DocumentChange, ...]) -> list[str]:
        return [field.change_hash for change in changes for field in change.fields]

    assert hashes(first) == hashes(again) != hashes(other)
