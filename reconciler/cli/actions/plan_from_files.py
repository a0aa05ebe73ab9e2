"""plan with exported files, catalog snapshot: what is planned where the servers, or the clusters, are not asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from reconciler.cli.actions.plan import Look
from reconciler.cli.options import PlanFormat
from reconciler.cli.plan_reports import Reporter
from reconciler.cli.session import clock_for, find_root, session, target
from reconciler.cli.terminal import note, out
from reconciler.control.observe import Observation
from reconciler.control.planning.from_files import ExportedSite, held_now, observed_then, propose_exported
from reconciler.control.planning.plan_file import origin_for, save
from reconciler.control.planning.propose import PlanRequest
from reconciler.control.policy_folder import Policies, read_good
from reconciler.errors import ExitCode, ReconcilerError, UsageError
from reconciler.model import CatalogSnapshot, ClusterSnapshot
from reconciler.model.documents import InventorySource, Placed, SiteDocument, SnapshotInventory
from reconciler.parse.explain import explained
from reconciler.plan.desired.defaults import zones_of
from reconciler.report.escape import safe
from reconciler.report.plan_headline import waits
from reconciler.report.words import count, moment
from reconciler.snapshots import ExportedCatalog, catalog_parts, read_catalog, read_inventory, write_catalog
from reconciler.state import Opening
from reconciler.wiring import SystemClock, Trust, choose_site, look

#: What the last plan was made from. A process that is about to end need not take a million values apart.
kept: list[object] = []
#: How many clusters or servers are named one by one.
_SHOWN = 4


class Exported(NamedTuple):
    """The files that a plan is made from; None: the clusters, or the servers, are asked."""

    inventory: Path | None
    catalog: Path | None


def plan_exported(
    root: Path | None, name: str | None, to: Reporter, now: str | None, exported: Exported, how: Look, wish: PlanRequest
) -> int:
    """Shows the difference by what the files say; 2 with `detailed` when there is one. No server and no state is
    opened where both files are given."""
    place = find_root(root)
    if how.save is not None:
        target(how.save)
    policies = read_good(place)
    document = choose_site(policies.policies, name)
    at = clock_for(document, now).now() if now is not None else None
    then = _then(place, policies, document, exported, now, at)
    observation = then.observation
    proposal = propose_exported(place, policies.policies, document, then, wish)
    kept[:] = [observation, proposal]
    zone = ZoneInfo(document.spec.time_zone)
    if to.format is PlanFormat.text:
        out(seen_text(observation, exported, zone))
    to.show(proposal.plan, zone, approvers=document.spec.approvals is not None)
    if to.format is PlanFormat.text:
        for placed in policies.policies.groups if how.explain else ():
            if placed.document.spec.site == document.metadata.name:
                out("\n" + explained(placed, zones_of(policies.policies)))
    if how.save is not None:
        save(how.save, proposal.plan, origin_for(place, observation))
        note(f"Saved: {how.save}. `reconciler apply {how.save}` does just this.")
    return (
        ExitCode.CHANGES_PENDING if how.detailed and (proposal.plan.steps or waits(proposal.plan)) else ExitCode.SUCCESS
    )


def catalog_snapshot(root: Path | None, name: str | None, output: Path | None) -> int:
    """Writes what the servers hold, and our ledger of it."""
    place = find_root(root)
    if output is not None:
        target(output)
    with session(place, name, None, read_good(place), Opening.READ) as site:
        held = held_now(site)
    if output is None:
        for part in catalog_parts(held, lines=False):
            out(part.decode())
    else:
        write_catalog(output, held)
        groups = sum(len(each.groups) for each in held.catalogs.values())
        what = (
            f"{count(groups, 'group')} of {count(len(held.catalogs), 'server')}, {len(held.ledger)} of "
            "them owned by this site"
        )
        note(f"{what}, written to {output}.")
    return ExitCode.SUCCESS


def _then(
    place: Path, policies: Policies, document: SiteDocument, exported: Exported, now: str | None, at: datetime | None
) -> ExportedSite:
    """What the files say; the other side is looked at where only one is given."""
    if exported.inventory is not None and exported.catalog is not None:
        return observed_then(document, read_inventory(exported.inventory), read_catalog(exported.catalog), at)
    at = at or SystemClock().now()
    if exported.inventory is not None:
        held = _held(place, policies, document, exported.inventory, now)
        return observed_then(document, read_inventory(exported.inventory), held, at)
    assert exported.catalog is not None
    return observed_then(document, _clusters(place, document), read_catalog(exported.catalog), at)


def _clusters(place: Path, document: SiteDocument) -> dict[str, ClusterSnapshot]:
    clusters, troubles = look(place, document, SystemClock())
    with _needing("--inventory FILE", "inventory"):
        for error in troubles:
            raise error
    return clusters


def _held(place: Path, policies: Policies, document: SiteDocument, inventory: Path, now: str | None) -> ExportedCatalog:
    """What the servers hold now. Their clusters are those of the file: no other is opened."""
    source = InventorySource(snapshot=SnapshotInventory(str(inventory.resolve())))
    clusters = tuple(msgspec.structs.replace(each, inventory=source) for each in document.spec.clusters)
    there = msgspec.structs.replace(document, spec=msgspec.structs.replace(document.spec, clusters=clusters))
    site = [Placed(there, each.positions) for each in policies.policies.sites if each.document is document]
    known = msgspec.structs.replace(policies.policies, sites=tuple(site))
    opened = msgspec.structs.replace(policies, policies=known)
    with (
        _needing("--catalog FILE", "catalog"),
        session(place, document.metadata.name, now, opened, Opening.READ, trust=Trust.GIVEN) as site_now,
    ):
        return held_now(site_now)


@contextmanager
def _needing(option: str, what: str) -> Iterator[None]:
    try:
        yield
    except ReconcilerError as error:
        said = f"without {option} the other side is looked at, and it cannot be: {error.diagnostic.message}"
        remedy = f"Give {option} (`reconciler {what} snapshot` writes one where it can be seen)."
        raise UsageError("RCL2025", said, remedy) from error


def seen_text(observation: Observation, exported: Exported, zone: ZoneInfo) -> str:
    """When what the files say was seen."""
    lines = []
    if exported.inventory is not None:
        lines.append(f"From {safe(str(exported.inventory))}: {_seen('cluster', observation.clusters, zone)}.")
    if exported.catalog is not None:
        lines.append(f"From {safe(str(exported.catalog))}: {_seen('server', observation.catalogs, zone)}.")
    return "\n".join(lines) + "\n"


def _seen(what: str, found: Mapping[str, ClusterSnapshot] | Mapping[str, CatalogSnapshot], zone: ZoneInfo) -> str:
    if len(found) <= _SHOWN:
        each = (f"{name} as seen at {moment(found[name].taken_at, zone)}" for name in sorted(found))
        return ", ".join(each) or f"no {what}"
    moments = sorted(each.taken_at for each in found.values())
    return f"{len(found)} {what}s as seen between {moment(moments[0], zone)} and {moment(moments[-1], zone)}"
