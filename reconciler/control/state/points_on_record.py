"""Comparing points: a store that was made anew or taken over, the evidence -> on record which points it has, and which
it has not."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.control.evidence.record import on_record, record_points
from reconciler.control.site import Site
from reconciler.errors import ReconcilerError
from reconciler.model import DataSource
from reconciler.model.kept_points import KeptPoints

#: Findings of a server which say that points may be there that it does not show.
_HIDE = frozenset({"RCL4021", "RCL4022", "RCL4023", "RCL4026"})


def note_points(site: Site, server: str, run: str, sources: Collection[DataSource] | None = None) -> None:
    """Records the points on record that the server does not have now, and those that were gone and that it has again;
    of these data sources, else of all. Where it cannot show all of its points none is told to be missing."""
    kept = KeptPoints()
    for record in on_record(site):
        kept.take(record)
    mine = [key for key in (*kept.there, *kept.lost) if key[0] == server]
    if not mine:
        return
    try:
        seen = site.engines[server].observe()
    except ReconcilerError:
        return
    shown = {(server, str(point.source), point.id) for point in seen.points}
    asked = None if sources is None else {str(each) for each in sources}
    hidden = any(each.code in _HIDE for each in seen.findings)
    here = [key for key in kept.there if key[0] == server and (asked is None or key[1] in asked)]
    missing = [] if hidden else [key for key in here if key not in shown]
    found = [key for key in kept.lost if key in shown]
    if missing or found:
        record_points(site, server, run, _by_source(missing), _by_source(found))


def _by_source(keys: list[tuple[str, str, str]]) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for _, source, point in sorted(keys):
        told.setdefault(source, []).append(point)
    return told
