"""WHAT SHOULD CHANGE. Pure: policies, what was seen and what we own -> the plan, and the coverage.

The steps do not know each other; `build` composes them: resolve (members), fit (what the engine can hold),
diff (what differs), preflight (what will be refused), order (safest first), seal (hash).
"""

from reconciler.plan.checks.backup_refusals import refusals
from reconciler.plan.checks.capacity import survey
from reconciler.plan.checks.lint import lint
from reconciler.plan.coverage import AT_RISK, MachineCoverage, Seen, Standing, coverage
from reconciler.plan.desired.state import IGNORABLE, DesiredGroup, DesiredState, Excused, Scope
from reconciler.plan.pipeline import Proposal, Situation, check_all, desire, group_hash, propose, with_steps
from reconciler.plan.review.compare import compare

__all__ = [
    "AT_RISK",
    "IGNORABLE",
    "DesiredGroup",
    "DesiredState",
    "Excused",
    "MachineCoverage",
    "Proposal",
    "Scope",
    "Seen",
    "Situation",
    "Standing",
    "check_all",
    "compare",
    "coverage",
    "desire",
    "group_hash",
    "lint",
    "propose",
    "refusals",
    "survey",
    "with_steps",
]
