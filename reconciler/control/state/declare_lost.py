"""Declaring lost: a store, a volume or the evidence that will not come back -> gone from our memory, on record, so that
something new may be made in its place. It destroys nothing that is still there: what is left is put aside, but for an
older copy of the store, which stays where it is and can be gone on with.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from reconciler import files, gitrepo
from reconciler.control.applying.apply import begin, end
from reconciler.control.approving.agreement import mandate_of
from reconciler.control.approving.rules import ValidApprovals
from reconciler.control.approving.used_approvals import use_for_changes
from reconciler.control.approving.valid_approvals import bench_of, judge
from reconciler.control.evidence.record import record_approvals, record_state
from reconciler.control.lease import HeldLease
from reconciler.control.site import Site
from reconciler.control.state.known_stores import OlderCopy, StoreView, Use, views
from reconciler.errors import ReconcilerError, Refused, UsageError
from reconciler.model import Approved, DataSource, Direction, EvidenceKind, Record
from reconciler.model.audit import Confirmation
from reconciler.model.comparison import change_hash
from reconciler.model.documents import PolicySet
from reconciler.model.similar_names import SEE_STATUS, did_you_mean_or_known
from reconciler.protocols import GivesUp, Memory


class LostMachine(msgspec.Struct, frozen=True):
    """A virtual machine whose points are given up: its name as we last knew it, and the newest point that was made
    there (UTC), None where none is on record."""

    source: DataSource
    name: str
    newest: datetime | None


def lost_with(site: Site, server: str, volume: str | None) -> tuple[LostMachine, ...]:
    """What is given up with the store, or with a volume of it, as far as our own memory knows. Raises `UsageError`,
    RCL5047, for an unknown server or volume; `Refused`, RCL5048, where the store is there and is ours."""
    spec = next((each for each in site.document.spec.servers if each.name == server), None)
    if spec is None:
        remedy = did_you_mean_or_known(server, (each.name for each in site.document.spec.servers))
        raise UsageError("RCL5047", f"there is no server {server!r}", remedy or SEE_STATUS, subject=server)
    if volume is not None and volume not in {each.name for each in spec.volumes}:
        remedy = did_you_mean_or_known(volume, (each.name for each in spec.volumes))
        raise UsageError("RCL5047", f"{server} has no volume {volume!r}", remedy or SEE_STATUS, subject=volume)
    view = views(site).get(server)
    if volume is None and isinstance(view, StoreView) and view.use in (Use.GOES_ON, Use.FIRST):
        there = "exists and belongs to this site" if view.use is Use.GOES_ON else "was never used"
        raise Refused(
            "RCL5048",
            f"the store of {server} in {view.seen.path} {there}: nothing of it is lost",
            "See `reconciler store check`. Groups are stopped by taking them out of the policies.",
            subject=server,
        )
    names = {
        member.source: member.name
        for entry in site.memory.ledger.entries()
        if entry.server == server
        for member in entry.members
    }
    sources = {
        source for entry in site.memory.ledger.entries() if entry.server == server for source in entry.applied.sources
    }
    if volume is not None:
        sources = _on_volume(site, server, volume, sources)
    newest = _newest(site, server)
    return tuple(
        LostMachine(source, names.get(source, source.machine), newest.get(str(source))) for source in sorted(sources)
    )


def loss_of(site: Site, server: str, volume: str | None) -> str:
    """What an approval of the loss names: the hash of just this store, or of a volume of it."""
    known = site.memory.stores.known().get(server)
    store = known.store.id if known is not None else ""
    before = {"site": site.name, "server": server, "volume": volume or "", "store": store}
    return change_hash("Store", server, "declareLost", before, None, Direction.DESTROYS)


def approvals_of(site: Site, policies: PolicySet, loss: str) -> ValidApprovals:
    """The approvals that count for this loss now, and why others do not. Whoever declares it, as Git knows them, does
    not approve it."""
    verdict = judge(bench_of(site), policies, tuple(filter(None, (gitrepo.identity(site.folder),))))
    counting = tuple(each for each in verdict.approvals if loss in each.changes)
    return ValidApprovals(counting, verdict.said((loss,)))


def declare_lost(
    site: Site,
    server: str,
    volume: str | None,
    reason: str,
    lost: tuple[LostMachine, ...],
    held: HeldLease,
    confirmation: Confirmation,
    approvals: tuple[Approved, ...] = (),
) -> str:
    """Gives it up; returns the id of the run that tells of it. The approvals that it is done by are used up."""
    mandate = mandate_of(site, "store declare-lost", confirmation)
    run = begin(site, None, held, mandate, first=True)
    record_approvals(site, run, approvals)
    loss = loss_of(site, server, volume)
    known = site.memory.stores.known().get(server)
    engine = site.engines[server]
    record_state(
        site,
        "declaredLost",
        run,
        server=server,
        volume=volume or "",
        reason=reason,
        path=known.path if known is not None else "",
        store=known.store.id if known is not None else "",
        generation=known.store.generation if known is not None else 0,
        machines="; ".join(_told(each) for each in lost),
        sources=[str(each.source) for each in lost],
    )
    if isinstance(engine, GivesUp) and not (volume is None and isinstance(views(site).get(server), OlderCopy)):
        engine.declare_lost(volume, held.fence)
    if volume is None:
        for entry in site.memory.ledger.entries():
            if entry.server == server:
                site.memory.ledger.forget(server, entry.group)
        site.memory.stores.forget(server)
    use_for_changes(site, approvals, frozenset({loss}), mandate.commit)
    end(site, run, "done")
    return run


def _told(machine: LostMachine) -> str:
    newest = f"newest point {machine.newest:%Y-%m-%d %H:%M} UTC" if machine.newest is not None else "no point on record"
    return f"{machine.name} ({newest})"


def _on_volume(site: Site, server: str, volume: str, sources: set[DataSource]) -> set[DataSource]:
    """Those whose replica lies on the volume, as far as the server tells; all of them where it does not."""
    try:
        replicas = site.engines[server].observe().replicas
    except ReconcilerError:
        return sources
    return {each.source for each in replicas if each.volume == volume}


def _newest(site: Site, server: str) -> dict[str, datetime]:
    """The newest point of each data source that the evidence has on record for the server."""
    found: dict[str, datetime] = {}
    for record in _readable(site.memory):
        if record.kind is EvidenceKind.POINT and record.body.get("server") == server:
            source = str(record.body["source"])
            time = msgspec.convert(record.body["time"], datetime)
            found[source] = max(time, found.get(source, time))
    return found


def _readable(memory: Memory) -> list[Record]:
    try:
        return list(memory.evidence.records())
    except ReconcilerError:
        return []


# --- The evidence ----------------------------------------------------------------------------------------------


def evidence_lost(site: Site, reason: str, held: HeldLease, confirmation: Confirmation) -> Path | None:
    """Begins a new chain, whose first records say that the one before is lost, how long it was and where what is left
    of it lies: returned, None where nothing is."""
    evidence = site.memory.evidence
    seq, head = evidence.noted()
    aside = None
    run = begin(site, None, held, mandate_of(site, "evidence declare-lost", confirmation))
    if evidence.folder.exists() and any(evidence.folder.iterdir()):
        aside = evidence.folder.with_name(f"{evidence.folder.name}.lost-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        files.rename(evidence.folder, aside)
    record_state(
        site,
        "evidenceLost",
        run,
        records=seq,
        head=head,
        reason=reason,
        keptAs=aside.name if aside is not None else "",
    )
    evidence.begin_anew(run)
    end(site, run, "done")
    return aside
