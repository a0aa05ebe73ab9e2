"""The quick check and jsonschema agree; what is decoded encodes to the same; presets merge as documented."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.encode import encode
from reconciler.parse import read_policies
from reconciler.parse.load import load
from reconciler.parse.nodes import Node, merge
from reconciler.parse.schema import KINDS
from reconciler.parse.validate import _validator, typed, validate
from reconciler.parse.write import yaml_text
from tests.parse.test_bad_documents import SITE

ROOT = Path(__file__).parent.parent.parent

#: One document of each kind that uses many fields: what mutations start from.
WHOLE: list[dict[str, Any]] = list(
    yaml.load_all((Path(__file__).parent / "whole.yaml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
)


def _loaded() -> list[dict[str, Any]]:
    documents, wrong = load("whole.yaml", (Path(__file__).parent / "whole.yaml").read_bytes())
    assert not wrong
    return [document.root.plain() for document in documents]


def test_the_whole_language_is_decoded() -> None:
    assert {document["kind"] for document in WHOLE} == set(KINDS)
    for plain in _loaded():
        assert not list(_validator(plain["kind"]).iter_errors(plain))
        assert typed(plain, plain["kind"])


def test_what_is_decoded_encodes_to_the_same() -> None:
    for plain in _loaded():
        value = typed(plain, plain["kind"])
        (document,), wrong = load("again.yaml", yaml_text(encode(value)).encode())
        assert not wrong
        again, found = validate(document, plain["kind"])
        assert not found
        assert again == value


_ODD = st.sampled_from([None, True, False, 0, -1, 3.5, "", "x", "22:00", "5d", "2026-02-30", [], ["a"], {}, {"a": 1}])


@st.composite
def _mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A document with one to three values replaced, removed or added somewhere."""
    plain: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(_loaded()))))
    for _ in range(draw(st.integers(1, 3))):
        node: Any = plain
        while isinstance(node, dict | list) and node:
            keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = draw(st.sampled_from(keys))
            child = node[key]
            if not isinstance(child, dict | list) or draw(st.integers(0, 3)) == 0:
                match draw(st.integers(0, 2)):
                    case 0:
                        node[key] = deepcopy(draw(_ODD))
                    case 1:
                        del node[key]
                    case _ if isinstance(node, dict):
                        node[draw(st.sampled_from(["extra", "name", "labels"]))] = deepcopy(draw(_ODD))
                    case _:
                        node.append(deepcopy(draw(_ODD)))
                break
            node = child
    return plain


@given(_mutated())
def test_the_quick_check_never_passes_what_jsonschema_refuses(plain: dict[str, Any]) -> None:
    text = json.dumps(plain)
    (document,), wrong = load("x.yaml", text.encode())
    kind = plain.get("kind")
    if wrong or not isinstance(kind, str) or kind not in KINDS:
        return
    value, found = validate(document, kind)
    refused = list(_validator(kind).iter_errors(plain))
    if value is not None:
        assert not refused
        (again,), mistakes = load("again.yaml", yaml_text(encode(value)).encode())
        assert not mistakes
        assert validate(again, kind) == (value, [])
    else:
        assert found
        assert all(each.location is not None and each.remedy for each in found)


def test_a_group_gets_what_its_presets_say(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "site.yaml").write_text(SITE)
    (tmp_path / "policies" / "presets.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: Preset\nmetadata: {name: a}\nfor: ProtectionGroup\n"
        "spec: {shortTerm: {retention: 7d, minimumPoints: 5}, consistencyCheck: {whenInconsistent: true}}\n---\n"
        "apiVersion: reconciler/v1\nkind: Preset\nmetadata: {name: b}\nfor: ProtectionGroup\n"
        "spec: {shortTerm: {retention: 14d, synchronization: 2h}}\n"
    )
    (tmp_path / "policies" / "group.yaml").write_text(
        "apiVersion: reconciler/v1\nkind: ProtectionGroup\nmetadata: {name: g}\nextends: [a, b]\nspec:\n"
        "  site: hq\n  server: mabs-01\n  members: [{virtualMachines: {cluster: hci-01, names: [x]}}]\n"
        "  shortTerm: {synchronization: 4h}\n"
    )
    reading = read_policies(tmp_path)
    assert reading.policies is not None, reading.diagnostics
    (group,) = reading.policies.groups
    term = group.document.spec.short_term
    assert (str(term.retention), term.synchronization, term.minimum_points) == ("14d", "4h", 5)
    assert group.document.spec.consistency_check.when_inconsistent
    assert str(group.positions.at("spec", "shortTerm", "retention")) == "policies/presets.yaml:11:31"
    assert str(group.positions.at("spec", "shortTerm", "synchronization")) == "policies/group.yaml:9:32"


#: Trees in which a name is a mapping everywhere or nowhere: upper case is one.
_trees: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.just({}),
    lambda inner: st.fixed_dictionaries(
        {}, optional={"A": inner, "B": inner, "c": st.integers(), "d": st.lists(st.integers(), max_size=2)}
    ),
    max_leaves=12,
)


def _node(value: Any) -> Node:
    node = Node(value if not isinstance(value, dict | list) else None, "f", 1, 1)
    if isinstance(value, dict):
        node.children = {key: _node(each) for key, each in value.items()}
    elif isinstance(value, list):
        node.children = [_node(each) for each in value]
    return node


@given(_trees, _trees, _trees)
def test_merging_is_associative(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    one, two, three = _node(a), _node(b), _node(c)
    assert merge(merge(one, two), three).plain() == merge(one, merge(two, three)).plain()


@given(_trees, _trees)
def test_merging_keeps_everything_and_the_later_wins(a: dict[str, Any], b: dict[str, Any]) -> None:
    def expected(base: Any, over: Any) -> Any:
        if isinstance(base, dict) and isinstance(over, dict):
            return base | {key: expected(base[key], over[key]) if key in base else over[key] for key in over}
        return over

    assert merge(_node(a), _node(b)).plain() == expected(a, b)
