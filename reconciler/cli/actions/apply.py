"""apply, resume: a plan that was shown and agreed to, and what came of it."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from reconciler.cli.actions.apply_events import applied_event, tell_step
from reconciler.cli.confirm import confirm
from reconciler.cli.plan_reports import Reporter, plan_event
from reconciler.cli.plan_request import only_authors
from reconciler.cli.session import clock_for, find_root, session
from reconciler.cli.terminal import ask, is_interactive, note, paint_for, show, tell
from reconciler.control.applying.apply import ApplyResult, Authority
from reconciler.control.applying.apply import apply as apply_plan
from reconciler.control.applying.converge import converge
from reconciler.control.applying.resume import unfinished
from reconciler.control.applying.settle_interrupted import settle
from reconciler.control.approving.agreement import Agreement, agree_again, agree_saved, mandate_of
from reconciler.control.approving.site_guard import Secured, opened, record_site, secure, settle_guard
from reconciler.control.approving.valid_approvals import bench_of, wants_approvers
from reconciler.control.clock import check_rehearsal
from reconciler.control.drift.detect import note_and_record
from reconciler.control.jobs.dispatch import poll
from reconciler.control.jobs.unfinished_recoveries import resume_recoveries
from reconciler.control.lease import holding, where_it_can_be
from reconciler.control.observe import Observation, observe_whole
from reconciler.control.planning.other_sites import runs_this
from reconciler.control.planning.plan_file import read
from reconciler.control.planning.propose import PlanRequest, check_state, propose, waiting_of
from reconciler.control.policy_folder import Policies, read_good, read_or_last_good
from reconciler.control.site import Site
from reconciler.errors import (
    ConsentNeeded,
    Diagnostic,
    ExitCode,
    LockHeld,
    PolicyError,
    ReconcilerError,
    Refused,
    Severity,
    UsageError,
    worst,
)
from reconciler.model import Plan, Reason
from reconciler.model.audit import Confirmation
from reconciler.plan import Proposal, Scope
from reconciler.plan.approval.unapproved_documents import WAITS, not_in_force
from reconciler.report import applied_text, plan_text, waiting_text
from reconciler.state import Opening
from reconciler.wiring import Trust, choose_site, open_state, state_path

#: How long a command waits for another process that is at work on the site.
_PATIENCE = timedelta(seconds=30)

#: How long what a person agreed to in a run that was cut off counts when it is resumed.
AGREED_FOR = timedelta(hours=24)


class Consent(NamedTuple):
    """What the command line says for the person: yes, and why approvals, budgets and windows are passed over."""

    yes: bool
    glass: str


def apply(
    root: Path | None, name: str | None, now: str | None, consent: Consent, wish: PlanRequest, to: Reporter
) -> int:
    """Plans, shows, asks, does."""
    wish = msgspec.structs.replace(wish, glass=bool(consent.glass))
    place = find_root(root)
    policies = read_good(place)
    adopting = bool(wish.adopt)
    first = _guard_first(place, name, now, policies, consent, adopting=adopting)
    with session(
        place, name, now, policies, Opening.CREATE, adopting=adopting, trust=Trust.FIRST, changing=True
    ) as site:
        _first(site)
        if adopting:
            runs_this(place, policies.policies, site.name)
        settle_interrupted_runs(site)
        _, proposal = _propose(site, policies, wish)
        if proposal.waiting and _takes_documents(site, proposal, consent):
            wish = msgspec.structs.replace(wish, agreed=frozenset(each.field.change_hash for each in proposal.waiting))
            _, proposal = _propose(site, policies, wish)
        to.show(proposal.plan, site.zone, approvers=wants_approvers(site))
        if not proposal.plan.steps:
            _remember(site, policies, proposal, wish)
            return worst([first, _waits_beside(proposal, wish)])
        agreement = _agreed(site, proposal, consent)
        with holding(site, _PATIENCE) as held:
            _settle(site)
            seen, again = _propose(site, policies, wish)
            if again.plan.plan_hash != proposal.plan.plan_hash:
                raise Refused(
                    "RCL3010",
                    "what the plan was made from has changed meanwhile",
                    "Run `reconciler apply` again and review the new plan; nothing was changed.",
                    subject=site.name,
                )
            note_and_record(site, seen)
            authority = _mandate(site, agreement, consent, wish.authors)
            whole = wish.scope == Scope()
            applied = converge(
                site, policies.policies, again, seen, held, agreement.plan, authority, whole_site=whole, told=tell_step
            )
            assert applied is not None
            codes = [first, _waits_beside(again, wish), _told(site, applied), _perpetual(site, policies, wish, applied)]
        some_wait = agreement.plan.plan_hash != proposal.plan.plan_hash
        return worst([*codes, _still_asked(site, Agreement(proposal.plan)) if some_wait else ExitCode.SUCCESS])


def _waits_beside(proposal: Proposal, wish: PlanRequest) -> ExitCode:
    """What is said of policies that no step carries: that they wait, or are not in force."""
    left_out = wish.scope == Scope() and not_in_force(proposal.plan.findings)
    return ExitCode.CONSENT_NEEDED if proposal.waiting or left_out else ExitCode.SUCCESS


def apply_saved(
    root: Path | None, file: Path, now: str | None, consent: Consent, wish: PlanRequest, to: Reporter
) -> int:
    """Does the steps of a saved plan, and no other."""
    authors = only_authors(wish)
    place = find_root(root)
    saved = read(file)
    policies = read_or_last_good(place)
    with session(place, saved.plan.site, now, policies, trust=Trust.FIRST, changing=True) as site:
        _first(site)
        settle_interrupted_runs(site)
        agreement = agree_saved(site, policies.policies, saved.plan, authors)
        to.show(msgspec.structs.replace(saved, plan=agreement.plan), site.zone, approvers=wants_approvers(site))
        if not agreement.plan.steps:
            return ExitCode.SUCCESS
        agreement = _agreed_steps(site, agreement, consent)
        return _done(site, policies, agreement, _mandate(site, agreement, consent, authors))


def resume(root: Path | None, name: str | None, now: str | None, run: str | None) -> int:
    """Does what an earlier run left."""
    place = find_root(root)
    policies = read_or_last_good(place)
    with session(place, name, now, policies, Opening.WRITE) as site:
        settle_interrupted_runs(site)
        found = unfinished(site, run)
        if not found.left.steps:
            note(f"The run {found.run.id} left nothing.")
            return ExitCode.SUCCESS
        judged = agree_again(site, policies.policies, found.left)
        stands = site.now() - found.run.started_at <= AGREED_FOR
        asked_then = frozenset(found.run.withheld) if stands else judged.withheld
        agreement = msgspec.structs.replace(judged, withheld=judged.withheld & asked_then | judged.never)
        show(plan_event(agreement.plan), lambda: plan_text(agreement.plan, site.zone, paint_for(sys.stdout)))
        if not stands:
            note(f"The run {found.run.id} was confirmed over a day ago: weakening changes are asked for again.")
        mandate = _mandate(site, agreement, Consent(False, found.run.glass if stands else ""))
        return _done(site, policies, agreement, msgspec.structs.replace(mandate, command="resume"))


def _first(site: Site) -> None:
    """Names what a site opens that was never applied: whoever applies it says that these are his."""
    if site.memory.ledger.site_document() is None:
        note(f"The first apply of the site {site.name} opens: {'; '.join(opened(site.document))}.")


def _guard_first(
    place: Path, name: str | None, now: str | None, policies: Policies, consent: Consent, *, adopting: bool
) -> ExitCode:
    """Takes over what was agreed to of the site's own changes (approvers, signers, guardrails, budgets, windows, what
    is opened), before anything is opened or planned by it. The rest waits: 5."""
    document = choose_site(policies.policies, name)
    if not state_path(place, document).is_file():
        return ExitCode.SUCCESS
    site = open_state(place, document, clock_for(document, now), adopting=adopting)
    try:
        if now is not None:
            check_rehearsal(site, site.now())
        secured = secure(bench_of(site), policies.policies)
        everything = bool(secured.waiting) and _takes_over(site, secured, consent)
        if (secured.agreed or everything) and not secured.first:
            with holding(site, _PATIENCE):
                settle_guard(site, policies.policies, everything=everything)
        return ExitCode.CONSENT_NEEDED if secured.waiting and not everything else ExitCode.SUCCESS
    finally:
        site.close()


def _takes_over(site: Site, secured: Secured, consent: Consent) -> bool:
    """Whether somebody says yes to all that waits: who breaks the glass, or, where the site names no approvers, who is
    asked in a terminal."""
    if consent.glass.strip():
        return True
    if consent.yes or wants_approvers(site) or not is_interactive():
        return False
    tell(waiting_of(site, secured))
    return ask("\nThe site's own rules, or what it opens, are weakened as shown. Apply anyway?")


def _takes_documents(site: Site, proposal: Proposal, consent: Consent) -> bool:
    """Whether somebody who is asked in a terminal, where the site names no approvers, says yes to what weakens in
    documents without a step."""
    if consent.yes or consent.glass or wants_approvers(site) or not is_interactive():
        return False
    tell(each for each in proposal.plan.findings if each.code == WAITS)
    return ask("\nDocuments of groups are weakened as shown, although no step shows it. Apply anyway?")


def settle_interrupted_runs(site: Site) -> None:
    """Brings our own memory in line with what a process that died had done; nothing to do while another is at work."""
    if site.memory.writable and site.memory.journal.open_runs():
        left = where_it_can_be(site, lambda held: _settle(site))
        if left is not None:
            note(left.diagnostic.message if isinstance(left, ReconcilerError) else str(left))


def _done(site: Site, policies: Policies, agreement: Agreement, mandate: Authority) -> ExitCode:
    """Does the steps of a plan that came from a file or a run under the lease, and shows what came of them. The site
    counts as settled where the policies as they are ask for nothing more."""
    if not agreement.as_written:
        mandate = msgspec.structs.replace(mandate, commit="")
    with holding(site, _PATIENCE) as held:
        _settle(site)
        applied = apply_plan(site, agreement.plan, held, mandate, tell_step)
        settled = agreement.as_written and not applied.left and _nothing_more(site, policies)
        record_site(site, policies.policies, settled=settled, glass=bool(mandate.glass))
    code = _told(site, applied)
    return worst([code, _still_asked(site, agreement) if agreement.withheld else ExitCode.SUCCESS])


def _nothing_more(site: Site, policies: Policies) -> bool:
    """Whether a plan of the policies as they are has no step."""
    try:
        if not policies.current:
            return False
        proposal = propose(site, policies.policies, observe_whole(site))
        return not proposal.plan.steps and not proposal.waiting
    except (PolicyError, Refused):
        return False


def _propose(site: Site, policies: Policies, wish: PlanRequest) -> tuple[Observation, Proposal]:
    observation = observe_whole(site)
    check_state(observation, wish)
    return observation, propose(site, policies.policies, observation, wish)


def _settle(site: Site) -> None:
    """Cleans up after a process that died, so that this one starts from the truth."""
    for run in settle(site):
        note(f"The run {run} had been interrupted; what it did is in the journal.")
    for record in resume_recoveries(site):
        note(f"The recovery {record.job.id} had been interrupted: {record.status.state}.")
    poll(site)


def _remember(site: Site, policies: Policies, proposal: Proposal, wish: PlanRequest) -> None:
    """Keeps in mind what members are called now; whoever is at work on the site does it as well."""
    try:
        with holding(site) as held:
            seen, whole = observe_whole(site), wish.scope == Scope()
            converge(site, policies.policies, proposal, seen, held, proposal.plan, None, whole_site=whole)
    except LockHeld as error:
        note(error.diagnostic.message)


# --- Agreeing --------------------------------------------------------------------------------------------------


def _mandate(site: Site, agreement: Agreement, consent: Consent, authors: tuple[str, ...] = ()) -> Authority:
    how = Confirmation.OPTION if consent.yes else Confirmation.TERMINAL
    how = Confirmation.BREAK_GLASS if consent.glass else how
    return mandate_of(site, "apply", how, glass=consent.glass, withheld=agreement.withheld, authors=authors)


def _agreed(site: Site, proposal: Proposal, consent: Consent) -> Agreement:
    """What somebody confirmed. Raises `ConsentNeeded` where that is nothing."""
    whole, permitted = Agreement(proposal.plan), Agreement(proposal.permitted)
    if consent.glass:
        return _broken(whole, consent)
    if consent.yes or wants_approvers(site):
        if not permitted.plan.steps:
            raise ConsentNeeded(*_weakens(site, proposal.plan))
        return permitted if consent.yes else _asked(permitted, "\nApply what is approved or needs no approval?")
    asks = proposal.permitted.plan_hash != proposal.plan.plan_hash
    return _asked(whole, "\nThis weakens protection. Apply anyway?" if asks else "\nApply this plan?")


def _agreed_steps(site: Site, agreement: Agreement, consent: Consent) -> Agreement:
    """What somebody confirmed of a saved plan: steps are done as they are, or wait."""
    odd = agreement.odd if consent.yes else frozenset[str]()
    if consent.glass:
        agreement = msgspec.structs.replace(agreement, withheld=agreement.never | odd)
        _check_some(site, agreement)
        return _broken(agreement, consent)
    if consent.yes or wants_approvers(site):
        agreement = msgspec.structs.replace(agreement, withheld=agreement.withheld | odd)
        _check_some(site, agreement)
        return agreement if consent.yes else _asked(agreement, "\nApply what is approved or needs no approval?")
    question = "\nThis weakens protection. Apply anyway?" if agreement.withheld else "\nApply this plan?"
    if agreement.odd:
        question = "\nThis is not what the file says, or what the policies ask for. Apply anyway?"
    return _asked(msgspec.structs.replace(agreement, withheld=agreement.never), question)


def _check_some(site: Site, agreement: Agreement) -> None:
    """Raises `ConsentNeeded` where every step waits."""
    if agreement.withheld and len(agreement.withheld) == len(agreement.plan.steps):
        raise ConsentNeeded(*_waits(site, agreement))


def _waits(site: Site, agreement: Agreement) -> tuple[str, str, str]:
    """What is said where steps of a plan from a file or a run wait."""
    if agreement.plan.weakening or not agreement.odd & agreement.withheld:
        return _weakens(site, agreement.plan)
    return (
        "RCL3107",
        f"--yes does not cover these steps, confirm them in a terminal: {', '.join(sorted(agreement.odd))}",
        "They do something else than the file says, or that no policy asks for. Make a new plan; or check them and "
        "answer in a terminal: `reconciler apply FILE` without --yes.",
    )


def _broken(agreement: Agreement, consent: Consent) -> Agreement:
    """Everything, past approvals, budgets and windows: logged, and shown in every later plan."""
    if not consent.glass.strip():
        raise UsageError("RCL0003", "--break-glass needs a reason", "Say why; every later plan shows it.")
    note("Approvals, budgets and change windows are bypassed; this is recorded, and every later plan says so.")
    return agreement if consent.yes else _asked(agreement, "\nApply all of this now?")


def _asked(agreement: Agreement, question: str) -> Agreement:
    nobody = "Give --yes; weakening changes that are not approved are confirmed in a terminal."
    confirm(question, "RCL3016", "nothing was applied", nobody=nobody)
    return agreement


def _weakens(site: Site, plan: Plan) -> tuple[str, str, str]:
    groups = ", ".join(sorted({step.change.group for step in plan.weakening}) or ["a guardrail requires it"])
    if not wants_approvers(site):
        remedy = "Confirm them in a terminal: `reconciler apply` without --yes."
        return "RCL3013", f"changes that weaken protection have to be confirmed: {groups}", remedy
    command = "`reconciler approve --plan plan.json --by EMAIL --reason TEXT --until DATE`"
    remedy = f"Run `reconciler plan --out plan.json`; then an approver runs {command}."
    return "RCL3013", f"changes that weaken protection wait for an approval: {groups}", remedy


def _still_asked(site: Site, agreement: Agreement) -> ExitCode:
    code, what, remedy = _waits(site, agreement)
    tell([Diagnostic(code, Severity.ERROR, what, remedy, subject=agreement.plan.site)])
    return ExitCode.CONSENT_NEEDED


# --- What came of it -------------------------------------------------------------------------------------------


def _told(site: Site, applied: ApplyResult) -> ExitCode:
    """Shows the outcomes; the code that they come to."""
    paint = paint_for(sys.stdout)
    rows = [(each.step.id, each.because, each.opens_at) for each in applied.waiting]
    text = waiting_text(rows, site.zone, paint) + applied_text(applied.run, applied.outcomes, applied.left, paint)
    show(applied_event(applied), lambda: f"\n{text}")
    if applied.unheld:
        return ExitCode.FAILURE
    later = [each for each in applied.waiting if each.opens_at is not None]
    if applied.failed or later:
        note(f"{applied.left} step(s) left. `reconciler resume {applied.run}` does them, `apply` plans again.")
        stale = bool(applied.failed) and all(outcome.code == "RCL3010" for outcome in applied.failed)
        return ExitCode.PRECONDITION_FAILED if stale and not applied.done else ExitCode.PARTIAL_APPLY
    return ExitCode.SUCCESS


def _perpetual(site: Site, policies: Policies, wish: PlanRequest, applied: ApplyResult) -> ExitCode:
    """Observes and plans again: what was just done must not be wanted once more."""
    if applied.left or not applied.done or applied.unheld:
        return ExitCode.SUCCESS
    again = propose(site, policies.policies, observe_whole(site), wish).plan
    whole = {(step.action.server, step.change.group) for step in applied.plan.steps if step.remember.whole}
    found = [
        Diagnostic(
            "RCL3049",
            Severity.ERROR,
            f"{step.change.group} on {step.action.server} was applied and still differs: {field.path or 'the group'} "
            f"is {field.before}, {field.after} is wanted",
            "Please report it with both values; until then write the value that the server holds.",
            field.location,
        )
        for step in again.steps
        if (step.action.server, step.change.group) in whole
        for field in step.change.fields
        if field.reason is not Reason.MACHINES_CHANGED
    ]
    tell(found)
    return ExitCode.FAILURE if found else ExitCode.SUCCESS
