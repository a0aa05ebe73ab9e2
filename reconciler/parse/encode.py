"""Encoding: typed documents -> plain values as a person would write them, and YAML text of those."""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import Any

import msgspec
import yaml

from reconciler.model.units import ClockTime, Duration, Size

_UNITS = {"PiB": 2**50, "PB": 10**15, "TiB": 2**40, "TB": 10**12, "GiB": 2**30, "GB": 10**9, "MiB": 2**20, "MB": 10**6}


def encode(value: Any) -> Any:
    """The plain value that decodes to `value`; what is as it would be anyway is left out."""
    if isinstance(value, msgspec.Struct):
        return {
            field.encode_name: encode(inner)
            for field in msgspec.structs.fields(value)
            if (inner := getattr(value, field.name)) != field.default or field.required
        }
    if isinstance(value, Size):
        return exact_size(value)
    if isinstance(value, Duration | ClockTime):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: encode(inner) for key, inner in value.items()}
    return [encode(inner) for inner in value] if isinstance(value, tuple | list) else value


def exact_size(count: int) -> str:
    """Bytes in the largest unit that gives a whole number."""
    for unit, size in _UNITS.items():
        if count >= size and count % size == 0:
            return f"{count // size} {unit}"
    return f"{count} B" if count < 10**9 else f"{-(-count // 10**6)} MB"


class _Dumper(yaml.SafeDumper):
    """Quotes what some YAML reader would take for something else than a text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    node = dumper.represent_str(text)
    risky = any(text[:1] == digit for digit in "0123456789") and ":" in text
    if risky or text.lower() in ("y", "n", "on", "off", "yes", "no"):
        node.style = '"'
    return node


def _date(dumper: yaml.SafeDumper, day: date) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", day.isoformat(), style="")


_Dumper.add_representer(str, _text)
_Dumper.add_representer(date, _date)


def yaml_text(plain: Any) -> str:
    """One document as YAML: mappings in their order, short lists in one line."""
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
