"""What the language has and this version, or the engine of a group's server, does not act on: refused, never ignored.

`TABLE` is what this version lacks in a site; what an engine lacks stands in its `Capabilities`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.errors import Diagnostic, Severity
from reconciler.model import Lack
from reconciler.model.documents import Positions

Path = tuple[str | int, ...]

#: Fields of a site's `spec`.
TABLE: tuple[Lack, ...] = (
    Lack("state.postgresql", later=True),
    Lack("servers[].onlineStore", later=True),
    Lack("mail", later=True),
)


def lacking(spec: Any, lacks: tuple[Lack, ...]) -> Iterator[tuple[Lack, Path, Any]]:
    """Every value of `spec` (JSON values) that one of the rows refuses, with its path from the document."""
    for lack in lacks:
        for path, value in _find(spec, lack.path.split("."), ("spec",)):
            if value not in lack.holds:
                yield lack, path, value


def _find(value: Any, steps: list[str], path: Path) -> Iterator[tuple[Path, Any]]:
    if not steps:
        yield path, value
        return
    name = steps[0].removesuffix("[]")
    if not isinstance(value, dict) or name not in value:
        return
    below = value[name]
    if not steps[0].endswith("[]"):
        yield from _find(below, steps[1:], (*path, name))
        return
    for index, item in enumerate(below if isinstance(below, list | tuple) else ()):
        yield from _find(item, steps[1:], (*path, name, index))


def refused(lack: Lack, path: Path, value: Any, positions: Positions, engine: str = "") -> Diagnostic:
    """What is said of a refused value."""
    shown = ""
    if lack.holds and not isinstance(value, dict | list | tuple):
        shown = f": {value if isinstance(value, str) else str(value).lower()}"
    on = f" by the {engine} engine" if engine else ""
    if lack.later:
        what = f"{lack.path}{shown} is not supported yet{on}"
        remedy = "Remove it. docs/reference/policies.md lists what this version supports."
        return Diagnostic("RCL1022", Severity.ERROR, what, remedy, positions.at_key(*path))
    what = f"{lack.path}{shown} cannot be held{on}: {lack.why}"
    fine = " or ".join(str(each) for each in lack.holds if each != [])
    remedy = f"Remove it{f', or write {fine}' if fine else ''}; or use a server with another engine."
    return Diagnostic("RCL1050", Severity.ERROR, what, remedy, positions.at_key(*path))
