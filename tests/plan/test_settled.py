"""What of a Site counts as it was last settled: every field that is read where something is decided."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reconciler.model import Direction
from reconciler.model.documents import GuardrailDocument, Metadata, Placed, PolicySet, SiteDocument, SiteSpec
from reconciler.model.encode import decode
from reconciler.plan.approval.change_hashes import AsApplied
from reconciler.plan.review.compare import compare
from reconciler.plan.review.settled_guard import Guard, weigh_guard

SPEC: dict[str, Any] = {
    "timeZone": "Europe/Berlin",
    "prune": False,
    "state": {"sqlite": {"path": "s.db"}},
    "clusters": [{"name": "c", "inventory": {"directory": {"path": "c"}}}],
    "servers": [{"name": "s", "engine": {"embedded": {"path": "s"}}, "volumes": [{"name": "v", "capacity": "1 TB"}]}],
}

#: Field -> another value of it that has to wait: whoever writes it would else decide by it in the same tick.
WAITS: dict[str, Any] = {
    "timeZone": "Pacific/Kiritimati",
    "prune": True,
    "rehearsal": True,
    "state": {"sqlite": {"path": "other.db"}},
    "clusters": [{"name": "c", "inventory": {"directory": {"path": "d"}}}],
    "servers": [{"name": "s", "engine": {"embedded": {"path": "t"}}, "volumes": [{"name": "v", "capacity": "1 TB"}]}],
    "approvals": {"approvers": ["eve@corp.example"]},
    "mail": {"smtp": "s", "from": "f"},
}
#: The same where a value that allows less was settled.
STRICTER: dict[str, tuple[Any, Any]] = {
    "budgets": ({"perDay": {"newMembers": 1}}, {"perDay": {"newMembers": 2}}),
    "changeWindows": ([{"allow": {"from": "01:00", "to": "02:00"}}], []),
}
#: Field -> why a change of it decides nothing.
FREE: dict[str, str] = {"placement": "where a group that has no server yet goes; what has one stays there"}

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{0}"


def _site(labels: dict[str, str] | None = None, **fields: Any) -> SiteDocument:
    document = {
        "apiVersion": "reconciler/v1",
        "kind": "Site",
        "metadata": {"name": "hq", "labels": labels or {}},
        "spec": SPEC | fields,
    }
    return decode(document, SiteDocument)


def _guard(site: SiteDocument, signers: str | None = None, rules: tuple[GuardrailDocument, ...] = ()) -> Guard:
    return Guard(site, rules, signers)


def _signer(number: int) -> str:
    return f"a@corp.example {KEY.format(number)}"


FIELDS = {field.encode_name: field.name for field in msgspec.structs.fields(SiteSpec)}


def test_every_field_of_a_site_is_decided() -> None:
    """Whoever adds a field says here what a change of it does before somebody agreed to it."""
    decided = [*WAITS, *STRICTER, *FREE]
    assert sorted(decided) == sorted(FIELDS)


@pytest.mark.parametrize("name", [*WAITS, *STRICTER])
def test_a_field_counts_as_it_was_settled(name: str) -> None:
    before, after = STRICTER.get(name, (None, WAITS.get(name)))
    old = _site(**{} if before is None else {name: before})
    new = _site(**{name: after})
    weighed = weigh_guard(_guard(old), _guard(new), frozenset())
    (waiting,) = weighed.waiting
    assert waiting.field.field == f"spec.{name}"
    assert getattr(weighed.guard.site.spec, FIELDS[name]) == getattr(old.spec, FIELDS[name])
    agreed = weigh_guard(_guard(old), _guard(new), frozenset({waiting.field.change_hash}))
    assert agreed.guard.site == new
    assert not agreed.waiting


def test_a_label_that_a_guardrail_sees_counts_as_it_was_settled() -> None:
    rule = decode(
        {
            "apiVersion": "reconciler/v1",
            "kind": "Guardrail",
            "metadata": {"name": "g"},
            "spec": {
                "match": {"kinds": ["Site"], "labels": {"tier": "prod"}},
                "validations": [{"expression": "!object.spec.prune", "message": "m"}],
            },
        },
        GuardrailDocument,
    )
    old, new = _site({"tier": "prod"}), _site()
    weighed = weigh_guard(_guard(old, rules=(rule,)), _guard(new, rules=(rule,)), frozenset())
    assert {each.field.field for each in weighed.waiting} == {"guardedBy"}
    assert weighed.guard.site == old


def _signed(path: str | None) -> SiteDocument:
    signers = {} if path is None else {"allowedSigners": path}
    return _site(approvals={"approvers": ["a@corp.example"]} | signers)


@pytest.mark.parametrize("earlier", [None, "policies/old"])
def test_every_line_of_a_file_that_is_named_anew_is_a_signer_added(earlier: str | None) -> None:
    old = _guard(_signed(earlier), _signer(1) + "\n" if earlier else None)
    new = _guard(_signed("policies/new"), f"{_signer(1)}\n{_signer(2)}\n")
    weighed = weigh_guard(old, new, frozenset())
    fields = [each.field for each in weighed.waiting]
    added = [field.after for field in fields if field.field == "signer"]
    assert added == ([_signer(2)] if earlier else [_signer(1), _signer(2)])
    assert weighed.guard == old
    all_of_it = weigh_guard(old, new, frozenset(field.change_hash for field in fields))
    assert all_of_it.guard.site == new.site
    assert (all_of_it.guard.signers or "").split("\n")[:-1] == [_signer(1), _signer(2)]
    path_alone = weigh_guard(old, new, frozenset(f.change_hash for f in fields if f.field == "spec.approvals"))
    assert path_alone.guard.site == new.site
    assert (path_alone.guard.signers or "").split("\n")[:-1] == ([_signer(1)] if earlier else [])


def test_nobody_may_approve_what_he_wrote_any_more_at_once() -> None:
    strict, lax = {"approvers": ["a", "b"]}, {"approvers": ["b", "a"], "selfApproval": True}
    old, new = _guard(_site(approvals=lax)), _guard(_site(approvals=strict))
    assert weigh_guard(old, new, frozenset()).guard == new
    assert weigh_guard(new, old, frozenset()).guard == new


def test_a_signer_less_counts_at_once_though_another_approver_waits() -> None:
    old = _guard(_signed("policies/s"), f"{_signer(1)}\n{_signer(2)}\n")
    rules = {"approvers": ["b@corp.example"], "allowedSigners": "policies/s"}
    new = _guard(_site(approvals=rules), f"{_signer(2)}\n{_signer(3)}\n")
    weighed = weigh_guard(old, new, frozenset())
    assert weighed.guard.site == old.site
    assert weighed.guard.signers == f"{_signer(2)}\n"


def test_a_site_beside_others_is_looked_at_first() -> None:
    """It names what it opens, and its own approvers; before the first one there is nobody to look."""
    hq, branch = _site(), msgspec.structs.replace(_site(), metadata=Metadata("branch"))
    one, two = (
        PolicySet(tuple(Placed(each, AsApplied()) for each in sites), (), ()) for sites in ((hq,), (hq, branch))
    )
    (change,) = compare(one, two)
    assert (change.name, change.direction) == ("branch", Direction.WEAKENS)
    (first,) = compare(PolicySet((), (), ()), one)
    assert first.direction is Direction.NEUTRAL


def _asks(name: str, *expressions: str) -> GuardrailDocument:
    rules = [{"expression": each, "message": "no"} for each in expressions]
    spec = {"match": {"kinds": ["ProtectionGroup"]}, "validations": rules, "enforce": "deny"}
    document = {"apiVersion": "reconciler/v1", "kind": "Guardrail", "metadata": {"name": name}, "spec": spec}
    return decode(document, GuardrailDocument)


def test_a_guardrail_that_waits_asks_for_nothing_in_place_of_another() -> None:
    """One goes since another one asks for its rule now; that one gives up a rule of its own for it, and waits."""
    one, two, other = _asks("a", "1 < 2"), _asks("c", "2 < 3"), _asks("c", "1 < 2")
    settled = _guard(_site(), rules=(one, two))
    waiting = weigh_guard(settled, _guard(_site(), rules=(other,)), frozenset())
    assert {each.name for each in waiting.waiting} == {"a", "c"}
    assert sorted(waiting.guard.guardrails or (), key=lambda each: each.metadata.name) == [one, two]
    (hash_of_c,) = (each.field.change_hash for each in waiting.waiting if each.name == "c")
    agreed = weigh_guard(settled, _guard(_site(), rules=(other,)), frozenset({hash_of_c}))
    assert not agreed.waiting
    assert agreed.guard.guardrails == (other,)


LOOKS = "object.metadata.labels['tier'] == 'prod' && object.spec.timeZone != ''"


def test_an_approval_of_labels_is_for_those_labels() -> None:
    rules = (_looking("Site", LOOKS),)
    before, owner, both = ({"tier": "prod", "owner": "ann"}, {"tier": "prod", "owner": "ben"}, {"tier": "test"})
    settled = _guard(_site(before), rules=rules)
    hashes = [
        {
            field.change_hash
            for each in weigh_guard(settled, _guard(_site(now), rules=rules), frozenset()).waiting
            for field in (each.field,)
        }
        for now in (owner, both)
    ]
    assert all(hashes)
    assert not hashes[0] & hashes[1]


def _looking(kind: str, expression: str) -> GuardrailDocument:
    asked = _asks("r", expression)
    return msgspec.structs.replace(
        asked, spec=msgspec.structs.replace(asked.spec, match=msgspec.structs.replace(asked.spec.match, kinds=(kind,)))
    )
