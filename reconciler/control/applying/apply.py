"""Applying: a plan -> outcomes. Before each step its object is read again; each is journalled before and after, and the
ledger learns of it in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import uuid4

import msgspec

from reconciler.control.applying.ledger_update import remember_step
from reconciler.control.applying.step_status import (
    StepStatus,
    describe_stale,
    groups_on,
    object_of,
    resolved,
    shown_by,
    stands,
)
from reconciler.control.approving.budget_gate import blocked_until, spent_today
from reconciler.control.approving.used_approvals import use_for_step
from reconciler.control.evidence.record import (
    hold_evidence,
    record_approvals,
    record_end,
    record_glass,
    record_run,
    record_step,
)
from reconciler.control.lease import HeldLease
from reconciler.control.site import Site, actor
from reconciler.control.state.known_stores import use_stores
from reconciler.errors import OutcomeUnknown, ReconcilerError, Refused, StaleFence
from reconciler.model import (
    Adopt,
    Cost,
    CreateGroup,
    ObservedGroup,
    Outcome,
    OutcomeState,
    Plan,
    ProtectionGroup,
    Step,
    Verb,
)
from reconciler.model.audit import Confirmation
from reconciler.plan.fields import differing_fields
from reconciler.protocols import Run


class Authority(msgspec.Struct, frozen=True):
    """On whose word a plan is applied: the command, how somebody agreed, the policies' commit and whether there was
    more than it, the CI job, the reason for passing over approvals, budgets and windows ("" for keeping them), the
    ids of the steps that wait for somebody's yes, and whom somebody named as authors besides those that Git tells."""

    command: str
    confirmation: Confirmation = Confirmation.NOT_NEEDED
    commit: str = ""
    dirty: bool = False
    ci: str = ""
    glass: str = ""
    withheld: frozenset[str] = frozenset()
    authors: tuple[str, ...] = ()


class DeferredStep(msgspec.Struct, frozen=True, rename="camel"):
    """A step that was not tried, why, and when it may be (UTC); None where that is no matter of time."""

    step: Step
    because: str
    opens_at: datetime | None = None


class ApplyResult(msgspec.Struct, frozen=True, rename="camel"):
    """What came of a plan: the run's id, the outcome of every step that was tried, in order, and what waits."""

    run: str
    plan: Plan
    outcomes: tuple[Outcome, ...]
    waiting: tuple[DeferredStep, ...] = ()

    @property
    def done(self) -> tuple[Outcome, ...]:
        return tuple(each for each in self.outcomes if each.state in (OutcomeState.DONE, OutcomeState.ALREADY))

    @property
    def failed(self) -> tuple[Outcome, ...]:
        return tuple(each for each in self.outcomes if each.state in (OutcomeState.FAILED, OutcomeState.UNKNOWN))

    @property
    def unheld(self) -> tuple[Outcome, ...]:
        """Steps that were done, after which the server shows something else than was applied."""
        return tuple(each for each in self.done if each.code)

    @property
    def left(self) -> int:
        """How many steps were not done."""
        return len(self.plan.steps) - len(self.done)


#: Who is told of each step as it ends, or is put off, with the id of the run. It raises nothing.
Told = Callable[[str, Outcome | DeferredStep], None]


def tell_nobody(run: str, ended: Outcome | DeferredStep) -> None:
    """Where the answer is enough."""


def apply(site: Site, plan: Plan, held: HeldLease, mandate: Authority, told: Told = tell_nobody) -> ApplyResult:
    """Does the steps of the plan that may be done now, safest first; `told` hears of each as it ends.

    Nothing is done where an object of the plan is neither as it was seen nor as it would be left: `Refused`, RCL3010,
    with the values. A step that fails does not keep the others from being tried, but for those that build on it.
    Raises `Interrupted` between two steps when somebody asked to stop, `StaleFence` when the lease is lost.
    """
    with site.stop.patient():
        return _apply(site, plan, held, mandate, told)


def _apply(site: Site, plan: Plan, held: HeldLease, mandate: Authority, told: Told) -> ApplyResult:
    past = superseded_steps(site, plan)
    run = begin(site, plan, held, mandate, first=True)
    outcomes: list[Outcome] = []
    waiting: list[DeferredStep] = []
    stuck: list[Step] = []
    spent = spent_today(site)
    adopting = any(isinstance(step.action, Adopt) for step in plan.steps)
    try:
        use_stores(site, frozenset(step.action.server for step in plan.steps), held.fence, run, adopting=adopting)
        for step in plan.steps:
            site.stop.check(run)
            if step.id in past:
                outcomes.append(_already(site, step, run))
                told(run, outcomes[-1])
                continue
            keeps = _kept_from(step, mandate, stuck) or _not_yet(site, plan, step, mandate, spent)
            if keeps is not None:
                waiting.append(keeps)
                stuck.append(step)
                told(run, keeps)
                continue
            outcome = _one(site, step, held, (run, plan), mandate)
            outcomes.append(outcome)
            told(run, outcome)
            spent += step.cost if outcome.state is OutcomeState.DONE else Cost()
            stuck += [step] if outcome.state in (OutcomeState.FAILED, OutcomeState.UNKNOWN) else []
    except ReconcilerError as error:
        end(site, run, error.diagnostic.code, ApplyResult(run, plan, tuple(outcomes)))
        raise
    applied = ApplyResult(run, plan, tuple(outcomes), tuple(waiting))
    end(site, run, "done" if not applied.left else "partial", applied)
    return applied


def end(site: Site, run: str, ended_as: str, applied: ApplyResult | None = None) -> None:
    """Closes a run, in the evidence and in the journal."""
    done, left = (len(applied.done), applied.left) if applied is not None else (0, 0)
    record_end(site, run, ended_as, done, left)
    site.memory.journal.end(run, site.now(), ended_as)


def begin(site: Site, plan: Plan | None, held: HeldLease, mandate: Authority, *, first: bool = False) -> str:
    """Opens a run in the journal, and tells the evidence; returns its id. With `first` the run does nothing unless the
    evidence could take all that was told before, and this: raises `Unreachable` or `TemporaryError` else."""
    if first:
        hold_evidence(site)
    run = new_run(site, plan, held, mandate)
    site.memory.journal.begin(run, plan)
    record_run(site, run, run.plan_hash, mandate.confirmation, mandate.authors, first=first)
    record_approvals(site, run.id, plan.approvals if plan is not None else ())
    if mandate.glass:
        record_glass(site, run)
    return run.id


def new_run(site: Site, plan: Plan | None, held: HeldLease, mandate: Authority) -> Run:
    """A run that begins now; nobody has written it down yet."""
    now = site.now()
    return Run(
        id=f"{now:%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}",
        command=mandate.command,
        actor=actor(),
        host=site.holder,
        started_at=now,
        fence=held.fence.token,
        plan_hash=plan.plan_hash if plan else "",
        commit=mandate.commit,
        ci=mandate.ci,
        glass=mandate.glass,
        withheld=tuple(sorted(mandate.withheld)),
        took_over=held.took_over,
    )


def superseded_steps(site: Site, plan: Plan) -> frozenset[str]:
    """The ids of steps of which a later step of the same object is done already.

    Raises `Refused`: RCL3010, naming every object that is neither as the plan saw it nor as one of its steps would
    leave it; RCL3008 for a group that the ledger does not have, so that a lost state changes nothing.
    """
    chains: dict[tuple[str, str], list[Step]] = {}
    for step in plan.steps:
        chains.setdefault(object_of(step), []).append(step)
    groups = {server: groups_on(site, server) for server in sorted({step.action.server for step in plan.steps})}
    owned = {(entry.server, entry.ref) for entry in site.memory.ledger.entries()}
    found: set[str] = set()
    stale: list[str] = []
    for (server, _), chain in chains.items():
        steps = [resolved(site, step, groups[server]) for step in chain]
        standing = [stands(site, step, groups[server]) for step in steps]
        done = [place for place, each in enumerate(standing) if each is StepStatus.AFTER]
        if done:
            found |= {step.id for step in chain[: done[-1]]}
        elif standing[0] is StepStatus.NEITHER:
            stale.append(describe_stale(site, steps[0], groups[server]))
        elif not isinstance(steps[0].action, CreateGroup | Adopt) and (server, steps[0].action.ref) not in owned:
            raise Refused(
                "RCL3008",
                f"the ledger does not have the group {steps[0].change.group} of {server}: the state was lost, or it is "
                "the wrong one",
                f"Restore the state, or adopt the group with --adopt {steps[0].change.group}. Nothing was changed.",
            )
    if stale:
        raise Refused(
            "RCL3010",
            "; ".join(stale),
            "Make a new plan and review it; nothing was changed.",
            subject=plan.site,
        )
    return frozenset(found)


def _kept_from(step: Step, mandate: Authority, stuck: Sequence[Step]) -> DeferredStep | None:
    """Why the step is not tried: nobody said yes to it, or it builds on one that was not done."""
    if step.id in mandate.withheld:
        return DeferredStep(step, "it waits for an approval")
    gains = _members(step.change.after) - _members(step.change.before)
    for other in stuck:
        if other.action.server != step.action.server:
            continue
        releases = _members(other.change.before) - _members(other.change.after)
        if object_of(other) == object_of(step) or gains & releases:
            return DeferredStep(step, f"step {other.id} comes first, and was not done")
    return None


def _not_yet(site: Site, plan: Plan, step: Step, mandate: Authority, spent: Cost) -> DeferredStep | None:
    """Why the step is not done now: its wave opens later, or the day's budget is used up."""
    if mandate.glass:
        return None
    because, opens_at = blocked_until(site, plan, step, spent)
    return DeferredStep(step, because, opens_at) if because else None


def _members(group: ProtectionGroup | None) -> frozenset[object]:
    return frozenset(group.sources) if group is not None else frozenset()


def _already(site: Site, step: Step, run: str) -> Outcome:
    """A step that an earlier run did, as a later one of the same object shows."""
    now = site.now()
    outcome = Outcome(step.id, OutcomeState.ALREADY, now, step.change.ref)
    site.memory.journal.started(run, step.id, now)
    site.memory.journal.finished(run, outcome)
    return outcome


def _one(site: Site, step: Step, held: HeldLease, of: tuple[str, Plan], mandate: Authority) -> Outcome:
    run, plan = of
    site.memory.journal.started(run, step.id, site.now())
    outcome, shown = _do(site, step, held, run, mandate)
    if outcome.state in (OutcomeState.DONE, OutcomeState.ALREADY):
        use_for_step(site, run, plan, step, mandate.commit)
    record_step(site, run, step, outcome, shown, plan.names)
    site.memory.journal.finished(run, outcome)
    return outcome


def _do(
    site: Site, step: Step, held: HeldLease, run: str, mandate: Authority
) -> tuple[Outcome, ProtectionGroup | None]:
    """The outcome, and the group as the server shows it after a step that was done."""
    engine = site.engines[step.action.server]
    try:
        groups = groups_on(site, step.action.server)
        step = resolved(site, step, groups)
        standing = stands(site, step, groups)
        if standing is StepStatus.NEITHER:
            what = describe_stale(site, step, groups)
            return Outcome(step.id, OutcomeState.FAILED, site.now(), code="RCL3010", reason=what), None
        if standing is StepStatus.AFTER and isinstance(step.action, CreateGroup) and not _ours(site, step, run):
            raise Refused(
                "RCL3008",
                f"{step.action.server} has the group {step.change.group} already, and this site does not own it",
                f"Adopt it with --adopt {step.change.group}.",
            )
        ref = shown_by(step, groups) if standing is StepStatus.AFTER else engine.apply(step.action, held.fence)
        state = OutcomeState.ALREADY if standing is StepStatus.AFTER else OutcomeState.DONE
    except StaleFence:
        raise
    except OutcomeUnknown as error:
        seen = _look(site, step)
        if seen is None or stands(site, step, seen) is not StepStatus.AFTER:
            return _failed(step, site.now(), error, OutcomeState.UNKNOWN), None
        ref, state = shown_by(step, seen), OutcomeState.ALREADY
    except ReconcilerError as error:
        return _failed(step, site.now(), error, OutcomeState.FAILED), None
    shown = remember_step(site, step, ref, run, mandate.commit)
    code, reason = _not_held(step, shown)
    return Outcome(step.id, state, site.now(), ref, code, reason), shown


def _failed(step: Step, at: datetime, error: ReconcilerError, state: OutcomeState) -> Outcome:
    said = error.diagnostic
    return Outcome(step.id, state, at, code=said.code, reason=f"{said.message}. {said.remedy}")


def _look(site: Site, step: Step) -> tuple[ObservedGroup, ...] | None:
    try:
        return groups_on(site, step.action.server)
    except ReconcilerError:
        return None


def _ours(site: Site, step: Step, run: str) -> bool:
    """Whether a group that is there as the step would make it is our own work: by the ledger, else by the journal."""
    server, group = step.action.server, step.change.group
    if any((entry.server, entry.group) == (server, group) for entry in site.memory.ledger.entries()):
        return True
    for earlier in site.memory.journal.runs(200):
        tried = {noted.step for noted in site.memory.journal.steps(earlier.id)} if earlier.id != run else set()
        plan = site.memory.journal.plan(earlier.id) if tried else None
        if plan is not None and any(
            each.id in tried and each.action.server == server and each.change.verb is Verb.CREATE
            for each in plan.steps
            if each.change.group == group
        ):
            return True
    return False


def _not_held(step: Step, shown: ProtectionGroup | None) -> tuple[str, str]:
    """Code and text of what the server shows otherwise than it was applied; both "" where it shows just that."""
    after = step.change.after
    if shown is None or after is None or shown == after:
        return "", ""
    told = "; ".join(
        f"{path} was applied as {old}, and is shown as {new}" for path, old, new in differing_fields(after, shown)
    )
    return "RCL3048", f"{step.action.server} does not hold {step.change.group} as it was applied: {told}"
