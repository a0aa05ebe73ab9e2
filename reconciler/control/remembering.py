"""Remembering: a step that was done, or names and labels as they are now -> what the ledger holds."""

from __future__ import annotations

import msgspec

from reconciler.control.site import Site
from reconciler.control.standing import shown_after
from reconciler.model import (
    Adopt,
    LedgerEntry,
    Ownership,
    Plan,
    ProtectionGroup,
    RenameGroup,
    Step,
    StopProtection,
)
from reconciler.plan import DesiredGroup, DesiredState


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
    return shown


def refresh_ledger(site: Site, desired: DesiredState, plan: Plan) -> None:
    """Keeps in mind what each member is called and labelled now, for the day when it is not there any more; and, of
    groups that the plan leaves alone, the document as it is now."""
    pending = {(step.action.server, step.change.group) for step in plan.steps}
    wishes = {(each.server, each.group.name): each for each in desired.groups}
    for entry in site.memory.ledger.entries():
        wish = wishes.get((entry.server, entry.group))
        if wish is not None:
            refreshed = _refreshed(entry, wish, settled=(entry.server, entry.group) not in pending)
            if refreshed != entry:
                site.memory.ledger.record(refreshed)


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
