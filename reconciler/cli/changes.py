"""plan, show: what apply would do."""

from __future__ import annotations

import sys
from datetime import UTC
from pathlib import Path
from typing import NamedTuple

from reconciler.cli.applying import tidy
from reconciler.cli.options import Format
from reconciler.cli.screen import note, out, paint_for
from reconciler.cli.session import find_root, session, target
from reconciler.control.observe import observe_whole
from reconciler.control.policies import read_good
from reconciler.control.propose import Wish, propose
from reconciler.control.saved import origin_of, read, save
from reconciler.errors import ExitCode
from reconciler.parse.explain import explained
from reconciler.report import json_text, origin_text, plan_text


class Look(NamedTuple):
    """How `plan` looks: exit 2 when there is something to do, every value explained, saved in a file."""

    detailed: bool
    explain: bool
    save: Path | None


def plan(root: Path | None, name: str | None, output: Format, now: str | None, look: Look, wish: Wish) -> int:
    """Shows the difference; 2 with `detailed` when there is one."""
    place = find_root(root)
    if look.save is not None:
        target(look.save)
    policies = read_good(place)
    with session(place, name, now, policies) as site:
        tidy(site)
        observation = observe_whole(site)
        proposal = propose(site, policies.policies, observation, wish)
        if output is Format.json:
            out(json_text(proposal.plan) + "\n")
        else:
            out(plan_text(proposal.plan, site.zone, paint_for(sys.stdout)))
            for placed in policies.policies.groups if look.explain else ():
                if placed.document.spec.site == site.name:
                    out("\n" + explained(placed))
        if look.save is not None:
            save(look.save, proposal.plan, origin_of(site, observation))
            note(f"Saved: {look.save}. `reconciler apply {look.save}` does just this.")
    return ExitCode.CHANGES_PENDING if look.detailed and proposal.plan.steps else ExitCode.SUCCESS


def show(file: Path, output: Format) -> int:
    """Shows a saved plan."""
    saved = read(file)
    if output is Format.json:
        out(json_text(saved) + "\n")
    else:
        out(origin_text(saved.origin) + plan_text(saved.plan, UTC, paint_for(sys.stdout)))
    return ExitCode.SUCCESS
