"""Explaining: a group as it counts, every value with where it comes from: the document, a preset, or a default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from reconciler.model import format_duration
from reconciler.model.documents import GroupDocument, Placed
from reconciler.model.encode import encode, inline
from reconciler.plan.desired.defaults import short_term_of, zone_of

Path = tuple[str | int, ...]


def explained(placed: Placed[GroupDocument], zones: Mapping[str, ZoneInfo]) -> str:
    """YAML text with the origin of each value as a comment. `zones` are those of the sites by name."""
    document = placed.document
    home = placed.positions.at().file
    lines = [f"# {home}: every value of {document.metadata.name} that counts, and where it comes from"]
    for path, value in _values(document.spec, ("spec",)):
        shown, origin = _origin(placed, path, value, zones)
        lines.append(f"{'.'.join(map(str, path[1:]))}: {_shown(shown)}  # {origin}")
    return "\n".join(lines) + "\n"


def _origin(placed: Placed[GroupDocument], path: Path, value: Any, zones: Mapping[str, ZoneInfo]) -> tuple[Any, str]:
    """The value that counts, and where it comes from."""
    document = placed.document
    place, around = placed.positions.at(*path), placed.positions.at(*path[:-1])
    if place != around or placed.positions.at_key(*path) != around:
        return value, str(place)
    if path == ("spec", "shortTerm", "rpo"):
        gap = "default: the longest gap between points, plus 1h"
        return format_duration(short_term_of(document, zone_of(document, zones)).rpo), gap
    if path == ("spec", "displayName"):
        return document.metadata.name.replace("-", " "), "default: the name, with spaces for hyphens"
    return value, "default"


def _values(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, msgspec.Struct) and (path[-1] in ("spec", "shortTerm", "consistencyCheck", "online")):
        for field in msgspec.structs.fields(value):
            yield from _values(getattr(value, field.name), (*path, field.encode_name))
    else:
        yield path, value


def _shown(value: Any) -> str:
    return inline(encode(value))
