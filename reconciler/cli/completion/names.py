"""Names: the site that the words mean -> what its virtual machines, groups, servers, sites and points are called.

Everything is opened for reading alone, and whatever cannot be read has no names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer import Context

if TYPE_CHECKING:
    from reconciler.control.observe import Observation
    from reconciler.control.site import Site
    from reconciler.model.documents import PolicySet

Named = list[tuple[str, str]]


def groups(ctx: Context) -> Named:
    """Protection groups of the policies."""
    site = ctx.params.get("site")
    return [
        (placed.document.metadata.name, f"protection group of {placed.document.spec.site}")
        for placed in _policies(ctx).groups
        if site in (None, placed.document.spec.site)
    ]


def servers(ctx: Context) -> Named:
    """Backup servers of the policies."""
    return [
        (server.name, f"server of {placed.document.metadata.name}")
        for placed in _policies(ctx).sites
        for server in placed.document.spec.servers
    ]


def volumes(ctx: Context) -> Named:
    """Volumes of the servers."""
    return [
        (volume.name, f"volume of {server.name}")
        for placed in _policies(ctx).sites
        for server in placed.document.spec.servers
        for volume in server.volumes
    ]


def sites(ctx: Context) -> Named:
    """Sites of the policies."""
    return [(placed.document.metadata.name, "site") for placed in _policies(ctx).sites]


def machines(ctx: Context) -> Named:
    """Virtual machines of the clusters and of the catalogs: one that is gone may be wanted most."""
    from reconciler.control.virtual_machines import names_of

    with _seen(ctx) as (_, observation):
        return [(name, "virtual machine") for name in sorted(names_of(observation))]


def machines_and_groups(ctx: Context) -> Named:
    """Both, for what takes either."""
    return [*groups(ctx), *machines(ctx)]


def points(ctx: Context) -> Named:
    """Recovery points of the virtual machine that is named before, the newest first."""
    from reconciler.control.virtual_machines import sources_called

    machine = ctx.params.get("machine") or next(iter(ctx.args), None)  # an option without its value ends the parsing
    with _seen(ctx) as (site, observation):
        wanted = sources_called(observation, str(machine)) if machine else None
        found = [
            point
            for catalog in observation.readable.values()
            for point in catalog.points
            if wanted is None or point.source in wanted
        ]
        found.sort(key=lambda point: point.time, reverse=True)
        return [(point.id, f"{point.time.astimezone(site.zone):%Y-%m-%d %H:%M}") for point in found]


def codes() -> Named:
    """Codes that `explain` knows."""
    from reconciler.errors import codes

    return [(code, each.title) for code, each in sorted(codes().items())]


def kinds() -> Named:
    """Kinds of documents."""
    from reconciler.parse.schema import KINDS, SAVED_PLAN
    from reconciler.report.action_events import ACTION_EVENT

    return [(kind, "") for kind in (*KINDS, SAVED_PLAN, ACTION_EVENT)]


def _root(ctx: Context) -> Path:
    from reconciler.cli.session import find_root

    given: Any = ctx.params.get("root") or ctx.find_root().params.get("root")
    return find_root(Path(given) if given else None)


def _policies(ctx: Context) -> PolicySet:
    from reconciler.control.policy_folder import look_at_policies

    return look_at_policies(_root(ctx)).policies


@contextmanager
def _seen(ctx: Context) -> Iterator[tuple[Site, Observation]]:
    from reconciler.cli.session import session
    from reconciler.control.observe import observe
    from reconciler.control.policy_folder import look_at_policies
    from reconciler.state import Opening

    root = _root(ctx)
    with session(root, ctx.params.get("site"), None, look_at_policies(root), Opening.READ) as site:
        yield site, observe(site)
