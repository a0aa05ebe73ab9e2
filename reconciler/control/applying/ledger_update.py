"""Remembering: a step that was done, or names and labels as they are now -> what the ledger holds."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from reconciler.control.applying.step_status import shown_after
from reconciler.control.approving.used_approvals import use_for_changes
from reconciler.control.policy_folder import checked_out
from reconciler.control.site import Site
from reconciler.model import (
    Adopt,
    LedgerEntry,
    Ownership,
    ProtectionGroup,
    RenameGroup,
    Step,
    StopProtection,
)
from reconciler.plan import DesiredGroup, Proposal
from reconciler.plan.approval.unapproved_documents import Unstepped


def remember_step(site: Site, step: Step, ref: str, run: str, commit: str) -> ProtectionGroup | None:
    """Writes what a step did into the ledger; returns the group as the server shows it now, None where it is gone."""
    action, after = step.action, step.change.after
    ledger = site.memory.ledger
    if isinstance(action, StopProtection):
        ledger.forget(action.server, action.before.name)
        return None
    assert after is not None
    shown = shown_after(site, step, ref)
    formerly = action.before.name if isinstance(action, RenameGroup) else ""
    own = (action.server, formerly or after.name)
    previous = next((each for each in ledger.entries() if (each.server, each.group) == own), None)
    remember = step.remember
    every = {each.source for each in remember.members} == after.sources
    kept = previous.document if previous is not None else {}
    adopted = isinstance(action, Adopt)
    entry = LedgerEntry(
        server=action.server,
        ref=ref,
        applied=after,
        applied_at=site.now(),
        run=run,
        members=tuple(each for each in remember.members if each.source in after.sources),
        selectors=remember.selectors if every else previous.selectors if previous else "",
        labels=remember.labels,
        document=remember.document if remember.whole or not kept else kept,
        commit=commit or (previous.commit if previous is not None else ""),
        ownership=Ownership.ADOPTED if adopted else previous.ownership if previous else Ownership.CREATED,
        observed=shown if shown != after else None,
    )
    ledger.record(entry, formerly=formerly)
    for other in ledger.entries():
        if other.group == entry.group and other.server not in site.engines:
            ledger.forget(
                other.server, other.group
            )  # its server is no more: a group is at one place, which is this one
    return shown


def refresh_ledger(site: Site, proposal: Proposal) -> None:
    """Keeps in mind what each member is called and labelled now, for the day when it is not there any more; and, of
    groups that a plan of everything leaves alone, the document as it is now: the one that was last applied where a
    change of it waits. What is taken over on an approval's word is noted of the approval first, so that it is not used
    twice."""
    plan = proposal.plan
    pending = {(step.action.server, step.change.group) for step in plan.steps}
    wishes = {(each.server, each.group.name): each for each in proposal.desired.groups}
    stepped = {group for _, group in pending}
    owned = {(entry.server, entry.group) for entry in site.memory.ledger.entries()}
    ours = {group for server, group in wishes if (server, group) in owned}  # of another one nothing is taken over
    _use_taken(site, proposal, (each for each in proposal.taken if each.change.name in ours - stepped))
    for entry in site.memory.ledger.entries():
        wish = wishes.get((entry.server, entry.group))
        if wish is not None:
            settled = (entry.server, entry.group) not in pending and not plan.scope
            refreshed = _refreshed(entry, wish, settled=settled)
            if refreshed != entry:
                site.memory.ledger.record(refreshed)


def note_taken(site: Site, proposal: Proposal) -> None:
    """Notes the approvals by which a document was taken over together with steps, once they are done."""
    wanted = {each.group.name: each.document for each in proposal.desired.groups}
    entries = site.memory.ledger.entries()  # of one group on each of its servers
    over = {entry.group for entry in entries if wanted.get(entry.group) == entry.document}
    _use_taken(site, proposal, (each for each in proposal.taken if each.change.name in over))


def _use_taken(site: Site, proposal: Proposal, taken: Iterable[Unstepped]) -> None:
    hashes = frozenset(each.field.change_hash for each in taken)
    if hashes and proposal.plan.approvals:
        commit, _ = checked_out(site.folder, (site.document.spec.approvals,), site.commit)
        use_for_changes(site, proposal.plan.approvals, hashes, commit)


def _refreshed(entry: LedgerEntry, wish: DesiredGroup, *, settled: bool) -> LedgerEntry:
    now = {member.source: member for member in wish.known if member.source not in wish.missing}
    before = {member.source: member for member in entry.members}
    members = tuple(
        each for source in sorted(entry.applied.sources) if (each := now.get(source) or before.get(source)) is not None
    )
    same = wish.group.sources == entry.applied.sources
    return msgspec.structs.replace(
        entry,
        members=members,
        selectors=wish.selectors if same else entry.selectors,
        labels=wish.labels,
        document=wish.document if settled and same else entry.document,
    )
