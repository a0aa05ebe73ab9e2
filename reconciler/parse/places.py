"""Places: where the sites keep what is durable -> an error for each place that two of them would share."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator

from reconciler.errors import Diagnostic, Location, Severity
from reconciler.model.documents import Placed, SiteDocument
from reconciler.model.names import fold

_STATE = ("spec", "state", "sqlite", "path")


def shared_places(sites: tuple[Placed[SiteDocument], ...]) -> Iterator[Diagnostic]:
    """States and stores; the evidence lies beside the state, under its name without the last ending, so that `hq.a` and
    `hq.b` meet as well. Compared as a file system without regard to letter case would."""
    kept: dict[str, list[tuple[str, Location]]] = defaultdict(list)
    for placed in sites:
        for path, what, at in _places(placed):
            kept[fold(path)].append((what, at))
    for where, same in sorted(kept.items()):
        if len(same) > 1:
            (what, at), *others = same
            yield Diagnostic(
                "RCL2111",
                Severity.ERROR,
                f"{what} and {' and '.join(other for other, _ in others)} would lie in one place",
                "Give each a path of its own; those of a state differ before the last ending.",
                at,
                also=tuple(place for _, place in others),
                subject=where,
            )


def _places(placed: Placed[SiteDocument]) -> Iterator[tuple[str, str, Location]]:
    spec, name = placed.document.spec, placed.document.metadata.name
    if spec.state.sqlite is not None:
        stem = posixpath.splitext(posixpath.normpath(spec.state.sqlite.path))[0]
        yield stem, f"the state of {name}", placed.positions.at(*_STATE)
    for index, server in enumerate(spec.servers):
        if server.engine.embedded is not None:
            path = ("spec", "servers", index, "engine", "embedded", "path")
            store = posixpath.normpath(server.engine.embedded.path)
            yield store, f"the store of {server.name} ({name})", placed.positions.at(*path)
