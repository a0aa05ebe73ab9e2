"""Converging: a proposal, the part of it that was agreed to -> what was done of it, and what is remembered of the site.

The command `apply` and the loop come by the same way; they differ in who agreed, and in what they show.
"""

from __future__ import annotations

from reconciler.control.applying.apply import ApplyResult, Authority, Told, apply, tell_nobody
from reconciler.control.applying.ledger_update import note_taken, refresh_ledger
from reconciler.control.approving.site_guard import record_site
from reconciler.control.drift.sightings import learn_agreed
from reconciler.control.lease import HeldLease
from reconciler.control.observe import Observation
from reconciler.control.site import Site
from reconciler.model import Plan
from reconciler.model.documents import PolicySet
from reconciler.plan import Proposal


def converge(
    site: Site,
    policies: PolicySet,
    proposal: Proposal,
    seen: Observation,
    held: HeldLease,
    agreed: Plan,
    authority: Authority | None,
    *,
    whole_site: bool = True,
    told: Told = tell_nobody,
) -> ApplyResult | None:
    """Does the agreed steps of a proposal that was made from what is `seen`, on somebody's authority; None of them, and
    None as the answer, without one.

    What members are called now is remembered either way. The site is settled at the commit of its policies once
    nothing of them is left: no step, agreed to or not, and nothing that no step carries.
    """
    refresh_ledger(site, proposal)
    learn_agreed(site, proposal.desired, seen)
    applied = apply(site, agreed, held, authority, told) if authority is not None else None
    left = len(agreed.steps) if applied is None else applied.left
    everything = whole_site and agreed.plan_hash == proposal.plan.plan_hash
    glass = authority is not None and bool(authority.glass)
    record_site(site, policies, settled=everything and not left and not proposal.waiting, glass=glass)
    note_taken(site, proposal)
    return applied
