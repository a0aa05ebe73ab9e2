"""Schemas: the types of the written language -> JSON Schemas (draft-07), the contract with users and editors.

`make schemas` writes them anew.
"""

from __future__ import annotations

import json
from functools import lru_cache
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from reconciler import files
from reconciler.model import FORMAT_VERSION, SavedPlan
from reconciler.model.documents import (
    ApprovalDocument,
    ExclusionDocument,
    GroupDocument,
    GroupSpec,
    GuardrailDocument,
    PresetDocument,
    SiteDocument,
)
from reconciler.model.units import (
    CLOCK_PATTERN,
    DURATION_PATTERN,
    SIZE_PATTERN,
    ClockTime,
    Duration,
    Size,
)

KINDS: dict[str, type[msgspec.Struct]] = {
    "Site": SiteDocument,
    "ProtectionGroup": GroupDocument,
    "Exclusion": ExclusionDocument,
    "Preset": PresetDocument,
    "Guardrail": GuardrailDocument,
    "Approval": ApprovalDocument,
}

_FILES = {
    "Site": "site.schema.json",
    "ProtectionGroup": "protection-group.schema.json",
    "Exclusion": "exclusion.schema.json",
    "Preset": "preset.schema.json",
    "Guardrail": "guardrail.schema.json",
    "Approval": "approval.schema.json",
}
_ALL = "policy.schema.json"
_PLAN = "plan.schema.json"

#: The kind of a plan in a file; no document of a policy folder.
SAVED_PLAN = "SavedPlan"

#: Definitions of which exactly one field is written.
_ONE_OF = ("InventorySource", "EngineSource", "State", "ChangeWindow", "ProtectedParts")

#: Definitions of which exactly one of some fields is written.
_CHOICES = {"MemberRule": ("virtualMachines", "hosts"), "OnlineStore": ("azureBlob", "s3", "folder")}


def _hook(kind: type) -> dict[str, Any]:
    if kind is Duration:
        text = "a length of time: 15min, 1h, 14d, 12w, 12mo, 5y"
        return {"type": "string", "pattern": DURATION_PATTERN, "description": text}
    if kind is Size:
        return {"type": "string", "pattern": SIZE_PATTERN, "description": "bytes: 80 TB is decimal, 80 TiB binary"}
    if kind is ClockTime:
        return {"type": "string", "pattern": CLOCK_PATTERN, "description": 'a quoted clock time: "22:00"'}
    raise TypeError(f"{kind} has no schema")


@lru_cache(maxsize=8)
def schema_of(kind: str) -> dict[str, Any]:
    """The schema of one kind of document."""
    (root,), definitions = msgspec.json.schema_components(
        [KINDS[kind]], schema_hook=_hook, ref_template="#/definitions/{name}"
    )
    cleaned = {name: _without_null(definition) for name, definition in definitions.items()}
    for name in _ONE_OF:
        if name in cleaned:
            cleaned[name] |= {"minProperties": 1, "maxProperties": 1}
    for name, choices in _CHOICES.items():
        if name in cleaned:
            cleaned[name]["oneOf"] = [{"required": [choice]} for choice in choices]
    if kind == "Preset":
        cleaned |= _in_part()
        cleaned["PresetDocument"]["properties"]["spec"] = {"$ref": "#/definitions/GroupSpecPart"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"reconciler/v1 {kind}",
        **root,
        "definitions": cleaned,
    }


def _in_part() -> dict[str, Any]:
    """The definitions of a group's spec as a preset has it: nothing is required of what is merged. Items of a list
    are whole, since lists replace."""
    _, whole = msgspec.json.schema_components([GroupSpec], schema_hook=_hook, ref_template="#/definitions/{name}")
    found: dict[str, Any] = schema_of("ProtectionGroup")["definitions"]
    parts = {name: found[name] for name in whole}

    def part(schema: Any) -> Any:
        if isinstance(schema, list):
            return [part(each) for each in schema]
        if not isinstance(schema, dict) or schema.get("type") == "array":
            return schema
        if "$ref" in schema:
            return {**schema, "$ref": schema["$ref"] + "Part"}
        return {key: part(value) for key, value in schema.items() if key != "required"}

    return parts | {f"{name}Part": part(definition) for name, definition in parts.items()}


def policy_schema() -> dict[str, Any]:
    """The schema of any document: its kind decides which one counts."""
    choices = [
        {
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"$ref": _FILES[kind]},
        }
        for kind in KINDS
    ]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "reconciler/v1",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata"],
        "properties": {"kind": {"enum": [*KINDS]}, "apiVersion": {"const": "reconciler/v1"}},
        "allOf": choices,
    }


def bundled_schema() -> dict[str, Any]:
    """The schema of any document in one piece, for editors that follow no references to other files."""
    definitions: dict[str, Any] = {}
    choices = []
    for kind in KINDS:
        schema = schema_of(kind)
        definitions |= schema["definitions"]
        said = {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": {"$ref": schema["$ref"]}}
        choices.append(said)
    return policy_schema() | {"allOf": choices, "definitions": definitions}


def plan_schema() -> dict[str, Any]:
    """The schema of a saved plan. Fields that it does not know are fine: a newer minor version has them."""
    (root,), definitions = msgspec.json.schema_components([SavedPlan], ref_template="#/definitions/{name}")
    head: dict[str, Any] = definitions["SavedPlan"]
    head["required"] = sorted({*head["required"], "formatVersion", "kind", "seal"})
    major = FORMAT_VERSION.split(".", maxsplit=1)[0]
    head["properties"]["formatVersion"] = {"type": "string", "pattern": rf"^{major}\.[0-9]+$"}
    head["properties"]["seal"] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    for definition in definitions.values():
        if "description" in definition:
            definition["description"] = cleandoc(definition["description"])
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"reconciler {SAVED_PLAN} {major}",
        **root,
        "definitions": definitions,
    }


def _without_null(schema: Any) -> Any:
    """A field that is left out is not written as null; neither null nor its default is part of the contract."""
    if isinstance(schema, list):
        return [_without_null(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    cleaned = {key: _without_null(value) for key, value in schema.items()}
    if "anyOf" in cleaned:
        options = [option for option in cleaned["anyOf"] if option.get("type") != "null"]
        if len(options) == 1:
            del cleaned["anyOf"]
            cleaned = {**options[0], **cleaned}
        else:
            cleaned["anyOf"] = options
    if "default" in cleaned and cleaned["default"] is None:
        del cleaned["default"]
    return cleaned


def write(folder: Path) -> None:
    """Writes every schema into the folder."""
    files.make_folder(folder, 0o755)
    for name, schema in rendered().items():
        files.write_whole(folder / name, schema.encode(), 0o644)


def rendered() -> dict[str, str]:
    """File name -> text, as they are committed."""
    schemas = {_FILES[kind]: schema_of(kind) for kind in KINDS} | {_ALL: policy_schema()}
    schemas[_PLAN] = plan_schema()
    return {name: json.dumps(schema, indent=2, sort_keys=True) + "\n" for name, schema in schemas.items()}
