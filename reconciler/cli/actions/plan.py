"""plan, show: what apply would do."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import NamedTuple

import msgspec

from reconciler.cli.actions.apply import settle_interrupted_runs
from reconciler.cli.options import PlanFormat
from reconciler.cli.plan_reports import Reporter
from reconciler.cli.session import find_root, session, target
from reconciler.cli.terminal import note, out
from reconciler.control.approving.valid_approvals import wants_approvers
from reconciler.control.observe import observe_whole
from reconciler.control.planning.plan_file import origin_of, read, save, shown
from reconciler.control.planning.propose import PlanRequest, check_state, propose
from reconciler.control.policy_folder import read_good
from reconciler.errors import ExitCode
from reconciler.parse.explain import explained
from reconciler.plan.desired.defaults import zones_of
from reconciler.report.plan_headline import waits
from reconciler.state import Opening


class Look(NamedTuple):
    """How `plan` looks: exit 2 when there is something to do, every value explained, saved in a file."""

    detailed: bool
    explain: bool
    save: Path | None


def plan(root: Path | None, name: str | None, to: Reporter, now: str | None, look: Look, wish: PlanRequest) -> int:
    """Shows the difference; 2 with `detailed` when there is one."""
    place = find_root(root)
    if look.save is not None:
        target(look.save)
    policies = read_good(place)
    with session(place, name, now, policies, Opening.NOTE) as site:
        settle_interrupted_runs(site)
        observation = observe_whole(site)
        check_state(observation, wish)
        proposal = propose(site, policies.policies, observation, wish)
        to.show(proposal.plan, site.zone, approvers=wants_approvers(site))
        if to.format is PlanFormat.text:
            for placed in policies.policies.groups if look.explain else ():
                if placed.document.spec.site == site.name:
                    out("\n" + explained(placed, zones_of(policies.policies)))
        if look.save is not None:
            save(look.save, proposal.plan, origin_of(site, observation))
            note(f"Saved: {look.save}. `reconciler apply {look.save}` does just this.")
    return (
        ExitCode.CHANGES_PENDING
        if look.detailed and (proposal.plan.steps or waits(proposal.plan))
        else ExitCode.SUCCESS
    )


def show(file: Path, to: Reporter) -> int:
    """Shows a saved plan as its steps tell it; where the file says otherwise, that is said."""
    saved = read(file)
    to.show(msgspec.structs.replace(saved, plan=shown(saved.plan)), UTC)
    return ExitCode.SUCCESS
