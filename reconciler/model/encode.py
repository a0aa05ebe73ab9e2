"""Encoding: typed documents -> plain values as a person would write them, and back."""

from __future__ import annotations

from datetime import date
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from reconciler.model.units import ClockTime, Duration, Size

T = TypeVar("T")
_UNITS = {"PiB": 2**50, "PB": 10**15, "TiB": 2**40, "TB": 10**12, "GiB": 2**30, "GB": 10**9, "MiB": 2**20, "MB": 10**6}


def encode(value: Any) -> Any:
    """The plain value that decodes to `value`; what is as it would be anyway is left out."""
    if isinstance(value, msgspec.Struct):
        return {
            field.encode_name: encode(inner)
            for field in _fields(type(value))
            if (inner := getattr(value, field.name)) != _default(field) or field.required
        }
    if isinstance(value, Size):
        return exact_size(value)
    if isinstance(value, Duration | ClockTime):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: encode(inner) for key, inner in value.items()}
    if isinstance(value, date):
        return value.isoformat()
    return [encode(inner) for inner in value] if isinstance(value, tuple | list) else value


def decode(plain: Any, kind: type[T]) -> T:
    """The typed document that a plain value is. Raises `msgspec.ValidationError` where it is none."""
    return msgspec.convert(plain, kind, dec_hook=_decode)


def _decode(kind: type, value: Any) -> Any:
    if kind in (Duration, Size, ClockTime) and isinstance(value, str):
        return kind.parse(value)
    raise ValueError(f"{value!r} is no {kind.__name__}")


@lru_cache(maxsize=256)
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Its fields; to find them msgspec evaluates every annotation anew."""
    return msgspec.structs.fields(kind)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def inline(plain: Any) -> str:
    """A plain value in one line, as YAML's flow style has it; none for nothing."""
    if plain is None:
        return "none"
    if isinstance(plain, bool):
        return str(plain).lower()
    if isinstance(plain, dict):
        return "{" + ", ".join(f"{key}: {inline(each)}" for key, each in plain.items()) + "}"
    return "[" + ", ".join(map(inline, plain)) + "]" if isinstance(plain, list | tuple) else str(plain)


def exact_size(count: int) -> str:
    """Bytes in the largest unit that gives a whole number."""
    for unit, size in _UNITS.items():
        if count >= size and count % size == 0:
            return f"{count // size} {unit}"
    count = int(count)  # a Size would show itself with a unit of its own
    return f"{count} B" if count < 10**9 else f"{-(-count // 10**6)} MB"
