"""Headline: a plan -> one line, with counts by verb and by direction."""

from __future__ import annotations

from reconciler.model import Direction, Plan, Verb
from reconciler.plan.approval import unapproved_documents
from reconciler.report.words import count


def waits(plan: Plan) -> bool:
    """Whether something that no step carries waits for a person."""
    return unapproved_documents.waits(plan.findings)


#: Direction -> what one step does, and what several do.
_EFFECTS = {
    Direction.STRENGTHENS: ("strengthens protection", "strengthen protection"),
    Direction.NEUTRAL: ("is neutral", "are neutral"),
    Direction.WEAKENS: ("weakens protection", "weaken protection"),
    Direction.DESTROYS: ("destroys recovery points", "destroy recovery points"),
}


def headline(plan: Plan) -> str:
    """Counts by verb and by direction."""
    if not plan.steps and waits(plan):
        return "Nothing can be applied until the waiting changes are approved or resolved; see the warnings."
    if not plan.steps:
        return "No changes: the servers match the policies."
    verbs = [step.change.verb for step in plan.steps]
    changed = verbs.count(Verb.UPDATE) + verbs.count(Verb.RENAME)
    parts = [f"{verbs.count(Verb.CREATE)} to create", f"{changed} to change", f"{verbs.count(Verb.STOP)} to stop"]
    parts += [f"{verbs.count(Verb.ADOPT)} to adopt"] if Verb.ADOPT in verbs else []
    directions = [step.change.direction for step in plan.steps]
    effects = [count(directions.count(each), *_EFFECTS[each]) for each in reversed(Direction) if each in directions]
    return f"Plan: {', '.join(parts)}. Effect: {', '.join(effects)}."
