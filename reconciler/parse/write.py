"""Writing: plain values -> YAML text as a person would write it."""

from __future__ import annotations

from typing import Any

import yaml

from reconciler.model.names import fold
from reconciler.parse.text import plain_text


class _Dumper(yaml.SafeDumper):
    """Quotes what some YAML reader would take for something else than a text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Lists are set in, as `reconciler fmt` lays them out."""
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    text = text.encode("utf-8", "backslashreplace").decode()  # YAML has no word for half of a pair
    node = dumper.represent_str(text)
    risky = any(text[:1] == digit for digit in "0123456789") and ":" in text
    if risky or fold(text) in ("Y", "N", "ON", "OFF", "YES", "NO"):
        node.style = '"'
    return node


def _list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    flat = not any(isinstance(item, dict | list) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flat)


def _mapping(dumper: yaml.SafeDumper, fields: dict[str, Any]) -> yaml.MappingNode:
    flat = not any(isinstance(value, dict | list) for value in fields.values())
    return dumper.represent_mapping("tag:yaml.org,2002:map", fields, flow_style=flat)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(dict, _mapping)


def yaml_text(plain: Any, width: int = 140) -> str:
    """One document as YAML: mappings in their order, short lists in one line, lines of about that `width`. Where some
    letter of it would not be read as it stands (see `parse.text`), every letter that is not ASCII is an escape."""
    text = _dumped(plain, width, unicode=True)
    return text if plain_text(text.encode()) is not None else _dumped(plain, width, unicode=False)


def _dumped(plain: Any, width: int, *, unicode: bool) -> str:
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=unicode, width=width)
