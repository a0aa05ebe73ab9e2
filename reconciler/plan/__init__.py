"""WHAT SHOULD CHANGE. Pure: policies, what was seen and what we own -> the plan, and the coverage.

The steps do not know each other; `pipeline` composes them, and hands each of them the `PlanInputs`: desired (members,
places), difference (what changes), impact (points), approval (hashes, guardrails), rollout (order, waves), sealing.
"""

from reconciler.plan.checks.backup_refusals import refusals
from reconciler.plan.checks.capacity import survey
from reconciler.plan.checks.lint import lint
from reconciler.plan.coverage import AT_RISK, CoverageInputs, CoverageState, MachineCoverage, coverage
from reconciler.plan.desired.state import IGNORABLE, DesiredGroup, DesiredState, ExcludedMachine, Scope
from reconciler.plan.inputs import PlanInputs
from reconciler.plan.pipeline import Proposal, check_all, desired_state, propose
from reconciler.plan.review.compare import compare
from reconciler.plan.sealing import group_hash, with_steps

__all__ = [
    "AT_RISK",
    "IGNORABLE",
    "DesiredGroup",
    "DesiredState",
    "ExcludedMachine",
    "MachineCoverage",
    "Proposal",
    "Scope",
    "CoverageInputs",
    "PlanInputs",
    "CoverageState",
    "check_all",
    "compare",
    "coverage",
    "desired_state",
    "group_hash",
    "lint",
    "propose",
    "refusals",
    "survey",
    "with_steps",
]
