"""The committed schemas are those of the types, are draft-07, and agree with what is decoded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator

from reconciler.files import package_data
from reconciler.model import ENGINES
from reconciler.parse import read_policies
from reconciler.parse.schema import rendered
from reconciler.parse.unsupported import TABLE

ROOT = Path(__file__).parent.parent.parent


def test_the_committed_schemas_are_up_to_date() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "schemas").glob("*.json")}
    assert committed == rendered(), "run `make schemas`"


def test_every_schema_is_one() -> None:
    for text in rendered().values():
        Draft7Validator.check_schema(json.loads(text))


def test_the_policies_that_ship_are_right() -> None:
    reading = read_policies(ROOT)
    assert reading.policies is not None
    assert not reading.diagnostics
    assert package_data("policies") == ROOT / "policies"


def _field_exists(kind: str, path: str) -> None:
    schema = json.loads(rendered()[f"{kind}.schema.json"])

    def resolved(node: dict[str, Any]) -> dict[str, Any]:
        node = node.get("items", node)
        for option in node.get("anyOf", ()):
            node = option if "$ref" in option else node
        found: dict[str, Any] = schema["definitions"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        return found

    node = resolved(resolved(schema)["properties"]["spec"])
    for step in path.split("."):
        node = resolved(node["properties"][step.removesuffix("[]")])


def test_every_row_of_the_tables_names_a_field_of_the_language() -> None:
    for lack in TABLE:
        _field_exists("site", lack.path)
    for engine in ENGINES.values():
        for lack in engine.lacks:
            _field_exists("protection-group", lack.path)


def test_documents_that_ship_pass_their_schema_alone() -> None:
    names = {"Site": "site", "ProtectionGroup": "protection-group", "Exclusion": "exclusion"}
    for path in (ROOT / "policies").glob("*.yaml"):
        for document in yaml.load_all(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader):
            if document["kind"] == "Exclusion":
                schema = json.loads(rendered()[f"{names[document['kind']]}.schema.json"])
                assert not list(Draft7Validator(schema).iter_errors(document))
