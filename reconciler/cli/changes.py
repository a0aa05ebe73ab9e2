"""plan, apply."""

from __future__ import annotations

import sys
from datetime import UTC, timedelta
from pathlib import Path
from typing import NamedTuple

from reconciler.cli.options import PlanFormat
from reconciler.cli.screen import ask, note, out, paint_for, somebody_there
from reconciler.cli.session import find_root, session, target
from reconciler.cli.sinks import Reporter
from reconciler.control.apply import Applied, refresh_ledger
from reconciler.control.apply import apply as apply_plan
from reconciler.control.dispatch import poll
from reconciler.control.lease import Holding, holding
from reconciler.control.observe import observe_whole
from reconciler.control.policies import Policies, read_good
from reconciler.control.propose import check_state, propose
from reconciler.control.recovery import resume_recoveries
from reconciler.control.resuming import unfinished
from reconciler.control.saved import origin_of, read, save
from reconciler.control.settle import settle
from reconciler.control.site import Site
from reconciler.errors import ConsentNeeded, ExitCode, LockHeld, Refused
from reconciler.model import Plan
from reconciler.parse.explain import explained
from reconciler.plan import Proposal, without_weakening
from reconciler.report import applied_text, findings_text, plan_text

#: How long a command waits for another process that is at work on the site.
_PATIENCE = timedelta(seconds=30)


class Look(NamedTuple):
    """How `plan` looks: exit 2 when there is something to do, every value explained, saved in a file."""

    detailed: bool
    explain: bool
    save: Path | None


def plan(root: Path | None, name: str | None, to: Reporter, now: str | None, look: Look) -> int:
    """Shows the difference; 2 with `detailed` when there is one."""
    place = find_root(root)
    if look.save is not None:
        target(look.save)
    policies = read_good(place)
    with session(place, name, now, policies) as site:
        _tidy(site)
        observation = observe_whole(site)
        proposal = propose(site, policies.policies, observation)
        to.show(proposal.plan, site.zone)
        if to.format is PlanFormat.text:
            for placed in policies.policies.groups if look.explain else ():
                if placed.document.spec.site == site.name:
                    out("\n" + explained(placed))
        if look.save is not None:
            save(look.save, proposal.plan, origin_of(site, observation))
            note(f"Saved: {look.save}. `reconciler apply {look.save}` does just this.")
    return ExitCode.CHANGES_PENDING if look.detailed and proposal.plan.steps else ExitCode.SUCCESS


def show(file: Path, to: Reporter) -> int:
    """Shows a saved plan."""
    to.show(read(file), UTC)
    return ExitCode.SUCCESS


def apply_saved(root: Path | None, file: Path, now: str | None, yes: bool, to: Reporter) -> int:
    """Does the steps of a saved plan, and no other."""
    place = find_root(root)
    saved = read(file)
    with session(place, saved.plan.site, now) as site:
        to.show(saved, site.zone)
        if not saved.plan.steps:
            return ExitCode.SUCCESS
        agreed = _agreed(saved.plan, yes)
        return _done(site, agreed, saved.plan, "apply")


def resume(root: Path | None, name: str | None, now: str | None, run: str | None) -> int:
    """Does what an earlier run left."""
    place = find_root(root)
    with session(place, name, now) as site:
        _tidy(site)
        found = unfinished(site, run)
        if not found.left.steps:
            note(f"The run {found.run.id} left nothing.")
            return ExitCode.SUCCESS
        out(plan_text(found.left, site.zone, paint_for(sys.stdout)))
        return _done(site, found.left, found.left, "resume")


def _done(site: Site, agreed: Plan, whole: Plan, command: str) -> int:
    """Does the steps under the lease, and shows what came of them."""
    with holding(site, _PATIENCE) as held:
        _settle(site, held)
        applied = apply_plan(site, agreed, held, command)
    out("\n" + applied_text(applied.run, applied.outcomes, applied.left, paint_for(sys.stdout)))
    return _exit_code(applied, whole)


def apply(root: Path | None, name: str | None, now: str | None, yes: bool, to: Reporter) -> int:
    """Plans, shows, asks, does."""
    place = find_root(root)
    policies = read_good(place)
    with session(place, name, now, policies) as site:
        _tidy(site)
        proposal = _propose(site, policies)
        to.show(proposal.plan, site.zone)
        if not proposal.plan.steps:
            _remember(site, proposal)
            return ExitCode.SUCCESS
        agreed = _agreed(proposal.plan, yes)
        with holding(site, _PATIENCE) as held:
            _settle(site, held)
            again = _propose(site, policies)
            if again.plan.plan_hash != proposal.plan.plan_hash:
                raise Refused(
                    "RCL3010",
                    "what the plan was made from has changed meanwhile",
                    "Run `reconciler apply` again and look at the new plan; nothing was changed.",
                    subject=site.name,
                )
            refresh_ledger(site, again.desired)
            applied = apply_plan(site, agreed, held, "apply")
        out("\n" + applied_text(applied.run, applied.outcomes, applied.left, paint_for(sys.stdout)))
        return _exit_code(applied, proposal.plan)


def _propose(site: Site, policies: Policies) -> Proposal:
    observation = observe_whole(site)
    check_state(observation)
    return propose(site, policies.policies, observation)


def _settle(site: Site, held: Holding) -> None:
    """Cleans up after a process that died, so that this one starts from the truth."""
    for run in settle(site):
        note(f"The run {run} had been cut off; what it did is in the journal.")
    for record in resume_recoveries(site, held):
        note(f"The recovery {record.job.id} had been cut off: {record.status.state}.")
    poll(site)


def _tidy(site: Site) -> None:
    """Brings our own memory in line with what a process that died had done; nothing to do while another is at work."""
    if site.memory.journal.open_runs():
        try:
            with holding(site) as held:
                _settle(site, held)
        except LockHeld as error:
            note(error.diagnostic.message)


def _remember(site: Site, proposal: Proposal) -> None:
    """Keeps in mind what members are called now; whoever is at work on the site does it as well."""
    try:
        with holding(site):
            refresh_ledger(site, proposal.desired)
    except LockHeld as error:
        note(error.diagnostic.message)


def _agreed(plan: Plan, yes: bool) -> Plan:
    """The steps that somebody said yes to. Raises `ConsentNeeded` where that is none."""
    mild = without_weakening(plan)
    if yes:
        if not mild.steps:
            raise _weakens(plan)
        return mild
    if not somebody_there():
        raise ConsentNeeded(
            "RCL3016",
            "nobody is there to say yes",
            "Give --yes for changes that strengthen protection; what weakens it is asked for in a terminal.",
        )
    question = "\nThis weakens protection as shown. Do it?" if plan.weakening else "\nApply this plan?"
    if ask(question):
        return plan
    raise ConsentNeeded("RCL3016", "nothing was applied", "Run `reconciler apply` again when it is wanted.")


def _weakens(plan: Plan) -> ConsentNeeded:
    groups = ", ".join(sorted({step.change.group for step in plan.weakening}))
    return ConsentNeeded(
        "RCL3013",
        f"the plan weakens protection: {groups}",
        "Run `reconciler apply` in a terminal and answer there; --yes does not cover it.",
        subject=plan.site,
    )


def _exit_code(applied: Applied, plan: Plan) -> int:
    if applied.failed:
        stale = all(outcome.code == "RCL3010" for outcome in applied.failed)
        note(f"{applied.left} step(s) left. `reconciler resume {applied.run}` tries them again, `apply` plans anew.")
        return ExitCode.PRECONDITION_FAILED if stale and not applied.done else ExitCode.PARTIAL_APPLY
    if plan.weakening and applied.plan.plan_hash != plan.plan_hash:
        sys.stdout.flush()
        sys.stderr.write(findings_text([_weakens(plan).diagnostic], paint_for(sys.stderr)))
        return ExitCode.CONSENT_NEEDED
    return ExitCode.SUCCESS
