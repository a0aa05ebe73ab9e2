"""Applying: a plan -> outcomes. Each step is journalled before and after; the ledger learns of it in between."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

import msgspec

from reconciler.control.lease import Holding
from reconciler.control.site import Site, actor
from reconciler.errors import OutcomeUnknown, ReconcilerError, StaleFence
from reconciler.model import (
    Adopt,
    CreateGroup,
    LedgerEntry,
    Outcome,
    OutcomeState,
    Plan,
    ProtectionGroup,
    RenameGroup,
    Step,
    StopProtection,
    UpdateGroup,
)
from reconciler.plan import DesiredGroup, DesiredState
from reconciler.plan.direction import FIELDS
from reconciler.protocols import Run


class Applied(msgspec.Struct, frozen=True, rename="camel"):
    """What came of a plan: the run's id and every step's outcome, in order."""

    run: str
    plan: Plan
    outcomes: tuple[Outcome, ...]

    @property
    def done(self) -> tuple[Outcome, ...]:
        return tuple(each for each in self.outcomes if each.state in (OutcomeState.DONE, OutcomeState.ALREADY))

    @property
    def failed(self) -> tuple[Outcome, ...]:
        return tuple(each for each in self.outcomes if each.state in (OutcomeState.FAILED, OutcomeState.UNKNOWN))

    @property
    def left(self) -> int:
        """How many steps were not done."""
        return len(self.plan.steps) - len(self.done)


def apply(site: Site, plan: Plan, held: Holding, command: str) -> Applied:
    """Does every step of the plan, safest first.

    A step that fails does not keep the others from being tried: the engine refuses what cannot be. Raises
    `Interrupted` between two steps when somebody asked to stop, `StaleFence` when the lease is lost.
    """
    run = begin(site, plan, held, command)
    outcomes: list[Outcome] = []
    try:
        for step in plan.steps:
            site.stop.check(run)
            site.memory.journal.started(run, step.id, site.now())
            outcome = _do(site, step, held, run)
            site.memory.journal.finished(run, outcome)
            outcomes.append(outcome)
    except ReconcilerError as error:
        site.memory.journal.end(run, site.now(), error.diagnostic.code)
        raise
    applied = Applied(run, plan, tuple(outcomes))
    site.memory.journal.end(run, site.now(), "done" if not applied.left else "partial")
    return applied


def begin(site: Site, plan: Plan | None, held: Holding, command: str) -> str:
    """Opens a run in the journal; returns its id."""
    now = site.now()
    run = Run(
        id=f"{now:%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}",
        command=command,
        actor=actor(),
        host=site.holder,
        started_at=now,
        fence=held.fence.token,
        plan_hash=plan.plan_hash if plan else "",
    )
    site.memory.journal.begin(run, plan)
    return run.id


def _do(site: Site, step: Step, held: Holding, run: str) -> Outcome:
    engine = site.engines[step.action.server]
    try:
        ref = engine.apply(step.action, held.fence)
    except StaleFence:
        raise
    except OutcomeUnknown as error:
        ref = _seen_done(site, step) or ""
        if not ref:
            return _failed(step, site.now(), error, OutcomeState.UNKNOWN)
        remember_step(site, step, ref, run)
        return Outcome(step.id, OutcomeState.ALREADY, site.now(), ref)
    except ReconcilerError as error:
        return _failed(step, site.now(), error, OutcomeState.FAILED, _neither(site, step, error))
    remember_step(site, step, ref, run)
    return Outcome(step.id, OutcomeState.DONE, site.now(), ref)


def _failed(step: Step, at: datetime, error: ReconcilerError, state: OutcomeState, more: str = "") -> Outcome:
    code = error.diagnostic.code
    return Outcome(step.id, state, at, code=code, reason=f"{error.diagnostic.message}{more}. {error.diagnostic.remedy}")


def _neither(site: Site, step: Step, error: ReconcilerError) -> str:
    """What makes the group neither what the plan saw nor what it would leave, with the values."""
    action = step.action
    if error.diagnostic.code != "RCL3010" or isinstance(action, CreateGroup):
        return ""
    seen = _seen(site, step)
    if seen is None:
        return ": it is not there any more"
    before = action.group if isinstance(action, Adopt) else action.before
    after = None if isinstance(action, StopProtection) else _after(action)
    told = [
        f"{field.path} is {field.show(field.get(seen))}, the plan saw {field.show(field.get(before))}"
        + (f" and would leave {field.show(field.get(after))}" if after is not None else "")
        for field in FIELDS
        if field.get(seen) not in ([field.get(before)] if after is None else [field.get(before), field.get(after)])
    ]
    if seen.sources not in ([before.sources] if after is None else [before.sources, after.sources]):
        told.append(f"it has {len(seen.sources)} members, the plan saw {len(before.sources)}")
    return f": {'; '.join(told)}" if told else ""


def _seen(site: Site, step: Step) -> ProtectionGroup | None:
    if isinstance(step.action, CreateGroup):
        return None
    try:
        catalog = site.engines[step.action.server].observe()
    except ReconcilerError:
        return None
    return next((each.group for each in catalog.groups if each.ref == step.action.ref), None)


def _seen_done(site: Site, step: Step) -> str | None:
    """The group's reference if the server shows the step as done."""
    try:
        return done_on_server(site, step)
    except ReconcilerError:
        return None


def done_on_server(site: Site, step: Step) -> str | None:
    """The reference of the group if it is as the step would leave it, None if it is not."""
    catalog = site.engines[step.action.server].observe()
    action = step.action
    if isinstance(action, StopProtection):
        gone = all(seen.ref != action.ref for seen in catalog.groups)
        return action.ref if gone else None
    after = _after(action)
    unreadable = site.engines[step.action.server].capabilities.unreadable
    for seen in catalog.groups:
        same_as_far_as_read = seen.group.name == after.name and seen.group.sources == after.sources
        if seen.group == after or (unreadable and same_as_far_as_read):
            return seen.ref
    return None


def remember_step(site: Site, step: Step, ref: str, run: str) -> None:
    """Writes what a step did into the ledger."""
    action = step.action
    ledger = site.memory.ledger
    if isinstance(action, StopProtection):
        ledger.forget(action.server, action.before.name)
        return
    after = _after(action)
    formerly = action.before.name if isinstance(action, RenameGroup) else ""
    own = (action.server, formerly or after.name)
    previous = next((each for each in ledger.entries() if (each.server, each.group) == own), None)
    whole = {each.source for each in step.remember.members} == after.sources
    entry = LedgerEntry(
        server=action.server,
        ref=ref,
        applied=after,
        applied_at=site.now(),
        run=run,
        members=tuple(each for each in step.remember.members if each.source in after.sources),
        selectors=step.remember.selectors if whole else previous.selectors if previous else "",
        labels=step.remember.labels,
        document=step.remember.document,
    )
    ledger.record(entry, formerly=formerly)


def _after(action: CreateGroup | UpdateGroup | RenameGroup | Adopt) -> ProtectionGroup:
    return action.group if isinstance(action, CreateGroup | Adopt) else action.after


def _wish(desired: DesiredState | None, server: str, name: str) -> DesiredGroup | None:
    groups = desired.groups if desired else ()
    return next((each for each in groups if (each.server, each.group.name) == (server, name)), None)


def refresh_ledger(site: Site, desired: DesiredState) -> None:
    """Keeps in mind what each member is called and labelled now, for the day when it is not there any more."""
    for entry in site.memory.ledger.entries():
        wish = _wish(desired, entry.server, entry.group)
        if wish is None:
            continue
        now = {member.source: member for member in wish.known if member.source not in wish.missing}
        before = {member.source: member for member in entry.members}
        members = tuple(
            each
            for source in sorted(entry.applied.sources)
            if (each := now.get(source) or before.get(source)) is not None
        )
        settled = wish.group.sources == entry.applied.sources
        selectors = wish.selectors if settled else entry.selectors
        refreshed = msgspec.structs.replace(entry, members=members, selectors=selectors, labels=wish.labels)
        if refreshed != entry:
            site.memory.ledger.record(refreshed)
